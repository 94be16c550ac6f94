"""`MathPolicy`: the settings of a math comparison, part of a problem's reward spec so that a reward is reproducible."""
from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MathPolicy"]


class MathPolicy(BaseModel):
    """Settings of a math comparison; the defaults are the exact ones. docs/math-verification.md has examples of each."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    budget_s: float = Field(default=1.0, gt=0, le=60)
    """CPU seconds that the work of one grade may take; what waiting costs on a busy machine changes no verdict."""
    rounding: Literal["off", "printed"] = "off"
    """`printed`: a decimal equals an exact value that rounds (or is cut) to it at its last printed digit: 0.33 is 1/3.
    `off`: only decimals printed in full (10 significant digits or more) do."""
    percent: Literal["either", "strict"] = "either"
    """`either`: 10 % equals 0.1 and a bare 10; `strict`: 0.1 alone."""
    units: Literal["optional", "required", "ignored"] = "optional"
    """`optional`: a missing unit says nothing, two units must agree; `required`: both or none; `ignored`: no unit is looked at."""
    order: Literal["free", "strict"] = "free"
    """`free`: bare lists in any order; `strict`: in the gold's order. Tuples are always in order, sets never."""
