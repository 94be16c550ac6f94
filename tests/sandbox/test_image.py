"""The image's recipe and the bootstrap's inputs; nothing here needs a daemon. The built image is looked at in test_docker_image.py."""
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from assay.core.errors import SandboxUnavailable, UsageError
from assay.sandbox import image
from assay.sandbox.daemon import connect, said
from assay.sandbox.languages import languages


def test_recipe_names_its_languages_and_hash() -> None:
    recipe = image.load_recipe()
    assert "python" in recipe.default
    assert set(recipe.default) <= set(recipe.packages) == {language.name for language in languages().values()}
    assert all(recipe.packages.values()), "a language without packages is in no image"
    assert recipe.tag == f"assay-sandbox:{recipe.hash}" and len(recipe.hash) == 12


def test_hash_follows_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in image._RECIPE_FILES:
        (tmp_path / name).write_bytes((image._IMAGES / name).read_bytes())
    before = image.load_recipe().hash
    monkeypatch.setattr(image, "_IMAGES", tmp_path)
    assert image.load_recipe.__wrapped__().hash == before
    (tmp_path / "finish.sh").write_text("true\n")
    assert image.load_recipe.__wrapped__().hash != before


def test_chosen_languages() -> None:
    recipe = image.load_recipe()
    assert recipe.chosen([]) == tuple(name for name in recipe.packages if name in recipe.default)
    assert recipe.chosen(["all"]) == tuple(recipe.packages)
    assert recipe.chosen(["python", "cpp", "python"]) == ("cpp", "python")
    with pytest.raises(UsageError, match="cobol"):
        recipe.chosen(["python", "cobol"])


def test_packages_of_a_language_come_with_the_base() -> None:
    recipe = image.load_recipe()
    packages = recipe.packages_for(("cpp",))
    assert {"python3", "g++"} <= set(packages) and "pypy3" not in packages
    assert len(set(packages)) == len(packages)


DEB822 = """
# comment
Types: deb deb-src
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
  bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://other.invalid/tool
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: http://off.invalid/debian
Suites: bookworm
Components: main
"""


def test_deb822_sources_of_this_release_only() -> None:
    signed = "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.invalid/debian"
    assert image._from_deb822(DEB822, "bookworm") == [f"{signed} bookworm main contrib", f"{signed} bookworm-updates main contrib"]


@pytest.mark.parametrize(("line", "fits"), [
    ("deb http://mirror.invalid/debian bookworm main", True),
    ("deb [arch=amd64 signed-by=/k.gpg] http://mirror.invalid/debian bookworm-security main", True),
    ("deb http://mirror.invalid/debian trixie main", False),
    ("deb http://mirror.invalid/debian bookworm-backports main", False),
    ("deb http://mirror.invalid/bookworm tool-bookworm main", False),
])
def test_one_line_sources(line: str, fits: bool) -> None:
    assert image._of_suite(line.split("]")[-1].split(), "bookworm") is fits


@pytest.mark.parametrize(("lines", "reason"), [
    (["I: running apt-get update...", "E: Unable to locate package pypy9", "E: apt-get failed"], "E: Unable to locate package pypy9"),
    (["E: apt-get update failed", "dpkg: error: No space left on device", "E: setup failed"], "dpkg: error: No space left on device"),
    ([], "it said nothing"),
])
def test_reason_of_a_failed_bootstrap(lines: list[str], reason: str) -> None:
    with subprocess.Popen(["sh", "-c", 'printf "%s\\n" "$@" >&2', "sh", *lines], stderr=subprocess.PIPE) as process:
        talk = image._Talk(process, lambda line: None)
        assert talk.reason() == reason


def test_half_an_image_is_never_imported() -> None:
    script = "head -c 3000000 /dev/zero; echo 'E: died' >&2; exit 3"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        stream = image._tarball(process, image._Talk(process, lambda line: None))
        with pytest.raises(SandboxUnavailable, match="E: died"):
            for _ in stream:
                pass


def test_no_daemon_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxUnavailable, match="no Docker daemon answers") as caught:
        connect()
    assert "\n" not in str(caught.value) and "DOCKER_HOST" in str(caught.value)


def test_said_is_one_short_line() -> None:
    assert said("a\n b\t c") == "a b c"
    assert len(said("x" * 1000)) == 300
