"""NeMo-Gym's resources server contract: `POST /seed_session`, `POST /verify`, `GET /reverify_mode`.

    in    {"responses_create_params": {"input": [...]}, "response": {"output": [...]}, "verifier_metadata": {"reward": {...}}, ...}
    out   the same keys, with "reward": 1.0, "assay_verdict", "assay_reason"

As NeMo-Gym has it in nemo_gym/base_resources_server.py (BaseVerifyRequest, BaseVerifyResponse, SimpleResourcesServer.setup_webserver);
the server is stateless, so `reverify_mode` is that. The reward spec is `verifier_metadata.reward`, as `assay convert` writes it, or
what NeMo-Gym's own math and code environments have: `expected_answer` or `unit_tests`, there or at the top (adapters/columns.py).

The response is the text of its last messages, after the last tool call and the last reasoning. `reward` must be a number in this
contract: see Settings.unscored. An HTTP error makes the agent's /run raise (raise_for_status), so no zero is recorded; a number that
was chosen comes with `_ng_failure_class`, by which NeMo-Gym's collection of rollouts sets the row apart.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...core.errors import RowError
from ...core.problem import Problem, Response
from ...core.verdict import Grade, Verdict
from ..adapters.columns import Reader
from ..adapters.messages import BAD_RESPONSE, SampleFault, prompt_text, response_of
from ..adapters.nemo_gym import FAILURE_CLASS
from .admission import Refused

__all__ = ["answer", "item"]

_READER: Final = Reader(columns=("reward", "expected_answer", "unit_tests", "ground_truth", "answer"))


def item(payload: Mapping[str, Any]) -> tuple[Problem, Response] | Grade:
    """What to grade, or the IE of a row that says not what is right. Raises: RowError if the request is none of this contract."""
    params = payload.get("responses_create_params")
    response = payload.get("response")
    if not isinstance(params, Mapping) or not isinstance(response, Mapping):
        raise RowError("`responses_create_params` and `response` must be objects, as NeMo-Gym's agents send them")
    metadata = payload.get("verifier_metadata")
    columns = {key: value for key, value in payload.items() if value is not None} | (dict(metadata) if isinstance(metadata, Mapping) else {})
    try:
        return Problem(prompt=prompt_text(params.get("input")), reward=_READER.spec(columns)), Response(_output_text(response))
    except SampleFault as fault:
        return Grade(Verdict.IE, None, fault.slug, str(fault))


def answer(payload: Mapping[str, Any], grade: Grade, unscored: float | None) -> dict[str, Any]:
    """Raises: Refused 500 if the response has no score and `unscored` says nothing else."""
    reward = grade.score if grade.score is not None else unscored
    if reward is None:
        raise Refused(500, grade.reason, f"no score: {grade.detail}")
    failed = {"_ng_failure_class": FAILURE_CLASS} if grade.score is None else {}
    return {**payload, "reward": reward, "assay_verdict": grade.verdict.value, "assay_reason": grade.reason} | failed


def _output_text(response: Mapping[str, Any]) -> str:
    """Text of the assistant's messages behind the last tool call: what came before is on the way to the answer, not the answer."""
    output = response.get("output")
    if not isinstance(output, list):
        raise SampleFault(BAD_RESPONSE, "`response.output` is no list")
    texts: list[str] = []
    for part in output:
        if not isinstance(part, Mapping):
            raise SampleFault(BAD_RESPONSE, "`response.output` holds something that is no object")
        if part.get("type") in ("function_call", "function_call_output"):
            texts.clear()
        elif part.get("type") == "message":
            texts.append(response_of(part).text)
    return "".join(texts)
