"""A training mix out of the kept problems: drawn by weights of domain, source and difficulty, seeded, with a manifest.

    draw(rows, Mix(size=1000, seed=1, weights={"domain=math": 2, "source=gsm8k": 0.5, "difficulty=0.2-0.8": 3}))

A row's weight is the product of the weights that fit it, 1 where none does; 0 leaves it out. Drawn without replacement: row n gets
the key u ** (1 / weight), u a number in (0, 1) hashed from the seed and the row's content, and the largest keys win (Efraimidis and
Spirakis 2006). So the mix depends on the seed and the rows alone, not on their order, and a larger size holds every smaller one.
"""
from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import UsageError

__all__ = ["Drawn", "Mix", "draw", "parse_weights"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A row that may be drawn: its place in the export, its content hash, and what weights look at."""

    place: int
    key: str
    source: str
    domain: str
    pass_rate: float | None


@dataclass(frozen=True, slots=True)
class Mix:
    """How many rows, from which seed, with which weights."""

    size: int
    seed: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)


def parse_weights(texts: Iterable[str]) -> dict[str, float]:
    """From `domain=math:2`, `source=NAME:0.5`, `difficulty=0.2-0.8:3`, `difficulty=unknown:0`. Raises: UsageError."""
    weights: dict[str, float] = {}
    for text in texts:
        name, colon, value = text.rpartition(":")
        kind, equals, wanted = name.partition("=")
        weight = math.nan
        try:
            weight = float(value)
            fits = bool(colon and equals and wanted) and kind in ("domain", "source", "difficulty") and weight >= 0 and math.isfinite(weight)
            if fits and kind == "difficulty" and wanted != "unknown":
                low, high = map(float, wanted.split("-"))
                fits = 0 <= low <= high <= 1
        except ValueError:
            fits = False
        if not fits:
            raise UsageError(f"{text!r}: a weight is domain=NAME:W, source=NAME:W, difficulty=LOW-HIGH:W or difficulty=unknown:W, W at least 0")
        weights[name] = weight
    return weights


def draw(rows: Iterable[Drawn], mix: Mix) -> tuple[list[int], dict[str, Any]]:
    """Places of the rows that are drawn, in order, and the manifest: settings, and counts by source, domain and tenth of the pass rate."""
    keyed = []
    for row in rows:
        weight = math.prod(value for name, value in mix.weights.items() if _fits(name, row))
        if weight > 0:
            digest = hashlib.blake2b(f"{mix.seed}:{row.key}".encode(), digest_size=8).digest()
            share = (int.from_bytes(digest, "big") + 1) / (2**64 + 2)
            keyed.append((math.log(share) / weight, row.key, row))      # the logarithm of the key: no underflow for small weights
    keyed.sort(key=lambda item: (-item[0], item[1]))
    chosen = sorted((row for *_, row in keyed[:mix.size]), key=lambda row: row.place)
    manifest = {"size": len(chosen), "asked": mix.size, "seed": mix.seed, "weights": dict(mix.weights), "drawn_from": len(keyed),
                "sources": _counts(row.source for row in chosen), "domains": _counts(row.domain for row in chosen),
                "difficulty": _counts(_tenth(row.pass_rate) for row in chosen)}
    return [row.place for row in chosen], manifest


def _fits(name: str, row: Drawn) -> bool:
    kind, _, wanted = name.partition("=")
    if kind != "difficulty":
        return wanted == (row.domain if kind == "domain" else row.source)
    if wanted == "unknown" or row.pass_rate is None:
        return wanted == "unknown" and row.pass_rate is None
    low, high = map(float, wanted.split("-"))
    return low <= row.pass_rate <= high


def _tenth(rate: float | None) -> str:
    return "unknown" if rate is None else "1" if rate == 1 else f"{math.floor(rate * 10) / 10:.1f}"


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
