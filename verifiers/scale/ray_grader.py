"""`RayGrader`: the Grader's methods over a Ray cluster. Needs ray (extra `[ray]`); the cluster is Ray's own affair.

    import ray; ray.init(address="auto")
    with RayGrader(sandbox="local", slots=8) as g:              # a Grader's settings, and these hold for each node
        g.grade_many([(problem, response), ...])                # in order
        for i, grade in g.iter_grades(...): ...

Code goes to actors, one a node (or as many as `actors` says), each with a Grader of its own and so with its slots; math goes to tasks.
Placing, starting again and trying again are Ray's: actors restart on another node when theirs is lost and do their calls again, and so
do tasks. Grading has no effects, so doing it again is harmless. What Ray gives up on is IE, with a reason of its own, never a score:

    ray_lost        node or process were lost, again and again
    ray_failed      anything else that Ray reports, its message in `detail`

The same grades as on one machine: nothing here looks at a response. While an actor restarts, Ray tries its calls every second or so
and counts each try, so calls have no limit; the actor has: `_RESTARTS`. Then it is replaced and its calls are made once more, so that
an item that ends every process it meets is given up on, and its neighbours are not.
"""
from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ...core.errors import UsageError
from ...core.problem import CodeTests, Problem, Program, Response
from ...core.verdict import Grade, Verdict
from ..grader import Grader

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Item", "RayGrader"]

Item = tuple[Problem, Response | Program | str]
_TRIES: Final = 5
"""Of a math task."""
_RESTARTS: Final = 3
_CHUNK_CODE: Final = 8
_CHUNK_MATH: Final = 64
"""Items a call: enough that Ray's own cost of a call (about a millisecond) does not count, few enough to spread over the nodes."""
_AHEAD: Final = 4
"""Calls under way for each actor, and for each of the cluster's CPUs: so that none waits for us."""

_ASK_S: Final = 1.0

_graders: dict[str, Grader] = {}
"""In a worker process of Ray: one Grader for each configuration, kept warm from task to task."""


