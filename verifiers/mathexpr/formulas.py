r"""The formulas of a text: `$..$`, `$$..$$`, `\(..\)`, `\[..\]`, from left to right, in time linear in the text.

One pattern for all four would look through the rest of the text again for each opening sign that nothing closes.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["Formula", "formula_at", "formulas", "without_formulas"]

_OPENING: Final = re.compile(r"\$\$|(?<!\\)\$|\\[(\[]")
_TO_DOLLAR: Final = re.compile(r"((?:\\.|[^$\\])+)\$", re.S)
_CLOSING: Final = {"$$": "$$", "\\(": "\\)", "\\[": "\\]"}


@dataclass(frozen=True, slots=True)
class Formula:
    """`inside` is without its signs and the white space around it; `start` and `end` are places in the text, signs included."""

    start: int
    end: int
    inside: str


def formulas(text: str, at: int = 0) -> Iterator[Formula]:
    """Those from `at` on that are closed and hold something; they do not overlap."""
    missing: set[str] = set()       # closing signs of which there is none behind `at`
    while opening := _OPENING.search(text, at):
        found = _closed(text, opening, missing)
        if found is None:
            at = opening.start() + 1
        else:
            yield found
            at = found.end


def formula_at(text: str, at: int = 0) -> Formula | None:
    """The formula that starts at `at`, if one does."""
    opening = _OPENING.match(text, at)
    return _closed(text, opening, set()) if opening else None


def without_formulas(text: str, instead: str) -> str:
    """The text with `instead` in the place of each formula."""
    parts: list[str] = []
    at = 0
    for formula in formulas(text):
        parts += text[at:formula.start], instead
        at = formula.end
    return "".join([*parts, text[at:]])


def _closed(text: str, opening: re.Match[str], missing: set[str]) -> Formula | None:
    start, inside = opening.span()
    if opening[0] == "$":
        body = _TO_DOLLAR.match(text, inside)
        return Formula(start, body.end(), body[1].strip()) if body else None
    closing = _CLOSING[opening[0]]
    if closing in missing:
        return None
    end = text.find(closing, inside + 1)
    if end < 0:
        missing.add(closing)
        return None
    return Formula(start, end + len(closing), text[inside:end].strip())
