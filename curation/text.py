r"""Prompts as overlap rules see them: `exact_key`, equal for what only formatting tells apart, and `Tokens`, all prompts as numbers.

    exact_key("What is  $\dfrac12+ 1$?") == exact_key("what is \(\frac12 + 1\)") == "what is\frac12+1"
    words("One half, $\frac{1}{2}$: 中文")    ->  one half frac 1 2 中 文

NFKC and case folding first. A CJK character is a token; digits and letters are apart; operators (+ - * / = < > ^ % !) are tokens,
other punctuation is none. Prompts with one exact key have the same tokens. Rules after Lee et al. 2022 and the MiMo-7B report,
section 3.1; the LaTeX part is ours.
"""
from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import filterfalse
from operator import not_
from typing import Final

import numpy as np
import numpy.typing as npt

from ..core.folding import nfkc

__all__ = ["Grams", "Hashes", "Places", "Tokens", "Vocabulary", "exact_key", "gram_chunks", "mix", "ngrams", "words"]

Hashes = npt.NDArray[np.uint64]
Ids = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]
Grams = tuple[Hashes, Places, Places]
"""Of n-grams: hash, prompt, and where in `Tokens.ids` each begins."""

_SIZES: Final = r"left|right|quad|qquad|displaystyle|textstyle"
_SIGNS: Final = r"[,;:! ()\[\]]"
_FORMAT: Final = re.compile(rf"\\(?:{_SIZES})(?![a-z])|(?<!\\)\\{_SIGNS}|~|(?<!\\)\$|[*_]{{2,}}")
_FRACTION: Final = re.compile(r"\\[dtc]frac(?![a-z])")
# Formatting is found as words that count for nothing: one pass over the text.
_MARKS: Final = rf"[0-9]+|[*_]{{2,}}|[+\-*/=<>^%!]|(?<!\\)\\{_SIGNS}|\\(?:{_SIZES}|[dtc]frac)(?![a-z])"
_ASCII_WORD: Final = re.compile(rf"[a-z]+|{_MARKS}")
_WORD: Final = re.compile(rf"[぀-ヿ㐀-鿿豈-﫿가-힯]|(?:(?![぀-ヿ㐀-鿿豈-﫿가-힯])[^\W\d_])+|{_MARKS}")
_LOOSE_SPACE: Final = re.compile(r"(?<!\w) | (?!\w)")
_TRAILING: Final = " .?:;"
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_STEP: Final = np.uint64(0xD6E8FEB86659FD93)
_CHUNK: Final = 1 << 19
"""Tokens whose n-grams are held at once: 50 MB of temporaries, not 1 GB."""


def exact_key(prompt: str) -> str:
    """Equal for two prompts that only spacing, letter case, LaTeX delimiters and sizes, or closing punctuation tell apart."""
    text = _fold(prompt)
    if "\\" in text or "$" in text or "~" in text or "**" in text or "_" in text:
        text = _FRACTION.sub(r"\\frac", _FORMAT.sub(" ", " ".join(text.split())))
    return _LOOSE_SPACE.sub("", " ".join(text.split())).strip(_TRAILING)


def words(prompt: str) -> list[str]:
    """The tokens of a prompt."""
    return list(filterfalse(not_, map(_canonical, _found(prompt))))


def _found(prompt: str) -> list[str]:
    if prompt.isascii():
        return _ASCII_WORD.findall(prompt.lower())
    return _WORD.findall(_fold(prompt))


def _canonical(found: str) -> str:
    """The token of what was found in a text; "" for formatting."""
    if found[0] == "\\":
        return "frac" if found.endswith("frac") else ""
    return "" if found[0] in "*_" and len(found) > 1 else found


def _fold(prompt: str) -> str:
    return nfkc(prompt).casefold()


class Vocabulary(dict[str, int]):
    """What is found in texts -> numbers of tokens, given out as words are met. 0 is formatting; `words[number]` is the token."""

    def __init__(self) -> None:
        super().__init__()
        self.words = [""]

    def __missing__(self, found: str) -> int:
        token = _canonical(found)
        if token != found:
            number = self[token] if token else 0
        else:
            number = len(self.words)
            self.words.append(token)
        self[found] = number
        return number


