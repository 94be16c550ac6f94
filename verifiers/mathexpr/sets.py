"""Inequalities, intervals, unions and set builders as one thing: a list of intervals of one real variable."""
from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from .tree import Call, Node, Num, Rel, Seq, SetOf, SetOp, Sym, Words
from .values import OutOfBudget, Undefined, Work, equal, exact, number, symbols

__all__ = ["Interval", "RealSet", "as_set", "same_set", "substitute"]

_INFINITY: Final = Sym("oo")
_MINUS_INFINITY: Final = Call("neg", (_INFINITY,))
_FLIP: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
MAX_INTERVALS: Final = 64


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`; infinite ends are the symbols -oo and oo, and open."""

    low: Node
    low_closed: bool
    high: Node
    high_closed: bool


@dataclass(frozen=True, slots=True)
class RealSet:
    """A union of intervals of a variable; `name` is "" where none is given."""

    parts: tuple[Interval, ...]
    name: str = ""


_ALL: Final = Interval(_MINUS_INFINITY, False, _INFINITY, False)


def as_set(node: Node, work: Work) -> RealSet | None:
    """The set that a node describes, or None if it describes none of this kind."""
    match node:
        case Seq(brackets="()" | "[]" | "(]" | "[)", items=(low, high)):
            if isinstance(low, Seq | Rel) or isinstance(high, Seq | Rel):
                return None
            closed = (node.brackets[0] == "[", node.brackets[1] == "]")
            return RealSet((Interval(low, closed[0], high, closed[1]),))
        case Seq(brackets="{}", items=items) if not any(isinstance(item, Seq | Rel) for item in items):
            return RealSet(tuple(Interval(item, True, item, True) for item in items))
        case Sym(name="bbR"):
            return RealSet((_ALL,))
        case Sym(name="bbR^+"):
            return RealSet((Interval(Num(Fraction(0)), False, _INFINITY, False),))
        case Sym(name="bbR^-"):
            return RealSet((Interval(_MINUS_INFINITY, False, Num(Fraction(0)), False),))
        case Words(text="all real numbers" | "all reals" | "all real" | "real numbers" | "r"):
            return RealSet((_ALL,))
        case Rel():
            return _relation(node, work)
        case Seq(brackets="", items=items) if items and all(isinstance(item, Rel) for item in items):
            return _together([as_set(item, work) for item in items], work)
        case SetOp(op="cup", args=args):
            found = [as_set(arg, work) for arg in args]
            if any(one is None for one in found):
                return None
            return RealSet(tuple(part for one in found if one for part in one.parts))
        case SetOp(op="minus", args=(whole, out)) | Call(op="add", args=(Sym() as whole, Call(op="neg", args=(Seq(brackets="{}") as out,)))):
            return _without(as_set(whole, work), as_set(out, work), work)
        case SetOp(op="cap", args=(first, second)):
            a, b = as_set(first, work), as_set(second, work)
            return _intersection(a, b, work) if a and b else None
        case SetOf(what=what, conditions=conditions):
            return _builder(what, conditions, work)
        case _:
            return None


def _infinite(node: Node) -> bool:
    return node in (_INFINITY, _MINUS_INFINITY) or (isinstance(node, Call) and node.op in ("neg", "pm") and node.args[-1] == _INFINITY)


def _builder(what: Node, conditions: tuple[Node, ...], work: Work) -> RealSet | None:
    name = what.name if isinstance(what, Sym) else ""
    if isinstance(what, Rel) and what.ops == ("in",) and isinstance(what.sides[0], Sym):
        name = what.sides[0].name
        if what.sides[1] != Sym("bbR"):
            return None
    if not name:
        return None
    kept = [one for one in conditions if one != Rel(("in",), (Sym(name), Sym("bbR")))]
    if not kept:
        return None
    found = _together([as_set(one, work) for one in kept], work)
    return found if found and found.name in ("", name) else None


def _relation(node: Rel, work: Work) -> RealSet | None:
    ops, sides = node.ops, node.sides
    if ops == ("in",):
        inside = as_set(sides[1], work)
        return RealSet(inside.parts, sides[0].name) if inside and isinstance(sides[0], Sym) else inside
    if ops == ("!=",):
        for variable, value in ((sides[0], sides[1]), (sides[1], sides[0])):
            if isinstance(variable, Sym) and variable.name not in symbols(value) and not isinstance(value, Seq):
                if isinstance(value, Call) and value.op == "pm" and value.args[0] == Num(Fraction(0)):
                    minus, plus = Call("neg", (value.args[1],)), value.args[1]
                    return RealSet((Interval(_MINUS_INFINITY, False, minus, False), Interval(minus, False, plus, False),
                                    Interval(plus, False, _INFINITY, False)), variable.name)
                return RealSet((Interval(_MINUS_INFINITY, False, value, False), Interval(value, False, _INFINITY, False)), variable.name)
        return None
    if not all(op in _FLIP for op in ops):
        return None
    if len(ops) == 2:
        down = ops[0] in (">", ">=")
        if down != (ops[1] in (">", ">=")):
            return None
        low, middle, high = reversed(sides) if down else sides
        low_op, high_op = (ops[1], ops[0]) if down else ops
        if not isinstance(middle, Sym) or middle.name in symbols(low) | symbols(high):
            return None
        return RealSet((Interval(low, low_op.endswith("=") and not _infinite(low), high, high_op.endswith("=") and not _infinite(high)),),
                       middle.name)
    if len(ops) != 1:
        return None
    left, right = sides
    op = ops[0]
    if isinstance(right, Sym) and right.name not in ("oo", "pi", "e") and not isinstance(left, Sym):
        left, right, op = right, left, _FLIP[op]
    if isinstance(left, Sym) and left.name not in symbols(right):
        return RealSet((_half_line(right, op),), left.name)
    if isinstance(left, Call) and left.op == "abs" and not symbols(right):
        inner, opposite = left.args[0], Call("neg", (right,))
        halves = [_linear(inner, right, op, work), _linear(inner, opposite, _FLIP[op], work)]
        return _together(halves, work) if op in ("<", "<=") else _union(halves)
    return _linear(left, right, op, work)


def _is_signed_symbol(node: Node) -> bool:
    return isinstance(node, Sym) or isinstance(node, Call) and node.op == "neg" and isinstance(node.args[0], Sym)


def _union(found: list[RealSet | None]) -> RealSet | None:
    sets = [one for one in found if one is not None]
    return RealSet(tuple(part for one in sets for part in one.parts), sets[0].name) if len(sets) == len(found) else None


def _half_line(value: Node, op: str) -> Interval:
    if op in ("<", "<="):
        return Interval(_MINUS_INFINITY, False, value, op == "<=" and not _infinite(value))
    return Interval(value, op == ">=" and not _infinite(value), _INFINITY, False)


def _linear(left: Node, right: Node, op: str, work: Work) -> RealSet | None:
    """-x < a, with rational numbers. A multiple or a sum is not solved here: 2x + 3 < 7 is the question, not its answer."""
    names = symbols(left) | symbols(right)
    if len(names) != 1 or not _is_signed_symbol(left) and not _is_signed_symbol(right):
        return None
    (name,) = names
    difference = Call("add", (left, Call("neg", (right,))))
    values: list[Fraction] = []
    for at in (0, 1, 2, 5):
        try:
            value = exact(substitute(difference, {name: Num(Fraction(at))}), work)
        except OutOfBudget:
            raise
        except ArithmeticError:
            return None
        if value is None:
            return None
        values.append(value)
    slope = values[1] - values[0]
    if abs(slope) != 1 or values[2] - values[1] != slope or values[3] - values[0] != 5 * slope:
        return None
    return RealSet((_half_line(Num(-values[0] / slope), op if slope > 0 else _FLIP[op]),), name)


def substitute(node: Node, values: dict[str, Node]) -> Node:
    """The node with variables replaced, in expressions and the structures that hold them."""
    match node:
        case Sym(name=name):
            return values.get(name, node)
        case Call(op=op, args=args):
            return Call(op, tuple(substitute(arg, values) for arg in args))
        case Seq(brackets=brackets, items=items):
            return Seq(brackets, tuple(substitute(item, values) for item in items))
        case Rel(ops=ops, sides=sides):
            return Rel(ops, tuple(substitute(side, values) for side in sides))
        case _:
            return node


def _value(node: Node, work: Work) -> Any:
    """A real number, or None."""
    if node == _INFINITY:
        return float("inf")
    if _infinite(node):
        return float("-inf")
    if symbols(node):
        return None
    found = number(node, work)
    return None if found is None or hasattr(found, "imag") and found.imag != 0 else found


def _sorted_parts(parts: tuple[Interval, ...], work: Work) -> list[tuple[Any, Any, Interval]] | None:
    """By value, touching ones joined, empty ones dropped; None if an end is no number."""
    valued: list[tuple[Any, Any, Interval]] = []
    for part in parts:
        low, high = _value(part.low, work), _value(part.high, work)
        if low is None or high is None or low > high or (low == high and not (part.low_closed and part.high_closed)):
            return None         # (3, -4) is no interval: it is not equal to every other one that is empty
        valued.append((low, high, part))
    valued.sort(key=lambda item: (item[0], not item[2].low_closed))
    joined: list[tuple[Any, Any, Interval]] = []
    for low, high, part in valued:
        if joined:
            last_low, last_high, last = joined[-1]
            if low < last_high or (low == last_high and (part.low_closed or last.high_closed)):
                longer = part if (high, part.high_closed) >= (last_high, last.high_closed) else last
                joined[-1] = (last_low, max(high, last_high), Interval(last.low, last.low_closed, longer.high, longer.high_closed))
                continue
        joined.append((low, high, part))
    return joined


def _intersection(a: RealSet, b: RealSet, work: Work) -> RealSet | None:
    if a.name and b.name and a.name != b.name:
        return None
    parts: list[Interval] = []
    for one in a.parts:
        for other in b.parts:
            low_a, low_b, high_a, high_b = (_value(end, work) for end in (one.low, other.low, one.high, other.high))
            if low_a is None or low_b is None or high_a is None or high_b is None:
                return None
            low = (one.low, one.low_closed) if (low_a, not one.low_closed) >= (low_b, not other.low_closed) else (other.low, other.low_closed)
            high = (one.high, one.high_closed) if (high_a, one.high_closed) <= (high_b, other.high_closed) else (other.high, other.high_closed)
            if max(low_a, low_b) < min(high_a, high_b) or (max(low_a, low_b) == min(high_a, high_b) and low[1] and high[1]):
                parts.append(Interval(*low, *high))
    return RealSet(tuple(parts), a.name or b.name)


def _without(whole: RealSet | None, out: RealSet | None, work: Work) -> RealSet | None:
    """A set without points and intervals."""
    rest = whole if out is not None else None
    for part in out.parts if out is not None else ():
        left = Interval(_MINUS_INFINITY, False, part.low, not part.low_closed)
        right = Interval(part.high, not part.high_closed, _INFINITY, False)
        hole = RealSet(tuple(one for one in (left, right) if not _infinite(one.high if one is left else one.low)))
        rest = _intersection(rest, hole, work) if rest else None
    return rest


def _together(found: list[RealSet | None], work: Work) -> RealSet | None:
    """Conditions in a row: their intersection, or their union where that is empty ("x < 1, x > 3")."""
    sets = [one for one in found if one is not None]
    if len(sets) != len(found) or not sets or len({one.name for one in sets if one.name}) > 1:
        return None
    both: RealSet | None = sets[0]
    for one in sets[1:]:
        both = _intersection(both, one, work) if both is not None else None
    name = next((one.name for one in sets if one.name), "")
    if both is not None and both.parts:
        return RealSet(both.parts, name)
    return RealSet(tuple(part for one in sets for part in one.parts), name)


def same_set(a: RealSet, b: RealSet, work: Work) -> bool:
    """Whether two sets are equal; two different variables make them different."""
    if a.name and b.name and a.name != b.name:
        return False
    if len(a.parts) > MAX_INTERVALS or len(b.parts) > MAX_INTERVALS:
        return False
    first, second = _sorted_parts(a.parts, work), _sorted_parts(b.parts, work)
    if first is not None and second is not None:
        return len(first) == len(second) and all(_same_part(one[2], other[2], work) for one, other in zip(first, second, strict=True))
    if len(a.parts) != len(b.parts):
        return False
    left = list(b.parts)
    for part in a.parts:
        match = next((other for other in left if _same_part(part, other, work)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _same_part(a: Interval, b: Interval, work: Work) -> bool:
    return (a.low_closed == b.low_closed and a.high_closed == b.high_closed
            and _same_end(a.low, b.low, work) and _same_end(a.high, b.high, work))


def _same_end(a: Node, b: Node, work: Work) -> bool:
    if _infinite(a) or _infinite(b):
        return _infinite(a) and _infinite(b) and (a == _INFINITY) == (b == _INFINITY)
    try:
        return equal(a, b, work)
    except Undefined:
        return False
