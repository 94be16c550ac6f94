"""From a response to the text of its final answer. Rules, in order; the first that finds something decides:

1. Only the text after `</think>` counts; reasoning that is never closed has no answer.
2. The last brace-matched `\\boxed{..}` (or `\\fbox`, or `\\boxed 5`). Boxes before it that are joined to it by nothing but commas,
   "and", "or", white space and a name ("and y =") are one list with it. A sign right before the box belongs to it.
   A "final answer is ..." after the last box is later, so it wins. An empty box is the answer that was committed to: none.
   Where `<answer>..</answer>` stands, the last of the two kinds is the answer: rules 2 to 6 look into the tags. Tags side by side are a
   list, as boxes are; tags that are not closed reach to the end (a stop string is cut off).
3. `#### 42`, the last one.
4. "final answer is", "answer is", "answer:", 答案是, Ответ: .. the last one; what follows, up to the end of its sentence.
   "The solutions are ..", if the text ends with them.
5. A text that is nothing but an answer: one short line without a sentence.
6. What the text ends on: bold text, a formula, "it's B", a tuple, else the last number, all of the last paragraph only.

Which answer is right plays no part here. Everything is linear in the text, of which at most MAX_TEXT_CHARS from its end are read.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..extract import after_thinking
from .formulas import Formula, formula_at, formulas, without_formulas

__all__ = ["Found", "Missing", "final_answer", "gold_answer"]

MAX_TEXT_CHARS: Final = 200_000
MAX_ANSWER_CHARS: Final = 8_000
"""A longer answer is no answer that anybody could check."""
MAX_DIFFERENT_BOXES: Final = 12
"""More different boxes than this in one answer text are a spray, not steps of a solution."""
MAX_BOXES: Final = 256
"""Boxes that are looked at, from the end."""
MAX_NESTED_BOXES: Final = 4
MAX_JOINED_BOXES: Final = 64
MAX_MARKS: Final = 16
"""Markers that are looked at, from the end: one counts unless nothing follows it."""
MAX_STATEMENT_CHARS: Final = 2 * MAX_ANSWER_CHARS
MAX_ANSWERS_CHARS: Final = 400
"""Before the end of a text, for a "the solutions are .." that it ends with."""
MAX_WHOLE_CHARS: Final = 200
MAX_WHOLE_WORDS: Final = 3
"""A line with more words is a sentence, not an answer and its unit."""
_MAX_INDENT: Final = 200
LONG_GOLD_CHARS: Final = 200
"""A longer gold may be a whole solution, whose "final answer is" counts."""

_SPECIAL: Final = re.compile(r"<\|(?:im_start|im_end|endoftext|eot_id|end)\|>|</s>|<｜end▁of▁sentence｜>")
_BRACE: Final = re.compile(r"\\.|[{}]", re.S)
_TOKEN: Final = re.compile(r"\\[A-Za-z]+|[-+]?\d+|\S")
_BOX: Final = re.compile(r"\\f?boxed\b|\\fbox\b|\\boxed(?=[{\d])")
_JOIN: Final = re.compile(
    r"(?:\s|\$|\\[()\[\],;!: ]|\\q?quad|\\(?:text|mbox|textrm|mathrm)\s*\{\s*(?:(?:,|;|and|or|且|或|和)\s*)?\}"
    r"|[,;，；、&~*]|\\\\|\band\b|\bor\b|\\land\b|\\lor\b|和|或|以及|与)*")
_FINAL: Final = re.compile(
    r"final\s+(?:answer|result)\b[^\S\n]*(?:(?:\*\*?|__?)[^\S\n]*)?(?:(?::|：|=|\bis\b)[^\S\n]*)+"
    r"|最终答案[为是：:\s]+|最后答案[为是：:\s]+", re.I)
_ANSWER: Final = re.compile(
    r"\b(?:answer|solution|result)\b[^\S\n]*(?:(?:\*\*?|__?)[^\S\n]*)?(?:(?::|：|=|\bis\b|\bequals\b)[^\S\n]*)+(?:\*\*|__)?"
    r"|\banswer\b\s*(?=\$|\\\(|\\\[)|答案[^\S\n]*[为是：:]+|(?:故|所以)?(?:答案|结果)(?:应)?(?:选|为|是)|故选[：:]?|Ответ\s*[:：-]"
    r"|\b(?:Antwort|respuesta|réponse|risposta|resposta)\b\s*(?:ist|est|es|è|é|:)(?!\w)\s*", re.I)
_ANSWERS: Final = re.compile(       # the last sentence of all
    r"\b(?:answers|solutions|roots)\s+are\b:?\s*(?=(?:\$|\\\(|\\\[|[-−+]?\d|[a-z]\s*=)(?:(?!\.\s)[^\n]){0,300}\Z)", re.I)
_TAG: Final = re.compile(r"<(/?)answer>", re.I)
_HASHES: Final = re.compile(r"^[^\S\n]*####[^\S\n]*(\S[^\n]*)$", re.M)
_SENTENCE_END: Final = re.compile(r"[.!?](?=\s|$|\*|<)|。|！|\n")
_STOP: Final = re.compile(r"(?<![\s,;(])[\s,;(]+(?:because|since|as\s+(?:the|we|it)|where|which|so|thus|hence|given|but|when|not|rather|instead"
                          r"|for\s+(?:all|any|every)|by\s+the)\b|，|；|因为", re.I)
_COPULA: Final = re.compile(r"\b(?:is|are|equals|equal\s+to|be|was|were)\b[:\s]+"
                            r"(?:\b(?:just|simply|therefore|thus|then|approximately|about|equal\s+to)\b[\s:]+)*", re.I)
_JOINED_FORMULAS: Final = re.compile(r"\s*(?:,|;|and|or|,\s*and|,\s*or|和|或|、)\s*", re.I)
_SAYS: Final = re.compile(
    r"[^\W\d_]{3,}\s*[:：]|#|\*\*|[。，！]|\b(?:is|are|was|the|that|this|we|it|he|she|so|not|because|think|therefore|thus|hence|maybe|has|have|gets?)\b",
    re.I)
_LONG_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_COMMAND: Final = re.compile(r"\\[A-Za-z]+")
_BOLD: Final = re.compile(r"\*\*([^*\n]{1,200})\*\*")
_BOLD_LETTER: Final = re.compile(r"\*\*\s*\(?([A-J])\)?\.?\s*\*\*\s*(?:[.!]\s*)?$")
_RIGHT_OPTION: Final = re.compile(r"\b(?:option|choice)\s+\(?([A-J])\)?\s+is\s+(?:the\s+)?(?:correct|right)\b[^.\n]{0,40}[.!]?\s*$", re.I)
_TUPLE: Final = re.compile(r"\((?:\s*[-−+]?[\d./]{1,30}\s*,){1,9}\s*[-−+]?[\d./]{1,30}\s*\)\s*\.?\s*$")
_LETTER: Final = re.compile(r"(?:\bit'?s|\bis|\bchoose|\bselect|\bpick|\boption|\bchoice|选)\s*(?::\s*)?\(?([A-J])\)?\s*(?:[.!]\s*)?$")
_NUMBER: Final = re.compile(r"[-−+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+)(?:[eE][-+]?\d+\b)?(?:\s*/\s*\d+)?(?:\s*\\?%)?")
_SAID_WHEN: Final = re.compile(rf"(?:\b(?:is|are|equals)|=)\s({_NUMBER.pattern})\s(?:when|because|since|if)\s[^\n]{{1,200}}$")
_DENIED: Final = re.compile(r"(?:\b(?:not|never|cannot)|n['’]t)\s(?:be\s|equal\s)?(?:to\s)?[-−+]?[\d.,/]{1,40}\s?[.!]?$")
_ENDS_OF_PROOFS: Final = frozenset({"\\blacksquare", "\\square", "\\Box", "\\qed"})
_NAME_BEFORE: Final = re.compile(r"(?:^|(?<=[\s$(\[{,;]))([A-Za-z](?:_\{?\w{1,3}\}?)?)\s?=\s?(?:\$|\\[(\[])?\s?$")
_MAX_NAME_CHARS: Final = 24


@dataclass(frozen=True, slots=True)
class Found:
    """The text of an answer. `how` is the rule that found it: boxed, hashes, marker, bold, formula, letter, number."""

    text: str
    how: str


@dataclass(frozen=True, slots=True)
class Missing:
    """No answer; `reason` is a slug."""

    reason: str


def final_answer(text: str) -> Found | Missing:
    """The final answer of a response, or why there is none."""
    if len(text) > MAX_TEXT_CHARS:
        text = text[-MAX_TEXT_CHARS:]
    rest = after_thinking(text)
    if rest is None:
        return Missing("unfinished_reasoning")
    if special := _SPECIAL.search(rest):
        rest = rest[:special.start()] if special.start() > 0 else rest[special.end():]
    if not rest.strip():
        return Missing("empty_response")
    inside, behind = _tagged(rest) if "<" in rest else (None, rest)
    if inside is not None and not (_BOX.search(behind) or _FINAL.search(behind)):
        rest = inside
        if not rest.strip():
            return Missing("empty_answer")
    boxed = _boxed(rest) if "box" in rest else None
    if isinstance(boxed, Missing):
        return boxed
    found = boxed[0] if boxed else None
    tail = rest[boxed[1]:] if boxed else rest
    later = _final_statement(tail) if boxed else None
    if boxed and not later:
        return Found(found or "", "boxed") if len(found or "") <= MAX_ANSWER_CHARS else Missing("answer_too_long")
    answer = Found(later, "marker") if boxed and later else _unboxed(rest)
    if isinstance(answer, Found) and len(answer.text) > MAX_ANSWER_CHARS:
        return Missing("answer_too_long")
    return answer


def _tagged(text: str) -> tuple[str | None, str]:
    """(what stands in the last answer tags, or in the last row of them; the text behind them); None where there are none."""
    rows: list[list[str]] = []
    opened: int | None = None
    starts_line = False
    closed = 0
    for tag in _TAG.finditer(text):
        if not tag[1]:
            opened = tag.end()
            starts_line = text[max(0, tag.start() - _MAX_INDENT):tag.start()].rstrip(" \t")[-1:] in ("", "\n", ">")
        elif opened is not None:
            content = text[opened:tag.start()].strip()
            if rows and not text[closed:opened].lower().replace("<answer>", "").strip(" \t\n,;"):
                rows[-1].append(content)
            else:
                rows.append([content])
            opened, closed = None, tag.end()
    if opened is not None and starts_line:      # else the text only speaks of the tag
        return text[opened:], ""
    if not rows:
        return None, text
    return ", ".join(dict.fromkeys(rows[-1])), text[closed:]


def gold_answer(gold: str) -> str:
    """The answer of a gold that may be a whole solution: what its last boxes hold, else all of it without its dollars."""
    if "\\boxed" in gold or "\\fbox" in gold:
        boxed = _boxed(gold)
        if not isinstance(boxed, Missing) and boxed is not None:
            return boxed[0]
        at = max((m.end() for m in _BOX.finditer(gold)), default=0)
        return gold[at:].lstrip().lstrip("{").rstrip("$ \n")
    if len(gold) > LONG_GOLD_CHARS and (statement := _final_statement(gold)):
        return statement
    return gold


def _boxed(text: str, depth: int = 0) -> tuple[str, int] | Missing | None:
    """(the content of the last box or row of boxes, where the last one ends), or None where there is no box."""
    marks = [match.span() for match in _BOX.finditer(text)][-MAX_BOXES:]
    if not marks:
        return None
    closing = _closing_braces(text, marks[0][0])
    boxes: list[tuple[int, int, str]] = []      # start, end, content
    unclosed = False
    for start, end in marks:
        if boxes and start < boxes[-1][1]:
            continue            # a box within a box
        content = _content(text, end, closing)
        unclosed = content is None
        if content is not None:
            boxes.append((start, content[1], content[0]))
    if unclosed or not boxes:
        return Missing("unclosed_box")
    row = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        if len(row) >= MAX_JOINED_BOXES or not (
                _JOIN.fullmatch(text, box[1], row[-1][0]) or _joined_by_name(text, box[1], row[-1][0])):
            break
        row.append(box)
    names = [_name_before(text, box[0]) for box in reversed(row)] if len(row) > 1 else [""]
    named = len(row) > 1 and len(set(names)) == len(names) and "" not in names        # x = \\boxed{2} and y = \\boxed{3}
    contents = list(dict.fromkeys((f"{name} = " if named else "") + _innermost(box[2], depth).strip()
                                  for name, box in zip(names, reversed(row), strict=True)))
    if len(row) == 1 and len({box[2].strip() for box in boxes}) > MAX_DIFFERENT_BOXES:
        return Missing("several_answers")
    contents = [content for content in contents if content]
    if not contents:
        return Missing("empty_box")
    sign = _sign_before(text, row[-1][0]) if len(row) == 1 else ""
    return sign + ", ".join(contents), boxes[-1][1]


def _name_before(text: str, at: int) -> str:
    """The x of "x = \\boxed{", or "" where there is none."""
    name = _NAME_BEFORE.search(text[max(0, at - _MAX_NAME_CHARS):at])
    return name[1] if name else ""


def _joined_by_name(text: str, start: int, end: int) -> bool:
    """Whether nothing but an "and", an "or" or a comma and the next one's name is between two boxes."""
    if end - start > 2 * _MAX_NAME_CHARS or not (name := _NAME_BEFORE.search(text[start:end])):
        return False
    joint = text[start:start + name.start()]
    return bool(joint.strip(" $\n\t\\()[]")) and _JOIN.fullmatch(joint) is not None


