"""Whether two parsed answers are the same answer. Symmetric: same(a, b) == same(b, a). The rules, in order:

names       `x = 3`, `f(x) = ..`, `x \\in S` against a bare value: the value. Two different names: different, unless as equations equal.
chains      `a = b = c` is its last side; what stands behind an "approximately" is left out.
equations   equal if one is a constant multiple of the other; against an expression: if that solves it for a variable it is linear in.
sets        inequalities, intervals, unions and builders are one thing; ends and their brackets count.
constants   F(x) + C: equal up to a constant, whose letter is free.
lists       complete. Bare lists and sets: any order (sets without repeats). Tuples, and a tuple against a bare list: in order.
            `pm` stands for both values. Labelled lists are matched by label.
matrices    entry by entry; a column or row against a tuple: its entries.
units       5 ft 6 in is one quantity. Converted where both sides have them; words that were counted must agree; a side without any says nothing.
percent     n % is n/100, and equals a bare n too (the sign is a unit that may be left out). Nothing else is scaled by 100.
numbers     exact. A decimal of at least FULL_PRECISION significant digits equals what it is the rounding of; with the policy's
            `rounding`, one of any length does.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from ...core.math_policy import MathPolicy
from .antiderivatives import without_constant
from .compound import joined
from .sets import as_set, same_set, substitute
from .shapes import alphabetical, as_point, as_quantity, as_vector
from .tree import Based, Call, Mat, Node, Num, Quant, Rel, Seq, SetOf, SetOp, Sym, Words, walk
from .units import Unit, unit_of
from .values import OutOfBudget, TooLarge, Undefined, Work, equal, exact, number, symbols
from .words import words_equal, words_number, words_quantity

__all__ = ["Comparison", "same"]

FULL_PRECISION: Final = 10
"""Significant digits from which a decimal is read as a float that was printed in full."""
FLOAT_DIGITS: Final = 15
"""A binary float prints 15 to 17 significant digits."""
FLOAT_NOISE: Final = Fraction(1, 2**49)
"""Relative error of a float after a few operations."""
MAX_PRINTED_BITS: Final = 13_000
"""Integers that are written out to look at their digits; Python refuses to write more than 4,300 of them."""
MAX_ITEMS: Final = 128
MAX_DETERMINANT: Final = 4
MAX_PAIRS: Final = 4_000
_PARAMETERS: Final = frozenset("knmljpqts")
_NUMBER_SETS: Final = {
    "bbZ": ("integers", "all integers", "any integer", "every integer"), "bbQ": ("rational numbers", "all rational numbers", "all rationals"),
    "bbC": ("complex numbers", "all complex numbers"),
    "bbN": ("positive integers", "all positive integers", "natural numbers", "all natural numbers"),
    "bbZ^+": ("positive integers", "all positive integers"), "bbN^*": ("positive integers", "all positive integers")}
_ALL_REALS: Final = frozenset({"all real numbers", "all reals", "all real", "real numbers"})
_UNKNOWNS: Final = frozenset({"x", "y", "z", "X", "Y", "Z", "e", "pi", "i", "oo"})
_DEGREES: Final = frozenset(unit_of(name).dimension for name in ("degree", "celsius", "fahrenheit"))
_NONE: Final = Unit("", None)


@dataclass(slots=True)
class Comparison:
    """What a comparison may use, and what it found in the way: `limits` is set where something was too large to evaluate."""

    work: Work
    policy: MathPolicy
    limits: bool = False
    undefined: bool = False
    pairs: int = field(default=0)

    def equal(self, a: Node, b: Node) -> bool:
        try:
            return equal(a, b, self.work)
        except TooLarge:
            self.limits = True
        except Undefined:
            self.undefined = True
        return False


@dataclass(frozen=True, slots=True)
class _Named:
    label: Node
    value: Node
    relation: Rel


def same(a: Node, b: Node, c: Comparison) -> bool:
    """Raises: OutOfBudget."""
    try:
        return _same(a, b, c, 0) or any(_has_plain_log(node) for node in (a, b)) and _same(_common_logs(a), _common_logs(b), c, 0)
    except RecursionError:
        c.limits = True
        return False
    except ArithmeticError as error:
        if isinstance(error, OutOfBudget):
            raise
        c.limits |= isinstance(error, TooLarge)
        return False


def _has_plain_log(node: Node) -> bool:
    return any(isinstance(one, Call) and one.op == "log" and len(one.args) == 1 for one in walk(node))


def _common_logs(node: Node) -> Node:
    """`log` without a base is the natural one or the common one: the same on both sides."""
    if isinstance(node, Call):
        args = tuple(_common_logs(arg) for arg in node.args)
        return Call(node.op, (*args, Num(Fraction(10))) if node.op == "log" and len(args) == 1 else args)
    if isinstance(node, Seq):
        return Seq(node.brackets, tuple(_common_logs(item) for item in node.items))
    if isinstance(node, Rel):
        return Rel(node.ops, tuple(_common_logs(side) for side in node.sides))
    return node


def _same(a: Node, b: Node, c: Comparison, depth: int) -> bool:
    c.work.check()
    if depth > 12:
        return False
    if a == b:
        return True
    a, b = _tidied(a), _tidied(b)
    if a == b:
        return True
    named_a, named_b = _named(a), _named(b)
    if named_a and named_b:
        return _both_named(named_a, named_b, c, depth)
    if named_a or named_b:
        named, other = (named_a, b) if named_a else (named_b, a)
        assert named is not None
        return _one_named(named, other, c, depth)
    a, b = _chain_value(a), _chain_value(b)
    if isinstance(a, Rel) and isinstance(b, Rel) and a.ops == b.ops == ("=",):
        return _same_equation(a, b, c)
    if set_verdict := _as_sets(a, b, c):
        return set_verdict == "equal"
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Rel) and one.ops == ("=",) and not isinstance(other, Rel | Seq | Mat | Words):
            if _is_combination(one.sides[0]) and not symbols(one.sides[1]) and _key(one.sides[1], c) != 0 or _is_identity(one, c):
                return _same(one.sides[1], other, c, depth + 1)
            return _solves(one, other, c)
    return _same_values(a, b, c, depth)


# -- names and chains ------------------------------------------------------------------------------------------------------------------


def _tidied(node: Node) -> Node:
    """A set or list of one item is the item; `{x = 3}` is `x = 3`; conditions such as `k in Z` are dropped from lists."""
    if isinstance(node, Seq) and node.brackets in ("", "cases"):
        kept = tuple(item for item in node.items if not _is_declaration(item))
        if len(kept) == 1:
            return _tidied(kept[0])
        if kept and kept != node.items:
            return Seq(node.brackets, kept)
    if isinstance(node, Seq) and node.brackets == "{}" and len(node.items) == 1 and not isinstance(node.items[0], Seq):
        return node.items[0] if node.items[0] != Sym("empty") else node
    if isinstance(node, Seq) and node.brackets == "[]" and all(_is_tuple(item) for item in node.items):
        return Seq("", node.items)              # [(1, 2), (3, 4)]
    if isinstance(node, Call) and node.op == "mul" and all(_is_tuple(arg) for arg in node.args):
        return Seq("", node.args)               # (1, 2) \\quad (3, 4)
    return node


def _is_tuple(node: Node) -> bool:
    return isinstance(node, Seq) and node.brackets == "()"


def _is_declaration(node: Node) -> bool:
    if isinstance(node, Rel) and node.ops == ("in",) and isinstance(node.sides[1], Sym) and node.sides[1].name.startswith("bb"):
        return isinstance(node.sides[0], Sym)
    return isinstance(node, Words) and node.text.startswith(("for ", "where ", "with "))


def _is_name(node: Node) -> bool:
    match node:
        case Sym(name=name):
            return name not in ("pi", "e", "i", "oo", "empty", "...")
        case Call(op="apply", args=(Sym() | Call(op="pow"), *_)):
            return all(isinstance(arg, Sym | Num | Seq | Call) and not (isinstance(arg, Call) and arg.op not in ("pow", "abs", "apply"))
                       for arg in node.args)
        case Call(op="mul", args=args):
            return all(isinstance(arg, Sym) for arg in args)
        case Call(op="abs", args=(inner,)):
            return _is_name(inner)
        case Call(op="sin" | "cos" | "tan" | "cot", args=(Sym(name=name),)):
            return name.isupper() or len(name) > 2          # an angle, A or theta; sin x = 0 is an equation
        case Call(op="div", args=(Sym(), Sym())) | SetOp(args=(Sym(), Sym())):
            return True
        case Call(op="div", args=(Call(op="mul", args=(Sym(name="d"), Sym())), Call(op="mul", args=(Sym(name="d"), Sym())))):
            return True         # dy/dx
        case Seq(brackets="()", items=items):
            return all(isinstance(item, Sym) and _is_name(item) for item in items)
        case Seq(brackets="", items=items):
            return all(isinstance(item, Sym) and _is_name(item) for item in items)
        case Words():
            return True
        case _:
            return False


def _named(node: Node) -> _Named | None:
    if not isinstance(node, Rel) or not node.ops:
        return None
    rel = _without_approximations(node)
    if not isinstance(rel, Rel):
        return None
    if rel.ops == ("in",):
        names = isinstance(rel.sides[0], Sym) or _is_tuple(rel.sides[0]) and _is_name(rel.sides[0])
        return _Named(rel.sides[0], rel.sides[1], rel) if names else None
    if any(op not in ("=", "to") for op in rel.ops):
        return None
    first, last = rel.sides[0], rel.sides[-1]
    if _is_name(first) and not (len(rel.sides) == 2 and _is_name(last) and isinstance(last, Seq)):
        return _Named(first, last, rel)
    if isinstance(last, Sym) and _is_name(last) and len(rel.sides) == 2:
        return _Named(last, first, rel)
    return None


def _without_approximations(rel: Rel) -> Node:
    if "approx" not in rel.ops:
        return rel
    at = rel.ops.index("approx")
    if at == 0 and _is_name(rel.sides[0]):
        return Rel(("=",), (rel.sides[0], rel.sides[1]))
    return rel.sides[0] if at == 0 else Rel(rel.ops[:at], rel.sides[:at + 1])


def _chain_value(node: Node) -> Node:
    if not isinstance(node, Rel):
        return node
    rel = _without_approximations(node)
    if not isinstance(rel, Rel):
        return rel
    if any(op not in ("=", "to") for op in rel.ops):
        return rel
    first, *_, last = rel.sides
    if len(rel.sides) > 2 or any(one == Sym("...") for one in walk(first)) or not symbols(last) and not symbols(first):
        return last
    return rel


def _both_named(a: _Named, b: _Named, c: Comparison, depth: int) -> bool:
    renamed = _renamed_arguments(a, b)
    if renamed is not None:
        value_a, value_b = renamed
        if _same(value_a, value_b, c, depth + 1):
            return True
        if a.label != b.label:
            return False
    if _label_key(a.label) == _label_key(b.label):
        return _same(a.value, b.value, c, depth + 1) or _renamed_parameter(a, b, c)
    if a.relation.ops == b.relation.ops == ("=",):
        return _same_equation(a.relation, b.relation, c) or _satisfies(a, b.relation, c) or _satisfies(b, a.relation, c)
    return False


def _satisfies(named: _Named, equation: Rel, c: Comparison) -> bool:
    """y = 1/x against x y = 1: the equation, linear in y, has the named value as its solution."""
    if not isinstance(named.label, Sym) or named.label.name in symbols(named.value) or isinstance(named.value, Seq | Mat | Words):
        return False
    return (named.label.name in symbols(_difference(equation)) and bool(symbols(named.value))
            and not any(isinstance(side, Seq | Mat | Words) for side in equation.sides) and _solves(equation, named.value, c))


def _one_named(named: _Named, other: Node, c: Comparison, depth: int) -> bool:
    value = named.value
    other_value = _chain_value(other)
    if isinstance(other_value, Rel) and other_value.ops == ("=",):
        if not symbols(value):
            return False        # x = 2 against 2x + 3 = 7, which is still to be solved
        return named.relation.ops == ("=",) and (
            _same_equation(named.relation, other_value, c) or _satisfies(named, other_value, c))
    if _same(value, other_value, c, depth + 1):
        return True
    if isinstance(named.label, Sym) and not isinstance(other_value, Rel | Seq | Mat | Words):
        return _renamed_parameter(named, _Named(named.label, other_value, named.relation), c)
    return False


def _label_key(label: Node) -> object:
    """f(x) and f(t) are one name, and so are y and f(x) (a function's graph)."""
    if isinstance(label, Call) and label.op == "apply" and all(isinstance(arg, Sym) for arg in label.args):
        return ("function", label.args[0])
    if isinstance(label, Words):
        return Sym(label.text)
    return label


def _renamed_arguments(a: _Named, b: _Named) -> tuple[Node, Node] | None:
    """W(n) = .. and W(x) = ..: both values with the same argument. Also y = .. against f(x) = .., as they stand."""
    def argument(label: Node) -> str | None:
        if isinstance(label, Call) and label.op == "apply" and len(label.args) == 2 and isinstance(label.args[1], Sym):
            return label.args[1].name
        return None

    first, second = argument(a.label), argument(b.label)
    if first and second and _label_key(a.label) == _label_key(b.label):
        if first == second:
            return a.value, b.value
        if first in symbols(b.value) or second in symbols(a.value):
            return Words("one name"), Words("two variables")
        return a.value, substitute(b.value, {second: Sym(first)})
    if (first and b.label == Sym("y")) or (second and a.label == Sym("y")):
        return a.value, b.value
    return None


def _renamed_parameter(a: _Named, b: _Named, c: Comparison) -> bool:
    """x = k pi and x = n pi: a family over the integers does not depend on the letter."""
    if not isinstance(a.label, Sym) or a.label.name in ("y", "S", "A", "N"):
        return False
    first, second = symbols(a.value), symbols(b.value)
    if len(first) != 1 or len(second) != 1 or first == second or not (first | second) <= _PARAMETERS:
        return False
    if isinstance(a.value, Sym) or isinstance(b.value, Sym):
        return False
    return _has_period(a.value) and _renamed_values(a.value, b.value, c)


def _has_period(node: Node) -> bool:
    return any(isinstance(one, Sym) and one.name == "pi" or isinstance(one, Call) and one.op == "deg" for one in walk(node))


def _is_family(a: Node, b: Node) -> bool:
    """k pi against n pi, both without a name: a period, and one integer parameter each."""
    first, second = symbols(a), symbols(b)
    return len(first) == len(second) == 1 and first != second and (first | second) <= frozenset("knml") and _has_period(a) and _has_period(b)


def _renamed_values(a: Node, b: Node, c: Comparison) -> bool:
    (old,), (new,) = symbols(a), symbols(b)
    return c.equal(_plain(substitute(a, {old: Sym(new)})), _plain(b))


def _same_residue(a: Call, b: Call, c: Comparison) -> bool:
    """1 mod 3 and 4 mod 3."""
    values = [_key(arg, c) for arg in (*a.args, *b.args)]
    if any(value is None or value.denominator != 1 for value in values):
        return a == b
    r, m, s, n = (int(value) for value in values if value is not None)
    return m == n != 0 and (r - s) % m == 0


# -- equations -------------------------------------------------------------------------------------------------------------------------


def _difference(rel: Rel) -> Call:
    return Call("add", (rel.sides[0], Call("neg", (rel.sides[-1],))))


def _same_equation(a: Rel, b: Rel, c: Comparison) -> bool:
    """Constant multiples of each other; both sides pairwise equal serves too."""
    if any(isinstance(side, Seq | Mat | Words | SetOp | SetOf | Rel) for rel in (a, b) for side in rel.sides):
        return len(a.sides) == len(b.sides) and all(_same(x, y, c, 6) for x, y in zip(a.sides, b.sides, strict=True))
    left, right = _difference(a), _difference(b)
    names = symbols(left) | symbols(right)
    if symbols(left) != symbols(right) or not names:
        return False
    if c.equal(left, right) or c.equal(left, Call("neg", (right,))):
        return not c.equal(left, Num(Fraction(0)))
    for offset in (Fraction(17, 5), Fraction(2, 7)):
        point: dict[str, Node] = {name: Num(offset + Fraction(3 * n + 1, 4 + n)) for n, name in enumerate(sorted(names))}
        left_there, right_there = substitute(left, point), substitute(right, point)
        zero = Num(Fraction(0))
        if c.equal(left_there, zero) or c.equal(right_there, zero):
            continue
        return c.equal(Call("mul", (left, right_there)), Call("mul", (right, left_there)))
    return False


def _solves(equation: Rel, expression: Node, c: Comparison) -> bool:
    """Whether the equation is linear in a variable that the expression lacks, with the expression as its solution."""
    difference = _difference(equation)
    if not symbols(expression):
        return False            # 2x + 3 = 7 is no way to say 2
    missing = symbols(difference) - symbols(expression)
    if len(missing) != 1 or not symbols(difference) >= symbols(expression) or isinstance(expression, Quant):
        return False
    (name,) = missing
    at = [substitute(difference, {name: Num(Fraction(n))}) for n in (0, 1, 2)]
    slope = Call("add", (at[1], Call("neg", (at[0],))))
    if not c.equal(slope, Call("add", (at[2], Call("neg", (at[1],))))) or c.equal(slope, Num(Fraction(0))):
        return False
    return c.equal(substitute(difference, {name: expression}), Num(Fraction(0)))


def _is_combination(node: Node) -> bool:
    """m + n, a + b - c: what a question asks for, with its value behind it. Not of x, y and z, which make equations of curves."""
    return isinstance(node, Call) and node.op == "add" and len(symbols(node)) == len(node.args) and not symbols(node) & _UNKNOWNS and all(
        isinstance(arg, Sym) or isinstance(arg, Call) and arg.op == "neg" and isinstance(arg.args[0], Sym) for arg in node.args)


def _is_identity(rel: Rel, c: Comparison) -> bool:
    """x^2 + 2x + 1 = (x + 1)^2: one value in two forms."""
    left, right = rel.sides
    return bool(symbols(left)) and symbols(left) == symbols(right) and not any(
        isinstance(one, Seq | Mat | Words | Quant | Rel | SetOp) for side in rel.sides for one in walk(side)) and c.equal(left, right)


# -- sets ------------------------------------------------------------------------------------------------------------------------------


def _united(node: Node, other: Node) -> Node:
    """(1, 2), (3, 4) against a union: the union of the intervals."""
    if isinstance(other, SetOp) and other.op == "cup" and isinstance(node, Seq) and node.brackets == "" and all(
            isinstance(item, Seq) and len(item.items) == 2 for item in node.items):
        return SetOp("cup", node.items)
    return node


def _is_set_like(node: Node) -> bool:
    if isinstance(node, SetOp | SetOf) or isinstance(node, Words) and node.text in _ALL_REALS:
        return True
    if isinstance(node, Rel):
        return any(op in ("<", "<=", ">", ">=", "!=", "in") for op in node.ops)
    if isinstance(node, Seq) and node.brackets == "":
        return all(isinstance(item, Rel) and any(op in ("<", "<=", ">", ">=", "!=") for op in item.ops) for item in node.items)
    return isinstance(node, Sym) and node.name.startswith("bbR") or isinstance(node, Seq) and node.brackets in ("(]", "[)")


def _as_sets(a: Node, b: Node, c: Comparison) -> str | None:
    """"equal" or "different" where both are sets of reals and at least one is not just a tuple or list; else None."""
    if not (_is_set_like(a) or _is_set_like(b)):
        return None
    a, b = _united(a, b), _united(b, a)
    first, second = as_set(a, c.work), as_set(b, c.work)
    if first is None or second is None:
        if isinstance(a, Rel) and isinstance(b, Rel):
            return "equal" if _same_inequality(a, b, c) else "different"
        if isinstance(a, SetOp) and isinstance(b, SetOp) and a.op == b.op and len(a.args) == len(b.args):
            pairs = _in_order(list(a.args), list(b.args), c, 6) or a.op != "minus" and _without_order(list(a.args), list(b.args), c, 6)
            return "equal" if pairs else "different"
        if isinstance(a, SetOf) and isinstance(b, SetOf):
            return "equal" if _same_builder(a, b, c) else "different"
        return None
    if same_set(first, second, c.work) or (isinstance(a, Rel) and isinstance(b, Rel) and _same_inequality(a, b, c)):
        return "equal"
    return "different"


def _same_builder(a: SetOf, b: SetOf, c: Comparison) -> bool:
    return (len(a.conditions) == len(b.conditions) and _same(a.what, b.what, c, 6)
            and all(_same(x, y, c, 6) for x, y in zip(a.conditions, b.conditions, strict=True)))


def _same_inequality(a: Rel, b: Rel, c: Comparison) -> bool:
    """Inequalities that are no intervals: the same sides, in either direction; or, of several variables, the same difference of them."""
    if len(a.ops) != len(b.ops):
        return False
    if a.ops[0] in ("<", "<=", ">", ">=") and len(a.ops) == 1 and b.ops[0] in ("<", "<=", ">", ">=") and not any(
            isinstance(side, Seq | Mat | Words | SetOp | SetOf | Rel | Quant) for rel in (a, b) for side in rel.sides):
        left, right = _difference(a), _difference(b)
        if len(symbols(left) | symbols(right)) > 1 and a.ops[0][1:] == b.ops[0][1:]:
            return c.equal(left, right if a.ops == b.ops else Call("neg", (right,)))
    turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
    for ops, sides in ((b.ops, b.sides), (tuple(turned.get(op, op) for op in reversed(b.ops)), tuple(reversed(b.sides)))):
        if ops == a.ops and all(_same(x, y, c, 6) for x, y in zip(a.sides, sides, strict=True)):
            return True
    return False


# -- lists, tuples, matrices -----------------------------------------------------------------------------------------------------------


def _same_values(a: Node, b: Node, c: Comparison, depth: int) -> bool:
    a, b = _folded(a), _folded(b)
    if isinstance(a, Seq) != isinstance(b, Seq):
        a, b = as_point(a), as_point(b)
    a, b = _as_components(a, b, c), _as_components(b, a, c)
    if isinstance(a, Mat) or isinstance(b, Mat):
        return _same_matrix(a, b, c, depth)
    lists = (_as_list(a), _as_list(b))
    if lists[0] is not None or lists[1] is not None:
        if lists[0] is None or lists[1] is None:
            whole = joined(lists[0] or lists[1] or ())      # 2 hours and 30 minutes
            return whole is not None and _same_quantity(whole, b if lists[1] is None else a, c)
        return _same_lists(a, b, lists[0], lists[1], c, depth)
    if isinstance(a, Words) or isinstance(b, Words):
        return _same_words(a, b, c)
    if _is_based(a) or _is_based(b):
        return _same_based(a, b, c)
    if isinstance(a, Call) and isinstance(b, Call) and a.op == b.op == "ratio" and len(a.args) == len(b.args) > 2:
        return all(c.equal(Call("mul", (a.args[0], y)), Call("mul", (b.args[0], x))) for x, y in zip(a.args[1:], b.args[1:], strict=True))
    if a == Sym("empty") or b == Sym("empty"):
        return a == b
    if isinstance(a, Call) and isinstance(b, Call) and {a.op, b.op} in ({"pmod"}, {"pmod", "mod"}):
        return _same_residue(a, b, c)
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Call) and one.op == "pmod":
            return _key(other, c) is not None and _key(one.args[0], c) == _key(other, c)      # a modulus may be left out, as a unit may
    if not isinstance(a, Quant) and not isinstance(b, Quant) and _is_family(a, b):
        return _renamed_values(a, b, c)
    if _same_quantity(a, b, c):
        return True
    functions = without_constant(a), without_constant(b)
    return functions[0] is not None and functions[1] is not None and _same_up_to_constant(functions[0], functions[1], c)


