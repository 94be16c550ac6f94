"""`Grader`: problems and responses -> Grades, batched, async and streaming; the one place where exceptions become IE.

    with Grader(sandbox="auto") as g:
        g.grade(problem, response)                          # one, blocking
        g.grade_many([(problem, response), ...])            # many, in order
        await g.agrade(problem, response)
        async for i, grade in g.as_completed([...]): ...    # as they finish

A Grader is configuration: it pickles, and starts its pools at first use, once a process (also in a forked or spawned child).
No item can hurt another: whatever goes wrong with one becomes its own IE, with the traceback in `detail`.
"""
from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import time
import traceback
import weakref
from collections.abc import AsyncIterator, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import DeadlineExceeded, FaultError, InputError, SandboxUnavailable
from ..core.problem import CodeTests, MathAnswer, Problem, Program, Response
from ..core.verdict import Grade, Verdict
from .any_grader import Item, stream
from .code_tests import CodeVerifier, Detail
from .extract import extract_program
from .grade_cache import GradeCache
from .metrics import Metrics, prometheus_text
from .repeats import FailureOrder, Repeats
from .reward import REWARD_NAMES, RewardName

if TYPE_CHECKING:
    from types import TracebackType

    from ..sandbox.slots import SandboxPool

__all__ = ["Grader", "Item"]

_ATTEMPTS: Final = 2
"""A fault of ours is tried once more; a second one is IE."""
_WINDOW: Final = 256
"""Items under way at once in `iter_grades` and `as_completed`: keeps slots busy behind a slow item, bounds memory."""
_CLOSE_S: Final = 30.0
_AT_ONCE_S: Final = 0.001
_BREATH_AFTER_S: Final = 0.0005
_BREATH_S: Final = 0.00005
"""While items of an event loop are under way, a thread that grades math sleeps for so long after each half millisecond of work: Python hands its
lock over every 5 ms to a thread that asks for it, but at once where the one that has it sleeps. So the loop is not held up."""


@dataclass(frozen=True, slots=True)
class _Settings:
    sandbox: str
    slots: int | None
    workers: int | None
    reward: RewardName
    detail: Detail
    python: str | None
    image: str | None
    runtime: str | None
    deadline_s: float | None
    cache: str | None
    fail_first: bool


