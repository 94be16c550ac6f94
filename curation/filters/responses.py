"""Responses that nobody should learn from: those that mix languages, and those that do not come to their end.

Source: MiMo-7B report, 3.1, which names both and gives no rule; these are ours. Code and mathematics are no language. Latin words in a
text of another script are usual (names, terms), sentences are not.
"""
from __future__ import annotations

import re
from collections import Counter
from typing import Final

__all__ = ["mixed_language", "unfinished"]

_SCRIPTS: Final = {
    "Chinese": r"㐀-鿿豈-﫿", "Japanese": r"぀-ヿ", "Korean": r"가-힯", "Cyrillic": r"Ѐ-ӿ", "Arabic": r"؀-ۿ",
    "Hebrew": r"֐-׿", "Devanagari": r"ऀ-ॿ", "Thai": r"฀-๿"}
_LETTERS: Final = {name: re.compile(f"[{ranges}]") for name, ranges in _SCRIPTS.items()}
_NO_PROSE: Final = re.compile(r"```|\$\$|\$[^$\n]*\$|\\\[|\\\(|\\[a-zA-Z]+|`[^`\n]*`")
_CLOSERS: Final = {"```": "```", "$$": "$$", "\\[": "\\]", "\\(": "\\)"}
_LATIN_WORD: Final = re.compile(r"[A-Za-z\u00c0-\u024f]{2,}")
_LATIN_SENTENCE: Final = re.compile(r"(?<![A-Za-z\u00c0-\u024f'])(?:[A-Za-z\u00c0-\u024f']++[ ,;]++){14}[A-Za-z\u00c0-\u024f']+")
_LEAST: Final = 4
"""Letters of a foreign script that are more than a slip of one word ..."""
_SHARE: Final = 0.005
"""... and their share of all letters."""
_LONG: Final = 200_000
"""Characters that are looked at: the first ones for the language, the last ones for the end."""
_OPEN_END: Final = re.compile(
    r"(?:[,:;(\[{=+/<&\\]|(?<!-)-|\b(?:the|an|and|or|of|to|is|are|was|be|by|for|with|that|which|we|if|then|so|because|as|let|thus|from))\s*\Z",
    re.I)
_LOOP: Final = (10, 400, 6)
"""A stretch of so many characters, at least and at most, so many times over at the end, is a loop."""
_LENGTH: Final = frozenset({"length", "max_tokens", "max_length"})


def mixed_language(query: str, response: str) -> str:
    """What tells that the response is not in the language of its query all through, or ""."""
    prose = _prose(response[:_LONG])
    counts = Counter({name: len(pattern.findall(prose)) for name, pattern in _LETTERS.items()})
    asked = {name for name, pattern in _LETTERS.items() if pattern.search(query)}
    if "Japanese" in asked:
        asked.add("Chinese")        # Japanese is written with Chinese characters too
    latin = sum(map(len, _LATIN_WORD.findall(prose)))
    letters = latin + counts.total()
    for name, n in counts.most_common():
        if name not in asked and n >= _LEAST and n >= _SHARE * letters:
            return f"{n} letters of {name} script, of {letters}; none in the query"
    if asked and (sentence := _LATIN_SENTENCE.search(prose)):
        main = _main_script(query)
        if main and main != "Latin":
            return f"sentences in Latin script to a query in {main}: {sentence[0][:100]}"
    return ""


def _prose(text: str) -> str:
    """The text without code and mathematics. What closes neither is looked for once, not for each that opens: this is linear."""
    parts: list[str] = []
    missing: set[str] = set()
    start = at = 0
    while mark := _NO_PROSE.search(text, at):
        at = mark.end()
        if close := _CLOSERS.get(mark[0]):
            end = -1 if close in missing else text.find(close, at)
            if end >= 0:
                at = end + len(close)
            elif close == "```":
                at = len(text)
            else:
                missing.add(close)
                if close != "$$":
                    continue        # \\( alone is left as it is
        parts.append(text[start:mark.start()])
        start = at
    return " ".join([*parts, text[start:]])


def _main_script(text: str) -> str:
    prose = _prose(text)
    counts = Counter({name: len(pattern.findall(prose)) for name, pattern in _LETTERS.items()})
    counts["Latin"] = len(_LATIN_WORD.findall(prose))       # words here, letters there: a Chinese character is about a word
    return counts.most_common(1)[0][0] if counts.total() else ""


def unfinished(response: str, finish_reason: str = "") -> str:
    """What tells that the response does not come to its end, or ""."""
    text = response.rstrip()
    if finish_reason.lower() in _LENGTH:
        return f"finish reason {finish_reason}"
    if not text:
        return "empty"
    if "<think>" in text and "</think>" not in text:
        return "thinking that does not end"
    if text.endswith("</think>"):
        return "nothing after the thinking"
    said = text.rpartition("</think>")[2]
    if said.count("```") % 2:
        return "a code block that does not end"
    if _open_brace(said[-_LONG:]):
        return "a \\boxed{ that does not end"
    if loop := _loop(text):
        return f"repeats itself at the end: {loop[:60]}"
    if end := _OPEN_END.search(text[-40:]):
        return f"ends with {end[0].strip()!r}"
    return ""


def _loop(text: str) -> str:
    least, most, times = _LOOP
    for length in range(least, min(most, len(text) // times) + 1):
        stretch = text[-length:]
        if text[-2 * length:-length] == stretch and text[-times * length:] == stretch * times and len(set(stretch)) > 1:
            return stretch
    return ""


def _open_brace(text: str) -> bool:
    start = text.rfind("\\boxed{")
    if start < 0:
        return False
    depth = 0
    for at in range(start + len("\\boxed"), len(text)):
        if text[at] in "{}" and text[at - 1] != "\\":
            depth += 1 if text[at] == "{" else -1
            if depth == 0:
                return False
    return True
