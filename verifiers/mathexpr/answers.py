"""Two texts of answers -> are they the same answer? Tier 1 looks at the texts, tier 2 at their trees; tier 3 is the caller's.

Tier 1 needs no parser: the same spelling; two plain numbers (integer, decimal, fraction, grouped by commas); choice letters, with or
without their option's text; times of day.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

from ...core.math_policy import MathPolicy
from .clean import cleaned, plain_form
from .compare import Comparison, same
from .echo import is_echo
from .parser import normal_words, parse
from .tree import Node, Num, Quant, Seq, Sym, Unsupported, Words
from .values import OutOfBudget, Work, beyond_limits
from .words import words_equal, words_number

__all__ = ["Outcome", "Parsed", "compare_numbers", "compare_texts", "parsed"]

_QUICK: Final = re.compile(
    r"([-+]?)(?:(\d{1,3}(?:,\d{3})+|\d{1,40})(\.\d{1,40})?|(\.\d{1,40})|\\[dt]?frac\{(-?\d{1,40})\}\{(\d{1,40})\}|(\d{1,40})/(\d{1,40}))", re.A)
_MAX_NUMBER_CHARS: Final = 200
# Of all patterns: a run that two quantifiers in a row may share is given to the first of them for good (`\s*+`), or a text that is one run
# takes the square of its length, in which no other thread runs.
_DOLLARS: Final = re.compile(r"(?:\$\$(.*)\$\$|\$([^$]*)\$|\\\((.*)\\\)|\\\[(.*)\\\])\s*+\.?", re.S)
_LETTER: Final = re.compile(r"\(?\s*+([A-Za-z])\s*+\)?\s*+[.:)]?")
_SAID_OPTION: Final = re.compile(r"(?:option|choice)\s+(?=\(?[A-J]\)?[.:]?$)", re.I)
_OPTION: Final = re.compile(r"(?:\(\s*([A-J])\s*\)|([A-J])[.:)](?=\s|\\|\$|\{|$))\s*(.*)", re.S)
_LETTERS: Final = re.compile(r"\(?[A-J]\)?(?:(?:\s*[,;&]\s*|\s+and\s+|\s*)\(?[A-J]\)?)*")
_TEXT_COMMAND: Final = re.compile(
    r"\\(?:text|textbf|mathrm|mathbf|mbox|textrm|rm|bf|textit|operatorname)(?![A-Za-z])\s*|[{}$~]|\\[,;:! ]|\\q?quad(?![A-Za-z])")
_TIME: Final = re.compile(r"(\d{1,2}):(\d{2})\s*(?:([ap])\.?\s?m\.?)?", re.I)
_RATIO: Final = re.compile(r"\d{1,2}:\d")
_NO_EXPRESSION: Final = re.compile(r"[$\n;\"=<>]|\\text|(?<![A-Za-z\\])[A-Za-z]{4,}")
_STRUCTURE: Final = re.compile(r"\\(?:[dtc]?frac|sqrt|[dt]?binom|over|begin|stackrel|overset|underset)(?![A-Za-z])|[\^_]")
"""Signs whose braces mean something: a text that has them is not compared without its braces."""
_TEXTUAL: Final = re.compile(r"[^\W\d_]{2,}")
_UNREADABLE: Final = frozenset({"unbalanced", "empty_group", "empty", "half_a_relation", "unexpected_end", "unexpected_end_of_text", "too_deep"})
_PROSE: Final = re.compile(r"(?<![A-Za-z])[A-Za-z]{3,}+\s++[A-Za-z]{2,}+\s++[A-Za-z]{2}")
_LAST_TIER: Final = frozenset({"operator_int", "operator_iint", "operator_sum", "operator_prod", "operator_lim"})
_WORD: Final = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{4,}|[,;\n$]")
_BOUNDS: Final = re.compile(r"_\s*\{[^{}]*\}")
_GROUPED: Final = re.compile(r"-?\d{1,3}(?:,\d{3})+")
_AND: Final = re.compile(r"\band\b")
_NOT_SPELLED: Final = re.compile(r"[\d=]")
_CIRCLED: Final = re.compile(r"[①-⑳](?:[\s,、;，；和]*[①-⑳])*")
_DECIMAL_COMMA: Final = re.compile(r"-?\d{1,12},\d{1,12}")
_PART_COMMA: Final = re.compile(r"-?0,\d{2,12}")
_DECIMAL: Final = re.compile(r"-?\d{1,12}\.\d{1,12}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`same`: equal or not. `reason`: a slug. `open`: our parser gave up on one side, so that another may still find them equal."""

    same: bool
    reason: str
    open: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text and what is known of it. `node` None: not parsed, `problem` says why."""

    text: str
    plain: str
    quick: Fraction | None
    node: Node | None = None
    problem: str = ""


def compare_texts(gold: str, answer: str, policy: MathPolicy, work: Work, question: str = "") -> Outcome:
    """Never raises. `question`: an answer that only repeats a formula of it is none."""
    a, b = _undollared(gold), _undollared(answer)
    plain_a, plain_b = plain_form(a), plain_form(b)
    by_number = _by_number(a, plain_a, b, plain_b, policy)
    if by_number is not None:
        return Outcome(by_number, "equal" if by_number else "different")
    if not plain_a or not plain_b:
        return Outcome(False, "different")
    if plain_a == plain_b and not _indeterminate(plain_a):
        return Outcome(True, "equal")
    by_text = _by_text(a, b)
    if by_text is not None:
        return Outcome(by_text, "equal" if by_text else "different")
    option_a, option_b = _option(_bare(a)), _option(_bare(b))
    if (option_a is None) != (option_b is None):        # (B) 5 against 5
        rest, other = (option_a[1], b) if option_a else (option_b[1] if option_b else "", a)
        if len(rest) < len(gold) + len(answer) and compare_texts(rest, other, policy, work).same:
            return Outcome(True, "equal")
    first, second = parsed(a), parsed(b)
    if first.node is None or second.node is None:
        words_a, words_b = (normal_words(cleaned(text)) if not _STRUCTURE.search(text) else "" for text in (a, b))
        if _TEXTUAL.search(words_a) and _TEXTUAL.search(words_b) and words_equal(words_a, words_b):
            return Outcome(True, "equal")
        if _for_last_tier(first, second):
            return Outcome(False, "different", open=True)
        return Outcome(False, "bad_gold" if first.problem in _UNREADABLE and not _PROSE.search(a) else "different")
    comparison = Comparison(work, policy)
    try:
        if same(first.node, second.node, comparison) or _same_as_lists(first, second, comparison):
            if question and is_echo(b, second.node, first.node, question):
                return Outcome(False, "echo")
            return Outcome(True, "equal")
    except OutOfBudget:
        return Outcome(False, "budget")
    if _texts_agree(first, second):
        return Outcome(True, "equal")
    if comparison.limits:
        return Outcome(False, "bad_gold" if beyond_limits(first.node, work) else "too_large")
    return Outcome(False, "different")


def compare_numbers(gold: str, answer: str, policy: MathPolicy) -> Outcome | None:
    """What `compare_texts` says, where two plain numbers decide it: in some 20 microseconds. None: it takes a closer look."""
    if len(gold) > _MAX_NUMBER_CHARS or len(answer) > _MAX_NUMBER_CHARS:
        return None
    a, b = _undollared(gold), _undollared(answer)
    by_number = _by_number(a, plain_form(a), b, plain_form(b), policy)
    return None if by_number is None else Outcome(by_number, "equal" if by_number else "different")


def _by_number(a: str, plain_a: str, b: str, plain_b: str, policy: MathPolicy) -> bool | None:
    quick_a = _quick(plain_a)
    quick_b = _quick(plain_b) if quick_a is not None else None
    if quick_b is None:
        return None
    if quick_a == quick_b:
        return True
    return None if policy.rounding == "printed" or len(a) > 10 or len(b) > 10 else False


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Parsed:
    plain = plain_form(text)
    if _AND.search(text) and not _NOT_SPELLED.search(text) and (spelled := words_number(normal_words(text))) is not None:
        return Parsed(text, plain, None, Num(Fraction(spelled)))        # one and a half
    try:
        return Parsed(text, plain, _quick(plain), parse(text))
    except Unsupported as error:
        return Parsed(text, plain, None, _last_side(text, error.slug), error.slug)
    except RecursionError:
        return Parsed(text, plain, None, None, "too_deep")


def _last_side(text: str, problem: str) -> Node | None:
    """Of a chain of equalities with a sign that the parser does not know, as 5 \\star 1 = .. = 47: what it ends in."""
    before, equals, last = text.rpartition("=")
    if problem not in ("command", "subscript", "congruence") or not equals or _WORD.search(before) or before.rstrip().endswith(("<", ">", "!")):
        return None
    try:
        return parse(last)
    except (Unsupported, RecursionError):
        return None


def parsed(text: str) -> Parsed:
    """The parsed text; texts of ordinary length are kept, so that a gold is parsed once."""
    return _parsed(text) if len(text) <= 1000 else _parsed.__wrapped__(text)


def _undollared(text: str) -> str:
    """What is within the dollars of a text that is one formula; else the text."""
    text = text.strip()
    whole = _DOLLARS.fullmatch(text)
    return next(part for part in whole.groups() if part is not None).strip() if whole else text


def _quick(plain: str) -> Fraction | None:
    if len(plain) > 90:
        return None
    match = _QUICK.fullmatch(plain)
    if match is None:
        return None
    sign, whole, places, only_places, above, below, top, bottom = match.groups()
    if whole is not None:
        digits = whole.replace(",", "")
        value = Fraction(digits + places) if places else Fraction(int(digits))     # a string is read ten times as slowly
    elif only_places is not None:
        value = Fraction("0" + only_places)
    else:
        denominator = int(below if below is not None else bottom)
        if denominator == 0:
            return None
        value = Fraction(int(above if above is not None else top), denominator)
    return -value if sign == "-" else value


def _indeterminate(plain: str) -> bool:
    return plain in ("\\infty-\\infty", "\\frac{0}{0}", "0/0", "\\ldots", "...", "?")


def _for_last_tier(a: Parsed, b: Parsed) -> bool:
    """Whether the last tier may look: single expressions, of which one at least has an operator that our parser leaves to it (an
    integral, a sum, a limit). On anything else, prose above all, Math-Verify compares fragments and finds them equal."""
    sides = (a, b)
    return any(side.problem in _LAST_TIER for side in sides) and all(
        (side.node is not None or side.problem in _LAST_TIER) and len(side.text) <= 400
        and not _NO_EXPRESSION.search(_BOUNDS.sub("_0", side.text)) for side in sides)


def _same_as_lists(a: Parsed, b: Parsed, comparison: Comparison) -> bool:
    """70,110 is a number of thousands, except against a list."""
    for one, other in ((a, b), (b, a)):
        if isinstance(other.node, Seq) and _GROUPED.fullmatch(one.plain):
            assert other.node is not None
            return same(parse(one.text, commas_separate=True), other.node, comparison)
    return False


# -- what can be said from the texts ---------------------------------------------------------------------------------------------------


def _bare(text: str) -> str:
    bare = _TEXT_COMMAND.sub(" ", text).strip().rstrip(".,").strip()
    return _SAID_OPTION.sub("", bare) if bare[:6].lower() in ("option", "choice") else bare


def _by_text(a: str, b: str) -> bool | None:
    """True or False where the texts alone decide, else None."""
    bare_a, bare_b = _bare(a), _bare(b)
    choice = _choices(bare_a, bare_b)
    if choice is not None:
        return choice
    first, second = _TIME.fullmatch(bare_a), _TIME.fullmatch(bare_b)
    if first and _is_time(first) and _RATIO.fullmatch(bare_b) or second and _is_time(second) and _RATIO.fullmatch(bare_a):
        return False            # 7:05 is not 7:5
    if first and second and (_is_time(first) or _is_time(second)):
        return _same_time(first, second)
    if _CIRCLED.fullmatch(bare_a) and _CIRCLED.fullmatch(bare_b):
        return sorted(re.findall("[①-⑳]", bare_a)) == sorted(re.findall("[①-⑳]", bare_b))
    for one, other, whole in ((bare_a, bare_b, b), (bare_b, bare_a, a)):
        if _DECIMAL_COMMA.fullmatch(one) and _DECIMAL.fullmatch(other):
            if one.replace(",", ".") == other:      # 2,74 as it is written on the continent
                return True
        elif _PART_COMMA.fullmatch(one) and _quick(plain_form(whole)) == Fraction(one.replace(",", ".")):
            return True             # 0,75 against 3/4; 2,5 against 5/2 may be a list of two
    return None


def _choices(a: str, b: str) -> bool | None:
    letter_a, letter_b = _LETTER.fullmatch(a), _LETTER.fullmatch(b)
    if letter_a and letter_b and letter_a[1].isupper() and letter_b[1].isupper():
        return letter_a[1] == letter_b[1]
    if len(a) == 1 == len(b) or not (a[:1] + b[:1]).strip():
        return None
    option_a, option_b = _option(a), _option(b)
    if option_a and option_b and a.startswith("(") and b.startswith("("):
        return option_a[0] == option_b[0]
    for letter, option in ((letter_a, option_b), (letter_b, option_a)):
        if letter and option and letter[1].isupper():
            return letter[1] == option[0]
    if _LETTERS.fullmatch(a) and _LETTERS.fullmatch(b) and (len(a) > 1 or len(b) > 1):
        several = [sorted(re.findall("[A-J]", text)) for text in (a, b)]
        if several[0] == sorted(set(several[0])) and (len(several[0]) > 1 or len(several[1]) > 1) and ("," in a + b or "and" in a + b):
            return several[0] == several[1]
    return None


def _option(text: str) -> tuple[str, str] | None:
    """("B", its text) of "(B) 12" or "B. 12"; None if a second option follows."""
    match = _OPTION.match(text)
    if match is None:
        return None
    rest = match[3].strip()
    if not rest or re.search(r"\(\s*[A-J]\s*\)", rest) or _OPTION.match(rest):
        return None
    return match[1] or match[2], rest


def _is_time(match: re.Match[str]) -> bool:
    return bool(match[3]) or match[2].startswith("0")


def _same_time(a: re.Match[str], b: re.Match[str]) -> bool:
    minutes = []
    for match in (a, b):
        hour = int(match[1])
        if match[3]:
            hour = hour % 12 + (12 if match[3].lower() == "p" else 0)
        minutes.append(hour * 60 + int(match[2]))
    if bool(a[3]) == bool(b[3]):
        return minutes[0] == minutes[1]
    bare = b if a[3] else a
    return minutes[0] == minutes[1] or (int(bare[1]) <= 12 and (minutes[0] - minutes[1]) % 720 == 0)


def _texts_agree(a: Parsed, b: Parsed) -> bool:
    """Words in other letters' case, where one side was read as symbols and the other as text."""
    def wordy(node: Node | None) -> bool:
        return isinstance(node, Words) or isinstance(node, Seq) and all(wordy(item) for item in node.items)

    if not (wordy(a.node) or wordy(b.node)) or isinstance(a.node, Quant | Sym) and isinstance(b.node, Quant | Sym):
        return False
    if _STRUCTURE.search(a.text) or _STRUCTURE.search(b.text):
        return False
    one, other = normal_words(cleaned(a.text)), normal_words(cleaned(b.text))
    return bool(one) and words_equal(one, other)
