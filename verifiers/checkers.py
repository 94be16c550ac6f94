"""Compares what a program printed, or what a call returned, with what was expected. Pure functions, on the host.

`check_output` is for stdin mode (bytes against bytes), `check_value` for call mode (JSON text against a JSON value). Both give
None where they agree, else one short sentence on the first difference. Work and memory are bounded by the size of the expected
output, not by what the program printed: an output limit of 16 MB must not become a gigabyte of Python objects here.
"""
from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from ..core.checkers import Checker, ExactChecker, FloatChecker, JsonChecker, LcbChecker, LinesChecker, SortedChecker, UnorderedChecker

__all__ = ["check_output", "check_value", "to_bytes"]

_NUMBER: Final = re.compile(rb"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]+)?")    # linear: a token may be a whole output
_INTEGER: Final = re.compile(rb"[+-]?[0-9]{1,400}")
_BLOCK: Final = 1 << 16
_JSON_SLACK: Final = 32
"""The same JSON value is at most this many times longer in another spelling: a number has 1 to about 25 characters."""


def to_bytes(text: str) -> bytes:
    """UTF-8; lone surrogates stand for the bytes they escape, so that a JSON row can hold binary data."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def check_output(checker: Checker, got: bytes, expected: bytes) -> str | None:
    """None if `got` is right under `checker`, else what differs. The validator checker is not handled here."""
    if got == expected and not isinstance(checker, JsonChecker):    # JSON: NaN is not equal to itself
        return None
    if isinstance(checker, ExactChecker):
        return _exact(got, expected)
    if isinstance(checker, LinesChecker):
        return _lines(got, expected, checker.ignore_case)
    if isinstance(checker, FloatChecker):
        return _floats(got, expected, checker)
    if isinstance(checker, UnorderedChecker):
        return _multiset(_split_lines(got, expected), _stripped_lines(expected), "line")
    if isinstance(checker, SortedChecker):
        return _multiset(_split_tokens(got, expected), expected.split(), "token")
    if isinstance(checker, JsonChecker):
        return _json_text(got, expected, checker)
    if isinstance(checker, LcbChecker):
        return _livecodebench(got, expected)
    return _tokens(got, expected, getattr(checker, "ignore_case", False))


def check_value(checker: Checker, got: bytes, expected: Any, *, nodes: bool = False) -> str | None:
    """None if the JSON text `got` is the value `expected`, else what differs.

    Equal as JSON values: true is not 1, 1 is 1.0 (except under `exact`), NaN equals nothing. `float` and `json` bring tolerances,
    `unordered` and `sorted` take a list's items in any order; other checkers compare as `json` without tolerance. Under `lcb`, `got` keeps
    Python's types apart (sandbox/agent.py, encode_typed), and Python's `==` decides. `nodes`: `got` is a linked list or a tree, so null
    expects an empty one, and nulls at the end expect nothing.
    """
    if nodes:
        expected = _node_values(expected)
    canonical = json.dumps(expected, separators=(",", ":"))
    if len(got) > _JSON_SLACK * len(canonical) + 1024:
        return f"a value of {len(got)} bytes, far longer than the expected one"
    try:
        if isinstance(checker, LcbChecker):
            return _livecodebench_value(got, expected)
        value = json.loads(got)
        if isinstance(checker, UnorderedChecker | SortedChecker) and isinstance(value, list) and isinstance(expected, list | tuple):
            if len(value) != len(expected):
                return f"{'more' if len(value) > len(expected) else 'fewer'} than the expected {len(expected)} items"
            return _multiset([_spelling(item) for item in value], [_spelling(item) for item in expected], "item")
        return _json_difference(value, expected, _closeness(checker), exact_types=isinstance(checker, ExactChecker))
    except RecursionError:
        return "a value nested too deep to compare"
    except ValueError as error:
        return f"not a JSON value: {error}"


def _exact(got: bytes, expected: bytes) -> str:
    start = 0
    while start < len(got) and got[start:start + _BLOCK] == expected[start:start + _BLOCK]:     # byte by byte only in the block that differs
        start += _BLOCK
    pairs = zip(got[start:start + _BLOCK], expected[start:start + _BLOCK], strict=False)
    at = next((start + n for n, (a, b) in enumerate(pairs) if a != b), min(len(got), len(expected)))
    return f"byte {at + 1} differs ({len(got)} bytes, expected {len(expected)})"


def _split_tokens(got: bytes, expected: bytes) -> list[bytes]:
    """The tokens of `got`, but no more pieces than `expected` has tokens, plus one that holds the rest."""
    return got.split(None, len(expected.split()))


def _tokens(got: bytes, expected: bytes, ignore_case: bool) -> str | None:
    if ignore_case:
        got, expected = got.lower(), expected.lower()
    want = expected.split()
    return _first_difference(got.split(None, len(want)), want, "token")


def _first_difference(got: Sequence[bytes], want: Sequence[bytes], unit: str,
                      same: Callable[[bytes, bytes], bool] | None = None) -> str | None:
    if same is None and got == want:
        return None
    for n, (a, b) in enumerate(zip(got, want, strict=False), 1):
        if a != b and not (same and same(a, b)):
            return f"{unit} {n} is {_show(a)}, expected {_show(b)}"
    if len(got) < len(want):
        return f"{len(got)} {unit}s, expected {len(want)}"
    return f"more than the expected {len(want)} {unit}s" if len(got) > len(want) else None


def _floats(got: bytes, expected: bytes, checker: FloatChecker) -> str | None:
    def same(a: bytes, b: bytes) -> bool:
        if checker.ignore_case and a.lower() == b.lower():
            return True
        if _INTEGER.fullmatch(a) and _INTEGER.fullmatch(b):     # exact beyond 2**53
            return _within(abs(int(a) - int(b)), abs(int(b)), checker.abs, checker.rel)
        if not (_NUMBER.fullmatch(a) and _NUMBER.fullmatch(b)):
            return False
        x, y = float(a), float(b)
        return math.isfinite(x) and math.isfinite(y) and _within(abs(x - y), abs(y), checker.abs, checker.rel)

    want = expected.split()
    return _first_difference(got.split(None, len(want)), want, "token", same)


def _within(difference: float, size: float, absolute: float, relative: float) -> bool:
    try:
        return difference <= absolute or difference <= relative * size
    except OverflowError:       # integers beyond the range of a float, compared with one
        return difference == 0


def _stripped_lines(text: bytes) -> list[bytes]:
    lines = [line.rstrip() for line in text.rstrip().split(b"\n")]
    return [] if lines == [b""] else lines


def _split_lines(got: bytes, expected: bytes) -> list[bytes]:
    """The lines of `got`, stripped at their ends; no more than `expected` has, plus one piece that holds the rest."""
    text = got.rstrip()
    if not text:
        return []
    return [line.rstrip() for line in text.split(b"\n", len(_stripped_lines(expected)))]


def _lines(got: bytes, expected: bytes, ignore_case: bool) -> str | None:
    if ignore_case:
        got, expected = got.lower(), expected.lower()
    return _first_difference(_split_lines(got, expected), _stripped_lines(expected), "line")


def _multiset(got: Sequence[bytes], want: Sequence[bytes], unit: str) -> str | None:
    if len(got) != len(want):
        return f"{'more' if len(got) > len(want) else 'fewer'} than the expected {len(want)} {unit}s"
    if missing := Counter(want) - Counter(got):
        return f"{unit} {_show(next(iter(missing)))} is missing"
    return None


def _livecodebench(got: bytes, expected: bytes) -> str | None:
    """LiveCodeBench's grade_stdio: stripped outputs, as many lines, each pair equal as text or as lists of Decimals."""
    ours, theirs = (text.decode("utf-8", "replace").strip() for text in (got, expected))
    if ours.count("\n") != theirs.count("\n"):
        return f"{ours.count(chr(10)) + 1} lines, expected {theirs.count(chr(10)) + 1}"
    for n, (a, b) in enumerate(zip(ours.split("\n"), theirs.split("\n"), strict=True), 1):
        a, b = a.strip(), b.strip()
        if a != b and not _same_decimals(a, b):
            return f"line {n} is {_show(a.encode())}, expected {_show(b.encode())}"
    return None


