"""`kill -9` at random moments: what was committed stays, and the export of the run that comes through is the same bytes."""
from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.curation.catalog import Catalog
from assay.curation.export import export_kept

from .support import ask, math_row, rollout_row, write_rows

KILLS = 20


def exported(catalog: Path) -> bytes:
    output = catalog.with_suffix(".jsonl")
    with Catalog.open(catalog, read_only=True) as opened:
        export_kept(opened, str(output), overwrite=True)
    return output.read_bytes()


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    dice = random.Random(20)
    names = [f"p{n}" for n in range(150)]
    pool = write_rows(tmp_path / "pool.jsonl", [
        math_row(name, f"A box number {n} holds {n + 3} {['red', 'green', 'blue'][n % 3]} stones and 4 more; how many?", str(n + 7))
        for n, name in enumerate(names)])
    rollouts = write_rows(tmp_path / "r.jsonl", [rollout_row(name, "sft", dice.randrange(17), 16, gold=str(n + 7)) for n, name in enumerate(names)])

    def command(catalog: Path) -> list[str]:
        resume = ["--resume"] if catalog.exists() else []
        return [sys.executable, "-m", "assay.cli", "curate", pool, "--rollouts", rollouts, "--catalog", str(catalog), "--workers", "1", *resume]

    whole = tmp_path / "whole.duckdb"
    began = time.monotonic()
    subprocess.run(command(whole), check=True, capture_output=True, timeout=300)
    length = time.monotonic() - began
    catalog = tmp_path / "killed.duckdb"
    killed = finished = grades = 0
    expected = exported(whole)
    assert expected.count(b"\n") > 50
    while killed < KILLS:
        anew, began = not catalog.exists(), time.monotonic()
        with (tmp_path / "said").open("w") as said, subprocess.Popen(command(catalog), stdout=subprocess.DEVNULL, stderr=said) as process:
            try:
                assert process.wait(dice.uniform(0.05, 0.8) * length) == 0, (tmp_path / "said").read_text()
            except subprocess.TimeoutExpired:
                process.kill()
                killed += 1
            else:
                finished += 1       # what earlier kills left was little to do: compared, and all anew
                if anew:            # or the first run was on a busy machine, and its length says too much
                    length = min(length, time.monotonic() - began)
                assert finished < 6 * KILLS
                assert exported(catalog) == expected
                catalog.unlink()
                grades = 0
                continue
        if catalog.exists() and catalog.stat().st_size:
            with Catalog.open(catalog) as opened:
                [(now,)] = opened.rows("SELECT count(*) FROM grades")
            assert now >= grades, "grades that were committed are gone"
            grades = now
    subprocess.run(command(catalog), check=True, capture_output=True, timeout=300)
    assert exported(catalog) == expected
    keys = "SELECT pid, mid, sample, verdict FROM grades ORDER BY ALL"
    assert ask(catalog, keys) == ask(whole, keys)
