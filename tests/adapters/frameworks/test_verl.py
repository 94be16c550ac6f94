"""Real verl: its reward loop's managers and its classic ones, over its own DataProto, with the function loaded as a run loads it."""
from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl import DataProto
from verl.trainer.ppo.metric_utils import process_validation_metrics
from verl.trainer.ppo.reward import extract_reward, get_custom_reward_fn, load_reward_manager
from verl.workers.reward_manager import get_reward_manager_cls

from assay import Grader
from assay.core.errors import UsageError
from assay.verifiers.adapters import verl as adapter
from assay.verifiers.adapters.unscored import Unscored

from ..support import ADD_TEXT, CASES, RIGHT, SCORES, WRONG
from .bytes_tokenizer import bytes_tokenizer
from .faults import DEADLINE_S, FAULTS, REASONS

pytestmark = pytest.mark.rl
TOKENIZER = bytes_tokenizer()
UNSCORED = -1.0
SETTINGS: dict[str, Any] = {"unscored": UNSCORED, "sandbox": "local", "slots": 1, "workers": 1}


def batch(cases: Sequence[tuple[Any, ...]]) -> DataProto:
    """A batch as verl's rollouts give it: prompts padded on the left, responses on the right, and the columns of its Parquet."""
    encoded = [TOKENIZER(response)["input_ids"] or [TOKENIZER.eos_token_id] for _, response, *_ in cases]
    width = max(map(len, encoded))
    prompts = torch.full((len(cases), 4), 5)
    responses = torch.tensor([ids + [0] * (width - len(ids)) for ids in encoded])
    mask = torch.tensor([[1] * 4 + [1] * len(ids) + [0] * (width - len(ids)) for ids in encoded])
    columns = {
        "data_source": np.array(["openai/gsm8k"] * len(cases), dtype=object),
        "reward_model": np.array([{"style": "rule", "ground_truth": reference} for reference, *_ in cases], dtype=object),
        "extra_info": np.array([{"index": n} for n in range(len(cases))], dtype=object)}
    return DataProto(batch=TensorDict({"prompts": prompts, "responses": responses, "attention_mask": mask}, batch_size=len(cases)),
                     non_tensor_batch=columns)


def config(name: str, manager: str = "naive", **settings: Any) -> Any:
    return OmegaConf.create({"reward": {
        "custom_reward_function": {"path": "pkg://assay.verifiers.adapters.verl", "name": name, "reward_kwargs": settings},
        "reward_manager": {"source": "register", "name": manager}, "reward_kwargs": {}, "sandbox_fusion": {"url": None}}})


def run_loop(data: DataProto, name: str, manager: str = "naive", **settings: Any) -> DataProto:
    """What verl's RewardLoopWorker and RewardLoopManager do with a batch, without their Ray actors."""
    async def all_of_them() -> list[dict[str, Any]]:
        held = load_reward_manager(config(name, manager, **settings), TOKENIZER)
        return await asyncio.gather(*(held.run_single(data[n:n + 1]) for n in range(len(data))))

    outputs = asyncio.run(all_of_them())
    keys = list(outputs[0]["reward_extra_info"])
    assert all(list(output["reward_extra_info"]) == keys for output in outputs)
    prompt = data.batch["prompts"].size(1)
    lengths = data.batch["attention_mask"][:, prompt:].sum(dim=1)
    scores = torch.zeros_like(data.batch["responses"], dtype=torch.float32)
    scores[torch.arange(len(data)), lengths - 1] = torch.tensor([output["reward_score"] for output in outputs])
    return DataProto(batch=TensorDict({"rm_scores": scores}, batch_size=len(data)), meta_info={"reward_extra_keys": keys},
                     non_tensor_batch={key: np.array([output["reward_extra_info"][key] for output in outputs]) for key in keys})


def filled(scores: Sequence[float | None]) -> list[float]:
    return [UNSCORED if score is None else score for score in scores]


@pytest.mark.parametrize("manager", ["naive", "dapo"])
@pytest.mark.parametrize("name", ["compute_score", "compute_score_async"])
def test_the_reward_loop(name: str, manager: str) -> None:
    rewards, extra = extract_reward(run_loop(batch(CASES), name, manager, **SETTINGS))
    assert rewards.sum(dim=1).tolist() == filled(SCORES)
    assert extra["unscored"].tolist() == [float(score is None) for score in SCORES]
    assert extra["reason"].tolist() == [reason for _, _, _, reason in CASES]
    metrics = process_validation_metrics(["x"] * len(CASES), [str(n) for n in range(len(CASES))],
                                         {key: values.tolist() for key, values in extra.items()})
    assert metrics["x"]["unscored"]["mean@1"] == pytest.approx(SCORES.count(None) / len(SCORES))
    assert metrics["x"]["acc"]["mean@1"] == pytest.approx(SCORES.count(1.0) / len(SCORES))