class _Other:
    """An object of Python's that equals no JSON value."""


def _livecodebench_value(got: bytes, expected: Any) -> str | None:
    """LiveCodeBench's grade_call_based: a tuple at the top is a list, then Python's `==` decides: 1 == 1.0 == True, (1,) != [1].

    Its judge lets an object of the program's own say what it equals, and lets the one NaN that json.loads gives out equal itself; not here.
    """
    value = _python_value(json.loads(got, parse_constant=float))        # a new NaN each time: lists look at identity first
    if isinstance(value, tuple):
        value = list(value)
    want = json.loads(json.dumps(expected), parse_constant=float)
    return None if value == want else f"value is {_show(got)}, expected {_shown(expected)}"


def _python_value(value: Any) -> Any:
    """Raises: ValueError for what encode_typed does not write, RecursionError."""
    if isinstance(value, list):
        return [_python_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("tuple", list(items))]:
            return tuple(_python_value(item) for item in items)
        case [("dict", list(pairs))] if all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            if not all(isinstance(key, str) for key, _ in pairs):       # no dict is made of keys that a program could have collide
                return _Other()
            return {key: _python_value(held) for key, held in pairs}
        case [("other", str())]:
            return _Other()
    raise ValueError("an object that says no type")


def _node_values(expected: Any) -> Any:
    if expected is None:
        return []
    if isinstance(expected, list | tuple):
        expected = list(expected)
        while expected and expected[-1] is None:
            expected.pop()
    return expected


