"""Tests as data sets write them -> the reward spec of the wire format.

    {"kind": "asserts", "setup", "asserts": [...]}, or a list of texts      assert statements          -> assert mode
    {"kind": "check", "code", "preamble"?}, or a text with `def check(`      check(candidate)           -> assert mode
    {"kind": "sat", "code", "ans_type"}                                      sat(entry_point()) is True -> assert mode
    {"inputs": [...], "outputs": [...], "fn_name"?}, also as JSON text       APPS, TACO                 -> stdin or call mode
    [{"input", "output", "testtype"?}, ...], also as JSON text               LiveCodeBench              -> stdin or call mode
    {"public_test_cases", "private_test_cases"}, also packed                 the same, whole rows       -> stdin or call mode
    text with `from solution import` and functions test_...                  KodCode                    -> assert mode
    {"entry_point", "test_code", "import_prefix"?}                           Skywork-OR1, its LeetCode  -> assert mode
    {"public_tests"?, "private_tests"?, "generated_tests"?: {"input", "output"}}  CodeContests          -> stdin mode

None, and empty lists, are no tests: the row stays and is rejected as `code.no_tests`. Nothing of a test is run here.
"""
from __future__ import annotations

import ast
import base64
import io
import json
import pickle
import re
import zlib
from collections.abc import Mapping
from typing import Any, Final

from ...core.errors import RowError
from .leetcode import with_helpers

__all__ = ["reward_of_tests"]

_FROM_SOLUTION: Final = re.compile(r"^[^\S\n]*+from\s+solution\s+import\b", re.M)
_MOST_UNPACKED: Final = 512 << 20
"""Bytes of packed tests: the largest of LiveCodeBench are far below, a bomb is far above."""
_NO_TESTS: Final[dict[str, Any]] = {"type": "code", "mode": "stdin", "tests": []}
_CALL_AT_END: Final = re.compile(r"\n[^\S\n]*+check\(\s*([A-Za-z_][\w.]*+(?:\(\))?(?:\.\w++)*+)\s*\)\s*\Z")
_INSTANCE: Final = re.compile(r"\A([A-Za-z_]\w*)\(\)\.([A-Za-z_]\w*)\Z")


def reward_of_tests(tests: Any, entry_point: str | None, setup: str, where: str, preamble: str = "") -> dict[str, Any]:
    """The reward spec of one row's tests; `preamble` is Python that its programs take for granted.

    Raises: RowError for a shape that is not in the table above.
    """
    preamble = (str(tests.get("preamble") or tests.get("import_prefix") or "") if isinstance(tests, Mapping) else "") or preamble
    reward = _reward(tests, entry_point, setup, where, preamble)
    return reward | {"preamble": preamble} if preamble.strip() and reward != _NO_TESTS else reward


def _reward(tests: Any, entry_point: str | None, setup: str, where: str, preamble: str) -> dict[str, Any]:
    if isinstance(tests, str) and tests.lstrip()[:1] in ("{", "["):
        try:
            tests = json.loads(tests)
        except (ValueError, RecursionError) as error:
            raise RowError(f"{where}: `tests` starts like JSON and is none: {error}") from None
    if tests is None or tests in ("", [], {}):
        return dict(_NO_TESTS)
    if isinstance(tests, str) and _FROM_SOLUTION.search(tests):
        return _pytest(tests, entry_point, where)
    if isinstance(tests, str) and "def check(" in tests:
        return _check(tests, entry_point, preamble)
    if isinstance(tests, list):
        if all(isinstance(test, str) for test in tests):
            return _asserts(tests, setup)
        if all(isinstance(test, Mapping) and "input" in test and "output" in test for test in tests):
            return _pairs(tests, entry_point)
    if isinstance(tests, Mapping):
        kind = tests.get("kind")
        if kind == "asserts" and isinstance(tests.get("asserts"), list):
            return _asserts(tests["asserts"], str(tests.get("setup") or setup))
        if kind == "check" and isinstance(tests.get("code"), str):
            return _check(tests["code"], entry_point, preamble)
        if kind == "sat" and isinstance(tests.get("code"), str) and entry_point:
            return _sat(tests["code"], entry_point, str(tests.get("ans_type") or ""))
        if isinstance(tests.get("test_code"), str) and isinstance(tests.get("entry_point"), str):
            return _check("\n".join([str(tests.get("import_prefix") or ""), tests["test_code"]]), tests["entry_point"], preamble)
        if "public_test_cases" in tests or "private_test_cases" in tests:
            return _pairs([*_cases(tests.get("public_test_cases"), where), *_cases(tests.get("private_test_cases"), where)], entry_point)
        if tests.get("input_file") or tests.get("output_file"):
            raise RowError(f"{where}: reads or writes a file ({tests.get('input_file') or tests.get('output_file')}), not stdin and stdout")
        if isinstance(tests.get("inputs"), list) and isinstance(tests.get("outputs"), list):
            return _columns(tests["inputs"], tests["outputs"], tests.get("fn_name") or entry_point)
        groups = [tests[key] for key in ("public_tests", "private_tests", "generated_tests") if isinstance(tests.get(key), Mapping)]
        if groups:
            return _columns([i for g in groups for i in g.get("input", [])], [o for g in groups for o in g.get("output", [])], None)
    shown = f"kind {tests.get('kind')!r}" if isinstance(tests, Mapping) and "kind" in tests else type(tests).__name__
    raise RowError(f"{where}: tests of an unknown shape ({shown}); known are asserts, check, sat, inputs and outputs, pairs: "
                   "see docs/curation.md")


