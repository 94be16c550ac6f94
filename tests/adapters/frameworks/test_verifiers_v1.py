"""Real `verifiers` (v1): a Taskset loaded from rows, its tasks scored by verifiers itself."""
from __future__ import annotations

import asyncio
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import verifiers.v1 as vf

from assay.core.errors import RowError
from assay.verifiers.adapters.verifiers_v1 import AssayTask, AssayTaskConfig, AssayTaskset, AssayTasksetConfig

from ..support import CASES

pytestmark = pytest.mark.rl
ROWS = [({"id": f"p{n}", "prompt": f"problem {n}", "reward": json.loads(reference) if reference.startswith("{") else
          {"type": "math", "answer": reference}}, response, score, reason)
        for n, (reference, response, score, reason) in enumerate(CASES) if reference is not None and "no such" not in reference]
CONFIG = {"sandbox": "local", "slots": 1}


def taskset(folder: Path, rows: list[Any]) -> Any:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return AssayTaskset(AssayTasksetConfig(rows=path, task=AssayTaskConfig(**CONFIG)))


def traced(task: Any, response: str) -> Any:
    """The trace of a rollout that ended with `response`."""
    data = vf.TraceTask(type=type(task).__name__, data=task.data)
    return vf.Trace(task=data, agent=vf.AgentInfo(config=vf.AgentConfig()), root_reply=response)


def test_the_tasks(tmp_path: Path) -> None:
    tasks = list(taskset(tmp_path, [row for row, *_ in ROWS]))
    assert [(task.data.id, task.data.prompt, task.data.idx) for task in tasks] == [(row["id"], row["prompt"], n)
                                                                                  for n, (row, *_) in enumerate(ROWS)]
    assert AssayTaskset.task_type() is AssayTask
    assert len({task.hash for task in tasks}) == len(tasks)
    assert len(list(taskset(tmp_path, [row for row, *_ in ROWS]).take(2))) == 2
    again = type(tasks[0].data).model_validate_json(tasks[4].data.model_dump_json())
    assert again == tasks[4].data


def test_scored_by_verifiers(tmp_path: Path) -> None:
    """An unscored one is an error of the trace with no reward, as `verifiers` has it; its neighbours are what they are."""
    async def score(task: Any, response: str) -> tuple[float | None, str]:
        trace = traced(task, response)
        try:
            await task.score(trace)
        except vf.TaskError as error:
            assert trace.rewards == {"assay": None} and "Unscored" in str(error)
        held = trace.rewards["assay"]
        assert held is None or trace.reward == held.score
        assert trace.metrics == ({} if held is None else {"assay_accepted": float(held.score == 1)})
        return (None if held is None else held.score), trace.info["assay"]["reason"]

    async def main() -> list[Any]:
        tasks = list(taskset(tmp_path, [row for row, *_ in ROWS]))
        return await asyncio.gather(*(score(task, response) for task, (_, response, _, _) in zip(tasks, ROWS, strict=True)))

    assert asyncio.run(main()) == [(score, reason) for _, _, score, reason in ROWS]


def test_null_is_an_output_too(tmp_path: Path) -> None:
    """A function that must return None: the expected null survives `verifiers`' own writing and reading of its data."""
    reward = {"type": "code", "mode": "call", "entry_point": "f", "tests": [{"args": [1], "output": None}]}
    task, = taskset(tmp_path, [{"id": "none", "prompt": "p", "reward": reward}])
    data = type(task.data).model_validate_json(task.data.model_dump_json(exclude_none=False))
    trace = traced(type(task)(data, task.config), "```python\ndef f(x):\n    return None\n```")
    asyncio.run(type(task)(data, task.config).score(trace))
    assert trace.rewards["assay"].score == 1.0, trace.info


def test_a_row_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(RowError, match=r"rows\.jsonl, line 2: no `reward`"):
        list(taskset(tmp_path, [ROWS[0][0], {"prompt": "p", "answer": "72"}]))


def test_the_classes_pickle(tmp_path: Path) -> None:
    """`verifiers` serves environments from other processes."""
    task = next(iter(taskset(tmp_path, [ROWS[0][0]])))
    assert pickle.loads(pickle.dumps(task)).data == task.data
