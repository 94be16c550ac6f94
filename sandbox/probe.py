"""Tries what the kernel grants this user, and prints it as one JSON object: {"user": "ok", "landlock": "7", "mount": "EPERM", ...}.

A program of its own (`python -I probe.py`), since a namespace once entered is not left: each try is a forked child that ends. Standard
library only; imports nothing of assay.
"""
from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
NAMESPACES = {"mount": CLONE_NEWNS, "uts": CLONE_NEWUTS, "ipc": CLONE_NEWIPC, "pid": CLONE_NEWPID, "net": CLONE_NEWNET}
MS_REC_PRIVATE = 0x4000 | 0x40000
SYS_LANDLOCK_CREATE_RULESET = 444    # the same number on every architecture
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
PR_SET_NO_NEW_PRIVS, PR_GET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_SECCOMP = 38, 21, 2, 22

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "")


def unshare(flags: int) -> None:
    """As root directly; else inside a user namespace of its own, whose root is this user, as the local backend does it."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        check(libc.unshare(flags))
        return
    check(libc.unshare(flags | CLONE_NEWUSER))
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def pivot() -> None:
    unshare(CLONE_NEWNS)
    check(libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None))
    check(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, b"size=64k"))
    Path("/tmp/old").mkdir()
    check(libc.syscall(SYS_PIVOT_ROOT[platform.machine()], b"/tmp", b"/tmp/old"))


def proc() -> None:
    """A /proc of a new pid namespace: container runtimes that mask parts of /proc make the kernel refuse it."""
    unshare(CLONE_NEWNS | CLONE_NEWPID)
    check(libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None))
    pid = os.fork()
    if pid == 0:
        os._exit(ctypes.get_errno() if libc.mount(b"proc", b"/proc", b"proc", 0, None) else 0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OSError(code, "")


def seccomp() -> None:
    """A filter that allows everything is installed."""

    class Instruction(ctypes.Structure):
        _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(Instruction)))

    allow = (Instruction * 1)(Instruction(0x06, 0, 0, 0x7FFF0000))    # RET ALLOW
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Program(1, allow)), 0, 0))


def tried(action: Callable[[], None]) -> str:
    """ "ok", or the name of the errno, of `action` in a forked child."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            action()
            code = 0
        except OSError as error:
            code = error.errno or 255
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return "ok" if code == 0 else errno.errorcode.get(code, "failed")


def landlock() -> str:
    """The ABI's number, or the name of the errno."""
    version = int(libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, 1))
    return str(version) if version > 0 else errno.errorcode.get(ctypes.get_errno(), "failed")


def main() -> None:
    found = {"user": tried(lambda: check(libc.unshare(CLONE_NEWUSER)))}
    for name, flag in NAMESPACES.items():
        found[name] = tried(partial(unshare, flag))
    found |= {"pivot_root": tried(pivot), "proc": tried(proc), "seccomp": tried(seccomp), "landlock": landlock()}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
