"""Texts of a policy that a pattern, a parser or exact arithmetic could compute at without end. Each is as long as it may be.

A pattern holds Python's lock while it searches, and so does an operation on large integers: no other thread of a trainer or service runs,
and no budget ends it. So the limit of 0.5 s is for ten times the same text; before each was mended, once took 0.1 s to hours.
"""
from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from assay.core.checkers import (
    Checker,
    ExactChecker,
    FloatChecker,
    JsonChecker,
    LcbChecker,
    LinesChecker,
    SortedChecker,
    TokensChecker,
    UnorderedChecker,
)
from assay.core.math_policy import MathPolicy
from assay.core.problem import Program
from assay.verifiers.adapters.columns import Reader
from assay.verifiers.adapters.messages import SampleFault, without_end
from assay.verifiers.check_golds import check_gold
from assay.verifiers.checkers import check_output, check_value
from assay.verifiers.extract import extract_program
from assay.verifiers.mathexpr.answers import Outcome, compare_texts
from assay.verifiers.mathexpr.values import Work

from ..cpu import within

CHARS = 7_990
BUDGET_S = 0.2
RUN = " " * CHARS


def many(part: Callable[[int], str], times: int) -> str:
    return "".join(map(part, range(times)))[:CHARS]


def compared(gold: str, answer: str, question: str = "") -> Outcome:
    return compare_texts(gold, answer, MathPolicy(), Work(BUDGET_S), question)


