"""assay: grades model responses by rule and curates problems for RL with verifiable rewards.

    from assay import Grader, Problem, verify_math
    verify_math("1/2", r"... \\boxed{0.5}").score        # 1.0

Importing it is cheap: sympy, duckdb, docker and datasets are imported where they are first used.
"""
from __future__ import annotations

from .core.errors import AssayError
from .core.problem import CodeTests, Limits, MathAnswer, Problem, Program, Response, TestCase
from .core.verdict import CaseResult, Grade, Verdict

__all__ = ["AssayError", "CaseResult", "CodeTests", "Grade", "Limits", "MathAnswer", "Problem", "Program", "Response",
           "TestCase", "Verdict", "__version__"]

__version__ = "0.1.0"
