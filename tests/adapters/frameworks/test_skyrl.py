"""Real skyrl-gym: the environment registered, made and stepped as SkyRL does it."""
from __future__ import annotations

import pickle
from typing import Any

import pytest
import skyrl_gym
from omegaconf import OmegaConf
from skyrl_gym.envs import deregister, register

from assay.core.errors import UsageError
from assay.verifiers.adapters.unscored import Unscored

from ..support import CASES, SCORES

pytestmark = pytest.mark.rl
CONFIG: dict[str, Any] = {"unscored": -1.0, "sandbox": "local", "slots": 1, "workers": 1}


@pytest.fixture(autouse=True)
def _registered() -> Any:
    register(id="assay", entry_point="assay.verifiers.adapters.skyrl:AssayEnv")
    yield
    deregister("assay")


def made(reference: Any, config: Any = CONFIG) -> Any:
    row = {"data_source": "openai/gsm8k", "env_class": "assay", "reward_spec": {"method": "rule", "ground_truth": reference}, "extra_info": {}}
    return skyrl_gym.make("assay", env_config=config, extras=row)


@pytest.mark.parametrize("config", [CONFIG, OmegaConf.create(CONFIG)])
def test_an_episode_each(config: Any) -> None:
    metrics = []
    for (reference, response, score, reason) in CASES:
        env = made(reference, config)
        prompt, _ = env.init([{"role": "user", "content": "p"}])
        assert prompt == [{"role": "user", "content": "p"}]
        step = env.step(response)
        assert (step["reward"], step["done"], step["observations"]) == (-1.0 if score is None else score, True, [])
        assert (step["metadata"]["reason"], step["metadata"]["unscored"]) == (reason, score is None)
        metrics.append(env.get_metrics())
        env.close()
    totals = env.aggregate_metrics(metrics)
    assert totals["unscored"] == pytest.approx(SCORES.count(None) / len(SCORES))
    assert totals["accepted"] == pytest.approx(SCORES.count(1.0) / len(SCORES))


def test_faults_of_configuration() -> None:
    for config in ({}, {"unscored": "zero"}, {"unscored": 0, "nonsense": 1}):
        with pytest.raises(UsageError):
            made("72", config)
    with pytest.raises(UsageError, match="no column holds a reference"):
        skyrl_gym.make("assay", env_config=CONFIG, extras={"gold": "72"})


def test_raise() -> None:
    env = made(None, {**CONFIG, "unscored": "raise"})
    with pytest.raises(Unscored, match="no_reference"):
        env.step("x")
    assert env.get_metrics() == {"accepted": 0.0, "unscored": 1.0}


def test_the_class_pickles() -> None:
    from assay.verifiers.adapters.skyrl import AssayEnv

    assert pickle.loads(pickle.dumps(AssayEnv)) is AssayEnv
