"""Precompiled headers, made once an installation: a C++ program that includes bits/stdc++.h then compiles in a fifth of the time.

    <cache>/assay/headers-<compiler>/gnu++17/bits/stdc++.h.gch      seen by slots at /opt/assay, read-only

Made by the machine's own compiler from its own header, never from anything of a program. A compiler that differs in any way from the
one that made a header ignores it, so a stale one costs time and nothing else; the folder's name changes with the compiler anyway.
"""
from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from .languages import Language

__all__ = ["SLOT_FOLDER", "header_folder", "make_headers"]

SLOT_FOLDER: Final = "/opt/assay"
_TIMEOUT_S: Final = 300.0
_ROOM_BYTES: Final = 1 << 30


def header_folder() -> Path | None:
    """The folder of this machine's compiler, made if need be; None where there is no compiler, no room or no cache folder."""
    compiler = shutil.which("g++", path="/usr/local/bin:/usr/bin:/bin")
    if compiler is None:
        return None
    info = Path(compiler).resolve().stat()
    key = hashlib.blake2b(f"{Path(compiler).resolve()} {info.st_size} {info.st_mtime_ns}".encode(), digest_size=8).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    folder = cache / "assay" / f"headers-{key}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    except OSError:
        return None
    return folder


def make_headers(folder: Path, language: Language) -> None:
    """Make what `language` wants precompiled, unless it is there. Does nothing where that fails: it is about time only."""
    command = language.precompiled
    if not command:
        return
    at = command.index("-o") + 1
    target = folder / command[at]
    if target.exists() or shutil.disk_usage(folder).free < _ROOM_BYTES:
        return
    with contextlib.suppress(OSError, subprocess.SubprocessError), (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        source = folder / ".empty.hpp"
        source.write_text(f"#include <{command[-1]}>\n")
        made = target.with_suffix(f".{os.getpid()}")
        subprocess.run([*command[:at], str(made), *command[at + 1:-1], str(source)], check=True, timeout=_TIMEOUT_S,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TMPDIR": str(folder)})
        made.rename(target)
