"""A sample's columns -> the reward spec that it is graded by.

The first of these columns that holds something decides (names can be given):

    reward, ground_truth, answer, solution;  or `ground_truth` inside `reward_model` (verl) or `reward_spec` (SkyRL)

    {"type": "math", ...} or {"type": "code", ...}, as an object or as JSON text       a reward spec (docs/wire-format.md)
    {"inputs": [...], "outputs": [...], "fn_name": ...}, likewise                       tests, as APPS and LiveCodeBench have them
    "72", 72, ["1/2", "0.5"]                                                            gold answers (any of a list is right)

A value that is no spec is read as its `data_source` says, where the sample has one: `sources` maps the name of a data source to
"math", "tests" or a function (value, columns) -> reward spec; a name ending in `*` stands for every name that begins so. A data
source that nobody knows is a fault of that sample, never a guess. Without a data source such a value is a gold answer, unless it surely is none
(an object that does not parse, a code block, "None" or "nan"): that is the sample's fault too.
"""
from __future__ import annotations

import json
import marshal
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from ...core.errors import UsageError
from ...core.problem import CodeTests, MathAnswer, RewardSpec
from ...core.verdict import BAD_REFERENCE
from .messages import SampleFault

__all__ = ["COLUMNS", "KNOWN_SOURCES", "NO_REFERENCE", "UNKNOWN_SOURCE", "Reader", "Source"]

Source = str | Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]
COLUMNS: Final = ("reward", "ground_truth", "answer", "solution")
NO_REFERENCE: Final = "no_reference"
UNKNOWN_SOURCE: Final = "unknown_data_source"
KNOWN_SOURCES: Final[Mapping[str, str]] = {
    "openai/gsm8k": "math", "gsm8k": "math", "lighteval/MATH": "math", "DigitalLearningGmbH/MATH-lighteval": "math",
    "HuggingFaceH4/MATH-500": "math", "math_dapo": "math", "math": "math", "aime*": "math", "numina_*": "math",
    "codecontests": "tests", "apps": "tests", "codeforces": "tests", "taco": "tests", "livecodebench*": "tests", "code": "tests",
}
"""Data sources whose references have the one or the other shape; those of verl's own scorer among them."""
_MISSING: Final = frozenset({"None", "null", "nan", "NaN", "<NA>", "undefined"})
_OBJECT: Final = re.compile(r"""\s*+\[?\s*+\{\s*(["'])\w+\1\s*(:|\Z)""")
"""An object as JSON cut off, as Python prints it, or in a list."""
_NESTED: Final = ("reward_model", "reward_spec")
_HELD: Final = 2048
_HELD_BYTES: Final = 64 << 20
"""Reward specs kept parsed, by number and by the size of what they were parsed from: a group's samples share one."""
_SPEC: Final[TypeAdapter[MathAnswer | CodeTests]] = TypeAdapter(RewardSpec)


