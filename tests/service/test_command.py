"""`assay serve` as a process: it says where it is, ends when told to with exit code 0, and refuses what is unsafe."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.serve
SLOW = {"reward": {"type": "code", "mode": "stdin", "tests": [{"input": "", "output": "ok\n"}], "limits": {"wall_s": 60}},
        "responses": [{"program": "import time; time.sleep(8); print('ok')", "language": "python"}]}


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "assay.cli", "serve", *options]


@pytest.fixture
def served() -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(command("--port", "0", "--sandbox", "local", "--slots", "1", "--workers", "1"), stderr=subprocess.PIPE, text=True,
                               env=os.environ | {"ASSAY_TOKEN": "abc"})
    assert process.stderr is not None
    url = ""
    for line in process.stderr:
        if line.startswith("listening on "):
            url = line.split()[-1]
            break
    try:
        yield process, url
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_sigterm_finishes_what_was_accepted(served: tuple[subprocess.Popen[str], str]) -> None:
    process, url = served
    http = httpx.Client(base_url=url, headers={"Authorization": "Bearer abc"}, trust_env=False, timeout=60)
    assert http.get("/health").json()["status"] == "ok"
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(http.post("/grade", json=SLOW).json()))
    thread.start()
    while http.get("/health").json()["queue"] == 0:
        assert thread.is_alive()
    process.send_signal(signal.SIGTERM)
    while http.get("/health").json()["status"] == "ok":
        assert thread.is_alive()
    assert http.post("/grade", json=SLOW).status_code == 503
    thread.join()
    assert got[0]["grades"][0]["verdict"] == "AC"
    assert process.wait(60) == 0
    http.close()


@pytest.mark.parametrize(("options", "said"), [
    (["--host", "0.0.0.0"], "no token"), (["--token-file", "/no/such"], "no token can be read"),
    (["--host", "192.0.2.1", "--insecure"], "cannot be listened on"), (["--deadline-s", "0"], "deadline_s"), (["--unscored", "nan"], "unscored"),
])
def test_what_cannot_be_served_is_usage(options: list[str], said: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "ASSAY_TOKEN"}
    done = subprocess.run(command(*options), capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_the_paths() -> None:
    done = subprocess.run(command("--help"), capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"COLUMNS": "200"})
    assert all(word in done.stdout for word in ("/grade/batch", "/get_reward", "/verify", "--insecure"))
