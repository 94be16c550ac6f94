"""NeMo-Gym: one row of its JSONL data sets (its AGENTS.md, "Dataset"): the Responses API's input, and what the verifier needs.

    {"responses_create_params": {"input": [{"role": "user", "content": ...}]},
     "verifier_metadata": {"id": ..., "reward": {reward spec}, "assay": {...}}}

`assay serve` and verifiers/adapters/nemo_gym.py answer /verify for such rows.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .packing import chat, chat_text, foreign_reward, join, name_of, object_at, split

__all__ = ["export", "read"]

_COLUMNS: Final = ("reward", "expected_answer", "unit_tests", "ground_truth", "answer")
_TAKEN: Final = ("responses_create_params", "verifier_metadata", *_COLUMNS)


def export(row: Mapping[str, Any], index: int) -> dict[str, Any]:
    prompt, reward, envelope = split(row)
    return {"responses_create_params": {"input": chat(prompt)}, "verifier_metadata": {"id": name_of(row), "reward": reward, "assay": envelope}}


def read(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Raises: RowError."""
    metadata = object_at(row, "verifier_metadata")
    prompt = chat_text(object_at(row, "responses_create_params").get("input"), where)
    if metadata.get("assay") is not None:
        return join(prompt, metadata.get("reward"), metadata["assay"], where)
    columns = {key: value for key, value in row.items() if value is not None} | dict(metadata)
    out = {"prompt": prompt, "reward": foreign_reward(columns, _COLUMNS, where)}
    if (name := metadata.get("id", row.get("id"))) is not None:
        out["id"] = str(name)
    return out | {key: value for key, value in columns.items() if key not in _TAKEN and key != "id"}
