"""Recorded scores without responses, by the million: collected row by row, stored column by column."""
from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .hashing import hash_text

__all__ = ["ScoreBatch", "score_hash"]

_NONE: Final = float("nan")
_COLUMNS: Final[tuple[str, ...]] = ("pid", "mid", "first", "count", "line", "sampling", "file")


@lru_cache(1 << 16)
def score_hash(index: int, score: float | None) -> int:
    """What stands for the response of a rollout of which only the score is known: its place in its row, and the score."""
    return hash_text("recorded", str(index), str(score))


class ScoreBatch:
    """Rows of scores on their way into the table `rollouts`. Its length is the number of scores."""

    def __init__(self) -> None:
        self._empty()

    def _empty(self) -> None:
        self._scores = array("d")
        self._rows = array("q")         # _COLUMNS of each row: no objects, nothing to collect
        self._sampling: dict[str | None, int] = {}
        self._files: dict[str | None, int] = {}     # the few texts there are, numbered

    def __len__(self) -> int:
        return len(self._scores)

    def add(self, pid: int, mid: int, first: int, scores: Sequence[float | None], sampling: str | None, file: str, line: int) -> None:
        """One row. `first` is the sample number of its first score."""
        self._scores.extend([_NONE if score is None else score for score in scores] if None in scores else scores)  # type: ignore[arg-type]
        self._rows.extend((pid, mid, first, len(scores), line, self._sampling.setdefault(sampling, len(self._sampling)),
                           self._files.setdefault(file, len(self._files))))

    def taken(self) -> dict[str, Any]:
        """The columns, and the batch is empty again; nothing if it was."""
        import pyarrow as pa

        if not self._scores:
            return {}
        scores = np.frombuffer(self._scores, np.float64)
        rows: dict[str, npt.NDArray[np.int64]] = dict(zip(_COLUMNS, np.frombuffer(self._rows, np.int64).reshape(-1, len(_COLUMNS)).T, strict=True))
        told = {"sampling": list(self._sampling), "file": list(self._files)}
        self._empty()
        counts = rows["count"]
        owner = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        index = (np.arange(len(scores)) - np.repeat(np.cumsum(counts) - counts, counts)).astype(np.int32)
        values, which = _distinct(scores)
        marks = [None if math.isnan(value) else value for value in values.tolist()]
        kinds, kind = _distinct(index.astype(np.int64) * len(marks) + which)
        hashes = np.array([score_hash(n // len(marks), marks[n % len(marks)]) for n in kinds.tolist()], np.uint64)
        texts = {name: pa.DictionaryArray.from_arrays(pa.array(rows[name].astype(np.int32)[owner]), pa.array(known, pa.string()))
                 for name, known in told.items()}
        return {"pid": rows["pid"].astype(np.int32)[owner], "mid": rows["mid"].astype(np.int32)[owner],
                "sample": rows["first"].astype(np.int32)[owner] + index, "hash": hashes[kind], "length": np.full(len(scores), -1, np.int32),
                "recorded": pa.array(scores, mask=np.isnan(scores)), **texts, "line": rows["line"][owner]}


def _distinct(numbers: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """The different numbers in order, and which of them each is; NaN is one of them. Small whole numbers without a sort."""
    small = numbers.astype(np.int64) if numbers.min() >= 0 and numbers.max() < len(numbers) else None     # not so with NaN
    if small is None or (small != numbers).any():
        values, which = np.unique(numbers, return_inverse=True)
        return values, which
    met = np.bincount(small) > 0
    return np.flatnonzero(met).astype(numbers.dtype), (np.cumsum(met) - 1)[small]