@pytest.mark.parametrize(("manager", "name"), [("naive", "compute_score"), ("dapo", "compute_score"), ("batch", "compute_score_batch"),
                                               ("prime", "compute_score")])
def test_the_classic_managers(manager: str, name: str) -> None:
    score = get_custom_reward_fn(config(name, **SETTINGS))
    data = batch(CASES)
    held = get_reward_manager_cls(manager)(TOKENIZER, 0, compute_score=score)
    if manager == "prime":
        got = held(data)
        extra = None
    else:
        result = held(data, return_dict=True)
        got, extra = result["reward_tensor"], result["reward_extra_info"]
    assert got.sum(dim=1).tolist() == filled(SCORES)
    if extra is not None:
        assert list(extra["unscored"]) == [float(score is None) for score in SCORES]


def test_it_is_loaded_as_what_it_is() -> None:
    assert inspect.iscoroutinefunction(get_custom_reward_fn(config("compute_score_async", **SETTINGS)))
    assert not inspect.iscoroutinefunction(get_custom_reward_fn(config("compute_score", **SETTINGS)))


@pytest.mark.parametrize("settings", [{}, {"unscored": None}, {"unscored": 0, "nonsense": 1}])
def test_faults_of_configuration(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        run_loop(batch(CASES[:1]), "compute_score_async", **settings)


def test_raise() -> None:
    chosen = {**SETTINGS, "unscored": "raise"}
    assert run_loop(batch(CASES[:2]), "compute_score_async", **chosen).batch["rm_scores"].sum(dim=1).tolist() == SCORES[:2]
    with pytest.raises(Unscored, match="no_reference"):
        run_loop(batch(CASES[-1:]), "compute_score_async", **chosen)


@pytest.mark.parametrize("name", ["compute_score", "compute_score_async"])
def test_faults_in_the_loop(faults: Callable[[], None], name: str) -> None:
    """No silent zero, the neighbours' grades as ever, every fault marked in the batch and in the metrics."""
    faults()
    settings = {**SETTINGS, "deadline_s": DEADLINE_S + (name == "compute_score_async")}      # a Grader of its own
    data = run_loop(batch(FAULTS), name, **settings)
    rewards, extra = extract_reward(data)
    assert rewards.sum(dim=1).tolist() == filled([score for _, _, score, _ in FAULTS])
    assert extra["unscored"].tolist() == [float(score is None) for _, _, score, _ in FAULTS]
    reasons = extra["reason"].tolist()
    assert all(expected in (None, reason) for reason, (_, _, _, expected) in zip(reasons, FAULTS, strict=True)), reasons
    metrics = adapter.metrics()[-1]
    assert {reason: metrics["reasons"].get(reason) for reason in REASONS} == REASONS


def test_a_classic_manager_that_loses_patience() -> None:
    """Its alarm rings in the main thread while a program runs; the manager would make that a zero."""
    slow = "```python\nimport time; time.sleep(1)\nprint(sum(map(int, input().split())))\n```"
    held = get_reward_manager_cls("naive")(TOKENIZER, 0, compute_score=get_custom_reward_fn(config("compute_score", **SETTINGS)),
                                           compute_score_timeout=0.5)
    assert held(batch([(ADD_TEXT, slow), (ADD_TEXT, WRONG)])).sum(dim=1).tolist() == [1.0, 0.0]


def test_a_stopped_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with Grader("docker", slots=1, workers=1) as g:
        reward = adapter.VerlReward(g, unscored=UNSCORED)
        held = get_reward_manager_cls("naive")(TOKENIZER, 0, compute_score=reward.compute_score)
        result = held(batch([(ADD_TEXT, RIGHT), ("72", r"\boxed{72}"), (ADD_TEXT, WRONG)]), return_dict=True)
        assert result["reward_tensor"].sum(dim=1).tolist() == [UNSCORED, 1.0, UNSCORED]
        assert result["reward_extra_info"]["reason"] == ["sandbox_unavailable", "equal", "sandbox_unavailable"]
        assert g.metrics()["reasons"]["sandbox_unavailable"] == 2
