"""Recipes: the rules of a curation run, as data. `mimo` ships (recipes/mimo.toml, commented); any TOML file of that shape will do.

A setting that a file leaves out has its default here, which is mimo's. Recipes are compared by `digest`, which a run stores.
"""
from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..core.errors import UsageError

__all__ = ["CodeRules", "ContaminationRules", "DifficultyRules", "DuplicateRules", "GoldRules", "Recipe", "Roles", "SftRules", "Stage",
           "TaggerRules", "TierRules", "TypeRules", "load_recipe", "parse_recipe"]

_CONFIG = ConfigDict(frozen=True, extra="forbid", strict=True)
Stage = Literal["ingest", "type", "gold", "contamination", "duplicates", "gold_check", "code", "difficulty"]
Texts = Annotated[tuple[str, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)]


class Roles(BaseModel):
    """Shell patterns of model names, letter case apart."""

    model_config = _CONFIG
    policy: Texts = ("*sft*", "*policy*")
    advanced: Texts = ("*advanced*", "*r1*", "o1*", "o3*", "o4*", "*reason*", "*thinking*")


class TypeRules(BaseModel):
    model_config = _CONFIG
    proof: bool = True
    mcq: bool = True
    multipart: bool = False
    yes_no: bool = False
    needs_figure: bool = False
    language: Texts = ()

    @field_validator("language")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(value) - {"en", "zh", "other"}:
            raise ValueError(f"unknown language {sorted(unknown)[0]!r}: en, zh, other")
        return value


class GoldRules(BaseModel):
    model_config = _CONFIG
    sentinels: Texts = ("none", "null", "nan", "n/a", "na", "unknown", "todo", "tbd", "undefined answer", "no answer", "see solution",
                        "proof", "-", "?")


class ContaminationRules(BaseModel):
    model_config = _CONFIG
    ngram: int = Field(default=16, ge=4, le=64)
    short_exact: bool = True
    coverage: float = Field(default=0.8, ge=0, le=1)
    """0: no coverage rule."""
    boilerplate: float = Field(default=0.0001, ge=0, le=1)


class DuplicateRules(BaseModel):
    model_config = _CONFIG
    exact: bool = True
    near: float = Field(default=0.6, ge=0, le=1)
    exempt_sources: Texts = ("reasoning-gym/*",)
    """Shell patterns."""


class CodeRules(BaseModel):
    model_config = _CONFIG
    golden_runs: int = Field(default=2, ge=1, le=10)
    golden: Literal["all", "any"] = "all"
    require_golden: bool = False


@lru_cache(64)
def _share(text: str) -> Fraction:
    return Fraction(text)


_Share = Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, int | float) and not isinstance(v, bool) else v)]
"""A number is as good as its text: 0.9 is "0.9", exactly nine tenths."""


class _Domain(BaseModel):
    model_config = _CONFIG
    policy_rollouts: int = Field(default=16, ge=1)
    too_easy: _Share = "all"
    advanced_rollouts: int = Field(default=16, ge=1)

    @field_validator("too_easy")
    @classmethod
    def _a_share(cls, value: str) -> str:
        try:
            if value in ("all", "never") or 0 <= Fraction(value) <= 1:
                return value
        except (ValueError, ZeroDivisionError):
            pass
        raise ValueError(f'{value!r} is neither "all", "never" nor a share such as "9/10"')

    def is_too_easy(self, k: int, n: int) -> bool:
        """Whether k right of n are too many, in integers: no rounding decides."""
        if self.too_easy == "never" or n == 0:
            return False
        if self.too_easy == "all":
            return k == n
        share = _share(self.too_easy)
        return k * share.denominator > n * share.numerator


class MathDifficulty(_Domain):
    too_easy: _Share = "9/10"
    advanced_rollouts: int = Field(default=4, ge=1)


class CodeDifficulty(_Domain):
    pass


class DifficultyRules(BaseModel):
    model_config = _CONFIG
    scores: Literal["ours", "recorded"] = "ours"
    require_rollouts: bool = False
    per_test: bool = True
    math: MathDifficulty = MathDifficulty()
    code: CodeDifficulty = CodeDifficulty()


