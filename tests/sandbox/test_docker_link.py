"""The docker backend below the agent: how a container starts, what it is confined to, and how it ends. Runs small agents of its own."""
from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from assay.core.errors import SandboxUnavailable
from assay.sandbox import docker as module
from assay.sandbox.daemon import connect
from assay.sandbox.docker import DockerBackend, DockerLink

pytestmark = pytest.mark.docker

READ = """
import os
def r(n):
    data = b""
    while len(data) < n:
        data += os.read(0, n - len(data)) or os._exit(0)
    return data
"""
ECHO = READ + """
def main(config):
    import os
    while True:
        head = r(4)
        os.write(1, head + r(int.from_bytes(head, "little")))
"""
"""Sends back what it gets, until its standard input ends."""

ASK = READ + """
def main(config):
    import ctypes, json, os, resource, socket, struct
    libc = ctypes.CDLL(None, use_errno=True)
    def number(result):
        return ctypes.get_errno() if result == -1 else 0
    def errno(action):
        try:
            action()
        except OSError as error:
            return error.errno
        return 0
    def status(key):
        return next(line.split()[1] for line in open("/proc/self/status") if line.startswith(key))
    def writable():
        paths = "/w", "/tmp", "/var/tmp", "/dev/shm", "/", "/usr", "/dev", "/dev/mqueue", "/opt", "/var", "/home", "/run", "/etc"
        made = [path for path in paths if not errno(lambda: os.close(os.open(path + "/probe", os.O_CREAT | os.O_RDWR)))]
        for path in made:
            os.unlink(path + "/probe")
        return made
    pid = os.fork()
    if not pid:                         # as a program's user
        os.setgroups([]); os.setgid(70000); os.setuid(70000)
        seen = {
            "root": errno(lambda: open("/x", "w")), "etc": errno(lambda: open("/etc/passwd", "a")),
            "mqueue": errno(lambda: open("/dev/mqueue/x", "w")), "proc1": errno(lambda: os.listdir("/proc/1/fd")),
            "cgroup": errno(lambda: open("/sys/fs/cgroup/memory/memory.limit_in_bytes", "w")),
            "sysctl": errno(lambda: open("/proc/sys/kernel/hostname", "w")), "caps": status("CapEff"),
            "writable": writable(), "setuid": errno(lambda: os.setuid(0)), "kill1": errno(lambda: os.kill(1, 9)),
        }
        os.write(2, (json.dumps(seen) + "\\n").encode()); os._exit(0)
    os.waitpid(pid, 0)
    answer = {
        "caps": status("CapEff"), "bounding": status("CapBnd"), "nnp": status("NoNewPrivs"), "seccomp": status("Seccomp"),
        "environment": sorted(os.environ), "interfaces": sorted(os.listdir("/sys/class/net")), "pid": os.getpid(),
        "socket": errno(lambda: socket.socket()), "inet": errno(lambda: socket.socketpair(socket.AF_INET)),
        "unshare": number(libc.unshare(0x10000000)), "mount": number(libc.mount(b"x", b"/tmp", b"tmpfs", 0, None)),
        "ptrace": number(libc.ptrace(0, 0, 0, 0)), "bpf": number(libc.syscall(321, 0, 0, 0)), "keyctl": number(libc.syscall(250, 0, 0)),
        "clone_newns": number(libc.syscall(56, 0x20000 | 17, 0, 0, 0, 0)), "clone3": number(libc.syscall(435, 0, 0)),
        "io_uring": number(libc.syscall(425, 1, 0)), "memfd": errno(lambda: os.memfd_create("x")),
        "resolv": open("/etc/resolv.conf").read(),
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "core": resource.getrlimit(resource.RLIMIT_CORE),
    }
    data = json.dumps(answer).encode()
    os.write(1, struct.pack("<I", len(data)) + data)
    r(1)
"""