def _cases(value: Any, where: str) -> list[Any]:
    """LiveCodeBench's list of tests: as it is, as JSON text, or that packed: base64 of zlib of a pickle of one text."""
    if isinstance(value, list) or value is None:
        return value or []
    try:
        text = str(value)
        if not text.lstrip().startswith("["):
            unpack = zlib.decompressobj()
            packed = unpack.decompress(base64.b64decode(text, validate=True), _MOST_UNPACKED)
            if unpack.unconsumed_tail:
                raise RowError(f"{where}: tests of more than {_MOST_UNPACKED >> 20} MiB")
            text = _TextUnpickler(io.BytesIO(packed)).load()
        cases = json.loads(text)
    except (ValueError, zlib.error, pickle.UnpicklingError, EOFError, RecursionError, TypeError, LookupError, AttributeError,
            ArithmeticError, MemoryError) as error:
        raise RowError(f"{where}: packed tests that cannot be read: {error}") from None
    if not isinstance(cases, list) or not all(isinstance(case, Mapping) and "input" in case and "output" in case for case in cases):
        raise RowError(f"{where}: packed tests are no list of inputs and outputs")
    return cases


class _TextUnpickler(pickle.Unpickler):
    """Plain values only: a pickle that names any class or function is refused, so nothing of it is run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside")


def _pytest(text: str, entry_point: str | None, where: str) -> dict[str, Any]:
    """Test functions without arguments, called one after another; what they import from the solution is in the same namespace."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RowError(f"{where}: tests that are no Python: {error}") from None
    names = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            if node.decorator_list or node.args.args or node.args.kwonlyargs:
                raise RowError(f"{where}: `{node.name}` is a test that only pytest can call")
            names.append(node.name)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            raise RowError(f"{where}: tests in a class")
    imported = [alias for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "solution" for alias in node.names]
    if any(alias.name == "*" or alias.asname for alias in imported):
        raise RowError(f"{where}: tests import from the solution under another name")
    if not names:
        return dict(_NO_TESTS)
    tree.body = [node for node in tree.body if not (isinstance(node, ast.ImportFrom) and node.module == "solution")]
    calls = "".join(f"    {name}()\n" for name in names)
    reward = {"type": "code", "mode": "assert", "test_code": f"{ast.unparse(tree)}\n\n\ndef check(candidate):\n{calls}"}
    entry_point = entry_point or (imported[0].name if imported else None)
    return reward | ({"entry_point": entry_point} if entry_point else {})


def _asserts(asserts: list[Any], setup: str) -> dict[str, Any]:
    lines = [line for line in asserts if isinstance(line, str) and line.strip()]
    if not lines:
        return dict(_NO_TESTS)
    return {"type": "code", "mode": "assert", "test_code": "\n".join([*([setup] if setup.strip() else []), *lines]).replace("\r\n", "\n")}


def _check(code: str, entry_point: str | None, preamble: str) -> dict[str, Any]:
    """`check(candidate)` is called by the judge; a call that closes the code names the candidate and is taken off."""
    if (call := _CALL_AT_END.search(code)) and not entry_point:
        before = code[:call.start() + 1]
        code, entry_point = code[:before.index("\n", len(before.rstrip()))] + "\n", call[1]
    if "assert" not in code:
        return dict(_NO_TESTS)
    reward = {"type": "code", "mode": "assert", "test_code": with_helpers(code, preamble)}
    if entry_point:
        instance = _INSTANCE.match(entry_point)
        reward["entry_point"] = f"{instance[1]}.{instance[2]}" if instance else entry_point
    return reward


_TYPE_CHECK: Final = '''
def _fits(value, kind):
    if kind.startswith("List["):
        return type(value) is list and all(_fits(item, kind[5:-1]) for item in value)
    return type(value).__name__ == kind
'''


def _sat(code: str, entry_point: str, answer_type: str) -> dict[str, Any]:
    """A puzzle: the answer is right when `sat` says True of it. Its exact type is checked first: no object answers `==` itself."""
    check = ["def check(candidate):", "    answer = candidate()"]
    if re.fullmatch(r"(List\[)*(bool|int|float|str)\]*", answer_type):
        check.append(f"    assert _fits(answer, {answer_type!r}), 'the answer is not of type {answer_type}'")
    check.append("    assert sat(answer) is True, 'sat does not hold'")
    text = "\n".join(["from typing import *", code.rstrip(), _TYPE_CHECK, *check, ""])
    return {"type": "code", "mode": "assert", "entry_point": entry_point, "test_code": text}


def _columns(inputs: list[Any], outputs: list[Any], function: str | None) -> dict[str, Any]:
    return _pairs([{"input": given, "output": wanted} for given, wanted in zip(inputs, outputs, strict=False)], function)


def _pairs(pairs: list[Any], function: str | None) -> dict[str, Any]:
    if not pairs:
        return dict(_NO_TESTS)
    if function or pairs[0].get("testtype") == "functional":
        return {"type": "code", "mode": "call", "entry_point": function, "checker": {"type": "json"},
                "tests": [{"args": _arguments(p["input"]), "output": _value(p["output"])} for p in pairs]}
    return {"type": "code", "mode": "stdin", "tests": [{"input": _joined(p["input"]), "output": _joined(p["output"])} for p in pairs]}


def _joined(value: Any) -> Any:
    """Some sets write the lines of an input as a list."""
    return "\n".join(value) + "\n" if isinstance(value, list) and all(isinstance(line, str) for line in value) else value


def _arguments(value: Any) -> list[Any]:
    """A list of arguments; text has one JSON value a line."""
    if isinstance(value, str):
        return [_value(line) for line in value.split("\n") if line.strip()]
    return list(value) if isinstance(value, list) else [value]


def _value(value: Any) -> Any:
    if not isinstance(value, str):
        return value[0] if isinstance(value, list) and len(value) == 1 else value
    try:
        return json.loads(value)
    except ValueError:
        return value