class Reader:
    """Reads reward specs out of samples. Thread-safe; pickles.

    Raises: UsageError if `sources` holds what is no source, or `columns` is empty.
    """

    def __init__(self, sources: Mapping[str, Source] | None = None, columns: Sequence[str] = COLUMNS) -> None:
        for name, source in (sources or {}).items():
            if source not in ("math", "tests") and not callable(source):
                raise UsageError(f"data source {name!r}: {source!r} is none of \"math\", \"tests\" or a function (value, columns) -> spec")
        if not columns or isinstance(columns, str):
            raise UsageError(f"columns are the names of columns, not {columns!r}")
        self._sources: dict[str, Source] = {**KNOWN_SOURCES, **(sources or {})}
        self.columns = tuple(columns)
        self._set_up()

    def _set_up(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[object, MathAnswer | CodeTests] = OrderedDict()
        self._bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"_sources": self._sources, "columns": self.columns}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_up()

    def readable(self, columns: Mapping[str, Any]) -> bool:
        """Whether any column is there that could hold a reference, be it empty."""
        return any(name in columns for name in (*self.columns, *_NESTED))

    def spec(self, columns: Mapping[str, Any]) -> MathAnswer | CodeTests:
        """Raises: SampleFault: `no_reference`, `unknown_data_source` or `bad_reference`."""
        try:
            return self._spec(columns)
        except RecursionError:
            raise SampleFault(BAD_REFERENCE, "a reference that is nested too deep") from None

    def _spec(self, columns: Mapping[str, Any]) -> MathAnswer | CodeTests:
        value = self._reference(columns)
        source = columns.get("data_source")
        key = _key(value, source)
        if (held := self._found(key)) is not None:
            return held
        value, changed = _plain(value)
        if changed:     # only what is Python's own is held, and so only that is found
            key = _key(value, source)
            if (held := self._found(key)) is not None:
                return held
        form, shared = self._form(value, source, columns)
        try:
            spec = _SPEC.validate_python(form)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise SampleFault(BAD_REFERENCE, f"not a reward spec: {where}: {first['msg']}") from None
        if key is not None and shared:
            self._hold(key, spec)
        return spec

    def _reference(self, columns: Mapping[str, Any]) -> Any:
        for name in self.columns:
            if (value := columns.get(name)) is not None:
                return value
        for name in _NESTED:
            nested = columns.get(name)
            if isinstance(nested, Mapping) and (value := nested.get("ground_truth")) is not None:
                return value
        raise SampleFault(NO_REFERENCE, f"no reference: none of {', '.join((*self.columns, *_NESTED))} holds one")

    def _form(self, value: Any, source: object, columns: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        """What is to be a reward spec, and whether the value and its source alone decide it."""
        found = _json_object(value) if isinstance(value, str) else value
        if isinstance(found, Mapping) and isinstance(found.get("type"), str):
            return _without_nulls(found), True
        rule = "math" if source is None else self._rule(source)
        if callable(rule):
            try:
                return rule(value, columns), False
            except Exception as error:  # the caller's function, on one sample's data: that sample's fault
                raise SampleFault(BAD_REFERENCE, f"data source {source!r}: its function: {type(error).__name__}: {error}") from error
        if isinstance(found, Mapping):
            if "inputs" in found and "outputs" in found:
                return _tests(found), True
            raise SampleFault(BAD_REFERENCE, f"an object without `type` is no reward spec; its keys: {', '.join(map(str, found))[:200]}")
        if rule == "tests":
            raise SampleFault(BAD_REFERENCE, f"data source {source!r} has tests, and this is {type(value).__name__}: {str(value)[:80]!r}")
        if isinstance(value, bool) or not isinstance(value, str | int | float | list):
            raise SampleFault(BAD_REFERENCE, f"{type(value).__name__} is no gold answer")
        if isinstance(value, str) and (fault := _no_answer(value)):
            raise fault
        if isinstance(value, list) and not value:
            raise SampleFault(NO_REFERENCE, "an empty list of gold answers")
        return {"type": "math", "answer": value}, True

    def _rule(self, source: object) -> Source:
        if isinstance(source, str):
            if (rule := self._sources.get(source)) is not None:
                return rule
            for name, rule in self._sources.items():
                if name.endswith("*") and source.startswith(name[:-1]):
                    return rule
        raise SampleFault(UNKNOWN_SOURCE, f"data source {source!r} is unknown, and its reference is no reward spec; "
                                          f"pass sources={{{source!r}: \"math\"}} or \"tests\", or a function")

    def _found(self, key: object) -> MathAnswer | CodeTests | None:
        if key is None:
            return None
        with self._lock:
            held = self._held.get(key)
            if held is not None:
                self._held.move_to_end(key)
            return held

    def _hold(self, key: object, spec: MathAnswer | CodeTests) -> None:
        with self._lock:
            if key not in self._held:
                self._held[key] = spec
                self._bytes += _size(key)
            while len(self._held) > _HELD or (self._bytes > _HELD_BYTES and len(self._held) > 1):
                gone, _ = self._held.popitem(last=False)
                self._bytes -= _size(gone)


def _key(value: Any, source: object) -> tuple[object, object] | None:
    """What two equal references have in common; None where that cannot be said cheaply."""
    if not isinstance(source, str | None):
        return None
    if isinstance(value, str):
        return value, source
    try:
        return marshal.dumps(value, 2), source      # version 2: no back references, so that equal values give equal bytes
    except ValueError:
        return None


def _size(key: object) -> int:
    return len(key[0]) if isinstance(key, tuple) and isinstance(key[0], str | bytes) else 0


def _plain(value: Any) -> tuple[Any, bool]:
    """numpy's arrays and scalars, which Parquet readers give, as lists and Python's own; and whether there were any."""
    changed = False

    def plain(part: Any) -> Any:
        nonlocal changed
        if isinstance(part, Mapping):
            return {key: plain(held) for key, held in part.items()}
        if isinstance(part, list | tuple):
            return [plain(held) for held in part]
        if type(part).__module__ == "numpy":
            changed = True
            return plain(part.tolist())
        return part

    return plain(value), changed


def _json_object(text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text     # a set in a gold answer begins so too


def _no_answer(text: str) -> SampleFault | None:
    """Why a text is surely no gold answer. A gold that no response can equal would make every sample of its problem a zero."""
    if text.strip() in _MISSING:
        return SampleFault(NO_REFERENCE, f"{text!r} is how a missing value is printed")
    if _OBJECT.match(text):
        return SampleFault(BAD_REFERENCE, f"an object that is no JSON, or no reward spec: {text[:80]!r}")
    if "```" in text:
        return SampleFault(BAD_REFERENCE, f"a code block is no gold answer: {text[:80]!r}")
    return None


def _without_nulls(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of structs fill absent keys with null; only a test's `output` may be null itself."""
    out: dict[str, Any] = {}
    for key, value in spec.items():
        if value is None:
            continue
        if key == "tests" and isinstance(value, list):
            value = [{k: _inner(v) for k, v in test.items() if v is not None or k == "output"} if isinstance(test, Mapping) else test
                     for test in value]
        else:
            value = _inner(value)
        out[key] = value
    return out


def _inner(value: Any) -> Any:
    return {key: held for key, held in value.items() if held is not None} if isinstance(value, Mapping) else value


def _tests(found: Mapping[str, Any]) -> dict[str, Any]:
    """{"inputs", "outputs"[, "fn_name"]}: stdin texts, or (with fn_name) lists of arguments, one JSON value a line where it is text."""
    inputs, outputs, name = found["inputs"], found["outputs"], found.get("fn_name")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise SampleFault(BAD_REFERENCE, "`inputs` and `outputs` are no lists of one length")
    if name is None:
        pairs = [("\n".join(map(str, i)) if isinstance(i, list) else i, "\n".join(map(str, o)) if isinstance(o, list) else o)
                 for i, o in zip(inputs, outputs, strict=True)]
        return {"type": "code", "mode": "stdin", "tests": [{"input": i, "output": o} for i, o in pairs]}
    if not isinstance(name, str):
        raise SampleFault(BAD_REFERENCE, "`fn_name` is no text")
    try:
        tests = [{"args": [json.loads(line) for line in i.splitlines()] if isinstance(i, str) else i,
                  "output": json.loads(o) if isinstance(o, str) and isinstance(i, str) else o[0] if _wrapped(i, o) else o}
                 for i, o in zip(inputs, outputs, strict=True)]
    except ValueError as error:
        raise SampleFault(BAD_REFERENCE, f"an input or output of {name} is not JSON: {error}") from None
    return {"type": "code", "mode": "call", "entry_point": name, "checker": {"type": "json"}, "tests": tests}


def _wrapped(given: Any, output: Any) -> bool:
    """APPS wraps the one result of a call in a list of its own."""
    return isinstance(given, list) and isinstance(output, list) and len(output) == 1
