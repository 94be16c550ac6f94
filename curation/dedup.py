"""Duplicates inside a pool, as clusters: exact ones by `exact_key`, near ones by their 3-grams.

Two prompts are near duplicates if the Jaccard similarity of their 3-gram sets reaches the threshold, they name the same numbers
(variants of one template with other numbers are other problems), and their golds are the same text, and say something (yes, no and
letters of options do not); or the similarity reaches 0.95 and they have the same brackets: then it is the same question, and math
golds that differ are in conflict. Candidates come from MinHash (63 permutations, 21 bands of 3: finds 99.4 % of the pairs at 0.6,
99.98 % at 0.7), and every candidate is compared exactly.
Source: MiMo-7B report, 3.2 ("global n-gram deduplication"); the details are ours.
"""
from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from .text import Hashes, Tokens, exact_key, mix, ngrams

__all__ = ["Cluster", "exact_clusters", "near_clusters"]

_SHINGLE: Final = 3
_BANDS: Final = 21
_ROWS: Final = 3
_CROWD: Final = 64
"""Of a larger bucket only neighbours are compared: equal ones chain up all the same."""
_SAME_QUESTION: Final = 0.95
_POOR_GOLD: Final = re.compile(r"\W*(?:text\W*)?(?:true|false|yes|no|[a-j]|)\W*", re.I)
_NUMBER: Final = re.compile(r"\d+")
_BRACKET: Final = re.compile(r"[()\[\]{}<>]")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Prompts (their places) that are one problem. `similarity` is to the first of them."""

    members: tuple[int, ...]
    rule: str
    similarity: tuple[float, ...]


def exact_clusters(prompts: Sequence[str]) -> list[Cluster]:
    """Clusters of two and more, each in order, by their first member."""
    by_key: dict[str, list[int]] = defaultdict(list)
    for n, prompt in enumerate(prompts):
        by_key[exact_key(prompt)].append(n)
    return [Cluster(tuple(members), "exact", (1.0,) * len(members)) for key, members in by_key.items() if len(members) > 1 and key]


def near_clusters(prompts: Sequence[str], golds: Sequence[str], threshold: float, exempt: Sequence[bool] = ()) -> list[Cluster]:
    """Clusters of two and more among prompts that are no exact duplicates of each other; two `exempt` ones are never joined.

    A member belongs to a cluster if it is a near duplicate of the cluster's first member, not by way of others.
    """
    tokens = Tokens(prompts)
    hashes, owners, _ = ngrams(tokens, _SHINGLE)
    ends = np.searchsorted(owners, np.arange(len(prompts) + 1))
    numbers: dict[int, Counter[str]] = {}

    def same(a: int, b: int) -> float:
        """The similarity if they are near duplicates, else 0."""
        for n in (a, b):
            if n not in numbers:
                numbers[n] = Counter(_NUMBER.findall(prompts[n]))
        if numbers[a] != numbers[b]:
            return 0.0
        ours, theirs = (np.unique(hashes[ends[n]:ends[n + 1]]) for n in (a, b))
        shared = len(np.intersect1d(ours, theirs, assume_unique=True))
        similarity = shared / max(1, len(ours) + len(theirs) - shared)
        if golds[a] == golds[b] and not _POOR_GOLD.fullmatch(golds[a]):
            return similarity if similarity >= threshold else 0.0
        return similarity if similarity >= max(threshold, _SAME_QUESTION) and _brackets(prompts[a]) == _brackets(prompts[b]) else 0.0

    joined: dict[int, int] = {}                     # member -> the first of its cluster
    clusters: dict[int, list[tuple[int, float]]] = {}
    for a, b in sorted(set(_candidates(hashes, ends))):
        first = joined.get(a, a)
        if b in joined or (exempt and exempt[first] and exempt[b]):
            continue
        if similarity := same(first, b):
            joined[first] = joined[b] = first
            clusters.setdefault(first, [(first, 1.0)]).append((b, similarity))
    return [Cluster(tuple(n for n, _ in members), "near", tuple(s for _, s in members)) for members in clusters.values()]


def _brackets(prompt: str) -> Counter[str]:
    return Counter(_BRACKET.findall(prompt))


def _candidates(hashes: Hashes, ends: object) -> Iterator[tuple[int, int]]:
    """Pairs (smaller, larger) that agree in a band."""
    bounds = np.asarray(ends, np.int64)
    held = np.flatnonzero(np.diff(bounds) > 0)
    if len(held) < 2:
        return
    starts = bounds[held]
    for band in range(_BANDS):
        key = np.zeros(len(held), np.uint64)
        for row in range(_ROWS):
            salt = np.uint64((band * _ROWS + row + 1) * 0xC2B2AE3D27D4EB4F & 0xFFFFFFFFFFFFFFFF)
            key = mix(key ^ np.minimum.reduceat(mix(hashes ^ salt), starts))
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        edges = np.flatnonzero(np.diff(ordered)) + 1
        for group in np.split(order, edges):
            if len(group) > 1:
                yield from _pairs(sorted(held[group].tolist()))


def _pairs(members: list[int]) -> Iterable[tuple[int, int]]:
    if len(members) > _CROWD:
        return [*pairwise(members), *((members[0], other) for other in members[1:])]
    return [(a, b) for n, a in enumerate(members) for b in members[n + 1:]]
