"""Values of expressions, three ways. All are bounded before they start: by size, by exponents, by the deadline of `Work`.

    exact(node)             a Fraction, for numbers built from rationals; None where that does not end in one
    equal_polynomially()    rational functions, modulo a random prime of 128 bits that nobody outside this process knows
    equal_numerically()     all else: at 30 and at 200 digits, at several points; equal iff the difference vanishes with the precision

Two expressions are equal if they agree at every sampled point where both are defined over the reals. (`i` makes them complex.)
Roots of odd order of negative numbers are the real ones. Nothing here rounds: a tolerance is compare.py's business.
"""
from __future__ import annotations

import hashlib
import math
import secrets
import threading
import time
from fractions import Fraction
from functools import lru_cache
from itertools import count
from typing import Any, Final

from .tree import Call, Node, Num, Sym, walk

__all__ = ["OutOfBudget", "TooLarge", "Undefined", "Work", "beyond_limits", "equal", "exact", "number", "symbols"]

MAX_BITS: Final = 150_000
"""Size of an exact number: 2024^4046 has 44,000 bits, 12000! 146,000. A gcd of two such takes 35 ms, in which no other thread runs."""
MAX_FACTORIAL: Final = 12_000
MAX_MAGNITUDE: Final = 20_000_000
"""log2 of the largest value that is evaluated: beyond it only the same spelling is equal."""
MAX_NODES: Final = 1_500
CONSTANTS: Final = frozenset({"pi", "e", "i", "oo"})
_LOW, _HIGH = 30, 200


class TooLarge(ArithmeticError):
    """A value beyond the limits."""


class Undefined(ArithmeticError):
    """No value: 0/0, log 0, infinity minus infinity, an unknown operation."""


class _NotRational(ArithmeticError):
    """Leave it to the numbers."""


class OutOfBudget(ArithmeticError):
    """The CPU time of this comparison is used up."""


class Work:
    """The budget of one comparison: CPU seconds of this thread."""

    __slots__ = ("_end",)

    def __init__(self, cpu_s: float) -> None:
        self._end = time.thread_time() + cpu_s

    def check(self) -> None:
        if time.thread_time() > self._end:
            raise OutOfBudget


@lru_cache(maxsize=1024)      # of answers as long as may be, 130 MB
def symbols(node: Node) -> frozenset[str]:
    """The names of its variables."""
    return frozenset(one.name for one in walk(node) if isinstance(one, Sym) and one.name not in CONSTANTS)


# -- exact ---------------------------------------------------------------------------------------------------------------------------


def exact(node: Node, work: Work) -> Fraction | None:
    """Its rational value; None if it is none, or not seen to be one. Raises: Undefined, TooLarge, OutOfBudget."""
    try:
        return _exact(node, work)
    except _NotRational:
        return None


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _small(value: Fraction) -> Fraction:
    if _bits(value) > MAX_BITS:
        raise TooLarge
    return value


