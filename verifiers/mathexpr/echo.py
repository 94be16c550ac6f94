"""An answer that only repeats the question: "Compute \\sqrt{50}" -> \\boxed{\\sqrt{50}}. Equal, but nothing was solved.

An echo is a formula of the question, or a side of one, that has something to carry out and is built of other parts than the gold. So x + 1
for a gold 1 + x is none, nor is a number, a name, or a formula that the gold itself spells.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from .clean import plain_form
from .tree import Based, Call, Node, Num, Seq, Sym, walk

__all__ = ["is_echo"]

MAX_QUESTION_CHARS: Final = 20_000
_FORMULA: Final = re.compile(r"\$\$?([^$]+)\$\$?|\\\(|\\\[")
_SIDES: Final = re.compile(r"=|\\leq?(?![a-z])|\\geq?(?![a-z])|<|>")


def is_echo(answer: str, answer_node: Node, gold_node: Node, question: str) -> bool:
    """Whether an answer that equals the gold is a formula of the question that was not carried out."""
    if not question or not isinstance(answer_node, Call | Seq) or len(question) > MAX_QUESTION_CHARS:
        return False
    if not any(isinstance(node, Call) and node.op not in ("neg", "percent", "deg") for node in walk(answer_node)):
        return False
    plain = plain_form(answer)
    formulas = [plain_form(formula) for formula in _formulas(question)]
    if not any(plain == formula or plain in _SIDES.split(formula) for formula in formulas):
        return False
    return _parts(answer_node) != _parts(gold_node)


def _formulas(question: str) -> Iterator[str]:
    """What stands in $..$, $$..$$, \\(..\\) and \\[..\\]. A closing bracket that is missing is looked for once, not for each that opens."""
    missing: set[str] = set()
    at = 0
    while opened := _FORMULA.search(question, at):
        at = opened.end()
        if opened[1]:
            yield opened[1]
            continue
        close = {"\\(": "\\)", "\\[": "\\]"}[opened[0]]
        end = -1 if close in missing else question.find(close, at + 1)
        if end < 0:
            missing.add(close)
        else:
            yield question[at:end]
            at = end + len(close)


def _parts(node: Node) -> Counter[object]:
    return Counter(one if isinstance(one, Sym | Based) else one.value for one in walk(node) if isinstance(one, Num | Sym | Based))
