"""Run as a program: TRL's asynchronous trainer scores a group in a spawned, daemonic process, with a reward that was pickled to it.

    python spawned_worker.py TrlReward|AsyncTrlReward '[[reference, response], ...]'      prints [[advantage, score or null], ...]
"""
from __future__ import annotations

import asyncio
import json
import math
import multiprocessing
import sys
from types import SimpleNamespace
from typing import Any


def score_a_group(reward: Any, cases: list[Any], connection: Any) -> None:
    """What trl.experimental.async_grpo's worker does in its child, with its own scoring."""
    from accelerate import PartialState
    from trl.experimental.async_grpo.async_rollout_worker import RolloutGroup, _AsyncRolloutLoop

    PartialState()      # for TRL's log, as its own child has it
    n = len(cases)
    loop: Any = SimpleNamespace(reward_funcs=[reward], reward_func_names=[reward.__name__], _env_reward_types=[], _provides_rollout_reward=False)
    sequence: Any = SimpleNamespace(input_ids=[1], completion_mask=[1], old_log_probs=[0.0], model_version=0)
    group = RolloutGroup(
        prompts=[[{"role": "user", "content": "p"}]] * n, completions=[[{"role": "assistant", "content": response}] for _, response in cases],
        completions_ids=[[1]] * n, reward_kwargs={"answer": [reference for reference, _ in cases]}, env_rewards=[None] * n,
        rollout_rewards=[None] * n, tool_call_counts=[0] * n, tool_failure_counts=[0] * n, completions_sequences=[[sequence]] * n,
        model_version=0, group_id=0)
    samples = asyncio.run(_AsyncRolloutLoop._score_group(loop, group))
    connection.send([(sample.advantage, sample.metrics[f"rewards/{reward.__name__}"]) for sample in samples])
    reward.close()


def main() -> None:
    from assay import Grader
    from assay.verifiers.adapters import trl

    reward = getattr(trl, sys.argv[1])(Grader("local", slots=1, workers=1))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=score_a_group, args=(reward, json.loads(sys.argv[2]), theirs), daemon=True)
    child.start()
    theirs.close()
    got = ours.recv()
    child.join(30)
    print(json.dumps([[advantage, None if math.isnan(score) else score] for advantage, score in got]))
    sys.exit(child.exitcode)


if __name__ == "__main__":
    main()
