"""Overlap of a pool with benchmarks. Source: MiMo-7B report, 3.1 and 3.2 (16-grams); the second and third rule are ours.

    ngram        a run of n tokens in common, unless it is boilerplate: made of 8-grams that are each in many problems of the pool,
                 or in more than two items, or of few different tokens ("0 0 0 0 ...")
    short_exact  the whole prompt, for items of fewer than n tokens
    coverage     at least this share of the item's 8-grams is in the problem: copies that are edited in places; sees no boilerplate

In the first rule, drawings ([asy] code) and the form of the answer ("where m and n are relatively prime positive integers. Find
m+n") do not count.
Every hit is stored, with what is shared; a problem with any hit is out.
"""
from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .recipe import ContaminationRules
from .text import Hashes, Places, Tokens, exact_key, ngrams

__all__ = ["Benchmark", "Hit", "find_contamination"]

_PIECE: Final = 8
"""Length of the n-grams that coverage counts."""
_PIECES: Final = 5
_LEAST_BOILERPLATE: Final = 8
"""Copies of one item that a pool may hold before its n-grams count as boilerplate, however small the pool."""
_ITEMS: Final = 2
"""An n-gram of more items than this is the benchmark's boilerplate ("where m and n are relatively prime positive integers")."""
_DISTINCT: Final = 6
"""Different tokens that an n-gram needs to say anything."""
_DRAWING: Final = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)", re.S)
_ANSWER_FORM: Final = re.compile(
    r"(?:(?:(?:can|may|could)\s+be|is)\s+)?(?:(?:uniquely\s+)?(?:written|expressed)\s+)?(?:(?:as|in\s+the\s+form)\s+)?(?:\$[^$]{1,80}\$,?\s*)?"
    r"(?:where|such\s+that)\b(?=[^?]{0,250}?\b(?:prime|coprime|integers?|divisible|square-?free)\b)[^?]{0,300}?\b(?:find|compute|determine|what\s+is)\s+(?:the\s+value\s+of\s+)?"
    r"\$?\s*[a-z](?:\s*[+-]\s*[a-z])+\s*\$?\s*[.?]?", re.I)
"""How a competition asks for an answer that is no integer: in every other problem, so no sign of a copy."""
_LONG: Final = 100_000
"""No competition problem is so long, and the pattern above could take minutes for a hostile one."""
_SPAN: Final = 400
"""Characters of a shared span that are stored."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark by name: ids and prompts of its items, of the same length."""

    name: str
    ids: Sequence[str]
    prompts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Hit:
    """Prompt `prompt` (its place in the pool) overlaps with an item. `span`: the shared tokens, the longest run of them."""

    prompt: int
    benchmark: str
    item_id: str
    rule: str
    span: str


def find_contamination(prompts: Sequence[str], benchmarks: Sequence[Benchmark], rules: ContaminationRules) -> list[Hit]:
    """All overlaps, ordered by prompt, benchmark and item; of several rules for one pair the first of the list above."""
    if not any(bench.prompts for bench in benchmarks):
        return []
    tokens = Tokens(prompts)
    items = [(bench.name, item_id, prompt) for bench in benchmarks for item_id, prompt in zip(bench.ids, bench.prompts, strict=True)]
    theirs = Tokens((prompt for _, _, prompt in items), tokens.vocabulary)
    said = tokens.changed({n: text for n, prompt in enumerate(prompts) if (text := _said(prompt)) is not prompt})
    they_said = theirs.changed({n: text for n, (_, _, prompt) in enumerate(items) if (text := _said(prompt)) is not prompt})
    names = {number: word for word, number in tokens.vocabulary.items()}
    found: dict[tuple[int, int], tuple[str, str]] = {}
    for (prompt, item), (start, length) in sorted(_shared_runs(said, they_said, rules).items()):
        found[prompt, item] = "ngram", _spelled(said.ids[start:start + length], names)
    if rules.short_exact:
        for prompt, item in _whole(prompts, [text for _, _, text in items], theirs.lengths() < rules.ngram):
            found.setdefault((prompt, item), ("short_exact", prompts[prompt][:_SPAN]))
    if rules.coverage:
        for prompt, item, share in _covered(tokens, theirs, rules.coverage):
            found.setdefault((prompt, item), ("coverage", f"{share:.0%} of the item's {_PIECE}-grams"))
    return [Hit(prompt, items[item][0], items[item][1], rule, span) for (prompt, item), (rule, span) in sorted(found.items())]


def _said(prompt: str) -> str:
    """A prompt without its drawings and the form of its answer; itself if it has neither."""
    text = _DRAWING.sub(" ", prompt) if "[asy]" in prompt else prompt
    # The pattern is slow to fail; nearly all prompts lack the words that it turns on.
    if len(text) > _LONG or ("here" not in text and "uch that" not in text):
        return text
    bare = _ANSWER_FORM.sub(" ", text)
    return bare if bare != text else text


