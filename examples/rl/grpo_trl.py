"""GRPO in TRL with assay's reward in the loop: a tiny model, made from a configuration, learns to add two to a number, on a CPU.

    pip install 'assay[trl]' torch
    python examples/rl/grpo_trl.py [--steps 60] [--asynchronous]

Prints the mean reward of the first and the last steps, and the Grader's own counts. Under a minute on two cores.
"""
from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from typing import Any

from tiny import model_of, tokenizer_of

from assay import Grader
from assay.verifiers.adapters.trl import AsyncTrlReward, TrlReward

NUMBERS = [str(n) for n in range(10)]
ANSWERS = [rf"\boxed{{{n}}}" for n in range(12)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--asynchronous", action="store_true", help="the awaited reward function")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")       # nothing here comes from a hub
    started = time.perf_counter()
    history, metrics = train(options.steps, asynchronous=options.asynchronous)
    rewards = [entry["reward"] for entry in history if "reward" in entry]
    edge = max(1, len(rewards) // 6)
    print(json.dumps({"steps": options.steps, "seconds": round(time.perf_counter() - started, 1),
                      "first": round(sum(rewards[:edge]) / edge, 3), "last": round(sum(rewards[-edge:]) / edge, 3),
                      "unscored": max(entry.get("assay/unscored", 0.0) for entry in history), "grades": metrics["grades"]}))


def train(steps: int, *, asynchronous: bool) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The trainer's log, and the metrics of the reward."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOConfig, GRPOTrainer

    tokenizer = tokenizer_of([*NUMBERS, *ANSWERS])
    rows = Dataset.from_list([{"prompt": number, "answer": str(int(number) + 2)} for number in NUMBERS] * 8)
    reward = (AsyncTrlReward if asynchronous else TrlReward)(Grader("local", slots=1, workers=1))
    reward.check(rows)          # a wrong column or a row without a gold answer stops the run here, not at step 10,000
    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder, max_steps=steps, per_device_train_batch_size=80, num_generations=8, max_completion_length=1,
            learning_rate=2e-2, lr_scheduler_type="constant", beta=0.0, temperature=1.0, logging_steps=1, report_to=[], save_strategy="no",
            bf16=False, use_cpu=True, disable_tqdm=True, activation_checkpointing=False, log_completions=False, seed=0)
        trainer = GRPOTrainer(model=model_of(tokenizer), reward_funcs=reward, args=settings, train_dataset=rows, processing_class=tokenizer)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    metrics = reward.metrics()
    reward.close()
    return trainer.state.log_history, metrics


if __name__ == "__main__":
    main()
