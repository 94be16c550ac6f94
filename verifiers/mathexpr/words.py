"""Answers in words: normalised texts, number words, the ways to say that there is no solution."""
from __future__ import annotations

import re
from typing import Final

__all__ = ["words_equal", "words_number"]

_NO_SOLUTION: Final = frozenset({
    "no solution", "no solutions", "no real solution", "no real solutions", "none", "empty set", "there is no solution", "there are no solutions",
    "no such number exists", "does not exist", "doesn't exist", "dne", "no solution exists", "no solutions exist", "impossible", "inconsistent",
    "无解", "不存在", "空集"})
_YES: Final = {"true": "true", "yes": "yes", "false": "false", "no": "no", "correct": "true", "incorrect": "false", "是": "yes", "否": "no"}
_SMALL: Final = {word: n for n, word in enumerate((
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"))}
_TENS: Final = {word: 10 * (n + 2) for n, word in enumerate(("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"))}
_SCALES: Final = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}


def words_equal(a: str, b: str) -> bool:
    """Whether two normalised texts say the same: letter by letter without spaces and punctuation, or as a known phrase."""
    return _canonical(a) == _canonical(b)


def _canonical(text: str) -> str:
    if text in _NO_SOLUTION:
        return "no solution"
    if text in _YES:
        return _YES[text]
    value = words_number(text)
    if value is not None:
        return str(value)
    if any(char.isdigit() for char in text):
        return text                     # "1-2" is not "12"
    return re.sub(r"[\s.,;:!?'\"-]+", "", text)


def words_number(text: str) -> int | None:
    """The integer that English number words spell: "twenty-one", "three hundred and five"; None for anything else."""
    if len(text) > 100:
        return None
    words = [word for word in re.split(r"[\s-]+", text) if word and word != "and"]
    if not words:
        return None
    total, current = 0, 0
    for word in words:
        if word in _SMALL:
            if current % 10 and current % 100:
                return None
            current += _SMALL[word]
        elif word in _TENS:
            if current % 100:
                return None
            current += _TENS[word]
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word in _SCALES:
            total += max(current, 1) * _SCALES[word]
            current = 0
        else:
            return None
    return total + current
