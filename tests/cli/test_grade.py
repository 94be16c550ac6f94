"""`assay grade` as its user: files, exit codes, resume, interruption."""
from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ASSAY = [sys.executable, "-m", "assay.cli"]
Row = dict[str, Any]


def math_row(row_id: str, *responses: str, **more: Any) -> Row:
    return {"id": row_id, "reward": {"type": "math", "answer": "42"}, "responses": list(responses), **more}


def code_row(row_id: str, *programs: str) -> Row:
    return {"id": row_id, "reward": {"type": "code", "tests": [{"input": "1 2\n", "output": "3\n"}], "limits": {"cpu_s": 5}},
            "responses": [{"program": program} for program in programs]}


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def lines(path: Path) -> list[Row]:
    data = path.read_bytes()
    return [json.loads(line) for line in (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()]


def run(*args: object, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ASSAY, *map(str, args)], capture_output=True, text=True, timeout=120, **more)


def test_the_wire_format(tmp_path: Path) -> None:
    rows = [math_row("a", r"\boxed{42}", r"\boxed{41}", case="c1"), code_row("b", "print(3)", "print(4)"),
            {"id": "c", "reward": {"type": "code", "tests": []}, "responses": ["```python\nprint(1)\n```"]}]
    done = run("grade", write(tmp_path / "in.jsonl", rows), "-o", tmp_path / "out.jsonl", "--sandbox", "local")
    assert done.returncode == 4, done.stderr
    out = lines(tmp_path / "out.jsonl")
    assert [(line["id"], line["index"], line["verdict"], line["score"]) for line in out] == [
        ("a", 0, "AC", 1.0), ("a", 1, "WA", 0.0), ("b", 0, "AC", 1.0), ("b", 1, "WA", 0.0), ("c", 0, "IE", None)]
    assert all({"reason", "detail", "components", "cpu_s", "wall_s"} <= line.keys() for line in out)
    assert [line.get("case") for line in out] == ["c1", "c1", None, None, None]
    assert [set(case) >= {"verdict", "cpu_s", "wall_s", "memory_bytes"} for case in out[2]["cases"]] == [True]
    assert out[4]["reason"] == "bad_reference" and "bad_reference 1" in done.stderr


def test_bad_rows_are_reported_and_stop_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", ["{nonsense", math_row("a", r"\boxed{42}"), {"id": "b"},
                                           {"id": "c", "reward": {"type": "poem"}, "responses": []},
                                           math_row("d", r"\boxed{42}")])
    done = run("grade", source, "-o", tmp_path / "out.jsonl")
    assert done.returncode == 3
    assert [line["id"] for line in lines(tmp_path / "out.jsonl")] == ["a", "d"]
    rejected = lines(tmp_path / "out.jsonl.rejected.jsonl")
    assert [line["line"] for line in rejected] == [1, 3, 4]
    assert all(line["reason"] and line["reason"] in done.stderr for line in rejected)


@pytest.mark.parametrize("end", [".jsonl.gz", ".parquet", ".jsonl.zst"])
def test_other_formats_hold_the_same(tmp_path: Path, end: str) -> None:
    from assay.core.rows import read_rows

    source = write(tmp_path / "in.jsonl", [math_row("a", r"\boxed{42}", ""), math_row("b", r"\boxed{4}")])
    done = run("grade", source, "-o", tmp_path / f"out{end}")
    assert done.returncode == 0, done.stderr
    got = [row for _, row in read_rows(tmp_path / f"out{end}")]
    assert [(row["id"], row["index"], row["verdict"]) for row in got if isinstance(row, dict)] == [("a", 0, "AC"), ("a", 1, "NA"), ("b", 0, "WA")]
    assert sorted(os.listdir(tmp_path)) == ["in.jsonl", f"out{end}"]


def test_standard_input_to_standard_output() -> None:
    done = run("grade", "-", input=json.dumps(math_row("a", r"\boxed{42}")) + "\n")
    assert done.returncode == 0
    assert json.loads(done.stdout)["verdict"] == "AC"


