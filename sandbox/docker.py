"""The docker backend: one container a slot, its attached standard streams carrying the frames.

What holds a program in, from the outside in: no network; a read-only root; tmpfs of bounded size and file count where it may write;
no capabilities but the few the agent needs (`CAPABILITIES`) and none of them for programs; no new privileges; the profile
images/seccomp.json, then the agent's own filter on each program; memory (swap included) and process limits of the container's cgroup.

Memory: the container's limit is the hard stop. It is the largest limit a job of this slot has asked for so far plus `SLACK_BYTES` for
the agent, the work folders and the tests' inputs, and it only grows: an update of a running container takes 15 ms, so it cannot be
made for every job. A run's own, smaller limit is watched by the agent, which reads the container's counters.

Nothing outlives this process: the attach connection ends with it, the agent then reads the end of its standard input and exits, and the
container, of which it is process 1, is removed by the daemon. Containers that outlived it all the same (a daemon killed meanwhile) carry
their owner in a label and are removed by the next `prepare`.
"""
from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
from collections import deque
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import SandboxUnavailable
from .backend import WORK, agent_config
from .daemon import connect, said
from .image import find_image
from .languages import Language
from .protocol import BOOT, PYTHON_OPTIONS, boot_bytes

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["DockerBackend"]

CAPABILITIES: Final = ("SETUID", "SETGID", "KILL", "DAC_OVERRIDE", "FOWNER")
"""Of the agent alone: to become the program's user, to end that user's processes, to remove the files it leaves (folders of mode 000)."""
MEMORY_BYTES: Final = 2 << 30
"""What a fresh slot lets a program have: enough for compilers."""
SLACK_BYTES: Final = 512 << 20
PROCESSES: Final = 4096 + 64
"""The hard stop on processes and threads: more than any problem may ask for. A run's own limit is its user's, set by the agent."""
OPEN_FILES: Final = 4096
TMPFS: Final = {
    WORK: "rw,exec,nosuid,nodev,size=512m,nr_inodes=32k,mode=1777",
    "/tmp": "rw,noexec,nosuid,nodev,size=256m,nr_inodes=32k,mode=1777",
    "/var/tmp": "rw,noexec,nosuid,nodev,size=64m,nr_inodes=4k,mode=1777",
    "/dev/shm": "rw,noexec,nosuid,nodev,size=256m,nr_inodes=4k,mode=1777",
    "/etc/assay": "rw,noexec,nosuid,nodev,size=256k,nr_inodes=16,mode=0755",    # passwd and group, of which /etc has links
    "/dev/mqueue": "ro,noexec,nosuid,nodev,size=4k,nr_inodes=2,mode=0555",    # else message queues, as files, would outlive a test
}
"""Memory-backed, so the container's memory limit bounds their sum; the file counts bound the time to empty them."""
ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": WORK, "TMPDIR": "/tmp",
    "PYTHONHASHSEED": "0",
    "LD_BIND_NOW": "1",              # or each program looks up the functions that it is the first to call
}
"""All of it; nothing of this process's."""
_SETUP: Final = """
import os
for folder in ("/w", "/tmp", "/var/tmp", "/dev/shm"):
    os.chmod(folder, 0o1777)
for file, line in (("passwd", "runner:x:%(uid)d:%(uid)d:runner:/w:/bin/sh\\n"), ("group", "runner:x:%(uid)d:\\n")):
    with open("/etc/assay/" + file, "a") as out:
        out.write(line)
"""
"""Before the agent: runc gives a tmpfs the mode (and content) of the folder below it in the image, whatever `mode` says."""
READ_LIMIT: Final = 4 << 20
"""Bytes kept of what a slot sent and nobody read yet, before the connection is paused."""
STDERR_BYTES: Final = 4096
URGENT: Final = -10
"""Niceness of the agent, set from here so that the container needs no SYS_NICE; that of programs is 0 (sandbox/agent.py)."""
REMOVE_TIMEOUT_S: Final = 30
_LABEL: Final = "assay.owner"
_UID_RANGE: Final = (1 << 20, 1 << 30)

