"""What is a response, and what is none."""
from __future__ import annotations

from typing import Any

import pytest

from assay.verifiers.adapters.messages import SampleFault, prompt_text, response_of, without_end


@pytest.mark.parametrize(("completion", "text"), [
    ("x", "x"),
    ("", ""),
    ({"role": "assistant", "content": "x"}, "x"),
    ([{"role": "assistant", "content": "x"}], "x"),
    ([{"role": "assistant", "content": "old"}, {"role": "tool", "content": "t"}, {"role": "assistant", "content": "new"}], "new"),
    ([{"role": "assistant", "content": "new"}, {"role": "tool", "content": "t"}], "new"),
    ([{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "reasoning", "text": "why"}, {"type": "text", "text": "b"}]}], "ab"),
    ([{"role": "assistant", "content": [{"type": "output_text", "text": "a"}]}], "a"),
    ([{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}], ""),
])
def test_responses(completion: Any, text: str) -> None:
    assert response_of(completion).text == text


@pytest.mark.parametrize("completion", [
    None, 7, b"x", [], ["x"], [None], {"role": "assistant"}, {"role": "assistant", "content": None}, [{"role": "user", "content": "x"}],
    [{"role": "assistant", "content": 7}], [{"role": "assistant", "content": [7]}], [{"role": "assistant", "content": [{"type": "text"}]}],
    [{"role": "assistant", "content": [{"type": ["text"], "text": "x"}]}], [{"role": "assistant", "content": [{"type": {}, "text": "x"}]}],
    [{"role": "assistant", "content": [{"type": "image", "image": object()}]}], [{"role": "assistant", "content": [{"type": "text", "text": None}]}],
])
def test_no_responses(completion: Any) -> None:
    with pytest.raises(SampleFault) as caught:
        response_of(completion)
    assert caught.value.slug == "bad_response" and str(caught.value)


@pytest.mark.parametrize(("prompt", "text"), [("p", "p"), ([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}], "u"),
                                              (None, ""), ([], ""), (7, ""), ([{"role": "user", "content": 7}], "")])
def test_prompts_never_fail(prompt: Any, text: str) -> None:
    assert prompt_text(prompt) == text


@pytest.mark.parametrize(("text", "bare"), [
    ("```python\nx\n```<|im_end|>", "```python\nx\n```"), ("7</s></s>\n<pad>", "7"), ("7<|im_end|> 8", "7<|im_end|> 8"), ("7 \n", "7 \n"), ("", "")])
def test_marks_of_the_end(text: str, bare: str) -> None:
    assert without_end(text) == bare