def _as_components(node: Node, other: Node, c: Comparison) -> Node:
    """i - 2j against a tuple or a column of as many components."""
    if not isinstance(node, Call) or not (isinstance(other, Mat) and not other.kind or _is_tuple(other)):
        return node
    size = len(other.items) if isinstance(other, Seq) else max(len(other.rows), len(other.rows[0])) if isinstance(other, Mat) else 0
    parts = as_vector(node, size, c.work)
    return Seq("()", tuple(parts)) if parts else node


def _same_up_to_constant(a: Node, b: Node, c: Comparison) -> bool:
    """Whether a - b is one number wherever the variable is."""
    if symbols(a) != symbols(b):
        return False
    (name,) = symbols(a)
    difference = Call("add", (a, Call("neg", (b,))))
    return c.equal(difference, substitute(difference, {name: Num(Fraction(5, 7))}))


def _as_list(node: Node) -> list[Node] | None:
    """The items of a list or tuple, with `pm` taken apart where that makes a list; None for a single value."""
    if isinstance(node, Seq):
        if node.brackets in ("", "{}", "cases"):
            found: list[Node] = []
            for item in node.items:
                parts = _both_signs(item)
                found.extend(parts)
            return found[:MAX_ITEMS + 1]
        return list(node.items)
    parts = _both_signs(node)
    return parts if len(parts) > 1 else None


