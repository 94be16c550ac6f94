"""all_tests, difficulty_soft and difficulty_strict on one toy problem whose tests have real tiers: which of them teaches, and how fast.

    python examples/rl/compare_rewards.py [--steps 80] [--seeds 5] [--plot rewards.svg]

The problem: print the mean of the integers on standard input, rounded down; 0 if there are none. A program has four places with four
variants each, of which one is right (256 programs); the policy is a softmax for each place, trained with GRPO's advantages over groups of
16. The tiers are measured: 128 rollouts of the untrained policy give each test's pass rate, which `assay curate` would cluster likewise.
Every program is run, in the sandbox. Printed and plotted: the share of each step's samples that pass every test, the mean of the seeds.
"""
from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import statistics
from pathlib import Path
from typing import Any

from assay import Grader, Problem, Program, Verdict
from assay.curation.recipe import TierRules
from assay.curation.tiers import tiers_of

PLACES: tuple[tuple[str, ...], ...] = (
    ("xs = list(map(int, open(0).read().split()))", "xs = list(map(int, input().split()))", "xs = [int(input().split()[0])]",
     "xs = list(map(float, open(0).read().split()))"),
    ("if not xs: print(0); raise SystemExit", "", "if not xs: print(-1); raise SystemExit", "xs = [x for x in xs if x]"),
    ("m = sum(xs) // len(xs)", "m = int(sum(xs) / len(xs))", "m = round(sum(xs) / len(xs))", "m = sorted(xs)[len(xs) // 2]"),
    ("print(m)", "print(abs(m))", "print(int(str(m)[:9]))", "print(float(m))"),
)
INPUTS = ("4\n", "2 2\n", "1 3\n", "5 5 5\n", "1 2\n", "3 4 9\n", "-3 -4\n", "5 -8\n", "", "9007199254740993 9007199254740993\n",
          "123456789012345678 2\n", "-1 -1 -2\n")
SCHEMES = ("all_tests", "difficulty_soft", "difficulty_strict")
RULES = TierRules()
"""Three clusters, with the scores 1, 2, 3: assay's defaults, the report gives none."""
GROUP = 16
RATE = 0.5


def golden(text: str) -> str:
    xs = [int(x) for x in text.split()]
    return f"{sum(xs) // len(xs) if xs else 0}\n"


def problem(tiers: list[int] | None = None) -> Problem:
    tests: list[dict[str, Any]] = [{"input": text, "output": golden(text)} for text in INPUTS]
    reward: dict[str, Any] = {"type": "code", "tests": tests, "limits": {"cpu_s": 2, "memory_mb": 128}, "stop_on_failure": False}
    if tiers is not None:
        for test, tier in zip(tests, tiers, strict=True):
            test["tier"] = tier
        reward["tiers"] = {"scores": RULES.scores[:max(tiers) + 1]}
    return Problem.model_validate({"prompt": "Print the mean of the integers, rounded down; 0 if there are none.", "reward": reward})


def program(choice: tuple[int, ...]) -> Program:
    return Program("\n".join(place[n] for place, n in zip(PLACES, choice, strict=True)))


def measured_tiers(rollouts: int = 128, seed: int = 0) -> tuple[list[int], list[float]]:
    """Each test's tier and pass rate over rollouts of the untrained policy."""
    draw = random.Random(seed)
    choices = [tuple(draw.randrange(len(place)) for place in PLACES) for _ in range(rollouts)]
    with Grader("local", reward="fraction") as grader:
        grades = grader.grade_many([(problem(), program(choice)) for choice in dict.fromkeys(choices)])
    passed = dict(zip(dict.fromkeys(choices), grades, strict=True))
    rates = [statistics.mean(passed[choice].cases[n].verdict is Verdict.AC for choice in choices) for n in range(len(INPUTS))]
    return tiers_of(rates, RULES), rates


