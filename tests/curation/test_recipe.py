from __future__ import annotations

from pathlib import Path

import pytest

from assay.core.errors import InputError, UsageError
from assay.curation.recipe import Recipe, load_recipe


def test_mimo_is_the_default() -> None:
    assert load_recipe("mimo") == Recipe()


def test_digest_knows_settings_not_spelling(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text('# another text\n[difficulty]\nper_test = true\n')
    assert load_recipe(str(file)).digest == Recipe().digest
    file.write_text("[difficulty]\nper_test = false\n")
    assert load_recipe(str(file)).digest != Recipe().digest


@pytest.mark.parametrize(("text", "said"), [
    ("[gold]\nsentinel = []\n", "`gold.sentinels`"),
    ("[difficulty.math]\nto_easy = 'all'\n", "`difficulty.math.too_easy`"),
    ("stage = []\n", "`stages`"),
    ("[difficulty.math]\ntoo_easy = '11/10'\n", "neither"),
    ("[difficulty.math]\npolicy_rollouts = 0\n", "policy_rollouts"),
    ("[difficulty.math]\npolicy_rollouts = true\n", "policy_rollouts"),
    ("stages = ['type', 'ingest']\n", "first stage"),
    ("stages = ['ingest', 'gold', 'gold']\n", "twice"),
    ("stages = ['ingest', 'golden']\n", "stages"),
    ("[type]\nlanguage = ['english']\n", "english"),
    ("[type\n", "not TOML"),
])
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "r.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"r\.toml") as caught:
        load_recipe(str(file))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_such_recipe(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mimo"):
        load_recipe("mimi")
    with pytest.raises(InputError, match="absent"):
        load_recipe(str(tmp_path / "absent.toml"))