def _both_signs(node: Node) -> list[Node]:
    """Both values of an expression with `pm` (and `mp`, the other way round)."""
    if isinstance(node, Rel) and node.ops == ("=",) and _has_sign(node.sides[-1]):
        return [Rel(node.ops, (*node.sides[:-1], one)) for one in _both_signs(node.sides[-1])]
    if isinstance(node, Seq) and node.brackets == "()" and _has_sign(node):
        signed = [_both_signs(item) for item in node.items]
        if sum(len(item) > 1 for item in signed) == 1:
            return [Seq("()", tuple(item[n % len(item)] for item in signed)) for n in (0, 1)]
        return [node]
    if isinstance(node, Seq | Mat | Rel | SetOf | SetOp) or not _has_sign(node):
        return [node]
    return [_signed(node, True), _signed(node, False)]


def _has_sign(node: Node) -> bool:
    return any(isinstance(one, Call) and one.op in ("pm", "mp") for one in walk(node))


def _signed(node: Node, plus: bool) -> Node:
    if isinstance(node, Quant):
        return Quant(_signed(node.value, plus), node.unit)
    if not isinstance(node, Call):
        return node
    args = tuple(_signed(arg, plus) for arg in node.args)
    if node.op in ("pm", "mp"):
        return Call("add", (args[0], args[1] if plus == (node.op == "pm") else Call("neg", (args[1],))))
    return Call(node.op, args)