class Grader:
    """Grades responses against problems.

    sandbox: `auto` (docker where a daemon answers, else local), `docker` or `local`; slots: sandboxes at once (None: one a core);
    workers: threads, each with a killable worker process, for math (None: one a core); reward: see verifiers/reward.py; detail:
    how many failed tests `Grade.detail` describes (`none`, `first`, `all`); python: interpreter for programs on the local
    backend; image and runtime: docker's; deadline_s: wall seconds that one program may take in all, counted from when a slot takes
    it up, then IE `deadline_exceeded` (None: its tests' limits alone; math has the budget of its policy); cache: a folder
    that keeps grades of programs; fail_first: run first the tests that failed most often, where the first failure ends the run.

    Raises: ValueError for an unknown reward or sandbox. SandboxUnavailable only from `start_sandbox`; elsewhere it is IE.
    """

    __name__ = "assay"

    def __init__(self, sandbox: str = "auto", *, slots: int | None = None, workers: int | None = None, reward: str = "all_tests",
                 detail: Detail = "first", python: str | None = None, image: str | None = None, runtime: str | None = None,
                 deadline_s: float | None = None, cache: str | None = None, fail_first: bool = False) -> None:
        if sandbox not in ("auto", "docker", "local"):
            raise ValueError(f"unknown sandbox {sandbox!r}: auto, docker or local")
        names: dict[str, RewardName] = {known: known for known in REWARD_NAMES}
        name = names.get(reward)
        if name is None:
            raise ValueError(f"unknown reward {reward!r}: {', '.join(REWARD_NAMES)}")
        if deadline_s is not None and not 0 < deadline_s < float("inf"):
            raise ValueError(f"deadline_s is a positive number of seconds, not {deadline_s!r}")
        self._settings = _Settings(sandbox, slots, workers, name, detail, python, image, runtime, deadline_s, cache, fail_first)
        self._set_up()

    def _set_up(self) -> None:
        self._lock = threading.Lock()
        self._metrics = Metrics()
        self._engine: _Engine | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_settings": self._settings}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._settings = state["_settings"]
        self._set_up()

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def submit(self, problem: Problem, response: Response | Program | str) -> Future[Grade]:
        """A future that never raises for what the item is: whatever goes wrong is an IE."""
        started = time.perf_counter()
        self._metrics.started()
        future = self._started().submit(problem, Response(response) if isinstance(response, str) else response)

        def note(done: Future[Grade]) -> None:
            self._metrics.finished(None if done.cancelled() else done.result(), time.perf_counter() - started)

        future.add_done_callback(note)
        return future

    def grade(self, problem: Problem, response: Response | Program | str) -> Grade:
        return self.submit(problem, response).result()

    def grade_many(self, items: Sequence[Item]) -> list[Grade]:
        """The grades in the order of the items."""
        grades: dict[int, Grade] = dict(self.iter_grades(items))
        return [grades[n] for n in range(len(items))]

    def iter_grades(self, items: Iterable[Item]) -> Generator[tuple[int, Grade], None, None]:
        """(index, grade) as they finish; `items` is read only a bounded way ahead. Leaving early cancels what is under way."""
        return stream(self.submit, items, lambda: _WINDOW)

    async def agrade(self, problem: Problem, response: Response | Program | str) -> Grade:
        """As `grade`, without blocking the event loop; cancelling it cancels the work."""
        future = self.submit(problem, response)
        return future.result() if future.done() else await asyncio.wrap_future(future)

    async def as_completed(self, items: Iterable[Item]) -> AsyncIterator[tuple[int, Grade]]:
        """As `iter_grades`, for an event loop."""
        running: set[asyncio.Task[tuple[int, Grade]]] = set()
        source = enumerate(items)

        async def one(n: int, item: Item) -> tuple[int, Grade]:
            return n, await self.agrade(*item)

        try:
            exhausted = False
            while not exhausted or running:
                while not exhausted and len(running) < _WINDOW:
                    try:
                        n, item = next(source)
                    except StopIteration:
                        exhausted = True
                        break
                    running.add(asyncio.create_task(one(n, item)))
                if running:
                    finished, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in finished:
                        yield task.result()
        finally:
            for task in running:
                task.cancel()

    def start_sandbox(self) -> str:
        """Starts the sandbox now; its backend and level of isolation in one line. Raises: SandboxUnavailable."""
        return self._started().start_sandbox()

    def metrics(self) -> dict[str, Any]:
        """Counts by verdict and reason, latencies, retries and what is in flight, of this process: see verifiers/metrics.py."""
        return self._metrics.to_dict()

    def prometheus(self) -> str:
        """`metrics` in Prometheus' text format."""
        return prometheus_text(self.metrics())

    def close(self) -> None:
        """Ends the pools of this process; the next grade starts new ones."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None and engine.pid == os.getpid():
            engine.close()

    def _started(self) -> _Engine:
        engine = self._engine
        if engine is not None and engine.pid == os.getpid():
            return engine
        with self._lock:
            if self._engine is None or self._engine.pid != os.getpid():
                self._engine = _Engine(self._settings, self._metrics)
            return self._engine


class _AtOnce:
    """Whether an event loop may grade math itself just now: it may for half of its time, and for `_AT_ONCE_S` at a stretch. What it has taken is
    counted as measured, so a text that takes longer than it should is paid for by those after it."""

    def __init__(self) -> None:
        self._left_s = _AT_ONCE_S
        self._seen = time.perf_counter()

    def ask(self) -> bool:
        now = time.perf_counter()
        self._left_s = min(_AT_ONCE_S, self._left_s + (now - self._seen) / 2)
        self._seen = now
        return self._left_s > 0

    def took(self) -> None:
        now = time.perf_counter()
        self._left_s -= now - self._seen
        self._seen = now


class _Awaited:
    """How many of the futures noted, from a thread with a running event loop, are not done."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def note(self, future: Future[Grade]) -> None:
        if not _in_event_loop():
            return
        self._add(1)
        future.add_done_callback(lambda _: self._add(-1))

    def _add(self, n: int) -> None:
        with self._lock:
            self.count += n


