"""Tokens -> tree, by recursive descent. Depth and size are bounded before anything is built; nothing is evaluated here.

    answer   := item ("," | ";" | "and" | "or" | newline  item)*          groups between ";" where there are both
    item     := side ((over | choose) side)? (relation side)*              a side that begins with words is Words
    side     := sum (cup | cap | minus  sum)*  words?                      words behind a value are its unit
    sum      := product ((+ | - | pm | mp) product)*
    product  := power ((* | / | nothing) power)*
    power    := atom (_ atom | ^ power | ! | % | ')*

LaTeX and plain text are one language here: \\frac12, 1/2, sqrt(2), 2^10, x**2, 3 1/2.
"""
from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from typing import Final

from .clean import cleaned
from .compound import joined
from .lexer import Token, tokens
from .tree import Based, Call, Mat, Node, Num, Quant, Rel, Seq, SetOf, SetOp, Sym, Unsupported, Words, walk
from .values import Work, exact
from .vocabulary import FUNCTIONS
from .words import NO_NOUNS

__all__ = ["parse"]

MAX_DEPTH: Final = 60
"""Nesting; each level costs several Python frames, of which a thread has about a thousand."""
MAX_CHARS: Final = 8_000
MAX_PARSE_S: Final = 0.2
"""CPU seconds of a parse, behind which it computes nothing; ordinary answers are read in one thousandth of it."""
_RELATIONS: Final = frozenset({"=", "<", "<=", ">", ">=", "!=", "in", "approx", ":", "to", "notin", "subset"})
_NAMED_FUNCTIONS: Final = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "cosec": "csc", "tg": "tan", "ctg": "cot", "arctg": "arctan",
                           "re": "Re", "im": "Im", "cbrt": "cbrt"}
_NOISE: Final = frozenset({"about", "approximately", "roughly", "exactly", "around", "therefore", "hence", "thus", "so", "is", "x", "value"})
_UNPARSED: Final = frozenset({"int", "iint", "iiint", "oint", "sum", "prod", "lim", "limsup", "liminf", "partial", "nabla", "def", "let",
                              "newcommand", "input", "include", "write", "csname", "catcode", "bigoplus", "sup"})
_CLOSERS: Final = {"(": (")", "]", "["), "[": ("]", ")", "["), "]": ("[", "]", ")"), "{": ("}",), "\\{": ("\\}",), "floor": ("floor",),
                   "ceil": ("ceil",), "left|": ("right|",)}
_CHOSEN: Final = re.compile(r"([CA])_([0-9]{1,4})")
_BASE_NAMES: Final = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
                      "twelve": "12", "sixteen": "16", "hex": "16"}
_ALIGNED: Final = frozenset({"align", "aligned", "split", "gather", "gathered", "eqnarray"})
_SMALL_NUMBER: Final = re.compile(r"[0-9]{1,6}")
_SCALES: Final = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12, "dozens": 12}
_TEMPERATURES: Final = {"C": "celsius", "F": "fahrenheit", "Celsius": "celsius", "Fahrenheit": "fahrenheit"}
_MONEY: Final = {"dollar": "dollar", "euro": "euro", "pounds": "pound_sterling", "yen": "yuan"}


def parse(text: str, *, commas_separate: bool = False) -> Node:
    """The tree of an answer. `commas_separate`: 70,110 is two numbers. Raises: Unsupported."""
    text = cleaned(text)
    if len(text) > MAX_CHARS:
        raise Unsupported("too_long")
    found = tokens(text, commas_separate=commas_separate)
    if not found:
        raise Unsupported("empty")
    return _Parser(text, found).answer()


