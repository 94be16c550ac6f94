"""One slot as the host sees it: its link, what its agent holds, and the conversation of one job at a time.

The host decides what the agent keeps (`_Store` mirrors it): blobs go up once and stay until the budget is spent, so that the tests
of a problem are shared by all its rollouts on that slot.
"""
from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..core.errors import SandboxUnavailable, SlotDied
from .backend import Link
from .execution import Compiled, CompileFailed, Ended, Job, Outcome, RunLimits, TestRun
from .languages import Language
from .protocol import PROTOCOL, Frame, Kind, ProtocolError, encode, read_frame

__all__ = ["Artifacts", "Said", "Session", "Took"]

_WINDOW: Final = 4
"""Runs sent ahead of the one under way: enough that the agent never waits for the host."""
_WINDOW_BYTES: Final = 32 << 20
"""Inputs sent ahead, beyond the first."""
_STORE_BYTES: Final = 256 << 20
_STORE_BLOBS: Final = 1000
"""Each is a descriptor of the agent, which may have 4,096 in a container."""
_JOINED_BYTES: Final = 64 << 10
"""A longer body is written by itself, not copied."""
_SLICED_BYTES: Final = 8 << 20
"""A longer body is written in slices, each when the one before is gone."""
_SLICE_BYTES: Final = 1 << 20
_ARTIFACT_BYTES: Final = 128 << 20
_GREET_S: Final = 60.0
_LOOKS_FOR_ITSELF: Final = (b"__file__", b"argv", b"getsource", b"linecache", b"spawn", b"main.py")
"""In a Python program that runs in the warm interpreter and so needs no file: it may open its own, start itself again, or have its children
import it. Only such a one has it in its work folder, which would otherwise be made new after every run."""


