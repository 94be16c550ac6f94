from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from assay.core.errors import UsageError
from assay.curation.export import export_kept
from assay.curation.mixture import Drawn, Mix, draw, parse_weights

from .test_export import catalog_of

ROWS = [Drawn(n, f"key{n}", f"s{n % 3}", "math" if n % 2 else "code", None if n % 5 == 0 else (n % 17) / 16) for n in range(3000)]


def test_a_seed_is_a_mix() -> None:
    first, manifest = draw(ROWS, Mix(100, 1))
    assert draw(ROWS, Mix(100, 1))[0] == first and draw(ROWS, Mix(100, 2))[0] != first
    shuffled = list(ROWS)
    random.Random(1).shuffle(shuffled)
    assert draw(shuffled, Mix(100, 1))[0] == first == sorted(first)
    assert set(first) < set(draw(ROWS, Mix(200, 1))[0])
    assert manifest["size"] == 100 == sum(manifest["sources"].values()) == sum(manifest["domains"].values())


def test_weights_are_odds() -> None:
    """Small shares of a large set: the counts go as the weights."""
    many = [Drawn(n, f"k{n}", "", "math" if n % 2 else "code", None) for n in range(40_000)]
    _, manifest = draw(many, Mix(2000, 5, parse_weights(["domain=math:3"])))
    assert 0.71 < manifest["domains"]["math"] / 2000 < 0.79


def test_zero_leaves_out() -> None:
    places, manifest = draw(ROWS, Mix(5000, 0, parse_weights(["source=s1:0", "difficulty=unknown:0", "difficulty=0.9-1:0"])))
    drawn = [ROWS[place] for place in places]
    assert manifest["size"] == len(drawn) == manifest["drawn_from"] < 5000
    assert all(row.source != "s1" and row.pass_rate is not None and row.pass_rate < 0.9 for row in drawn)


@pytest.mark.parametrize("wrong", ["math:2", "domain=math", "domain=math:-1", "domain=math:nan", "difficulty=0.8-0.2:1", "difficulty=x:1",
                                   "colour=red:1", "domain=:1"])
def test_weights_that_are_none(wrong: str) -> None:
    with pytest.raises(UsageError):
        parse_weights([wrong])


def test_export_of_a_mix(tmp_path: Path) -> None:
    with catalog_of(tmp_path) as catalog:
        assert export_kept(catalog, str(tmp_path / "mix.jsonl"), mix=Mix(5, 0, parse_weights(["domain=code:0"]))) == 1
    assert json.loads((tmp_path / "mix.jsonl").read_text())["id"] == "b"
    manifest = json.loads((tmp_path / "mix.jsonl.manifest.json").read_text())
    assert manifest["domains"] == {"math": 1} and manifest["difficulty"] == {"0.4": 1}
