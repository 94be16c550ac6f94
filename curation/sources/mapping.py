"""Mappings: which column of a data set is what. One TOML file of this folder each, or one's own (`--mapping FILE`).

    about = "what such a row looks like"
    requires = ["question", "answer"]       # rows with these keys, and ...
    one_of = ["answer", "tests"]            # ... at least one of these, and ...
    refuses = ["options"]                   # ... none of these, and ...
    where = {data_source = "dapo*"}         # ... with such values (shell patterns), are of this shape
    hub = ["openai/gsm8k"]                  # Hub data sets that are; with no `requires`, only these and by name
    domain = "math"                         # where the row does not say; `source`, `licence` and `url` likewise
    answer_after = "####"                   # the answer is what follows the last one
    answer_boxed = false                    # the answer is the last \\boxed{} of the column
    answer_json = false                     # the answer is JSON text of a list: any of them is right
    solution_continues_prompt = false       # the golden program is prompt + solution
    language = "python"                     # of the golden programs
    languages = {2 = "cpp", 3 = "python"}   # ... where each says its own; those not named here are left out
    solutions_most = 10                     # ... at most so many, the first ones
    prompt_drop = ["Think step by step."]   # texts that are no part of the problem
    checker = "lcb"                         # of programs that read stdin
    memory_unit = "bytes"                   # of `memory_limit` where it is a number; default mb

    [fields]                                # ours = theirs; dots reach into objects; of a list, the first one present
    id, prompt, starter, answer, tests, entry_point, setup, preamble, solution, domain, source, licence, url, revision, options, time_limit,
    memory_limit

The path "*" is the whole row; a path goes on into text that is JSON. `starter` is code to begin with, and goes under the prompt; `preamble`
is Python that programs take for granted. A row is code if it is said to be (`domain`), or where nothing is said, if it has tests. The kinds
of `tests` are in test_shapes.py.
"""
from __future__ import annotations

import contextlib
import difflib
import json
import re
import tomllib
from collections.abc import Mapping as AnyMapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ...core.errors import InputError, RowError, UsageError
from .test_shapes import reward_of_tests

__all__ = ["Mapping", "load_mapping", "shipped_mappings"]

_Texts = Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else tuple(v) if isinstance(v, list) else v)]
_CODE_DOMAINS: Final = frozenset({"code", "coding", "programming"})


