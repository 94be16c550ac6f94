"""`assay grade`: a file of rows -> a file of grades, in input order, resumable (docs/wire-format.md).

A `.jsonl` output is appended to as grades become known. Other formats are written to `OUT.partial.jsonl` the same way and turned
into OUT at the end, in one rename; so whatever kills the run, no line that was written is lost, and `resume` goes on behind it.
"""
from __future__ import annotations

import gzip
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from ..core.errors import InputError, RowError, UsageError
from ..core.problem import CodeTests
from ..core.rows import ProblemRow, check_readable, parse_row, read_rows, row_format
from ..core.verdict import Grade, Verdict
from .grader import Grader, Item

__all__ = ["Summary", "grade_file"]



@dataclass(slots=True)
class Summary:
    """What a run did. `resumed` grades were there before."""

    graded: int = 0
    resumed: int = 0
    rejected: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    """Of the IE lines."""

    @property
    def exit_code(self) -> int:
        """3 if rows were rejected, 4 if some ended IE, else 0."""
        return 3 if self.rejected else 4 if self.verdicts[Verdict.IE.value] else 0


def grade_file(source: str, target: str, grader: Grader, *, resume: bool = False, overwrite: bool = False,
               on_line: Callable[[Summary], None] = lambda _: None, on_rejected: Callable[[str], None] = lambda _: None,
               summary: Summary | None = None) -> Summary:
    """Grades every response of `source` into `target`. `on_line` is called after each line, `on_rejected` for each bad row.

    `summary` is filled as the run goes on, for a caller that wants to know how far an interrupted run came.

    Raises: UsageError (no such source; the target exists, or belongs to another input), InputError (a file cannot be read or written),
    SandboxUnavailable (code rows, and no sandbox): what was written stays.
    """
    summary = summary or Summary()
    kind = row_format(target)
    check_readable(source)
    if "-" not in (source, target) and Path(source).exists() and Path(target).exists() and Path(source).samefile(target):
        raise UsageError(f"{target} is the input itself")
    journal = target if kind == "jsonl" else f"{target}.partial.jsonl"
    done = _prepare(target, journal, resume, overwrite)
    with ExitStack() as stack:
        out = _Writer(journal)
        stack.callback(out.close)
        rejected = _Writer(f"{target}.rejected.jsonl", lazy=True, fresh=True) if target != "-" else None
        if rejected:
            stack.callback(rejected.close)
        places: dict[int, tuple[ProblemRow, int]] = {}
        items = _items(source, done, places, summary, grader, rejected, on_rejected)
        ready: dict[int, Grade] = {}
        turn = 0
        for n, grade in stack.enter_context(closing(grader.iter_grades(items))):
            ready[n] = grade
            lines = []
            while turn in ready:
                row, index = places.pop(turn)
                lines.append(_line(row, index, ready[turn]))
                _count(summary, ready.pop(turn))
                turn += 1
            if lines:
                out.write(b"".join(lines))
                on_line(summary)
    if journal != target:
        _convert(journal, target, kind)
    return summary


def _items(source: str, done: list[dict[str, Any]], places: dict[int, tuple[ProblemRow, int]], summary: Summary, grader: Grader,
           rejected: _Writer | None, on_rejected: Callable[[str], None]) -> Iterator[Item]:
    """What is still to be graded; fills `places` with where each item stands in the output."""
    position = given = 0
    sandbox_up = False
    for number, row in read_rows(source):
        where = f"{source}, line {number}"
        try:
            if isinstance(row, RowError):
                raise row
            if row.get("responses") is None:
                raise RowError(f"{where}: no `responses`; a row is {{\"id\", \"reward\", \"responses\": [...]}}")
            parsed = parse_row(row, where)
        except RowError as error:
            summary.rejected += 1
            if rejected:
                rejected.write(json.dumps({"file": source, "line": number, "reason": str(error)}).encode() + b"\n")
            on_rejected(str(error))
            continue
        for index, response in enumerate(parsed.responses):
            if position < len(done):
                _check_same(done[position], parsed, index, where)
                summary.resumed += 1
                summary.verdicts[done[position]["verdict"]] += 1
                position += 1
                continue
            if not sandbox_up and isinstance(parsed.problem.reward, CodeTests):
                grader.start_sandbox()
                sandbox_up = True
            places[given] = parsed, index
            given += 1
            yield parsed.problem, response
    if position < len(done):
        raise UsageError(f"--resume: the output has {len(done)} lines, and {source} has only {position} responses; is it another input?")


def _check_same(line: dict[str, Any], row: ProblemRow, index: int, where: str) -> None:
    if (line.get("id"), line.get("index")) != (row.problem.id, index):
        raise UsageError(f"--resume: {where} has response {index} of {row.problem.id!r} where the output has {line.get('index')} of "
                         f"{line.get('id')!r}; is it another input?")