def _exact(node: Node, work: Work) -> Fraction:
    if isinstance(node, Num):
        return node.value
    if not isinstance(node, Call):
        raise _NotRational
    work.check()        # a few large fractions take seconds
    op, args = node.op, node.args
    if op == "add":
        total = Fraction(0)
        for arg in args:
            work.check()
            total = _small(total + _exact(arg, work))
        return total
    if op in ("mul", "apply"):
        product = Fraction(1)
        for arg in args:
            work.check()
            product = _small(product * _exact(arg, work))
        return product
    if op == "neg":
        return -_exact(args[0], work)
    if op in ("div", "ratio") and len(args) == 2:
        below = _exact(args[1], work)
        above = _exact(args[0], work)
        if below == 0:
            raise Undefined
        return _small(above / below)
    if op == "percent":
        return _exact(args[0], work) / 100
    if op == "pow":
        base = _exact(args[0], work)
        if base == 1 and not any(isinstance(one, Sym) for one in walk(args[1])):
            return base             # whatever the exponent: it need not be evaluated
        return _exact_power(base, _exact(args[1], work))
    if op == "root":
        return _exact_root(_exact(args[0], work), _exact(args[1], work))
    if op == "fact":
        value = _exact(args[0], work)
        if value.denominator != 1:
            raise _NotRational
        if value < 0:
            raise Undefined
        if value > MAX_FACTORIAL:
            raise TooLarge
        return Fraction(math.factorial(int(value)))
    if op == "fact2":
        value = _exact(args[0], work)
        if value.denominator != 1:
            raise _NotRational
        if value < -1:
            raise Undefined
        if value > MAX_FACTORIAL:
            raise TooLarge
        return Fraction(math.prod(range(int(value), 0, -2)))
    if op == "abs":
        return abs(_exact(args[0], work))
    if op == "floor":
        return Fraction(math.floor(_exact(args[0], work)))
    if op == "ceil":
        return Fraction(math.ceil(_exact(args[0], work)))
    if op == "binom":
        above, below = _exact(args[0], work), _exact(args[1], work)
        if above.denominator != 1 or below.denominator != 1 or above < 0:
            raise _NotRational
        if below < 0 or below > above:
            return Fraction(0)
        if min(below, above - below) * above.numerator.bit_length() > MAX_BITS:
            raise TooLarge
        return Fraction(math.comb(int(above), int(below)))
    if op in ("max", "min"):
        values = [_exact(arg, work) for arg in args]
        return max(values) if op == "max" else min(values)
    if op in ("gcd", "lcm", "mod"):
        whole = [_exact(arg, work) for arg in args]
        if any(value.denominator != 1 for value in whole):
            raise _NotRational
        integers = [int(value) for value in whole]
        if op == "mod":
            if integers[1] == 0:
                raise Undefined
            return Fraction(integers[0] % integers[1])
        found = integers[0]
        for other in integers[1:]:
            work.check()
            found = math.gcd(found, other) if op == "gcd" else math.lcm(found, other)
            if found.bit_length() > MAX_BITS:
                raise TooLarge
        return Fraction(abs(found))
    raise _NotRational


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        if base < 0 and exponent.denominator % 2 == 0:
            raise _NotRational
        root = _exact_root(base, Fraction(exponent.denominator))
        return _exact_power(root, Fraction(exponent.numerator))
    power = exponent.numerator
    if base == 0 and power <= 0:
        raise Undefined
    if abs(base) == 1:
        return base if power % 2 else Fraction(1)
    if base != 0 and abs(power) * max(1, _bits(base) - 1) > MAX_BITS:
        raise TooLarge
    return base ** power


def _exact_root(value: Fraction, index: Fraction) -> Fraction:
    if index.denominator != 1 or not 1 <= index <= 1000:
        raise _NotRational
    n = int(index)
    if value < 0 and n % 2 == 0:
        raise _NotRational
    above, below = _integer_root(abs(value.numerator), n), _integer_root(value.denominator, n)
    if above is None or below is None:
        raise _NotRational
    return Fraction(above if value >= 0 else -above, below)


