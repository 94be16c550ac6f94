"""Going on with a run that was killed, without reading the pools again, and knowing a run that need not be made again.

A run's key stands for all that its decisions depend on: version, recipe, models by role, and the files as they are (path, size, time of
change, both ends of the content). A Hub id and standard input may give something else each time: such a run has no key.

Before each stage that grades, the decisions so far are stored (`held`). A run with the same key goes on from there; the rows of its
pools are in the catalog already. Where the last run has the same key and came to its end, there is nothing to do.
"""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .. import __version__
from .catalog import Catalog
from .items import Decision, Item, Status

__all__ = ["begun", "decision_columns", "file_print", "hold", "load_items", "run_key", "was_finished"]

_END: Final = 1 << 16
"""Bytes at each end of a file that its print looks at."""
_STATUS: Final = {status.value: status for status in Status}


def run_key(recipe_digest: str, settings: Mapping[str, Any], files: Sequence[str]) -> str:
    """32 hex digits, or "" where a file may give something else each time."""
    prints = [file_print(path) for path in files]
    if not all(prints):
        return ""
    text = json.dumps([__version__, recipe_digest, settings, prints], sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def file_print(path: str) -> str:
    """What tells a file from a later version of itself; "" if it is no file."""
    if not Path(path).is_file():
        return ""
    with open(path, "rb") as file:
        info = os.fstat(file.fileno())
        ends = hashlib.blake2b(file.read(_END), digest_size=16)
        file.seek(max(0, info.st_size - _END))
        ends.update(file.read(_END))
    return f"{info.st_size} {info.st_mtime_ns} {ends.hexdigest()}"


def was_finished(catalog: Catalog, key: str) -> int | None:
    """The last run, if it has this key, came to its end and left nothing ungraded."""
    found = catalog.rows(
        "SELECT run FROM runs JOIN run_ends USING (run) WHERE run = (SELECT max(run) FROM runs) AND json_extract_string(inputs, '$.key') = ? "
        "AND run NOT IN (SELECT run FROM decisions WHERE reason IN ('undecided.ungraded', 'undecided.untagged'))", [key]) if key else []
    return int(found[0][0]) if found else None


def begun(catalog: Catalog, key: str) -> tuple[int, list[str]] | None:
    """The last run and the stages it has behind it, if it has this key, was stopped, and has decisions held."""
    found = catalog.rows("SELECT run, stages FROM runs JOIN checkpoints USING (run) ANTI JOIN run_ends USING (run) WHERE run = (SELECT max(run) "
                         "FROM runs) AND json_extract_string(inputs, '$.key') = ? ORDER BY len(stages) DESC LIMIT 1", [key]) if key else []
    return (int(found[0][0]), list(found[0][1])) if found else None


def hold(catalog: Catalog, run: int, stages: Sequence[str], items: Sequence[Item], tables: Mapping[str, Mapping[str, list[Any]]],
         held: set[int]) -> None:
    """Stores what was decided since the last time (`held`: rows that are stored, grows), and the tables that these stages filled."""
    new = [item for item in items if item.decision is not None and item.row not in held]
    held.update(item.row for item in new)
    numbered = {name: {"run": [run] * len(next(iter(columns.values()))), **columns} for name, columns in tables.items()}
    catalog.append_all({"held": decision_columns(run, new), **numbered, "checkpoints": {"run": [run], "stages": [list(stages)]}})


def decision_columns(run: int, items: Sequence[Item]) -> dict[str, list[Any]]:
    """Columns of the table `decisions`, and of `held`."""
    columns: dict[str, list[Any]] = {name: [] for name in ("run", "row", "status", "stage", "reason", "evidence")}
    for item in items:
        decision = item.decision
        assert decision is not None
        for name, value in (("run", run), ("row", item.row), ("status", decision.status.value), ("stage", decision.stage),
                            ("reason", decision.reason), ("evidence", json.dumps(decision.evidence, ensure_ascii=False, default=str))):
            columns[name].append(value)
    return columns


def load_items(catalog: Catalog, run: int, *, texts: bool = True, table: str = "decisions", kind: str = "") -> list[Item]:
    """The rows of a run as the stages see them, with what `table` (`decisions`, `held`) has of them; prompts and golds only with `texts`.

    `kind`: only those of this type of reward.
    """
    return list(_items(catalog, run, texts, table, kind))


def _items(catalog: Catalog, run: int, texts: bool, table: str, kind: str) -> Iterator[Item]:
    held = "p.prompt, p.reward, w.metadata" if texts else "NULL, NULL, NULL"
    for (row, file, line, row_id, source, domain, pid, reward_type, solutions, tests, status, stage, reason, evidence, prompt, reward,
         metadata) in catalog.rows(
            "SELECT w.row, w.file, w.line, w.id, w.source, w.domain, w.pid, p.type, w.solutions, t.tests, d.status, d.stage, d.reason, "
            f"nullif(d.evidence, '{{}}'), {held} FROM pool_rows w LEFT JOIN (SELECT * FROM {table} WHERE run = $1) d USING (row) "
            "LEFT JOIN problems p USING (pid) LEFT JOIN (SELECT pid, count(*) AS tests FROM tests GROUP BY pid) t USING (pid) "
            "WHERE w.run = $1 AND ($2 = '' OR p.type = $2) ORDER BY w.row", [run, kind]):
        decision = None if status is None else Decision(_STATUS[status], stage, reason, json.loads(evidence) if evidence else {})
        item = Item(row, file, line, row_id or "", source or "", domain or "", -1 if pid is None else pid, reward_type or "", tests=tests or 0,
                    solutions=tuple(solutions or ()), decision=decision)
        if reward:
            _add_texts(item, prompt, json.loads(reward), json.loads(metadata or "{}"))
        yield item


def _add_texts(item: Item, prompt: str, spec: dict[str, Any], extra: dict[str, Any]) -> None:
    answer = spec.get("answer", ())
    item.prompt = prompt
    item.golds = (answer,) if isinstance(answer, str) else tuple(answer)
    item.tests = int(bool((spec.get("test_code") or "").strip())) if spec.get("mode") == "assert" else len(spec.get("tests", ()))
    item.options = any(extra.get(key) for key in ("options", "choices", "multiple_choice"))
