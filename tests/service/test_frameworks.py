"""The service's contracts and the converted rows against the frameworks themselves: OpenRLHF's client, verifiers' task data, TRL, verl."""
from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from assay.core.rows import read_rows
from assay.curation.convert import convert_file
from assay.verifiers.grader import Grader

from .support import Running, Scripted, running

pytestmark = [pytest.mark.rl, pytest.mark.serve, pytest.mark.filterwarnings("ignore")]
ROWS = [{"id": "a", "prompt": "Half?", "reward": {"type": "math", "answer": r"\frac12"}, "level": 3},
        {"id": 7, "reward": {"type": "code", "tests": [{"input": "1 2\n", "output": "3\n"}]}}]
ANSWERS = [r"It is \boxed{0.5}", "```python\nprint(sum(map(int, input().split())))\n```"]


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader("local", workers=1, slots=1) as made:
        yield made


def converted(tmp_path: Path, kind: str, end: str) -> tuple[str, list[dict[str, Any]]]:
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    target = str(tmp_path / f"out.{end}")
    convert_file(str(tmp_path / "in.jsonl"), target, "canonical", kind)
    return target, [row for _, row in read_rows(target) if isinstance(row, dict)]


def test_openrlhf_fetches_its_rewards(grader: Grader) -> None:
    from openrlhf.utils.agent import SingleTurnAgentExecutor

    prompt = "<|im_start|>user\nHalf?<|im_end|>\n<|im_start|>assistant\n"

    async def fetch(service: Running, response: str, label: str) -> Any:
        executor = SingleTurnAgentExecutor(service.url + "/get_reward")
        return (await executor._fetch_rewards_via_http([prompt + response + "<|im_end|>"], [prompt], [label]))[0]

    with running(grader) as service:
        for label in ("1/2", json.dumps(ROWS[0]["reward"])):
            assert asyncio.run(fetch(service, r"\boxed{0.5}", label))["rewards"] == [1.0]
            assert asyncio.run(fetch(service, r"\boxed{2}", label))["scores"] == [0.0]
        assert asyncio.run(fetch(service, ANSWERS[1], json.dumps(ROWS[1]["reward"])))["rewards"] == [1.0]
    with running(Scripted()) as service, pytest.raises(RuntimeError, match="Request error"):     # no score: it never gets a number
        asyncio.run(fetch(service, "fault", "1/2"))


def test_verifiers_own_nemo_gym_task_gets_its_reward(tmp_path: Path, grader: Grader) -> None:
    """A client of NeMo-Gym's /seed_session and /verify that is not ours; only the trace around the rollout is a stand-in."""
    from verifiers.v1.tasksets.nemo_gym.taskset import NeMoGymData, NeMoGymTask, NeMoGymTaskConfig
    from verifiers.v1.tasksets.nemo_gym.toolset import NeMoGymState
    from verifiers.v1.types import AssistantMessage

    _, rows = converted(tmp_path, "nemo-gym", "jsonl")

    async def reward(url: str, row: dict[str, Any], text: str) -> tuple[float, dict[str, Any]]:
        node = SimpleNamespace(message=AssistantMessage(content=text, reasoning_content=r"or \boxed{9}?"), sampled=True, timestamp=0.0)
        trace: Any = SimpleNamespace(id="t", state=NeMoGymState(), info={}, branches=[SimpleNamespace(nodes=[node])],
                                     record_metric=lambda name, value: None)
        task = NeMoGymTask(NeMoGymData(row=row), NeMoGymTaskConfig(resources_url=url))
        await task.setup(trace, None)       # type: ignore[arg-type]
        return await task.nemo_gym(trace), trace.info["nemo_gym"]

    with running(grader) as service:
        assert [asyncio.run(reward(service.url, row, text))[0] for row, text in zip(rows, ANSWERS, strict=True)] == [1.0, 1.0]
        assert asyncio.run(reward(service.url, rows[0], r"\boxed{9}"))[0] == 0.0
    with running(Scripted()) as service, pytest.raises(httpx.HTTPStatusError):
        asyncio.run(reward(service.url, rows[0], "fault"))
    with running(Scripted(), unscored=0.0) as service:
        assert asyncio.run(reward(service.url, rows[0], "fault"))[1]["_ng_failure_class"] == "assay_unscored"


def test_verifiers_reads_and_writes_converted_rows(tmp_path: Path) -> None:
    from verifiers.v1.task import WireTaskData

    _, rows = converted(tmp_path, "verifiers", "jsonl")
    data = [WireTaskData.model_validate(row) for row in rows]
    assert data[0].prompt_text == "Half?"
    (tmp_path / "again.jsonl").write_text("".join(each.model_dump_json(exclude_none=True) + "\n" for each in data))
    convert_file(str(tmp_path / "again.jsonl"), str(tmp_path / "back.jsonl"), "verifiers")
    assert [row for _, row in read_rows(tmp_path / "back.jsonl")] == ROWS


def test_trl_takes_converted_rows_and_our_reward_grades_them(tmp_path: Path, grader: Grader) -> None:
    import datasets
    from trl.data_utils import is_conversational

    from assay.verifiers.adapters.trl import TrlReward

    target, _ = converted(tmp_path, "trl", "parquet")
    rows = datasets.Dataset.from_parquet(target, cache_dir=str(tmp_path))
    assert is_conversational(rows[0])
    columns = {name: rows[name][:] for name in rows.column_names if name != "prompt"}
    completions = [[{"role": "assistant", "content": text}] for text in ANSWERS]
    assert TrlReward(grader)(prompts=rows["prompt"][:], completions=completions, **columns) == [1.0, 1.0]


def test_verl_s_function_grades_converted_rows(tmp_path: Path, grader: Grader) -> None:
    import datasets

    from assay.verifiers.adapters.verl import VerlReward

    target, _ = converted(tmp_path, "verl", "parquet")
    reward = VerlReward(grader, unscored="raise")
    for row, text in zip(datasets.Dataset.from_parquet(target, cache_dir=str(tmp_path)), ANSWERS, strict=True):
        score = reward.compute_score(data_source=row["data_source"], solution_str=text, ground_truth=row["reward_model"]["ground_truth"],
                                     extra_info=row["extra_info"])
        assert score["score"] == 1.0
