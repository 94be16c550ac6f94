from __future__ import annotations

import asyncio

import pytest

from assay import CodeTests, Grade, Program, Verdict
from assay.verifiers.repeats import Repeats

REWARD = CodeTests()
A, B = Program("a"), Program("b")


class Counter:
    def __init__(self, verdict: Verdict = Verdict.AC, wait_s: float = 0.01) -> None:
        self.calls = 0
        self.verdict, self.wait_s = verdict, wait_s

    async def __call__(self) -> Grade:
        self.calls += 1
        await asyncio.sleep(self.wait_s)
        return Grade(self.verdict, None if self.verdict is Verdict.IE else 1.0, "x")


def test_the_same_program_is_graded_once() -> None:
    async def main() -> int:
        repeats, count = Repeats(), Counter()
        await asyncio.gather(*(repeats.once(REWARD, Program("a"), count) for _ in range(9)))
        await repeats.once(REWARD, A, count)
        return count.calls

    assert asyncio.run(main()) == 1


def test_other_programs_languages_and_problems_are_not_the_same() -> None:
    async def main() -> int:
        repeats, count = Repeats(), Counter()
        for reward, program in [(REWARD, A), (REWARD, B), (REWARD, Program("a", "cpp")), (CodeTests(), A)]:
            await repeats.once(reward, program, count)
        return count.calls

    assert asyncio.run(main()) == 4


def test_a_fault_is_not_shared() -> None:
    async def main() -> int:
        repeats, count = Repeats(), Counter(Verdict.IE)
        await asyncio.gather(*(repeats.once(REWARD, A, count) for _ in range(3)))
        return count.calls

    assert asyncio.run(main()) == 3


def test_when_the_first_is_cancelled_another_takes_over() -> None:
    async def main() -> tuple[int, list[Verdict]]:
        repeats, count = Repeats(), Counter(wait_s=600)
        tasks = [asyncio.create_task(repeats.once(REWARD, A, count)) for _ in range(3)]
        while not count.calls:
            await asyncio.sleep(0)
        count.wait_s = 0.01
        tasks[0].cancel()
        grades = await asyncio.gather(*tasks[1:])
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        return count.calls, [grade.verdict for grade in grades]

    assert asyncio.run(main()) == (2, [Verdict.AC, Verdict.AC])


def test_only_the_last_problems_are_remembered() -> None:
    async def main() -> int:
        repeats, count = Repeats(problems=2), Counter(wait_s=0)
        rewards = [CodeTests() for _ in range(3)]
        for reward in [*rewards, rewards[0]]:
            await repeats.once(reward, A, count)
        return count.calls

    assert asyncio.run(main()) == 4