def _line(row: ProblemRow, index: int, grade: Grade) -> bytes:
    line = {**row.extra, "id": row.problem.id, "index": index, **grade.to_dict()}
    if not isinstance(row.problem.reward, CodeTests):
        del line["cases"]
    first = {"id": line.pop("id"), "index": line.pop("index")}
    return json.dumps(first | line).encode() + b"\n"


def _count(summary: Summary, grade: Grade) -> None:
    summary.graded += 1
    summary.verdicts[grade.verdict.value] += 1
    if grade.verdict is Verdict.IE:
        summary.reasons[grade.reason] += 1


def _prepare(target: str, journal: str, resume: bool, overwrite: bool) -> list[dict[str, Any]]:
    """What an earlier run wrote, its half-written last line cut off. Raises: UsageError, InputError."""
    if target == "-":
        if resume:
            raise UsageError("--resume needs an output file, not standard output")
        return []
    there = [path for path in dict.fromkeys((target, journal)) if Path(path).exists() and Path(path).stat().st_size]
    if resume:
        if target in there and target != journal:
            raise UsageError(f"{target} is complete already; nothing to resume")
        return _lines_before(journal) if there else []
    if there and not overwrite and Path(there[0]).is_file():
        raise UsageError(f"{there[0]} exists; go on with --resume, or replace it with --overwrite")
    try:
        for path in (*there, f"{target}.rejected.jsonl"):
            if Path(path).is_file():
                Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{target}: cannot be replaced: {error.strerror}") from error
    return []


def _lines_before(journal: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    end = 0
    with open(journal, "r+b") as file:
        for line in file:
            try:
                row = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                row = None
            if not isinstance(row, dict) or "verdict" not in row:
                break
            lines.append({key: row.get(key) for key in ("id", "index", "verdict")})
            end += len(line)
        file.truncate(end)
    return lines


class _Writer:
    """Appends whole lines to a file, unbuffered. Raises: InputError, naming the file, when it cannot."""

    def __init__(self, path: str, *, lazy: bool = False, fresh: bool = False) -> None:
        self._path = path
        self._file: FileIO | None = None
        if fresh:
            Path(path).unlink(missing_ok=True)
        if not lazy:
            self._open()

    def write(self, lines: bytes) -> None:
        file = self._file or self._open()
        try:
            view = memoryview(lines)
            while view:
                view = view[file.write(view):]
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written: {error.strerror}; what is in it is whole, make room and go on with "
                             "--resume") from error

    def close(self) -> None:
        if self._file is not None and self._path != "-":
            self._file.close()

    def _open(self) -> FileIO:
        try:
            file = FileIO(os.dup(sys.stdout.fileno()), "wb") if self._path == "-" else FileIO(self._path, "ab")
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written: {error.strerror}") from error
        self._file = file
        return file


def _convert(journal: str, target: str, kind: str) -> None:
    """The finished journal -> gz, zst or Parquet, in one rename."""
    partial = f"{target}.partial"
    try:
        if kind == "parquet":
            _to_parquet(journal, partial)
        else:
            with open(journal, "rb") as lines, _compressed(partial, kind) as out:
                while block := lines.read(1 << 20):
                    out.write(block)
        Path(partial).replace(target)
        Path(journal).unlink()
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}; every grade is in {journal}") from error


def _compressed(path: str, kind: str) -> Any:
    if kind == "gz":
        return gzip.open(path, "wb")
    import pyarrow as pa

    return pa.CompressedOutputStream(path, "zstd")


def _to_parquet(journal: str, path: str) -> None:
    """Columns of one type each: grade fields as they are, `cases` a list of structs, everything nested or mixed as JSON text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open(journal, "rb") as file:
        rows = [json.loads(line) for line in file]
    case = pa.struct([("verdict", pa.string()), ("cpu_s", pa.float64()), ("wall_s", pa.float64()), ("memory_bytes", pa.int64())])
    types = {"id": pa.string(), "index": pa.int64(), "verdict": pa.string(), "score": pa.float64(), "reason": pa.string(),
             "detail": pa.string(), "components": pa.string(), "cpu_s": pa.float64(), "wall_s": pa.float64(),
             "memory_bytes": pa.int64(), "cases": pa.list_(case)}
    names = dict.fromkeys([*types, *(key for row in rows for key in row)])
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        kind = types.get(name) or _scalar_type(values)
        if name == "components" or kind is None:
            values = [None if value is None else json.dumps(value) for value in values]
        columns[name] = pa.array(values, kind or pa.string())
    pq.write_table(pa.table(columns), path)


def _scalar_type(values: list[Any]) -> Any:
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds == {int} and any(abs(value) >= 1 << 63 for value in values if value is not None):
        return None
    return {frozenset({str}): pa.string(), frozenset({int}): pa.int64(), frozenset({float}): pa.float64(),
            frozenset({int, float}): pa.float64(), frozenset({bool}): pa.bool_()}.get(frozenset(kinds))
