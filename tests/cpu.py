"""A limit of CPU time around what is tested: what misses it by far fails, and does not hang."""
from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import pytest


@contextmanager
def within(cpu_s: float) -> Iterator[None]:
    """Fails the test after so much CPU time of this process, in the middle of a pattern's search too. For the main thread."""
    def late(_: int, __: FrameType | None) -> NoReturn:
        pytest.fail(f"took more than {cpu_s} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