PATTERNS = {
    "spaces before an ordinal's ending": "1^" + RUN + "2",
    "spaces in an ordinal's braces": "1^{\\text{" + RUN + "x",
    "spaces in a group of text": "\\text{" + RUN + "x",
    "spaces in a letter's braces": "5\\mathrm{" + RUN + "x",
    "spaces in a label": "\\text{is" + RUN + "x",
    "spaces behind dollars": "$$x$$" + RUN + "x",
    "spaces behind a letter": "A" + RUN + "x",
    "ands": "and " * (CHARS // 4) + "1",
    "a decimal that nearly repeats": "0." + "1" * 3_990 + "2...",
    "a base without its brace": "\\mathbb{" + "a " * 3_000,
}


@pytest.mark.parametrize("name", PATTERNS)
def test_an_answer_that_patterns_search(name: str) -> None:
    with within(0.5):
        for _ in range(10):
            assert not compared("\\sqrt{2}+1", PATTERNS[name]).same


def test_a_gold_of_one_long_word() -> None:
    with within(0.5):
        for _ in range(10):
            assert not compared("a" * CHARS + " {", "1").same
    with within(0.5):
        for _ in range(10):
            check_gold("a" * CHARS + " {")


@pytest.mark.parametrize("question", ["\\(" * 10_000, "\\[" * 10_000, "$" * 19_999], ids=["parentheses", "brackets", "dollars"])
def test_a_question_of_formulas_that_are_never_closed(question: str) -> None:
    with within(0.5):
        for _ in range(10):
            assert compared("1+x", "x+1", question).same


def test_formulas_of_a_question_are_found_as_ever() -> None:
    for question in ("\\(x+0+1\\)", "\\[ y \\] and \\(x+0+1\\)", "\\( \\[x+0+1\\]", "$$x+0+1$$", "\\[ $x+0+1$"):
        assert compared("x+1", "x+0+1", question).reason == "echo"


ARITHMETIC = {
    "a sum of large fractions": many(lambda n: f"+1/(3^{{{90_000 + n}}}+1)", 200),
    "large fractions in a list": many(lambda n: f"\\frac{{3^{{90000}}+1}}{{7^{{50000}}+{n}}},", 100) + "1",
    "large fractions in a set": "\\{" + many(lambda n: f"\\frac{{3^{{90000}}+1}}{{7^{{50000}}+{n}}},", 100) + "1\\}",
    "a least common multiple": "lcm(" + many(lambda n: f"2^{{{140_000 + n}}}+1,", 80) + "1)",
    "large powers in a set": "\\{" + many(lambda n: f"3^{{{90_000 + n}}},", 127) + "1\\}",
    "large remainders": many(lambda n: f"+(3^{{90000}} \\bmod 7^{{7{n % 10}00}})", 150),
    "factorials of halves": many(lambda n: f"+({n + 9_000}.5)!", 300),
    "factorials of roots": many(lambda n: f"+(\\sqrt{{{n + 2}}})!", 230),
    "binomials": many(lambda n: f"+\\binom{{{n + 16_000}.5}}{{{n + 7_000}.3}}", 200),
    "sines": many(lambda n: f"+\\sin(10^{{40{n % 10}}}x)", 150),
    "powers of a variable": "\\sin(x)" + many(lambda n: f"+x^{{2^{{1499{n % 10}}}}}", 150),
    "units in high powers": "2 " + "lightyear^9 " * 300 + "3 " + "mile^9 " * 300,
    "a unit to a power, to a power": "2 mile " + "^ 9 " * 700,
    "unions that meet": "(" + many(lambda n: f"({n},{n}.5)\\cup", 150) + "(0,1))\\cap(" + many(lambda n: f"({n},{n}.5)\\cup", 150) + "(0,1))",
    "inequalities": many(lambda n: f"-x<3^{{{40_000 + n}}},", 60) + "x<3",
    "a chain of percents": "5" + "%" * 2_000,
    "a chain of quotients": "/".join("2" * 1_000),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_an_answer_that_is_computed(name: str) -> None:
    """Within the budget, whatever it is compared with: another number, its own like, and the other way round."""
    text = ARITHMETIC[name]
    like = text[:-2] + "7" + text[-1]
    for gold, answer in (("\\sqrt{2}+1", text), ("\\{1, 2\\}", text), (text, like), (like, text)):
        with within(BUDGET_S + 0.6):
            assert not compared(gold, answer).same


def test_what_is_exact_stays_so() -> None:
    for gold, answer in (("10001", "\\frac{10001!}{10000!}"), ("\\frac{1}{3^{4000}}", "3^{-4000}"), ("x^{10^{30}+1}", "x\\cdot x^{10^{30}}"),
                         ("0.1666...", "1/6"), ("0.142857142857142857...", "1/7"), ("12!", "lcm(12!, 2^{10})"), ("0", "gcd(0, 0)")):
        assert compared(gold, answer).same, (gold, answer)
    assert not compared("x^{10^{30}}", "x^{10^{30}+1}").same


LONG_NUMBER = "9" * 390 + "e3999"


@pytest.mark.parametrize(("gold", "answer"), [
    ("4D_{16}", LONG_NUMBER + " D"), ("1", f"{LONG_NUMBER} = 1, y = 2 or {LONG_NUMBER} = 1, y = 2"),
    ("f(1)=1, f(2)=2", f"f({LONG_NUMBER})=1, f(2)=2"), ("5", "5" + "%" * 2_000), ("5" + "%" * 2_000, "5" + "%" * 1_999), ("3" + "!" * 2_000, "3"),
    ("1", " or ".join(["1/(3^{90000}+1)+1/(3^{90001}+1)"] * 120)),
], ids=["in a base", "an alternative", "a label", "percents", "percents as a gold", "factorials as a gold", "alternatives"])
def test_nothing_is_raised(gold: str, answer: str) -> None:
    """Not by a number that Python does not print, nor by a chain of operations deeper than its stack."""
    with within(1):
        assert not compared(gold, answer).same


# -- programs --------------------------------------------------------------------------------------------------------------------------

MB = 1 << 20
RESPONSES = {
    "backticks": "x" + "`" * 200_000 + "!",
    "backticks that end the line": "`" * 200_000 + "x`\n",
    "spaces behind a fence": "```" + " " * 200_000 + "`\n",
    "tildes and spaces": "~~~" * 60_000 + " " * 60_000 + "`",
    "fences in a sentence": "```a " * 60_000,
    "answer tags": "<answer>" * 60_000 + "</answer> " * 60_000 + "x",
    "brackets": "(" * 60_000,
    "signs": "x=" + "-" * 60_000,
    "lines": "\n*a," * 16_000,
    "too long a program": "x=1\n" * 60_000,
}


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_without_a_program(name: str) -> None:
    with within(1):
        extract_program(RESPONSES[name])


def test_a_program_with_an_odd_escape_is_one() -> None:
    source = 'import re\nprint(re.findall("\\d", input()))'
    assert extract_program(source) == Program(source)


CHECKERS: list[Checker] = [TokensChecker(), ExactChecker(), LinesChecker(), FloatChecker(abs=1e-6), UnorderedChecker(), SortedChecker(), LcbChecker(),
                           JsonChecker(abs=1e-6)]
OUTPUTS = {
    "digits and a letter": b"1" * 4 * MB + b"x", "digits": b"1" * 4 * MB, "digits behind a point": b"0." + b"1" * 4 * MB + b"x",
    "an exponent of digits": b"1e" + b"1" * 4 * MB, "points": b"1." * 2 * MB, "spaces": b" " * 4 * MB + b"x", "brackets": b"[" * 4 * MB,
    "long integers": b"[" + (b"1" * 4_300 + b",") * 800 + b"1]", "exponents": b"1e999999999999 " * 200_000, "no text": b"\xff" * 4 * MB,
}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("checker", CHECKERS, ids=lambda one: one.type)
def test_an_output(checker: Checker, name: str) -> None:
    with within(1):
        assert check_output(checker, OUTPUTS[name], b"1.5 2\n")
        assert check_value(checker, OUTPUTS[name], [1.5, 2])


def test_numbers_are_numbers_as_ever() -> None:
    checker = FloatChecker(rel=1e-9)
    for text in ("1", "1.", "1.0", "+1e0", "10E-1", "1.00000000001", ".1e1"):
        assert check_output(checker, text.encode(), b"1.0000") is None
    for text in ("1..", "1e", "e1", ".", "1.0.0", "0x1", "1_0", "nan", "inf", "1f"):
        assert check_output(checker, text.encode(), b"1.0000")


def test_the_first_byte_that_differs_is_told() -> None:
    text = b"ab" * 4 * MB
    with within(1):
        size = len(text) + 1
        assert check_output(ExactChecker(), text + b"c", text + b"d") == f"byte {size} differs ({size} bytes, expected {size})"
        assert "byte 1 " in str(check_output(ExactChecker(), b"x" + text, text))
        assert f"byte {size} " in str(check_output(ExactChecker(), text + b"c", text))


def test_a_list_of_another_length_is_not_spelled_out() -> None:
    with within(1.5):
        assert check_value(UnorderedChecker(), b"[" + b"[]," * 400_000 + b"1]", [[1] * 20_000]) == "more than the expected 1 items"
    assert check_value(UnorderedChecker(), b"[1]", [1, 2]) == "fewer than the expected 2 items"


# -- samples of a framework ------------------------------------------------------------------------------------------------------------

def test_marks_of_the_end() -> None:
    for mark in ("</s>", "[PAD] ", "<eos>\n"):
        with within(0.6):
            assert without_end("so it is 7" + mark * 100_000) == "so it is 7"
    assert without_end("7 </s> \n") == "7 " and without_end("7 \n") == "7 \n" and without_end("</s>") == ""


LABELS = {"spaces": " " * 200_000 + "x", "a list": " " * 100_000 + "[" + " " * 100_000 + "{", "a key": "{'" + "a" * 200_000}


@pytest.mark.parametrize("name", LABELS)
def test_a_label(name: str) -> None:
    with within(1):
        Reader().spec({"answer": LABELS[name]})


@pytest.mark.parametrize("depth", [300, 700, 980, 100_000])
def test_a_label_that_is_nested_deeply(depth: int) -> None:
    nested = '{"inputs": [' + "[" * depth + "]" * depth + '], "outputs": [[1]], "fn_name": "f"}'
    per_line = {"inputs": ["[" * depth + "]" * depth], "outputs": ["1"], "fn_name": "f"}
    deep: list[object] = []
    for _ in itertools.repeat(None, depth):
        deep = [deep]
    for label in (nested, per_line, {"type": "code", "mode": "call", "entry_point": "f", "tests": [{"args": [deep], "output": 1}]}):
        try:
            Reader().spec({"reward": label})
        except SampleFault as fault:
            assert fault.slug == "bad_reference"
