"""Publishing again, and into repositories that are not empty: what changes, what goes, what stays."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import HubError, UsageError
from assay.curation.catalog import Catalog
from assay.curation.publish import publish
from assay.curation.publishing.card import MARK
from assay.curation.recipe import Recipe

from ..curation.support import run
from .cards import faults_of, front_matter
from .conftest import Client
from .faults import Fault
from .loopback import environment
from .store import Blob, Repo
from .test_faults import REPO, owner, publish_now, shown

__all__ = ["owner"]     # a fixture


def test_an_unchanged_catalog_uploads_nothing(owner: Client, catalog_path: Path, tmp_path: Path) -> None:
    first = publish_now(owner, catalog_path)
    head = owner.hub.store.repos[REPO].refs["heads/main"]
    owner.hub.requests.clear()
    copy = shutil.copy(catalog_path, tmp_path / "another-name.duckdb")
    second = publish_now(owner, Path(copy))
    assert (second.changed, second.gone, second.commit, second.folder.tag) == ((), (), head, first.folder.tag)
    assert {request.method for request in owner.hub.requests} <= {"GET", "HEAD"}
    assert second.folder.sha256 == first.folder.sha256


def test_a_tag_that_is_missing_is_set_and_none_moves(owner: Client, catalog_path: Path) -> None:
    first = publish_now(owner, catalog_path)
    repo = owner.hub.store.repos[REPO]
    del repo.refs[f"tags/{first.folder.tag}"]
    publish_now(owner, catalog_path)
    assert repo.refs[f"tags/{first.folder.tag}"] == first.commit
    second = publish_now(owner, catalog_path, with_rejected=True)
    third = publish_now(owner, catalog_path)
    assert third.folder.tag == first.folder.tag != second.folder.tag
    assert repo.refs[f"tags/{first.folder.tag}"] == first.commit != third.commit


def test_what_is_no_longer_part_goes_and_others_files_stay(owner: Client, catalog_path: Path) -> None:
    publish_now(owner, catalog_path, with_rejected=True)
    repo = owner.hub.store.repos[REPO]
    files = dict(repo.resolve("main").files) | {"notes.txt": Blob(b"mine"), "extra/train-00000-of-00001.parquet": Blob(b"mine"),
                                                "math/train-00000-of-00002.parquet": Blob(b"stale"), "math/readme.txt": Blob(b"mine")}
    repo.add("main", files, "by hand", "", "ann")
    plan = publish_now(owner, catalog_path)
    assert plan.gone == ("math/train-00000-of-00002.parquet", "rejected/train-00000-of-00001.parquet")
    assert plan.changed == ("README.md",)
    assert shown(owner) == {*plan.folder.sha256, "notes.txt", "extra/train-00000-of-00001.parquet", "math/readme.txt"}


def test_a_repository_of_other_content(owner: Client, catalog_path: Path) -> None:
    owner.hub.store.repos[REPO] = repo = Repo(REPO, private=False)
    repo.add("main", {"README.md": Blob(b"---\nlicense: mit\n---\n"), ".gitattributes": Blob(b"")}, "made on the site", "", "ann")
    publish_now(owner, catalog_path)        # a card alone is what the site makes
    files = {"README.md": Blob(b"# mine"), "data.csv": Blob(b"a,b")}
    repo.add("main", files, "by hand", "", "ann")
    head = repo.refs["heads/main"]
    with pytest.raises(UsageError, match=r"holds 1 files that assay did not publish \(data.csv\); --overwrite"):
        publish_now(owner, catalog_path)
    assert repo.refs["heads/main"] == head
    publish_now(owner, catalog_path, overwrite=True)
    assert {"data.csv", "math/train-00000-of-00001.parquet"} <= shown(owner)
    assert MARK in repo.resolve("main").files["README.md"].content.decode()


def test_another_recipe_gets_another_tag(owner: Client, catalog_path: Path, tmp_path: Path) -> None:
    publish_now(owner, catalog_path)
    copy = Path(shutil.copy(catalog_path, tmp_path / "c.duckdb"))
    pool = str(catalog_path.parent / "pool.jsonl")
    run(copy, pool, str(catalog_path.parent / "rollouts.jsonl"), recipe=Recipe(stages=("ingest", "type", "gold")), resume=True)
    plan = publish_now(owner, copy)
    repo = owner.hub.store.repos[REPO]
    assert len([ref for ref in repo.refs if ref.startswith("tags/recipe-")]) == 2
    data = front_matter(repo.resolve(plan.folder.tag).files["README.md"].content.decode())
    assert {info["config_name"]: info["splits"][0]["num_examples"] for info in data["dataset_info"]} == {"math": 3, "code": 2}


def test_the_card_is_one_that_the_hub_takes(owner: Client, catalog_path: Path) -> None:
    publish_now(owner, catalog_path, with_rejected=True)
    card = owner.hub.store.repos[REPO].resolve("main").files["README.md"].content.decode()
    assert faults_of(card) == []
    data = front_matter(card)
    assert data["license"] == ["apache-2.0", "cc-by-sa-4.0", "mit"] and data["size_categories"] == ["n<1K"]
    assert [config["config_name"] for config in data["configs"]] == ["math", "code", "rejected"]
    assert faults_of(card.replace("apache-2.0", "no-such", 1)) and faults_of(card.replace("dtype: string", "dtype: 'null'", 1))


def test_a_card_that_the_hub_refuses_uploads_nothing(owner: Client, catalog_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.curation.publishing import folder

    monkeypatch.setattr(folder, "card_text", lambda *_: "---\nlicense: no-such\n---\n")
    with pytest.raises(HubError, match=r"no-such.*nothing was published"):
        publish_now(owner, catalog_path, "lab/refused")
    assert not owner.hub.store.repos


def test_a_dry_run_touches_no_network(client: Client, catalog_path: Path, tmp_path: Path) -> None:
    with Catalog.open(catalog_path, read_only=True) as catalog:
        plan = publish(catalog, REPO, dry_run=True, with_rejected=True, output=str(tmp_path / "out"))
        with pytest.raises(UsageError, match="not an empty folder"):
            publish(catalog, REPO, dry_run=True, output=str(tmp_path / "out"))
    assert not client.hub.requests and plan.commit is None
    there = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert there == set(plan.folder.sha256) and len(there) == 5


def assay(client: Client, home: Path, token: str | None, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    code = "from assay.cli import main; main()"
    env = {key: value for key, value in os.environ.items() if key != "HF_TOKEN"} | environment(client.hub, token, str(home))
    return subprocess.run([sys.executable, "-c", code, "publish", *arguments], env=env, capture_output=True, text=True, timeout=120, **more)


def test_from_the_command_line(client: Client, catalog_path: Path, tmp_path: Path) -> None:
    token = client.hub.add_user("ann", orgs=("lab",))
    done = assay(client, tmp_path, token, str(catalog_path), "--repo", REPO, "--private", "--with-rejected")
    assert done.returncode == 0, done.stderr
    url, commit, tag = done.stdout.split()
    repo = client.hub.store.repos[REPO]
    assert url == f"{client.hub.url}/datasets/{REPO}" and repo.refs["heads/main"] == commit == repo.refs[f"tags/{tag}"] and repo.private
    done = assay(client, tmp_path, None, str(catalog_path), "--repo", REPO)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"assay: no token: log in with `hf auth login`, or set HF_TOKEN (nothing was published, {REPO} is as it was)\n"
    done = assay(client, tmp_path, token, str(catalog_path), "--repo", "name")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1) and "ORG/NAME" in done.stderr


@pytest.mark.parametrize("name", ["name", "a/b/c", "../x", "lab/a--b", "lab/", "lab/a b", "-lab/x", "lab/x.", "lab/x\n", "lab/x\ny", "/x", ""])
def test_a_name_that_is_none(catalog_path: Path, name: str) -> None:
    with Catalog.open(catalog_path, read_only=True) as catalog, pytest.raises(UsageError, match="ORG/NAME"):
        publish(catalog, name, dry_run=True)


def test_interrupted(client: Client, catalog_path: Path, tmp_path: Path) -> None:
    token = client.hub.add_user("ann", orgs=("lab",))
    held = client.hub.faults.add(Fault("put", delay_s=600, skip=1, times=1))
    env = os.environ | environment(client.hub, token, str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", "from assay.cli import main; main()", "publish", str(catalog_path), "--repo", REPO], env=env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines: list[str] = []
    while not any(line.startswith("uploaded 1 of 2") for line in lines):
        lines.append(process.stderr.readline())
        assert lines[-1], lines
    while held.times:       # the second is on its way
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert said.splitlines()[-1] == (f"assay: interrupted: {REPO} was created and is empty; 1 of 2 files are uploaded and need not be sent again")