def _same_decimals(a: str, b: str) -> bool:
    want = b.split()
    got = a.split(None, len(want))      # a flood of numbers is one piece more, not millions
    try:
        return len(got) == len(want) and [Decimal(word) for word in got] == [Decimal(word) for word in want]
    except (InvalidOperation, ValueError):
        return False


def _json_text(got: bytes, expected: bytes, checker: JsonChecker) -> str | None:
    try:
        want = json.loads(expected)
    except (ValueError, RecursionError):
        return None if got.strip() == expected.strip() else "the expected output is not JSON, and the texts differ"
    return check_value(checker, got.strip(), want)


def _closeness(checker: Checker) -> Callable[[float, float], bool] | None:
    if not isinstance(checker, FloatChecker | JsonChecker) or not (checker.abs or checker.rel):
        return None
    absolute, relative = checker.abs, checker.rel

    def close(a: float, b: float) -> bool:
        try:
            return math.isfinite(a) and math.isfinite(b) and _within(abs(a - b), abs(b), absolute, relative)
        except OverflowError:
            return a == b
    return close


def _json_difference(got: Any, want: Any, close: Callable[[float, float], bool] | None, exact_types: bool, path: str = "value",
) -> str | None:
    """Where two JSON values differ; a tuple of Python's is a list. Raises: RecursionError."""
    if isinstance(want, list | tuple) and isinstance(got, list):
        if len(got) != len(want):
            return f"{path} has {len(got)} items, expected {len(want)}"
        pairs = ((f"{path}[{n}]", a, b) for n, (a, b) in enumerate(zip(got, want, strict=True)))
    elif isinstance(want, dict) and isinstance(got, dict):
        if got.keys() != want.keys():
            return f"{path} has other keys"
        pairs = ((f"{path}[{key!r}]", got[key], held) for key, held in want.items())
    else:
        return None if _same_scalar(got, want, close, exact_types) else f"{path} is {_shown(got)}, expected {_shown(want)}"
    for where, a, b in pairs:
        if difference := _json_difference(a, b, close, exact_types, where):
            return difference
    return None


def _same_scalar(got: Any, want: Any, close: Callable[[float, float], bool] | None, exact_types: bool) -> bool:
    if isinstance(got, bool) or isinstance(want, bool) or not isinstance(want, int | float) or not isinstance(got, int | float):
        return type(got) is type(want) and bool(got == want)
    if exact_types and type(got) is not type(want):
        return False
    return got == want or (close is not None and close(got, want))


def _spelling(value: Any) -> bytes:
    """One spelling a JSON value, so that equal items can be counted."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list | tuple):
        return b"[" + b",".join(map(_spelling, value)) + b"]"
    if isinstance(value, dict):
        return b"{" + b",".join(json.dumps(key).encode() + b":" + _spelling(value[key]) for key in sorted(value)) + b"}"
    return json.dumps(value).encode()


def _shown(value: Any) -> str:
    return _show(json.dumps(value).encode())


def _show(text: bytes, limit: int = 60) -> str:
    shown = repr(text[:limit].decode("utf-8", "replace"))
    return shown if len(text) <= limit else f"{shown}... ({len(text)} bytes)"