class TierRules(BaseModel):
    """Tiers of tests by their pass rates; see tiers.py."""

    model_config = _CONFIG
    method: Literal["cluster", "quantile", "cuts", "none"] = "cluster"
    count: int = Field(default=3, ge=1, le=20)
    cuts: Annotated[tuple[float, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)] = (0.7, 0.3)
    scores: Annotated[tuple[float, ...], BeforeValidator(lambda v: tuple(map(float, v)) if isinstance(v, list) else v)] = (1.0, 2.0, 3.0)
    min_rollouts: int = Field(default=8, ge=1)

    @model_validator(mode="after")
    def _fitting(self) -> TierRules:
        if list(self.cuts) != sorted(self.cuts, reverse=True):
            raise ValueError("cuts fall, from the easiest tier to the hardest")
        needed = len(self.cuts) + 1 if self.method == "cuts" else self.count
        if self.method != "none" and (len(self.scores) != needed or min(self.scores) < 0 or sum(self.scores) <= 0):
            raise ValueError(f"{needed} tiers need {needed} scores, at least 0 and not all 0")
        return self


class TaggerRules(BaseModel):
    """An LLM that is asked where the rules on types are unsure; see tagger.py."""

    model_config = _CONFIG
    model: str = ""
    """Empty: nobody is asked."""
    base_url: str = ""
    key_env: str = "ASSAY_TAGGER_KEY"
    """The environment variable that holds the key; the key itself is in no recipe."""
    on_failure: Literal["rule", "undecided"] = "rule"
    timeout_s: float = Field(default=60.0, gt=0, le=3600)
    at_once: int = Field(default=8, ge=1, le=256)
    max_tokens: int = Field(default=2048, ge=1)


class SftRules(BaseModel):
    """For `assay sft`; see sft.py."""

    model_config = _CONFIG
    mixed_language: bool = True
    unfinished: bool = True
    most: int = Field(default=8, ge=0)
    """Responses of one query; 0: all."""


class Recipe(BaseModel):
    """What a run does; frozen, unknown keys refused."""

    model_config = _CONFIG
    name: str = "mimo"
    stages: Annotated[tuple[Stage, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)] = (
        "ingest", "type", "gold", "contamination", "duplicates", "gold_check", "code", "difficulty")
    roles: Roles = Roles()
    type: TypeRules = TypeRules()
    gold: GoldRules = GoldRules()
    contamination: ContaminationRules = ContaminationRules()
    duplicates: DuplicateRules = DuplicateRules()
    code: CodeRules = CodeRules()
    difficulty: DifficultyRules = DifficultyRules()
    tiers: TierRules = TierRules()
    sft: SftRules = SftRules()
    tagger: TaggerRules = TaggerRules()

    @field_validator("stages")
    @classmethod
    def _ordered(cls, value: tuple[Stage, ...]) -> tuple[Stage, ...]:
        if not value or value[0] != "ingest":
            raise ValueError('the first stage is "ingest"')
        if len(set(value)) != len(value):
            raise ValueError("a stage is named twice")
        return value

    @property
    def digest(self) -> str:
        """32 hex digits: the same settings have the same digest, however the file was written."""
        return hashlib.blake2b(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode(), digest_size=16).hexdigest()


def load_recipe(name: str) -> Recipe:
    """A recipe that ships, by name, or a TOML file. Raises: UsageError (names the key and the nearest one)."""
    shipped = Path(__file__).with_name("recipes")
    names = sorted(file.stem for file in shipped.glob("*.toml"))
    if name in names:
        text = (shipped / f"{name}.toml").read_text()
    elif name.endswith(".toml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{name}: not TOML: not UTF-8 (byte {error.start})") from error
        except OSError as error:
            raise UsageError(f"{name}: cannot be read: {error.strerror}") from error
    else:
        raise UsageError(f"unknown recipe {name!r}: {', '.join(names)}, or a file whose name ends in .toml")
    try:
        return parse_recipe(tomllib.loads(text), name)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: not TOML: {error}") from None


def parse_recipe(data: dict[str, Any], name: str) -> Recipe:
    """`name` opens the message of an error. Raises: UsageError (names the key and the nearest one)."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise UsageError(f"{name}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    """The first fault: a wrong value as pydantic puts it, an unknown key with the nearest valid one."""
    first = error.errors(include_url=False, include_context=False)[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] != "extra_forbidden":
        return f"`{'.'.join(path)}`: {_wanted(first['type'], path) or first['msg'].removeprefix('Value error, ')}, found {first.get('input')!r}"
    known = list(_keys_at(path[:-1]))
    near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0)
    return f"unknown key `{'.'.join(path)}`; did you mean `{'.'.join([*path[:-1], *near])}`? (there are: {', '.join(known)})"


def _wanted(fault: str, path: list[str]) -> str:
    """For what a TOML file has other words for than pydantic."""
    if fault == "model_type":
        return f"a table, of {', '.join(_keys_at(path))}"
    return {"tuple_type": 'a list, such as ["a", "b"]', "string_type": 'text, such as "a"', "bool_type": "true or false"}.get(fault, "")


def _keys_at(path: list[str]) -> list[str]:
    model: Any = Recipe
    for part in path:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
