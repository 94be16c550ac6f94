"""What every format shares: a canonical row taken apart so that it can be put together again to the last key.

A format has places of its own for the prompt and the reward spec. Everything else of a row goes into one JSON text beside them,
`rest`, which trainers carry along unread. A prompt that is not there, or null, is told apart from an empty one in there too.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ...core.errors import RowError

__all__ = ["NEW", "join", "message_text", "messages", "read_json", "split"]

_NO_PROMPT: Final = "prompt"
NEW: Final[Mapping[str, Any]] = {}
"""The rest of a row that assay did not write."""


def split(row: Mapping[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    """(prompt, reward spec, rest): `join` gives the row back."""
    rest = {key: value for key, value in row.items() if key not in ("prompt", "reward")}
    prompt = row.get("prompt")
    if not isinstance(prompt, str):
        rest["_"] = {_NO_PROMPT: "null" if "prompt" in row else "absent"}
        prompt = ""
    elif "_" in row:
        rest = {"_": {"kept": rest}}
    return prompt, row["reward"], rest


def join(prompt: str, reward: Any, rest: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical row, its keys in the usual order."""
    marks = rest.get("_")
    row: dict[str, Any] = {} if not isinstance(marks, Mapping) else marks.get("kept", {})
    if not row:
        row = {key: value for key, value in rest.items() if key != "_"}
    absent = marks.get(_NO_PROMPT) if isinstance(marks, Mapping) else None
    first = {"id": row["id"]} if "id" in row else {}
    middle = {"prompt": None} if absent == "null" else {} if absent == "absent" else {"prompt": prompt}
    return first | middle | {"reward": reward} | row
