"""The last tier, run only inside a worker process of workers.py: Math-Verify with its own time-outs off."""
from __future__ import annotations

from typing import Any

__all__ = ["math_verify_equal"]


def math_verify_equal(gold: str, answer: str) -> bool:
    """Whether Math-Verify says that two LaTeX answers (without dollars) are equal.

    Both go through its LaTeX reader alone; its plain-text reader is `parse_expr`, which evaluates.
    """
    return _verify(gold, answer)


def _parse(text: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse

    found: list[Any] = parse("$" + text + "$", extraction_config=[LatexExtractionConfig()], parsing_timeout=None, raise_on_error=False)
    return found


def _verify(gold: str, answer: str) -> bool:
    from math_verify import verify

    left, right = _parse(gold), _parse(answer)
    return bool(left and right and verify(left, right, timeout_seconds=None, raise_on_error=False))
