"""Rows in, lines out: one row of the wire format as its problem and responses, one grade as a line (docs/wire-format.md).

A line is that of `assay grade` without the row's other keys: whoever sent the row has them, and copying them into the line of every
response would let a small request make a huge answer.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ...core.errors import RowError
from ...core.problem import CodeTests, Problem
from ...core.rows import ProblemRow, parse_row
from ...core.verdict import Grade
from .admission import Refused

__all__ = ["grade_line", "json_bytes", "json_object", "row_of"]

MAX_ID_CHARS: Final = 1024
"""An id goes into every line of its row."""


def row_of(value: Mapping[str, Any], where: str, most: int) -> ProblemRow:
    """A row with its responses. Raises: RowError (no problem, no responses), Refused (more than `most` responses)."""
    if value.get("responses") is None:
        raise RowError(f'{where}: no `responses`; a row is {{"id", "reward": {{"type": ...}}, "responses": [...]}}')
    row = parse_row(value, where)
    if len(row.problem.id) > MAX_ID_CHARS:
        raise RowError(f"{where}: `id` has {len(row.problem.id)} characters, more than {MAX_ID_CHARS}")
    if len(row.responses) > most:
        raise Refused(413, "too_many_responses", f"{where}: {len(row.responses)} responses, more than {most}: send fewer a request")
    return row


def grade_line(problem: Problem, index: int, grade: Grade) -> dict[str, Any]:
    """One line; `cases` only where the problem is one of code."""
    line = {"id": problem.id, "index": index, **grade.to_dict()}
    if not isinstance(problem.reward, CodeTests):
        del line["cases"]
    return line


def json_object(data: bytes | bytearray, where: str) -> dict[str, Any]:
    """Raises: RowError."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:     # no JSON, no UTF-8, nested too deep, an integer of more than 4300 digits
        raise RowError(f"{where}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RowError(f"{where}: not a JSON object")
    return value


def json_bytes(value: object) -> bytes:
    return json.dumps(value).encode()
