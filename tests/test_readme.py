"""What the documentation shows works: `python` and `sh` blocks run, `jsonl` blocks hold valid rows, links lead somewhere."""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from assay.core.rows import parse_row

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = [ROOT / "README.md", ROOT / "docs" / "wire-format.md", ROOT / "docs" / "rewards.md", ROOT / "docs" / "sandbox.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def blocks(page: Path, tag: str) -> list[str]:
    return [body for found, body in BLOCK.findall(page.read_text(encoding="utf-8")) if found == tag]


def named(pages: list[Path], tag: str) -> list[Any]:
    return [pytest.param(body, id=f"{page.relative_to(ROOT)}-{n}")
            for page in pages if page.exists() for n, body in enumerate(blocks(page, tag), 1)]


@pytest.mark.parametrize("body", named(RUN, "python"))
def test_python_blocks_run(body: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", body], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", [page for page in RUN if page.exists() and blocks(page, "sh")], ids=lambda page: page.name)
def test_shell_blocks_run(page: Path, tmp_path: Path) -> None:
    """The blocks of one page in their order, in one folder that holds the examples."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for body in blocks(page, "sh"):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", body], cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True,
                              text=True, timeout=300, check=False)
        assert done.returncode == 0, body + done.stdout + done.stderr


def test_rows_shown_are_rows() -> None:
    shown = [line for page in PAGES for body in blocks(page, "jsonl") for line in body.splitlines()]
    assert len(shown) >= 5
    for line in shown:
        parse_row(json.loads(line), "documentation")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def command_names(app: typer.Typer, prefix: str = "") -> list[str]:
    names = [prefix + (command.name or getattr(command.callback, "__name__", "")) for command in app.registered_commands]
    for group in app.registered_groups:
        if group.typer_instance is not None:
            names += command_names(group.typer_instance, f"{prefix}{group.name} ")
    return names


def test_every_command_is_in_the_readme() -> None:
    from assay.cli import app

    names = command_names(app)
    assert "grade" in names
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`assay {name}" not in text] == []
