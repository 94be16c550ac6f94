"""`MathPolicy`: the settings of a math comparison, part of a problem's reward spec so that a reward is reproducible."""
from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MathPolicy"]


class MathPolicy(BaseModel):
    """Settings of a math comparison; the defaults are the exact ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    budget_s: float = Field(default=1.0, gt=0, le=60)
    """Wall seconds that one grade may take, counted from the start of its work."""