class _Parser:
    def __init__(self, text: str, found: list[Token]) -> None:
        self.text = text
        self.tokens = found
        self.work = Work(MAX_PARSE_S)
        self.at = 0
        self.depth = 0
        self.bars = 0
        self.set_depth = 0
        self.end_token = Token("end_of_text", "", len(text), len(text))

    # -- tokens ------------------------------------------------------------------------------------------------------------------

    def peek(self, ahead: int = 0) -> Token:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else self.end_token

    def take(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def is_op(self, *texts: str) -> bool:
        token = self.peek()
        return token.kind == "op" and token.text in texts

    def expect_close(self, text: str) -> None:
        token = self.take()
        if token.kind != "close" or token.text != text:
            raise Unsupported("unbalanced")

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unsupported("too_deep")

    # -- answers -----------------------------------------------------------------------------------------------------------------

    def answer(self) -> Node:
        node = self.items(None)
        if self.at < len(self.tokens):
            raise Unsupported("unbalanced")
        if node is None:
            raise Unsupported("empty")
        if any(isinstance(arg, Words) for one in walk(node) if isinstance(one, Call) for arg in one.args):
            raise Unsupported("words")
        return node

    def items(self, close: str | None) -> Node | None:
        """A list up to a closing bracket or the end; None if it is empty."""
        self.deeper()
        groups: list[list[Node]] = [[]]
        logical = False
        cuts: list[int] = []            # before which items of a list an "or" stands
        while True:
            token = self.peek()
            if token.kind in ("end_of_text", "close", "end"):
                break
            if token.kind == "sep":
                self.at += 1
                if token.text == ";" and groups[-1]:
                    groups.append([])
                logical |= token.text in ("and", "or") and self.text[token.start] == "\\"
                if token.text == "or":
                    cuts.append(len(groups[-1]))
                continue
            if token.kind == "op" and token.text == "|" and (self.bars or (self.set_depth and groups[-1])):
                break
            behind = groups[-1] or len(groups) > 1
            if token.kind == "op" and behind and (token.text == "mid" or (token.text == ":" and self.set_depth)):
                break
            if token.kind == "op" and token.text == "&":
                self.at += 1
                continue
            if token.text == "{" and self.peek(1).text == "}":
                self.at += 2
                continue
            groups[-1].append(self.item())
        self.depth -= 1
        groups = [group for group in groups if group]
        if logical and groups and all(isinstance(node, Sym) for node in groups[0]):
            raise Unsupported("logic")          # p \\wedge q is no list of p and q
        if cuts and len(groups) == 1:
            groups = _alternatives(groups[0], cuts, self.work)
        if not groups:
            return None
        if len(groups) == 1 or all(len(group) == 1 for group in groups):
            flat = [node for group in groups for node in group]
            return flat[0] if len(flat) == 1 else Seq("", tuple(flat))
        return Seq("", tuple(group[0] if len(group) == 1 else Seq("", tuple(group)) for group in groups))

    def item(self) -> Node:
        ops: list[str] = []
        sides: list[Node] = []
        start = self.at
        if self.is_op("=", "approx", "to", ":") and self.peek(1).kind not in ("end_of_text", "close", "sep", "end"):
            self.at += 1            # "= 5", approx 1.47
        while True:
            sides.append(self.side())
            if self.is_op("over", "choose"):        # TeX's own: all of the group before it, over all behind it
                op = "div" if self.take().text == "over" else "binom"
                sides[-1] = Call(op, (sides[-1], self.side()))
            token = self.peek()
            if token.kind == "op" and token.text in _RELATIONS and not (token.text == ":" and self.set_depth):
                self.at += 1
                op = token.text
                if op in ("<", ">") and self.is_op("="):
                    self.at += 1
                    op += "="
                ops.append(op)
                if self.peek().kind in ("end_of_text", "close", "sep", "end"):
                    if op in ("=", "approx", "to", ":") and len(sides) == 1:
                        ops.pop()           # "x =": nothing behind it
                        break
                    raise Unsupported("half_a_relation")
                continue
            break
        if self.at == start:
            raise Unsupported("unexpected_" + (self.peek().kind))
        return sides[0] if not ops else _relation(ops, sides)

    def side(self) -> Node:
        token = self.peek()
        if token.kind == "word" or (token.kind == "op" and token.text in ("<", ">")):
            return self.words()
        node = self.sum()
        while self.is_op("cup", "cap", "minus"):
            op = self.take().text
            if self.peek().kind == "sep":
                self.at += 1
            other = self.sum()
            node = SetOp(op, (*node.args, other)) if isinstance(node, SetOp) and node.op == op else SetOp(op, (node, other))
        return self.with_unit(node)

    def words(self) -> Node:
        """Text up to the next separator; "three: 5" and "Area = 5" keep only their value."""
        start = self.at
        level = 0
        while (token := self.peek()).kind not in ("end_of_text", "sep", "end") and not (
                token.kind == "op" and token.text in ("=", ":", "approx")):
            if token.kind == "word" and token.text.lower() in ("is", "are", "equals") and self.at > start and self.peek(1).kind in (
                    "num", "cmd", "sym", "env"):
                self.at += 1            # "the answer is 5"
                return self.side()
            level += (token.kind == "open") - (token.kind == "close")
            if level < 0:
                break
            self.at += 1
        found = self.tokens[start:self.at]
        if not found:
            raise Unsupported("unexpected_" + self.peek().kind)
        first = next((token.text.lower() for token in found if token.kind not in ("open", "close")), "")
        if len(found) > 1 and first in _NOISE:
            self.at = start + 1
            return self.side()
        raw = self.text[found[0].start:found[-1].end]
        return Words(normal_words(raw))

    def with_unit(self, node: Node) -> Node:
        if self.peek().kind != "word" and not self._opens_words():
            return node
        start = self.at
        level = 0
        while (token := self.peek()).kind in ("word", "num", "sym", "open", "close") or (
                token.kind == "op" and token.text in ("^", "/", "-", "*", "'", "%")):
            if token.kind == "close" and level == 0 or token.kind == "num" and self.at > start and self.peek(-1).text not in ("^", "-", "{"):
                break
            level += (token.kind == "open") - (token.kind == "close")
            self.at += 1
        found = [token for token in self.tokens[start:self.at] if token.text not in ("{", "}")]
        words = [token.text.lower() for token in found]
        if NO_NOUNS.intersection(words):
            raise Unsupported("words")
        while words and words[0] in _SCALES:
            node = Call("mul", (node, Num(Fraction(_SCALES[words.pop(0)]))))
            found = found[1:]
        if not found:
            return node
        if isinstance(node, Words):
            return Words(node.text + " " + normal_words(self.text[found[0].start:found[-1].end]))
        quantity = Quant(node, " ".join(token.text for token in found))
        if self.peek().kind != "num":
            return quantity
        compound = joined((quantity, self.with_unit(self.product())))       # 2 hours 30 minutes
        if compound is None:
            raise Unsupported("words")
        return compound

    def _opens_words(self) -> bool:
        """Whether brackets with words in them are next: \\text{cm}, (cm), (\\text{cm}), \\text{ (cm)}."""
        first, second = self.peek(), self.peek(1)
        if first.kind != "open" or first.text not in ("{", "("):
            return False
        if second.kind == "open" and second.text in ("{", "(") and second.text != first.text:
            second = self.peek(2)
        return second.kind == "word"

    # -- arithmetic --------------------------------------------------------------------------------------------------------------

    def sum(self) -> Node:
        self.deeper()
        terms: list[Node] = [self.product()]
        while self.is_op("+", "-", "pm", "mp"):
            op = self.take().text
            if op in ("pm", "mp"):
                left = terms[0] if len(terms) == 1 else Call("add", tuple(terms))
                terms = [Call(op, (left, self.product()))]
                continue
            term = self.product()
            terms.append(term if op == "+" else Call("neg", (term,)))
        self.depth -= 1
        return terms[0] if len(terms) == 1 else Call("add", tuple(terms))

    def product(self) -> Node:
        token = self.peek()
        if token.kind == "op" and token.text in ("-", "+"):
            self.deeper()
            self.at += 1
            inner = self.product()
            self.depth -= 1
            if isinstance(inner, Call) and inner.op == "pmod" and token.text == "-":
                return Call("pmod", (Call("neg", inner.args[:1]), inner.args[1]))
            return Call("neg", (inner,)) if token.text == "-" else inner
        if token.kind == "op" and token.text in ("pm", "mp"):
            self.deeper()
            self.at += 1
            inner = self.product()
            self.depth -= 1
            return Call(token.text, (Num(Fraction(0)), inner))
        node = self.power()
        while True:
            token = self.peek()
            if isinstance(node, Call) and node.op == "deg":
                braced = token.text == "{" and self.peek(2).text == "}"
                scale = self.peek(1) if braced else token
                if scale.kind in ("sym", "word") and scale.text in _TEMPERATURES:
                    self.at += 3 if braced else 1
                    node = Quant(node.args[0], _TEMPERATURES[scale.text])
                    continue
            if token.kind == "op" and token.text == "pmod":
                self.at += 1
                node = Call("pmod", (node, self.argument()))
                continue
            if token.kind == "op" and token.text in ("*", "/", "mod"):
                self.at += 1
                right = self.signed_power()
                if token.text == "*":
                    if isinstance(right, Num) and self.peek(-1).kind == "num" and self.peek().kind == "cmd" and self.peek().text == "frac":
                        part = self.power()             # 2 \\cdot 3\\frac{1}{2}
                        right = (_mixed(right, *part.args) if isinstance(part, Call) and _is_plain_fraction(part) and right.value.denominator == 1
                                 else _times(right, part))
                    node = _times(node, right)
                elif token.text == "mod":
                    node = Call("mod", (node, right))
                elif isinstance(node, Num) and isinstance(right, Call) and right.op in ("percent", "deg") and isinstance(right.args[0], Num):
                    node = Call(right.op, (Call("div", (node, right.args[0])),))       # 25/4% is 6.25 %
                else:
                    node = Call("div", (node, right))
            elif token.text == "{" and self.peek(1).text == "}":
                self.at += 2
            elif self.starts_factor(token):
                if token.kind == "cmd" and token.text in ("dollar", "euro", "pounds", "yen"):
                    self.at += 1
                    if token.text == "dollar" and self.peek().kind in ("num", "sym", "cmd"):
                        continue
                    node = Quant(node, _MONEY[token.text])
                    continue
                before = self.peek(-1) if self.at else self.end_token
                right = self.power()
                if isinstance(right, Rel) and right.ops == ("in",) and isinstance(right.sides[1], Sym) and right.sides[1].name.startswith("bb"):
                    continue            # pi/4 + k pi (k in Z)
                if (isinstance(node, Num) and isinstance(right, Num) and node.value.denominator == 1 and right.value.denominator == 1
                        and before.kind == "num" and token.kind == "num"):
                    if self.is_op("/") and self.peek(1).kind == "num":      # 3 1/2
                        self.at += 1
                        below = self.power()
                        mark = below.op if isinstance(below, Call) and below.op in ("percent", "deg") else ""       # 3 1/2 %
                        node = _mixed(node, right, below.args[0] if isinstance(below, Call) and mark else below)
                        node = Call(mark, (node,)) if mark else node
                        continue
                    raise Unsupported("two_numbers")
                if isinstance(node, Num) and before.kind == "num" and token.text == "frac" and _is_plain_fraction(right):
                    node = _mixed(node, right.args[0], right.args[1])        # type: ignore[union-attr]
                    continue
                if (isinstance(node, Num) and before.kind == "num" and token.text == "frac" and isinstance(right, Call)
                        and right.op in ("percent", "deg") and _is_plain_fraction(right.args[0])):
                    node = Call(right.op, (_mixed(node, *right.args[0].args),))      # type: ignore[union-attr]
                    continue
                if (unit := _unit_fraction(right)) is not None and not isinstance(node, Quant):
                    node = Quant(node, unit)
                    continue
                if token.text == "(" and not token.spaced and (
                        isinstance(node, Sym) and len(node.name) < 20 and before.kind == "sym" or _is_inverse_name(node)):
                    node = Call("apply", (node, right))
                else:
                    node = _times(node, right)
            else:
                return node

    def signed_power(self) -> Node:
        if self.is_op("-", "+"):
            negative = self.take().text == "-"
            self.deeper()
            inner = self.signed_power()
            self.depth -= 1
            return Call("neg", (inner,)) if negative else inner
        return self.power()

    def starts_factor(self, token: Token) -> bool:
        if token.kind in ("num", "sym", "env"):
            return True
        if token.kind == "cmd":
            return True
        if token.kind == "open":
            return not self._opens_words()
        return token.kind == "op" and token.text in ("|", "mid") and self.bars == 0 and self.set_depth == 0

    def power(self) -> Node:
        self.deeper()
        node = self.atom()
        while True:
            token = self.peek()
            if token.kind != "op":
                break
            if token.text == "^":
                self.at += 1
                node = self.superscript(node)
            elif token.text == "_":
                self.at += 1
                node = self.subscript(node)
            elif token.text == "!":
                self.at += 1
                if double := self.is_op("!"):
                    self.at += 1
                node = Call("fact2" if double else "fact", (node,))
            elif token.text == "%":
                self.at += 1
                node = Call("percent", (node,))
            elif token.text == "'":
                self.at += 1
                if not isinstance(node, Sym):
                    raise Unsupported("prime")
                node = Sym(node.name + "'")
            else:
                break
        self.depth -= 1
        return node

    def superscript(self, base: Node) -> Node:
        token = self.peek()
        inner = self.peek(1) if token.text == "{" else token
        if inner.kind == "cmd" and inner.text in ("circ", "degree"):
            self.at += 1
            if token.text == "{":
                self.at += 1
                self.expect_close("}")
            minutes = self.minutes_of_arc()
            return Call("deg", (Call("add", (base, *minutes)) if minutes else base,))
        if inner.kind == "op" and inner.text == "'":
            self.at += 1
            if token.text == "{":
                while self.is_op("'"):
                    self.at += 1
                self.expect_close("}")
            return Sym(base.name + "'") if isinstance(base, Sym) else base
        if inner.kind == "op" and inner.text in ("+", "*", "-") and (self.peek(2) if token.text == "{" else self.peek(1)).kind in (
                "close", "end_of_text", "sep", "op"):
            self.at += 2 if token.text == "{" else 1            # R^+
            if token.text == "{":
                self.expect_close("}")
            return Sym(base.name + "^" + inner.text) if isinstance(base, Sym) else base
        if isinstance(base, Mat | Seq) and inner.text in ("T", "top", "intercal") and (inner is token or self.peek(2).text == "}"):
            self.at += 1 if inner is token else 3
            return _transposed(base)
        exponent = self.argument(signed=True)
        if isinstance(exponent, Call) and exponent.op == "inverse":
            return base
        return _chosen(base, exponent) or Call("pow", (base, exponent))

    def minutes_of_arc(self) -> list[Node]:
        """30' 15'' behind a number of degrees, in degrees."""
        found: list[Node] = []
        while self.peek().kind == "num" and self.peek(1).text == "'" and len(found) < 2:
            value = self.take().value or Fraction(0)
            marks = 0
            while self.is_op("'"):
                self.at += 1
                marks += 1
            found.append(Num(value / 60 ** marks))
            if marks > 2:
                raise Unsupported("prime")
        return found

    def subscript(self, base: Node) -> Node:
        start = self.at
        if self.peek().text == "{":
            level = 0
            while self.at < len(self.tokens):
                token = self.take()
                level += (token.text == "{") - (token.text == "}")
                if level == 0:
                    break
            inside = self.text[self.tokens[start].end:self.tokens[self.at - 1].start]
        else:
            if self.peek().kind in ("end_of_text", "close"):
                raise Unsupported("unexpected_end")
            inside = self.take().text
        inside = re.sub(r"\\(?:text|mathrm|rm|mathbf|textrm)|[\s{}$\\]", "", inside)
        inside = _BASE_NAMES.get(inside, inside)
        last = self.tokens[start - 2] if self.tokens[start - 2].text != ")" else self.tokens[start - 3]      # (1011)_2
        if isinstance(base, Num) and last.kind == "num":
            digits = last.text.replace(" ", "").replace(",", "")
            if _SMALL_NUMBER.fullmatch(inside) and 2 <= int(inside) <= 36 and digits.isalnum():
                return Based(digits.lstrip("0") or "0", int(inside))
            raise Unsupported("base")
        if isinstance(base, Sym):
            return Sym(f"{base.name}_{inside}")
        if isinstance(base, Call) and base.op == "pow" and isinstance(base.args[0], Sym):
            return Call("pow", (Sym(f"{base.args[0].name}_{inside}"), base.args[1]))
        if isinstance(base, Words):
            return Words(base.text + "_" + inside)
        if isinstance(base, Call | Seq | Mat) and _SMALL_NUMBER.fullmatch(inside):
            return Call("index", (base, Num(Fraction(int(inside)))))
        raise Unsupported("subscript")

    def argument(self, *, signed: bool = False, whole_number: bool = True) -> Node:
        """What a command or ^ applies to: a group, or one token."""
        token = self.peek()
        if token.text == "{" and token.kind == "open":
            self.at += 1
            node = self.items("}")
            self.expect_close("}")
            if node is None:
                raise Unsupported("empty_group")
            return node
        if signed and token.kind == "op" and token.text in ("-", "+"):
            self.at += 1
            inner = self.power()
            return Call("neg", (inner,)) if token.text == "-" else inner
        if token.kind == "num" and not whole_number and len(token.text) > 1 and token.text.isdigit():
            head, rest = token.text[0], token.text[1:]
            token.text, token.value, token.start = rest, Fraction(int(rest)), token.start + 1
            return Num(Fraction(int(head)))
        return self.atom()

    # -- atoms -------------------------------------------------------------------------------------------------------------------

    def atom(self) -> Node:
        self.deeper()
        try:
            return self._atom()
        finally:
            self.depth -= 1

    def _atom(self) -> Node:
        token = self.take()
        match token.kind:
            case "num":
                assert token.value is not None
                return Num(token.value, token.digits)
            case "sym":
                return Sym(token.text)
            case "cmd":
                return self.command(token)
            case "env":
                return self.environment(token)
            case "open":
                return self.bracket(token)
            case "op" if token.text in ("|", "mid"):
                self.bars += 1
                node = self.items("|")
                self.bars -= 1
                if node is None or not self.is_op(token.text):
                    raise Unsupported("unbalanced")
                self.at += 1
                return Call("abs", (node,))
            case "word":
                self.at -= 1
                return self.words()
            case _:
                raise Unsupported("unexpected_" + (token.text if token.kind == "op" else token.kind))

    def bracket(self, token: Token) -> Node:
        opened = token.text
        if opened not in _CLOSERS:
            raise Unsupported("unbalanced")
        bars, self.bars = self.bars, 0
        inside_set, self.set_depth = self.set_depth, int(opened == "\\{")
        node = self.items(opened)
        conditions: list[Node] = []
        if opened == "\\{" and node is not None and self.is_op("|", "mid", ":"):
            self.at += 1
            self.set_depth = 0
            body = self.items(opened)
            conditions = [] if body is None else list(body.items) if isinstance(body, Seq) and not body.brackets else [body]
        elif opened == "(" and self.is_op("mod", "pmod"):
            raise Unsupported("congruence")
        self.bars, self.set_depth = bars, inside_set
        closing = self.take()
        if opened == "\\{" and isinstance(node, Mat) and (closing.text == "right|" or closing.kind == "end_of_text"):
            return Seq("cases", tuple(row[0] if len(row) == 1 else Seq("", row) for row in node.rows))     # \\left\\{ array \\right.
        if closing.kind != "close" or closing.text not in _CLOSERS[opened]:
            raise Unsupported("unbalanced")
        if opened == "\\{":
            if conditions and node is not None:
                return SetOf(node, tuple(conditions))
            items = () if node is None else node.items if isinstance(node, Seq) and not node.brackets else (node,)
            return _set(items)
        if node is None:
            raise Unsupported("empty_group")
        if opened == "{":
            return node
        if opened in ("floor", "ceil"):
            return Call(opened, (node,))
        if opened == "left|":
            if isinstance(node, Mat):
                return Mat(node.rows, "det")
            return Call("abs", (node,))
        brackets = ("(" if opened == "]" else opened) + (")" if closing.text == "[" else closing.text)      # ]1, 2[ is (1, 2)
        if isinstance(node, Seq) and not node.brackets:
            return Seq(brackets, node.items)
        if isinstance(node, Mat) or brackets in ("()", "[]"):
            return node
        raise Unsupported("unbalanced")

    def environment(self, token: Token) -> Node:
        name = token.text.rstrip("*")
        rows: list[list[Node]] = [[]]
        cell_start = True
        bars, self.bars = self.bars, 0
        while True:
            part = self.peek()
            if part.kind == "end":
                self.at += 1
                break
            if part.kind == "end_of_text":
                raise Unsupported("unbalanced")
            if part.kind == "sep" and part.text in ("\\\\", "\n"):
                self.at += 1
                if part.text == "\\\\":
                    rows.append([])
                cell_start = True
                continue
            if part.kind == "op" and part.text == "&":
                self.at += 1
                cell_start = True
                continue
            if part.kind == "sep":
                self.at += 1
                continue
            if not cell_start and name in ("matrix", "pmatrix", "bmatrix", "vmatrix", "Bmatrix", "Vmatrix", "array", "smallmatrix"):
                raise Unsupported("matrix")
            goes_on = self.is_op("=") and name in _ALIGNED and self.peek(1).kind not in ("end_of_text", "close", "sep", "end")
            node = self.item()
            if goes_on and rows[-1] or goes_on and len(rows) > 1 and rows[-2]:      # x &= 3 + 4 \\\\ &= 7
                row = rows[-1] or rows[-2]
                sides = row[-1].sides if isinstance(row[-1], Rel) else (row[-1],)
                ops = row[-1].ops if isinstance(row[-1], Rel) else ()
                behind = node.sides if isinstance(node, Rel) else (node,)
                row[-1] = Rel((*ops, "=", *(node.ops if isinstance(node, Rel) else ())), (*sides, *behind))
            else:
                rows[-1].append(node)
            cell_start = False
        self.bars = bars
        filled = [tuple(row) for row in rows if row]
        if not filled:
            raise Unsupported("empty_group")
        if name in ("matrix", "pmatrix", "bmatrix", "vmatrix", "Bmatrix", "Vmatrix", "array", "smallmatrix"):
            if len({len(row) for row in filled}) != 1:
                raise Unsupported("matrix")
            return Mat(tuple(filled), "det" if name == "vmatrix" else "")
        flat = [node for row in filled for node in row]
        if name in ("cases", "rcases", "dcases"):
            return Seq("cases", tuple(row[0] if len(row) == 1 else Seq("", row) for row in filled))
        return flat[0] if len(flat) == 1 else Seq("", tuple(flat))

    def command(self, token: Token) -> Node:
        name = token.text
        if name == "frac":
            above = self.argument(whole_number=False)
            return Call("div", (above, self.argument(whole_number=False)))
        if name == "sqrt":
            index: Node | None = None
            if self.peek().text == "[":
                self.at += 1
                index = self.items("]")
                self.expect_close("]")
            inner = self.argument()
            return Call("root", (inner, index or Num(Fraction(2))))
        if name in ("binom", "dbinom", "tbinom"):
            above = self.argument(whole_number=False)
            return Call("binom", (above, self.argument(whole_number=False)))
        if name in _MONEY:
            inner = self.product()
            return Quant(inner, _MONEY[name]) if not isinstance(inner, Quant) else inner
        if name in ("boxed", "fbox"):
            return self.argument()
        if name == "angle" or name in ("triangle", "measuredangle"):
            return Sym("angle")
        if name in ("circ", "degree"):
            return Sym("circ")
        if name in ("lim", "sum", "int", "prod") or name in _UNPARSED:
            raise Unsupported("operator_" + name)
        if name in ("stackrel", "overset", "underset"):
            raise Unsupported("command")
        low = _NAMED_FUNCTIONS.get(name, name)
        if low == "cis":
            angle = self.function(low)
            assert isinstance(angle, Call)
            return Call("add", (Call("cos", angle.args), Call("mul", (Sym("i"), Call("sin", angle.args)))))
        if low in FUNCTIONS:
            return self.function(low)
        raise Unsupported("command")

    def function(self, name: str) -> Node:
        base: Node | None = None
        exponent: Node | None = None
        while self.is_op("^", "_"):
            op = self.take().text
            value = self.argument(signed=True, whole_number=op == "^")
            if op == "_":
                base = value
            else:
                exponent = value
        token = self.peek()
        if name in ("max", "min", "gcd", "lcm"):
            if token.kind != "open" or base is not None:
                raise Unsupported("command")
            inner = self.atom()
            node: Node = Call(name, inner.items if isinstance(inner, Seq) else (inner,))
        elif token.kind == "open" and token.text in ("(", "[", "{", "left|"):
            inner = self.atom()
            while self.is_op("!", "^") and token.text == "{":
                self.at += 1
                inner = Call("fact", (inner,)) if self.tokens[self.at - 1].text == "!" else Call("pow", (inner, self.argument(signed=True)))
            node = _function(name, base, inner)
        else:
            node = _function(name, base, self.open_argument())
        if exponent is not None:
            if exponent == Call("neg", (Num(Fraction(1)),)) and name in _INVERSES:
                node = Call(_INVERSES[name], node.args) if isinstance(node, Call) else node
            else:
                node = Call("pow", (node, exponent))
        return node

    def open_argument(self) -> Node:
        """The argument of a function without brackets: factors up to the next function, sign or explicit operator."""
        if self.is_op("-", "+"):
            negative = self.take().text == "-"
            inner = self.open_argument()
            return Call("neg", (inner,)) if negative else inner
        if self.peek().kind == "cmd" and self.peek().text in FUNCTIONS and self.peek().text not in ("frac", "sqrt"):
            return self.power()
        node = self.power()
        while True:
            token = self.peek()
            is_function = token.kind == "cmd" and (token.text in FUNCTIONS and token.text not in ("frac", "sqrt", "binom"))
            if is_function or not self.starts_factor(token) or token.kind == "env" or (token.kind == "open" and token.text in ("(", "[")):
                break
            node = _times(node, self.power())
        while self.is_op("/") and self.peek(1).kind == "num" and isinstance(node, Sym | Call) and self.peek(2).kind != "sym":
            self.at += 1
            node = Call("div", (node, self.power()))
        return node


_INVERSES: Final = {"sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sinh": "arsinh", "cosh": "arcosh", "tanh": "artanh",
                    "sec": "arcsec", "csc": "arccsc"}
_WORD_DROP: Final = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mbox|mathbf|operatorname|emph)\s*(?=\{)|\\[,;:! ]|\\q?quad|[{}$\\\"'`*]")
_ARTICLES: Final = re.compile(r"\b(?:the|a|an)\b")


def normal_words(text: str) -> str:
    """Lower case, no formatting, no articles, single spaces, no punctuation at the ends."""
    text = _WORD_DROP.sub(" ", text).lower()
    text = _ARTICLES.sub(" ", text)
    return re.sub(r"\s+", " ", text).strip(" .,;:!?~").rstrip("- ").removeprefix("- ")


def _function(name: str, base: Node | None, inner: Node) -> Node:
    if name in ("log", "lg") and (base is not None or name == "lg"):
        return Call("log", (inner, base or Num(Fraction(10))))
    if base is not None:
        raise Unsupported("command")
    if name == "sqrt":
        return Call("root", (inner, Num(Fraction(2))))
    if name == "cbrt":
        return Call("root", (inner, Num(Fraction(3))))
    if name in ("binom", "choose"):
        if isinstance(inner, Seq) and len(inner.items) == 2:
            return Call("binom", inner.items)
        raise Unsupported("command")
    if name == "frac":
        raise Unsupported("command")
    return Call(name, (inner,))


def _is_inverse_name(node: Node) -> bool:
    """f^{-1}, which with a bracket behind it is a function."""
    match node:
        case Call(op="pow", args=(Sym(name="f" | "g" | "h" | "F" | "G"), Call(op="neg", args=(Num(value=one),)))):
            return one == 1
        case _:
            return False


def _unit_fraction(node: Node) -> str | None:
    """The unit that \\frac{\\text{miles}}{\\text{hour}} is; None for any other fraction."""
    match node:
        case Call(op="div", args=(Words(text=above), Words(text=below))):
            return f"{above} / {below}"
        case Call(op="div", args=(Words(text=above), Sym(name=below))) | Call(op="div", args=(Sym(name=above), Words(text=below))):
            return f"{above} / {below}"
        case _:
            return None


def _transposed(node: Mat | Seq) -> Mat:
    rows = node.rows if isinstance(node, Mat) else (node.items,)
    return Mat(tuple(zip(*rows, strict=True)))


def _times(left: Node, right: Node) -> Node:
    if isinstance(left, Call) and left.op == "mul" and len(left.args) < 200:
        return Call("mul", (*left.args, right))
    return Call("mul", (left, right))


def _mixed(whole: Node, above: Node, below: Node) -> Node:
    assert isinstance(whole, Num)
    return Call("add", (whole, Call("div", (above, below))))


def _is_plain_fraction(node: Node) -> bool:
    """p/q of two integers with 0 < p < q, as the second part of a mixed number has."""
    match node:
        case Call(op="div", args=(Num(value=above), Num(value=below))):
            return above.denominator == below.denominator == 1 and 0 < above < below
        case _:
            return False


def _chosen(base: Node, exponent: Node) -> Node | None:
    """C_{10}^{3} and A_{5}^{2}, as combinations and arrangements are written in much of the world; None for anything else."""
    if not isinstance(base, Sym) or not isinstance(exponent, Num) or (found := _CHOSEN.fullmatch(base.name)) is None:
        return None
    n, k = Num(Fraction(int(found[2]))), exponent.value
    if k.denominator != 1 or not 0 <= k <= n.value or n.value < 2:
        return None
    if found[1] == "C":
        return Call("binom", (n, exponent))
    return Call("mul", (Call("fact", (exponent,)), Call("binom", (n, exponent))))


def _alternatives(items: list[Node], cuts: list[int], work: Work) -> list[list[Node]]:
    """x = 1, y = 2 or x = 3, y = 4: two pairs. 3/4 or 0.75: one value. Any other list is one group."""
    if len(cuts) == len(items) - 1 and all(isinstance(item, Num | Call) for item in items):
        values = {_rational(item, work) for item in items}
        if len(values) == 1 and None not in values:
            return [items[:1]]
    ends = [0, *cuts, len(items)]
    groups = [items[start:end] for start, end in pairwise(ends)]
    names = [[item.sides[0] for item in group if isinstance(item, Rel) and item.ops == ("=",)] for group in groups]
    if len(names[0]) < 2 or any(one != names[0] or len(one) != len(group) for one, group in zip(names, groups, strict=True)):
        return [items]
    return groups if len(set(names[0])) == len(names[0]) else [items]


def _rational(node: Node, work: Work) -> Fraction | None:
    try:
        return exact(node, work)
    except ArithmeticError:
        return None


def _set(items: tuple[Node, ...]) -> Node:
    if not items:
        return Sym("empty")
    return Seq("{}", items)


def _relation(ops: list[str], sides: list[Node]) -> Node:
    """"a -> b" and "a : b" are read like "a = b" where a is a name; a ratio stays one."""
    if ops == [":"]:
        if isinstance(sides[0], Words | Sym):
            return Rel(("=",), (Sym(sides[0].text) if isinstance(sides[0], Words) else sides[0], sides[1]))
        return Call("ratio", tuple(sides))
    if all(op == ":" for op in ops):
        return Call("ratio", tuple(sides))
    if ops[0] == ":" and isinstance(sides[0], Words) and ":" not in ops[1:]:
        return _relation(ops[1:], sides[1:])        # Solution is: k = 4
    if ":" in ops or "notin" in ops or "subset" in ops:
        raise Unsupported("relation")
    named = tuple(Sym(side.text) if isinstance(side, Words) and n == 0 else side for n, side in enumerate(sides))
    return Rel(tuple(ops), named)
