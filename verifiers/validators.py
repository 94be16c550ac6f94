"""Problems that judge by a program of their own: an output validator, or an interactor that the submission talks with.

Both follow Kattis: exit 42 accepts, 43 refuses, and any other end is the problem's fault (`BadReference`), never the submission's zero.
Both run in the sandbox, an interactor in a slot that no submission ever sees.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..core.checkers import InteractiveChecker, ValidatorChecker
from ..core.errors import MachineBusy
from ..core.problem import TestCase
from ..sandbox.execution import Ended, Exchange, Job, Outcome, RunLimits, TestRun
from .checkers import to_bytes

__all__ = ["ACCEPTED", "EXCERPT", "BadReference", "Ruling", "conversation", "excerpt", "interactor_job", "interactor_ruling", "validator_job",
           "validator_ruling"]

ACCEPTED: Final = 42
REFUSED: Final = 43
EXCERPT: Final = 200
"""Characters of each thing that `detail` shows of a failed test."""
_MIB: Final = 1 << 20
_LIMITS: Final = RunLimits(cpu_s=60, wall_s=120, memory_bytes=2048 * _MIB, output_bytes=_MIB, processes=64, file_bytes=64 * _MIB)
_INTERACTOR_OUTPUT: Final = 64 * _MIB
_MESSAGE: Final = "feedback/judgemessage.txt"
"""Where either says why, for people."""
_STRETCH: Final = 4
"""A submission may take this many times its wall limit where the machine is busy (sandbox/agent.py); its interactor waits for it."""
_PONDERS: Final = 0.5
"""Of the time in which it had a core: an interactor that computes for longer over its last answer keeps the submission waiting. (Not over
all of its answers: many questions are the submission's own doing.)"""
_LOST: Final = 0.1
"""Of a submission's wall limit: where the machine kept it waiting for longer, over its last answer, nothing is known of it. What the submission
can have brought about itself does not count: by burning CPU it starves its interactor for no longer than it burns."""


class BadReference(Exception):
    """The problem's own fault, found while grading."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a validator or interactor said. `prevails`: whatever the submission did comes after it, and does not count."""

    accepted: bool
    said: str = ""
    prevails: bool = False


def validator_job(checker: ValidatorChecker, outputs: Iterable[tuple[TestCase, bytes]]) -> Job:
    runs = tuple(replace(_run(checker, test), data=output) for test, output in outputs)
    return Job(to_bytes(checker.program), checker.language, "stdin", runs, _LIMITS, None, stop_on_failure=False)


def interactor_job(checker: InteractiveChecker, tests: Sequence[TestCase], limits: RunLimits) -> Job:
    """`limits`: the widest of the submission's."""
    own = replace(_LIMITS, wall_s=_LIMITS.wall_s + _STRETCH * limits.wall_s, output_bytes=max(_INTERACTOR_OUTPUT, limits.output_bytes))
    return Job(to_bytes(checker.program), checker.language, "stdin", tuple(_run(checker, test) for test in tests), own, None, stop_on_failure=False)


def _run(checker: ValidatorChecker | InteractiveChecker, test: TestCase) -> TestRun:
    answer = test.output if isinstance(test.output, str) else ""
    return TestRun(b"", ("input", "answer", "feedback/", *checker.args),
                   {"input": to_bytes(test.input or ""), "answer": to_bytes(answer), "feedback/": b""}, note=_MESSAGE)


def validator_ruling(outcome: Outcome) -> Ruling:
    """Raises: BadReference unless it exited with 42 or 43."""
    return _ruling("validator", outcome, outcome.stdout or outcome.stderr)


def interactor_ruling(exchange: Exchange, limits: RunLimits) -> Ruling | None:
    """None where the submission ended first, and badly: what its interactor then made of that does not count.

    Raises: BadReference, MachineBusy.
    """
    program, partner = exchange.program, exchange.partner
    if exchange.partner_first:
        ruling = _ruling("interactor", partner, partner.stderr)
        return replace(ruling, prevails=not ruling.accepted)
    if program.ended is Ended.EXITED and program.exit_code == 0:
        if partner.ended is Ended.STOPPED:
            raise BadReference("the interactor did not end after the program had")
        return _ruling("interactor", partner, partner.stderr)
    if program.ended is Ended.WALL_LIMIT and exchange.lost_s - program.cpu_s > _LOST * limits.wall_s:
        raise MachineBusy(f"the program waited for an answer for {exchange.lost_s:.2f} s in which the interactor had no core, or the answer was "
                          f"on its way, and so met its wall limit of {limits.wall_s:g} s")
    if program.ended is Ended.WALL_LIMIT and exchange.pondered_s > _PONDERS * partner.wall_s:
        raise BadReference(f"the program met its wall limit of {limits.wall_s:g} s while the interactor used {exchange.pondered_s:.2f} s of CPU "
                           "over an answer; raise wall_s, or make the interactor faster")
    return None


def _ruling(what: str, outcome: Outcome, said: bytes) -> Ruling:
    said = to_bytes(outcome.note) or said
    if outcome.ended is Ended.EXITED and outcome.exit_code in (ACCEPTED, REFUSED):
        return Ruling(outcome.exit_code == ACCEPTED, excerpt(said) if said else "")
    if outcome.ended is Ended.STARVED:
        raise MachineBusy(f"the {what} had no core for three times its wall limit")
    end = f"exit code {outcome.exit_code}" if outcome.ended is Ended.EXITED else outcome.ended.value
    raise BadReference(f"the {what} ended with {end}, not 42 or 43; stderr: {excerpt(outcome.stderr)}")


def conversation(exchange: Exchange) -> str:
    """What was said, for people, bounded: `>` by the program, `<` by the interactor."""
    def shown(entries: Sequence[tuple[bool, bytes]]) -> str:
        return " ".join(f"{'>' if by_program else '<'}{data.decode('utf-8', 'replace')!r}" for by_program, data in entries)

    first, last = shown(exchange.said), shown(exchange.last)
    if len(first) + len(last) > 4 * EXCERPT or exchange.omitted:
        last = (last or first)[-2 * EXCERPT:]
        first = first[:2 * EXCERPT] + " ... "
    return (first + last) or "nothing"


def excerpt(text: bytes, tail: bool = False) -> str:
    shown = text[: 4 * EXCERPT].decode("utf-8", "replace")
    shown = shown[-EXCERPT:] if tail else shown[:EXCERPT]
    return repr(shown) + ("..." if not tail and len(text) > EXCERPT else "")
