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
import numpy.typing as npt

from .recipe import ContaminationRules
from .text import Grams, Places, Tokens, exact_key, gram_chunks, ngrams

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
    r"(?:where|such\s+that)\b(?=[^?]{0,250}?\b(?:prime|coprime|integers?|divisible|square-?free)\b)[^?]{0,300}?\b(?:find|compute|determine|what\s+is)\s++(?:the\s+value\s+of\s++)?"
    r"\$?\s*+[a-z](?:\s*+[+-]\s*+[a-z])+\s*+\$?\s*+[.?]?", re.I)
"""How a competition asks for an answer that is no integer: in every other problem, so no sign of a copy."""
_LONG: Final = 100_000
"""No competition problem is so long, and the pattern above could take minutes for a hostile one."""
_SPAN: Final = 400
"""Characters of a shared span that are stored."""
_SIEVE: Final = 1 << 23
"""Places of a table that tells most n-grams of the pool from those of a benchmark at a glance."""
_PAIRS: Final = 1 << 16
"""(prompt, piece) pairs whose items are looked up at once."""


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


def find_contamination(prompts: Sequence[str], benchmarks: Sequence[Benchmark], rules: ContaminationRules,
                       tokens: Tokens | None = None) -> list[Hit]:
    """All overlaps, ordered by prompt, benchmark and item; of several rules for one pair the first of the list above.

    `tokens` are those of the prompts, where they are known already.
    """
    if not any(bench.prompts for bench in benchmarks):
        return []
    tokens = Tokens(prompts) if tokens is None else tokens
    items = [(bench.name, item_id, prompt) for bench in benchmarks for item_id, prompt in zip(bench.ids, bench.prompts, strict=True)]
    theirs = Tokens((prompt for _, _, prompt in items), tokens.vocabulary)
    said = tokens.changed({n: text for n, prompt in enumerate(prompts) if (text := _said(prompt)) is not prompt})
    they_said = theirs.changed({n: text for n, (_, _, prompt) in enumerate(items) if (text := _said(prompt)) is not prompt})
    found: dict[tuple[int, int], tuple[str, str]] = {}
    for (prompt, item), (start, length) in sorted(_shared_runs(said, they_said, rules).items()):
        found[prompt, item] = "ngram", _spelled(said, start, length)
    if rules.short_exact:
        short = np.flatnonzero(theirs.lengths() < rules.ngram)
        for prompt, place in _whole(prompts, tokens, [items[n][2] for n in short.tolist()], theirs.take(short)):
            found.setdefault((prompt, int(short[place])), ("short_exact", prompts[prompt][:_SPAN]))
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


class _Grams:
    """The different n-grams of a benchmark's items, numbered, and where each is: its places are `places[bounds[g]:bounds[g + 1]]`."""

    def __init__(self, bench: Tokens, n: int) -> None:
        hashes, owners, starts = ngrams(bench, n)
        order = np.argsort(hashes, kind="stable")
        self.bench, self.n = bench, n
        self.owners, self.places = owners[order], starts[order]
        self._keys, firsts = np.unique(hashes[order], return_index=True)
        self.bounds: Places = np.append(firsts, len(hashes)).astype(np.int64)
        self._sieve = np.zeros(_SIEVE, bool)
        self._sieve[self._keys % _SIEVE] = True

    def __len__(self) -> int:
        return len(self._keys)

    def shared(self, pool: Tokens) -> Grams:
        """Where the pool has them: gram, prompt, place. By 64-bit hash, then token by token."""
        found: list[Grams] = []
        for hashes, prompts, starts in gram_chunks(pool, self.n) if len(self) else ():
            maybe = np.flatnonzero(self._sieve[hashes % _SIEVE])
            grams = np.searchsorted(self._keys, hashes[maybe])
            same = self._keys[np.minimum(grams, len(self) - 1)] == hashes[maybe]
            maybe, grams = maybe[same], grams[same]
            same = np.ones(len(maybe), bool)
            for at in range(self.n):
                same &= pool.ids[starts[maybe] + at] == self.bench.ids[self.places[self.bounds[grams]] + at]
            found.append((grams[same].astype(np.uint64), prompts[maybe[same]], starts[maybe[same]]))
        if not found:
            return np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64)
        grams_of, prompts_of, starts_of = (np.concatenate(column) for column in zip(*found, strict=True))
        return grams_of, prompts_of, starts_of

    def items(self) -> tuple[Places, Places]:
        """The different items of each gram, as `items[bounds[g]:bounds[g + 1]]`."""
        pairs = np.unique(np.stack([np.repeat(np.arange(len(self)), np.diff(self.bounds)), self.owners], axis=1), axis=0)
        return pairs[:, 1], np.searchsorted(pairs[:, 0], np.arange(len(self) + 1))


def _spread(values: Places, bounds: Places, chosen: Places) -> tuple[Places, Places]:
    """All values of the chosen groups one after another, and for each the place in `chosen` that it comes from."""
    counts = bounds[chosen + 1] - bounds[chosen]
    origin = np.repeat(np.arange(len(chosen), dtype=np.int64), counts)
    within = np.arange(len(origin)) - np.repeat(np.cumsum(counts) - counts, counts)
    return values[bounds[chosen][origin] + within], origin


