"""Words and signs for which LaTeX has a spelling, put into that spelling before an answer is read.

    3 (mod 7)                          3 \\pmod{7}
    all real numbers except 2          \\mathbb{R}\\setminus\\{2\\}
    3 \\text{ to } 4                    3:4
    2k\\pi \\text{ for } k \\in Z        2k\\pi                      a condition that only says what the letter is
    +/- 2                              \\pm 2
    90^o, 90\\degree                    90^\\circ
"""
from __future__ import annotations

import re
from typing import Final

__all__ = ["spelled_out"]

_TEXT: Final = r"\\(?:text|mathrm|mbox|textrm|rm|operatorname)\s?\{"
_DEGREE: Final = re.compile(r"(?<![\^{])\\(?:text)?degree(?![A-Za-z])")
_RAISED_O: Final = re.compile(rf"(?<=\d)\s?\^\s?(?:o(?![A-Za-z])|\{{\s?(?:{_TEXT}\s?o\s?\}}|o)\s?\}}|{_TEXT}\s?o\s?\}})")
_MODULUS: Final = re.compile(rf"\(\s?(?:{_TEXT}\s?mod\s?\}}|\\b?mod(?![A-Za-z])|mod)(?:\\[,;: ]|\s){{0,4}}(\d{{1,12}}|[a-z])\s?\)")
_EXCEPT: Final = re.compile(
    rf"\s?({_TEXT})?\s?all\s(?:real\snumbers|reals|real\svalues)\sexcept\s?(?:for)?\s?(\}})?\s?(?:x\s?=)?", re.I)
_TO: Final = re.compile(rf"\s?(\d{{1,12}})\s?(?:{_TEXT}\s?to\s?\}}|to)\s?(\d{{1,12}})\s?")
_CONDITION: Final = re.compile(
    rf"(?:,|\s|\\[,;: ]|\\q?quad)*{_TEXT}\s?,?\s?(?:for|where|with)(?:\s(?:all|any|every|some|each))?(?:\s(?:integers?|real))?\s?\}}"
    r"\s?\$?(?:[A-Za-z]\s?\\in\s?\\mathbb\s?\{?[A-Z]\}?(?:\^[+*])?|[ijkmn]\s?(?:\\geq?(?:slant)?|>=)\s?[01])\s?\$?\s*$")
MAX_CONDITION_CHARS: Final = 120
_ANY: Final = re.compile(r"mod|degree|\^o|o\}|\+/-|\+-|to|except|for|where|with")


def spelled_out(text: str) -> str:
    """The text with such phrases in LaTeX; linear, and untouched where none of their letters is there."""
    if not _ANY.search(text):
        return text
    if "mod" in text:
        text = _MODULUS.sub(r"\\pmod{\1}", text)
    if "degree" in text:
        text = _DEGREE.sub(r"^\\circ ", text)
    if "^o" in text or "o}" in text:
        text = _RAISED_O.sub(r"^\\circ ", text)
    if "+/-" in text:
        text = text.replace("+/-", "\\pm ")
    if text.startswith("+-"):
        text = "\\pm " + text[2:]
    if "to" in text and (both := _TO.fullmatch(text)):
        return both[1] + ":" + both[2]
    if "except" in text and (but := _EXCEPT.match(text)):
        rest = text[but.end():]
        return "\\mathbb{R}\\setminus\\{" + (rest.rstrip().removesuffix("}") if but[1] and not but[2] else rest) + "\\}"
    if ("for" in text or "where" in text or "with" in text) and (
            condition := _CONDITION.search(text, max(0, len(text) - MAX_CONDITION_CHARS))) and condition.start():
        return text[:condition.start()]
    return text
