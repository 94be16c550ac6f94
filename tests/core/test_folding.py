"""The compatibility form of texts."""
from __future__ import annotations

import unicodedata

import pytest

from assay.core.folding import nfkc
from assay.core.problem import MathAnswer, Problem

from ..cpu import within

TEXTS = ["", "plain", "é ﬁ ½ ２ 中文 ｶﾞ", "e\u0301" * 100, "≤≥≠" * 40, "—" * 200, "a" + "\u0301\u0316" * 15, "\u0344" * 30, "ﾞ" * 30]


@pytest.mark.parametrize("text", TEXTS)
def test_ordinary_texts_have_the_form_they_always_had(text: str) -> None:
    assert nfkc(text) == unicodedata.normalize("NFKC", text)


FLOODS = {"alternating": "\u0301\u0316" * 100_000, "sorted the wrong way": "\u0301" * 100_000 + "\u0316" * 100_000,
          "half-width": "\uff9e\u0334" * 100_000, "double": "\u0344\u0316" * 100_000}


@pytest.mark.parametrize("name", FLOODS)
def test_a_letter_with_a_flood_of_marks(name: str) -> None:
    with within(1.5):
        assert len(nfkc("a" + FLOODS[name])) >= 200_000
        assert Problem(prompt="a" + FLOODS[name], reward=MathAnswer(answer="1")).id


def test_every_mark_is_known() -> None:
    """A flood of any character that sorts among marks is broken up."""
    chars = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    marks = [char for char in chars if unicodedata.combining(unicodedata.normalize("NFKD", char)[0])]
    assert len(marks) > 800
    assert [hex(ord(mark)) for mark in marks if "\u034f" not in nfkc(mark * 31)] == []