class _Engine:
    """What a Grader runs in one process: an event loop in a thread for the sandbox, and threads for math."""

    def __init__(self, settings: _Settings, metrics: Metrics) -> None:
        from .math_answer import MathVerifier

        self.pid = os.getpid()
        self._settings = settings
        self._metrics = metrics
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._slots = settings.slots or cores
        workers = settings.workers or cores
        self._math = MathVerifier(workers=workers)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="assay-math")
        self._breath = threading.local()
        self._of_loops = _Awaited()
        self._loops_own = _AtOnce()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="assay-grader", daemon=True)
        self._thread.start()
        self._pool: SandboxPool | None = None
        self._starting = asyncio.Lock()
        # One more than there are slots: the next job is ready when a slot frees, and inputs of few problems are held in memory.
        self._turns = asyncio.Semaphore(self._slots + 1)
        self._repeats = Repeats()
        self._failure_order = FailureOrder() if settings.fail_first else None
        self._cache: GradeCache | None = None
        self._closed = False
        atexit.register(_kill, weakref.ref(self))

    def submit(self, problem: Problem, response: Response | Program) -> Future[Grade]:
        if isinstance(problem.reward, MathAnswer):
            if (grade := self._at_once(problem.reward, response)) is not None:
                settled: Future[Grade] = Future()
                settled.set_result(grade)
                return settled
            future = self._threads.submit(self._grade_math, problem, problem.reward, response)
            self._of_loops.note(future)
            return future
        return asyncio.run_coroutine_threadsafe(self._grade_code(problem.reward, response), self._loop)

    def start_sandbox(self) -> str:
        pool = asyncio.run_coroutine_threadsafe(self._sandbox(), self._loop).result()
        return f"{pool.backend_name}: {pool.level}"

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        atexit.unregister(_kill)
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._math.close()
        try:
            asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result(_CLOSE_S)
        except TimeoutError:
            self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()

    def kill(self) -> None:
        """Ends sandboxes and workers at once, from any thread, also while the interpreter exits."""
        if self.pid != os.getpid():
            return
        self._math.kill()
        if self._pool is not None:
            self._pool.kill()

    async def _shut_down(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._pool is not None:
            await self._pool.close()
        if self._cache is not None:
            self._cache.close()

    async def _sandbox(self) -> SandboxPool:
        from ..sandbox.slots import PoolConfig, SandboxPool

        async with self._starting:
            if self._pool is None:
                s = self._settings
                pool = SandboxPool(PoolConfig(backend=s.sandbox, slots=self._slots, python=s.python, image=s.image,  # type: ignore[arg-type]
                                              runtime=s.runtime))
                await pool.start()
                self._pool = pool
            return self._pool

    async def _grade_code(self, reward: CodeTests, response: Response | Program) -> Grade:
        program = extract_program(response.text) if isinstance(response, Response) else response
        if program is None:
            return Grade(Verdict.NA, 0.0, "no_program", "no complete fenced code block in the response")
        return await self._repeats.once(reward, program, partial(self._grade_program, reward, program))

    async def _grade_program(self, reward: CodeTests, program: Program) -> Grade:
        if self._settings.cache is None:
            return await self._run_program(reward, program)
        try:
            if self._cache is None:
                backend = (await self._sandbox()).backend_name
                self._cache = GradeCache(self._settings.cache, backend, self._settings.reward, self._settings.detail)
        except (FaultError, InputError) as error:
            return _internal_error(error)
        key = self._cache.key(reward, program)
        grade = self._cache.get(key)
        if grade is None:
            grade = await self._run_program(reward, program)
            self._cache.put(key, grade)
        return grade

    async def _run_program(self, reward: CodeTests, program: Program) -> Grade:
        async with self._turns:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    s = self._settings
                    verifier = CodeVerifier(await self._sandbox(), reward=s.reward, detail=s.detail, deadline_s=s.deadline_s,
                                            failure_order=self._failure_order)
                    return await verifier.grade(reward, program)
                except FaultError as error:
                    never_was = isinstance(error, SandboxUnavailable) and self._pool is None
                    if attempt == _ATTEMPTS or never_was or isinstance(error, DeadlineExceeded):
                        return _internal_error(error)
                    self._metrics.retried()
                except Exception as error:  # noqa: BLE001  # the boundary: one item's error is its own IE, with its traceback
                    return _internal_error(error)
        raise AssertionError("unreachable")

    def _grade_math(self, problem: Problem, reward: MathAnswer, response: Response | Program) -> Grade:
        if isinstance(response, Program):
            return Grade(Verdict.NA, 0.0, "not_text", "a program is no answer to a math problem")
        self._breathe()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._math.grade(reward, response.text, question=problem.prompt)
            except FaultError as error:
                if attempt == _ATTEMPTS:
                    return _internal_error(error)
                self._metrics.retried()
            except Exception as error:  # noqa: BLE001  # the boundary, as above
                return _internal_error(error)
        raise AssertionError("unreachable")

    def _at_once(self, reward: MathAnswer, response: Response | Program) -> Grade | None:
        """A grade that costs less than handing the work to a thread and the result back; None where that is not certain."""
        if isinstance(response, Program):
            return None
        looping = _in_event_loop()
        if looping and not self._loops_own.ask():
            return None
        try:
            return self._math.grade_at_once(reward, response.text)
        except Exception:  # noqa: BLE001  # the thread meets it again, and records it
            return None
        finally:
            if looping:
                self._loops_own.took()

    def _breathe(self) -> None:
        if self._of_loops.count and time.thread_time() - getattr(self._breath, "last", 0.0) > _BREATH_AFTER_S:
            time.sleep(_BREATH_S)
            self._breath.last = time.thread_time()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _internal_error(error: Exception) -> Grade:
    slug = error.slug if isinstance(error, FaultError) else "internal_error"
    detail = str(error) if isinstance(error, FaultError) else "".join(traceback.format_exception(error))[-4000:]
    return Grade(Verdict.IE, None, slug, detail)


def _kill(engine: weakref.ref[_Engine]) -> None:
    if (alive := engine()) is not None:
        with contextlib.suppress(OSError):
            alive.kill()
