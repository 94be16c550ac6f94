"""`assay convert`: rows of one format -> rows of another, through the canonical one (docs/wire-format.md).

    canonical, verl, trl, verifiers, nemo-gym

What assay wrote comes back to the last key: canonical -> any -> canonical gives equal rows. Rows that another program wrote are read by
their framework's usual columns. OUT is written beside its place and renamed, so it is whole or as it was; a row that cannot be
converted goes to OUT.rejected.jsonl with its line and reason, and stops nothing.
"""
from __future__ import annotations

import contextlib
import gzip
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from ..core.errors import InputError, RowError, UsageError
from ..core.rows import check_readable, parse_row, read_rows, row_format
from .interop import nemo_gym, trl, verifiers_v1, verl

__all__ = ["FORMATS", "Converted", "convert_file"]

_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class _Format:
    export: Callable[[Mapping[str, Any], int], dict[str, Any]]
    read: Callable[[Mapping[str, Any], str], dict[str, Any]]
    schema: Callable[[], Any] | None = None
    """Of its Parquet files; None where it has none."""


FORMATS: Final[Mapping[str, _Format]] = {
    "canonical": _Format(lambda row, _: dict(row), lambda row, _: dict(row)),
    "verl": _Format(verl.export, verl.read, verl.schema),
    "trl": _Format(trl.export, trl.read, trl.schema),
    "verifiers": _Format(verifiers_v1.export, verifiers_v1.read),
    "nemo-gym": _Format(nemo_gym.export, nemo_gym.read),
}


@dataclass(slots=True)
class Converted:
    """What was done."""

    rows: int = 0
    rejected: int = 0


def convert_file(source: str, target: str, origin: str = "canonical", wanted: str = "canonical", *, overwrite: bool = False,
                 on_rejected: Callable[[str], None] = lambda _: None, advance: Callable[[int], None] = lambda _: None) -> Converted:
    """Rows of `source`, in format `origin`, into `target`, in format `wanted`.

    Raises: UsageError (formats, files that are not there or are there already), InputError (a file that cannot be read or written).
    """
    for name in (origin, wanted):
        if name not in FORMATS:
            raise UsageError(f"unknown format {name!r}: {', '.join(FORMATS)}")
    kind = row_format(target)
    if kind == "parquet" and FORMATS[wanted].schema is None:
        raise UsageError(f"{target}: {wanted} rows have no one Parquet schema; use a name that ends in .jsonl, .jsonl.gz or .jsonl.zst")
    if target == "-":
        raise UsageError("convert writes a file, not standard output")
    check_readable(source)
    place, refused = Path(target), Path(f"{target}.rejected.jsonl")
    if place.exists() and source != "-" and place.samefile(source):
        raise UsageError(f"{target} is the input itself")
    if place.exists() and not overwrite:
        raise UsageError(f"{target} exists; --overwrite replaces it")
    done = Converted()
    rejected: list[tuple[int, str]] = []

    def reject(line: int, reason: str) -> None:
        done.rejected += 1
        rejected.append((line, reason))
        on_rejected(reason)

    try:
        with _beside(place) as beside:
            rows = _rows(source, FORMATS[origin], FORMATS[wanted], kind == "parquet", reject)
            writer = _write_parquet(beside, rows, FORMATS[wanted].schema) if kind == "parquet" else _write_jsonl(beside, rows, kind)
            for done.rows in writer:
                advance(done.rows)
        if rejected:
            refused.write_text("".join(json.dumps({"file": source, "line": line, "reason": reason}) + "\n" for line, reason in rejected))
        else:
            refused.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{target}: cannot be written: {error.strerror or error}; what was there is as it was") from error
    return done


def _rows(source: str, origin: _Format, wanted: _Format, strict_text: bool, reject: Callable[[int, str], None]) -> Iterator[dict[str, Any]]:
    place = 0
    for line, found in read_rows(source):
        where = f"{source}, line {line}"
        try:
            if isinstance(found, RowError):
                raise found
            row = origin.read(found, where)
            parse_row(row, where)
            made = wanted.export(row, place)
            if strict_text:
                _check_text(made, where)
        except RowError as error:
            reject(line, str(error))
            continue
        place += 1
        yield made


def _check_text(row: Mapping[str, Any], where: str) -> None:
    """Raises: RowError for what JSON can hold and Parquet cannot."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RowError(f"{where}: holds half of a surrogate pair, which Parquet cannot hold; .jsonl can") from None


@contextlib.contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """A file in the same folder that takes the place of `place` at the end, if all goes well."""
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        mask = os.umask(0)
        os.umask(mask)
        beside.chmod(0o666 & ~mask)
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


def _write_jsonl(path: Path, rows: Iterator[dict[str, Any]], kind: str) -> Iterator[int]:
    with path.open("wb") as raw, _packed(raw, kind) as out:
        count = 0
        for row in rows:
            out.write(_line(row))
            count += 1
            if count % _BATCH == 0:
                yield count
        yield count


def _line(row: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:      # half of a surrogate pair: escaped, as it must have come
        return json.dumps(row).encode() + b"\n"


@contextlib.contextmanager
def _packed(raw: IO[bytes], kind: str) -> Iterator[Any]:
    if kind == "gz":
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as out:
            yield out
    elif kind == "zst":
        import pyarrow as pa

        with pa.CompressedOutputStream(raw, "zstd") as out:
            yield out
    else:
        yield raw


def _write_parquet(path: Path, rows: Iterator[dict[str, Any]], schema: Callable[[], Any] | None) -> Iterator[int]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert schema is not None
    count, columns = 0, schema()
    with pq.ParquetWriter(path, columns, compression="zstd") as out:
        while batch := list(islice(rows, _BATCH)):
            out.write_table(pa.Table.from_pylist(batch, schema=columns))
            count += len(batch)
            yield count
        yield count
