"""What to run and what it did: the sandbox's own vocabulary. It knows nothing of problems, expected outputs or verdicts.

    Job(program, mode, entry_point, tests)  ->  Compiled | CompileFailed, then one Outcome a test, in order
    a Job and its partner's                 ->  Compiled | CompileFailed | PartnerFailed, then one Exchange a test, in order

The words of an `Outcome` are the kernel's (it exited, a signal ended it, a limit was met); verifiers/code_tests.py joins them to
verdicts, in one function.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

__all__ = ["CompileFailed", "Compiled", "Ended", "Exchange", "Job", "Mode", "Outcome", "PartnerFailed", "RunLimits", "TestRun"]

Mode = Literal["stdin", "call", "assert"]


class Ended(StrEnum):
    """How a run ended."""

    EXITED = "exited"
    """By itself, with `exit_code`."""
    SIGNALLED = "signalled"
    """By a signal, `signal`, that was not ours."""
    CPU_LIMIT = "cpu_limit"
    WALL_LIMIT = "wall_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    STARVED = "starved"
    """It waited for a core three times as long as its wall limit: nothing is known of the program."""
    STOPPED = "stopped"
    """By the host, since what it would do did not matter any more (of an `Exchange` only)."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Limits of one run. `memory_bytes` and `processes` count the whole process tree, `output_bytes` stdout and stderr each."""

    cpu_s: float
    wall_s: float
    memory_bytes: int
    output_bytes: int
    processes: int
    file_bytes: int


@dataclass(frozen=True, slots=True)
class TestRun:
    """One run of the program.

    stdin mode: `data` is its standard input, `argv` its arguments, `files` (relative name -> content) lie in its work folder.
    call mode: `data` is UTF-8 JSON {"args": [...], "kwargs": {...}}. assert mode: `data` is the test code.
    """

    __test__ = False
    data: bytes = b""
    argv: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    limits: RunLimits | None = None
    """Limits of this run where they differ from the job's."""
    note: str = ""
    """A file below its work folder whose first 2 KiB are to come back as the outcome's `note`."""


@dataclass(frozen=True, slots=True)
class Job:
    """One program and the runs asked of it. `stop_on_failure` ends the job after the first run that did not exit with 0.

    `preamble` is Python that runs before a Python program, whose names fall back on what it defines; other languages go without it.
    `typed` (call mode) asks for results that keep Python's types apart; sandbox/agent.py, `encode_typed`, says how.
    """

    source: bytes
    language: str
    mode: Mode
    tests: tuple[TestRun, ...]
    limits: RunLimits
    entry_point: str | None = None
    stop_on_failure: bool = True
    preamble: bytes = b""
    typed: bool = False
    taken_up: Callable[[], None] | None = field(default=None, compare=False, repr=False)
    """Called when a slot takes it up: from then on its time counts. (`Compiled` may come as late as the end of the first run.)"""


@dataclass(frozen=True, slots=True)
class Compiled:
    """The program is ready to run (for an interpreted language: its syntax was checked inside the sandbox)."""

    cpu_s: float = 0.0
    wall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CompileFailed:
    """The program cannot be compiled. `reason`: `compile_error`, `compile_limit`, `language_absent` or `unknown_language`; `preamble_error`
    where the preamble itself does not run: that is not the program's fault, and is known before anything of the program runs;
    `machine_busy` where the compiler had no core (as `Ended.STARVED`)."""

    reason: str
    message: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PartnerFailed:
    """The partner of an interaction cannot be compiled."""

    failure: CompileFailed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run did.

    `stdout` holds at most `output_bytes`, `stderr` an excerpt of at most 64 KiB. `result` is what call mode got back: JSON text of
    exact built-in types, or None where the call never returned; `nodes` says that it was a linked list or tree, where null is as good
    as the empty list; in assert mode `completed` says that the test code ran to its end.
    `error` is one line about a Python exception in call and assert mode (`ValueError: ...`), `""` where there was none.
    `note` is the beginning of the file that the run was asked to leave.
    `awaited_s` and `held_s` are of a run that talks, at its end: for how long it had waited for an answer, and had owed one.
    `wall_s` is the time from start to end; of a run that was stopped, or reached its wall limit because the machine was busy, without the
    time in which it was ready and had no core (that time does not count towards the limit either).
    """

    ended: Ended
    exit_code: int | None = None
    signal: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    result: bytes | None = None
    completed: bool = False
    error: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_bytes: int | None = None
    nodes: bool = False
    note: str = ""
    awaited_s: float = 0.0
    held_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One test of an interaction: what the program and its partner did, each reading what the other prints.

    `partner_first`: the partner ended before the program did; what the program did afterwards may be a consequence. `pondered_s`: CPU
    seconds of the partner since it last said something; `lost_s`: seconds of the program's last wait for an answer in which the partner
    had no core, or the words were on their way. `said` is what was printed, by whom (True: the program), in order; of a long exchange
    its beginning, then `omitted` bytes are left out, and `last` is its end.
    """

    program: Outcome
    partner: Outcome
    partner_first: bool
    pondered_s: float = 0.0
    said: tuple[tuple[bool, bytes], ...] = ()
    omitted: int = 0
    last: tuple[tuple[bool, bytes], ...] = ()
    lost_s: float = 0.0
