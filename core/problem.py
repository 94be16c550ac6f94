"""Problems, as data comes in: strict, frozen, unknown keys refused.

    Problem(id, prompt, reward, solutions, source, metadata)
      reward = MathAnswer | CodeTests            tagged union on "type"
    Response(text) | Program(source, language)   what a model gave: text to extract from, or a program taken as it is

The JSON forms are those of docs/wire-format.md. A problem's own faults that only grading can find (no tests, a test without
its output, a gold that does not parse) are not refused here: they become IE `bad_reference`, so that no row vanishes.
"""
from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from .checkers import Checker, TokensChecker
from .folding import nfkc
from .math_policy import MathPolicy

__all__ = ["CodeTests", "Limits", "MathAnswer", "Problem", "Program", "Provenance", "Response", "RewardSpec", "TestCase", "Tiers",
           "content_hash"]

_LARGE = 8 << 20
"""Characters: shorter specs are encoded in one go, which is faster."""
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


@dataclass(frozen=True, slots=True)
class Response:
    """Text from a model: the answer or the program is extracted from it."""

    text: str


@dataclass(frozen=True, slots=True)
class Program:
    """A program taken as it is."""

    source: str
    language: str = "python"


def _as_answer(value: object) -> object:
    """A number is an answer too: 42 is "42". (bool is not: it would print as a Python word.)"""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return value
    return repr(value)


def _as_answers(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(_as_answer(item) for item in value)
    return _as_answer(value)


class MathAnswer(BaseModel):
    """A gold answer. A list means that any one of its entries is right."""

    model_config = _STRICT
    type: Literal["math"] = "math"
    answer: Annotated[str | tuple[str, ...], BeforeValidator(_as_answers)]
    policy: MathPolicy = MathPolicy()

    @property
    def golds(self) -> tuple[str, ...]:
        return (self.answer,) if isinstance(self.answer, str) else self.answer


class Limits(BaseModel):
    """Limits of one test. CPU time decides; wall time is the backstop.

    `wall_s` None means 2 x cpu_s + 1. `memory_mb` counts every process of the program; `output_mb` counts stdout, and
    stderr apart; `processes` counts processes and threads; `file_mb` is the largest file it may write.
    """

    model_config = _STRICT
    cpu_s: float = Field(default=10.0, gt=0, le=3600)
    wall_s: float | None = Field(default=None, gt=0, le=7200)
    memory_mb: float = Field(default=1024, gt=0, le=1 << 20)
    output_mb: float = Field(default=16, gt=0, le=1024)
    processes: int = Field(default=64, ge=1, le=4096)
    file_mb: float = Field(default=64, gt=0, le=4096)


class TestCase(BaseModel):
    """One test: `input` for stdin mode, `args` (and `kwargs`) for call mode, and the expected `output`.

    `tier` and `weight` belong to difficulty-driven rewards; a `limits` here overrides the problem's, key by key.
    """

    __test__ = False    # not a test of pytest's
    model_config = _STRICT
    input: str | None = None
    args: tuple[Any, ...] | None = None
    kwargs: dict[str, Any] | None = None
    output: Any = None
    tier: int | None = Field(default=None, ge=0)
    weight: float | None = Field(default=None, ge=0)
    limits: Limits | None = None

    @model_validator(mode="before")
    @classmethod
    def _json_lists(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("args"), list):
            return data | {"args": tuple(data["args"])}
        return data

    @property
    def has_output(self) -> bool:
        """Whether an expected output is given; null is one (call mode: the function returns None)."""
        return "output" in self.model_fields_set


class Tiers(BaseModel):
    """Scores of the difficulty tiers, easiest first; `TestCase.tier` indexes it. The scores are scaled to sum to 1.

    Source: MiMo-7B report, section 3.3.1. The report gives neither the number of tiers nor their scores, so they are data here.
    """

    model_config = _STRICT
    scores: Annotated[tuple[float, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)] = Field(min_length=1)

    @model_validator(mode="after")
    def _usable(self) -> Tiers:
        if not all(math.isfinite(s) and s >= 0 for s in self.scores) or sum(self.scores) <= 0:
            raise ValueError("tier scores are finite, at least 0, and not all 0")
        return self


class CodeTests(BaseModel):
    """Tests for a program.

    mode `stdin`: the program reads a test's `input`; `call`: `entry_point` (a function, or `Class.method` of a class built
    without arguments) is called with a test's `args`; `assert`: `test_code` runs after the program in the same namespace and,
    if it defines `check`, `check(entry_point)` is called; accepted iff that returns.

    `preamble` is Python that runs before a Python program, for one that takes imports or helpers for granted. The program's names fall back
    on what it defines, as they do on the builtins: a program defines nothing by it, and its line numbers stay its own. In assert mode the
    tests take these names from the preamble, whatever the program calls by them.
    """

    model_config = _STRICT
    type: Literal["code"] = "code"
    mode: Literal["stdin", "call", "assert"] = "stdin"
    tests: Annotated[tuple[TestCase, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)] = ()
    test_code: str | None = None
    entry_point: str | None = None
    checker: Checker = Field(default=TokensChecker(), discriminator="type")
    limits: Limits = Limits()
    stop_on_failure: bool = True
    tiers: Tiers | None = None
    preamble: str | None = None


RewardSpec = Annotated[MathAnswer | CodeTests, Field(discriminator="type")]


class Provenance(BaseModel):
    """Where a problem comes from."""

    model_config = _STRICT
    source: str = ""
    licence: str | None = None
    url: str | None = None
    revision: str | None = None
    row: int | None = None


class Problem(BaseModel):
    """One problem. `id` is its content hash unless the row names one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)
    id: str = ""
    prompt: str = ""
    reward: RewardSpec
    solutions: tuple[Program, ...] = ()
    source: Provenance = Provenance()
    metadata: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_id(self) -> Problem:
        if not self.id:
            object.__setattr__(self, "id", self.content_hash)
        return self

    @property
    def content_hash(self) -> str:
        return content_hash(self.prompt, self.reward)


def content_hash(prompt: str, reward: MathAnswer | CodeTests) -> str:
    """32 hex digits: BLAKE2b-128 of the prompt (NFKC, runs of white space folded, stripped) and the reward spec (canonical JSON).

    The same problem has the same hash anywhere. Settings left at their defaults do not count, so a new setting changes no hash.
    """
    folded = " ".join(nfkc(prompt).split())
    spec = reward.model_dump(mode="python", exclude_defaults=True) | {"type": reward.type}
    encoder = json.JSONEncoder(sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=repr)
    digest = hashlib.blake2b(digest_size=16)
    large = isinstance(reward, CodeTests) and sum(len(test.input or "") for test in reward.tests) > _LARGE
    for part in encoder.iterencode([folded, spec]) if large else (encoder.encode([folded, spec]),):
        for at in range(0, len(part), _LARGE):      # of tests of hundreds of megabytes, no whole copy more than must be
            digest.update(part[at:at + _LARGE].encode())
    return digest.hexdigest()
