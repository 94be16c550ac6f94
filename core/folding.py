"""Unicode's compatibility form of a text, in time linear in it.

Python's `unicodedata.normalize` sorts the marks on a character by insertion: a letter with 80,000 of them takes 13 s, and a prompt of such
for ever. Unicode's own remedy is the stream-safe form (UAX #15, section 13): in a run of more than 30 marks, a joiner that says nothing
stands behind every 30. No writing has so many, so every text that people write has the form that it always had.
"""
from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["nfkc"]

_MOST_MARKS: Final = 30
_JOINER: Final = "\u034f"
_VOICED: Final = "\uff9e\uff9f"
"""Half-width marks of Katakana: letters by their class, marks in the compatibility form."""
_MAYBE_MARKS: Final = re.compile(rf"(?:[^\w\s\x00-\x7f]|[{_VOICED}]){{{_MOST_MARKS + 1},}}")


def nfkc(text: str) -> str:
    """The text in NFKC."""
    return text if text.isascii() else unicodedata.normalize("NFKC", _MAYBE_MARKS.sub(_stream_safe, text))


def _stream_safe(found: re.Match[str]) -> str:
    parts: list[str] = []
    marks = 0
    for char in found[0]:
        if not unicodedata.combining(unicodedata.normalize("NFKD", char)[0]):
            marks = 0
        elif marks == _MOST_MARKS:
            parts.append(_JOINER)
            marks = 1
        else:
            marks += 1
        parts.append(char)
    return "".join(parts)
