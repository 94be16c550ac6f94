"""Snapshots: of one moment, beside a writer, switched at once, and never in a run's way."""
from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from assay.core.errors import CatalogBusy, UsageError
from assay.curation.catalog import Catalog
from assay.curation.pipeline import open_for_run
from assay.curation.recipe import Recipe
from assay.curation.snapshot import Publisher, latest, open_to_read, publish, remove_snapshots, take

from .support import math_row, rollout_row, run, write_rows

WRITER = """
import sys
from assay.curation.catalog import Catalog
from assay.curation.snapshot import Publisher

with Catalog.open(sys.argv[1]) as catalog:
    publisher = Publisher(catalog, print)
    catalog.after_commit = publisher.after_commit
    print("open", flush=True)
    n = 0
    for line in sys.stdin:          # a batch a line
        n += 1
        catalog.append("models", {"mid": [n, n], "name": [f"a{n}", f"b{n}"]})
        print("committed", flush=True)
"""


@contextmanager
def writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process
        finally:
            process.stdin.close()


def commit(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("next\n")
    process.stdin.flush()
    assert process.stdout.readline() == "committed\n"


def commit_when_asked(process: subprocess.Popen[str], path: Path) -> threading.Thread:
    """As soon as somebody has asked for a snapshot."""
    request = Path(f"{path}.snapshot") / "request"
    request.unlink(missing_ok=True)

    def wait() -> None:
        end = time.monotonic() + 60
        while not request.exists() and time.monotonic() < end:
            time.sleep(0.01)
        commit(process)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def models(folder: Path) -> tuple[int, int]:
    """As the DuckDB file and as Parquet have them."""
    with duckdb.connect(str(folder / "catalog.duckdb"), read_only=True) as db:
        counted = db.execute("SELECT count(*) FROM models").fetchone()
    assert counted is not None
    return counted[0], pq.read_table(folder / "models.parquet").num_rows


def test_of_a_catalog_at_rest(tmp_path: Path) -> None:
    pool = write_rows(tmp_path / "p.jsonl", [math_row("a", "What is 3 + 4?", "7"), math_row("b", "Prove that 3 < 4.", "yes")])
    rollouts = write_rows(tmp_path / "r.jsonl", [rollout_row("a", "sft", 5, 16)])
    run(tmp_path / "c.duckdb", pool, rollouts)
    taken = take(tmp_path / "c.duckdb", tmp_path / "into")
    with Catalog.open(tmp_path / "c.duckdb", read_only=True) as catalog, Catalog.open(taken.catalog, read_only=True) as copy:
        for name in catalog.names():
            expected = sorted(map(str, catalog.query(f"SELECT * FROM {name}")[1]))
            assert sorted(map(str, copy.query(f"SELECT * FROM {name}")[1])) == expected
            assert pq.read_table(taken.folder / f"{name}.parquet").num_rows == len(expected) == taken.rows[name]
        assert taken.rows["grades"] >= 16
    assert not (tmp_path / "c.duckdb.snapshot").exists()
    assert all(not file.stat().st_mode & 0o222 for file in taken.folder.iterdir())


def test_beside_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "c.duckdb"
    said: list[str] = []
    with writer(path) as process:
        commit(process)
        with pytest.raises(CatalogBusy, match=rf"pid {process.pid}\), and no new snapshot came in 0.2 s"):
            take(path, wait_s=0.2)
        committing = commit_when_asked(process, path)
        assert models(take(path, wait_s=60).folder) == (4, 4)
        committing.join()
        with open_to_read(path, said.append) as catalog:
            assert catalog.rows("SELECT count(*) FROM models") == [(4,)]
        assert "in use by another process" in said[0] and "snapshot of" in said[0]
        with pytest.raises(CatalogBusy, match="wait until it has ended, or read a copy meanwhile: assay snapshot"):
            Catalog.open(path, read_only=True)
    with open_to_read(path, said.append) as catalog:        # the writer is gone: the catalog itself
        assert catalog.path == path
    assert len(said) == 1


def test_a_copy_of_the_writers_goes_where_it_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "c.duckdb"
    with writer(path) as process:
        committing = commit_when_asked(process, path)
        taken = take(path, tmp_path / "into", wait_s=60)
        committing.join()
        assert taken.folder == tmp_path / "into" / "1" == (tmp_path / "into" / "current").resolve()
        assert models(taken.folder) == (2, 2)


def test_a_first_reader_waits_for_the_first_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.curation.snapshot._FIRST_WAIT_S", 60.0)      # the machine of a test may be busy
    path = tmp_path / "c.duckdb"
    with writer(path) as process:
        committing = commit_when_asked(process, path)
        with open_to_read(path) as catalog:
            assert catalog.rows("SELECT count(*) FROM models") == [(2,)]
        committing.join()


def test_readers_see_whole_snapshots_and_old_ones_live_on(tmp_path: Path) -> None:
    """While the writer publishes 12 of them: all files of one moment, numbers that only grow, and an open one stays as it was."""
    path = tmp_path / "c.duckdb"
    seen: list[tuple[int, int]] = []
    broken: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            found = latest(path)
            if found is None:
                continue
            try:
                seen.append(models(found.folder))
            except (duckdb.Error, OSError) as error:
                broken.append(error)

    with Catalog.open(path) as catalog:
        catalog.append("models", {"mid": [0], "name": ["zero"]})
        held = duckdb.connect(str(publish(catalog).catalog), read_only=True)
        reader = threading.Thread(target=read)
        reader.start()
        for n in range(1, 12):
            catalog.append("models", {"mid": [n], "name": [f"m{n}"]})
            publish(catalog)
            before = len(seen)
            while len(seen) == before and not broken:       # a reader on its way has one more snapshot's time to arrive
                time.sleep(0.01)
        done.set()
        reader.join()
    assert broken == []
    assert all(as_duckdb == as_parquet for as_duckdb, as_parquet in seen) and seen == sorted(seen) and len(set(seen)) > 2
    assert held.execute("SELECT count(*) FROM models").fetchall() == [(1,)]
    held.close()
    assert sorted(entry.name for entry in (tmp_path / "c.duckdb.snapshot").iterdir()) == ["11", "12", "current"]


def test_a_run_publishes_at_its_end_where_somebody_asked(tmp_path: Path) -> None:
    pool = write_rows(tmp_path / "p.jsonl", [math_row("a", "What is 3 + 4?", "7")])
    run(tmp_path / "c.duckdb", pool)
    assert latest(tmp_path / "c.duckdb") is None
    take(tmp_path / "c.duckdb")
    run(tmp_path / "c.duckdb", pool, recipe=Recipe.model_validate({"name": "other"}), resume=True)
    found = latest(tmp_path / "c.duckdb")
    assert found is not None and found.rows["run_ends"] == 2
    with open_for_run(str(tmp_path / "c.duckdb"), resume=False, overwrite=True):
        assert latest(tmp_path / "c.duckdb") is None        # of a catalog that is no more


def test_a_snapshot_that_fails_stops_no_run(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "c.duckdb.snapshot").mkdir()
    (tmp_path / "c.duckdb.snapshot" / "somebody's file").write_text("mine")
    (tmp_path / "c.duckdb.snapshot" / "request").touch()
    with Catalog.open(tmp_path / "c.duckdb") as catalog:
        catalog.after_commit = Publisher(catalog, said.append).after_commit
        catalog.append("models", {"mid": [0], "name": ["zero"]})
        catalog.append("models", {"mid": [1], "name": ["one"]})
        assert catalog.rows("SELECT count(*) FROM models") == [(2,)]
    assert len(said) == 1 and "holds other things" in said[0]
    remove_snapshots(tmp_path / "c.duckdb")
    assert (tmp_path / "c.duckdb.snapshot" / "somebody's file").exists()


def test_no_folder_of_others_is_written_into(tmp_path: Path) -> None:
    Catalog.open(tmp_path / "c.duckdb").close()
    with pytest.raises(UsageError, match="holds other things"):
        take(tmp_path / "c.duckdb", tmp_path)


def test_what_a_killed_writer_left_is_no_snapshot(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "c.duckdb") as catalog:
        first = publish(catalog)
        left = first.folder.parent / ".new-abc"
        shutil.copytree(first.folder, left)
        (left / "snapshot.json").unlink()
        assert latest(catalog.path) == first
        assert publish(catalog).folder.name == "2"


def test_names_with_quotes(tmp_path: Path) -> None:
    path = tmp_path / "it's \"C\" - 1.duckdb"
    Catalog.open(path).close()
    assert models(take(path).folder) == (0, 0)
