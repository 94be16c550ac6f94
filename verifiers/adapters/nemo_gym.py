"""NeMo Gym: the answer to a resources server's POST /verify, as plain JSON objects, and a server class around it.

    verify = NemoGymVerify(Grader(), unscored=0.0)
    answer = await verify(request)      # the request's object with reward, assay_verdict, assay_reason

The request is a row of a NeMo Gym data set with the model's `response` (of the Responses API). What is right is told by the row's
`reward`, `ground_truth`, `answer` or `expected_answer`, at its top or in `verifier_metadata` (columns.py).

An unscored answer carries `_ng_failure_class` "assay_unscored": NeMo Gym's collection of rollouts puts such rows in its file of
failures, leaves them out of metrics and tries them again on resume. Its `reward` must be a number all the same: `unscored`.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...core.verdict import Grade
from ..grader import Grader
from .columns import Source
from .samples import Sample, SampleGrader
from .unscored import Unscorable

__all__ = ["FAILURE_CLASS", "NemoGymVerify", "resources_server"]

FAILURE_CLASS: Final = "assay_unscored"
_COLUMNS: Final = ("reward", "ground_truth", "answer", "expected_answer", "unit_tests")


class NemoGymVerify:
    """unscored: a finite number, or "raise". Raises: UsageError for settings that make no sense; called, Unscored if that was chosen."""

    def __init__(self, grader: Grader | None = None, *, unscored: float | str, sources: Mapping[str, Source] | None = None) -> None:
        self.unscored = Unscorable(unscored)
        self.samples = SampleGrader(grader, sources=sources, columns=_COLUMNS)

    async def __call__(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Raises: UsageError if the request has no column that could hold a reference."""
        return self._answer(request, (await self.samples.agrade([_sample(request)]))[0])

    def blocking(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._answer(request, self.samples.grade([_sample(request)])[0])

    def _answer(self, request: Mapping[str, Any], grade: Grade) -> dict[str, Any]:
        answer = {**request, "reward": self.unscored.score(grade), "assay_verdict": grade.verdict.value, "assay_reason": grade.reason}
        if grade.score is None:
            answer["_ng_failure_class"] = FAILURE_CLASS
        return answer


def resources_server(verify: NemoGymVerify) -> type[Any]:
    """A SimpleResourcesServer whose /verify is `verify`; its `run_webserver()` starts it. Raises: ImportError without nemo-gym."""
    from fastapi.responses import JSONResponse
    from nemo_gym.base_resources_server import (  # pyright: ignore[reportMissingImports]
        BaseResourcesServerConfig,
        BaseVerifyRequest,
        SimpleResourcesServer,
    )
    from pydantic import ConfigDict

    class Request(BaseVerifyRequest):  # type: ignore[misc]  # untyped where nemo-gym is not installed
        model_config = ConfigDict(extra="allow")

    class AssayResourcesServer(SimpleResourcesServer):  # type: ignore[misc]
        config: BaseResourcesServerConfig

        async def verify(self, body: Request) -> Any:
            return JSONResponse(await verify(body.model_dump(mode="json")))

    AssayResourcesServer.verify.__annotations__["body"] = Request      # FastAPI reads it, and cannot see a local name
    return AssayResourcesServer


def _sample(request: Mapping[str, Any]) -> Sample:
    metadata = request.get("verifier_metadata")
    columns = {**(metadata if isinstance(metadata, Mapping) else {}), **{k: v for k, v in request.items() if v is not None}}
    params = request.get("responses_create_params")
    return Sample(columns, _output(request.get("response")), params.get("input", "") if isinstance(params, Mapping) else "")


def _output(response: object) -> object:
    """The last message of the response's output items. A response that ends otherwise (in a call of a tool) says nothing: ""."""
    if not isinstance(response, Mapping) or not isinstance(items := response.get("output"), list):
        return None
    messages = [item for item in items if isinstance(item, Mapping) and item.get("type", "message") == "message"]
    return messages[-1] if messages else "" if items else None
