"""verl: `compute_score` for its reward loop and its classic managers, one sample at a time, awaited, or in a batch.

    reward.custom_reward_function.path=pkg://assay.verifiers.adapters.verl
    reward.custom_reward_function.name=compute_score_async        # or compute_score, compute_score_batch
    +reward.custom_reward_function.reward_kwargs.unscored=0.0     # the number, or "raise"
    +reward.custom_reward_function.reward_kwargs.reward=difficulty_soft

verl has no None: what becomes of a sample that is nobody's to judge is the caller's choice, so `unscored` has no default. It is a
number, which such a sample then gets, marked (`unscored` 1) and counted, or "raise", which ends the step with `Unscored`.

Every result has the same keys, as verl's batches need: score, acc (1 if accepted; under what is chosen for `unscored`, 0),
unscored (0 or 1), verdict and reason. Other settings go to the Grader: sandbox, slots, workers, reward, deadline_s, ...

What is right is told by `ground_truth` and `data_source` (columns.py): a reward spec (as JSON text, best), tests, or a gold answer.

Note: two of verl's own managers make zeros where they lose patience: `prime` after 300 s, and `naive` after its
compute_score_timeout, by an alarm in the main thread. Here the alarm is not heeded; set the Grader's `deadline_s` instead.
"""
from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...core.errors import AssayError, UsageError
from ...core.verdict import Grade, Verdict
from ..grader import Grader
from .columns import Source
from .samples import Sample, SampleGrader

__all__ = ["KEYS", "Unscored", "VerlReward", "compute_score", "compute_score_async", "compute_score_batch", "metrics", "prometheus"]

KEYS: Final = ("score", "acc", "unscored", "verdict", "reason")


class Unscored(AssayError, RuntimeError):
    """A sample could not be graded, and the caller chose "raise"."""