def _same_lists(a: Node, b: Node, first: list[Node], second: list[Node], c: Comparison, depth: int) -> bool:
    brackets = [node.brackets if isinstance(node, Seq) else "" for node in (a, b)]
    bare = [one in ("", "cases") for one in brackets]
    sets = [one == "{}" for one in brackets]
    if len(first) > MAX_ITEMS or len(second) > MAX_ITEMS:
        c.limits = True
        return False
    if not any(bare) and not all(sets):
        if any(sets) or (len(first) == 2 and brackets[0] != brackets[1]):
            return False
        return _in_order(first, second, c, depth)
    if any(sets):
        if not all(sets) and not any(bare):
            return False
        return _without_order(_distinct(first, c, depth), _distinct(second, c, depth), c, depth)
    labels = _labels(first), _labels(second)
    if labels[0] and labels[1] and len(set(labels[0])) == len(first) and set(labels[0]) == set(labels[1]):
        by_label = dict(zip(labels[1], second, strict=True))
        return len(first) == len(second) and all(_same(item, by_label[label], c, depth + 1)
                                                 for label, item in zip(labels[0], first, strict=True))
    names = {_base_name(one) for label in labels for one in label or ()}
    if len(names) == 1 and all(bare) and (_numbered(labels[0]) or _numbered(labels[1])):
        return _without_order(_values(first), _values(second), c, depth)        # x_1 = 1, x_2 = 2 against x = 2 or x = 1
    for n, label in enumerate(labels):
        if label and len(set(label)) == len(label) > 1:         # different labels: a=2, b=3 against 2, 3
            ordered = alphabetical(label, (first, second)[n])
            return _in_order(ordered or (first, second)[n], (second, first)[n], c, depth)
    if all(bare):
        if c.policy.order == "strict":
            return _in_order(first, second, c, depth)
        names_of = [{_label_key(named.label) for item in items if (named := _named(item))} for items in (first, second)]
        if len(names_of[0]) == len(names_of[1]) == 1 and names_of[0] != names_of[1] and all(
                isinstance(name, Sym) for names_there in names_of for name in names_there):
            return False            # x = 1, 2 against z = 1, 2
        return _without_order(_unlabelled(first), _unlabelled(second), c, depth)
    other = brackets[1] if bare[0] else brackets[0]
    if other == "[]" and len(first) == 2 or other in ("(]", "[)"):
        return False            # an interval is no list of its ends
    if len(first) == 1 or len(second) == 1:
        return False
    return _in_order(first, second, c, depth)


