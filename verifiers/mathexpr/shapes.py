"""One value in several shapes, each turned into the one that the other side has.

    2i - 3j + k  (unit vectors)        (2, -3, 1)
    P(3, -4)     (a named point)       (3, -4)
    9.8 m/s^2    (letters of units)    Quant(9.8, "m s^-2")
    y = -4, x = 3                      x = 3, y = -4
"""
from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from .sets import substitute
from .tree import Call, Mat, Node, Num, Quant, Seq, Sym, walk
from .units import LETTER_UNITS
from .values import Work, equal, symbols

__all__ = ["alphabetical", "as_point", "as_quantity", "as_vector"]

_AXES: Final = ("i", "j", "k")
_ALPHABETS: Final = ("xyz", "abcd")


def as_point(node: Node) -> Node:
    """The coordinates of P(3, -4); any other node as it is. f(3, -4) and sums of points are none."""
    match node:
        case Call(op="apply", args=(Sym(name=name), Seq(brackets="()") as place)) if len(name) <= 3 and name[:1].isupper():
            return place
        case _:
            return node


def as_vector(node: Node, size: int, work: Work) -> list[Node] | None:
    """The components of a combination of the unit vectors i, j and k, which must not be of i alone (a complex number)."""
    if not isinstance(node, Call) or size not in (2, 3):
        return None
    names = {one.name for one in walk(node) if isinstance(one, Sym)}
    if not names & {"j", "k"} or symbols(node) - set(_AXES) or size == 2 and "k" in names:
        return None
    if any(isinstance(one, Mat | Seq | Quant) for one in walk(node)):
        return None
    zero, one = Num(Fraction(0)), Num(Fraction(1))
    parts = [substitute(node, {name: one if name == axis else zero for name in _AXES}) for axis in _AXES[:size]]
    whole = Call("add", tuple(Call("mul", (part, Sym("_" + axis))) for part, axis in zip(parts, _AXES, strict=False)))
    try:
        linear = equal(substitute(node, {axis: Sym("_" + axis) for axis in _AXES}), whole, work)
    except ArithmeticError:
        return None
    return parts if linear else None


def as_quantity(node: Node) -> Quant | None:
    """5 m as a quantity, where the letters of a product can be units; None where there are others, or none."""
    numbers: list[Node] = []
    units: dict[str, int] = {}
    if not _factors(node, 1, numbers, units) or not numbers or not units:
        return None
    return Quant(Call("mul", tuple(numbers)), " ".join(f"{name} ^ {power}" for name, power in units.items()))


def _factors(node: Node, power: int, numbers: list[Node], units: dict[str, int]) -> bool:
    match node:
        case Sym(name=name) if name in LETTER_UNITS:
            units[name] = units.get(name, 0) + power
            return True
        case Call(op="mul", args=args):
            return all(_factors(arg, power, numbers, units) for arg in args)
        case Call(op="div", args=(above, below)):
            return _factors(above, power, numbers, units) and _factors(below, -power, numbers, units)
        case Call(op="pow", args=(Sym() as base, Num(value=value))) if value.denominator == 1 and abs(value) < 10:
            return _factors(base, power * int(value), numbers, units)
        case Call(op="pow", args=(Sym() as base, Call(op="neg", args=(Num(value=value),)))) if value.denominator == 1 and abs(value) < 10:
            return _factors(base, -power * int(value), numbers, units)
        case Call(op="neg", args=(inner,)):
            numbers.append(Num(Fraction(-1)))
            return _factors(inner, power, numbers, units)
        case _:
            numbers.append(node if power > 0 else Call("pow", (node, Num(Fraction(-1)))))
            return not symbols(node)


def alphabetical(labels: Sequence[object], items: Sequence[Node]) -> list[Node] | None:
    """The items of a list with labels in the order that a tuple has them in: y = 2, x = 1 is (1, 2). None for labels without such an order."""
    names = [label.name if isinstance(label, Sym) else "" for label in labels]
    for alphabet in _ALPHABETS:
        if sorted(names) == list(alphabet[:len(names)]):
            return [item for _, item in sorted(zip(names, items, strict=True), key=lambda pair: pair[0])]
    return None
