"""Keeps the repository root off sys.path: there, its folders would shadow installed packages (`verifiers`, `core`).

Fails a session that skipped a test where CI=true. Examples that Hypothesis makes up are the same in every run; ASSAY_DICE=1 looks for others.
"""
from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
settings.register_profile("the same", derandomize=True, database=None, deadline=None)
if os.environ.get("ASSAY_DICE") != "1":
    settings.load_profile("the same")
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CI=true a skipped test is a failure: CI has every part that a test may ask for."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None or exitstatus != pytest.ExitCode.OK:
        return
    if reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line("CI=true: a skipped test is a failure", red=True)