def _labels(items: Sequence[Node]) -> list[object] | None:
    found = [named for item in items if (named := _named(item))]
    return [_label_key(named.label) for named in found] if len(found) == len(items) else None


def _base_name(label: object) -> str:
    return label.name.partition("_")[0] if isinstance(label, Sym) else repr(label)


def _numbered(labels: list[object] | None) -> bool:
    return bool(labels) and all(isinstance(one, Sym) and one.name.partition("_")[2].isdecimal() for one in labels or ())


def _values(items: list[Node]) -> list[Node]:
    return [named.value if (named := _named(item)) else item for item in items]


def _unlabelled(items: list[Node]) -> list[Node]:
    """`x = 1, 2` and `x = 1, x = 2` are 1, 2."""
    named = [_named(item) for item in items]
    if any(isinstance(item, Rel) and one is None for one, item in zip(named, items, strict=True)):
        return items
    if named and named[0] and len({_label_key(one.label) for one in named if one}) == 1:
        return [one.value if one else item for one, item in zip(named, items, strict=True)]
    return items


def _in_order(first: list[Node], second: list[Node], c: Comparison, depth: int) -> bool:
    return len(first) == len(second) and all(_same(x, y, c, depth + 1) for x, y in zip(first, second, strict=True))


def _distinct(items: list[Node], c: Comparison, depth: int) -> list[Node]:
    kept: list[Node] = []
    seen: set[object] = set()
    for item in items:
        key = _key(item, c)
        if key is not None:
            if key not in seen:
                seen.add(key)
                kept.append(item)
        elif not any(_counted_same(item, other, c, depth) for other in kept):
            kept.append(item)
    return kept


