"""Right answers stay right when threads run at the same time: the points of a comparison must be one value for all."""
from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from assay import verify_math
from assay.verifiers.mathexpr import values


@pytest.fixture
def fast_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("fast_switching")
def test_two_threads_meet_a_new_variable_at_once() -> None:
    verdicts: Counter[str] = Counter()
    for n in range(300):
        barrier = threading.Barrier(2)

        def work(name: str = f"x_{{{n}}}", barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            verdicts[verify_math(f"{name}^3 - 8", rf"\boxed{{-8 + {name}^3}}").verdict.value] += 1

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert verdicts == {"AC": 600}


def test_an_emptied_cache_changes_no_point() -> None:
    before = values._point_modulo("x", 0), values._point("x", 1), values._prime()
    for cached in (values._point_modulo, values._point, values._prime):
        cached.cache_clear()
    assert (values._point_modulo("x", 0), values._point("x", 1), values._prime()) == before
