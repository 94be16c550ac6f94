"""Duplicates inside a pool, as clusters: exact ones by `exact_key`, near ones by their 3-grams.

Two prompts are near duplicates if the Jaccard similarity of their 3-gram sets reaches the threshold, they name the same numbers
(variants of one template with other numbers are other problems), and their golds are the same text, and say something (yes, no and
letters of options do not); or the similarity reaches 0.95 and one holds the other as a whole but for formatting: then it is the same
question, and math golds that differ are in conflict. (With less than that, golds that differ tell two questions about one figure apart,
and puzzles with other data.) Programming tasks have other tests in each source, so a third way is open to them: one prompt is the other
with whole sentences before or behind it that stand so in at least 8 prompts of the pool, such as how to write the answer.
Candidates come from MinHash (63 permutations, 21 bands of 3: finds 99.4 % of the pairs at 0.6, 99.98 % at 0.7), and every candidate is
compared exactly.
Source: MiMo-7B report, 3.2 ("global n-gram deduplication"); the details are ours.
"""
from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from .text import Hashes, Places, Tokens, exact_key, gram_chunks, mix, ngrams, words

__all__ = ["Cluster", "exact_clusters", "near_clusters"]

_SHINGLE: Final = 3
_BANDS: Final = 21
_ROWS: Final = 3
_CROWD: Final = 64
"""Of a larger bucket only neighbours are compared: equal ones chain up all the same."""
_SAME_QUESTION: Final = 0.95
_FRAME: Final = 8
"""Prompts that have the same sentences around them: fewer may be a part of the task."""
_ENDS: Final = frozenset(".:?!`")
_HELD: Final = 4096
"""Prompts whose shingles are kept for the next comparison."""
_POOR_GOLD: Final = re.compile(
    r"\W*+(?:text\W*+)?(?:true|false|yes|no|even|odd|both|none|neither|always|sometimes|never|positive|negative|[a-j]|)\W*", re.I)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Prompts (their places) that are one problem. `similarity` is to the first of them."""

    members: tuple[int, ...]
    rule: str
    similarity: tuple[float, ...]


def exact_clusters(prompts: Sequence[str], tokens: Tokens | None = None) -> list[Cluster]:
    """Clusters of two and more, each in order, by their first member. `tokens` are those of the prompts, where they are known already."""
    digests = (Tokens(prompts) if tokens is None else tokens).digests()
    _, which, counts = np.unique(digests, return_inverse=True, return_counts=True)
    by_key: dict[str, list[int]] = defaultdict(list)
    for n in np.flatnonzero(counts[which] > 1).tolist():        # the same key means the same tokens
        by_key[exact_key(prompts[n])].append(n)
    return [Cluster(tuple(members), "exact", (1.0,) * len(members)) for key, members in by_key.items() if len(members) > 1 and key]


def near_clusters(prompts: Sequence[str], golds: Sequence[str], threshold: float, exempt: Sequence[bool] = (),
                  tokens: Tokens | None = None, code: Sequence[bool] = ()) -> list[Cluster]:
    """Clusters of two and more among prompts that are no exact duplicates of each other; two `exempt` ones are never joined.

    `code`: which prompts are programming tasks; the gold of these stands for their tests.

    A member belongs to a cluster if it is a near duplicate of the cluster's first member, not by way of others.
    """
    tokens = Tokens(prompts) if tokens is None else tokens
    shingles = lru_cache(_HELD)(lambda n: np.unique(ngrams(tokens.take(np.array([n])), _SHINGLE)[0]))
    numbers = _numbers(tokens)

    def same(a: int, b: int) -> float:
        """The similarity if they are near duplicates, else 0."""
        if numbers[a] != numbers[b]:
            return 0.0
        ours, theirs = shingles(a), shingles(b)
        shared = len(np.intersect1d(ours, theirs, assume_unique=True))
        similarity = shared / max(1, len(ours) + len(theirs) - shared)
        if exact_key(golds[a]) == exact_key(golds[b]) and not _POOR_GOLD.fullmatch(golds[a]):
            return similarity if similarity >= threshold else 0.0
        if similarity >= max(threshold, _SAME_QUESTION) and _holds(prompts[a], prompts[b]):
            return similarity
        return similarity if similarity >= threshold and code and code[a] and code[b] and framed(a, b) else 0.0

    def framed(a: int, b: int) -> bool:
        """Whether one is the other with sentences around it that many prompts have."""
        inner, outer = sorted((exact_key(prompts[a]), exact_key(prompts[b])), key=len)
        before, found, behind = outer.partition(inner)
        if not (inner and found) or (before and not {before[-1], inner[0]} & _ENDS) or (behind and not {inner[-1], behind[0]} & _ENDS):
            return False
        return common(before, behind)

    @lru_cache(_HELD)
    def common(before: str, behind: str) -> bool:
        number = tokens.vocabulary.get
        opening, ending = ([number(word, 0) for word in words(text)] for text in (before, behind))
        return tokens.share_ends(opening, ending, _FRAME)

    joined: dict[int, int] = {}                     # member -> the first of its cluster
    clusters: dict[int, list[tuple[int, float]]] = {}
    for a, b in sorted(set(_candidates(tokens, numbers))):
        first = joined.get(a, a)
        if b in joined or (exempt and exempt[first] and exempt[b]):
            continue
        if similarity := same(first, b):
            joined[first] = joined[b] = first
            clusters.setdefault(first, [(first, 1.0)]).append((b, similarity))
    return [Cluster(tuple(n for n, _ in members), "near", tuple(s for _, s in members)) for members in clusters.values()]


def _holds(one: str, other: str) -> bool:
    """Whether one is the other with something before or behind it, such as how to answer."""
    a, b = exact_key(one), exact_key(other)
    return a in b or b in a


def _numbers(tokens: Tokens) -> Hashes:
    """A hash of the numbers that each prompt names, whatever their order."""
    names = np.array([word.isdecimal() for word in tokens.vocabulary.words])
    return tokens.sums(np.where(names[tokens.ids], mix(tokens.ids.astype(np.uint64)), np.uint64(0)))


def _candidates(tokens: Tokens, numbers: Hashes) -> Iterator[tuple[int, int]]:
    """Pairs (smaller, larger) that agree in a band and name the same numbers."""
    held, least = _signatures(tokens)
    if len(held) < 2:
        return
    for band in range(_BANDS):
        key = numbers[held]
        for row in range(band * _ROWS, (band + 1) * _ROWS):
            key = mix(key ^ least[row])
        order = np.argsort(key, kind="stable")
        edges = np.flatnonzero(np.diff(key[order])) + 1
        begins, ends = np.append(0, edges), np.append(edges, len(order))
        crowded = ends - begins > 1
        for begin, end in zip(begins[crowded].tolist(), ends[crowded].tolist(), strict=True):
            yield from _pairs(sorted(held[order[begin:end]].tolist()))


def _signatures(tokens: Tokens) -> tuple[Places, npt.NDArray[np.uint32]]:
    """The prompts that have a shingle, and row by row their least shingle under each permutation."""
    held: list[Places] = []
    least: list[npt.NDArray[np.uint32]] = []
    for hashes, owners, _ in gram_chunks(tokens, _SHINGLE):
        if len(owners):
            starts = np.flatnonzero(np.diff(owners, prepend=-1))
            short = (hashes >> np.uint64(32)).astype(np.uint32)
            held.append(owners[starts])
            least.append(np.stack([np.minimum.reduceat(_permuted(short, row), starts) for row in range(_BANDS * _ROWS)]))
    if not held:
        return np.empty(0, np.int64), np.empty((0, 0), np.uint32)
    return np.concatenate(held), np.concatenate(least, axis=1)


def _permuted(values: npt.NDArray[np.uint32], row: int) -> npt.NDArray[np.uint32]:
    """A permutation of the 32-bit numbers, another one for each row."""
    salt = int(mix(np.array([row + 1], np.uint64))[0])
    values = (values ^ np.uint32(salt & 0xFFFFFFFF)) * np.uint32(salt >> 32 | 1)
    return (values ^ (values >> np.uint32(15))) * np.uint32(salt >> 16 & 0xFFFFFFFF | 1)


def _pairs(members: list[int]) -> Iterable[tuple[int, int]]:
    if len(members) > _CROWD:
        return [*pairwise(members), *((members[0], other) for other in members[1:])]
    return [(a, b) for n, a in enumerate(members) for b in members[n + 1:]]