def _key(node: Node, c: Comparison) -> Fraction | None:
    """Raises: OutOfBudget."""
    if not isinstance(node, Num | Call):
        return None
    try:
        return exact(node, c.work)
    except OutOfBudget:
        raise
    except ArithmeticError:
        return None


def _without_order(first: list[Node], second: list[Node], c: Comparison, depth: int) -> bool:
    if len(first) != len(second):
        return False
    left = list(second)
    keys = [_key(item, c) for item in left]
    for item in first:
        key = _key(item, c)
        match = next((n for n, other in enumerate(keys) if key == other), None) if key is not None else None
        if match is None:
            match = next((n for n, other in enumerate(left) if _counted_same(item, other, c, depth)), None)
        if match is None:
            return False
        left.pop(match)
        keys.pop(match)
    return True


def _counted_same(a: Node, b: Node, c: Comparison, depth: int) -> bool:
    c.pairs += 1
    if c.pairs > MAX_PAIRS:
        c.limits = True
        return False
    return _same(a, b, c, depth + 1)


def _same_matrix(a: Node, b: Node, c: Comparison, depth: int) -> bool:
    if isinstance(a, Mat) and isinstance(b, Mat):
        return (a.kind == b.kind and len(a.rows) == len(b.rows) and len(a.rows[0]) == len(b.rows[0])
                and all(_same(x, y, c, depth + 1) for row, other in zip(a.rows, b.rows, strict=True)
                        for x, y in zip(row, other, strict=True)))
    matrix, other = (a, b) if isinstance(a, Mat) else (b, a)
    assert isinstance(matrix, Mat)
    if not isinstance(other, Seq) or matrix.kind or other.brackets not in ("()", "[]", ""):
        return False
    if len(matrix.rows) > 1 and len(matrix.rows[0]) > 1:
        if not all(isinstance(item, Seq) for item in other.items) or len(other.items) != len(matrix.rows):
            return False
        return all(isinstance(item, Seq) and _in_order(list(row), list(item.items), c, depth)
                   for row, item in zip(matrix.rows, other.items, strict=True))
    entries = [entry for row in matrix.rows for entry in row]
    return _in_order(entries, list(other.items), c, depth)