class VerlReward:
    """The three functions around one Grader, for those who build their own entry point.

    unscored: a finite number, or "raise". Raises: UsageError if it is neither, or is missing.
    """

    def __init__(self, grader: Grader | None = None, *, unscored: object, sources: Mapping[str, Source] | None = None) -> None:
        self.unscored = unscored_choice(unscored)
        self.samples = SampleGrader(grader, sources=sources, columns=("ground_truth",))
        self.__name__ = "assay"

    def compute_score(self, data_source: Any, solution_str: Any, ground_truth: Any, extra_info: Any = None, **_: Any) -> dict[str, Any]:
        """One sample, blocking. Raises: Unscored, if that was chosen."""
        return self._result(self.samples.grade([_sample(data_source, solution_str, ground_truth, extra_info)])[0])

    async def compute_score_async(self, data_source: Any, solution_str: Any, ground_truth: Any, extra_info: Any = None,
                                  **_: Any) -> dict[str, Any]:
        """As `compute_score`, awaited."""
        return self._result((await self.samples.agrade([_sample(data_source, solution_str, ground_truth, extra_info)]))[0])

    def compute_score_batch(self, data_sources: Sequence[Any], solution_strs: Sequence[Any], ground_truths: Sequence[Any],
                            extra_infos: Sequence[Any] | None = None, **_: Any) -> list[dict[str, Any]]:
        """For the `batch` manager: all at once. Raises: UsageError if the lists differ in length; Unscored, if that was chosen."""
        extras = extra_infos if extra_infos is not None else [None] * len(solution_strs)
        lengths = {len(data_sources), len(solution_strs), len(ground_truths), len(extras)}
        if len(lengths) > 1:
            raise UsageError(f"lists of different lengths: {len(data_sources)} data_sources, {len(solution_strs)} solution_strs, "
                             f"{len(ground_truths)} ground_truths, {len(extras)} extra_infos")
        samples = [_sample(*one) for one in zip(data_sources, solution_strs, ground_truths, extras, strict=True)]
        return [self._result(grade) for grade in self.samples.grade(samples)]

    def check(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """For the start of a run, over the rows of a data set. Raises: UsageError with the first rows that cannot be graded."""
        self.samples.check([_columns(row.get("data_source"), _ground_truth(row), row.get("extra_info")) for row in rows])

    def _result(self, grade: Grade) -> dict[str, Any]:
        score = grade.score if grade.score is not None else self.unscored
        if score is None:
            raise Unscored(f"{grade.reason}: {grade.detail[:2000]}")
        return {"score": float(score), "acc": float(grade.verdict is Verdict.AC), "unscored": float(grade.score is None),
                "verdict": grade.verdict.value, "reason": grade.reason}


def compute_score(data_source: Any, solution_str: Any, ground_truth: Any, extra_info: Any = None, **settings: Any) -> dict[str, Any]:
    """For `custom_reward_function`, blocking. Raises: UsageError for settings that make no sense; Unscored, if that was chosen."""
    reward = _configured(settings)
    return reward.compute_score(data_source, solution_str, ground_truth, extra_info)


async def compute_score_async(data_source: Any, solution_str: Any, ground_truth: Any, extra_info: Any = None,
                              **settings: Any) -> dict[str, Any]:
    """For `custom_reward_function`, awaited: verl's reward loop then has many under way at once."""
    reward = _configured(settings)
    return await reward.compute_score_async(data_source, solution_str, ground_truth, extra_info)


def compute_score_batch(data_sources: Sequence[Any], solution_strs: Sequence[Any], ground_truths: Sequence[Any],
                        extra_infos: Sequence[Any] | None = None, **settings: Any) -> list[dict[str, Any]]:
    """For `custom_reward_function` under the `batch` manager."""
    reward = _configured(settings)
    return reward.compute_score_batch(data_sources, solution_strs, ground_truths, extra_infos)


def metrics() -> list[dict[str, Any]]:
    """Of every configuration that this process has used: see verifiers/metrics.py."""
    with _lock:
        return [reward.samples.metrics() for reward in _rewards.values()]


def prometheus() -> str:
    """`metrics` of all of them in Prometheus' text format."""
    from ..metrics import merged, prometheus_text

    return prometheus_text(merged(metrics()))


def unscored_choice(unscored: object) -> float | None:
    """The number, or None for "raise". Raises: UsageError."""
    if unscored == "raise":
        return None
    if isinstance(unscored, int | float) and not isinstance(unscored, bool) and abs(unscored) < float("inf"):
        return float(unscored)
    raise UsageError(f"unscored is {unscored!r}: choose what a sample gets that could not be graded, a finite number or \"raise\"")


_OF_VERL: Final = ("reward_router_address", "reward_model_tokenizer", "rollout_reward_scores", "sandbox_fusion_url",
                   "concurrent_semaphore", "memory_limit_mb")
_OF_GRADER: Final = ("sandbox", "slots", "workers", "reward", "detail", "python", "image", "runtime", "deadline_s")
_rewards: dict[str, VerlReward] = {}
_lock: Final = threading.Lock()


def _configured(settings: dict[str, Any]) -> VerlReward:
    """The reward of these settings, made once a process."""
    ours = {name: value for name, value in settings.items() if name not in _OF_VERL}
    key = repr(sorted(ours.items()))
    reward = _rewards.get(key)
    if reward is None:
        with _lock:
            reward = _rewards.get(key)
            if reward is None:
                reward = _rewards[key] = _make(ours)
    return reward


def _make(settings: dict[str, Any]) -> VerlReward:
    known = {"unscored", "sources", *_OF_GRADER}
    if unknown := sorted(set(settings) - known):
        raise UsageError(f"unknown settings {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    if "unscored" not in settings:
        raise UsageError("reward_kwargs.unscored is missing: choose what a sample gets that could not be graded, a number or \"raise\"")
    unscored = unscored_choice(settings["unscored"])
    sources = settings.get("sources")
    grader = Grader(**{name: settings[name] for name in _OF_GRADER if name in settings})
    return VerlReward(grader, unscored="raise" if unscored is None else unscored, sources=dict(sources) if sources else None)


def _sample(data_source: Any, solution: Any, ground_truth: Any, extra: Any) -> Sample:
    return Sample(_columns(data_source, ground_truth, extra), solution)


def _columns(data_source: Any, ground_truth: Any, extra: Any) -> dict[str, Any]:
    """A data source's function sees `extra_info` too."""
    return {"ground_truth": ground_truth, "data_source": data_source, "extra_info": extra if isinstance(extra, Mapping) else {}}


def _ground_truth(row: Mapping[str, Any]) -> Any:
    held = row.get("reward_model")
    if isinstance(held, str):
        try:
            held = json.loads(held)
        except ValueError:
            return None
    return held.get("ground_truth") if isinstance(held, Mapping) else None
