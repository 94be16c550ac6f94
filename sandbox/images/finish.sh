#!/bin/sh
# Finishes the image's file system at $1: drops what no program needs. Run by both ways of building (image.py).
set -eu
root=$1

# Package tools, their lists and caches, documentation and translations.
rm -rf "$root"/etc/apt/sources.list* "$root"/var/cache/debconf/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
       "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/info "$root"/usr/share/locale "$root"/usr/share/lintian \
       "$root"/root/.bashrc "$root"/root/.profile "$root"/var/lib/dpkg/info/*.md5sums

# Nothing in the image may raise privileges (no-new-privileges says so too).
find "$root" -xdev -type f -perm /6000 -exec chmod a-s {} +

# A slot adds its own user: these two lie in a folder that it mounts anew.
mkdir -p "$root"/etc/assay
for file in passwd group; do
    mv "$root/etc/$file" "$root/etc/assay/$file"
    ln -s "assay/$file" "$root/etc/$file"
done

# Mount points of a slot: the root is read-only.
mkdir -p "$root"/w "$root"/tmp "$root"/dev/shm
chmod 1777 "$root"/tmp
