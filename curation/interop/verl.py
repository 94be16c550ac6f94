"""verl: one row of its Parquet files (docs/preparation/prepare_data.rst of verl), for `data.train_files`.

    {"data_source": "gsm8k", "prompt": [{"role": "user", "content": ...}], "ability": "math",
     "reward_model": {"style": "rule", "ground_truth": "{reward spec}"}, "extra_info": {"index": 0, "id": ..., "assay": "{...}"}}

`ground_truth` is the whole reward spec as JSON text, which verifiers/adapters/verl.py grades by. `index` is the row's place.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .packing import chat, chat_text, foreign_reward, from_json, join, name_of, object_at, split, to_json

__all__ = ["export", "read", "schema"]


def export(row: Mapping[str, Any], index: int) -> dict[str, Any]:
    prompt, reward, envelope = split(row)
    source, domain = row.get("source"), row.get("domain")
    return {
        "data_source": source if isinstance(source, str) and source else "assay", "prompt": chat(prompt),
        "ability": domain if isinstance(domain, str) and domain else reward["type"],
        "reward_model": {"style": "rule", "ground_truth": to_json(reward)},
        "extra_info": {"index": index, "id": name_of(row), "assay": to_json(envelope)}}


def read(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Raises: RowError."""
    model, info = object_at(row, "reward_model"), object_at(row, "extra_info")
    prompt = chat_text(row.get("prompt"), where)
    if info.get("assay") is not None:
        return join(prompt, from_json(model.get("ground_truth"), where), from_json(info["assay"], where), where)
    code = str(row.get("ability") or "").lower() in ("code", "coding", "programming")
    out = {"prompt": prompt, "reward": foreign_reward({"ground_truth": model.get("ground_truth")}, ("ground_truth",), where, code=code)}
    if (index := info.get("index", info.get("id"))) is not None:
        out["id"] = str(index)
    out |= {ours: row[theirs] for ours, theirs in (("source", "data_source"), ("domain", "ability")) if row.get(theirs)}
    return out | {key: value for key, value in row.items() if key not in ("data_source", "prompt", "ability", "reward_model") and value is not None}


def schema() -> Any:
    import pyarrow as pa

    text = pa.string()
    return pa.schema([
        ("data_source", text), ("prompt", pa.list_(pa.struct([("role", text), ("content", text)]))), ("ability", text),
        ("reward_model", pa.struct([("style", text), ("ground_truth", text)])),
        ("extra_info", pa.struct([("index", pa.int64()), ("id", text), ("assay", text)]))])
