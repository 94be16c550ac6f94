"""Languages as data: languages/*.toml, one file a language.

    names = ["python", "python3"]       the first is its name
    kind = "python"                     `python`: in the warm interpreter, all modes; `native`: exec, stdin mode only
    source = "main.py"                  name of the source file
    needs = ["g++"]                     binaries without which it is absent
    debian = ["g++"]                    the Debian packages that the docker sandbox's image has for it
    compile = ["g++", ...]              empty: nothing to compile, the source is the artifact
    artifact = "main"                   what the compiler makes
    run = ["./main"]                    how it is started
    run_artifact = "main"               the artifact's name in the work folder of a run; without it the artifact is exec'd as it is
    precompiled = ["g++", ...]          makes a precompiled header, once an installation (sandbox/headers.py); run in its folder
    [env]                               added to the environment
    [compile_limits]                    cpu_s, wall_s, memory_mb, processes: where they differ from `CompileLimits`
    [selftest]                          program, input, output: proves the language (tests/sandbox)
"""
from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

__all__ = ["WORK", "CompileLimits", "Language", "SelfTest", "languages"]

WORK: Final = "/w"
"""The work folder of programs, in every slot."""

_FOLDER: Final = Path(__file__).parent / "languages"
_BASE_ENV: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": WORK, "TMPDIR": "/tmp"}
MIB: Final = 1 << 20
_LEAST_COMPILE: Final = 512 * MIB
"""g++ with bits/stdc++.h and -O2 needs about 250 MiB."""


@dataclass(frozen=True, slots=True)
class CompileLimits:
    cpu_s: float = 30.0
    wall_s: float = 60.0
    memory_mb: int = 2048
    processes: int = 64


@dataclass(frozen=True, slots=True)
class SelfTest:
    program: str
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Language:
    names: tuple[str, ...]
    kind: Literal["python", "native"]
    source: str
    selftest: SelfTest
    needs: tuple[str, ...] = ()
    debian: tuple[str, ...] = ()
    compile: tuple[str, ...] = ()
    artifact: str = ""
    run: tuple[str, ...] = ()
    run_artifact: str = ""
    precompiled: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    compile_limits: CompileLimits = CompileLimits()

    @property
    def name(self) -> str:
        return self.names[0]

    def for_agent(self) -> dict[str, Any]:
        """What a JOB frame says about it."""
        return {"kind": self.kind, "source": self.source, "needs": self.needs, "compile": self.compile, "artifact": self.artifact,
                "run": self.run, "run_artifact": self.run_artifact, "env": _BASE_ENV | dict(self.env)}

    def compile_limits_for_agent(self, memory_bytes: int) -> dict[str, Any]:
        """The compiler's limits for a program that may use `memory_bytes`: twice that memory, within `_LEAST_COMPILE` and its own limit."""
        limits = self.compile_limits
        memory = min(max(2 * memory_bytes, _LEAST_COMPILE), limits.memory_mb * MIB)
        return {"cpu": limits.cpu_s, "wall": limits.wall_s, "memory": memory, "processes": limits.processes}


@cache
def languages() -> Mapping[str, Language]:
    """Every language, under each of its names."""
    out: dict[str, Language] = {}
    for path in sorted(_FOLDER.glob("*.toml")):
        language = _read(path)
        for name in language.names:
            if name in out:
                raise ValueError(f"{path.name}: the name {name} is taken by {out[name].name}")
            out[name] = language
    return out


def _read(path: Path) -> Language:
    """Raises: ValueError, TypeError for a file that is no language."""
    data: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in tomllib.loads(path.read_text(encoding="utf-8")).items()}
    selftest = SelfTest(**data.pop("selftest"))
    return Language(selftest=selftest, compile_limits=CompileLimits(**data.pop("compile_limits", {})), **data)
