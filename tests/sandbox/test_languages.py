"""languages/*.toml: complete, consistent, and each name only once."""
from __future__ import annotations

from pathlib import Path

import pytest

import assay.sandbox
from assay.sandbox.languages import MIB, languages

DISTINCT = list({language.name: language for language in languages().values()}.values())


def test_the_languages_of_the_design_are_there() -> None:
    assert {"python", "pypy3", "c", "cpp", "c++17", "cpp20", "java", "javascript", "go", "rust", "bash"} <= set(languages())
    assert len(DISTINCT) == len(list((Path(assay.sandbox.__file__).parent / "languages").glob("*.toml")))


@pytest.mark.parametrize("language", DISTINCT, ids=[language.name for language in DISTINCT])
def test_language_is_consistent(language: object) -> None:
    from assay.sandbox.languages import Language

    assert isinstance(language, Language)
    assert all(name == name.lower() for name in language.names)
    assert language.selftest.output
    if language.kind == "native":
        assert language.needs
        assert language.artifact
        assert bool(language.run) == bool(language.run_artifact)
    else:
        assert not language.compile
    if language.precompiled:
        folder = language.precompiled[language.precompiled.index("-o") + 1].split("/")[0]
        assert f"-I/opt/assay/{folder}" in language.compile


def test_compilers_get_twice_the_programs_memory() -> None:
    cpp = languages()["cpp"]
    assert cpp.compile_limits_for_agent(64 * MIB)["memory"] == 512 * MIB
    assert cpp.compile_limits_for_agent(512 * MIB)["memory"] == 1024 * MIB
    assert cpp.compile_limits_for_agent(4096 * MIB)["memory"] == 2048 * MIB
