"""Answers in words: normalised texts, number words, the ways to say that there is no solution."""
from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

__all__ = ["NO_NOUNS", "words_equal", "words_number", "words_quantity"]

NO_NOUNS: Final = frozenset({
    "squared", "cubed", "plus", "minus", "times", "over", "factorial", "divided", "halves", "thirds", "quarters", "fourths", "fifths", "sixths",
    "extraneous", "rejected", "invalid", "impossible", "not", "negative",
    "to", "least", "most", "than", "wrong", "incorrect", "false", "except", "unless", "is", "if"})
"""Behind a number, none of these is what was counted."""
_NO_COUNT: Final = NO_NOUNS | {
    "or", "and", "out", "in", "per", "by", "more", "fewer", "less", "as", "power", "sided", "half", "point", "dozen", "dozens", "score", "pi",
    "root", "roots", "sqrt", "cube", "log", "infinity", "hundredths", "thousandths"}
_NO_SOLUTION: Final = frozenset({
    "no solution", "no solutions", "no real solution", "no real solutions", "none", "empty set", "there is no solution", "there are no solutions",
    "no such number exists", "does not exist",
    "limit does not exist", "doesn't exist", "dne", "no solution exists", "no solutions exist", "impossible", "inconsistent",
    "无解", "不存在", "空集"})
_YES: Final = {"true": "yes", "yes": "yes", "false": "no", "no": "no", "correct": "yes", "incorrect": "no", "是": "yes", "否": "no"}
_INFINITELY_MANY: Final = frozenset({
    "infinitely many", "infinite", "infinitely many solutions", "infinite solutions", "infinite number of solutions", "infinite number",
    "there are infinitely many solutions", "there are infinitely many", "无数", "无数个", "无穷多个"})
_HYPHEN: Final = re.compile(r"(?<=[^\W\d_]{2})\s?-\s?(?=[^\W\d_]{2})")
_AND: Final = re.compile(r"\s*(?:,\s*and\b|,|&|\band\b)\s*")
_SMALL: Final = {word: n for n, word in enumerate((
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"))}
_TENS: Final = {word: 10 * (n + 2) for n, word in enumerate(("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"))}
_PARTS: Final = {"half": 2, "halves": 2, **{ending: n for n, names in {
    3: "third thirds", 4: "quarter quarters fourth fourths", 5: "fifth fifths", 6: "sixth sixths", 7: "seventh sevenths", 8: "eighth eighths",
    9: "ninth ninths", 10: "tenth tenths"}.items() for ending in names.split()}}
_SCALES: Final = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}


def words_equal(a: str, b: str) -> bool:
    """Whether two normalised texts say the same: letter by letter without spaces and punctuation, or as a known phrase."""
    return _canonical(a) == _canonical(b)


def _canonical(text: str) -> str:
    if text in _NO_SOLUTION:
        return "no solution"
    if text in _YES:
        return _YES[text]
    if text in _INFINITELY_MANY:
        return "infinitely many"
    value = words_number(text)
    if value is not None:
        return str(value)
    if any(char.isdigit() for char in text):
        return text                     # "1-2" is not "12"
    return re.sub(r"[\s.;:!?'\"]+", "", _HYPHEN.sub("", _AND.sub(",", text))).strip(",")


def words_number(text: str) -> int | Fraction | None:
    """The number that English words spell: "twenty-one", "three hundred and five", "two thirds", "one and a half"; None for anything else."""
    if len(text) > 100:
        return None
    words = [word for word in re.split(r"[\s-]+", text) if word]
    if len(words) > 1 and words[0] in ("minus", "negative"):
        value = _number(words[1:])
        return None if value is None else -value
    return _number(words)


def words_quantity(text: str) -> tuple[int | Fraction, str] | None:
    """(7, "apples") of "seven apples"; None unless a number and one to three words of what is counted are all of it."""
    words = text.split() if len(text) <= 100 else []
    for cut in range(len(words) - 1, max(0, len(words) - 4), -1):
        value = words_number(" ".join(words[:cut]))
        if value is not None:
            rest = words[cut:]
            nouns = all(len(word) > 1 and word.isalpha() for word in rest) and not _NO_COUNT.intersection(rest) and rest[0] not in _PARTS
            return (value, " ".join(rest)) if nouns else None
    return None


def _number(words: list[str]) -> int | Fraction | None:
    if words and words[-1] in _PARTS:
        return _fraction(words)
    return _integer([word for word in words if word != "and"])


def _fraction(words: list[str]) -> Fraction | None:
    *before, part = words
    if part == "half" and not before:
        return Fraction(1, 2)
    if not before:
        return None
    whole: int | None = 0
    if "and" in before:
        at = len(before) - 1 - before[::-1].index("and")
        whole, before = _integer([word for word in before[:at] if word != "and"]), before[at + 1:]
    above = _integer(before) if before else 1       # one and (a) half
    if whole is None or above is None:
        return None
    return whole + Fraction(above, _PARTS[part])


def _integer(words: list[str]) -> int | None:
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
