"""docs/rl.md and the example that needs no framework: what they show runs, and every adapter has its recipe and its row."""
from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "rl.md").read_text(encoding="utf-8")
NOT_ADAPTERS = {"__init__", "columns", "messages", "samples", "unscored"}


def blocks(tag: str) -> list[str]:
    return [body for found, body in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S) if found == tag]


@pytest.mark.parametrize("body", blocks("python"))
def test_python_blocks_run(body: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", body], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("body", blocks("py"))
def test_recipes_import_what_there_is(body: str) -> None:
    """Their imports of ours hold without any framework; what is only there with one is a class made at first use."""
    imports = [node for node in ast.walk(ast.parse(body)) if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("assay")]
    for node in imports:
        module = __import__(str(node.module), fromlist=["x"])
        assert {alias.name for alias in node.names} <= set(module.__all__)


def test_every_adapter_has_a_recipe() -> None:
    names = {path.stem for path in (ROOT / "verifiers" / "adapters").glob("*.py")} - NOT_ADAPTERS
    assert names and all(f"adapters.{name}" in PAGE for name in names)


def test_the_versions_told_are_those_tested() -> None:
    wanted = (ROOT / ".ci" / "rl-requirements.txt").read_text() + (ROOT / ".ci" / "rl").read_text()
    told = re.findall(r"^\| (\S+) \| (\d+\.\d+\.\d+) \| yes", PAGE, re.M)
    assert len(told) == 6
    for name, version in told:
        assert f"{name.lower().replace('_', '-')}=={version}" in wanted


def test_comparing_rewards(tmp_path: Path) -> None:
    script = ROOT / "examples" / "rl" / "compare_rewards.py"
    done = subprocess.run([sys.executable, str(script), "--steps", "3", "--seeds", "1", "--rollouts", "24", "--plot", str(tmp_path / "plot.svg")],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout.splitlines()[-1])) == {"all_tests", "difficulty_soft", "difficulty_strict"}
    assert (tmp_path / "plot.svg").read_text().count("<polyline") == 3