EAT = READ + """
def main(config):
    import os, struct
    r(1)
    pid = os.fork()
    if not pid:
        open("/proc/self/oom_score_adj", "w").write("1000")
        data = bytearray()
        while True:
            data += b"x" * (32 << 20)
    status = os.waitpid(pid, 0)[1]
    os.write(1, struct.pack("<I", 4) + status.to_bytes(4, "little"))
    r(1)
"""


def boot(source: str) -> bytes:
    text = source.encode()
    return len(text).to_bytes(4, "little") + text + (2).to_bytes(4, "little") + b"{}"


@asynccontextmanager
async def slot(monkeypatch: pytest.MonkeyPatch, source: str) -> AsyncIterator[DockerLink]:
    monkeypatch.setattr(module, "boot_bytes", lambda config: boot(source))
    backend = DockerBackend()
    await backend.prepare()
    try:
        yield await backend.open(0)
    finally:
        await backend.close()


async def answer(link: DockerLink) -> bytes:
    async with asyncio.timeout(60):
        return await link.reader.readexactly(int.from_bytes(await link.reader.readexactly(4), "little"))


def frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def exists(container: str | None) -> bool:
    client = connect()
    try:
        return any(found["Id"] == container for found in client.api.containers(all=True))
    finally:
        client.close()


