from __future__ import annotations

from pathlib import Path

import pytest

from assay.core.errors import UsageError
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
    ("[difficulty]\nmath = 3\n", "`difficulty.math`: a table, of policy_rollouts, too_easy, advanced_rollouts, found 3"),
    ("[gold]\nsentinels = 'none'\n", "`gold.sentinels`: a list, such as"),
    ("name = 3\n", "`name`: text, such as"), ("[type]\nmcq = 'yes'\n", "`type.mcq`: true or false, found 'yes'"),
    ("[difficulty.math]\ntoo_easy = true\n", "`difficulty.math.too_easy`: text, such as"), ("[difficulty.math]\ntoo_easy = nan\n", "neither"),
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
    with pytest.raises(UsageError, match="absent"):
        load_recipe(str(tmp_path / "absent.toml"))
    (tmp_path / "noise.toml").write_bytes(b"name = \"\xff\"")
    with pytest.raises(UsageError, match=r"noise\.toml: not TOML: not UTF-8 \(byte 8\)"):
        load_recipe(str(tmp_path / "noise.toml"))


@pytest.mark.parametrize(("text", "means"), [("0.9", "9/10"), ("'0.9'", "9/10"), ("1", "1/1"), ("1e-1", "1/10")])
def test_a_share_may_be_a_number(tmp_path: Path, text: str, means: str) -> None:
    """k of n are compared as integers all the same: 0.9 is nine tenths, not the nearest binary number."""
    (tmp_path / "r.toml").write_text(f"[difficulty.math]\ntoo_easy = {text}\n")
    rules, wanted = load_recipe(str(tmp_path / "r.toml")).difficulty.math, Recipe().difficulty.math.model_copy(update={"too_easy": means})
    assert all(rules.is_too_easy(k, n) == wanted.is_too_easy(k, n) for n in range(1, 41) for k in range(n + 1))