class RayGrader:
    """Grades over the cluster that `ray.init` connected to. `settings` are a Grader's (`slots` on each node, `reward`, `deadline_s`).

    actors: how many for code (None: one for each node that is there at first use); code_cpus: CPUs that Ray sets aside for each.

    Raises: RuntimeError if Ray is not connected; as Grader does for its settings.
    """

    __name__ = "assay"

    def __init__(self, sandbox: str = "auto", *, actors: int | None = None, code_cpus: float = 0, **settings: Any) -> None:
        import ray  # pyright: ignore[reportMissingImports]

        if not ray.is_initialized():
            raise RuntimeError("Ray is not connected: call ray.init(...) first")
        if actors is not None and actors < 1:
            raise UsageError(f"actors must be at least 1, not {actors}")
        self._ray = ray
        self._settings = {**settings, "sandbox": sandbox, "workers": 1}     # Ray gives a task one CPU
        Grader(**self._settings)
        self._count = actors
        self._code_cpus = code_cpus
        self._actor: Callable[[], Any] = lambda: None
        self._actors: list[Any] = []
        self._turn = 0
        self._cpus = 1.0
        self._asked = 0.0
        self._task = ray.remote(num_cpus=1, max_retries=_TRIES)(_grade_in_task)

    def __enter__(self) -> RayGrader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def grade(self, problem: Problem, response: Response | Program | str) -> Grade:
        return self.grade_many([(problem, response)])[0]

    def grade_many(self, items: Sequence[Item]) -> list[Grade]:
        """The grades in the order of the items."""
        grades = dict(self.iter_grades(items))
        return [grades[n] for n in range(len(items))]

    def iter_grades(self, items: Iterable[Item]) -> Generator[tuple[int, Grade], None, None]:
        """(index, grade) as calls finish; `items` is read only a bounded way ahead. Leaving early cancels what is under way."""
        running: dict[Any, _Call] = {}
        calls = _calls(items)
        try:
            call = next(calls, None)
            while call is not None or running:
                while call is not None and len(running) < self._window():
                    running[self._send(call)] = call
                    call = next(calls, None)
                ready, _ = self._ray.wait(list(running), num_returns=1)
                for reference in ready:
                    made = running.pop(reference)
                    grades = self._received(reference, made)
                    if grades is None:
                        for again in made.again():
                            running[self._send(again)] = again
                    else:
                        yield from zip(made.places, grades, strict=True)
        finally:
            for reference in running:
                self._ray.cancel(reference)

    def close(self) -> None:
        """Ends the actors."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors.clear()

    def _send(self, call: _Call) -> Any:
        if not call.is_code:
            return self._task.remote(self._settings, call.items)
        if not self._actors:
            self._start()
        self._turn = (self._turn + 1) % len(self._actors)
        call.actor = self._actors[self._turn]
        return call.actor.grade_many.remote(call.items)

    def _start(self) -> None:
        nodes = sum(bool(node["Alive"]) for node in self._ray.nodes())
        actor = self._ray.remote(num_cpus=self._code_cpus, max_restarts=_RESTARTS, max_task_retries=-1,
                                 scheduling_strategy="SPREAD")(_CodeActor)
        self._actor = lambda: actor.remote(self._settings)
        self._actors = [self._actor() for _ in range(self._count or max(1, nodes))]

    def _window(self) -> int:
        """Calls that may be under way. The cluster's size is asked for now and then: it may grow and shrink."""
        if time.monotonic() - self._asked > _ASK_S:
            self._cpus, self._asked = self._ray.cluster_resources().get("CPU", 1.0), time.monotonic()
        return int(_AHEAD * (len(self._actors) + max(1.0, self._cpus)))

    def _received(self, reference: Any, call: _Call) -> list[Grade] | None:
        """None: the work is to be sent again."""
        errors = self._ray.exceptions
        try:
            grades: list[Grade] = self._ray.get(reference)
            return grades
        except errors.RayError as error:
            lost = isinstance(error, errors.RayActorError | errors.WorkerCrashedError | errors.ObjectLostError | errors.NodeDiedError)
            if lost and call.actor in self._actors:      # it restarts no more
                self._actors[self._actors.index(call.actor)] = self._actor()
            if not call.last:
                return None
            said = "".join(traceback.format_exception_only(error))[-2000:]
            return [Grade(Verdict.IE, None, "ray_lost" if lost else "ray_failed", said)] * len(call.items)


@dataclass(slots=True)
class _Call:
    is_code: bool
    places: list[int]
    items: list[Item]
    last: bool = False
    actor: Any = None

    def again(self) -> list[_Call]:
        """The same work once more, item by item, so that the one that does the harm is alone."""
        return [_Call(self.is_code, [place], [item], last=True) for place, item in zip(self.places, self.items, strict=True)]


class _CodeActor:
    """One Grader, with its slots, for as long as the actor lives."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._grader = Grader(**settings)

    def grade_many(self, chunk: list[Item]) -> list[Grade]:
        return self._grader.grade_many(chunk)


def _grade_in_task(settings: dict[str, Any], chunk: list[Item]) -> list[Grade]:
    key = repr(sorted(settings.items()))
    grader = _graders.get(key)
    if grader is None:
        grader = _graders[key] = Grader(**settings)
    return grader.grade_many(chunk)


def _calls(items: Iterable[Item]) -> Iterator[_Call]:
    """Full ones first, in order of the items within each kind."""
    held = {is_code: _Call(is_code, [], []) for is_code in (True, False)}
    for place, item in enumerate(items):
        is_code = isinstance(item[0].reward, CodeTests)
        call = held[is_code]
        call.places.append(place)
        call.items.append(item)
        if len(call.items) == (_CHUNK_CODE if is_code else _CHUNK_MATH):
            yield call
            held[is_code] = _Call(is_code, [], [])
    yield from (call for call in held.values() if call.items)