def gone(container: str | None, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while exists(container):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("size", [0, 1, 70_000, 9_000_000])
def test_frames_go_there_and_back(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    async def run() -> None:
        async with slot(monkeypatch, ECHO) as link:
            data = os.urandom(size)
            for _ in range(3):
                link.write(frame(data))
                assert await answer(link) == data
                await link.drain()

    asyncio.run(run())


@pytest.fixture(scope="module")
def confined() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What the agent, and what a program's user in the container, may do."""
    with pytest.MonkeyPatch.context() as patch:
        async def run() -> tuple[dict[str, Any], dict[str, Any]]:
            async with slot(patch, ASK) as link:
                return json.loads(await answer(link)), json.loads(link.why())

        yield asyncio.run(run())


EPERM, EACCES, EROFS, ENOSYS = 1, 13, 30, 38


def test_the_agent_has_little(confined: tuple[dict[str, Any], dict[str, Any]]) -> None:
    agent, _ = confined
    assert agent["pid"] == 1
    few = sum(1 << bit for bit in (1, 3, 5, 6, 7))    # DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID
    assert int(agent["caps"], 16) == int(agent["bounding"], 16) == few
    assert agent["nnp"] == "1" and agent["seccomp"] == "2"
    assert set(agent["environment"]) <= {*module.ENVIRONMENT, "HOSTNAME", "LC_CTYPE"}
    assert agent["nofile"] == [module.OPEN_FILES] * 2 and agent["core"] == [1, 1]


def test_there_is_no_network(confined: tuple[dict[str, Any], dict[str, Any]]) -> None:
    agent, _ = confined
    assert agent["interfaces"] == ["lo"]
    assert agent["socket"] == EPERM and agent["inet"] != 0
    assert [line for line in agent["resolv"].splitlines() if line.startswith("nameserver")] == ["nameserver 127.0.0.1"]


@pytest.mark.parametrize("call", ["unshare", "mount", "ptrace", "bpf", "keyctl", "clone_newns", "io_uring"])
def test_dangerous_calls_are_refused(confined: tuple[dict[str, Any], dict[str, Any]], call: str) -> None:
    assert confined[0][call] == EPERM


def test_calls_that_libraries_need_work(confined: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert confined[0]["memfd"] == 0 and confined[0]["clone3"] == ENOSYS


def test_a_program_has_less(confined: tuple[dict[str, Any], dict[str, Any]]) -> None:
    program = confined[1]
    assert program["writable"] == ["/w", "/tmp", "/var/tmp", "/dev/shm"]
    assert int(program["caps"], 16) == 0
    assert {name: program[name] for name in ("setuid", "kill1", "proc1")} == {"setuid": EPERM, "kill1": EPERM, "proc1": EACCES}
    assert program["root"] in (EROFS, EACCES) and program["etc"] in (EROFS, EACCES) and program["mqueue"] in (EROFS, EACCES)
    assert program["cgroup"] != 0 and program["sysctl"] != 0


def test_memory_stops_at_the_limit_and_the_slot_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_BYTES", 64 << 20)
    monkeypatch.setattr(module, "SLACK_BYTES", 64 << 20)

    async def run() -> int:
        async with slot(monkeypatch, EAT) as link:
            await link.limit(96 << 20, 10)    # raised while it runs
            link.write(b"x")
            return int.from_bytes(await answer(link), "little")

    assert os.WTERMSIG(asyncio.run(run())) == signal.SIGKILL


def test_kill_ends_the_container_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> tuple[float, str | None]:
        async with slot(monkeypatch, ECHO) as link:
            link.write(frame(b"up"))
            await answer(link)
            started = time.monotonic()
            link.kill()
            link.kill()
            with pytest.raises((asyncio.IncompleteReadError, OSError)):
                await answer(link)
            return time.monotonic() - started, link.container

    took, container = asyncio.run(run())
    assert took < 45
    assert gone(container)


def test_close_leaves_no_container(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> str | None:
        async with slot(monkeypatch, ECHO) as link:
            assert exists(link.container)
            return link.container

    assert not exists(asyncio.run(run()))


def test_a_cancelled_start_leaves_no_container(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> list[str | None]:
        monkeypatch.setattr(module, "boot_bytes", lambda config: boot(ECHO))
        backend = DockerBackend()
        await backend.prepare()
        links: list[DockerLink] = []
        monkeypatch.setattr(module, "DockerLink", lambda *args: links.append(DockerLink(*args)) or links[-1])
        for wait in (0.0, 0.03, 0.1, 0.15, 0.2):
            task = asyncio.ensure_future(backend.open(0))
            await asyncio.sleep(wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await backend.close()
        return [link.container for link in links]

    containers = asyncio.run(run())
    assert all(gone(container) for container in containers)


OWNER = """
import asyncio, sys, time
from assay.sandbox import docker as module
from assay.sandbox.docker import DockerBackend
source = sys.stdin.read().encode()
module.boot_bytes = lambda config: len(source).to_bytes(4, "little") + source + (2).to_bytes(4, "little") + b"{}"
async def main():
    backend = DockerBackend()
    await backend.prepare()
    link = await backend.open(0)
    link.write((0).to_bytes(4, "little"))
    await link.reader.readexactly(4)
    print(link.container, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
DEAF = READ + "\ndef main(config):\n    import os, time\n    os.write(1, r(4))\n    time.sleep(600)\n"


def owner(source: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(source)
    process.stdin.close()
    return process, process.stdout.readline().strip()


def test_nothing_outlives_a_killed_owner() -> None:
    process, container = owner(ECHO)
    with process:
        assert exists(container)
        process.send_signal(signal.SIGKILL)
    assert gone(container)


def test_what_outlived_its_owner_is_removed_by_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    process, container = owner(DEAF)
    with process:
        process.send_signal(signal.SIGKILL)
    assert not gone(container, 1.0)    # an agent that does not look at its input

    async def run() -> None:
        backend = DockerBackend()
        await backend.prepare()
        await backend.close()

    asyncio.run(run())
    assert gone(container)


def test_an_unknown_runtime_or_image_is_one_clear_line() -> None:
    async def run(backend: DockerBackend) -> str:
        with pytest.raises(SandboxUnavailable) as caught:
            await backend.prepare()
        return str(caught.value)

    assert "no runtime nonesuch" in asyncio.run(run(DockerBackend(runtime="nonesuch")))
    assert "assay sandbox build" in asyncio.run(run(DockerBackend(image="assay-nonesuch:1")))
