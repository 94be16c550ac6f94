"""The shell: what a line does, from a pipe and at a prompt (a real pseudo-terminal)."""
from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from assay.curation.catalog import Catalog
from assay.curation.shell import completions

from .support import math_row, rollout_row, run, write_rows


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shell")
    pool = write_rows(folder / "p.jsonl", [math_row("a", "What is 3 + 4?", "7"), math_row("b\x1b[31m", "Prove that 3 < 4.", "yes")])
    run(folder / "c.duckdb", pool, write_rows(folder / "r.jsonl", [rollout_row("a", "sft", 5, 16)]))
    return folder / "c.duckdb"


def piped(catalog: Path, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "assay.cli", "shell", str(catalog)], input=text, capture_output=True, text=True, timeout=60)


def test_statements_from_a_pipe(catalog: Path, tmp_path: Path) -> None:
    done = piped(catalog, ".mode json\nSELECT id,\n  status FROM v_decision ORDER BY row; SELECT ';' AS a;\n"
                          f"SELECT 1 AS last\n\n.save {tmp_path}/x.parquet\n")
    assert (done.returncode, done.stderr) == (0, "")
    decoder, found, rest = json.JSONDecoder(), [], done.stdout.strip()
    while rest.startswith("["):
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    assert found == [[{"id": "a", "status": "kept"}, {"id": "b\x1b[31m", "status": "rejected"}], [{"a": ";"}], [{"last": 1}]]
    assert pq.read_table(tmp_path / "x.parquet").to_pylist() == [{"last": 1}]


@pytest.mark.parametrize(("text", "said"), [
    ("SELECT nope FROM v_decision;", "nope"), ("SELEC 1;", "syntax error"), ("FROM nowhere;", "SHOW TABLES"), (".nope", ".help lists them"),
    ("DELETE FROM models;", "read-only"), (".save", "name a file"), (".save x.csv", "there is none yet"), ("SELECT 1;\n.save x.txt", ".parquet"),
    ("SELECT 1;\n.save /no/such/x.csv", "no folder"), (".columns nope", ".tables lists them"), (".show nope", "near: a"), (".mode xml", "json"),
])
def test_errors_are_one_line_and_the_rest_goes_on(catalog: Path, text: str, said: str) -> None:
    done = piped(catalog, f"{text}\n.mode csv\nSELECT 42 AS answer;\n")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and said in done.stderr
    assert done.stdout.endswith("answer\n42\n")


def test_a_saved_file_is_not_replaced(catalog: Path, tmp_path: Path) -> None:
    for suffix, text in (("csv", "a,b\n1,\n"), ("jsonl", '{"a":1,"b":null}\n'), ("json", '[\n\t{"a":1,"b":null}\n]\n')):
        (target := tmp_path / f"x.{suffix}").unlink(missing_ok=True)
        assert piped(catalog, f"SELECT 1 AS a, NULL AS b; -- why\n\n.save {target}\n").returncode == 0
        assert target.read_text() == text
        again = piped(catalog, f"SELECT 2 AS a;\n.save {target}\n")
        assert again.returncode == 2 and "exists" in again.stderr and target.read_text() == text


def test_texts_of_a_pool_move_no_cursor(catalog: Path) -> None:
    done = piped(catalog, "SELECT id FROM v_decision;\n.show b\x1b[31m\n")
    assert "\x1b" not in done.stdout and r"b\x1b[31m" in done.stdout


def test_long_tables_are_cut(catalog: Path) -> None:
    done = piped(catalog, "SELECT unnest(range(1000)) AS n;")
    assert "99" in done.stdout and "100 \n" not in done.stdout and "first 100 rows" in done.stdout


@pytest.mark.parametrize(("before", "wanted"), [
    ("SELECT * FROM v_fu", "v_funnel"), ("SELECT pass_r", "pass_rate"), ("SELECT x FROM models WHERE na", "name"), ("sel", "SELECT"),
    (".sa", ".save"), (".columns v_ru", "v_run"), ("SELECT count(*), sta", "status"),
    ("SELECT max(rea", "reason"), ("SELECT * FROM grades WHERE verd", "verdict"),
])
def test_completion(catalog: Path, before: str, wanted: str) -> None:
    with Catalog.open(catalog, read_only=True) as opened:
        assert wanted in completions(opened.names(), before)


class Terminal:
    """`assay shell` on a pseudo-terminal; `expect` waits for a text behind what was seen."""

    def __init__(self, catalog: Path, state: Path) -> None:
        self.leader, follower = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "assay.cli", "shell", str(catalog)], stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
            env=os.environ | {"XDG_STATE_HOME": str(state), "TERM": "xterm", "COLUMNS": "80", "LINES": "24"})
        os.close(follower)
        self.text = ""

    def expect(self, wanted: str) -> None:
        end = time.monotonic() + 60
        while wanted not in self.text:
            assert time.monotonic() < end, (wanted, self.text)
            if select.select([self.leader], [], [], 0.1)[0]:
                data = os.read(self.leader, 65536)
                if b"\x1b[6n" in data:                  # where is the cursor?
                    os.write(self.leader, b"\x1b[1;1R")
                self.text += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode(errors="replace"))
        self.text = self.text.partition(wanted)[2]

    def computes(self, seconds: float) -> None:
        """Waits until it has used so much CPU time from now on."""
        begun, end = self.cpu_s(), time.monotonic() + 60
        while self.cpu_s() < begun + seconds:
            assert time.monotonic() < end, self.text
            time.sleep(0.05)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def type(self, text: str) -> None:
        os.write(self.leader, text.encode())


@pytest.fixture
def terminal(catalog: Path, tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(catalog, tmp_path)
    yield opened
    if opened.process.poll() is None:
        opened.process.kill()
    opened.process.wait()
    os.close(opened.leader)


def test_at_a_prompt(terminal: Terminal, tmp_path: Path) -> None:
    terminal.expect("assay>")
    terminal.type("SELECT 5 + len('abc') AS n FROM v_contam\t")
    terminal.expect("ination")                                      # completed
    terminal.type(" UNION SELECT count(*) FROM v_decision;\r")
    terminal.expect("1 row,")
    terminal.expect("assay>")
    terminal.type("SELECT 1 +\r")
    terminal.expect("...>")
    terminal.type("\x03")                                           # Ctrl-C drops the half statement
    terminal.expect("assay>")
    terminal.type("SELECT nope;\r")
    terminal.expect("Binder Error")
    terminal.expect("assay>")
    terminal.type("\x04")                                           # Ctrl-D
    assert terminal.process.wait(timeout=60) == 0
    history = (tmp_path / "assay" / "shell_history")
    assert "SELECT nope;" in history.read_text() and history.stat().st_mode & 0o077 == 0


def test_ctrl_c_stops_a_query_and_nothing_else(terminal: Terminal) -> None:
    terminal.expect("assay>")
    terminal.type("SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3;\r")
    terminal.expect("= 3;")
    terminal.computes(2)        # the query is on its way
    os.kill(terminal.process.pid, signal.SIGINT)
    terminal.expect("stopped")
    terminal.expect("assay>")
    terminal.type("SELECT 40 + 2 AS answer;\r")
    terminal.expect("42")
    terminal.expect("assay>")
    terminal.type(".quit\r")
    assert terminal.process.wait(timeout=60) == 0