class Fields(BaseModel):
    """Ours = theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    id: _Texts = ()
    prompt: _Texts = ()
    starter: _Texts = ()
    answer: _Texts = ()
    tests: _Texts = ()
    entry_point: _Texts = ()
    setup: _Texts = ()
    preamble: _Texts = ()
    solution: _Texts = ()
    domain: _Texts = ()
    source: _Texts = ()
    licence: _Texts = ()
    url: _Texts = ()
    revision: _Texts = ()
    options: _Texts = ()
    time_limit: _Texts = ()
    memory_limit: _Texts = ()


class Mapping(BaseModel):
    """One shape of rows; see the top of this file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    name: str = ""
    about: str = ""
    requires: _Texts = ()
    one_of: _Texts = ()
    refuses: _Texts = ()
    where: dict[str, str] = Field(default_factory=dict)
    hub: _Texts = ()
    domain: str = ""
    source: str = ""
    licence: str | None = None
    url: str | None = None
    language: str = "python"
    languages: dict[str, str] = Field(default_factory=dict)
    solutions_most: int = Field(default=0, ge=0)
    prompt_drop: _Texts = ()
    checker: str = ""
    memory_unit: Literal["mb", "bytes"] = "mb"
    answer_after: str | None = None
    answer_boxed: bool = False
    answer_json: bool = False
    solution_continues_prompt: bool = False
    fields: Fields = Field(default_factory=Fields)

    def fits(self, row: AnyMapping[str, Any]) -> bool:
        keys = {key for key, value in row.items() if value is not None}
        return (bool(self.requires) and keys >= set(self.requires) and not keys & set(self.refuses)
                and (not self.one_of or bool(set(self.one_of) & set(row)))
                and all(fnmatchcase(str(row.get(key)), pattern) for key, pattern in self.where.items()))

    def missing(self, row: AnyMapping[str, Any]) -> list[str]:
        return [key for key in self.requires if row.get(key) is None]

    def apply(self, row: AnyMapping[str, Any], where: str) -> dict[str, Any]:
        """The row in the wire format. Raises: RowError."""
        prompt = _prompt(self._get("prompt", row), where, self.fields.prompt)
        for text in self.prompt_drop:
            prompt = prompt.replace(text, "").strip()
        starter = _text(self._get("starter", row)).strip()
        if starter:
            prompt = f"{prompt}\n\n{starter}"
        domain = _text(self._get("domain", row)) or self.domain
        tests = self._get("tests", row)
        is_code = domain.lower() in _CODE_DOMAINS or (not domain and tests is not None)
        out: dict[str, Any] = {"prompt": prompt, "domain": "code" if is_code else domain or "math"}
        if (row_id := self._get("id", row)) is not None:
            out["id"] = str(row_id)
        for key, fallback in (("source", self.source), ("licence", self.licence), ("url", self.url), ("revision", None)):
            if value := _text(self._get(key, row)) or fallback:
                out[key] = value
        if self._get("options", row):
            out["options"] = self._get("options", row)
        if is_code:
            reward = reward_of_tests(tests, _text(self._get("entry_point", row)) or None, _text(self._get("setup", row)), where,
                                     _text(self._get("preamble", row)))
            if self.checker and reward["mode"] == "stdin":
                reward["checker"] = {"type": self.checker}
            entry = reward.get("entry_point")
            if reward["mode"] == "call" and entry and "." not in entry and "class Solution" in starter:
                reward["entry_point"] = f"Solution.{entry}"
            if limits := self._limits(row):
                reward["limits"] = limits
            out["reward"], out["solutions"] = reward, self._solutions(row, prompt)
        else:
            out["reward"] = {"type": "math", "answer": self._answer(row)}
        used = {field: paths for field, paths in self.fields.model_dump().items() if is_code or field != "solution"}
        taken = {path.split(".")[0] for paths in used.values() for path in paths}
        out |= {key: value for key, value in row.items() if key not in taken and key not in out and value is not None}
        return out

    def _get(self, field: str, row: AnyMapping[str, Any]) -> Any:
        for path in getattr(self.fields, field):
            value: Any = row
            for part in path.split(".") if path != "*" else ():
                if isinstance(value, str) and value.lstrip().startswith("{"):
                    with contextlib.suppress(ValueError, RecursionError):
                        value = json.loads(value)
                value = value.get(part) if isinstance(value, AnyMapping) else None
            if value is not None:
                return value
        return None

    def _answer(self, row: AnyMapping[str, Any]) -> Any:
        value = self._get("answer", row)
        if value is None:
            return ""
        if isinstance(value, str) and self.answer_after is not None:
            return value.rpartition(self.answer_after)[2].strip() if self.answer_after in value else ""
        if isinstance(value, str) and self.answer_boxed:
            return _last_boxed(value)
        if isinstance(value, str) and self.answer_json and value.lstrip().startswith("["):
            with contextlib.suppress(ValueError, RecursionError):       # else an answer that starts with a bracket
                return json.loads(value)
        return value

    def _limits(self, row: AnyMapping[str, Any]) -> dict[str, float]:
        limits: dict[str, float] = {}
        if seconds := _seconds(self._get("time_limit", row)):
            limits["cpu_s"] = seconds
        if memory := _megabytes(self._get("memory_limit", row), self.memory_unit):
            limits["memory_mb"] = memory
        return limits

    def _solutions(self, row: AnyMapping[str, Any], prompt: str) -> list[dict[str, str]]:
        value = self._get("solution", row)
        if self.languages and isinstance(value, AnyMapping):        # columns, as CodeContests has them
            pairs = zip(value.get("language") or (), value.get("solution") or (), strict=False)
            found = [{"program": program, "language": self.languages[str(code)]} for code, program in pairs
                     if str(code) in self.languages and isinstance(program, str) and program.strip()]
            return found[:self.solutions_most or None]
        if isinstance(value, str) and value.lstrip().startswith("["):
            with contextlib.suppress(ValueError):       # else it is a program that starts with a list
                value = json.loads(value)
        programs = value if isinstance(value, list) else [value]
        lead = prompt if self.solution_continues_prompt else ""
        return [{"program": lead + program, "language": self.language} for program in programs
                if isinstance(program, str) and program.strip()][:self.solutions_most or None]


