"""Mappings: which column of a data set is what. One TOML file of this folder each, or one's own (`--mapping FILE`).

    about = "what such a row looks like"
    requires = ["question", "answer"]       # rows with these keys, and ...
    one_of = ["answer", "tests"]            # ... at least one of these, and ...
    refuses = ["options"]                   # ... none of these, are of this shape
    domain = "math"                         # where the row does not say; `source`, `licence` and `url` likewise
    answer_after = "####"                   # the answer is what follows the last one
    answer_boxed = false                    # the answer is the last \\boxed{} of the column
    solution_continues_prompt = false       # the golden program is prompt + solution
    language = "python"                     # of the golden programs

    [fields]                                # ours = theirs; dots reach into objects; of a list, the first one present
    id, prompt, answer, tests, entry_point, setup, solution, domain, source, licence, url, options

A row is code if it is said to be (`domain`), or where nothing is said, if it has tests. The kinds of `tests` are in test_shapes.py.
"""
from __future__ import annotations

import contextlib
import difflib
import json
import tomllib
from collections.abc import Mapping as AnyMapping
from pathlib import Path
from typing import Annotated, Any, Final

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
    answer: _Texts = ()
    tests: _Texts = ()
    entry_point: _Texts = ()
    setup: _Texts = ()
    solution: _Texts = ()
    domain: _Texts = ()
    source: _Texts = ()
    licence: _Texts = ()
    url: _Texts = ()
    options: _Texts = ()


class Mapping(BaseModel):
    """One shape of rows; see the top of this file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    name: str = ""
    about: str = ""
    requires: _Texts = ()
    one_of: _Texts = ()
    refuses: _Texts = ()
    domain: str = ""
    source: str = ""
    licence: str | None = None
    url: str | None = None
    language: str = "python"
    answer_after: str | None = None
    answer_boxed: bool = False
    solution_continues_prompt: bool = False
    fields: Fields = Field(default_factory=Fields)

    def fits(self, row: AnyMapping[str, Any]) -> bool:
        keys = {key for key, value in row.items() if value is not None}
        return (keys >= set(self.requires) and not keys & set(self.refuses)
                and (not self.one_of or bool(set(self.one_of) & set(row))))

    def missing(self, row: AnyMapping[str, Any]) -> list[str]:
        return [key for key in self.requires if row.get(key) is None]

    def apply(self, row: AnyMapping[str, Any], where: str) -> dict[str, Any]:
        """The row in the wire format. Raises: RowError."""
        prompt = _prompt(self._get("prompt", row), where, self.fields.prompt)
        domain = _text(self._get("domain", row)) or self.domain
        tests = self._get("tests", row)
        is_code = domain.lower() in _CODE_DOMAINS or (not domain and tests is not None)
        out: dict[str, Any] = {"prompt": prompt, "domain": "code" if is_code else domain or "math"}
        if (row_id := self._get("id", row)) is not None:
            out["id"] = str(row_id)
        for key, fallback in (("source", self.source), ("licence", self.licence), ("url", self.url)):
            if value := _text(self._get(key, row)) or fallback:
                out[key] = value
        if self._get("options", row):
            out["options"] = self._get("options", row)
        if is_code:
            out["reward"] = reward_of_tests(tests, _text(self._get("entry_point", row)) or None, _text(self._get("setup", row)), where)
            out["solutions"] = self._solutions(row, prompt)
        else:
            out["reward"] = {"type": "math", "answer": self._answer(row)}
        used = {field: paths for field, paths in self.fields.model_dump().items() if is_code or field != "solution"}
        taken = {path.split(".")[0] for paths in used.values() for path in paths}
        out |= {key: value for key, value in row.items() if key not in taken and key not in out and value is not None}
        return out

    def _get(self, field: str, row: AnyMapping[str, Any]) -> Any:
        for path in getattr(self.fields, field):
            value: Any = row
            for part in path.split("."):
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
        return value

    def _solutions(self, row: AnyMapping[str, Any], prompt: str) -> list[dict[str, str]]:
        value = self._get("solution", row)
        if isinstance(value, str) and value.lstrip().startswith("["):
            with contextlib.suppress(ValueError):       # else it is a program that starts with a list
                value = json.loads(value)
        programs = value if isinstance(value, list) else [value]
        lead = prompt if self.solution_continues_prompt else ""
        return [{"program": lead + program, "language": self.language} for program in programs
                if isinstance(program, str) and program.strip()]


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