def _common(pool: Tokens, bench: Tokens, n: int) -> tuple[Places, Places, Places, Places]:
    """Places of equal n-grams: prompt, item, and where each begins. Compared by 64-bit hash, then token by token."""
    ours, prompts, our_starts = ngrams(pool, n)
    theirs, items, their_starts = ngrams(bench, n)
    order = np.argsort(theirs, kind="stable")
    theirs, items, their_starts = theirs[order], items[order], their_starts[order]
    if not len(theirs) or not len(ours):
        nothing = np.empty(0, np.int64)
        return nothing, nothing, nothing, nothing
    first = np.searchsorted(theirs, ours, "left")
    hit = np.flatnonzero(theirs[np.minimum(first, len(theirs) - 1)] == ours)
    first, last = first[hit], np.searchsorted(theirs, ours[hit], "right")
    counts = last - first
    mine = np.repeat(hit, counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    other = np.repeat(first, counts) + within
    same = np.ones(len(mine), bool)
    for at in range(n):
        same &= pool.ids[our_starts[mine] + at] == bench.ids[their_starts[other] + at]
    mine, other = mine[same], other[same]
    return prompts[mine], items[other], our_starts[mine], their_starts[other]


def _shared_runs(pool: Tokens, bench: Tokens, rules: ContaminationRules) -> dict[tuple[int, int], tuple[int, int]]:
    """(prompt, item) -> where in the pool its longest shared run begins, and its length in tokens."""
    prompts, items, starts, their_starts = _common(pool, bench, rules.ngram)
    in_items: dict[int, set[int]] = defaultdict(set)
    for item, start in zip(items.tolist(), starts.tolist(), strict=True):
        in_items[start].add(item)
    piece = min(_PIECE, rules.ngram)
    rarity = _document_frequency(pool, bench, piece)
    cap = max(_LEAST_BOILERPLATE, rules.boilerplate * len(pool)) if rules.boilerplate else len(pool)

    def says_nothing(start: int, their: int) -> bool:
        return (len(in_items[start]) > _ITEMS
                or len(set(pool.ids[start:start + rules.ngram].tolist())) < min(_DISTINCT, rules.ngram // 2)
                or min(rarity.get(their + at, 0) for at in range(rules.ngram - piece + 1)) > cap)

    runs: dict[tuple[int, int], tuple[int, int]] = {}
    current: dict[tuple[int, int, int], tuple[int, int]] = {}   # (prompt, item, diagonal) -> (first, next expected place)
    for prompt, item, start, their in zip(prompts.tolist(), items.tolist(), starts.tolist(), their_starts.tolist(), strict=True):
        if says_nothing(start, their):
            continue
        key = prompt, item, start - their
        begin, expected = current.get(key, (start, start))
        begin = begin if start == expected else start
        current[key] = begin, start + 1
        length = start - begin + rules.ngram
        if length > runs.get((prompt, item), (0, 0))[1]:
            runs[prompt, item] = begin, length
    return runs


def _document_frequency(pool: Tokens, bench: Tokens, n: int) -> dict[int, int]:
    """Place of an n-gram in the benchmark -> in how many prompts of the pool it is."""
    prompts, _, _, their_starts = _common(pool, bench, n)
    if not len(prompts):
        return {}
    pairs = np.unique(np.stack([their_starts, prompts], axis=1), axis=0)
    places, counts = np.unique(pairs[:, 0], return_counts=True)
    return dict(zip(places.tolist(), counts.tolist(), strict=True))


def _whole(prompts: Sequence[str], items: Sequence[str], short: Hashes | Places | object) -> Iterable[tuple[int, int]]:
    by_key: dict[str, list[int]] = defaultdict(list)
    for item, is_short in enumerate(np.asarray(short).tolist()):
        if is_short and (key := exact_key(items[item])):
            by_key[key].append(item)
    if by_key:
        longest = max(map(len, by_key))
        for n, prompt in enumerate(prompts):
            if len(prompt) <= 4 * longest + 64:     # formatting can be long, but not that long
                for item in by_key.get(exact_key(prompt), ()):
                    yield n, item


def _covered(pool: Tokens, bench: Tokens, least: float) -> Iterable[tuple[int, int, float]]:
    """Shares of an item's different pieces; items of few pieces are too short to tell a copy from a problem that holds the item."""
    prompts, items, _, their_starts = _common(pool, bench, _PIECE)
    if not len(prompts):
        return
    hashes, owners, starts = ngrams(bench, _PIECE)
    _, numbers = np.unique(hashes, return_inverse=True)
    kinds = np.unique(np.stack([owners, numbers], axis=1), axis=0)
    pieces = np.bincount(kinds[:, 0], minlength=len(bench))
    mine = numbers[np.searchsorted(starts, their_starts)]
    found = np.unique(np.stack([prompts, items, mine], axis=1), axis=0)
    both, counts = np.unique(found[:, :2], axis=0, return_counts=True)
    for (prompt, item), count in zip(both.tolist(), counts.tolist(), strict=True):
        share = count / int(pieces[item])
        if share >= least and pieces[item] >= _PIECES:
            yield prompt, item, share


def _spelled(ids: object, names: dict[int, str]) -> str:
    return " ".join(names[number] for number in np.asarray(ids).tolist())[:_SPAN]
