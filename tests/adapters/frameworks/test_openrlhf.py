"""Real OpenRLHF: its SingleTurnAgentExecutor loads a reward_func file and calls it, after an engine that says what a test wants."""
from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from openrlhf.utils.agent import SingleTurnAgentExecutor

from assay import Grader
from assay.core.errors import UsageError
from assay.verifiers.adapters.openrlhf import OpenRlhfReward

from ..support import ADD_TEXT, CASES, SCORES
from .bytes_tokenizer import bytes_tokenizer

pytestmark = pytest.mark.rl
TOKENIZER = bytes_tokenizer()
FILE = """
from assay import Grader
from assay.verifiers.adapters.openrlhf import OpenRlhfReward
reward_func = OpenRlhfReward(Grader("local", slots=1, workers=1), unscored=-1.0)
"""
PROMPT = r"The prompt's own \boxed{72} is not the answer. "


class Engine:
    """An engine of generation that says `text`, and ends it as models do."""

    def __init__(self, text: str) -> None:
        self._ids = [*TOKENIZER(text)["input_ids"], TOKENIZER.eos_token_id]

    async def generate(self, prompt: Sequence[int], params: Any, multi_modal_data: Any = None) -> Any:
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=self._ids, finish_reason="stop", logprobs=None)])


def test_the_executor(tmp_path: Path) -> None:
    (tmp_path / "reward.py").write_text(FILE)
    executor = SingleTurnAgentExecutor(str(tmp_path / "reward.py"))
    params = SimpleNamespace(max_tokens=2000, logprobs=None)

    async def run() -> list[dict[str, Any]]:
        return await asyncio.gather(*(executor.execute(PROMPT, reference, params, 4096, TOKENIZER, Engine(response))
                                      for reference, response, _, _ in CASES))

    outputs = asyncio.run(run())
    assert [float(output["reward"]) for output in outputs] == [-1.0 if score is None else score for score in SCORES]
    assert [float(output["scores"]) for output in outputs] == [-1.0 if score is None else score for score in SCORES]
    assert [float(output["extra_logs"]["assay_unscored"]) for output in outputs] == [float(score is None) for score in SCORES]
    assert [float(output["extra_logs"]["assay_accepted"]) for output in outputs] == [float(score == 1) for score in SCORES]
    executor.reward_func.samples.close()


def test_in_a_batch(grader: Grader) -> None:
    reward = OpenRlhfReward(grader, unscored=-1)
    got = reward([PROMPT + response for _, response, _, _ in CASES], [PROMPT] * len(CASES), [reference for reference, _, _, _ in CASES])
    assert isinstance(got["rewards"], torch.Tensor)
    assert got["rewards"].tolist() == [-1.0 if score is None else score for score in SCORES]
    with pytest.raises(UsageError, match="different lengths"):
        reward(["q"], ["p"], [])


def test_a_prompt_that_does_not_come_back(grader: Grader) -> None:
    got = OpenRlhfReward(grader, unscored=-1)([r"other \boxed{72}"], [PROMPT], ["72"])
    assert got["rewards"].tolist() == [-1.0] and got["extra_logs"]["assay_unscored"].tolist() == [1.0]
    got = OpenRlhfReward(grader, unscored=-1, response_after="assistant:")([ADD_TEXT + r"assistant: \boxed{72}"], [PROMPT], ["72"])
    assert got["rewards"].tolist() == [1.0]
