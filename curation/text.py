r"""Prompts as overlap rules see them: `exact_key`, equal for what only formatting tells apart, and `Tokens`, all prompts as numbers.

    exact_key("What is  $\dfrac12+ 1$?") == exact_key("what is \(\frac12 + 1\)") == "what is\frac12+1"
    words("One half, $\frac{1}{2}$: 中文")    ->  one half frac 1 2 中 文

NFKC and case folding first. A CJK character is a token; digits and letters are apart; operators (+ - * / = < > ^ % !) are tokens,
other punctuation is none. Rules after Lee et al. 2022 and the MiMo-7B report, section 3.1; the LaTeX part is ours.
"""
from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["Tokens", "exact_key", "ngrams", "words"]

Hashes = npt.NDArray[np.uint64]
Ids = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]

_WORD: Final = re.compile(r"[぀-ヿ㐀-鿿豈-﫿가-힯]|[0-9]+|[^\W\d_]+|[+\-*/=<>^%!]")
_FORMAT: Final = re.compile(
    r"\\left(?![a-z])|\\right(?![a-z])|(?<!\\)\\[,;:! ()\[\]]|\\(?:quad|qquad|displaystyle|textstyle)(?![a-z])|~|(?<!\\)\$|[*_]{2,}")
_FRACTION: Final = re.compile(r"\\[dtc]frac(?![a-z])")
_SPACE: Final = re.compile(r"\s+")
_LOOSE_SPACE: Final = re.compile(r"(?<!\w) | (?!\w)")
_TRAILING: Final = " .?!:;"
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_STEP: Final = np.uint64(0xD6E8FEB86659FD93)


def exact_key(prompt: str) -> str:
    """Equal for two prompts that only spacing, letter case, LaTeX delimiters and sizes, or closing punctuation tell apart."""
    text = _SPACE.sub(" ", _fold(prompt))
    text = _SPACE.sub(" ", _FRACTION.sub(r"\\frac", _FORMAT.sub(" ", text)))
    return _LOOSE_SPACE.sub("", text).strip(_TRAILING)


def words(prompt: str) -> list[str]:
    """The tokens of a prompt."""
    return _WORD.findall(_FRACTION.sub("frac", _FORMAT.sub(" ", _fold(prompt))))


def _fold(prompt: str) -> str:
    return prompt.casefold() if prompt.isascii() else unicodedata.normalize("NFKC", prompt).casefold()


class Tokens:
    """Prompts as runs of token numbers in one array: prompt n is `ids[starts[n]:starts[n + 1]]`.

    A `vocabulary` given is shared: the same word has the same number in both. 8M tokens take 32 MB.
    """

    def __init__(self, prompts: Iterable[str], vocabulary: dict[str, int] | None = None) -> None:
        self.vocabulary: dict[str, int] = {} if vocabulary is None else vocabulary
        known = self.vocabulary
        runs: list[Ids] = []
        starts = [0]
        for prompt in prompts:
            ids = [known.setdefault(word, len(known)) for word in words(prompt)]
            runs.append(np.array(ids, np.uint32))
            starts.append(starts[-1] + len(ids))
        self.ids: Ids = np.concatenate(runs) if runs else np.empty(0, np.uint32)
        self.starts: Places = np.array(starts, np.int64)

    def changed(self, prompts: Mapping[int, str]) -> Tokens:
        """The same with some prompts (by place) replaced; the vocabulary is shared and grows."""
        if not prompts:
            return self
        other = Tokens(prompts.values(), self.vocabulary)
        runs = [self.of(n) for n in range(len(self))]
        for place, n in enumerate(prompts):
            runs[n] = other.of(place)
        result = Tokens((), self.vocabulary)
        result.ids = np.concatenate(runs)
        result.starts = np.concatenate([[0], np.cumsum([len(run) for run in runs])]).astype(np.int64)
        return result

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, n: int) -> Ids:
        return self.ids[self.starts[n]:self.starts[n + 1]]

    def lengths(self) -> Places:
        return np.diff(self.starts)


def ngrams(tokens: Tokens, n: int) -> tuple[Hashes, Places, Places]:
    """Hashes of all n-grams that lie within one prompt, the prompt of each, and where in `tokens.ids` each begins; in order."""
    count = len(tokens.ids) - n + 1
    if count <= 0:
        return np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64)
    mixed = mix(tokens.ids.astype(np.uint64))
    hashes = np.zeros(count, np.uint64)
    for at in range(n):
        hashes *= _STEP
        hashes += mixed[at:at + count]
    owners = np.repeat(np.arange(len(tokens), dtype=np.int64), tokens.lengths())
    inside = owners[:count] == owners[n - 1:]
    return mix(hashes[inside]), owners[:count][inside], np.flatnonzero(inside)


def mix(values: Any) -> Hashes:
    """Spreads numbers over 64 bits (splitmix64's finisher)."""
    values = (values + _MIX).astype(np.uint64)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)), np.uint64)
