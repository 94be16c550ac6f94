"""Prompts and responses of a pool that a pattern could search without end: linear, whatever they hold."""
from __future__ import annotations

from collections.abc import Callable

import pytest

from assay.curation.decontaminate import Benchmark, find_contamination
from assay.curation.dedup import near_clusters
from assay.curation.filters.question_type import choice_options, language_of, proof_words, type_filter
from assay.curation.filters.responses import mixed_language, unfinished
from assay.curation.items import Item
from assay.curation.recipe import ContaminationRules, TypeRules
from assay.curation.sources.mapping import _quantity
from assay.curation.sources.test_shapes import reward_of_tests
from assay.curation.text import exact_key, words

from ..cpu import within

LONG = 400_000
RULES = TypeRules(proof=True, mcq=True, multipart=True, yes_no=True, needs_figure=True, language=("en",))


def item(prompt: str) -> Item:
    return Item(1, "f", 1, "i", "s", "math", type="math", prompt=prompt, golds=("yes",))


READERS: dict[str, Callable[[str], object]] = {
    "type rules": lambda text: type_filter(RULES)(item(text)), "proof": proof_words, "options": choice_options, "language": language_of,
    "exact key": exact_key, "words": words, "unfinished": unfinished,
    "mixed": lambda text: mixed_language("问题", text), "mixed query": lambda text: mixed_language("问题 " + text, "so " * 20),
}
TEXTS = {
    "formulas that are never closed": "\\[" * (LONG // 2), "parentheses that are never closed": "\\(a" * (LONG // 3),
    "dollars": "$$a" * (LONG // 3) + "$",
    "backticks": "```a" * (LONG // 4), "one word": "a" * LONG, "one word behind Chinese": "中" + "a" * LONG, "spaces": "show" + " " * LONG + "x",
    "lines": "prove\n" * (LONG // 6), "options": "(A) " * (LONG // 4), "parts": "\n(a) " * (LONG // 5), "a figure": "shown in the" + " " * LONG,
    "marks on a letter": "a" + "\u0301\u0316" * (LONG // 2), "other marks": "a" + "\u0301" * (LONG // 2) + "\u0316" * (LONG // 2),
    "words": "ab, " * (LONG // 4), "a word and a gap": "ab" + " " * (LONG // 2) + "1",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("reader", READERS)
def test_a_long_text(reader: str, name: str) -> None:
    with within(1.5):
        READERS[reader](TEXTS[name])


@pytest.mark.parametrize("text", ["where prime find" + " " * 99_000, "where prime " * 8_000, "is " * 33_000 + "where such that",
                                  "where prime find a" + " +a" * 30_000 + " " * 9_000],
                         ids=["spaces", "wheres", "copulas", "a long sum"])
def test_the_form_of_an_answer(text: str) -> None:
    with within(2):
        assert find_contamination([text], [Benchmark("b", ["1"], ["How many primes are there below one hundred?"])], ContaminationRules()) == []


def test_a_gold_of_signs() -> None:
    with within(1):
        prompt = "Find the number of ways to seat seven people at a round table. " * 3
        near_clusters([prompt, prompt + " Now."], ["!" * 50_000 + "1", "!" * 50_000 + "1"], 0.5)


def test_cells_of_a_table() -> None:
    with within(1):
        assert _quantity(" " * 100_000 + "2" * 100_000 + " " * 100_000 + "?", {"s": 1.0}, "s") is None
    assert _quantity(" 2.5 s ", {"s": 1.0}, "") == 2.5
    gap = "\n" * 200_000
    for code in ("assert f(1) == 1\ndef check(f):" + gap + "x", "def check(f): assert f(1)\n" + gap + "check(" + "a." * 50_000 + "?"):
        with within(1):
            reward_of_tests(code, "f", "", "row 1")


def test_a_closing_call_of_check_is_taken_off_as_ever() -> None:
    reward = reward_of_tests("def check(f):\n    assert f(1) == 1\n\n  \ncheck(Solution().go)\n", None, "", "row 1")
    assert reward["entry_point"] == "Solution.go"
    assert reward["test_code"].endswith("assert f(1) == 1\n") and "check(Solution" not in reward["test_code"]


def test_prose_is_what_is_no_formula_and_no_code() -> None:
    assert mixed_language("Сколько будет 2+2?", "Ответ \\(x\\), `код`, ```python\nprint('four')\n``` и $y$, $$z$$, \\[w\\]: 4") == ""
    assert "Chinese" in mixed_language("How many?", "There are \\(2 这是四个 of them")
    assert mixed_language("How many?", "There are \\(2 这是四个\\) of them") == ""
    assert mixed_language("How many?", "There are ``` 这是四个 of them") == ""
