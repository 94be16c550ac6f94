"""What runs only inside a worker process of workers.py: Math-Verify, with its own time-outs off."""
from __future__ import annotations

from typing import Any

__all__ = ["math_verify_equal", "math_verify_response", "warm_up"]


def warm_up() -> None:
    """The first parse builds the parser's tables: half a second that is no grade's work."""
    math_verify_equal("\\sum_{k=1}^{2} k", "\\int_0^1 6x\\,dx")


def math_verify_equal(gold: str, answer: str) -> bool:
    """Whether Math-Verify says that two LaTeX answers (without dollars) are equal.

    Both go through its LaTeX reader alone; its plain-text reader is `parse_expr`, which evaluates.
    """
    from math_verify import LatexExtractionConfig, verify  # pyright: ignore[reportMissingImports]

    left, right = (_parse("$" + text + "$", extraction_config=[LatexExtractionConfig()]) for text in (gold, answer))
    return bool(left and right and verify(left, right, timeout_seconds=None, raise_on_error=False))


def math_verify_response(gold: str, response: str) -> bool:
    """Math-Verify's own verdict on a response, as its documentation uses it: for comparisons with it, never for a grade."""
    from math_verify import verify  # pyright: ignore[reportMissingImports]

    dollared = gold if "$" in gold or "\\boxed" in gold else f"${gold}$"
    return bool(verify(_parse(dollared), _parse(response), timeout_seconds=None, raise_on_error=False))


def _parse(text: str, **options: Any) -> list[Any]:
    from math_verify import parse  # pyright: ignore[reportMissingImports]

    found: list[Any] = parse(text, parsing_timeout=None, raise_on_error=False, **options)  # pyright: ignore[reportArgumentType]
    return found
