"""Started by sandbox/local.py as a program of its own: makes the namespaces and the file system of a slot, then becomes its agent.

    python3 -I -S local_init.py '{"parent": PID, "boot": [...], "python": PATH, "binds": [...], ...}'

Standard library only, and no import of ours: it runs before anything of assay does. fd 0 and 1 are the channel and are handed on. What
goes wrong is told on fd 2 in one line that starts with `assay:`; the exit code is then 71.

    this process (waits; dies with the host process)
      `- pid 1 of the new pid namespace: mounts, pivots, drops what it does not need, enters a user namespace, execs python3 -c BOOT
"""
from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any, NoReturn

NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
KEPT_FLAGS = 8 | 1024 | 2048 | (1 << 21)         # noexec, noatime, nodiratime, relatime: a user namespace may not clear them
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24
KEPT_CAPABILITIES = {0, 1, 3, 5, 6, 7, 21, 23, 24}
# chown, dac_override, fowner, kill, setgid, setuid, sys_admin (for fresh folders), sys_nice (for the agent), sys_resource
USERS = 1 << 16
URGENT = -10                                     # niceness of the agent; the programs' is 0 (agent.py)
STACK = 1 << 30                                  # of a program's main thread; threads get their own
DEVICES = ("null", "zero", "full", "random", "urandom")

libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    pass


def check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise Refused("%s: %s" % (what, os.strerror(code)))


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    encode = [None if text is None else text.encode() for text in (source, target, kind, options)]
    check(libc.mount(encode[0], encode[1], encode[2], ctypes.c_ulong(flags), encode[3]), "mount %s on %s" % (source, target))


