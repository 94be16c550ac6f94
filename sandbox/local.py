"""The local backend: a slot is a tree of processes in namespaces of its own, made by sandbox/local_init.py. No daemon.

As root: all namespaces, a user of its own for the programs of each slot, a control group with memory, process and CPU accounts.
Without root: a user namespace gives the same view of the files and no network, but programs share the agent's user, and memory and
processes are bounded by what the agent can see and by rlimits. `LocalBackend.level` says which of the two is in force.
"""
from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import secrets
import socket
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from ..core.errors import SandboxUnavailable
from .backend import WORK, Link, agent_config
from .cgroups import CgroupHome, SlotGroup, find_home, remove_stale
from .headers import SLOT_FOLDER, header_folder, make_headers
from .languages import Language
from .protocol import BOOT, PYTHON_OPTIONS, boot_bytes

__all__ = ["LocalBackend", "default_python"]

_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}
_FIRST_FD: Final = 20
"""Where the agent finds its cgroup files: above what an interpreter opens by itself."""
_PROGRAM_UID: Final = 1000
_USERS: Final = 1 << 16
"""Users of one slot."""
_UIDS: Final = (1 << 20, 1 << 30)
"""Users of programs lie here, drawn at random: what the kernel counts by user (pipes, watches, signals) no two pools share."""
_PLACES: Final = ("/mnt", "/media", "/srv", "/tmp")
_FOLDERS: Final = {
    WORK: "size=512m,nr_inodes=32k,mode=1777",
    "/tmp": "size=512m,nr_inodes=32k,mode=1777",
    "/var/tmp": "size=64m,nr_inodes=4k,mode=1777",
    "/dev/shm": "size=512m,nr_inodes=4k,mode=1777",
}
_BOX: Final = "/box"
"""Above the folders that would lie in the root: a Landlock rule for them is one for the folder above (sandbox/agent.py)."""
_MOVED: Final = {path: _BOX + path for path in (WORK, "/tmp")}
_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS: Final = ("/etc/ld.so.cache", "/etc/alternatives")
"""Of /etc: what programs need to start. A Java of Debian's has its settings in /etc/java-*."""
_ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": WORK, "TMPDIR": "/tmp",
    "PYTHONHASHSEED": "0",
    "LD_BIND_NOW": "1",              # or each program looks up the functions that it is the first to call
}
_INIT: Final = Path(__file__).parent / "local_init.py"
_KILLED_S: Final = 5.0
_ANSWERS_S: Final = 120.0
"""An interpreter that is asked for its version: milliseconds, but on a machine with forty programs a core 30 s were seen."""


def default_python() -> str:
    """The interpreter that runs programs unless one is named: this one, a virtual environment seen through."""
    return str(Path(getattr(sys, "_base_executable", sys.executable) or sys.executable).resolve())


