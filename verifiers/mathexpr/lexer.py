"""LaTeX, plain text or a mix of both -> tokens. Linear; at most MAX_TOKENS of them.

Runs of white space in the patterns are possessive (`\\s*+`): two in a row that may share a run would take the square of its length, or worse.

    Token(kind, text, value)     kinds: num sym word cmd op open close sep env end
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from .tree import Unsupported
from .units import is_unit_word
from .vocabulary import FUNCTIONS, GREEK, IGNORED, OPERATORS, SEPARATORS

__all__ = ["MAX_TOKENS", "Token", "tokens"]

MAX_TOKENS: Final = 2_500
MAX_DIGITS: Final = 4_000
"""Digits of one number; more are no answer, and int() is quadratic in them."""
_TEXTUAL: Final = re.compile(
    r"\\(text|textbf|textit|textrm|textsf|texttt|textnormal|mbox|hbox|mathrm|rm|operatorname|mathbf|mathit|mathsf|mathcal|boldsymbol|bm|emph"
    r"|bf|it|mathbb|mathfrak|mathscr|underline|overline|overrightarrow|vec|hat|bar|tilde|widehat|dot|ensuremath|mathop)\*?\s*(?=\{)")
_GROUPED: Final = r"\d{1,3}(?:(?:\{,\}|,\\!|,\\,|\\,|\\ |\\:|\\;|,\s?\\!\s?|\u2009)\s?\d{3})+(?!\d)"
_SPACED: Final = r"\d{1,3}(?: \d{3})+(?![\d/])"
_COMMAED: Final = r"\d{1,3}(?:,\d{3})+(?!\d)"
_TAIL: Final = r"(?:\.\d+|\.(?![\d.]))?(?:[eE][-+]?\d{1,4}(?![\d.A-Za-z]))?|\.\d+(?:[eE][-+]?\d{1,4}(?![\d.A-Za-z]))?"
_PERIOD_IN_BRACKETS: Final = re.compile(r"\((\d{1,20})\)(?=\s*(?:$|[,;)}$%=]))")
_WITH_BASE: Final = re.compile(r"(?=[0-9A-Z]{0,40}[A-Z])(?=[0-9A-Z]{0,40}[0-9])([0-9A-Z]{2,40})(?=\)?_\{?(1[1-9]|2[0-9]|3[0-6])(?![0-9]))")
_OLD_FONT: Final = frozenset({"rm", "bf", "it", "sf", "tt"})
_FUNCTION_NAME: Final = re.compile(r"\{\s*([A-Za-z]{2,7})\s*\}")
_UNION: Final = re.compile(r"U\s*(?=[(\[]|\\left|\\\{)")
_TIMES_TEN: Final = re.compile(r"[xX](?=\s*10\s*(?:\^|\*\*))")
_INCH: Final = re.compile(r"in(?=\s*(?:$|[.,^}/)]))")
_HEXADECIMAL: Final = re.compile(r"0x([0-9A-Fa-f]{1,400})(?![0-9A-Za-z])")
_NUMBER: Final = re.compile(rf"(?:{_GROUPED}|{_SPACED}|{_COMMAED}|\d+){_TAIL}", re.A)
_NUMBER_INSIDE: Final = re.compile(rf"(?:{_GROUPED}|\d+){_TAIL}", re.A)
_REPEATING: Final = re.compile(r"\s*\\(?:overline|dot|bar)\s*\{?(\d{1,40})\}?")
_ELLIPSIS: Final = re.compile(r"\s*(?:\.{3}|\\l?dots[bc]?(?![A-Za-z]))")
_MAX_PERIOD: Final = 6
_ORDINAL: Final = re.compile(r"(?:st|nd|rd|th)(?![A-Za-z])|\s*+\^\s*+\{?\s*+(?:\\(?:text|mathrm|rm|textrm)\s*+\{?)?\s*+(?:st|nd|rd|th)\s*\}*")
_COMMAND: Final = re.compile(r"\\([A-Za-z]+)\*?")
_LETTERS: Final = re.compile(r"[A-Za-z]+")
_FOREIGN: Final = re.compile(r"[^\W\d_a-zA-Z]+")
_SPACE: Final = re.compile(r"(?:\s|~|\\[,;:! ]|\\q?quad(?![A-Za-z])|\\space(?![A-Za-z])|&(?=\s*=))+")
_ENVIRONMENT: Final = re.compile(r"\\(begin|end)\s*\{([A-Za-z]+\*?)\}(?:\s*\{[lcr|\s]*\})?")
_LEFT: Final = re.compile(r"\\(?:left|bigg?l?|Bigg?l?)(?![a-zA-Z])\s*(\\?[\[({|.<]|\\lbrace|\\lvert|\\langle|\\lfloor|\\lceil|\\vert|\]|\))")
_RIGHT: Final = re.compile(r"\\(?:right|bigg?r|Bigg?r)(?![a-zA-Z])\s*(\\?[\])}|.>]|\\rbrace|\\rvert|\\rangle|\\rfloor|\\rceil|\\vert|\[|\()")
_JOINT: Final = re.compile(r"\{((?:\s|~|\\ )*+(?:,\s*+(?:and|or)?|and|or|;)(?:\s|~|\\ )*+)\}", re.I)
_ONE_LETTER: Final = re.compile(r"\{\s*+~?\s*+([A-Za-z])\s*+\}")
_AFTER_INTERVAL: Final = re.compile(r"\s*(?:$|[,;.}$]|\\(?:cup|cap|setminus|text|quad|[,;]))")
_BRACKETS: Final = {
    "(": "(", "[": "[", r"\{": r"\{", r"\lbrace": r"\{", r"\langle": "(", r"\lfloor": "floor", r"\lceil": "ceil", r"\lvert": "|",
    r"\lbrack": "[", ")": ")", "]": "]", r"\}": r"\}", r"\rbrace": r"\}", r"\rangle": ")", r"\rfloor": "floor", r"\rceil": "ceil",
    r"\rvert": "|", r"\rbrack": "]", "|": "|", r"\vert": "|", r"\|": "|", ".": "|", "<": "(", ">": ")",
}
_OPENING: Final = frozenset({"(", "[", r"\{", r"\lbrace", r"\langle", r"\lfloor", r"\lceil", r"\lvert", r"\lbrack"})
_CLOSING: Final = frozenset({")", "]", r"\}", r"\rbrace", r"\rangle", r"\rfloor", r"\rceil", r"\rvert", r"\rbrack"})
_FRACTIONS: Final = frozenset({"dfrac", "tfrac", "cfrac", "sfrac", "nicefrac"})
_DIGITS: Final = frozenset("0123456789")
_SINGLES: Final = "+-*/^_=<>!|':%&{}"
_PAIRS: Final = {"**": "^", "<=": "<=", ">=": ">=", "!=": "!=", "==": "=", "=<": "<=", "=>": "to", "->": "to", "~=": "approx", "/=": "!=",
                 "||": "|", ":=": "="}


@dataclass(slots=True)
class Token:
    """`start` and `end` are its place in the text, for what is only text in the end; `spaced`: white space stood before it."""

    kind: str
    text: str
    start: int
    end: int
    spaced: bool = False
    value: Fraction | None = None
    digits: int | None = None


def tokens(text: str, *, commas_separate: bool = False) -> list[Token]:
    """`commas_separate`: 1,234 is two numbers, not one of thousands. Raises: Unsupported."""
    lexer = _Lexer(text)
    lexer.depth += commas_separate
    return lexer.run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.out: list[Token] = []
        self.depth = 0                      # of brackets in which a comma separates
        self.textual: list[tuple[str, int]] = []      # open \text{ groups: command, depth of braces outside
        self.braces = 0
        self.subscripts = "_" in text

    def run(self) -> list[Token]:
        at, text = 0, self.text
        while at < len(text):
            spaced = False
            if space := _SPACE.match(text, at):
                at, spaced = space.end(), True
                if at >= len(text):
                    break
            before = len(self.out)
            at = self._one(at)
            if spaced and len(self.out) > before:
                self.out[before].spaced = True
            if len(self.out) > MAX_TOKENS:
                raise Unsupported("too_long")
        return self.out

    def _add(self, kind: str, text: str, start: int, end: int) -> int:
        self.out.append(Token(kind, text, start, end))
        return end

    def _one(self, at: int) -> int:
        text, char = self.text, self.text[at]
        if char in _DIGITS or (char == "." and text[at + 1:at + 2] in _DIGITS):
            return self._number(at)
        if char == "." and (repeat := _REPEATING.match(text, at + 1)):
            return self._repeating(at, 0, "", repeat)       # .\overline{3}
        if char == "\\":
            return self._command(at)
        if char.isalpha():
            return self._letters(at)
        if text[at:at + 2] in _PAIRS:
            return self._add("op", _PAIRS[text[at:at + 2]], at, at + 2)
        if char == "{":
            self.braces += 1
            return self._add("open", "{", at, at + 1)
        if char == "}":
            self.braces -= 1
            if self.textual and self.textual[-1][1] == self.braces:
                self.textual.pop()
            return self._add("close", "}", at, at + 1)
        if char in "[]" and (turned := self._turned(at)):
            return turned
        if char in "([":
            self.depth += 1
            return self._add("open", char, at, at + 1)
        if char in ")]":
            self.depth -= 1
            return self._add("close", char, at, at + 1)
        if char in ",;\n":
            return self._add("sep", char, at, at + 1)
        if char in _SINGLES:
            return self._add("op", char, at, at + 1)
        if char in "$`\"#@?.":
            return at + 1               # a stray dollar, quote or full stop
        raise Unsupported("unknown_character")

    def _turned(self, at: int) -> int:
        """A bracket that faces outwards, as open ends are written in ]0, 1[; 0 if it is none."""
        last = self.out[-1].kind if self.out else "op"
        if self.text[at] == "]" and last in ("op", "sep") and max(self.text.find("[", at), self.text.find("]", at + 1)) > 0:
            self.depth += 1
            return self._add("open", "]", at, at + 1)
        if self.text[at] == "[" and self.depth > 0 and last in ("num", "sym", "close") and _AFTER_INTERVAL.match(self.text, at + 1):
            self.depth -= 1
            return self._add("close", "[", at, at + 1)
        return 0

    def _number(self, at: int) -> int:
        text = self.text
        if hexadecimal := _HEXADECIMAL.match(text, at):
            self._add("num", hexadecimal[0], at, hexadecimal.end())
            self.out[-1].value = Fraction(int(hexadecimal[1], 16))
            return hexadecimal.end()
        if self.subscripts and (end := self._with_base(at)):
            return end
        match = (_NUMBER_INSIDE if self.depth > 0 or self._tight() else _NUMBER).match(text, at)
        if match is None:
            raise Unsupported("unknown_character")
        end = match.end()
        literal = re.sub(r"[^0-9.eE+-]", "", match[0])
        mantissa, _, exponent = literal.lower().partition("e")
        whole, point, places = mantissa.partition(".")
        if len(mantissa) > MAX_DIGITS:
            raise Unsupported("too_long")
        value = Fraction(int(whole or "0") * 10 ** len(places) + int(places or "0"), 10 ** len(places))
        digits = len(places) if places else None
        if point and not exponent and (repeat := _REPEATING.match(text, end) or _PERIOD_IN_BRACKETS.match(text, end)) and (
                repeat[0][0] != "(" or not places or len(repeat[1]) < 3):
            return self._repeating(at, value, places, repeat)
        if len(places) > 2 and (ellipsis := _ELLIPSIS.match(text, end)) and (period := _period(places)):
            value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(places))      # 0.333... and 0.1666...
            digits, end = None, ellipsis.end()
        if exponent:
            if abs(int(exponent)) + len(mantissa) > MAX_DIGITS:       # Python refuses to print more than 4,300
                raise Unsupported("too_large")
            value *= Fraction(10) ** int(exponent)
        elif not point and (ordinal := _ORDINAL.match(text, end)):
            end = ordinal.end()
        self._add("num", match[0], at, end)
        self.out[-1].value, self.out[-1].digits = value, digits
        return end

    def _with_base(self, at: int) -> int:
        """4D_{16}: digits and letters of a base that is written behind them; 0 if that is not what it is."""
        based = _WITH_BASE.match(self.text, at)
        if based is None or max(based[1]) > _LAST_DIGIT[int(based[2])]:
            return 0
        self._add("num", based[1], at, based.end())
        self.out[-1].value = Fraction(int(based[1], int(based[2])))
        return based.end()

    def _repeating(self, at: int, value: Fraction | int, places: str, repeat: re.Match[str]) -> int:
        """The number whose digits after `places` repeat: 0.1\\overline{6}, 0.1(6)."""
        period = repeat[1]
        self._add("num", self.text[at:repeat.end()], at, repeat.end())
        self.out[-1].value = value + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(places))
        return repeat.end()

    def _tight(self) -> bool:
        """After ^ or _ or \\frac a number is one token of TeX's, never a group of thousands."""
        return bool(self.out) and self.out[-1].text in ("^", "_", "frac")

    def _command(self, at: int) -> int:
        text = self.text
        if environment := _ENVIRONMENT.match(text, at):
            return self._add("env" if environment[1] == "begin" else "end", environment[2], at, environment.end())
        if left := _LEFT.match(text, at):
            return self._bracket(left[1], at, left.end(), opening=True)
        if right := _RIGHT.match(text, at):
            return self._bracket(right[1], at, right.end(), opening=False)
        if textual := _TEXTUAL.match(text, at):
            return self._textual(textual, at)
        command = _COMMAND.match(text, at)
        if command is None:
            two = text[at:at + 2]
            if two == "\\\\":
                return self._add("sep", "\\\\", at, at + 2)
            if two in (r"\{", r"\}"):
                return self._bracket(two, at, at + 2, opening=two == r"\{")
            if two == r"\%":
                return self._add("op", "%", at, at + 2)
            if two == r"\|":
                return self._add("op", "|", at, at + 2)
            if two == r"\$":
                return self._add("cmd", "dollar", at, at + 2)
            return at + 2               # \& \# \_ \' and the like
        name, end = command[1], command.end()
        if "\\" + name in _OPENING or "\\" + name in _CLOSING:
            return self._bracket("\\" + name, at, end, opening="\\" + name in _OPENING)
        if name in IGNORED:
            return end
        if name in _OLD_FONT and text[end:end + 1] != "{":
            if name == "rm" and self.braces > 0 and _ROMAN_WORD.match(text, end):
                self.textual.append((name, self.braces - 1))        # {\rm cm}
            return end
        if name in SEPARATORS:
            return self._add("sep", SEPARATORS[name], at, end)
        if name in OPERATORS:
            return self._add("op", OPERATORS[name], at, end)
        if name in GREEK:
            return self._add("sym", GREEK[name], at, end)
        return self._add("cmd", "frac" if name in _FRACTIONS else name, at, end)

    def _bracket(self, bracket: str, at: int, end: int, *, opening: bool) -> int:
        self.depth += 1 if opening else -1
        mark = _BRACKETS.get(bracket, bracket)
        if mark == "|":
            mark = "left|" if opening else "right|"
        return self._add("open" if opening else "close", mark, at, end)

    def _textual(self, match: re.Match[str], at: int) -> int:
        command = match[1]
        if joint := _JOINT.match(self.text, match.end()):
            return self._add("sep", joint[1].strip().lower() or ",", at, joint.end())
        if command == "mathbb":
            close = self.text.find("}", match.end())
            if close < 0:
                raise Unsupported("unbalanced")
            return self._add("sym", "bb" + self.text[match.end() + 1:close].strip(), at, close + 1)
        if command in ("overline", "overrightarrow", "vec", "hat", "bar", "tilde", "widehat", "dot", "underline", "mathcal", "mathfrak",
                       "mathscr", "mathbf", "boldsymbol", "bm", "mathit", "ensuremath", "mathop", "it") and command != "textbf":
            return match.end()          # a decoration: the group is what it holds
        if command in ("operatorname", "mathrm", "rm", "mathop", "text") and (named := _FUNCTION_NAME.match(self.text, match.end())) and (
                named[1] in FUNCTIONS and (command == "operatorname" or named[1] not in _ALSO_WORDS)):
            return self._add("cmd", named[1], at, named.end())
        if command in ("mathrm", "rm", "mathsf", "bf"):
            inside = _ONE_LETTER.match(self.text, match.end())
            after_value = bool(self.out) and (self.out[-1].kind == "num" or self.out[-1].text in (")", "}", "pi", "word"))
            if inside and (inside[1] in "eid" or not after_value):
                return self._add("sym", inside[1], at, inside.end())
        self.textual.append((command, self.braces))
        return match.end()

    def _letters(self, at: int) -> int:
        run = _LETTERS.match(self.text, at)
        if run is None:
            foreign = _FOREIGN.match(self.text, at)
            if foreign and not self.textual and (joint := _FOREIGN_JOINTS.get(foreign[0])):
                return self._add("sep", joint, at, foreign.end())
            return self._add("word", foreign[0] if foreign else self.text[at], at, foreign.end() if foreign else at + 1)
        word, end = run[0], run.end()
        if self.subscripts and word.isupper() and (after := self._with_base(at)):
            return after
        low = word.lower()
        if (glued := _GLUED.fullmatch(word)) and self.out and self.out[-1].kind == "num":
            return self._add("sep", glued[1], at, at + len(glued[1]))        # 1orW(x)
        if low in ("and", "or") and (len(word) > 2 or word in ("or", "OR")):
            if not self.textual:
                return self._add("sep", low, at, end)
            self._add("close", "}", at, at)         # \text{ hours and } 30: the joint stands outside
            self._add("sep", low, at, end)
            return self._add("open", "{", end, end)
        if self.textual:
            is_function = word in FUNCTIONS and self.textual[-1][0] in ("operatorname", "mathrm", "rm")
            kind = "cmd" if is_function and not (self.out and self.out[-2:-1] and self.out[-2].kind == "num") else "word"
            return self._add(kind, word, at, end)
        if word in ("x", "X", "U") and self.out and (sign := (_UNION if word == "U" else _TIMES_TEN).match(self.text, at)):
            if self.out[-1].kind == ("close" if word == "U" else "num"):
                return self._add("op", "cup" if word == "U" else "*", at, sign.end())
        if len(word) == 1:
            return self._add("sym", word, at, end)
        after_number = bool(self.out) and (self.out[-1].kind == "num" or self.out[-1].text in (")", "}"))
        if after_number and (is_unit_word(word) or word == "in" and _INCH.match(self.text, at)):
            return self._add("word", word, at, end)
        if len(self.out) > 1 and (self.out[-1].text == "/" and self.out[-2].kind == "word" or self.out[-1].text == "("
                                  and self.out[-2].kind == "num") and is_unit_word(word) and word not in FUNCTIONS:
            return self._add("word", word, at, end)
        if word in FUNCTIONS or low in FUNCTIONS:
            return self._add("cmd", low, at, end)
        if low in ("pi", "infinity", "infty", "inf", "oo", "theta", "alpha", "beta", "gamma", "lambda", "phi", "omega"):
            return self._add("sym", {"infinity": "oo", "infty": "oo", "inf": "oo"}.get(low, low), at, end)
        if low in ("in",) and self.out and self.out[-1].kind == "sym":
            return self._add("op", "in", at, end)
        if (len(word) > 3 and not word.isupper()) or low in _SHORT_WORDS or low in ("am", "pm") and after_number:
            return self._add("word", word, at, end)
        for offset, letter in enumerate(word):
            self._add("sym", letter, at + offset, at + offset + 1)
        return end


def _period(places: str) -> str:
    """What the digits end in three times over or more, as 6 in 1666: the period that begins first, the shortest of these; "" for none."""
    best, found = len(places), ""
    for length in range(1, _MAX_PERIOD + 1):
        period, start = places[-length:], len(places)
        while start >= length and places.endswith(period, 0, start):
            start -= length
        if start <= len(places) - 3 * length and start < best:
            best, found = start, period
    return found


_FOREIGN_JOINTS: Final = {"и": "and", "или": "or", "和": "and", "与": "and", "或": "or", "或者": "or", "以及": "and"}
_ROMAN_WORD: Final = re.compile(r"\s*[A-Za-z]{2,}")
_ALSO_WORDS: Final = frozenset({"min", "max", "choose", "abs", "floor", "arg", "re", "im", "Re", "Im", "exp", "frac", "sqrt", "lg", "sec"})
_LAST_DIGIT: Final = {base: chr(54 + base) for base in range(11, 37)}
_GLUED: Final = re.compile(r"(and|or)[A-Zxyz]")
_SHORT_WORDS: Final = frozenset({
    "no", "yes", "odd", "the", "one", "two", "ten", "six", "not", "all", "any", "for", "is", "are", "by", "to", "of", "if", "max",
    "min", "men", "day", "mon", "tue", "wed", "thu", "fri", "sat", "sun", "dne", "per", "she", "he", "it", "can", "red", "his", "her", "with",
})
