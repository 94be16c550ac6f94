"""Formulas of a text, told from the pattern that says what they are."""
from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.verifiers.mathexpr.formulas import formula_at, formulas, without_formulas

PATTERN = re.compile(r"\$\$(.+?)\$\$|(?<!\\)\$((?:\\.|[^$\\])+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.S)
"""What a formula is. It takes quadratic time where signs are not closed."""


@given(st.lists(st.sampled_from(["$", "$$", "\\(", "\\)", "\\[", "\\]", "\\", "\\$", "x", " ", "1", "\n", "\\\\["]), max_size=14).map("".join))
def test_they_are_those_of_the_pattern(text: str) -> None:
    expected = [(match.start(), match.end(), next(part for part in match.groups() if part is not None).strip()) for match in PATTERN.finditer(text)]
    assert [(formula.start, formula.end, formula.inside) for formula in formulas(text)] == expected
    assert without_formulas(text, "_") == PATTERN.sub("_", text)
    for at in range(len(text)):
        match, formula = PATTERN.match(text, at), formula_at(text, at)
        assert (match and match.span()) == (formula and (formula.start, formula.end))


@pytest.mark.parametrize("again", ["\\(", "\\[", "$$ ", "\\$", "$\\$", "\\( $$ \\["])
def test_signs_that_nothing_closes(again: str) -> None:
    before = time.process_time()
    assert len(list(formulas(again * 100_000))) <= 100_000
    assert time.process_time() - before < 1.5