def _closing_braces(text: str, start: int) -> dict[int, int]:
    """Where each group from `start` on is closed, in one pass; groups that are not are absent."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for brace in _BRACE.finditer(text, start):
        if brace[0] == "{":
            opened.append(brace.start())
        elif brace[0] == "}" and opened:
            closing[opened.pop()] = brace.start()
    return closing


def _content(text: str, at: int, closing: dict[int, int]) -> tuple[str, int] | None:
    """The group or the single token at `at`, and where it ends; None for a group that is never closed."""
    while at < len(text) and text[at] in " \t":
        at += 1
    if at >= len(text):
        return None
    if text[at] != "{":
        token = _TOKEN.match(text, at)
        return (token[0], token.end()) if token else None
    end = closing.get(at)
    return None if end is None else (text[at + 1:end], end + 1)


def _innermost(text: str, depth: int) -> str:
    """A box in a box: the inner one is the answer."""
    inner = _boxed(text, depth + 1) if depth < MAX_NESTED_BOXES and "box" in text else None
    return text if inner is None or isinstance(inner, Missing) else inner[0]


def _sign_before(text: str, at: int) -> str:
    before = text[max(0, at - 12):at].rstrip(" \t")
    if not before.endswith(("-", "−")):
        return ""
    rest = before[:-1].rstrip(" \t")
    return "-" if not rest or rest.endswith(("=", "$", "(", ":", "\n", "\\(", "\\[", "[")) else ""


def _final_statement(text: str) -> str | None:
    return _last_statement(text, [match.end() for match in _FINAL.finditer(text)])


def _last_statement(text: str, marks: list[int]) -> str | None:
    """The last that says anything, of those that start at `marks`."""
    for at in marks[:-MAX_MARKS - 1:-1]:
        if answer := _statement(text[at:at + MAX_STATEMENT_CHARS]):
            return answer
    return None


def _unboxed(text: str) -> Found | Missing:
    hashes = _HASHES.findall(text)
    if hashes:
        return Found(_trimmed(hashes[-1]), "hashes")
    marks = [match.end() for match in _FINAL.finditer(text)]
    if not marks:
        end = len(text.rstrip())
        plural = _ANSWERS.finditer(text, max(0, end - MAX_ANSWERS_CHARS), end)
        marks = sorted([*(match.end() for match in _ANSWER.finditer(text)), *(match.end() for match in plural)])
    if answer := _last_statement(text, marks):
        return Found(answer, "marker")
    whole = text.strip()
    if len(whole) <= MAX_WHOLE_CHARS and "\n" not in whole and not _SAYS.search(outside := without_formulas(whole, " ")) and len(
            _LONG_WORD.findall(_COMMAND.sub(" ", outside))) <= MAX_WHOLE_WORDS:
        return Found(whole, "whole")
    return _last_resort(text)


def _statement(text: str) -> str:
    """The answer at the start of what follows a marker."""
    start = len(text) - len(text.lstrip(" \t\n*_:：}"))
    bold, text = text[:start].endswith("**"), text[start:]
    if bold and (end := text.find("**")) > 0:
        text = text[:end]           # **7** (seven)
    if formula := formula_at(text):
        return _joined(text, formula)
    end = _sentence_end(text)
    sentence = text[:end]
    stop = _STOP.search(sentence)
    if stop and re.search(r"[\d$\\]", sentence[:stop.start()]):
        sentence = sentence[:stop.start()]
    copulas = [match.end() for match in _COPULA.finditer(sentence)]
    if copulas and sentence[copulas[-1]:].strip():
        sentence = sentence[copulas[-1]:].lstrip(" *")
        if formula := formula_at(sentence):
            return _joined(sentence, formula)
    stop = _STOP.search(sentence)
    if stop and sentence[:stop.start()].strip():
        sentence = sentence[:stop.start()]
    found = list(formulas(sentence))
    if found and len(without_formulas(sentence, " ").split()) > 3:
        return _joined(sentence, found[-1])
    return _trimmed(sentence)


def _sentence_end(text: str) -> int:
    """Where the first sentence ends; dots inside formulas and numbers do not count."""
    at = 0
    for _ in range(64):
        end = _SENTENCE_END.search(text, at)
        if not end:
            return len(text)
        dollars = text.count("$", 0, end.start()) - text.count("\\$", 0, end.start())
        if dollars % 2 == 0 or "$" not in text[end.start():]:
            return end.start()
        at = end.end()
    return len(text)


def _joined(text: str, first: Formula) -> str:
    """A formula and those joined to it by "and", "or" or a comma."""
    parts = [first.inside]
    at = first.end
    while len(parts) < MAX_JOINED_BOXES:
        joint = _JOINED_FORMULAS.match(text, at)
        following = formula_at(text, joint.end()) if joint else None
        if not following:
            break
        parts.append(following.inside)
        at = following.end
    return ", ".join(parts)


def _last_resort(text: str) -> Found | Missing:
    paragraphs = [part for part in re.split(r"\n\s*\n", text.strip()[-6000:]) if part.strip()]
    last = paragraphs[-1].strip() if paragraphs else ""
    found = [formula for formula in formulas(last) if formula.inside.strip() not in _ENDS_OF_PROOFS]
    if found and not without_formulas(last, "").strip(" .\n*"):
        return Found(found[-1].inside, "formula")
    bold = _BOLD.findall(last)
    if bold and re.search(r"\d|\$|\\", bold[-1]):
        formula = next(formulas(bold[-1]), None)
        return Found(formula.inside if formula else _trimmed(bold[-1]), "bold")
    if found and not _NUMBER.search(last, found[-1].end):
        return Found(found[-1].inside, "formula")
    if letter := _LETTER.search(last) or _BOLD_LETTER.search(last) or _RIGHT_OPTION.search(last):
        return Found(letter[1], "letter")
    if pair := _TUPLE.search(last):
        return Found(_trimmed(pair[0]), "tuple")
    line = last.split("\n")[-1]
    if _DENIED.search(line):
        return Missing("no_answer_found")
    if said := _SAID_WHEN.search(line):
        return Found(said[1], "number")
    numbers = _NUMBER.findall(line) or _NUMBER.findall(last)
    if numbers:
        return Found(numbers[-1], "number")
    return Missing("no_answer_found")


def _trimmed(text: str) -> str:
    text = text.strip().strip("*_ \t\n").rstrip(".,;:。，；")
    return text.strip()
