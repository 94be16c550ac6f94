"""OpenRLHF's remote reward contract: `POST /get_reward`, for `--reward.remote_url http://127.0.0.1:8400/get_reward`.

    in    {"query": ["<prompt><response>", ...], "prompts": ["<prompt>", ...], "labels": ["...", ...]}
    out   {"rewards": [1.0, ...], "scores": [1.0, ...], "extra_logs": {"unscored": [0.0, ...]}}

As OpenRLHF 0.11 has it: openrlhf/utils/agent.py, SingleTurnAgentExecutor._fetch_rewards_via_http, which sends one query at a time, and
openrlhf/cli/serve_rm.py, whose answer this has the shape of. A label is what the data set's `label_key` column holds: a reward spec as
JSON text, tests, or else the gold answer of a math problem (verifiers/adapters/columns.py).

The contract has no place for "no score": see Settings.unscored. OpenRLHF tries an HTTP error five times, then goes on with a reward
of None, on which its trainer stops; it never trains on it as 0.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...core.errors import RowError
from ...core.problem import Problem, Response
from ...core.verdict import Grade, Verdict
from ..adapters.columns import Reader
from ..adapters.messages import BAD_RESPONSE, SampleFault, without_end
from .admission import Refused

__all__ = ["answer", "items"]

_READER: Final = Reader(columns=("label",))
_TAIL_CHARS: Final = 200


def items(payload: Mapping[str, Any], most: int) -> list[tuple[Problem, Response] | Grade]:
    """What to grade, or the IE of a label or a query that says nothing. Raises: RowError (not of the contract), Refused (too many)."""
    queries, prompts, labels = (_texts(payload, name) for name in ("query", "prompts", "labels"))
    if not len(queries) == len(prompts) == len(labels):
        raise RowError(f"`query`, `prompts` and `labels` differ in length: {len(queries)}, {len(prompts)}, {len(labels)}")
    if len(queries) > most:
        raise Refused(413, "too_many_responses", f"{len(queries)} queries, more than {most}: send fewer a request")
    return [_item(query, prompt, label) for query, prompt, label in zip(queries, prompts, labels, strict=True)]


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


def _item(query: Any, prompt: Any, label: Any) -> tuple[Problem, Response] | Grade:
    try:
        return Problem(prompt=prompt if isinstance(prompt, str) else "", reward=_READER.spec({"label": label})), _response(query, prompt)
    except SampleFault as fault:
        return Grade(Verdict.IE, None, fault.slug, str(fault))


def _response(query: Any, prompt: Any) -> Response:
    """What follows the prompt. It is decoded from tokens, so a prompt may come back changed: then by its last characters."""
    if not isinstance(query, str) or not isinstance(prompt, str):
        raise SampleFault(BAD_RESPONSE, "the query and its prompt must be text")
    if query.startswith(prompt):
        text = query[len(prompt):]
    else:
        tail = prompt[-_TAIL_CHARS:].strip()
        at = query.find(tail) if tail and query.count(tail) == 1 else -1
        if at < 0:
            raise SampleFault(BAD_RESPONSE, "the query does not begin with its prompt: what the model wrote cannot be told from what it was given")
        text = query[at + len(tail):]
    return Response(without_end(text))