def _shared_runs(pool: Tokens, bench: Tokens, rules: ContaminationRules) -> dict[tuple[int, int], tuple[int, int]]:
    """(prompt, item) -> where in the pool its longest shared run begins, and its length in tokens."""
    grams = _Grams(bench, rules.ngram)
    found, prompts, starts = grams.shared(pool)
    if not len(found):
        return {}
    telling = np.zeros(len(grams), bool)
    met = np.unique(found).astype(np.int64)
    telling[met] = _telling(grams, met, pool, bench, rules)
    keep = telling[found.astype(np.int64)]
    chosen, prompts, starts = found[keep].astype(np.int64), prompts[keep], starts[keep]
    theirs, origin = _spread(grams.places, grams.bounds, chosen)
    items, _ = _spread(grams.owners, grams.bounds, chosen)
    prompts, starts = prompts[origin], starts[origin]
    order = np.lexsort((starts, starts - theirs, items, prompts))
    prompts, items, starts, shift = prompts[order], items[order], starts[order], (starts - theirs)[order]
    breaks = np.ones(len(starts), bool)
    breaks[1:] = (np.diff(prompts) != 0) | (np.diff(items) != 0) | (np.diff(shift) != 0) | (np.diff(starts) != 1)
    firsts = np.flatnonzero(breaks)
    lengths = np.diff(np.append(firsts, len(starts))) + rules.ngram - 1
    runs: dict[tuple[int, int], tuple[int, int]] = {}
    for prompt, item, start, length in zip(prompts[firsts].tolist(), items[firsts].tolist(), starts[firsts].tolist(), lengths.tolist(), strict=True):
        if (-length, start) < (-runs.get((prompt, item), (0, 0))[1], runs.get((prompt, item), (0, 0))[0]):
            runs[prompt, item] = start, length
    return runs


def _telling(grams: _Grams, met: Places, pool: Tokens, bench: Tokens, rules: ContaminationRules) -> npt.NDArray[np.bool_]:
    """Which of these n-grams are no boilerplate."""
    _, bounds = grams.items()
    places = grams.places[grams.bounds[met]]
    window = np.sort(bench.ids[places[:, None] + np.arange(rules.ngram)], axis=1)
    distinct = 1 + (np.diff(window, axis=1) != 0).sum(axis=1)
    telling = (np.diff(bounds)[met] <= _ITEMS) & (distinct >= min(_DISTINCT, rules.ngram // 2))
    if rules.boilerplate:
        piece = min(_PIECE, rules.ngram)
        frequency = _document_frequency(pool, bench, piece)
        rarest = frequency[places[:, None] + np.arange(rules.ngram - piece + 1)].min(axis=1)
        telling &= rarest <= max(_LEAST_BOILERPLATE, rules.boilerplate * len(pool))
    return np.asarray(telling, bool)


def _document_frequency(pool: Tokens, bench: Tokens, n: int) -> Places:
    """For each place in the benchmark: in how many prompts of the pool the n-gram is that begins there."""
    grams = _Grams(bench, n)
    found, prompts, _ = grams.shared(pool)
    pairs = np.unique(found.astype(np.int64) * len(pool) + prompts)
    counts = np.bincount(pairs // max(1, len(pool)), minlength=len(grams))
    frequency = np.zeros(len(bench.ids), np.int64)
    frequency[grams.places] = np.repeat(counts, np.diff(grams.bounds))
    return frequency


def _whole(prompts: Sequence[str], tokens: Tokens, items: Sequence[str], theirs: Tokens) -> Iterable[tuple[int, int]]:
    """Prompts that are an item but for formatting. Only those of the same tokens are looked at: see `exact_key`."""
    by_key: dict[str, list[int]] = defaultdict(list)
    for item, text in enumerate(items):
        if key := exact_key(text):
            by_key[key].append(item)
    for n in np.flatnonzero(np.isin(tokens.digests(), theirs.digests())).tolist():
        for item in by_key.get(exact_key(prompts[n]), ()):
            yield n, item


def _covered(pool: Tokens, bench: Tokens, least: float) -> Iterable[tuple[int, int, float]]:
    """Shares of an item's different pieces; items of few pieces are too short to tell a copy from a problem that holds the item."""
    grams = _Grams(bench, _PIECE)
    found, prompts, _ = grams.shared(pool)
    if not len(found):
        return
    items, bounds = grams.items()
    pieces = np.bincount(items, minlength=len(bench))
    pairs = np.unique(prompts * len(grams) + found.astype(np.int64))
    prompts = pairs // len(grams)
    begin = 0
    while begin < len(pairs):
        end = int(np.searchsorted(prompts, prompts[min(begin + _PAIRS, len(pairs)) - 1], "right"))     # whole prompts
        held, origin = _spread(items, bounds, pairs[begin:end] % len(grams))
        both, counts = np.unique(prompts[begin:end][origin] * len(bench) + held, return_counts=True)
        shares = counts / pieces[both % len(bench)]
        for n in np.flatnonzero((shares >= least) & (pieces[both % len(bench)] >= _PIECES)).tolist():
            yield int(both[n]) // len(bench), int(both[n]) % len(bench), float(shares[n])
        begin = end


def _spelled(tokens: Tokens, start: int, length: int) -> str:
    words = tokens.vocabulary.words
    return " ".join(words[number] for number in tokens.ids[start:start + length].tolist())[:_SPAN]
