"""Math: a gold answer and a response -> Grade."""
from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from ..core.math_policy import MathPolicy
from ..core.problem import MathAnswer, Response
from ..core.verdict import BAD_REFERENCE, Grade, Verdict
from .mathexpr.answers import Outcome, compare_numbers, compare_texts
from .mathexpr.final_answer import Found, Missing, final_answer, gold_answer
from .mathexpr.values import Work
from .workers import WorkerPool, WorkerReply

__all__ = ["MathVerifier", "verify_math"]

_TIER_3: Final = f"{__package__}.mathexpr.sympy_tier:math_verify_equal"
_PRELOAD: Final = (f"{__package__}.mathexpr.sympy_tier:warm_up",)
_DEFAULT: Final = MathPolicy()
OWN_SHARE: Final = 0.4
"""Of the budget, in CPU time, for the tiers of this process; the last tier has what is left of it."""
AT_ONCE_CHARS: Final = 4096
"""Of a response. Finding its answer takes some 20 microseconds then, some milliseconds where the text was made to take long."""
AT_ONCE_GOLDS: Final = 8
MARGIN: Final = 0.05
"""Of the budget, to end a worker and to tell of it."""


class MathVerifier:
    """Grades math answers. Thread-safe; the worker processes are started when an answer first needs them."""

    def __init__(self, workers: int = 1) -> None:
        self._pool = WorkerPool(workers, preload=_PRELOAD)

    def grade(self, problem_answer: MathAnswer, response: str, *, question: str = "") -> Grade:
        """Raises: WorkerDied, if a worker process ended by itself, twice; MachineBusy, if it was given no core, twice."""
        started_cpu, started = time.thread_time(), time.perf_counter()
        outside = [0.0, 0.0]
        verdict, reason, detail = self._decide(problem_answer, response, question, outside)
        return _grade(problem_answer, verdict, reason, detail,
                      time.thread_time() - started_cpu + outside[0], time.perf_counter() - started - outside[1])

    def grade_at_once(self, problem_answer: MathAnswer, response: str) -> Grade | None:
        """What `grade` says, where it is found without any search: a short response to gold answers that are plain numbers, with no answer
        or with a plain number. Else None. For threads that must not be held up, as an event loop's."""
        if len(response) > AT_ONCE_CHARS or len(golds := problem_answer.golds) > AT_ONCE_GOLDS:
            return None
        started_cpu, started = time.thread_time(), time.perf_counter()
        outcomes: list[Outcome | None] = [compare_numbers(gold, gold, problem_answer.policy) for gold in golds]
        if not all(outcomes):
            return None
        found = final_answer(response)
        if isinstance(found, Missing):
            verdict, reason, detail = _missing(found)
        else:
            outcomes = [compare_numbers(gold, found.text, problem_answer.policy) for gold in golds]
            known = [outcome for outcome in outcomes if outcome is not None]
            if len(known) < len(outcomes):
                return None
            verdict, reason, detail = _equal(found) if any(outcome.same for outcome in known) else _different(found)
        return _grade(problem_answer, verdict, reason, detail, time.thread_time() - started_cpu, time.perf_counter() - started)

    def close(self) -> None:
        """Ends the worker processes, after the grades in progress."""
        self._pool.close()

    def kill(self) -> None:
        """Ends the worker processes now; grades in progress raise WorkerDied."""
        self._pool.kill()

    def _decide(self, answer: MathAnswer, response: str, question: str, outside: list[float]) -> tuple[Verdict, str, str]:
        golds = [text for gold in answer.golds if (text := gold_answer(gold).strip()).strip("$ ")]
        if not golds:
            return Verdict.IE, BAD_REFERENCE, "the gold answer is empty"
        found = final_answer(response)
        if isinstance(found, Missing):
            return _missing(found)
        budget_s = answer.policy.budget_s
        started_cpu = time.thread_time()     # not the clock: a thread that waits for a core has done nothing yet
        spent_s = 0.0
        work = Work(budget_s * OWN_SHARE)
        reasons: list[str] = []
        undecided: list[str] = []
        for gold in golds:
            outcome = compare_texts(gold, found.text, answer.policy, work, question)
            if outcome.same:
                return _equal(found)
            reasons.append(outcome.reason)
            if outcome.open:
                undecided.append(gold)
        for gold in undecided:
            left_s = budget_s * (1 - MARGIN) - (time.thread_time() - started_cpu) - spent_s
            reply = self._outside([gold.strip("$ "), found.text.strip("$ ")], left_s, outside) if left_s > 0 else None
            spent_s += reply.cpu_s if reply else 0.0
            if reply is not None and reply.status == "done":
                if reply.value:
                    return Verdict.AC, "equal", f"{found.how}, by Math-Verify"
            elif reply is None or reply.status != "error":
                reasons.append("budget")
        if "different" in reasons and set(reasons) <= {"different", "bad_gold"}:
            return _different(found)
        if "bad_gold" in reasons:
            return Verdict.IE, BAD_REFERENCE, f"the gold answer cannot be read, and this is not its text: {golds[0][:100]!r}"
        reason = next(slug for slug in ("echo", "budget", "too_large") if slug in reasons)
        return Verdict.WA, reason, f"answer {found.text[:100]!r} ({found.how})"

    def _outside(self, args: list[Any], budget_s: float, outside: list[float]) -> WorkerReply:
        asked = time.perf_counter()
        reply = self._pool.call(_TIER_3, args, budget_s)
        outside[0] += reply.cpu_s
        outside[1] += max(0.0, time.perf_counter() - asked - reply.wall_s)     # waiting for a process is not work
        return reply


def _grade(answer: MathAnswer, verdict: Verdict, reason: str, detail: str, cpu_s: float, wall_s: float) -> Grade:
    score = None if verdict is Verdict.IE else float(verdict is Verdict.AC)
    return Grade(verdict, score, reason, detail, components={"policy": answer.policy.model_dump()}, cpu_s=cpu_s, wall_s=wall_s)


def _missing(found: Missing) -> tuple[Verdict, str, str]:
    return Verdict.NA, found.reason, ""


def _equal(found: Found) -> tuple[Verdict, str, str]:
    return Verdict.AC, "equal", found.how


def _different(found: Found) -> tuple[Verdict, str, str]:
    return Verdict.WA, "different", f"answer {found.text[:100]!r} ({found.how})"


_shared: MathVerifier | None = None
_shared_lock = threading.Lock()


def verify_math(gold: str | Sequence[str], response: str | Response, *, policy: MathPolicy | None = None, question: str = "") -> Grade:
    """The grade of `response` against one gold, or several of which any is right. From any thread or process."""
    global _shared
    if _shared is None:
        with _shared_lock:
            _shared = _shared or MathVerifier()
    text = response.text if isinstance(response, Response) else response
    answer = gold if isinstance(gold, str) else tuple(gold)
    return _shared.grade(MathAnswer(answer=answer, policy=policy or _DEFAULT), text, question=question)