_COUNTERS: Final = {
    "1": {"memory_usage": "/sys/fs/cgroup/memory/memory.usage_in_bytes", "memory_events": "/sys/fs/cgroup/memory/memory.oom_control",
          "memory_stat": "/sys/fs/cgroup/memory/memory.stat", "cpu_usage": "/sys/fs/cgroup/cpuacct/cpuacct.usage"},
    "2": {"memory_usage": "/sys/fs/cgroup/memory.current", "memory_events": "/sys/fs/cgroup/memory.events",
          "memory_stat": "/sys/fs/cgroup/memory.stat", "cpu_usage": "/sys/fs/cgroup/cpu.stat"},
}
"""Files inside the container where its cgroup's counters can be read, by cgroup version."""


class DockerBackend:
    """Slots as containers of the daemon that DOCKER_HOST names, else of the local one (`Backend`)."""

    name = "docker"

    def __init__(self, image: str | None = None, runtime: str | None = None) -> None:
        self._image = image
        self._runtime = runtime
        self._client: DockerClient | None = None
        self._options: dict[str, Any] = {}
        self._counters: dict[str, str] = {}
        self._links: set[DockerLink] = set()
        self._starting: set[asyncio.Task[socket.socket]] = set()
        self.level = "not started"

    async def prepare(self) -> None:
        if self._client is None:
            await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        from docker.errors import APIError

        client = connect()
        try:
            info = client.info()
            if info.get("OSType", "linux") != "linux":
                raise SandboxUnavailable(f"the Docker daemon runs {info['OSType']} containers; the sandbox needs one for Linux")
            runtimes = sorted(info.get("Runtimes") or ())
            if self._runtime is not None and self._runtime not in runtimes:
                raise SandboxUnavailable(f"the Docker daemon has no runtime {self._runtime}, only {', '.join(runtimes)}; "
                                         "register it in the daemon's configuration")
            self._image = find_image(client, self._image)
            seccomp = any("seccomp" in option for option in info.get("SecurityOptions") or ())
            self._options = self._host_options(seccomp)
            runtime = self._runtime or info.get("DefaultRuntime", "runc")
            if runtime != "runsc":    # gVisor has no such files
                self._counters = _COUNTERS.get(str(info.get("CgroupVersion", "1")), {})
            _remove_stale(client)
        except (APIError, OSError) as error:
            client.close()
            raise SandboxUnavailable(f"the Docker daemon fails: {said(error)}") from error
        except SandboxUnavailable:
            client.close()
            raise
        self.level = (f"a container a slot ({runtime}), no network, read-only root, own users, no capabilities, "
                      f"{'two seccomp filters' if seccomp else 'seccomp by the agent only'}, memory and process limits")
        self._client = client

    def _host_options(self, seccomp: bool) -> dict[str, Any]:
        from docker.types import Ulimit

        security = ["no-new-privileges"]
        if seccomp:
            profile = json.loads((Path(__file__).parent / "images" / "seccomp.json").read_bytes())
            security.append("seccomp=" + json.dumps(profile, separators=(",", ":")))
        memory = MEMORY_BYTES + SLACK_BYTES
        return {
            "network_mode": "none", "read_only": True, "cap_drop": ["ALL"], "cap_add": list(CAPABILITIES), "security_opt": security,
            "mem_limit": memory, "memswap_limit": memory, "pids_limit": PROCESSES, "tmpfs": TMPFS,
            "ulimits": [Ulimit(name="nofile", soft=OPEN_FILES, hard=OPEN_FILES), Ulimit(name="core", soft=1, hard=1)],
            "ipc_mode": "private", "auto_remove": True, "dns": ["127.0.0.1"], "dns_search": ["."],
            "log_config": {"type": "none", "config": {}},    # else the daemon writes every frame to a file
            "runtime": self._runtime,
        }

    async def make_ready(self, language: Language, /) -> None:
        """Nothing: the image has what it has."""

    async def open(self, slot: int, /) -> DockerLink:
        client = self._client
        if client is None:
            raise SandboxUnavailable("the docker backend is not prepared")
        link = DockerLink(client, self._links)
        # Process limits count by user over all containers of a daemon, so each slot anywhere needs a user of its own.
        uid = _UID_RANGE[0] + secrets.randbelow(_UID_RANGE[1] - _UID_RANGE[0])
        # Shielded: a thread cannot be cancelled, so `close` waits for it.
        task = asyncio.ensure_future(asyncio.to_thread(self._start, link, slot, uid))
        self._starting.add(task)
        task.add_done_callback(self._started)
        try:
            await link.connect(await asyncio.shield(task), agent_config(uid=uid, gid=uid, read=self._counters, proc="/proc"))
        except BaseException:    # cancelled, too
            link.drop()
            raise
        return link

    def _started(self, task: asyncio.Task[socket.socket]) -> None:
        self._starting.discard(task)
        if not task.cancelled():
            task.exception()    # seen: where it matters, `open` raises it

    def _start(self, link: DockerLink, slot: int, uid: int) -> socket.socket:
        """Create, attach, start: blocking. Sets the link's `container` as soon as there is one."""
        from docker.errors import APIError

        assert self._client is not None
        api = self._client.api
        try:
            made = api.create_container(
                self._image, entrypoint=["python3", *PYTHON_OPTIONS, "-c", _SETUP % {"uid": uid} + BOOT], command=[], user="0:0",
                working_dir="/", hostname="slot", environment=ENVIRONMENT, stdin_open=True,
                healthcheck={"test": ["NONE"]}, labels={_LABEL: _owner(), "assay.slot": str(slot)}, use_config_proxy=False,
                host_config=api.create_host_config(**self._options))
            link.container = made["Id"]
            attached = api.attach_socket(made["Id"], {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
            stream = _detach(attached)
            try:
                api.start(made["Id"])
                pid = api.inspect_container(made["Id"])["State"]["Pid"]
                link.pidfd = _pidfd(pid, made["Id"])
                if link.pidfd is not None:
                    with suppress(OSError):    # not root: limits are then looked at later when every core is busy
                        os.setpriority(os.PRIO_PROCESS, pid, URGENT)
                if link.dead:
                    raise SandboxUnavailable("cancelled while it started")    # nobody waits for this any more
            except BaseException:
                link.kill()
                stream.close()    # the agent, if there is one, reads the end of its standard input
                raise
            return stream
        except (APIError, OSError) as error:
            raise SandboxUnavailable(f"a container of {self._image} does not start: {said(error)}") from error

    async def close(self) -> None:
        for link in list(self._links):
            await link.close()
        if self._starting:    # of cancelled `open`s
            await asyncio.wait(self._starting)
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def kill(self) -> None:
        for link in list(self._links):
            link.kill()


class DockerLink:
    """One container and its attached streams (`Link`)."""

    def __init__(self, client: DockerClient, links: set[DockerLink]) -> None:
        self.container: str | None = None
        self.pidfd: int | None = None
        self._client = client
        self._links = links
        self._memory_bytes = MEMORY_BYTES
        self._socket: socket.socket | None = None
        self._streams = _Streams()
        self.dead = False
        self._removed = False
        links.add(self)

    async def connect(self, stream: socket.socket, config: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        self._socket = stream
        stream.setblocking(False)
        if stream.family == socket.AF_UNIX:
            await loop.create_unix_connection(lambda: self._streams, sock=stream)
        else:
            await loop.create_connection(lambda: self._streams, sock=stream)
        self.write(boot_bytes(config))

    @property
    def reader(self) -> asyncio.StreamReader:
        return self._streams.reader

    def write(self, data: bytes | memoryview, /) -> None:
        self._streams.write(data)

    async def drain(self) -> None:
        await self._streams.drain()

    async def limit(self, memory_bytes: int, processes: int, /) -> None:
        if memory_bytes > self._memory_bytes:
            await asyncio.to_thread(self._update, memory_bytes + SLACK_BYTES)
            self._memory_bytes = memory_bytes

    def _update(self, memory_bytes: int) -> None:
        from docker.errors import APIError

        assert self.container is not None
        try:
            self._client.api.update_container(self.container, mem_limit=memory_bytes, memswap_limit=memory_bytes)
        except (APIError, OSError) as error:
            raise OSError(f"the container's memory limit cannot be raised: {said(error)}") from error

    def kill(self) -> None:
        self.dead = True
        if self.pidfd is not None:
            with suppress(OSError):    # it has ended
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        if self._socket is not None:
            with suppress(OSError):    # the daemon closed it
                self._socket.shutdown(socket.SHUT_RDWR)    # the agent reads the end of its standard input

    def drop(self) -> None:
        """`kill` for a slot that did not come to be: nobody will close it."""
        self.kill()
        self._streams.abort()
        if self._socket is not None:
            self._socket.close()
        self._links.discard(self)

    async def close(self) -> None:
        self.kill()
        self._streams.abort()
        if not self._removed:
            self._removed = True
            await asyncio.shield(asyncio.to_thread(self._remove))
        self._links.discard(self)

    def _remove(self) -> None:
        from docker.errors import APIError

        pidfd, self.pidfd = self.pidfd, None
        if pidfd is not None:
            os.close(pidfd)
        if self.container is None:
            return
        api = self._client.api
        with suppress(APIError, OSError):    # it is gone
            try:
                api.remove_container(self.container, force=True)
            except APIError as error:
                if error.status_code != 409:
                    raise
                api.wait(self.container, timeout=REMOVE_TIMEOUT_S, condition="removed")    # the daemon removes it just now

    def why(self) -> str:
        return self._streams.why()


class _Streams(asyncio.Protocol):
    """Takes the attach stream apart: chunks of `stream (1 byte), 0 0 0, length (4 bytes, big-endian)` and as many bytes of stdout (1) or
    stderr (2). stdout goes to `reader`; of stderr the tail is kept."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=READ_LIMIT)
        self._transport: asyncio.Transport | None = None
        self._stderr: deque[int] = deque(maxlen=STDERR_BYTES)
        self._head = bytearray()
        self._left = 0
        self._stream = 1
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=1 << 20)
        self.reader.set_transport(transport)

    def data_received(self, data: bytes) -> None:
        view, at, end = memoryview(data), 0, len(data)
        while at < end:
            if self._left == 0:
                taken = view[at:at + 8 - len(self._head)]
                self._head += taken
                at += len(taken)
                if len(self._head) < 8:
                    return
                self._stream, self._left = self._head[0], int.from_bytes(self._head[4:], "big")
                self._head.clear()
                continue
            taken = view[at:at + self._left]
            at += len(taken)
            self._left -= len(taken)
            if self._stream == 1:
                self.reader.feed_data(taken)    # copies into its buffer
            else:
                self._stderr.extend(taken)

    def eof_received(self) -> None:
        self.reader.feed_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._writable.set()
        if exc is None:
            self.reader.feed_eof()
        else:
            self.reader.set_exception(exc)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def write(self, data: bytes | memoryview) -> None:
        if self._transport is not None:
            self._transport.write(data)

    async def drain(self) -> None:
        await self._writable.wait()
        if self._lost:
            raise ConnectionResetError("the slot's container ended")

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def why(self) -> str:
        lines = bytes(self._stderr).decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _detach(attached: Any) -> socket.socket:
    """The plain socket of an attach connection, its own owner: the SDK's objects may be collected."""
    raw = getattr(attached, "_sock", attached)
    if not isinstance(raw, socket.socket) or type(raw) is not socket.socket:
        raise SandboxUnavailable(f"a Docker daemon over {type(raw).__name__} is not supported; use a Unix socket or plain TCP")
    with closing(raw), closing(attached):    # the handle only: the connection lives on in ours
        return socket.socket(fileno=os.dup(raw.fileno()))


def _pidfd(pid: int, container: str) -> int | None:
    """A handle on the container's process 1, where it is on this machine and ours to kill: the quickest end. None otherwise."""
    if not pid or not hasattr(os, "pidfd_open"):
        return None
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        # Read after the handle is open, so that the number cannot have passed to another process in between.
        if container in Path(f"/proc/{pid}/cgroup").read_text():
            signal.pidfd_send_signal(handle, 0)    # raises if it may not be killed
            return handle
    except OSError:
        pass
    os.close(handle)
    return None


def _owner() -> str:
    """This process, in words that another process on the same daemon can check: boot, pid namespace, pid, start time."""
    return ":".join((*_place(), str(os.getpid()), _start_time(os.getpid()) or ""))


def _place() -> tuple[str, str]:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip(), str(Path("/proc/self/ns/pid").readlink())[5:-1]
    except OSError:    # not Linux
        return socket.gethostname(), "0"


def _start_time(pid: int) -> str | None:
    """Of a process here, in clock ticks since boot; None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _remove_stale(client: DockerClient) -> None:
    """Remove containers whose owner, a process of this machine and pid namespace, has ended."""
    from docker.errors import APIError

    if not Path("/proc/self/stat").exists():
        return
    for found in client.api.containers(all=True, filters={"label": _LABEL}):
        boot, space, pid, started = (found["Labels"][_LABEL].split(":") + [""] * 4)[:4]
        if (boot, space) == _place() and pid.isdigit() and _start_time(int(pid)) != started:
            with suppress(APIError):    # someone else does it just now
                client.api.remove_container(found["Id"], force=True)