class Artifacts:
    """Compiled programs by language and source, least recently used out first: another slot need not compile again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def get(self, key: str) -> bytes | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: str, artifact: bytes) -> None:
        if key in self._kept or len(artifact) > _ARTIFACT_BYTES // 4:
            return
        self._kept[key] = artifact
        self._size += len(artifact)
        while self._size > _ARTIFACT_BYTES:
            self._size -= len(self._kept.popitem(last=False)[1])


@dataclass(slots=True)
class _Flight:
    """A run that was sent and is not answered: what it needs to stay where it is."""

    blobs: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Said:
    """What a run that talks printed; nothing: that was all. `over`: by then its processes had ended. `cpu_s`: that it had used so far.
    `held_s`: since it was spoken to, without the time in which it had no core."""

    data: bytes
    over: bool
    cpu_s: float
    held_s: float


@dataclass(frozen=True, slots=True)
class Took:
    """So many bytes that it was fed are in its pipe."""

    size: int


class Session:
    """A slot. One job at a time: `run` until it is exhausted, or `cancel` after leaving it early."""

    def __init__(self, number: int, link: Link, artifacts: Artifacts) -> None:
        self.number = number
        self.link = link
        self.broken = False
        self.busy = False
        self._artifacts = artifacts
        self._store: OrderedDict[str, int] = OrderedDict()
        self._stored = 0
        self._job = 0
        self._pinned: tuple[str, ...] = ()
        self._own_file: Mapping[str, bytes] = {}
        self._flights: list[_Flight] = []
        self._unsent: list[bytes] = []
        self._large: dict[int, bytes] = {}          # bodies to be sliced, by their places in `_unsent`
        self._frames: asyncio.Queue[Frame | Exception] = asyncio.Queue()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def greet(self) -> None:
        """Wait for the agent's HELLO. Raises: SandboxUnavailable."""
        try:
            async with asyncio.timeout(_GREET_S):
                hello = await self._receive(Kind.HELLO)
        except TimeoutError:
            raise SandboxUnavailable(f"a slot said nothing for {_GREET_S:.0f} s after its start") from None
        except SlotDied as error:
            raise SandboxUnavailable(f"a slot does not start: {error}") from error
        if hello.head.get("protocol") != PROTOCOL:
            raise SandboxUnavailable(f"the agent speaks protocol {hello.head.get('protocol')}, not {PROTOCOL}")

    async def run(self, job: Job, language: Language) -> AsyncGenerator[Compiled | CompileFailed | Outcome, None]:
        """Raises: SlotDied."""
        key = await self._begin(job, language, fused=language.kind == "python" and bool(job.tests))
        sent = done = 0
        while sent < len(job.tests) and self._room(job.tests[sent], first=sent == done):
            self._send_run(sent, job.tests[sent])       # before it is compiled: a failure drops them
            sent += 1
        await self._drain()
        compiled = await self._compiled(key) if key else Compiled()
        if isinstance(compiled, CompileFailed) or not job.tests:
            self.busy = False
        yield compiled
        if isinstance(compiled, CompileFailed):
            return
        while done < len(job.tests):
            while sent < len(job.tests) and self._room(job.tests[sent], first=sent == done):
                self._send_run(sent, job.tests[sent])
                sent += 1
            await self._drain()
            frame = await self._receive(Kind.OUTCOME)
            if frame.head.get("n") != done or frame.head.get("job") != self._job:
                raise self._break(f"an outcome of run {frame.head.get('n')} where {done} was due")
            self._flights.pop(0)
            done += 1
            outcome = _outcome(frame)
            failed = outcome.ended is not Ended.EXITED or outcome.exit_code != 0
            last = done == len(job.tests) or (job.stop_on_failure and failed)
            if last:
                self.busy = False
            yield outcome
            if last:
                return

    # ---- a job whose runs talk: `begin`, then `talk` and `hear` until its outcome; `feed`, `flow` and `end` meanwhile (interaction.py)

    async def begin(self, job: Job, language: Language) -> Compiled | CompileFailed:
        """Raises: SlotDied."""
        key = await self._begin(job, language)
        await self._drain()
        compiled = await self._compiled(key) if key else Compiled()
        if isinstance(compiled, CompileFailed):
            self.busy = False
        return compiled

    async def talk(self, n: int, test: TestRun) -> None:
        self._flights.clear()
        self._send_run(n, test, talk=True)
        await self._drain()

    async def hear(self, n: int) -> Said | Took | Outcome:
        frame = await self._next()
        if frame.head.get("n") != n or frame.head.get("job") != self._job:
            raise self._break(f"{frame.kind.name} of run {frame.head.get('n')} where {n} talks")
        if frame.kind is Kind.SAID:
            return Said(frame.body, bool(frame.head["over"]), float(frame.head["cpu"]), float(frame.head["held"]))
        if frame.kind is Kind.TOOK:
            return Took(int(frame.head["bytes"]))
        if frame.kind is not Kind.OUTCOME:
            raise self._break(f"{frame.kind.name} of a run that talks")
        return _outcome(frame)

    async def feed(self, n: int, data: bytes, held_s: float) -> None:
        """What it reads next; empty: that was all. `held_s`: how long the other side had the word."""
        self._send(Kind.FEED, {"job": self._job, "n": n, "held": held_s}, data)
        await self._drain()

    def flow(self, n: int, size: int) -> None:
        """It may say so many bytes more."""
        self._send(Kind.FLOW, {"job": self._job, "n": n, "bytes": size})
        self._flush()

    def end(self, n: int) -> None:
        """Its outcome comes soon; STOPPED, unless it ended by itself before."""
        self._send(Kind.END, {"job": self._job, "n": n})
        self._flush()

    async def cancel(self) -> None:
        """Returns when everything of the job is dead. Raises: SlotDied."""
        self._send(Kind.CANCEL, {"job": self._job})
        await self._drain()
        while True:
            frame = await self._next()
            if frame.kind is Kind.IDLE and frame.head.get("job") == self._job:
                break
            if frame.kind is Kind.COMPILED:
                self._keep(self._pinned[0], frame)
            elif frame.kind not in (Kind.OUTCOME, Kind.SAID, Kind.TOOK):
                raise self._break(f"{frame.kind.name} after a cancellation")
        self.busy = False

    async def close(self) -> None:
        self.broken = True
        self._reading.cancel()
        await self.link.close()

    # ---- the conversation

    async def _begin(self, job: Job, language: Language, *, fused: bool = False) -> str:
        """Say the job. Returns the name of the artifact that its answer, COMPILED, will have; "" where it is compiled already.
        `fused`: runs follow, and the first of them may compile it."""
        self._job += 1
        self.busy = True
        self._flights.clear()
        await self.link.limit(max(limits.memory_bytes for limits in _all_limits(job)), max(limits.processes for limits in _all_limits(job)))
        preamble = job.preamble if language.kind == "python" else b""
        lead = _name(preamble) if preamble else ""
        key = _name(f"{language.name} {lead}\0".encode() + job.source)
        head: dict[str, Any] = {
            "job": self._job, "language": language.for_agent(), "mode": job.mode, "entry": job.entry_point, "stop": job.stop_on_failure,
            "limits": _limits(job.limits), "compile_limits": language.compile_limits_for_agent(job.limits.memory_bytes), "keep": key,
            "typed": job.typed}
        self._pinned = (key,)
        texts = (job.source, *(test.data for test in job.tests if job.mode == "assert"))        # tests may look at the source, too
        alone = language.kind != "python" or not any(word in text for word in _LOOKS_FOR_ITSELF for text in texts)
        self._own_file = {} if alone else {language.source: job.source}
        artifact = None
        if key not in self._store:
            artifact = self._artifacts.get(key)
        if key in self._store or artifact is not None:
            if artifact is not None:
                self._put(key, artifact)
            self._send(Kind.JOB, head | {"artifact": key})
            return ""
        source = _name(job.source)
        self._pinned = (key, source, lead)
        self._put(source, job.source)
        if lead:
            self._put(lead, preamble)
        self._send(Kind.JOB, head | {"source": source, "preamble": lead, "fused": fused and not lead})
        return key

    async def _compiled(self, key: str) -> Compiled | CompileFailed:
        frame = await self._receive(Kind.COMPILED)
        return self._keep(key, frame)

    def _keep(self, key: str, frame: Frame) -> Compiled | CompileFailed:
        said = frame.head
        if not said["ok"]:
            return CompileFailed(str(said["reason"]), str(said["message"]), float(said["cpu_s"]), float(said["wall_s"]))
        self._note(key, len(frame.body))
        self._artifacts.put(key, frame.body)
        return Compiled(float(said["cpu_s"]), float(said["wall_s"]))

    def _room(self, test: TestRun, *, first: bool) -> bool:
        if first:
            return True
        ahead = sum(flight.size for flight in self._flights[1:])
        return len(self._flights) < _WINDOW and ahead + len(test.data) <= _WINDOW_BYTES

    def _send_run(self, n: int, test: TestRun, *, talk: bool = False) -> None:
        data = _name(test.data)
        given = test.files or self._own_file    # a validator has the files of its test alone
        files = {name: "" if name.endswith("/") else _name(content) for name, content in given.items()}
        blobs = (data, *(name for name in files.values() if name))
        self._flights.append(_Flight(blobs, len(test.data)))
        self._put(data, test.data)
        for name, content in given.items():
            if files[name]:
                self._put(files[name], content)
        head: dict[str, Any] = {"job": self._job, "n": n, "data": data}
        if talk:
            head["talk"] = True
        if test.note:
            head["note"] = test.note
        if test.argv:
            head["argv"] = test.argv
        if files:
            head["files"] = files
        if test.limits is not None:
            head["limits"] = _limits(test.limits)
        self._send(Kind.RUN, head)

    # ---- blobs

    def _put(self, name: str, data: bytes) -> None:
        if name in self._store:
            self._store.move_to_end(name)
            return
        self._note(name, len(data))
        self._send(Kind.PUT, {"h": name}, data)

    def _note(self, name: str, size: int) -> None:
        if self._stored + size > _STORE_BYTES or len(self._store) >= _STORE_BLOBS:
            self._make_room(size)
        self._store[name] = size
        self._stored += size

    def _make_room(self, size: int) -> None:
        """Drop what was used least recently, a tenth more than must be: each look at what is pinned then serves many blobs."""
        pinned = {*self._pinned, *(blob for flight in self._flights for blob in flight.blobs)}
        bytes_left, blobs_left = 0.9 * _STORE_BYTES - size, 0.9 * _STORE_BLOBS
        for old in [name for name in self._store if name not in pinned]:
            if self._stored <= bytes_left and len(self._store) <= blobs_left:
                break
            self._stored -= self._store.pop(old)
            self._send(Kind.DROP, {"h": old})

    # ---- frames

    def _send(self, kind: Kind, head: Mapping[str, Any], body: bytes = b"") -> None:
        """Queue a frame for `_drain`: what is said at once goes in one write, for each wakes the agent."""
        self._unsent.append(encode(kind, head, len(body)))
        if len(body) < (_SLICED_BYTES if self._large else _JOINED_BYTES):
            self._unsent.append(body)
        elif len(body) < _SLICED_BYTES:
            self._flush()
            self._write(body)
        else:
            self._large[len(self._unsent)] = body
            self._unsent.append(b"")

    def _flush(self) -> None:
        if not self._large:             # else it goes behind a large body, by the `_drain` under way
            said, self._unsent = b"".join(self._unsent), []
            self._write(said)

    def _write(self, data: bytes | memoryview) -> None:
        try:
            self.link.write(data)
        except OSError as error:
            raise self._break(str(error)) from error

    async def _drain(self) -> None:
        try:
            while self._large:
                await self._send_large()
            if self._unsent:
                self._flush()
            await self.link.drain()
        except OSError as error:
            raise self._break(str(error)) from error

    async def _send_large(self) -> None:
        """The first large body and what is before it, slice by slice: a link's buffer would hold it all, twice."""
        place = min(self._large)
        body = memoryview(self._large[place])
        self._write(b"".join(self._unsent[:place]))
        at = 0
        try:
            while at < len(body):
                at += _SLICE_BYTES
                self._write(body[at - _SLICE_BYTES:at])
                await self.link.drain()
        finally:                        # who is cancelled here leaves a whole frame behind
            if at < len(body):
                self._write(body[at:])
            self._unsent = self._unsent[place + 1:]
            self._large = {n - place - 1: held for n, held in self._large.items() if n > place}

    @property
    def gone(self) -> bool:
        """Whether the slot is known to have ended; for an idle one, before any job meets it."""
        return self.broken or self._reading.done()

    async def _read(self) -> None:
        """All the time, so that an agent that talks is never kept from listening."""
        try:
            while True:
                self._frames.put_nowait(await read_frame(self.link.reader))
        except (OSError, EOFError, ProtocolError) as error:
            self._frames.put_nowait(error)

    async def _next(self) -> Frame:
        if self.broken:
            raise SlotDied(f"slot {self.number} is gone")
        frame = await self._frames.get()
        if isinstance(frame, Exception):
            raise self._break(f"{type(frame).__name__}: {frame}") from frame
        if frame.kind is Kind.FAULT:
            raise self._break(str(frame.head.get("message", "")))
        return frame

    async def _receive(self, kind: Kind) -> Frame:
        frame = await self._next()
        if frame.kind is not kind:
            raise self._break(f"{frame.kind.name} where {kind.name} was due")
        return frame

    def _break(self, what: str) -> SlotDied:
        self.broken = True
        self.link.kill()
        return SlotDied(f"slot {self.number}: {what} ({self.link.why()})")


def _name(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _all_limits(job: Job) -> list[RunLimits]:
    return [job.limits, *(test.limits for test in job.tests if test.limits is not None)]


def _limits(limits: RunLimits) -> dict[str, float | int]:
    return {"cpu": limits.cpu_s, "wall": limits.wall_s, "memory": limits.memory_bytes, "output": limits.output_bytes,
            "processes": limits.processes, "file": limits.file_bytes}


def _outcome(frame: Frame) -> Outcome:
    head = frame.head
    out, err, result = int(head["out"]), int(head["err"]), int(head["result"])
    return Outcome(
        Ended(head["ended"]), head["exit_code"], head["signal"], frame.body[:out], frame.body[out:out + err],
        frame.body[out + err:out + err + result] if result >= 0 else None, bool(head["completed"]), str(head["error"]),
        float(head["cpu_s"]), float(head["wall_s"]), int(head["memory"]) or None, bool(head["nodes"]), str(head.get("note", "")),
        float(head.get("awaited_s", 0.0)), float(head.get("held_s", 0.0)))
