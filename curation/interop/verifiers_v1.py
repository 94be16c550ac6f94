"""Prime Intellect's `verifiers` v1: one row of task data, as its `TaskData` (verifiers/v1/task.py) serialises.

    {"idx": 0, "name": ..., "prompt": "...", "reward": {reward spec}, "assay": {...}}

`WireTaskData` keeps the keys that are not its own, so a trace's `task.data` holds the whole row.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .packing import chat_text, foreign_reward, join, name_of, split

__all__ = ["export", "read"]

_COLUMNS: Final = ("reward", "answer", "ground_truth", "solution")
_UNSET: Final = ("idx", "name", "prompt", *_COLUMNS)


def export(row: Mapping[str, Any], index: int) -> dict[str, Any]:
    prompt, reward, envelope = split(row)
    return {"idx": index, "name": name_of(row) or None, "prompt": prompt, "reward": reward, "assay": envelope}


def read(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Raises: RowError."""
    prompt = chat_text(row.get("prompt"), where)
    if row.get("assay") is not None:
        return join(prompt, row.get("reward"), row["assay"], where)
    out = {"prompt": prompt, "reward": foreign_reward(row, _COLUMNS, where)}
    if (name := row.get("name") if row.get("name") is not None else row.get("idx")) is not None:
        out["id"] = str(name)
    return out | {key: value for key, value in row.items() if key not in _UNSET and value is not None}
