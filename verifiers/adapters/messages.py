"""What frameworks call a completion -> the Response that is graded.

    "text"                                              as it is
    [{"role": "assistant", "content": "text"}]          the last message of the assistant
    {"role": ..., "content": [{"type": "text", "text": "..."}]}     text parts joined; reasoning and refusals say nothing

Anything else is no response, and is said to be so: SampleFault `bad_response`, never an empty text that would earn a zero.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...core.errors import AssayError
from ...core.problem import Response

__all__ = ["BAD_RESPONSE", "END_TOKENS", "SampleFault", "prompt_text", "response_of", "without_end"]

BAD_RESPONSE: Final = "bad_response"
_TEXT: Final = frozenset({"text", "output_text", "input_text"})
_SILENT: Final = frozenset({"reasoning", "thinking", "redacted_thinking", "refusal"})


END_TOKENS: Final = ("<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|end|>", "<|return|>", "<end_of_turn>", "<eos>", "<pad>",
                     "</s>", "<|end_of_sentence|>", "<｜end▁of▁sentence｜>", "[EOS]", "[PAD]", "<|finetune_right_pad_id|>", "<|pad|>")
"""Marks of the end that some frameworks leave in the text. After a code block's last fence they would leave the block open."""


class SampleFault(AssayError, ValueError):
    """One sample cannot be graded, whatever its response is worth. `slug` becomes the reason of its IE."""

    def __init__(self, slug: str, message: str) -> None:
        super().__init__(slug, message)
        self.slug = slug
        self.message = message

    def __str__(self) -> str:
        return self.message


def response_of(completion: object) -> Response:
    """Raises: SampleFault `bad_response`."""
    if isinstance(completion, str):
        return Response(completion)
    if isinstance(completion, Mapping):
        return Response(_content(completion))
    if isinstance(completion, list | tuple):
        for message in reversed(completion):
            if not isinstance(message, Mapping):
                raise SampleFault(BAD_RESPONSE, f"a message of the completion is {_kind(message)}")
            if message.get("role", "assistant") == "assistant":
                return Response(_content(message))
        raise SampleFault(BAD_RESPONSE, "the completion holds no message of the assistant")
    raise SampleFault(BAD_RESPONSE, f"the completion is {_kind(completion)}, neither text nor messages")


def without_end(text: str) -> str:
    """Without the marks of the end, and the white space between them, that trail the text."""
    end = at = len(text)        # the text may be one mark a hundred thousand times over: no copy for each
    while True:
        while at and text[at - 1].isspace():
            at -= 1
        token = next((token for token in END_TOKENS if text.endswith(token, 0, at)), None)
        if token is None:
            return text[:end]
        end = at = at - len(token)


def prompt_text(prompt: object) -> str:
    """The text of a prompt, or of the last message of one; empty where there is none. Grading does not rest on it."""
    try:
        if isinstance(prompt, list | tuple):
            return _content(prompt[-1]) if prompt and isinstance(prompt[-1], Mapping) else ""
        return prompt if isinstance(prompt, str) else _content(prompt) if isinstance(prompt, Mapping) else ""
    except SampleFault:
        return ""


def _content(message: Mapping[str, object]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if content is None and message.get("tool_calls"):
        return ""       # it ended with a call of a tool: that is all that the model said
    if isinstance(content, list | tuple):
        return "".join(_part(part) for part in content)
    raise SampleFault(BAD_RESPONSE, f"the content of a message is {_kind(content)}")


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        kind = part.get("type", "text")
        text = part.get("text")
        if not isinstance(kind, str):
            raise SampleFault(BAD_RESPONSE, f"the type of a part of the content is {_kind(kind)}, not text")
        if kind in _TEXT and isinstance(text, str):
            return text
        if kind in _SILENT:
            return ""
        raise SampleFault(BAD_RESPONSE, f"a part of the content is of type {kind!r} with text that is {_kind(text)}")
    raise SampleFault(BAD_RESPONSE, f"a part of the content is {_kind(part)}")


def _kind(value: object) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"