def load_mapping(name: str) -> Mapping:
    """A mapping that ships, by name, or a TOML file. Raises: UsageError, InputError."""
    shipped = shipped_mappings()
    if name in shipped:
        return shipped[name]
    if not name.endswith(".toml"):
        near = difflib.get_close_matches(name, list(shipped), n=1, cutoff=0)
        raise UsageError(f"unknown mapping {name!r}; did you mean `{near[0]}`? ({', '.join(shipped)}, or a file whose name ends in .toml)")
    try:
        text = Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return _parse(text, Path(name).stem, name)


def shipped_mappings() -> dict[str, Mapping]:
    return {file.stem: _parse(file.read_text(), file.stem, file.name) for file in sorted(Path(__file__).parent.glob("*.toml"))}


def _parse(text: str, name: str, where: str) -> Mapping:
    try:
        return Mapping.model_validate({"name": name} | tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = [str(part) for part in first["loc"]]
        if first["type"] == "extra_forbidden":
            known = list(Fields.model_fields if path[0] == "fields" else Mapping.model_fields)
            near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0)
            raise UsageError(f"{where}: unknown key `{'.'.join(path)}`; did you mean `{near[0]}`? "
                             f"(there are: {', '.join(known)})") from None
        raise UsageError(f"{where}: `{'.'.join(path)}`: {first['msg']}") from None


def _prompt(value: Any, where: str, columns: tuple[str, ...]) -> str:
    """Text, or the user's messages of a chat."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(m, AnyMapping) and isinstance(m.get("content"), str) for m in value):
        return "\n\n".join(m["content"] for m in value if m.get("role") != "system")
    raise RowError(f"{where}: no text in {' or '.join(f'`{column}`' for column in columns) or 'any prompt column'}")


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return value if isinstance(value, str) else ""


_QUANTITY: Final = re.compile(r"\s*+(\d++(?:\.\d+)?)\s*+([a-z]*)\s*", re.I)
_TIME_UNITS: Final = {"": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3}
_MEMORY_UNITS: Final = {"mb": 1.0, "megabyte": 1.0, "megabytes": 1.0, "mib": 1.0, "kb": 2.0**-10, "kilobyte": 2.0**-10, "kilobytes": 2.0**-10,
                        "kib": 2.0**-10, "gb": 1024.0, "gigabyte": 1024.0, "gigabytes": 1024.0, "gib": 1024.0, "bytes": 2.0**-20, "b": 2.0**-20}


def _seconds(value: Any) -> float | None:
    """Of 2, "2.0 seconds" or {"seconds": 2, "nanos": 0}; None where it is none of these, or not above 0."""
    if isinstance(value, AnyMapping):
        return _quantity(float(value.get("seconds") or 0) + float(value.get("nanos") or 0) / 1e9, _TIME_UNITS, "")
    return _quantity(value, _TIME_UNITS, "")


def _megabytes(value: Any, unit: str) -> float | None:
    return _quantity(value, _MEMORY_UNITS, unit)


def _quantity(value: Any, units: AnyMapping[str, float], unit: str) -> float | None:
    if isinstance(value, str) and (match := _QUANTITY.fullmatch(value)) and (match[2] or unit).lower() in units:
        value, unit = float(match[1]), (match[2] or unit).lower()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e15:
        return None
    return value * units[unit]


def _last_boxed(text: str) -> str:
    r"""The content of the last \boxed{...} with its braces matched, or ""."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return ""
    depth, begin = 1, start + len("\\boxed{")
    for at in range(begin, len(text)):
        if text[at] in "{}" and text[at - 1] != "\\":
            depth += 1 if text[at] == "{" else -1
            if depth == 0:
                return text[begin:at].strip()
    return ""
