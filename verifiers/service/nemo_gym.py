"""NeMo-Gym's resources server contract: `POST /seed_session`, `POST /verify`, `GET /reverify_mode`.

    in    {"responses_create_params": {"input": [...]}, "response": {"output": [...]}, "verifier_metadata": {"reward": {...}}, ...}
    out   the same keys, with "reward": 1.0 and "verdict", "reason" of the grade

As NeMo-Gym has it in nemo_gym/base_resources_server.py (BaseVerifyRequest, BaseVerifyResponse, SimpleResourcesServer.setup_webserver);
the server is stateless, so `reverify_mode` is that. The reward spec is `verifier_metadata.reward`, as `assay convert` writes it, or
what NeMo-Gym's own math and code environments have: `expected_answer`, or `verifier_metadata.unit_tests` of {inputs, outputs, fn_name}.

The response is the text of its last messages, after the last tool call and the last reasoning. `reward` must be a number in this
contract: see Settings.unscored. An HTTP error makes the agent's /run raise (raise_for_status), so no zero is recorded.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.errors import RowError
from ...core.problem import Problem, Response
from ...core.rows import parse_row
from ...core.verdict import Grade
from .admission import Refused

__all__ = ["answer", "item", "prompt_text", "reward_spec"]


def item(payload: Mapping[str, Any]) -> tuple[Problem, Response]:
    """Raises: RowError."""
    params = payload.get("responses_create_params")
    response = payload.get("response")
    if not isinstance(params, Mapping) or not isinstance(response, Mapping):
        raise RowError("`responses_create_params` and `response` must be objects, as NeMo-Gym's agents send them")
    row = {"prompt": prompt_text(params.get("input")), "reward": reward_spec(payload)}
    metadata = payload.get("verifier_metadata")
    if isinstance(metadata, Mapping) and isinstance(metadata.get("id"), str):
        row["id"] = metadata["id"]
    return parse_row(row, "verifier_metadata").problem, Response(_output_text(response))


def answer(payload: Mapping[str, Any], grade: Grade, unscored: float | None) -> dict[str, Any]:
    """Raises: Refused 500 if the response has no score and `unscored` says nothing else."""
    reward = grade.score if grade.score is not None else unscored
    if reward is None:
        raise Refused(500, grade.reason, f"no score: {grade.detail}")
    return {**payload, "reward": reward, "verdict": grade.verdict.value, "reason": grade.reason, "unscored": grade.score is None}


def reward_spec(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The reward spec of a NeMo-Gym row. Raises: RowError if it has none."""
    metadata = payload.get("verifier_metadata")
    places = [metadata, payload] if isinstance(metadata, Mapping) else [payload]
    for place in places:
        if isinstance(spec := place.get("reward"), Mapping):
            return dict(spec)
        if isinstance(expected := place.get("expected_answer"), str | int | float | list) and not isinstance(expected, bool):
            return {"type": "math", "answer": expected}
        if isinstance(tests := place.get("unit_tests"), Mapping):
            return _code(tests)
    raise RowError("no `verifier_metadata.reward`, `expected_answer` or `unit_tests`: nothing says what is right")


def prompt_text(given: Any) -> str:
    """The text of the user's messages; for display and for telling an echoed prompt, never graded."""
    if isinstance(given, str):
        return given
    texts = []
    for message in given if isinstance(given, list) else []:
        if isinstance(message, Mapping) and message.get("role") == "user":
            texts.append(_content(message.get("content")))
    return "\n\n".join(texts)


def _code(tests: Mapping[str, Any]) -> dict[str, Any]:
    inputs, outputs, name = tests.get("inputs"), tests.get("outputs"), tests.get("fn_name")
    if name is not None or not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise RowError("`unit_tests` must be {inputs, outputs} of one length, for programs that read stdin; write others as "
                       "`verifier_metadata.reward`")
    return {"type": "code", "mode": "stdin", "checker": {"type": "lcb"},
            "tests": [{"input": given, "output": wanted} for given, wanted in zip(inputs, outputs, strict=True)]}


def _output_text(response: Mapping[str, Any]) -> str:
    """Text of the assistant's messages behind the last tool call: what came before is on the way to the answer, not the answer."""
    output = response.get("output")
    if not isinstance(output, list):
        raise RowError("`response.output` is no list")
    texts: list[str] = []
    for part in output:
        if not isinstance(part, Mapping):
            raise RowError("`response.output` holds something that is no object")
        if part.get("type") in ("function_call", "function_call_output"):
            texts.clear()
        elif part.get("type") == "message":
            texts.append(_content(part.get("content")))
    return "".join(texts)


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str))
