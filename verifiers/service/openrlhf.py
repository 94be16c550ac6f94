"""OpenRLHF's remote reward contract: `POST /get_reward`, for `--reward.remote_url http://127.0.0.1:8400/get_reward`.

    in    {"query": ["<prompt><response>", ...], "prompts": ["<prompt>", ...], "labels": ["...", ...]}
    out   {"rewards": [1.0, ...], "scores": [1.0, ...], "extra_logs": {"unscored": [0.0, ...]}}

As OpenRLHF 0.11 has it: openrlhf/utils/agent.py, SingleTurnAgentExecutor._fetch_rewards_via_http, which sends one query at a time, and
openrlhf/cli/serve_rm.py, whose answer this has the shape of. A label is what the data set's `label_key` column holds: a reward spec
or a whole row of the wire format as JSON text, or else the gold answer of a math problem.

The contract has no place for "no score": see Settings.unscored. OpenRLHF tries an HTTP error five times, then goes on with a reward
of None, on which its trainer stops; it never trains on it as 0.
"""
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ...core.errors import RowError
from ...core.problem import Problem, Response
from ...core.rows import parse_row
from ...core.verdict import Grade
from .admission import Refused

__all__ = ["answer", "items"]

_END_MARKS: Final = re.compile(r"(?:\s*(?:<\|[\w ]{1,40}\|>|</s>|<eos>|<pad>|<end_of_turn>|<｜[^<>｜]{1,40}｜>))+\s*\Z")
"""OpenRLHF decodes with special tokens left in, so a response ends in the model's end and padding marks."""
_TAIL_CHARS: Final = 200


def items(payload: Mapping[str, Any], most: int) -> list[tuple[Problem, Response]]:
    """Raises: RowError (not of the contract, or a label or a prompt that says nothing), Refused (more than `most` queries)."""
    queries, prompts, labels = (_texts(payload, name) for name in ("query", "prompts", "labels"))
    if not len(queries) == len(prompts) == len(labels):
        raise RowError(f"`query`, `prompts` and `labels` differ in length: {len(queries)}, {len(prompts)}, {len(labels)}")
    if len(queries) > most:
        raise Refused(413, "too_many_responses", f"{len(queries)} queries, more than {most}: send fewer a request")
    out = []
    for n, (query, prompt, label) in enumerate(zip(queries, prompts, labels, strict=True)):
        out.append((_problem(prompt, label, f"labels[{n}]"), Response(_response(query, prompt, f"query[{n}]"))))
    return out


def answer(grades: list[Grade], unscored: float | None) -> dict[str, Any]:
    """Raises: Refused 500 if a response has no score and `unscored` says nothing else."""
    rewards = []
    for grade in grades:
        score = grade.score if grade.score is not None else unscored
        if score is None:
            raise Refused(500, grade.reason, f"no score: {grade.detail}")
        rewards.append(score)
    return {"rewards": rewards, "scores": rewards, "extra_logs": {"unscored": [float(grade.score is None) for grade in grades]}}


def _texts(payload: Mapping[str, Any], name: str) -> list[Any]:
    value = payload.get(name)
    if not isinstance(value, list):
        raise RowError(f"`{name}` is missing or no list; OpenRLHF sends `query`, `prompts` and `labels`")
    return value


def _problem(prompt: Any, label: Any, where: str) -> Problem:
    spec: Any = label
    if isinstance(label, str) and label.lstrip().startswith("{"):
        try:
            spec = json.loads(label)
        except (ValueError, RecursionError):
            spec = label        # LaTeX may open with a brace: it is an answer
    if isinstance(spec, Mapping):
        row: dict[str, Any] = dict(spec) if "reward" in spec else {"reward": spec}
        row.pop("responses", None)
    elif spec is None or isinstance(spec, bool | list) or spec == "":
        raise RowError(f"{where} is empty, or not text: the data set's label column must hold the answer or a reward spec")
    else:
        row = {"reward": {"type": "math", "answer": spec}}
    row.setdefault("prompt", prompt if isinstance(prompt, str) else "")
    return parse_row(row, where).problem


def _response(query: Any, prompt: Any, where: str) -> str:
    """What follows the prompt. It is decoded from tokens, so a prompt may come back changed: then by its last characters."""
    if not isinstance(query, str) or not isinstance(prompt, str):
        raise RowError(f"{where} and its prompt must be text")
    if query.startswith(prompt):
        text = query[len(prompt):]
    else:
        tail = prompt[-_TAIL_CHARS:].strip()
        at = query.find(tail) if tail and query.count(tail) == 1 else -1
        if at < 0:
            raise RowError(f"{where} does not begin with its prompt: what the model wrote cannot be told from what it was given")
        text = query[at + len(tail):]
    return _END_MARKS.sub("", text)
