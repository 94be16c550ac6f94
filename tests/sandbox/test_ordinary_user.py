"""The local sandbox of an ordinary user, whose programs share the user of the agent and its fork servers: nothing of one reaches the next.

A machine on which an ordinary user can run no Python with assay's dependencies, or make no user namespace, has no such test.
"""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydantic

import assay

NOBODY = 65534
SCRIPT = Path(__file__).parent / "as_ordinary_user.py"


def command() -> tuple[list[str], dict[str, Any]] | None:
    """How to run Python as an ordinary user: an interpreter that may be elsewhere than root's own."""
    path = os.pathsep.join(str(Path(str(module.__file__)).parent.parent) for module in (assay, pydantic))
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}
    who: dict[str, Any] = {} if os.getuid() else {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        subprocess.run(["unshare", "--user", "true"], check=True, capture_output=True, env=env, cwd="/", **who)
    except (OSError, subprocess.CalledProcessError):
        return None
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            tried = subprocess.run([python, "-c", "import assay.sandbox.slots"], env=env, cwd="/", capture_output=True, check=False, **who)
        except OSError:
            continue
        if tried.returncode == 0:
            return [python], {"env": env, "cwd": "/", **who}
    return None


COMMAND = command()

if COMMAND:
    def test_nothing_of_a_program_reaches_the_next() -> None:
        python, options = COMMAND
        done = subprocess.run([*python, "-c", SCRIPT.read_text()], capture_output=True, text=True, timeout=300, check=False, **options)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {}