def trained(grader: Grader, task: Problem, steps: int, seed: int) -> list[float]:
    """The share of samples that pass every test, step by step."""
    draw = random.Random(seed)
    weights = [[0.0] * len(place) for place in PLACES]
    solved: list[float] = []
    for _ in range(steps):
        policy = [softmax(row) for row in weights]
        choices = [tuple(draw.choices(range(len(row)), row)[0] for row in policy) for _ in range(GROUP)]
        grades = grader.grade_many([(task, program(choice)) for choice in choices])
        solved.append(statistics.mean(grade.verdict is Verdict.AC for grade in grades))
        kept = [(choice, grade.score) for choice, grade in zip(choices, grades, strict=True) if grade.score is not None]
        scores = [score for _, score in kept]
        spread = statistics.pstdev(scores) if len(scores) > 1 else 0.0
        if spread == 0:
            continue        # dynamic sampling would drop the group: nothing is to be learnt from it
        mean = statistics.mean(scores)
        for choice, score in kept:
            for place, (row, chosen) in enumerate(zip(policy, choice, strict=True)):
                for n, p in enumerate(row):
                    weights[place][n] += RATE * (score - mean) / spread * ((n == chosen) - p) / len(kept)
    return solved


def softmax(row: list[float]) -> list[float]:
    top = max(row)
    powers = [math.exp(x - top) for x in row]
    return [x / sum(powers) for x in powers]


def plotted(curves: dict[str, list[float]]) -> str:
    """The curves as an SVG picture."""
    width, height, left, top = 640, 360, 48, 24
    colours = ("#c0392b", "#2471a3", "#229954")
    steps = max(map(len, curves.values()))
    x = lambda n: left + n * (width - left - 150) / max(1, steps - 1)     # noqa: E731
    y = lambda share: top + (1 - share) * (height - 2 * top - 16)          # noqa: E731
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        out.append(f'<path d="M{left} {y(share):.1f}H{x(steps - 1):.1f}" stroke="#ddd"/><text x="{left - 6}" y="{y(share) + 4:.1f}" '
                   f'text-anchor="end">{share:g}</text>')
    for n in range(0, steps, max(1, steps // 4)):
        out.append(f'<text x="{x(n):.1f}" y="{y(0) + 16:.1f}" text-anchor="middle">{n}</text>')
    out.append(f'<text x="{left}" y="{height - 6}">step</text><text x="{left}" y="14">share of samples that pass every test</text>')
    for n, (name, curve) in enumerate(curves.items()):
        points = " ".join(f"{x(i):.1f},{y(share):.1f}" for i, share in enumerate(curve))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colours[n % 3]}" stroke-width="2"/>'
                   f'<text x="{x(steps - 1) + 8:.1f}" y="{top + 16 + 18 * n}" fill="{colours[n % 3]}">{name}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rollouts", type=int, default=128, help="of the untrained policy, for the tiers")
    parser.add_argument("--plot", type=Path, help="write the curves there, as SVG")
    options = parser.parse_args()
    tiers, rates = measured_tiers(options.rollouts)
    for text, rate, tier in sorted(zip(INPUTS, rates, tiers, strict=True), key=lambda row: -row[1]):
        print(f"tier {tier}  pass rate {rate:.2f}  {text!r}")
    task = problem(tiers)
    right = next(choice for choice in itertools.product(*(range(len(place)) for place in PLACES)) if not any(choice))
    curves: dict[str, list[float]] = {}
    for scheme in SCHEMES:
        with Grader("local", reward=scheme) as grader:
            assert grader.grade(task, program(right)).score == 1
            runs = [trained(grader, task, options.steps, seed) for seed in range(options.seeds)]
        curves[scheme] = [statistics.mean(step) for step in zip(*runs, strict=True)]
    tail = max(1, options.steps // 8)
    print(json.dumps({scheme: {"last": round(statistics.mean(curve[-tail:]), 3), "mean": round(statistics.mean(curve), 3)}
                      for scheme, curve in curves.items()}))
    if options.plot:
        options.plot.write_text(plotted(curves))


if __name__ == "__main__":
    main()
