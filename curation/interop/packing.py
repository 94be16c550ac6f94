"""What every format shares: a canonical row taken apart so that it can be put together again to the last key.

A format has places of its own for the prompt and the reward spec. Everything else of the row goes into an envelope beside them, which
trainers carry along unread:

    {"row": {"id": ..., every other key}, "prompt": "absent"}         `prompt` only where the row's own is absent or null

A row without an envelope was not written by assay: it is read by its framework's usual columns, and what is left of it is kept.
"""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...core.errors import RowError
from ...verifiers.adapters.columns import Reader
from ...verifiers.adapters.messages import SampleFault, response_of
from ...verifiers.remote_chunks import reward_json

__all__ = ["chat", "chat_text", "foreign_reward", "from_json", "join", "name_of", "object_at", "split", "to_json"]

_READERS: dict[tuple[str, ...], Reader] = {}
_TESTS_ONLY: Final = "tests"


def split(row: Mapping[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    """(prompt, reward spec, envelope): `join` gives the row back."""
    envelope: dict[str, Any] = {"row": {key: value for key, value in row.items() if key not in ("prompt", "reward")}}
    prompt = row.get("prompt")
    if not isinstance(prompt, str):
        envelope["prompt"] = "null" if "prompt" in row else "absent"
        prompt = ""
    return prompt, row["reward"], envelope


def join(prompt: str, reward: Any, envelope: Any, where: str) -> dict[str, Any]:
    """The canonical row. Raises: RowError for an envelope that `split` did not make."""
    rest = envelope.get("row") if isinstance(envelope, Mapping) else None
    if not isinstance(rest, Mapping):
        raise RowError(f"{where}: its `assay` part is damaged; it holds the row's other keys as assay wrote them")
    shown = {"absent": {}, "null": {"prompt": None}}.get(envelope.get("prompt", ""), {"prompt": prompt})
    return ({"id": rest["id"]} if "id" in rest else {}) | shown | {"reward": reward} | dict(rest)


def to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def from_json(value: Any, where: str) -> Any:
    """A column that holds JSON text, or what a reader already made of it. Raises: RowError."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise RowError(f"{where}: its `assay` part is damaged: {error}") from None


def name_of(row: Mapping[str, Any]) -> str:
    """The row's id as text, for columns that show it; the exact one is in the envelope."""
    return "" if row.get("id") is None else str(row["id"])


def chat(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def chat_text(prompt: Any, where: str) -> str:
    """A prompt of text or of messages as text; messages of several turns are joined by an empty line. Raises: RowError."""
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, Sequence) or not all(isinstance(message, Mapping) for message in prompt):
        raise RowError(f"{where}: its prompt is neither text nor messages")
    try:
        return "\n\n".join(response_of(message).text for message in prompt)
    except SampleFault as fault:
        raise RowError(f"{where}: its prompt: {fault}") from None


def foreign_reward(columns: Mapping[str, Any], names: tuple[str, ...], where: str, *, code: bool = False) -> dict[str, Any]:
    """The reward spec of a row that assay did not write: see verifiers/adapters/columns.py; with `code` a plain answer is none.

    Raises: RowError.
    """
    reader = _READERS.setdefault(names, Reader({_TESTS_ONLY: "tests"}, columns=names))
    seen = {key: value for key, value in columns.items() if key != "data_source"} | ({"data_source": _TESTS_ONLY} if code else {})
    try:
        spec: dict[str, Any] = json.loads(json.dumps(reward_json(reader.spec(seen))))
    except SampleFault as fault:
        raise RowError(f"{where}: {fault}") from None
    return spec


def object_at(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object in a column, {} where there is none."""
    value = row.get(key)
    return value if isinstance(value, Mapping) else {}
