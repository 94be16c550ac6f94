"""TRL: one row of a data set for GRPOTrainer and its relatives (TRL's docs/source/dataset_formats.md: prompt-only, conversational).

    {"prompt": [{"role": "user", "content": ...}], "reward": "{reward spec}", "id": ..., "assay": "{...}"}

TRL hands every column but `prompt` to the reward functions; `reward` is what verifiers/adapters/trl.py grades by.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .packing import chat, chat_text, foreign_reward, from_json, join, name_of, split, to_json

__all__ = ["export", "read", "schema"]

_COLUMNS: Final = ("reward", "ground_truth", "answer", "solution")


def export(row: Mapping[str, Any], index: int) -> dict[str, Any]:
    prompt, reward, envelope = split(row)
    return {"prompt": chat(prompt), "reward": to_json(reward), "id": name_of(row), "assay": to_json(envelope)}


def read(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Raises: RowError."""
    prompt = chat_text(row.get("prompt"), where)
    if row.get("assay") is not None:
        return join(prompt, from_json(row.get("reward"), where), from_json(row["assay"], where), where)
    rest = {key: value for key, value in row.items() if key not in ("prompt", *_COLUMNS) and value is not None}
    return rest | {"prompt": prompt, "reward": foreign_reward(row, _COLUMNS, where)}


def schema() -> Any:
    import pyarrow as pa

    text = pa.string()
    return pa.schema([("prompt", pa.list_(pa.struct([("role", text), ("content", text)]))), ("reward", text), ("id", text), ("assay", text)])
