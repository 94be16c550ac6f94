"""The seam between the pool and what gives isolation: a backend starts slots, a link talks to one of them.

    Backend.prepare()      once, before any slot: can this machine do it?
    Backend.open(slot)  -> Link: a process tree with the agent booted (the backend writes `boot_bytes(config)`), not yet greeted
    Link.reader / write / drain   carry the frames of sandbox/protocol.py

The agent's configuration (keys that a backend leaves out have the defaults of `agent_config`):
    uid, gid      that programs run under; None: no other user can be had (then programs share the agent's)
    work, clean   the work folder; the folders (work included) that are emptied after every run
    remount       {folder: mount options}: the agent may mount a fresh tmpfs there rather than empty it
    fds           open cgroup files, handed down to the agent: memory_limit, memory_swap_limit, memory_peak, memory_events,
                  cpu_usage, procs (a list), pids_limit; each is optional
    read          the same by path, where they can only be read: memory_usage, memory_stat, memory_events, cpu_usage
    proc          a folder with a writable /proc that programs cannot reach, or None
    seccomp       the filter by machine, base64 (sandbox/seccomp.py)
"""
from __future__ import annotations

import base64
from typing import Any, Final, Protocol

from .languages import WORK, Language
from .protocol import Reader
from .seccomp import MACHINES, build_filter

__all__ = ["WORK", "Backend", "Link", "agent_config"]

CLEAN: Final = (WORK, "/tmp", "/dev/shm", "/var/tmp")


class Link(Protocol):
    """One running slot."""

    @property
    def reader(self) -> Reader: ...

    def write(self, data: bytes | memoryview, /) -> None:
        """Queue bytes for the agent; never blocks."""
        ...

    async def drain(self) -> None:
        """Wait until little is queued. Raises OSError if the slot is gone."""
        ...

    async def limit(self, memory_bytes: int, processes: int, /) -> None:
        """Before a job: the largest limits that one of its runs has, for backends whose agent cannot set them itself. May do nothing."""
        ...

    def kill(self) -> None:
        """End the slot now, with everything in it. Blocks for milliseconds at most; may be called twice, and from a signal handler."""
        ...

    async def close(self) -> None:
        """`kill`, then wait until it is gone and what it held on the host (cgroups, containers) is removed."""
        ...

    def why(self) -> str:
        """One line for people about why it ended, as far as known: the tail of its standard error."""
        ...


class Backend(Protocol):
    @property
    def name(self) -> str:
        """`docker` or `local`."""
        ...

    @property
    def level(self) -> str:
        """The isolation in force, one line; known after `prepare`."""
        ...

    async def prepare(self) -> None:
        """Raises: SandboxUnavailable with what is missing and how to get it."""
        ...

    async def make_ready(self, language: Language, /) -> None:
        """Before a job of `language`: what is made once an installation, such as precompiled headers. May do nothing."""
        ...

    async def open(self, slot: int, /) -> Link:
        """Start slot number `slot` (0 is the first). Raises: SandboxUnavailable, SlotDied."""
        ...

    async def close(self) -> None: ...

    def kill(self) -> None:
        """The synchronous last resort (atexit, signals): what is not tied to a link goes too."""
        ...


def agent_config(**own: Any) -> dict[str, Any]:
    """The agent's configuration with a backend's `own` settings."""
    return {
        "uid": None, "gid": None, "work": WORK, "clean": list(CLEAN), "remount": {}, "fds": {}, "read": {}, "proc": None,
        "seccomp": {machine: base64.b64encode(build_filter(machine, own.get("uid") is None)).decode() for machine in MACHINES},
    } | own
