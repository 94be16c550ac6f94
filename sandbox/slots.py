"""The pool: N warm slots, one job at a time each, first come first served.

    async with SandboxPool(PoolConfig(backend="local", slots=2)) as pool:
        async with aclosing(pool.execute(job)) as results:
            async for item in results: ...      # Compiled | CompileFailed, then one Outcome a test

Who waits for a slot waits in line: that is the back-pressure. Leaving the loop early cancels the job: the slot kills what runs, says
so, and is free again. A slot that ends or breaks the protocol fails its own job with SlotDied and is replaced when next needed.
"""
from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal

from ..core.errors import SandboxUnavailable, SlotDied, UsageError
from .backend import Backend
from .execution import Compiled, CompileFailed, Job, Outcome
from .languages import languages
from .session import Artifacts, Session

__all__ = ["PoolConfig", "SandboxPool"]

BackendName = Literal["auto", "docker", "local"]
_CANCEL_S: Final = 2.0
"""A cancelled job is dead within milliseconds; a slot that takes this long is killed."""


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """`slots` None means one a core. `python` is the interpreter for programs on `local`; `image` and `runtime` are docker's."""

    backend: BackendName = "auto"
    slots: int | None = None
    python: str | None = None
    image: str | None = None
    runtime: str | None = None


class SandboxPool:
    """Slots of one backend, owned by the event loop that called `start`. Installs no signal handlers."""

    def __init__(self, config: PoolConfig = PoolConfig()) -> None:
        self._size = config.slots if config.slots is not None else len(os.sched_getaffinity(0))
        if self._size < 1:
            raise UsageError(f"slots is {config.slots}, it must be at least 1")
        self._config = config
        self._backend: Backend | None = None
        self._idle: deque[Session] = deque()
        self._numbers = set(range(self._size))
        self._turn = asyncio.Semaphore(self._size)
        self._starting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self._sessions: set[Session] = set()
        self._artifacts = Artifacts()
        self._closed = False

    @property
    def backend_name(self) -> str:
        return self._backend.name if self._backend else self._config.backend

    @property
    def level(self) -> str:
        """The isolation in force, one line."""
        return self._backend.level if self._backend else "not started"

    async def start(self) -> None:
        """Choose the backend and start the first slot; the others start when they are needed.

        Raises: SandboxUnavailable with what is missing and how to get it.
        """
        async with self._starting:
            if self._closed:
                raise SandboxUnavailable("the pool is closed")
            if self._backend is not None:
                return
            backend = await _prepared(self._config)
            self._backend = backend
            try:
                self._idle.append(await self._open())
            except BaseException:
                self._backend = None
                await backend.close()
                raise
            atexit.register(self.kill)

    async def execute(self, job: Job) -> AsyncGenerator[Compiled | CompileFailed | Outcome, None]:
        """Run `job` on the next free slot. Raises: SandboxUnavailable, SlotDied."""
        language = languages().get(job.language.lower())
        if language is None:
            yield CompileFailed("unknown_language", f"no language {job.language!r}; there are: {', '.join(sorted(languages()))}")
            return
        if job.mode != "stdin" and language.kind != "python":
            yield CompileFailed("unknown_language", f"{job.mode} mode runs Python programs, not {language.name}")
            return
        await self.start()
        assert self._backend is not None
        await self._backend.make_ready(language)
        async with self._turn:
            session = self._next_idle() or await self._open()
            try:
                async with aclosing(session.run(job, language)) as items:
                    async for item in items:
                        yield item
            finally:
                try:
                    if session.busy and not session.broken:
                        await self._cancel(session)
                finally:                # whatever ended the cancelling, the slot's number comes back
                    if session.broken or self._closed:
                        self._retire(session)
                    else:
                        self._idle.append(session)

    async def close(self) -> None:
        """End all slots and wait until nothing of them is left."""
        self._closed = True
        for session in list(self._sessions):
            self._retire(session)
        while self._closing:
            await asyncio.wait(self._closing)
        if self._backend is not None:
            await self._backend.close()
        atexit.unregister(self.kill)

    def kill(self) -> None:
        """The same at once, without an event loop: for atexit and signal handlers."""
        self._closed = True
        for session in list(self._sessions):
            session.link.kill()
        if self._backend is not None:
            self._backend.kill()

    async def __aenter__(self) -> SandboxPool:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def _next_idle(self) -> Session | None:
        """A waiting slot; those that ended meanwhile (the kernel was out of memory, somebody stopped the daemon) are replaced."""
        while self._idle:
            session = self._idle.popleft()
            if not session.gone:
                return session
            self._retire(session)
        return None

    async def _open(self) -> Session:
        """Raises: SandboxUnavailable, SlotDied."""
        assert self._backend is not None
        if self._closed:
            raise SandboxUnavailable("the pool is closed")
        while not self._numbers:    # a retired slot has its number until it is gone
            await asyncio.wait(self._closing, return_when=asyncio.FIRST_COMPLETED)
        number = min(self._numbers)
        self._numbers.discard(number)
        try:
            link = await self._backend.open(number)
        except BaseException:
            self._numbers.add(number)
            raise
        session = Session(number, link, self._artifacts)
        self._sessions.add(session)
        try:
            await session.greet()
        except BaseException:
            self._retire(session)
            raise
        return session

    async def _cancel(self, session: Session) -> None:
        try:
            async with asyncio.timeout(_CANCEL_S):
                await session.cancel()
        except (TimeoutError, SlotDied):
            session.broken = True
        except BaseException:
            session.broken = True
            session.link.kill()
            raise

    def _retire(self, session: Session) -> None:
        if session not in self._sessions:
            return
        self._sessions.discard(session)
        with contextlib.suppress(ValueError):
            self._idle.remove(session)
        session.link.kill()
        task = asyncio.get_running_loop().create_task(self._bury(session))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _bury(self, session: Session) -> None:
        try:
            await session.close()
        finally:
            self._numbers.add(session.number)


async def _prepared(config: PoolConfig) -> Backend:
    """The backend that was asked for; `auto` is docker where a daemon and the image are there, else local.

    Raises: SandboxUnavailable.
    """
    if config.backend not in ("auto", "docker", "local"):
        raise UsageError(f"no sandbox backend {config.backend!r}; there are: auto, docker, local")
    missing = ""
    if config.backend != "local":
        from .docker import DockerBackend

        docker: Backend = DockerBackend(image=config.image, runtime=config.runtime)
        try:
            await docker.prepare()
            return docker
        except SandboxUnavailable as error:
            if config.backend == "docker":
                raise
            missing = f"docker: {error}; local: "
    from .local import LocalBackend

    local: Backend = LocalBackend(config.python)
    try:
        await local.prepare()
    except SandboxUnavailable as error:
        raise SandboxUnavailable(f"{missing}{error}") from error
    return local