def _folded(node: Node) -> Node:
    """Sums and multiples of matrices carried out."""
    if isinstance(node, Quant) and isinstance(node.value, Mat | Seq):
        return node.value
    if isinstance(node, Call) and node.op == "det" and isinstance(node.args[0], Mat):
        node = Mat(node.args[0].rows, "det")
    if isinstance(node, Mat) and node.kind == "det" and len(node.rows) == len(node.rows[0]) <= MAX_DETERMINANT:
        return _determinant(node.rows)
    if not isinstance(node, Call) or node.op not in ("add", "mul", "neg", "div", "apply") or not any(isinstance(one, Mat) for one in walk(node)):
        return node
    args = [_folded(arg) for arg in node.args]
    if node.op == "neg" and isinstance(args[0], Mat):
        return _mapped(args[0], lambda entry: Call("neg", (entry,)))
    if node.op == "add" and all(isinstance(arg, Mat) for arg in args):
        matrices = [arg for arg in args if isinstance(arg, Mat)]
        if len({(len(one.rows), len(one.rows[0])) for one in matrices}) != 1:
            return node
        return Mat(tuple(tuple(Call("add", entries) for entries in zip(*rows, strict=True))
                         for rows in zip(*(one.rows for one in matrices), strict=True)))
    if node.op in ("mul", "apply") and len(args) == 2:
        scalar, matrix = args if isinstance(args[1], Mat) else args[::-1]
        if isinstance(matrix, Mat) and not isinstance(scalar, Mat | Seq):
            return _mapped(matrix, lambda entry: Call("mul", (scalar, entry)))
    if node.op == "div" and isinstance(args[0], Mat) and not isinstance(args[1], Mat | Seq):
        return _mapped(args[0], lambda entry: Call("div", (entry, args[1])))
    return node


def _determinant(rows: tuple[tuple[Node, ...], ...]) -> Node:
    if len(rows) == 1:
        return rows[0][0]
    minors = (Call("mul", (entry, _determinant(tuple(row[:n] + row[n + 1:] for row in rows[1:])))) for n, entry in enumerate(rows[0]))
    return Call("add", tuple(Call("neg", (minor,)) if n % 2 else minor for n, minor in enumerate(minors)))


def _mapped(matrix: Mat, function: Callable[[Node], Node]) -> Mat:
    return Mat(tuple(tuple(function(entry) for entry in row) for row in matrix.rows), matrix.kind)


# -- single values ---------------------------------------------------------------------------------------------------------------------


def _same_words(a: Node, b: Node, c: Comparison) -> bool:
    if isinstance(a, Words) and isinstance(b, Words):
        return words_equal(a.text, b.text)
    words, other = (a, b) if isinstance(a, Words) else (b, a)
    assert isinstance(words, Words)
    if other == Sym("empty"):
        return words_equal(words.text, "no solution")
    if isinstance(other, Sym) and other.name in _NUMBER_SETS:
        return words.text in _NUMBER_SETS[other.name]
    if other == Sym("oo"):
        return words.text in ("infinity", "positive infinity") or words_equal(words.text, "infinitely many")
    if isinstance(other, Seq | Rel):
        return False
    if other == Call("neg", (Sym("oo"),)):
        return words.text in ("negative infinity", "minus infinity")
    value = words_number(words.text)
    if value is not None:
        return c.equal(Num(Fraction(value)), _plain(other))
    counted = words_quantity(words.text)
    return counted is not None and _same_quantity(Quant(Num(Fraction(counted[0])), counted[1]), other, c)


def _is_based(node: Node) -> bool:
    return isinstance(node, Based) or isinstance(node, Call) and node.op == "neg" and isinstance(node.args[0], Based)


def _same_based(a: Node, b: Node, c: Comparison) -> bool:
    """Both with a base: as numbers. One without: the same digits."""
    negative = [isinstance(node, Call) and node.op == "neg" for node in (a, b)]
    if any(negative):
        return isinstance(a, Call) and isinstance(b, Call) and all(negative) and _same_based(a.args[0], b.args[0], c)
    if isinstance(a, Based) and isinstance(b, Based):
        return _based_value(a) is not None and _based_value(a) == _based_value(b)
    based, other = (a, b) if isinstance(a, Based) else (b, a)
    assert isinstance(based, Based)
    if isinstance(other, Call) and other.op == "mul":           # 4D
        return based.digits == "".join(_printed(arg) for arg in other.args)
    value = _key(other, c)
    if value is None or value.denominator != 1 or value.numerator.bit_length() > MAX_PRINTED_BITS:
        return False
    return str(value.numerator) == based.digits


def _printed(node: Node) -> str:
    if isinstance(node, Num) and node.value.numerator.bit_length() <= MAX_PRINTED_BITS:
        return str(node.value.numerator) if node.value.denominator == 1 else "?"
    return node.name if isinstance(node, Sym) else "?"


def _based_value(node: Based) -> int | None:
    try:
        return int(node.digits, node.base)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Quantity:
    value: Node
    unit: Unit
    percent: bool = False


def _quantity(node: Node) -> _Quantity:
    match node:
        case Quant(value=value, unit=unit):
            inner = _quantity(value)
            found = unit_of(unit)
            if unit.lower() in ("percent", "per cent", "percentage"):
                return _Quantity(inner.value, _NONE, True)
            if inner.unit != _NONE and found.is_empty:
                return inner
            if inner.unit.dimension and found.dimension and inner.unit != found:
                return _Quantity(inner.value, unit_of(_text_of(value) + " " + unit), inner.percent)
            return _Quantity(inner.value, found, inner.percent)
        case Call(op="percent", args=(value,)):
            return _Quantity(value, _NONE, True)
        case Call(op="deg", args=(value,)):
            return _Quantity(value, unit_of("degree"))
        case Call(op="neg", args=(value,)):
            inner = _quantity(value)
            if inner.unit != _NONE or inner.percent:
                return _Quantity(Call("neg", (inner.value,)), inner.unit, inner.percent)
            return _Quantity(node, _NONE)
        case Call(op="mul", args=(*factors, Call(op="deg", args=(value,)))):
            return _Quantity(Call("mul", (*factors, value)), unit_of("degree"))
        case _:
            return _Quantity(node, _NONE)


def _text_of(node: Node) -> str:
    return node.unit if isinstance(node, Quant) else ""


def _plain(node: Node) -> Node:
    return _quantity(node).value


