"""Rows of the wire format (docs/wire-format.md): reading them from files, and one row to a Problem and its responses.

    .jsonl, .jsonl.gz, .jsonl.zst (also .json.. of one row a line), .parquet; "-" is standard input as JSONL

A line that is no JSON object, or an object that is no problem, is a RowError that says which field and why: never an exception
out of the middle of a file, so that one bad row stops nothing.
"""
from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydantic import ValidationError

from .errors import InputError, RowError, UsageError
from .problem import Problem, Program, Provenance, Response

__all__ = ["ProblemRow", "check_readable", "from_columns", "parse_response", "parse_row", "read_rows", "row_format"]

MAX_LINE_BYTES: Final = 1 << 30
"""A longer line is refused: it would be held in memory several times over."""
_OURS: Final = ("id", "prompt", "reward", "responses")
_DECODER: Final = json.JSONDecoder()
_FORMATS: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".jsonl.gz": "gz", ".jsonl.zst": "zst", ".parquet": "parquet"}


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """One row: the problem, its responses (empty where the row has none) and every other key, to be carried through."""

    problem: Problem
    responses: tuple[Response | Program, ...]
    extra: dict[str, Any]


def row_format(path: str | Path) -> str:
    """`jsonl`, `gz`, `zst` or `parquet`, by the end of the file's name; "-" is jsonl. Raises: UsageError."""
    name = str(path)
    if name == "-":
        return "jsonl"
    for end, kind in _FORMATS.items():
        if name.endswith(end):
            return kind
    raise UsageError(f"{name}: unknown format; use a name that ends in {', '.join(_FORMATS)}")


def check_readable(path: str | Path) -> None:
    """For the start of a run, before anything is replaced. Raises: UsageError if there is no such file, or of no known format."""
    row_format(path)
    if str(path) != "-":
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_rows(path: str | Path, skip: Container[int] = ()) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    """(line number from 1, row) for each row; a line that is no JSON object comes as a RowError. Blank lines, and those of `skip`, are passed over.

    Raises: InputError if the file cannot be opened, or cannot be read on (what came before has been given).
    """
    kind = row_format(path)
    if kind == "parquet":
        yield from ((number, row) for number, row in _parquet_rows(Path(path)) if number not in skip)
        return
    with _opened(path, kind) as stream:
        number = 0
        while True:
            try:
                line: bytes | None = stream.readline(MAX_LINE_BYTES)
            except (OSError, EOFError, ValueError) as error:
                raise InputError(f"{path}, after line {number}: cannot be read on: {error}") from error
            if not line:
                return
            number += 1
            if len(line) >= MAX_LINE_BYTES and not line.endswith(b"\n"):
                raise InputError(f"{path}, line {number}: longer than {MAX_LINE_BYTES >> 20} MiB")
            if number in skip or line.isspace():
                continue
            try:
                # `{"` is how nearly all lines begin, and UTF-8 for certain; the question costs as much as the reading of a short row.
                text = line.decode("utf-8" if line.startswith(b'{"') else json.detect_encoding(line), "surrogatepass")
            except UnicodeDecodeError as error:
                yield number, RowError(f"{path}, line {number}: not UTF-8 (byte {error.start})")
                continue
            line = None                 # of a row of hundreds of megabytes, one copy is held at a time
            row, text = _json_object(text, f"{path}, line {number}"), ""
            yield number, row


def parse_row(row: Mapping[str, Any], where: str) -> ProblemRow:
    """One row of the wire format; `where` (file and line) opens every message. Raises: RowError."""
    if "reward" not in row:
        raise RowError(f"{where}: no `reward`; a row is {{\"id\", \"prompt\", \"reward\": {{\"type\": ...}}, \"responses\": [...]}}")
    row_id = row.get("id")
    if isinstance(row_id, int) and not isinstance(row_id, bool):
        row_id = str(row_id)
    if row_id is not None and not isinstance(row_id, str):
        raise RowError(f"{where}: `id` is {_kind(row_id)}, not text")
    prompt = row.get("prompt", "")
    if prompt is None:
        prompt = ""
    extra = {key: value for key, value in row.items() if key not in _OURS}
    try:
        problem = Problem.model_validate({
            "id": row_id or "", "prompt": prompt, "reward": row["reward"], "metadata": extra,
            "solutions": tuple(_solutions(row.get("solutions"), where)), "source": _provenance(row)})
    except ValidationError as error:
        raise RowError(f"{where}: {_explain(error, row)}") from None
    except RecursionError:
        raise RowError(f"{where}: nested too deep") from None
    return ProblemRow(problem, tuple(_responses(row.get("responses"), where)), extra)