class LocalBackend:
    name = "local"

    def __init__(self, python: str | None = None) -> None:
        self._python = python or default_python()
        self._root = os.geteuid() == 0
        self._shift = self._root and _user_namespaces()
        self._first_uid = _UIDS[0] + secrets.randbelow(_UIDS[1] - _UIDS[0])
        self._home: CgroupHome | None = None
        self._prefixes: tuple[str, ...] = ()
        self._headers: Path | None = None
        self._ready: set[str] = set()
        self._links: set[_LocalLink] = set()
        self.level = "not started"

    async def prepare(self) -> None:
        if sys.platform != "linux" or platform.machine() not in _PIVOT_ROOT:
            raise SandboxUnavailable(f"the local sandbox needs Linux on x86_64 or aarch64, this is {sys.platform} on {platform.machine()}; "
                                     "use the docker backend")
        self._prefixes = _prefixes(self._python)
        self._home = find_home() if self._root else None
        self._headers = header_folder()
        walls = "all namespaces" if self._shift else "namespaces (none for users)"
        if self._root and self._home is None:
            self.level = f"{walls}, own user and seccomp; no cgroup to be had: memory and CPU are polled (weaker)"
        elif self._root:
            assert self._home is not None
            remove_stale(self._home)
            self.level = f"{walls}, own user, seccomp, cgroup v{self._home.version} ({', '.join(self._home.controllers)})"
        else:
            self.level = ("user namespace without root and seccomp; programs share one user, memory and CPU are polled (weaker than root's)")

    async def make_ready(self, language: Language) -> None:
        if language.precompiled and language.name not in self._ready and self._headers is not None:
            await asyncio.to_thread(make_headers, self._headers, language)
        self._ready.add(language.name)

    async def open(self, slot: int) -> Link:
        ours, theirs = socket.socketpair()
        group = self._home.create(slot) if self._home is not None else None
        try:
            files = _Files.of(group)
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_INIT), json.dumps(self._init_config(slot, files))],
                    stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE, env={"PATH": _ENVIRONMENT["PATH"], "LANG": "C.UTF-8"},
                    start_new_session=True, close_fds=True)
        except OSError as error:
            ours.close()
            if group is not None:
                group.remove()
            raise SandboxUnavailable(f"a slot cannot be started: {error}") from error
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        link = _LocalLink(process, ours, reader, writer, group, self._links)
        link.write(boot_bytes(agent_config(
            uid=self._uid(slot), gid=self._uid(slot),
            remount=_FOLDERS, fds=files.for_agent, proc="/.agent/proc")))
        return link

    def _init_config(self, slot: int, files: _Files) -> dict[str, Any]:
        uid = self._uid(slot) or 0
        base = self._first_uid + slot * _USERS if self._shift else None
        tmpfs = {_MOVED.get(path, path): options if base is None else f"{options},uid={base},gid={base}" for path, options in _FOLDERS.items()}
        links = [(path, os.readlink(path)) for path in _SYSTEM if os.path.islink(path)] + list(_MOVED.items())
        headers = [] if self._headers is None else [(str(self._headers), SLOT_FOLDER)]
        binds = [(path, path) for path in (*_SYSTEM, *_SETTINGS, *map(str, Path("/etc").glob("java-*")), *self._prefixes)
                 if os.path.exists(path) and not os.path.islink(path)]
        return {
            "parent": os.getpid(), "user": not self._root, "fds": files.for_init, "places": _PLACES, "links": links, "binds": binds + headers,
            "files": [("/etc/passwd", f"root:x:0:0:root:/:/bin/false\nrunner:x:{uid}:{uid}:runner:{WORK}:/bin/sh\n"),
                      ("/etc/group", f"root:x:0:\nrunner:x:{uid}:\n"), ("/etc/hosts", "127.0.0.1 localhost\n"),
                      ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")],
            "tmpfs": tmpfs, "shift": base, "pivot_root": _PIVOT_ROOT[platform.machine()], "python": self._python,
            "boot": [*PYTHON_OPTIONS, "-c", BOOT], "env": _ENVIRONMENT,
        }

    def _uid(self, slot: int) -> int | None:
        """The programs' user as their slot sees it; None where there is none but the agent's."""
        if not self._root:
            return None
        return _PROGRAM_UID if self._shift else self._first_uid + slot

    async def close(self) -> None:
        for link in list(self._links):
            await link.close()

    def kill(self) -> None:
        for link in list(self._links):
            link.kill()
            link.remove_group()


@dataclass(frozen=True, slots=True)
class _Files:
    """The cgroup files handed down: number and path for local_init.py, name and number for the agent."""

    for_init: list[tuple[int, str]]
    for_agent: dict[str, Any]

    @classmethod
    def of(cls, group: SlotGroup | None) -> _Files:
        if group is None:
            return cls([], {})
        for_init: list[tuple[int, str]] = []
        for_agent: dict[str, Any] = {"version": group.version, "procs": []}
        for number, (name, path) in enumerate(group.files().items(), _FIRST_FD):
            for_init.append((number, str(path)))
            for_agent[name] = number
        for number, path in enumerate(group.procs(), _FIRST_FD + len(for_init)):
            for_init.append((number, str(path)))
            for_agent["procs"].append(number)
        return cls(for_init, for_agent)


class _LocalLink:
    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                 group: SlotGroup | None, registry: set[_LocalLink]) -> None:
        self.reader = reader
        self.pid = process.pid
        self._process = process
        self._socket = channel
        self._writer = writer
        self._group = group
        self._registry = registry
        self._said: deque[str] = deque(maxlen=20)
        registry.add(self)

    def write(self, data: bytes | memoryview) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    async def limit(self, memory_bytes: int, processes: int) -> None:
        """Nothing to do: the agent writes the cgroup files itself."""

    def kill(self) -> None:
        """The agent dies with its parent, and of the end of the channel: whichever it learns first."""
        with contextlib.suppress(OSError):
            self._process.kill()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        if self not in self._registry:
            return
        self._registry.discard(self)
        self.kill()
        self._writer.transport.abort()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._wait)

    def _wait(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILLED_S)
        self._read_tail()
        self.remove_group()

    def remove_group(self) -> None:
        if self._group is not None:
            self._group.remove()

    def why(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        self._read_tail()
        code = self._process.returncode
        tail = " | ".join(self._said)
        return f"exit code {code}: {tail}" if tail else f"exit code {code}"

    def _read_tail(self) -> None:
        stream: IO[bytes] | None = self._process.stderr
        if stream is None or stream.closed:
            return
        os.set_blocking(stream.fileno(), False)
        with contextlib.suppress(OSError):
            self._said.extend((stream.read() or b"").decode("utf-8", "replace").splitlines())
        if self._process.returncode is not None:
            stream.close()


def _user_namespaces() -> bool:
    try:
        return int(Path("/proc/sys/user/max_user_namespaces").read_text()) > 0
    except (OSError, ValueError):
        return False


def _prefixes(python: str) -> tuple[str, ...]:
    """The folders of an interpreter outside of /usr. Raises: SandboxUnavailable where it does not run."""
    code = "import sys;print(sys.version_info[:2]>=(3,9));print(sys.base_prefix);print(sys.base_exec_prefix);print(sys.prefix)"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=_ANSWERS_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(f"the Python for programs, {python}, does not run: {error}") from error
    recent, *prefixes = done.stdout.split("\n")
    if recent != "True":
        raise SandboxUnavailable(f"the Python for programs, {python}, is older than 3.9")
    folders = {prefix for prefix in (*prefixes, str(Path(python).resolve().parent.parent)) if prefix}
    return tuple(sorted(f for f in folders if f not in ("/", "/usr") and not f.startswith("/usr/")))