def _same_quantity(a: Node, b: Node, c: Comparison) -> bool:
    one, other = _quantity(a), _quantity(b)
    if one.unit.dimension and other.unit.is_empty and (letters := as_quantity(other.value)):
        other = _quantity(letters)
    elif other.unit.dimension and one.unit.is_empty and (letters := as_quantity(one.value)):
        one = _quantity(letters)
    if any(isinstance(node, Quant | Words | Based) for q in (one, other) for node in walk(q.value)):
        return a == b
    x, y = one.value, other.value
    if one.percent != other.percent:
        if c.policy.percent == "strict":
            return _same_number(Call("percent", (x,)) if one.percent else x, Call("percent", (y,)) if other.percent else y, c)
        percent, bare = (x, y) if one.percent else (y, x)
        return _same_number(percent, bare, c) or _same_number(Call("percent", (percent,)), bare, c)
    if c.policy.units == "ignored":
        return _same_number(x, y, c)
    u, v = one.unit, other.unit
    if u.dimension is not None and v.dimension is not None:
        if u.dimension != v.dimension:
            if {u.dimension, v.dimension} <= _DEGREES and unit_of("degree").dimension in (u.dimension, v.dimension):
                return _same_number(x, y, c)            # 37 degrees, of which scale is not said
            return _degrees_and_radians(one, other, c)
        if u.factor != v.factor:
            x, y = Call("mul", (x, Num(u.factor))), Call("mul", (y, Num(v.factor)))
        return _same_number(x, y, c)
    if not u.is_empty and not v.is_empty and (u.words != v.words or u.dimension != v.dimension):
        return False
    if c.policy.units == "required" and u.is_empty != v.is_empty:
        return False
    if _same_number(x, y, c):
        return True
    return u.is_empty != v.is_empty and _degrees_and_radians(one, other, c)


def _degrees_and_radians(a: _Quantity, b: _Quantity, c: Comparison) -> bool:
    """60 degrees against pi/3, with or without "radians"."""
    degree = unit_of("degree").dimension
    radian = unit_of("radian").dimension
    for one, other in ((a, b), (b, a)):
        has_pi = any(isinstance(node, Sym) and node.name == "pi" for node in walk(other.value))
        if one.unit.dimension == degree and (other.unit.dimension == radian or (other.unit.is_empty and has_pi)):
            return c.equal(Call("deg", (one.value,)), other.value)
    return False


def _same_number(a: Node, b: Node, c: Comparison) -> bool:
    if c.equal(a, b):
        return True
    if symbols(a) or symbols(b):
        return False
    return _rounds_to(a, b, c) or _rounds_to(b, a, c)


def _rounds_to(decimal: Node, value: Node, c: Comparison) -> bool:
    """Whether a printed decimal is the value, rounded or cut at its last digit: at full precision, or by policy.

    From FLOAT_DIGITS digits on it is a binary float, and so is a fraction of two such integers: then also the last bits are noise.
    """
    printed = _decimal(decimal, c) or _float_fraction(decimal)
    if printed is None:
        return False
    shown, unit, significant = printed
    as_float = FLOAT_DIGITS <= significant <= FLOAT_DIGITS + 3
    other = _decimal(value, c) or _float_fraction(value)
    if other is not None and (not as_float or other[2] >= FLOAT_DIGITS):
        return False
    if significant < (FULL_PRECISION if c.policy.rounding == "off" else 2):
        return False
    try:
        known: Any = exact(value, c.work)
    except OutOfBudget:
        raise
    except ArithmeticError:
        return False
    if known is None:
        real = number(value, c.work)
        if real is None or getattr(real, "imag", 0) != 0 or abs(real) > 1e300:
            return False
        known = Fraction(int(real * 10**60), 10**60) if abs(real) < 10**40 else None
        if known is None:
            return False
    elif known.denominator == 1 and (not as_float or abs(known) > 2**53):
        return False            # 0.9999999999 is not 1; the last digits of a large integer count
    if as_float and abs(known - shown) <= abs(known) * FLOAT_NOISE:
        return True
    steps, digits = abs(known) / unit, abs(shown) / unit
    return (known < 0) == (shown < 0) and unit > 0 and digits in (math.floor(steps), math.floor(steps + Fraction(1, 2)))


def _float_fraction(node: Node) -> tuple[Fraction, Fraction, int] | None:
    """A fraction of two long integers, as a float is turned into one: 183803159792058355/562949953421312."""
    if isinstance(node, Call) and node.op == "neg":
        found = _float_fraction(node.args[0])
        return (-found[0], found[1], found[2]) if found else None
    if isinstance(node, Call) and node.op == "div" and all(isinstance(arg, Num) and arg.digits is None for arg in node.args):
        above, below = (arg.value for arg in node.args if isinstance(arg, Num))
        if above >= 10**13 and below >= 10**13:
            return above / below, Fraction(0), FLOAT_DIGITS
    return None


def _decimal(node: Node, c: Comparison) -> tuple[Fraction, Fraction, int] | None:
    """(value, size of the last digit, significant digits) of a printed decimal, possibly times a power of ten."""
    match node:
        case Num(value=value, digits=int(digits)):
            unit = Fraction(1, 10 ** digits)
            if (value / unit).numerator.bit_length() > MAX_PRINTED_BITS:
                return None
            return value, unit, len(str(abs(value / unit).numerator).lstrip("0"))
        case Call(op="neg", args=(inner,)):
            found = _decimal(inner, c)
            return (-found[0], found[1], found[2]) if found else None
        case Call(op="mul", args=(mantissa, Call(op="pow", args=(Num(value=base), exponent)))) if base == 10:
            found = _decimal(mantissa, c)
            power = _key(exponent, c)
            if found is None or power is None or power.denominator != 1 or abs(power) > 400:
                return None
            scale = Fraction(10) ** int(power)
            return found[0] * scale, found[1] * scale, found[2]
        case _:
            return None
