"""Exact keys, near duplicates and contamination: what is the same, and what only looks alike."""
from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from assay.curation.decontaminate import Benchmark, find_contamination
from assay.curation.dedup import exact_clusters, near_clusters
from assay.curation.recipe import ContaminationRules, Recipe
from assay.curation.text import Tokens, exact_key, ngrams, words

from .support import reasons, run, write_rows

SAME = [
    ("What is $\\frac{1}{2} + 1$?", "what is  \\(\\dfrac{1}{2}+1\\)"),
    ("Find $x$ in \\[x+1=2\\].", "Find $x$ in $$x + 1 = 2$$"),
    ("Solve  for\n x : $\\left( x \\right)^2 = 4$", "Solve for x: $(x)^2=4$"),
    ("Let $A = \\begin{pmatrix} 1 & 2 \\\\ -3 & x \\end{pmatrix}$", "let \\(A=\\begin{pmatrix}1&2\\\\\n-3&x\\end{pmatrix}\\)"),
    ("$\\frac1{x}$ or\\ 77", "$\\dfrac1{x}$ or\\\n77"),
    ("Ｗｈａｔ ｉｓ １+１?", "What is 1+1?"),
]
DIFFERENT = [
    ("What is 3+4?", "What is 3-4?"),
    ("What is 1 1?", "What is 11?"),
    ("Find x_1 and x_2", "Find x_12"),
    ("Price: \\$5 and 5", "Price: 5 and 5"),
    ("Find the last digit of 5!", "Find the last digit of 5"),
    ("Find f(x)", "Find f[x]"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_formatting_is_nothing(a: str, b: str) -> None:
    assert exact_key(a) == exact_key(b)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_symbols_are_something(a: str, b: str) -> None:
    assert exact_key(a) != exact_key(b)


def test_words() -> None:
    assert words("One half, $\\frac{1}{2}$: 中文 x2") == ["one", "half", "frac", "1", "2", "中", "文", "x", "2"]
    assert words("\\left(2\\cdot\\dfrac12\\right)\\! **5**! \\leftarrow") == ["2", "cdot", "frac", "12", "5", "!", "leftarrow"]
    assert words("重kg水果") == ["重", "kg", "水", "果"]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_the_same_key_means_the_same_tokens(a: str, b: str) -> None:
    assert words(a) == words(b)
    first, second = Tokens([a, b]).digests().tolist()
    assert first == second


def test_tokens_taken_and_changed() -> None:
    tokens = Tokens(["a b", "c \\, d", "", "e"])
    spelled = lambda t: [[t.vocabulary.words[i] for i in t.of(n)] for n in range(len(t))]  # noqa: E731
    assert spelled(tokens.take(np.array([3, 1]))) == [["e"], ["c", "d"]]
    assert spelled(tokens.changed({0: "x", 2: "a c"})) == [["x"], ["c", "d"], ["a", "c"], ["e"]]


def test_ngrams_stay_within_a_prompt() -> None:
    tokens = Tokens(["a b c d", "", "e", "b c d e"])
    hashes, owners, starts = ngrams(tokens, 3)
    assert owners.tolist() == [0, 0, 3, 3]
    assert [tokens.ids[s:s + 3].tolist() for s in starts] == [[1, 2, 3], [2, 3, 4], [2, 3, 4], [3, 4, 5]]
    assert hashes[1] == hashes[2] and len(np.unique(hashes)) == 3


STORY = ("A gardener plants tulips in rows of equal length, and each row gets two more bulbs than the last one; the first has {} bulbs. "
         "How many bulbs are in the first {} rows taken together, if none of them is eaten by mice?")


def test_near_duplicates_name_the_same_numbers() -> None:
    prompts = [STORY.format(5, 8), STORY.format(5, 8).replace("mice", "voles"), STORY.format(6, 8), STORY.format(5, 9)]
    [cluster] = near_clusters(prompts, ["96", "96", "104", "117"], 0.8)
    assert cluster.members == (0, 1) and 0.8 <= cluster.similarity[1] < 1


def test_golds_that_differ_need_more_likeness() -> None:
    prompts = [STORY.format(5, 8), STORY.format(5, 8).replace("taken", "put")]
    assert near_clusters(prompts, ["96", "96"], 0.8)
    assert not near_clusters(prompts, ["96", "97"], 0.8)


FIGURE = STORY.replace("How many bulbs are in", "In the figure of the garden the bed is drawn in red. How many bulbs are in") + " " + STORY


def test_two_questions_about_one_figure_are_two() -> None:
    """0.95 alike with golds that differ: joined only where one holds the other."""
    first, second = FIGURE.format(5, 8, 5, 8), FIGURE.format(5, 8, 5, 8).replace("drawn in red", "drawn in blue")
    assert near_clusters([first * 4, second * 4], ["96", "96"], 0.6)
    assert not near_clusters([first * 4, first * 3 + second], ["96", "97"], 0.6)
    [cluster] = near_clusters([first * 4, "Please solve it. " + first * 4], ["96", "97"], 0.6)
    assert cluster.similarity[1] >= 0.95


def test_golds_that_only_formatting_tells_apart() -> None:
    assert near_clusters([STORY.format(5, 8), STORY.format(5, 8).replace("mice", "voles")], ["\\frac{9}{6}", "$\\dfrac{9}{6}$"], 0.8)
    assert not near_clusters([STORY.format(5, 8), STORY.format(5, 8).replace("mice", "voles")], ["\\text{odd}", "\\text{odd}"], 0.8)


def test_exempt_sources_are_not_joined() -> None:
    prompts = [STORY.format(5, 8), STORY.format(5, 8).replace("mice", "voles")]
    assert not near_clusters(prompts, ["96", "96"], 0.8, [True, True])
    assert near_clusters(prompts, ["96", "96"], 0.8, [True, False])


_TASK = "Given the list of {} in port, return how many of them weigh more than the mean of all {}, as a number.\n```python\ndef count(x):\n```"
_ASKED = "Please write one function in a markdown block.\n\n"


def _framed(around: int, inner: str, outer: str, *, code: bool = True) -> bool:
    """Whether a task and the same with something around it are found, where so many other prompts have that around them."""
    others = [outer.replace(inner, f"Number the {name} by colour, and the {name} of one colour by age.") for name in
              ["ants", "bees", "cows", "deer", "elks", "foxes", "gulls", "hens", "ibises", "jays"][:around]]
    prompts = [inner, outer, *others]
    clusters = near_clusters(prompts, [f"tests {n}" for n in range(len(prompts))], 0.5, code=[code] * len(prompts))
    assert all(cluster.members == (0, 1) for cluster in clusters)
    return bool(clusters)


def test_one_task_in_two_frames_is_one_task() -> None:
    """Two sources of one programming task have other tests, and other words on how to answer."""
    task = _TASK.format("ships", "ships")
    assert _framed(7, task, _ASKED + task)
    assert _framed(9, task, task + "\n\nRead from standard input: nothing. Write no comments.")
    assert _framed(7, task, _ASKED + task + "\n\nWrite no comments.")


@pytest.mark.parametrize(("around", "outer", "code"), [
    (6, _ASKED + "{}", True), (10, _ASKED + "{}", False), (10, "In 3 lines. {}", True), (10, "Not what follows but its opposite {}", True),
    (10, _ASKED + "{}".replace("{}", "x {}"), True),
], ids=["seven prompts have the frame", "math, with other golds", "a number more", "no sentence", "a word more"])
def test_more_than_a_frame_is_another_task(around: int, outer: str, code: bool) -> None:
    task = _TASK.format("ships", "ships")
    assert not _framed(around, task, outer.format(task), code=code)


def test_a_longer_task_is_no_frame() -> None:
    """The same words go on: in another order, or with another condition that eight tasks happen to have."""
    names = ["ants", "bees", "cows", "deer", "elks", "foxes", "gulls", "hens", "ibises", "jays"]
    tasks = [f"Write a function to sort the given list of {name} by weight and then by age" for name in names]
    prompts = [prompt for task in tasks for prompt in (f"{task}.", f"{task} in descending order.")]
    assert not near_clusters(prompts, [str(n) for n in range(20)], 0.5, code=[True] * 20)


def test_tests_of_code_that_differ_are_no_conflict(tmp_path: Path) -> None:
    rows = [{"id": f"{'framed' if frame else 'bare'}-{name}", "prompt": frame + _TASK.format(name, name),
             "reward": {"type": "code", "tests": [{"input": f"{name} {n}\n", "output": "1\n"} for n in range(2 + bool(frame))]}}
            for name in ("ships", "boats", "rafts", "junks", "yawls", "skiffs", "punts", "dhows") for frame in ("", _ASKED)]
    run(tmp_path / "c.duckdb", write_rows(tmp_path / "pool.jsonl", rows), recipe=Recipe(stages=("ingest", "duplicates")))
    found = reasons(tmp_path / "c.duckdb")
    assert {found[str(row["id"])] for row in rows if str(row["id"]).startswith("framed")} == {"kept"}      # it has more tests
    assert {found[str(row["id"])] for row in rows if str(row["id"]).startswith("bare")} == {"dup.near"}


def test_near_clusters_against_all_pairs() -> None:
    """Recall against the definition, on random texts with edits."""
    dice = random.Random(7)
    vocabulary = [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(300)]
    prompts = []
    for _ in range(60):
        base = [dice.choice(vocabulary) for _ in range(60)]
        prompts.append(" ".join(base))
        edited = list(base)
        for _ in range(dice.randrange(1, 3)):
            edited[dice.randrange(len(edited))] = dice.choice(vocabulary)
        prompts.append(" ".join(edited))

    def shingles(text: str) -> set[tuple[str, ...]]:
        found = text.split()
        return {tuple(found[n:n + 3]) for n in range(len(found) - 2)}

    true = {(a, a + 1) for a in range(0, 120, 2)
            if len(shingles(prompts[a]) & shingles(prompts[a + 1])) / len(shingles(prompts[a]) | shingles(prompts[a + 1])) >= 0.8}
    found = {cluster.members for cluster in near_clusters(prompts, ["1"] * 120, 0.8)}
    assert len(true) > 20
    assert found == true


def test_exact_clusters() -> None:
    [cluster] = exact_clusters(["A b?", "c", "a  b", "", ""])
    assert cluster.members == (0, 2)


ITEM = ("Seven lanterns hang along a harbour wall and each of them blinks with its own period of whole seconds; "
        "after how many seconds do all of them blink at once again?")
RULES = ContaminationRules()


def hits(prompts: list[str], *items: str, rules: ContaminationRules = RULES) -> list[tuple[int, str]]:
    bench = Benchmark("b", [str(n) for n in range(len(items))], items)
    return [(hit.prompt, hit.rule) for hit in find_contamination(prompts, [bench], rules)]


def test_a_shared_run_is_a_hit() -> None:
    prompts = ["Nothing of it.", f"Read this: {ITEM} Answer in seconds.", ITEM.upper().replace(" ", "  ")]
    assert hits(prompts, ITEM) == [(1, "ngram"), (2, "ngram")]


def test_one_token_less_is_none() -> None:
    shared = " ".join(f"tok{chr(97 + n)}" for n in range(16))
    item = f"{shared} and then the item goes on in words that are all its own, far away from any pool"
    fifteen = shared.rsplit(" ", 1)[0]
    assert hits([f"before {shared} after"], item) == [(0, "ngram")]
    assert hits([f"before {fifteen} after"], item) == []


def test_short_items_are_compared_whole() -> None:
    assert hits(["Compute $17^2 - 13^2$.", "Compute 17^2 - 13^2 and double it."], "compute \\(17^2-13^2\\)") == [(0, "short_exact")]
    assert hits(["Compute 17^2 - 13^2"], "compute 17^2-13^2", rules=ContaminationRules(short_exact=False)) == []


def test_boilerplate_is_nobodys() -> None:
    tail = "Give your answer as a single integer on a line of its own without any words units or punctuation around it please"
    prompts = [f"Puzzle {chr(97 + n) * 5} about {chr(110 - n) * 4}. {tail}" for n in range(12)]
    assert hits(prompts, f"What is the tallest tower of them all? {tail}") == []
    form = "can be written as $\\frac mn$, where $m$ and $n$ are relatively prime positive integers. Find $m+n$."
    assert hits([f"The odds of a draw in that match {form}"], f"The share of lanterns that a sailor sees from her cabin {form}") == []
    assert hits(["1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 is the input"], "Given 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 what then?") == []


def test_many_copies_are_still_copies() -> None:
    assert {prompt for prompt, _ in hits([f"{ITEM} ({n})" for n in range(40)], ITEM)} == set(range(40))


@pytest.mark.parametrize("item", [
    "There are n values of x where f(x) = sin(7 pi sin(5x)) = 0. For t of these values the graph is tangent to the axis. Find $n+t$.",
    "What is the area of the triangle? [asy] draw((0,0)--(2,3)--(10,0)--cycle); label('10 cm',(5,3),N); label('3 cm',(0,1),W); [/asy]",
    "The number $(\\sqrt{2}+\\sqrt{3})^3$ can be written as $a\\sqrt 2 + b\\sqrt 3$, where $a$ and $b$ are integers. What is $a+b$?",
])
def test_a_copy_is_found_whatever_it_is_made_of(item: str) -> None:
    assert [prompt for prompt, _ in hits(["Nothing of it.", f"Question. {item} Answer:"], item)] == [1]


def test_edited_copies_are_covered() -> None:
    edited = ITEM.replace("along", "above").replace("again?", "once more?")
    assert hits([edited], ITEM, rules=ContaminationRules(ngram=40, coverage=0.9)) == []
    assert hits([edited], ITEM, rules=ContaminationRules(ngram=40, coverage=0.6)) == [(0, "coverage")]


def test_the_span_is_what_is_shared() -> None:
    [hit] = find_contamination([f"x {ITEM}"], [Benchmark("b", ["i"], [ITEM])], RULES)
    assert hit.span == " ".join(words(ITEM)) and hit.item_id == "i" and hit.benchmark == "b"


def test_cjk_characters_are_tokens() -> None:
    item = "一共有二百八十千克水果糖每袋装四分之一千克已经装完了"
    assert hits([f"请问:{item}多少袋?"], item) == [(0, "ngram")]


def test_yes_and_no_are_poor_golds() -> None:
    prompts = [STORY.format(5, 8), STORY.format(5, 8).replace("mice", "voles").replace("taken", "put")]
    assert near_clusters(prompts, ["96", "96"], 0.7)
    assert not near_clusters(prompts, ["True", "True"], 0.7)


@pytest.mark.parametrize(("a", "b", "same"), [
    ("0.8333333333", "0.8333333333333334", True), ("5.6666666667", "5.666666666666667", True), ("-0.1666666667", "-0.16666666666666666", True),
    ("0.8333333333", "0.8333333343333334", False), ("0.83", "0.8333333333", False), ("0.8333333333", "5/6", False), ("1.0000000", "1", False)])
def test_decimals_of_other_lengths_are_no_conflict(a: str, b: str, same: bool) -> None:
    from assay.curation.stages import _same_decimal

    assert _same_decimal(a, b) == _same_decimal(b, a) == same
