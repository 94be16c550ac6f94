"""Pools: files, Hub data sets, problem packages and generators -> rows in the wire format, each with its place. No bad row stops the reading.

A row that has `reward` is in the wire format already. Any other file is mapped: by `--mapping`, else by the one mapping that ships
and fits its first row; which one is said. A Hub id is `owner/name[:config][@split][#revision]`,
a folder holds Kattis problem packages (kattis.py), `reasoning-gym:FAMILY` is a generator (reasoning_gym.py).
"""
from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import InputError, RowError, UsageError
from ...core.problem import Problem
from ...core.rows import check_readable, from_columns, parse_row, read_rows
from .generators import SCHEME, generated_rows, parse_spec
from .kattis import is_package_folder, package_rows
from .mapping import Mapping, load_mapping, shipped_mappings

__all__ = ["PoolRow", "check_source", "read_benchmark", "read_pool"]

_ENDS = (".jsonl", ".gz", ".zst", ".parquet", ".json", ".csv")
_UNSEEN = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
"""Kinds of letters that leave no mark: spaces, control letters, zero-width ones."""
_HUB_ID = re.compile(r"\A([\w.-]+/[\w.-]+)(?::([\w.-]+))?(?:@([\w.+\[\]:%-]+))?(?:#([\w./-]+))?\Z")


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One row of a pool: a problem, or what is wrong with the row."""

    file: str
    line: int
    problem: Problem | None
    id: str
    source: str
    domain: str
    extra: dict[str, Any]
    options: bool = False
    error: str = ""


def read_pool(path: str, mapping: str | None = None, say: Callable[[str], None] = lambda _: None) -> Iterator[PoolRow]:
    """The rows of a pool, in order.

    Raises: InputError (cannot be opened or read on), UsageError (no such mapping; its first row fits none).
    """
    chosen: Mapping | None = load_mapping(mapping) if mapping else None
    canonical: bool | None = False if chosen else None
    for line, row in rows_of(path):
        where = f"{path}, line {line}"
        if isinstance(row, RowError):
            yield PoolRow(path, line, None, "", "", "", {}, error=str(row))
            continue
        if canonical is None:
            canonical, chosen = _recognise(path, row, where)
            if chosen:
                say(f"{path}: read with the mapping `{chosen.name}` ({chosen.about})")
        yield _pool_row(path, line, row, None if canonical else chosen, where)


def read_benchmark(path: str) -> Iterator[tuple[str, str]]:
    """(item id, prompt) of a benchmark: rows with `prompt`, `problem` or `question`. Raises: InputError if a row has no such text."""
    for line, row in rows_of(path):
        if isinstance(row, RowError):
            raise InputError(str(row))
        prompt = next((row[key] for key in ("prompt", "problem", "question", "text") if isinstance(row.get(key), str)), None)
        if prompt is None or not prompt.strip():
            raise InputError(f"{path}, line {line}: no text in `prompt` (nor `problem`, `question`); a benchmark row is "
                             '{"id": ..., "prompt": ...}')
        yield str(row.get("id", row.get("task_id", line))), prompt


def check_source(path: str) -> None:
    """For the start of a run: a local file that can be opened, or something that may be a Hub id. Raises: UsageError."""
    if path.startswith(SCHEME):
        parse_spec(path)
    elif Path(path).is_dir():
        if not is_package_folder(path):
            raise UsageError(f"{path}: a folder without problem packages (NAME/problem.yaml)")
    elif path == "-" or Path(path).exists():
        check_readable(path)
    elif not _HUB_ID.match(path) or path.endswith(_ENDS):
        raise UsageError(f"{path}: no such file, and no Hub id (owner/name[:config][@split])")


def rows_of(path: str, skip: Container[int] = ()) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    """Rows of a file, but for the lines of `skip`, or of a Hub data set where there is no such file. Raises: InputError."""
    if path.startswith(SCHEME):
        yield from generated_rows(path)
        return
    if Path(path).is_dir():
        yield from package_rows(path)
        return
    if path == "-" or Path(path).exists():
        yield from read_rows(path, skip)
        return
    hub = _HUB_ID.match(path)
    if not hub or path.endswith(_ENDS):
        raise InputError(f"{path}: no such file, and no Hub id (owner/name[:config][@split])")
    yield from _hub_rows(path, hub[1], hub[2], hub[3] or "train", hub[4])


def _hub_rows(path: str, name: str, config: str | None, split: str, revision: str | None) -> Iterator[tuple[int, dict[str, Any] | RowError]]:
    import datasets  # pyright: ignore[reportMissingTypeStubs]

    try:
        loaded = datasets.load_dataset(name, config, split=split, revision=revision)
    except (OSError, ValueError, RuntimeError) as error:     # what datasets raises for an unknown name, split or network
        said = str(error).partition("\n")[0] or repr(error)
        raise InputError(f"{path}: neither a file nor a data set that loads: {said}") from error
    for number, row in enumerate(loaded, 1):
        told: dict[str, Any] = {} if "source" in row or "data_source" in row else {"source": name}
        if revision:
            told["revision"] = revision
        yield number, from_columns(dict(row)) | told


def _recognise(path: str, row: dict[str, Any], where: str) -> tuple[bool, Mapping | None]:
    """Whether the file is in the wire format, else its mapping. Raises: UsageError that names the nearest one."""
    if "reward" in row:
        return True, None
    mappings = shipped_mappings()
    hub = None if Path(path).exists() else _HUB_ID.match(path)
    if hub and (named := [m for m in mappings.values() if hub[1] in m.hub]):
        return False, named[0]
    fitting = [m for m in mappings.values() if m.fits(row)]
    if fitting:
        most = max(len(m.requires) + len(m.where) for m in fitting)
        best = [m for m in fitting if len(m.requires) + len(m.where) == most]
        if len(best) == 1:
            return False, best[0]
        raise UsageError(f"{where}: fits several mappings ({', '.join(m.name for m in best)}); choose one with --mapping")
    nearest = min((m for m in mappings.values() if m.requires), key=lambda m: (len(m.missing(row)) / len(m.requires), -len(m.requires), m.name))
    lacks = ", ".join(f"`{key}`" for key in nearest.missing(row))
    raise UsageError(f"{where}: no `reward`, and no mapping fits its columns ({', '.join(sorted(row)[:12])}); the nearest is "
                   f"`{nearest.name}`" + (f", which needs {lacks}" if lacks else "") + "; write one and pass it with --mapping FILE.toml")


def _pool_row(path: str, line: int, row: dict[str, Any], mapping: Mapping | None, where: str) -> PoolRow:
    row_id, source, domain = (str(row.get(key) or "") for key in ("id", "source", "domain"))
    try:
        wire = mapping.apply(row, where) if mapping and "reward" not in row else _tolerant(row)
        row_id, source, domain = (str(wire.get(key) or "") for key in ("id", "source", "domain"))
        parsed = parse_row({key: value for key, value in wire.items() if key != "responses"}, where)
    except RowError as error:
        return PoolRow(path, line, None, row_id, source, domain, {}, error=str(error))
    problem = parsed.problem
    if not problem.prompt.strip() or not any(unicodedata.category(letter) not in _UNSEEN for letter in problem.prompt):
        return PoolRow(path, line, None, row_id, source, domain, {}, error=f"{where}: no text in `prompt`: a problem of a pool asks something")
    extra = {key: value for key, value in parsed.extra.items()
             if key not in ("solutions", "source", "licence", "url", "revision", "domain", "curation") and value is not None}
    extra |= _unpacked(extra.pop("metadata", None))
    options = bool(extra.get("options") or extra.get("choices") or extra.get("multiple_choice"))
    return PoolRow(path, line, problem, row_id or problem.content_hash, problem.source.source, domain or problem.reward.type,
                   extra, options)


def _tolerant(row: dict[str, Any]) -> dict[str, Any]:
    """A gold that is null, and tests that are null, are reported as what they are, not as a bad row."""
    reward = row.get("reward")
    if isinstance(reward, dict):
        if reward.get("type") == "math" and reward.get("answer", "") is None:
            return row | {"reward": reward | {"answer": ""}}
        if reward.get("type") == "code":
            return row | {"reward": {key: value for key, value in reward.items() if value is not None or key not in ("tests", "test_code")}}
    return row


def _unpacked(metadata: Any) -> dict[str, Any]:
    """`metadata` of an export: an object, in Parquet as JSON text."""
    if isinstance(metadata, str):
        try:
            metadata = json.loads(metadata)
        except ValueError:
            return {"metadata": metadata}
    if isinstance(metadata, dict):
        return metadata
    return {} if metadata is None else {"metadata": metadata}


