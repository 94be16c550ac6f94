"""Properties: a restyled expression is equal, a changed one is not; symmetry; random text never raises and stays in its budget."""
from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from assay.core.math_policy import MathPolicy
from assay.core.verdict import Verdict
from assay.verifiers.math_answer import verify_math
from assay.verifiers.mathexpr.answers import compare_texts
from assay.verifiers.mathexpr.clean import cleaned, plain_form
from assay.verifiers.mathexpr.final_answer import final_answer
from assay.verifiers.mathexpr.parser import parse
from assay.verifiers.mathexpr.tree import Unsupported
from assay.verifiers.mathexpr.values import Work

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
POLICY = MathPolicy()


def same(a: str, b: str) -> bool:
    return compare_texts(a, b, POLICY, Work(5)).same


# An expression as data, so that it can be written in different ways: nested (op, left, right), a number or a variable.
leaves = st.one_of(st.integers(1, 30), st.sampled_from(["x", "y", "n"]), st.tuples(st.just("sqrt"), st.integers(2, 30), st.just(0)))
expressions = st.recursive(leaves, lambda inner: st.tuples(st.sampled_from(["+", "-", "*", "/", "^"]), inner, inner), max_leaves=6)


def latex(e: object) -> str:
    match e:
        case ("sqrt", inner, _):
            return f"\\sqrt{{{inner}}}"
        case ("+", a, b):
            return f"({latex(a)} + {latex(b)})"
        case ("-", a, b):
            return f"({latex(a)} - {latex(b)})"
        case ("*", a, b):
            return f"{latex(a)} \\cdot {latex(b)}"
        case ("/", a, b):
            return f"\\frac{{{latex(a)}}}{{{latex(b)}}}"
        case ("^", a, _):
            return f"({latex(a)})^{{2}}"
        case _:
            return str(e)


def restyled(e: object) -> str:
    """The same in plain text, with sums and products the other way round."""
    match e:
        case ("sqrt", inner, _):
            return f"sqrt({inner})"
        case ("+", a, b):
            return f"({restyled(b)}+{restyled(a)})"
        case ("-", a, b):
            return f"(-{restyled(b)}+{restyled(a)})"
        case ("*", a, b):
            return f"({restyled(b)}*{restyled(a)})"
        case ("/", a, b):
            return f"(({restyled(a)})/({restyled(b)}))"
        case ("^", a, _):
            return f"({restyled(a)})**2"
        case _:
            return str(e)


def has_value(e: object) -> bool:
    """No division by what is zero everywhere."""
    return not same(latex(e) + "-" + latex(e), "1") and same(f"({latex(e)}) - ({latex(e)})", "0")


@SETTINGS
@given(expressions)
def test_restyled_is_equal(e: object) -> None:
    assume(has_value(e))
    assert same(latex(e), restyled(e))
    assert same(restyled(e), latex(e))


@SETTINGS
@given(expressions, st.integers(1, 9))
def test_changed_is_different(e: object, change: int) -> None:
    assume(has_value(e))
    assert not same(latex(e), f"{restyled(e)}+{change}")
    assert not same(f"{restyled(e)}+{change}", latex(e))