def _integer_root(value: int, n: int) -> int | None:
    if n == 1 or value in (0, 1):
        return value
    if n == 2:
        root = math.isqrt(value)
        return root if root * root == value else None
    if value.bit_length() > 4000:
        return None
    low, high = 0, 1 << (value.bit_length() // n + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle ** n <= value:
            low = middle
        else:
            high = middle - 1
    return low if low ** n == value else None


# -- modulo a prime --------------------------------------------------------------------------------------------------------------------


def _is_prime(n: int) -> bool:
    if any(n % p == 0 for p in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)):
        return False
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for _ in range(24):
        x = pow(secrets.randbelow(n - 3) + 2, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


_SECRET: Final = secrets.token_bytes(32)
"""Of this process: nobody outside can choose expressions that meet at its points."""


def _drawn(kind: str, name: str, sample: int) -> int:
    """128 random bits, the same ones whenever they are asked for in this process: two sides of a comparison, threads that run at the
    same time and an emptied cache must all see one value."""
    text = f"{kind} {sample} {name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=16, key=_SECRET).digest(), "big")


@lru_cache(maxsize=1)
def _prime() -> int:
    return next(number for n in count() if _is_prime(number := _drawn("prime", "", n) | (1 << 127) | 1))


@lru_cache(maxsize=4096)
def _point_modulo(name: str, sample: int) -> int:
    return _drawn("modulo", name, sample) % (_prime() - 3) + 2


def _modulo(node: Node, sample: int, p: int, work: Work) -> int:
    match node:
        case Num(value=value):
            below = value.denominator % p
            if below == 0:
                raise _NotRational
            return value.numerator * pow(below, -1, p) % p if value.denominator != 1 else value.numerator % p
        case Sym(name=name):
            if name in CONSTANTS:
                raise _NotRational
            return _point_modulo(name, sample)
        case Call(op="add", args=args):
            return sum(_modulo(arg, sample, p, work) for arg in args) % p
        case Call(op="mul" | "apply", args=args):
            product = 1
            for arg in args:
                product = product * _modulo(arg, sample, p, work) % p
            return product
        case Call(op="neg", args=(arg,)):
            return -_modulo(arg, sample, p, work) % p
        case Call(op="percent", args=(arg,)):
            return _modulo(arg, sample, p, work) * pow(100, -1, p) % p
        case Call(op="div", args=(above, below_node)):
            below = _modulo(below_node, sample, p, work)
            if below == 0:
                raise _NotRational
            return _modulo(above, sample, p, work) * pow(below, -1, p) % p
        case Call(op="pow", args=(base, exponent)):
            power = _exact(exponent, work)
            if power.denominator != 1:
                raise _NotRational
            residue = _modulo(base, sample, p, work)
            if residue == 0:
                if power <= 0:
                    raise _NotRational
                return 0
            return pow(residue, power.numerator % (p - 1), p)      # Fermat: an exponent may have 150,000 bits
        case _:
            raise _NotRational


# -- with many digits ------------------------------------------------------------------------------------------------------------------

_lock = threading.Lock()


class _Numeric:
    """Evaluates with mpmath, whose precision is global to its context: one context of our own, one thread at a time."""

    def __init__(self) -> None:
        import mpmath  # type: ignore[import-untyped]
        from mpmath.libmp import NoConvergence  # type: ignore[import-untyped]

        self.mp: Any = mpmath.MPContext()
        self.mpf_error = (ValueError, ZeroDivisionError, OverflowError, NoConvergence)
        self.mp.dps = 2 * _HIGH
        self.constants = [+constant for constant in (self.mp.pi, self.mp.e, self.mp.ln2, self.mp.ln10)]     # so that mpmath keeps them
        self.mp.dps = _LOW
        self.inf = self.mp.inf

    def value(self, node: Node, point: dict[str, Any], work: Work, real: bool) -> Any:
        """An mpf or mpc. Raises: Undefined, TooLarge, OutOfBudget."""
        try:
            result = self._value(node, point, work, real)
        except self.mpf_error as error:
            raise Undefined from error
        except RecursionError as error:
            raise TooLarge from error
        if self.mp.isnan(result):
            raise Undefined
        return result

    def _checked(self, value: Any, real: bool) -> Any:
        if isinstance(value, self.mp.mpc):
            if value.imag == 0:
                return value.real
            if real:
                raise Undefined
        return value

    def _magnitude(self, value: Any) -> int:
        """About log2 of its absolute value."""
        return 0 if value == 0 else int(self.mp.mag(value))

    def _value(self, node: Node, point: dict[str, Any], work: Work, real: bool) -> Any:
        mp = self.mp
        work.check()        # at each node: a factorial of a root takes milliseconds
        if isinstance(node, Num):
            return mp.mpf(node.value.numerator) / node.value.denominator if node.value.denominator != 1 else mp.mpf(node.value.numerator)
        if isinstance(node, Sym):
            name = node.name
            if name in point:
                return point[name]
            if name == "pi":
                return +mp.pi
            if name == "e":
                return +mp.e
            if name == "i":
                return mp.mpc(0, 1)
            if name == "oo":
                return mp.inf
            raise Undefined
        if not isinstance(node, Call):
            raise Undefined
        op = node.op
        if op == "pow":
            return self._power(node, point, work, real)
        args = [self._value(arg, point, work, real) for arg in node.args]
        if op == "add":
            total = args[0]
            for arg in args[1:]:
                total = total + arg
            return total
        if op in ("mul", "apply"):
            total = args[0]
            for arg in args[1:]:
                total = total * arg
            return total
        if op == "neg":
            return -args[0]
        if op in ("div", "ratio") and len(args) == 2:
            if args[1] == 0:
                raise Undefined
            return args[0] / args[1]
        if op == "percent":
            return args[0] / 100
        if op == "deg":
            return args[0] * mp.pi / 180
        if op == "root":
            return self._root(args[0], args[1], real)
        if op == "abs":
            return abs(args[0])
        if op in ("log", "ln"):
            return self._log(args, op, real)
        if op == "exp":
            return self._exp(args[0])
        if op == "fact":
            return self._factorial(args[0])
        if op == "fact2":
            self._factorial(args[0])
            return mp.fac2(args[0])
        if op == "binom":
            if any(self._magnitude(arg) > 14 for arg in args):
                raise TooLarge
            return mp.binomial(*args)
        if op in ("floor", "ceil"):
            return mp.floor(args[0]) if op == "floor" else mp.ceil(args[0])
        if op in ("max", "min") and all(isinstance(arg, mp.mpf) for arg in args):
            return max(args) if op == "max" else min(args)
        if op == "sgn" and isinstance(args[0], mp.mpf):
            return mp.sign(args[0])
        if op in ("Re", "Im", "arg") and len(args) == 1:
            return {"Re": mp.re, "Im": mp.im, "arg": mp.arg}[op](args[0])
        function = _MP_NAMES.get(op)
        if function is None or len(args) != 1:
            raise Undefined
        if self._magnitude(args[0]) > 4000 or (op.endswith("h") and self._magnitude(args[0]) > 20):
            raise TooLarge
        if mp.isinf(args[0]):
            raise Undefined
        return self._checked(getattr(mp, function)(args[0]), real)

    def _power(self, node: Call, point: dict[str, Any], work: Work, real: bool) -> Any:
        mp = self.mp
        base = self._value(node.args[0], point, work, real)
        try:
            exponent = _exact(node.args[1], work)
        except (_NotRational, Undefined):
            power = self._value(node.args[1], point, work, real)
        else:
            if exponent.denominator != 1 and base != 0 and isinstance(base, mp.mpf) and base < 0 and exponent.denominator % 2 == 1:
                self._limit(base, mp.mpf(exponent.numerator) / exponent.denominator)
                root = -mp.power(-base, mp.mpf(1) / exponent.denominator)
                return root ** exponent.numerator
            if exponent.denominator == 1:
                if base == 0 and exponent <= 0:
                    raise Undefined
                if base in (1, -1):
                    return base if exponent.numerator % 2 else mp.mpf(1)
                if exponent.numerator.bit_length() > 64:
                    raise TooLarge
                self._limit(base, mp.mpf(exponent.numerator))
                return base ** exponent.numerator
            power = mp.mpf(exponent.numerator) / exponent.denominator
        if base == 0:
            if not isinstance(power, mp.mpf) or power <= 0:
                raise Undefined
            return mp.mpf(0)
        if mp.isinf(base) or mp.isinf(power):
            raise Undefined
        self._limit(base, power)
        return self._checked(mp.power(base, power), real)

    def _limit(self, base: Any, power: Any) -> None:
        if self._magnitude(power) > 40 or abs(self._magnitude(base)) * abs(power) > MAX_MAGNITUDE:
            raise TooLarge

    def _root(self, value: Any, index: Any, real: bool) -> Any:
        mp = self.mp
        if index == 0 or not isinstance(index, mp.mpf):
            raise Undefined
        if isinstance(value, mp.mpf) and value < 0 and index == int(index) and int(index) % 2 == 1:
            return -mp.power(-value, 1 / index)
        if value == 0:
            return mp.mpf(0)
        return self._checked(mp.sqrt(value) if index == 2 else mp.power(value, 1 / index), real)

    def _log(self, args: list[Any], op: str, real: bool) -> Any:
        mp = self.mp
        if args[0] == 0 or (len(args) == 2 and args[1] in (0, 1)):
            raise Undefined
        value = self._checked(mp.log(args[0]), real)
        if len(args) == 2:
            value = value / self._checked(mp.log(args[1]), real)
        return value

    def _exp(self, value: Any) -> Any:
        if self._magnitude(value) > 24:
            raise TooLarge
        return self.mp.exp(value)

    def _factorial(self, value: Any) -> Any:
        mp = self.mp
        if self._magnitude(value) > 14:
            raise TooLarge
        if not isinstance(value, mp.mpf) or value < 0:
            raise Undefined
        return mp.factorial(value)

    def constant(self, node: Node, digits: int, work: Work) -> Any:
        self.mp.dps = digits
        return self.value(node, {}, work, real=False)

    def vanishes(self, left: Node, right: Node, point: dict[str, Fraction], work: Work, real: bool) -> bool:
        """Whether left - right is zero at a point: its difference must vanish as the precision grows."""
        differences: list[Any] = []
        size: Any = 0
        for digits in (_LOW, _HIGH):
            self.mp.dps = digits
            here = {name: self.mp.mpf(value.numerator) / value.denominator for name, value in point.items()}
            a, b = self.value(left, here, work, real), self.value(right, here, work, real)
            if self.mp.isinf(a) or self.mp.isinf(b):
                return bool(a == b)
            if real and not (isinstance(a, self.mp.mpf) and isinstance(b, self.mp.mpf)):
                raise Undefined
            difference = abs(a - b)
            size = max(abs(a), abs(b))
            if digits == _LOW and difference > size * self.mp.mpf(10) ** -12 and size > self.mp.mpf(10) ** -12:
                return False        # far apart at 30 digits: no cancellation explains that, unless 18 digits of it
            differences.append(difference)
        low, high = differences
        if low == 0:
            return bool(high <= self.mp.mpf(10) ** -150 * max(size, 1))
        return bool(high <= low * self.mp.mpf(10) ** -100)


_MP_NAMES: Final = {
    "sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "coth": "coth", "sech": "sech", "csch": "csch", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot", "arcsec": "asec",
    "arccsc": "acsc", "arsinh": "asinh", "arcosh": "acosh", "artanh": "atanh",
}
_numeric: _Numeric | None = None


def _numbers() -> _Numeric:
    global _numeric
    if _numeric is None:
        _numeric = _Numeric()
    return _numeric


def _fresh_lock() -> None:
    global _lock
    _lock = threading.Lock()


def number(node: Node, work: Work, digits: int = 50) -> Any:
    """The value of a constant expression as an mpmath number; None if it has none or is too large."""
    with _lock:
        try:
            return _numbers().constant(node, digits, work)
        except (Undefined, TooLarge):
            return None


def beyond_limits(node: Node, work: Work) -> bool:
    """Whether a constant is too large to be evaluated here, by itself. A chain of a thousand operations is."""
    try:
        if symbols(node) or not isinstance(node, Call):
            return False
    except RecursionError:
        return True
    with _lock:
        try:
            _numbers().constant(node, _LOW, work)
        except TooLarge:
            return True
        except ArithmeticError:
            return False
    return False


_BASE_POINTS: Final = (Fraction(13, 7), Fraction(-31, 17), Fraction(3, 11), Fraction(57, 8), Fraction(-2, 9), Fraction(151, 6), Fraction(97, 101),
                       Fraction(-83, 9), Fraction(7, 10), Fraction(1009, 4), Fraction(53, 19), Fraction(1, 29))
_ENOUGH_POINTS: Final = 4


@lru_cache(maxsize=8192)
def _point(name: str, sample: int) -> Fraction:
    """A value near the sample's base value, different for each name and each process."""
    base = _BASE_POINTS[sample % len(_BASE_POINTS)]
    return base * (1 + Fraction(_drawn("point", name, sample) % 10**9, 8 * 10**9))


def equal(left: Node, right: Node, work: Work) -> bool:
    """Whether two expressions without structure are equal. Raises: TooLarge, Undefined (where one has no value), OutOfBudget."""
    if left == right:
        return True
    names = symbols(left) | symbols(right)
    if len(names) > 24:
        raise TooLarge
    if len(walk(left)) + len(walk(right)) > MAX_NODES:
        raise TooLarge
    if not names:
        a, b = exact(left, work), exact(right, work)
        if a is not None and b is not None:
            return a == b
    else:
        try:
            p = _prime()
            return all(_modulo(left, sample, p, work) == _modulo(right, sample, p, work) for sample in (0, 1))
        except (_NotRational, Undefined, TooLarge):
            pass
    return _equal_numerically(left, right, sorted(names), work)


def _equal_numerically(left: Node, right: Node, names: list[str], work: Work) -> bool:
    with _lock:
        numbers = _numbers()
        if not names:
            return numbers.vanishes(left, right, {}, work, real=False)
        complex_valued = any(isinstance(one, Sym) and one.name == "i" for node in (left, right) for one in walk(node))
        for real in (not complex_valued, False):
            agreed, beyond = 0, 0
            for sample in range(3 * len(_BASE_POINTS)):
                # All variables alike first (many domains are positive), then mixed.
                point = {name: _point(name, sample if sample < len(_BASE_POINTS) else sample * (3 + 2 * n) + n)
                         for n, name in enumerate(names)}
                if not real:
                    point = {name: abs(value) for name, value in point.items()}
                try:
                    if not numbers.vanishes(left, right, point, work, real):
                        return False
                    agreed += 1
                except Undefined:
                    continue
                except TooLarge:
                    beyond += 1
                    if beyond > 6:
                        raise
                if agreed >= _ENOUGH_POINTS:
                    return True
            if agreed:
                return True
        raise Undefined


import os  # noqa: E402   (for the hook below alone)

os.register_at_fork(after_in_child=_fresh_lock)
