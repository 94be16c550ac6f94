"""Writes rollouts.jsonl: what two pretended models answered to the problems of pool.jsonl.

`example-sft` is the policy with 16 responses a problem, `example-advanced` the stronger model with 4 to 16. A response is a real
text with a real answer or program in it, put together from authoring/*.toml; nothing says whether it is right. How many of
them are is set there (`solved`, `advanced`), and tests/test_examples.py asserts that grading finds just that.

    python examples/make_rollouts.py    # deterministic; the file is committed
"""
from __future__ import annotations

from random import Random
from typing import Any, Final

from make_pool import load, write_rows

SEED: Final = 7
POLICY: Final = ("example-sft", 16, {"temperature": 1.0, "top_p": 1.0})
ADVANCED: Final = ("example-advanced", 4, {"temperature": 0.6, "top_p": 0.95})

OPENINGS: Final = (
    "Let me work through this step by step.", "We start with what is given.", "Let's think about this carefully.", "Okay.",
    "First, restate the problem in symbols.", "Here is a solution.")
THOUGHTS: Final = (
    "Let me see. This looks familiar, but I should check every step before I answer.",
    "Hmm, a first guess would be $\\boxed{0}$, but that cannot be right. Let me compute it properly.",
    "I need to read the question again. What exactly is asked for?",
    "Let me try small cases first, and then do it in general. Yes, this works.")
SLIPS: Final = (
    "Putting the pieces together I get", "Simplifying this gives", "A quick computation leads to",
    "After collecting terms we are left with")
CUT_OFF: Final = (
    "Let me set up the equations. Write $a$ for the unknown quantity. Then we need to consider several cases. In the first case",
    "There are a few ways to approach this. One could try induction, or a direct count. Let me first try to",
    "I will verify this numerically before I answer. For the first value I obtain a number close to the bound, so")
CODE_OPENINGS: Final = (
    "Here is a solution in Python.", "We can solve this directly.", "The idea is to process the input once and keep the state we need.",
    "Let me think about the edge cases first; then the program is short.", "This is a standard problem.")
CODE_ENDINGS: Final = ("", "\n\nThis handles the edge cases as well.", "\n\nThe running time is fine for the given bounds.", "")


def ending(rng: Random, answer: str) -> str:
    """A final answer in one of the ways models give it; mostly boxed, as they are asked to."""
    return rng.choice((
        f"Therefore the answer is $\\boxed{{{answer}}}$.", f"$$\\boxed{{{answer}}}$$", f"So the final answer is \\boxed{{{answer}}}.",
        f"**Final answer**\n\n\\[\n\\boxed{{{answer}}}\n\\]", f"\\boxed{{{answer}}}", f"The final answer is ${answer}$.",
        f"**Answer:** ${answer}$"))


def thoughtful(rng: Random, text: str) -> str:
    """The text, in part of the cases after a block of thinking."""
    if rng.random() < 0.6:
        return f"{rng.choice(OPENINGS)} {text}"
    return f"<think>\n{rng.choice(THOUGHTS)}\n</think>\n\n{text}"


def math_right(rng: Random, problem: dict[str, Any]) -> str:
    answer = problem["answer"]
    golds = answer if isinstance(answer, list) else [answer]
    said = rng.choice([*golds, *golds, *problem.get("forms", [])])
    return thoughtful(rng, f"{problem['work']}\n\n{ending(rng, said)}")


def math_wrong(rng: Random, problem: dict[str, Any]) -> str:
    kind = rng.random()
    if kind < 0.12:
        return thoughtful(rng, rng.choice(CUT_OFF))     # no answer at all
    said = rng.choice(problem["wrong"])
    if kind < 0.2:
        golds = problem["answer"] if isinstance(problem["answer"], list) else [problem["answer"]]
        return (f"{rng.choice(OPENINGS)} One might think that it is $\\boxed{{{golds[0]}}}$. Wait, that forgets something. "
                f"{rng.choice(SLIPS)} ${said}$ instead.\n\nThe answer is $\\boxed{{{said}}}$.")
    return thoughtful(rng, f"{rng.choice(SLIPS)} ${said}$.\n\n{ending(rng, said)}")


def code_text(rng: Random, program: str) -> str:
    fence = rng.choice(("```python", "```python", "```python3", "```py"))
    return thoughtful(rng, f"{rng.choice(CODE_OPENINGS)}\n\n{fence}\n{program.strip()}\n```{rng.choice(CODE_ENDINGS)}")


def code_wrong(rng: Random, problem: dict[str, Any], used: set[int]) -> str:
    if rng.random() < 0.08:
        return "The key insight is to keep a running state and update it for each item. I would now implement this in Python."
    choices = [n for n in range(len(problem["wrong"])) if n not in used]
    n = rng.choice(choices)
    if n == problem.get("slow"):
        used.add(n)         # a program that runs into its time limit costs a second: once is enough
    return code_text(rng, problem["wrong"][n])


def responses(rng: Random, problem: dict[str, Any], n: int, right: int) -> list[str]:
    used: set[int] = set()
    is_code = "mode" in problem
    out = []
    for k in range(n):
        if is_code:
            out.append(code_text(rng, rng.choice(problem["right"])) if k < right else code_wrong(rng, problem, used))
        else:
            out.append(math_right(rng, problem) if k < right else math_wrong(rng, problem))
    rng.shuffle(out)
    return out


def rollouts(problem: dict[str, Any]) -> list[dict[str, Any]]:
    """At most one row a model."""
    rows = []
    for (model, default, sampling), asked, right in ((POLICY, "rollouts", "solved"), (ADVANCED, "advanced_rollouts", "advanced")):
        n = problem.get(asked, default)
        if n:
            rng = Random(f"{SEED}/{problem['id']}/{model}")
            rows.append({"id": problem["id"], "model": model, "responses": responses(rng, problem, n, problem[right]),
                         "sampling": sampling})
    return rows


def planned() -> list[dict[str, Any]]:
    """The problems that say how many of their responses are right."""
    return [problem for name in ("math", "faults", "code") for problem in load(name)["problem"] if "solved" in problem]


def rollout_rows() -> list[dict[str, Any]]:
    return [row for problem in planned() for row in rollouts(problem)]


if __name__ == "__main__":
    write_rows("rollouts.jsonl", rollout_rows())