def parse_response(value: object, where: str) -> Response | Program:
    """One entry of `responses`: text, {"text"} or {"program", "language"}. Raises: RowError."""
    if isinstance(value, str):
        return Response(value)
    if isinstance(value, Mapping):
        keys = {key for key, held in value.items() if held is not None}     # Parquet fills absent keys with null
        if keys == {"text"} and isinstance(value["text"], str):
            return Response(value["text"])
        if "program" in keys and keys <= {"program", "language"} and isinstance(value["program"], str):
            language = value.get("language") or "python"
            if isinstance(language, str):
                return Program(value["program"], language)
    raise RowError(f"{where} is {_kind(value)}; it must be text, {{\"text\": ...}} or {{\"program\": ..., \"language\": ...}}")


def _responses(value: object, where: str) -> Iterator[Response | Program]:
    if value is None:
        return
    if not isinstance(value, list | tuple):
        raise RowError(f"{where}: `responses` is {_kind(value)}, not a list")
    for n, item in enumerate(value):
        yield parse_response(item, f"{where}: responses[{n}]")


def _solutions(value: object, where: str) -> Iterator[Program]:
    if value is None:
        return
    if not isinstance(value, list | tuple):
        raise RowError(f"{where}: `solutions` is {_kind(value)}, not a list")
    for n, item in enumerate(value):
        program = parse_response(item, f"{where}: solutions[{n}]")
        yield program if isinstance(program, Program) else Program(program.text)


def _provenance(row: Mapping[str, Any]) -> Provenance:
    given = {key: row[key] for key in ("source", "licence", "url", "revision") if isinstance(row.get(key), str)}
    return Provenance(**given)


def _explain(error: ValidationError, row: Mapping[str, Any]) -> str:
    """The first of pydantic's errors as one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    found = first.get("input")
    if first["type"] == "union_tag_invalid" and isinstance(found, Mapping):
        return f"`{path}.type` is {found.get('type')!r}: {first['msg']}"
    shown = "" if isinstance(found, Mapping | list | tuple) else f", found {_short(found)}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"`{path}`: {first['msg']}{shown}{more}"


def _json_object(text: str, where: str) -> dict[str, Any] | RowError:
    try:
        row = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        return RowError(f"{where}, column {error.colno}: not JSON: {error.msg}")
    except (RecursionError, ValueError) as error:       # nested too deep; an integer of more than 4300 digits
        return RowError(f"{where}: cannot be read as JSON: {error}")
    return row if isinstance(row, dict) else RowError(f"{where}: {_kind(row)}, not an object")


@contextmanager
def _opened(path: str | Path, kind: str) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        raw = open(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    with raw:
        if kind == "gz":
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield unpacked  # type: ignore[misc]  # a GzipFile reads as a BinaryIO does
        elif kind == "zst":
            import pyarrow as pa

            with pa.CompressedInputStream(raw, "zstd") as unpacked:
                yield io.BufferedReader(unpacked)
        else:
            yield raw


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield number, from_columns(row)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}{f', after row {number}' if number else ''}: not a readable Parquet file: {error}") from error


def from_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table (Parquet, a Hub data set) as one of JSON: its nulls are keys that are not there."""
    return {key: _from_column(key, value) for key, value in row.items() if value is not None}


def _from_column(key: str, value: Any) -> Any:
    """Nested specs may be JSON text in a column (`reward`, `responses`, `solutions`); struct columns fill absent keys with null."""
    if key in ("reward", "responses", "solutions") and isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value        # refused as what it is: text
    return _without_nulls(value) if key == "reward" else value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(held) for key, held in value.items() if held is not None}
    return value


def _kind(value: object) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number",
                              type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
