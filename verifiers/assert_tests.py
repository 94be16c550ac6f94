"""What is wrong with the tests of assert mode, as far as their text tells: tests that run nothing accept every program.

Accepted is what returns. So test code that only defines things (functions of pytest, classes of unittest, constants) would be a reward for
anything; it is the problem's fault, as is text that does not parse. The code is never run here, only parsed.
"""
from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

__all__ = ["fault_of_tests"]

MAX_PARSE_CHARS: Final = 256 << 10
"""Longer tests, which are mostly data, are not looked at: a syntax tree is a thousand times the text."""
_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_RUNNERS: Final = frozenset({"unittest", "pytest", "doctest", "globals", "locals", "vars", "dir", "exec", "eval"})


@lru_cache(maxsize=4096)
def fault_of_tests(test_code: str) -> str | None:
    """None, or one sentence: why no program could be judged by these tests."""
    if len(test_code) > MAX_PARSE_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            body = ast.parse(test_code).body
    except SyntaxError as error:
        return f"the test code does not parse: {error.msg} (line {error.lineno})"
    except ValueError as error:         # a null byte
        return f"the test code does not parse: {error}"
    except (RecursionError, MemoryError):
        return None
    checks = [node for node in body if "check" in _bound_by(node)]
    if not checks:
        return None if _runs(body) else "the test code runs nothing: it defines no `check`, asserts nothing and calls none of its own tests"
    last = checks[-1]
    if isinstance(last, ast.AsyncFunctionDef) or (isinstance(last, ast.FunctionDef) and _yields(last)):
        return None if _runs(body) else "`check` is a coroutine or a generator: calling it runs nothing"
    return None


def _bound_by(node: ast.stmt) -> set[str]:
    """Names that a statement of the top level gives a meaning, however deep in it."""
    if isinstance(node, _DEFINITIONS):
        return {node.name}
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    names |= {part.name for part in ast.walk(node) if isinstance(part, _DEFINITIONS)}
    return names | {(part.asname or part.name).partition(".")[0] for part in ast.walk(node) if isinstance(part, ast.alias)}


def _runs(body: list[ast.stmt]) -> bool:
    """Whether the top level tests something. Where there are functions or classes that look like tests, a call must be of one of them, or of
    what could run them; else any call will do."""
    own = {node.name for node in body if isinstance(node, _DEFINITIONS)}
    tests = {node.name for node in body if isinstance(node, _DEFINITIONS) and _looks_like_tests(node)}
    for node in _executed(body):
        if isinstance(node, ast.Assert | ast.Raise | ast.Match):
            return True
        if isinstance(node, ast.Call):
            names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            if not tests or names & (own | _RUNNERS):
                return True
    return False


def _looks_like_tests(node: ast.stmt) -> bool:
    if isinstance(node, ast.ClassDef):
        return any(isinstance(part, _DEFINITIONS) and part.name.startswith("test") for part in node.body)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")


def _executed(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """What running the top level meets: nothing inside definitions, and nothing behind `__name__ == "__main__"`, which tests are not."""
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop()
        if isinstance(node, (*_DEFINITIONS, ast.Lambda)):
            continue
        yield node
        if isinstance(node, ast.If) and _is_main_guard(node.test):
            todo.extend(node.orelse)
        else:
            todo.extend(ast.iter_child_nodes(node))


def _is_main_guard(test: ast.expr) -> bool:
    words = [part.id if isinstance(part, ast.Name) else part.value for part in ast.walk(test) if isinstance(part, ast.Name | ast.Constant)]
    return sorted(map(str, words)) == ["__main__", "__name__"] and any(isinstance(part, ast.Eq) for part in ast.walk(test))


def _yields(function: ast.FunctionDef) -> bool:
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, (*_DEFINITIONS, ast.Lambda)):
            todo.extend(ast.iter_child_nodes(node))
    return False
