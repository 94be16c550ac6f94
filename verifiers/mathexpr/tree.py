"""The small tree that an answer is parsed into: values, and the structures that hold several of them.

    Num Sym Call          arithmetic: Call is an operation or a function, by its name in `op`
    Based Quant           a number in a base; a value with its unit or noun
    Seq Mat Rel           several values in brackets (or none); a matrix; a chain of relations
    SetOf SetOp Words     {x : ...}; a union or the like; what is only text
"""
from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Based", "Call", "Mat", "Node", "Num", "Quant", "Rel", "Seq", "SetOf", "SetOp", "Sym", "Unsupported", "Words", "walk"]


class Unsupported(ValueError):
    """Not read by this parser: wrong, beyond its limits, or a construct that it leaves to others (`slug` says which)."""

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self.slug = slug


@dataclass(frozen=True, slots=True)
class Num:
    """An exact number. `digits` is the number of digits after the point for a decimal, None for others."""

    value: Fraction
    digits: int | None = None


@dataclass(frozen=True, slots=True)
class Sym:
    """A variable or a constant, by its name without formatting: `x`, `a_{n}`, `pi`, `e`, `i`, `oo`."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """An operation: add, mul, div, pow, neg, pm, mp, apply, fact, abs, root, log, percent, deg, binom, or a function's name."""

    op: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Based:
    """Digits in a base, 204_5."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Quant:
    """A value and the words behind it: a unit, or a noun that was counted."""

    value: Node
    unit: str


@dataclass(frozen=True, slots=True)
class Seq:
    """Several values. `brackets`: `()`, `[]`, `(]`, `[)`, `{}` for a set, `` for a bare list."""

    brackets: str
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mat:
    """Rows of a matrix, all equally long; `kind` is det for bars."""

    rows: tuple[tuple[Node, ...], ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Rel:
    """A chain of relations: sides[0] ops[0] sides[1] ops[1] sides[2] ... ops: = < <= > >= != in approx."""

    ops: tuple[str, ...]
    sides: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class SetOf:
    """{what : conditions}."""

    what: Node
    conditions: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class SetOp:
    """cup, cap or minus of sets."""

    op: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """Text, normalised."""

    text: str


Node = Num | Sym | Call | Based | Quant | Seq | Mat | Rel | SetOf | SetOp | Words


def walk(node: Node) -> list[Node]:
    """The node and all below it."""
    found: list[Node] = []
    stack: list[Node] = [node]
    while stack:
        one = stack.pop()
        found.append(one)
        match one:
            case Call(args=nodes) | Seq(items=nodes) | Rel(sides=nodes) | SetOp(args=nodes):
                stack.extend(nodes)
            case Quant(value=inner):
                stack.append(inner)
            case Mat(rows=rows):
                for row in rows:
                    stack.extend(row)
            case SetOf(what=what, conditions=conditions):
                stack.append(what)
                stack.extend(conditions)
            case _:
                pass
    return found