@SETTINGS
@given(st.fractions(max_denominator=10**6))
def test_fractions(value: Fraction) -> None:
    n, d = value.numerator, value.denominator
    ways = [f"{n}/{d}", f"\\frac{{{n}}}{{{d}}}", f"\\dfrac{{{3 * n}}}{{{3 * d}}}", f"-\\frac{{{-n}}}{{{d}}}"]
    if abs(n) > d:
        ways.append(f"{'-' if n < 0 else ''}{abs(n) // d}\\frac{{{abs(n) % d}}}{{{d}}}" if abs(n) % d else str(n // d))
    for way in ways:
        assert same(ways[0], way) and same(way, ways[0]), way
        assert not same(f"{n + 1}/{d}", way)


@SETTINGS
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_lists_and_tuples(items: list[int], random: object) -> None:
    shuffled = sorted(items, key=lambda item: (item * 7919) % 101)
    bare, moved = ", ".join(map(str, items)), ", ".join(map(str, shuffled))
    assert same(bare, moved) and same(f"\\{{{bare}\\}}", f"\\{{{moved}\\}}")
    assert same(f"({bare})", f"({moved})") is (items == shuffled)
    assert not same(bare, ", ".join(map(str, items[:-1])))
    assert not same(bare, bare + ", 51")


@SETTINGS
@given(st.integers(-99, 99), st.integers(1, 50), st.booleans(), st.booleans())
def test_intervals(low: int, width: int, left: bool, right: bool) -> None:
    high = low + width
    interval = f"{'[' if left else '('}{low}, {high}{']' if right else ')'}"
    less = {True: "\\le", False: "<"}
    chain = f"{low} {less[left]} x {less[right]} {high}"
    assert same(interval, chain) and same(chain, interval)
    assert same(f"x \\in {interval}", chain)
    assert not same(chain, f"{'(' if left else '['}{low}, {high}{']' if right else ')'}")
    assert not same(chain, interval.replace(str(high), str(high + 1)))


@SETTINGS
@given(st.integers(-50, 50), st.integers(-50, 50))
def test_coordinates_by_name(x: int, y: int) -> None:
    point = f"({x}, {y})"
    for way in (f"x={x}, y={y}", f"y={y}, x={x}", f"P({x}, {y})", f"({x}, {y})^T",
                f"\\left\\{{\\begin{{array}}{{l}}x={x}\\\\y={y}\\end{{array}}\\right."):
        assert same(point, way) and same(way, point), way
    for way in (f"x={y}, y={x}", f"y={x}, x={y}", f"P({y}, {x})"):
        assert same(point, way) is (x == y), way
    if y:
        assert same(point, f"{x}\\mathbf{{i}}+({y})\\mathbf{{j}}") and not same(point, f"{x}\\mathbf{{i}}-({y})\\mathbf{{j}}")


@SETTINGS
@given(st.integers(-50, 50), st.integers(2, 40), st.integers(-5, 5))
def test_residues(r: int, m: int, k: int) -> None:
    for way in (f"n \\equiv {r + k * m} \\pmod{{{m}}}", f"n\\equiv {r + k * m}\\ (\\text{{mod }} {m})", f"n \\equiv {r + k * m} \\mod {m}"):
        assert same(f"n\\equiv {r} \\pmod {{{m}}}", way) and same(way, f"n\\equiv {r} \\pmod {{{m}}}"), way
    assert not same(f"n\\equiv {r} \\pmod {{{m}}}", f"n\\equiv {r + 1} \\pmod{{{m}}}")
    assert not same(f"n\\equiv {r} \\pmod {{{m}}}", f"n\\equiv {r} \\pmod{{{m + 1}}}")


@SETTINGS
@given(st.integers(1, 99), st.integers(1, 7), st.sampled_from(["\\%", "^\\circ"]))
def test_the_mark_behind_a_fraction_is_the_numbers(whole: int, eighths: int, mark: str) -> None:
    exact = f"{whole + eighths / 8}{mark}"
    for way in (f"{whole} {eighths}/8{mark}", f"{whole}\\frac{{{eighths}}}{{8}}{mark}", f"{8 * whole + eighths}/8{mark}"):
        assert same(exact, way) and same(way, exact), way
        assert not same(f"{whole + (eighths + 1) / 8}{mark}", way)


TOKENS = ["\\frac", "{", "}", "(", ")", "[", "]", "\\{", "\\}", "1", "2", "x", "n", "+", "-", "*", "/", "^", "_", "=", "<",
          "\\le", ",", ";", "\\sqrt", "\\sin", "\\log", "!", "%", "|", "\\left", "\\right", "\\begin{pmatrix}",
          "\\end{pmatrix}", "&", "\\\\", "\\text{cm}", "\\text{", "\\infty", "\\cup", "\\pm", "\\cdots", " ", "$", "\\boxed{",
          "answer is", "and", "or", "'", ".", "^\\circ", "\\in", "\\mathbb{R}", "\\sum", "\\int", "0"]
TOKENS += ["①", "²", "₃", "٣", "½", "𝟙", "−", "√", "∞", "９", "9" * 50, "1,234", "0.5", "1e9", "_2", "_{10}", "th", "million", "log", "PM", "12:30",
           "(A)", "A.", "\\left]", "\\right[", "\\pmod", "\\mid", ":", "\\setminus"]
soups = st.lists(st.sampled_from(TOKENS), max_size=25).map("".join)


@SETTINGS
@given(st.one_of(soups, st.text(max_size=60)), st.one_of(soups, st.text(max_size=60)))
def test_soup_never_raises_and_is_symmetric(a: str, b: str) -> None:
    for text in (a, b):
        final_answer(text)
        final_answer(f"\\boxed{{{text}}}")
        plain_form(text)
        try:
            parse(text)
        except Unsupported as error:
            assert error.slug
    first, second = compare_texts(a, b, POLICY, Work(5)), compare_texts(b, a, POLICY, Work(5))
    assert first.same == second.same


@SETTINGS
@given(st.one_of(soups, st.text(max_size=60)))
def test_cleaning_is_idempotent(text: str) -> None:
    once = cleaned(text)
    assert cleaned(once).replace(" ", "") == once.replace(" ", "")


@settings(max_examples=40, deadline=None)
@given(soups)
def test_any_response_gets_a_verdict_within_the_budget(text: str) -> None:
    grade = verify_math("7", f"\\boxed{{{text}}}")
    assert grade.verdict in (Verdict.AC, Verdict.WA, Verdict.NA)
    assert grade.cpu_s < 1.1


@pytest.mark.parametrize("text", ["\\boxed{}", "x", "\\frac{1}{2}", "a" * 1000])
def test_the_answer_of_an_answer_is_itself(text: str) -> None:
    once = final_answer(f"\\boxed{{{text}}}")
    assert final_answer(f"The answer is \\boxed{{{text}}}.") == once