class Tokens:
    """Prompts as runs of token numbers in one array: prompt n is `ids[starts[n]:starts[n + 1]]`.

    A `vocabulary` given is shared: the same word has the same number in both. 8M tokens take 32 MB.
    """

    def __init__(self, prompts: Iterable[str], vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = Vocabulary() if vocabulary is None else vocabulary
        number = self.vocabulary.__getitem__
        ids = array("I")
        starts = array("q", [0])
        for prompt in prompts:
            ids.extend(map(number, _found(prompt)))
            starts.append(len(ids))
        found = np.frombuffer(ids, np.uint32)
        counts = found != 0
        self.ids: Ids = found[counts]
        self.starts: Places = np.concatenate([[0], np.cumsum(counts)])[np.frombuffer(starts, np.int64)]

    def changed(self, prompts: Mapping[int, str]) -> Tokens:
        """The same with some prompts (by place) replaced; the vocabulary is shared and grows."""
        if not prompts:
            return self
        other = Tokens(prompts.values(), self.vocabulary)
        places = np.arange(len(self), dtype=np.int64)
        places[list(prompts)] = len(self) + np.arange(len(prompts))
        both = Tokens((), self.vocabulary)
        both.ids = np.concatenate([self.ids, other.ids])
        both.starts = np.concatenate([self.starts, len(self.ids) + other.starts[1:]])
        return both.take(places)

    def take(self, places: Places) -> Tokens:
        """Some of the prompts, in the order given; the vocabulary is shared."""
        taken = Tokens((), self.vocabulary)
        lengths = self.lengths()[places]
        taken.starts = np.concatenate([[0], np.cumsum(lengths)])
        shift = np.repeat(self.starts[places] - taken.starts[:-1], lengths)
        taken.ids = self.ids[shift + np.arange(taken.starts[-1])]
        return taken

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, n: int) -> Ids:
        return self.ids[self.starts[n]:self.starts[n + 1]]

    def lengths(self) -> Places:
        return np.diff(self.starts)

    def sums(self, values: npt.NDArray[np.uint64]) -> Hashes:
        """For each prompt the sum, modulo 2^64, of one value a token."""
        total: Hashes = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
        sums: Hashes = total[self.starts[1:]] - total[self.starts[:-1]]
        return sums

    def share_ends(self, opening: Sequence[int], ending: Sequence[int], many: int) -> bool:
        """Whether so many prompts begin with these tokens and end with those."""
        left = np.flatnonzero(self.lengths() >= len(opening) + len(ending))
        for edge, offset, wanted in ((self.starts[:-1], 0, opening), (self.starts[1:], -len(ending), ending)):
            for place, number in enumerate(wanted, offset):
                left = left[self.ids[edge[left] + place] == number]
                if len(left) < many:
                    return False
        return len(left) >= many

    def digests(self) -> Hashes:
        """A hash of each prompt's tokens in their order."""
        place = np.arange(len(self.ids), dtype=np.int64) - np.repeat(self.starts[:-1], self.lengths())
        return self.sums(mix(mix(self.ids.astype(np.uint64)) + place.astype(np.uint64) * _STEP))


def gram_chunks(tokens: Tokens, n: int) -> Iterator[Grams]:
    """Hashes of all n-grams that lie within one prompt, the prompt of each, and where in `tokens.ids` each begins.

    In order, some whole prompts at a time, so that a pool's n-grams need not fit in memory.
    """
    first = 0
    while first < len(tokens):
        last = max(first + 1, int(np.searchsorted(tokens.starts, tokens.starts[first] + _CHUNK, "right")) - 1)
        begin, end = int(tokens.starts[first]), int(tokens.starts[last])
        count = end - begin - n + 1
        if count > 0:
            owners = np.repeat(np.arange(first, last, dtype=np.int64), np.diff(tokens.starts[first:last + 1]))
            inside = np.flatnonzero(owners[:count] == owners[n - 1:])
            mixed = mix(tokens.ids[begin:end].astype(np.uint64))
            hashes = np.zeros(count, np.uint64)
            for at in range(n):
                hashes *= _STEP
                hashes += mixed[at:at + count]
            yield mix(hashes[inside]), owners[inside], inside + begin
        first = last


def ngrams(tokens: Tokens, n: int) -> Grams:
    """All of `gram_chunks` at once."""
    chunks = list(gram_chunks(tokens, n))
    if not chunks:
        return np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64)
    hashes, owners, starts = (np.concatenate(column) for column in zip(*chunks, strict=True))
    return hashes, owners, starts


def mix(values: Hashes) -> Hashes:
    """Spreads numbers over 64 bits (splitmix64's finisher)."""
    values = values + _MIX
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