def bind(source: str, target: str, flags: int = MS_RDONLY | MS_NOSUID | MS_NODEV) -> None:
    """`source` as it is at `target`, with `flags`; without what is mounted below it, where the kernel allows that."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o644))
    try:
        mount(source, target, None, MS_BIND)
    except Refused:
        mount(source, target, None, MS_BIND | MS_REC)
        below(target, flags)
    remount(target, flags)


def remount(target: str, flags: int) -> None:
    have = os.statvfs(target).f_flag
    kept = have & (1 | 2 | 4 | 8 | 1024 | 2048) | ((1 << 21) if have & 4096 else 0)
    mount(None, target, None, MS_BIND | MS_REMOUNT | flags | kept)


def below(target: str, flags: int) -> None:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [line.split()[4].replace("\\040", " ") for line in file]
    for point in points:
        if point.startswith(target + "/"):
            remount(point, flags)


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def enter_user_namespace(uid: int, gid: int) -> None:
    check(libc.unshare(NEWUSER), "a user namespace")
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", "0 %d 1" % uid)
    write("/proc/self/gid_map", "0 %d 1" % gid)


class Shift:
    """A user namespace for the agent when this process is root: its root, and all users in the slot, are nobodies of the machine.

    The namespace is the agent's own, entered last, when nothing of the machine is in sight any more; only this process, outside of it, may
    write which users those are.
    """

    def __init__(self, base: int) -> None:
        self.base = base
        self.entered = os.pipe()
        self.mapped = os.pipe()
        self.proc = os.open("/proc", os.O_RDONLY)        # the machine's: this process's root changes when the agent pivots

    def enter(self) -> None:
        check(libc.unshare(NEWUSER | NEWNS), "a user namespace")
        os.write(self.entered[1], b"x")
        os.close(self.mapped[1])
        if os.read(self.mapped[0], 1) != b"x":
            os._exit(1)
        for fd in (*self.entered, self.mapped[0], self.proc):
            os.close(fd)
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)

    def map(self, pid: int) -> None:
        os.close(self.entered[1])
        if os.read(self.entered[0], 1) == b"x":
            for name in ("uid_map", "gid_map"):
                fd = os.open("%d/%s" % (pid, name), os.O_WRONLY, dir_fd=self.proc)
                os.write(fd, b"0 %d %d" % (self.base, USERS))
                os.close(fd)
            os.write(self.mapped[1], b"x")
        for fd in (self.entered[0], *self.mapped, self.proc):
            os.close(fd)


def make_root(config: dict[str, Any]) -> str:
    root: str = next(path for path in config["places"] if os.path.isdir(path))
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=4m,nr_inodes=4k,mode=755")
    os.umask(0o022)
    for path, target in config["links"]:
        os.symlink(target, root + path)
    for path, target in config["binds"]:
        bind(path, root + target)
    for path, text in config["files"]:
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        write(root + path, text)
    os.makedirs(root + "/dev/shm")
    for name in DEVICES:
        bind("/dev/" + name, root + "/dev/" + name, MS_NOSUID | MS_NOEXEC)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")):
        os.symlink(target, root + "/dev/" + name)
    for path, options in config["tmpfs"].items():
        os.makedirs(root + path, exist_ok=True)
        mount("tmpfs", root + path, "tmpfs", MS_NOSUID | MS_NODEV, options)
    os.makedirs(root + "/proc", exist_ok=True)
    os.mkdir(root + "/.agent", 0o700)
    if config["shift"]:
        os.chown(root + "/.agent", config["shift"], config["shift"])
    os.mkdir(root + "/.agent/proc")
    os.mkdir(root + "/.old")
    return root


def become_agent(config: dict[str, Any], root: str, shift: Shift | None) -> NoReturn:
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    plain = MS_NOSUID | MS_NODEV | MS_NOEXEC
    mount("proc", root + "/.agent/proc", "proc", plain)
    try:
        mount("proc", root + "/proc", "proc", plain | MS_RDONLY, "hidepid=2")
    except Refused:
        mount("proc", root + "/proc", "proc", plain | MS_RDONLY)
    os.chdir(root)
    check(libc.syscall(ctypes.c_long(config["pivot_root"]), b".", b".old"), "pivot_root")
    os.chdir("/")
    check(libc.umount2(b"/.old", MNT_DETACH), "unmount of the host's file system")
    os.rmdir("/.old")
    remount("/", MS_RDONLY | MS_NOSUID | MS_NODEV)
    libc.sethostname(b"slot", 4)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, URGENT)
    for number in range(64):
        if number not in KEPT_CAPABILITIES:
            libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack = STACK if hard == resource.RLIM_INFINITY else min(STACK, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))
    if shift is not None:
        shift.enter()
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)    # again: a change of users undoes it
    os.execve(config["python"], [config["python"], *config["boot"]], config["env"])


def main() -> NoReturn:
    config = json.loads(sys.argv[1])
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != config["parent"]:
        os._exit(0)
    kept = {0, 1, 2}
    for number, path in config["fds"]:
        fd = os.open(path, os.O_RDWR if os.access(path, os.W_OK) and os.access(path, os.R_OK) else
                     os.O_WRONLY if os.access(path, os.W_OK) else os.O_RDONLY)
        os.dup2(fd, number)
        os.close(fd)
        kept.add(number)
    first = 3
    for number in [*sorted(kept - {0, 1, 2}), 4096]:
        os.closerange(first, number)
        first = number + 1
    if config["user"]:
        enter_user_namespace(os.getuid(), os.getgid())
    check(libc.unshare(NEWNS | NEWPID | NEWNET | NEWIPC | NEWUTS | NEWCGROUP), "new namespaces")
    root = make_root(config)
    shift = Shift(config["shift"]) if config["shift"] else None
    pid = os.fork()
    if pid == 0:
        become_agent(config, root, shift)
    if shift is not None:
        shift.map(pid)
    for number in kept - {2}:
        os.close(number)
    _pid, status = os.waitpid(pid, 0)
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)


try:
    main()
except (Refused, OSError, StopIteration) as error:
    os.write(2, ("assay: %s\n" % (error or "no folder to build a root on")).encode("utf-8", "replace"))
    os._exit(71)