@pytest.mark.parametrize(("args", "code", "says"), [
    (["absent.jsonl", "-o", "out.jsonl"], 2, "absent.jsonl"),
    (["in.csv", "-o", "out.jsonl"], 2, "in.csv"),
    (["in.jsonl", "-o", "out.txt"], 2, "out.txt"),
    (["in.jsonl", "-o", "no/such/folder/out.jsonl"], 1, "no/such/folder"),
    (["absent.jsonl", "-o", "there.jsonl", "--overwrite"], 2, "absent.jsonl"),
    (["in.jsonl", "-o", "there.jsonl"], 2, "--resume"),
    (["in.jsonl", "-o", "./in.jsonl", "--overwrite"], 2, "input itself"),
    (["in.jsonl", "-o", "-", "--resume"], 2, "--resume"),
    (["in.jsonl", "-o", "out.jsonl", "--reward", "vibes"], 2, "vibes"),
    (["in.jsonl", "-o", "out.jsonl", "--slots", "0"], 2, "slots"),
])
def test_wrong_calls_get_one_clear_line(tmp_path: Path, args: list[str], code: int, says: str) -> None:
    write(tmp_path / "in.jsonl", [math_row("a", r"\boxed{42}")])
    write(tmp_path / "there.jsonl", [{"precious": 1}])
    done = run("grade", *args, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr and "Traceback" not in done.stderr
    assert lines(tmp_path / "there.jsonl") == [{"precious": 1}]
    assert lines(tmp_path / "in.jsonl") == [math_row("a", r"\boxed{42}")]


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [math_row("a", r"\boxed{42}")])
    with open("/dev/full", "wb") as full:
        piped = subprocess.run([*ASSAY, "grade", str(source)], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert piped.returncode == 1
    assert "cannot be written" in piped.stderr and "Traceback" not in piped.stderr


def test_resume_goes_on_behind_the_last_whole_line(tmp_path: Path) -> None:
    rows = [math_row("a", r"\boxed{42}", "x"), "{bad", math_row("b", r"\boxed{42}"), math_row("a", r"\boxed{1}")]
    source, out = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    assert run("grade", source, "-o", out).returncode == 3
    whole = lines(out)
    keep = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(keep[0] + keep[1] + keep[2][:20])
    done = run("grade", source, "-o", out, "--resume")
    assert done.returncode == 3
    assert [(line["id"], line["index"], line["verdict"]) for line in lines(out)] == [(line["id"], line["index"], line["verdict"]) for line in whole]
    assert "2 were there" in done.stderr
    write(source, [math_row("z", r"\boxed{42}")])
    other = run("grade", source, "-o", out, "--resume")
    assert other.returncode == 2 and "another input" in other.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_interrupted_runs_keep_what_they_wrote_and_leave_no_process(tmp_path: Path, number: int, code: int) -> None:
    slow = "import time\nfor _ in range(20): time.sleep(0.1)\nprint(3)"
    rows = [code_row("a", "print(3)"), code_row("b", slow), code_row("c", *[slow] * 20)]
    source, out = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    process = subprocess.Popen([*ASSAY, "grade", str(source), "-o", str(out), "--sandbox", "local", "--slots", "1"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 60
    while time.monotonic() < until and not (out.exists() and out.read_bytes().count(b"\n") >= 1):
        time.sleep(0.05)
    tree = descendants(process.pid)
    assert len(tree) > 1
    process.send_signal(number)
    _, talk = process.communicate(timeout=30)
    assert process.returncode == code, talk
    assert "Traceback" not in talk
    assert lines(out)[0]["verdict"] == "AC"
    until = time.monotonic() + 5
    while time.monotonic() < until and any(alive(pid) for pid in tree):
        time.sleep(0.05)
    assert not [pid for pid in tree if alive(pid)]


def descendants(pid: int) -> set[int]:
    found = {pid}
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
            found |= descendants(int(child))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_help_says_what_goes_in_and_out() -> None:
    done = run("grade", "--help")
    assert done.returncode == 0
    for word in ("IN", "OUT", "Example", "Exit codes", "--resume", "rejected"):
        assert word in done.stdout
