"""SkyRL: a single-turn Env for skyrl-gym.

    from skyrl_gym.envs import register
    register(id="assay", entry_point="assay.verifiers.adapters.skyrl:AssayEnv")
    # environment.skyrl_gym.assay: {unscored: 0.0, reward: difficulty_soft}; and `env_class: assay` in the rows

What is right is told by `reward_spec.ground_truth` (or `reward`, `answer`, ...) and `data_source` of a row (columns.py). SkyRL has no
None: `unscored` in the environment's configuration is a number or "raise". Other keys there are the Grader's settings; all
environments of one configuration share a Grader in their process. `get_metrics` gives accepted and unscored, which SkyRL averages.
"""
from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...core.verdict import Verdict
from .samples import Sample
from .unscored import configured

__all__ = ["AssayEnv"]

if TYPE_CHECKING:
    AssayEnv: type[Any]     # made when it is first asked for: its base is skyrl-gym's


def __getattr__(name: str) -> Any:
    if name == "AssayEnv":
        return _env_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _env_class() -> type[Any]:
    from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput  # pyright: ignore[reportMissingImports]

    class AssayEnv(BaseTextEnv):  # type: ignore[misc]  # untyped where skyrl-gym is not installed
        """One response, graded. Raises: UsageError for a configuration or a row that cannot work; in `step`, Unscored if chosen."""

        def __init__(self, env_config: Mapping[str, Any] | None = None, extras: Mapping[str, Any] | None = None) -> None:
            super().__init__()
            self._row = dict(extras or {})
            self._made = configured({str(name): value for name, value in (env_config or {}).items()})
            self._made.samples.check_columns([self._row])
            self._metrics: dict[str, Any] = {}

        def step(self, action: str) -> Any:
            grade = self._made.samples.grade([Sample(self._row, action)])[0]
            self._metrics = {"accepted": float(grade.verdict is Verdict.AC), "unscored": float(grade.score is None)}
            reward = self._made.unscored.score(grade)
            return BaseTextEnvStepOutput(observations=[], reward=reward, done=True, metadata={
                "verdict": grade.verdict.value, "reason": grade.reason, "unscored": grade.score is None})

        def get_metrics(self) -> dict[str, Any]:
            return self._metrics

    AssayEnv.__module__, AssayEnv.__qualname__ = __name__, "AssayEnv"
    return AssayEnv
