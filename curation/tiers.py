"""Difficulty tiers of tests. Source: MiMo-7B report, 3.3.1: the pass rate of every test over all rollouts, clustered into levels.

The report gives neither the number of levels nor how they are cut, nor their scores; all three are settings (`[tiers]`), and go into
the exported reward spec, so that a reward is reproducible from the data set alone.

    cluster    the cut into `count` groups with the least squared distance to the groups' means (exact, not k-means)
    quantile   groups of about the same number of tests, equal rates never apart
    cuts       a test of rate >= cuts[0] is of tier 0, else >= cuts[1] of tier 1, ...
"""
from __future__ import annotations

from collections.abc import Sequence

from .recipe import TierRules

__all__ = ["tiers_of"]


def tiers_of(rates: Sequence[float], rules: TierRules) -> list[int]:
    """The tier of each test, 0 the easiest, without gaps. Fewer tiers than asked for where there are fewer different rates."""
    if rules.method == "cuts":
        raw = [sum(rate < cut for cut in rules.cuts) for rate in rates]
    else:
        levels = sorted(set(rates), reverse=True)
        counts = [sum(rate == level for rate in rates) for level in levels]
        groups = min(rules.count, len(levels))
        starts = _least_squares(levels, counts, groups) if rules.method == "cluster" else _quantiles(counts, groups)
        of_level = {level: sum(place >= start for start in starts) - 1 for place, level in enumerate(levels)}
        raw = [of_level[rate] for rate in rates]
    present = sorted(set(raw))
    return [present.index(tier) for tier in raw]


def _least_squares(levels: Sequence[float], counts: Sequence[int], groups: int) -> list[int]:
    """Where each group of consecutive levels begins. Dynamic programming over the number of groups (Fisher 1958)."""
    size = len(levels)

    def cost(start: int, end: int) -> float:
        weight = sum(counts[start:end])
        mean = sum(level * count for level, count in zip(levels[start:end], counts[start:end], strict=True)) / weight
        return sum(count * (level - mean) ** 2 for level, count in zip(levels[start:end], counts[start:end], strict=True))

    best: list[list[tuple[float, list[int]]]] = [[(cost(0, end), [0]) for end in range(1, size + 1)]]
    for group in range(1, groups):
        row: list[tuple[float, list[int]]] = []
        for end in range(1, size + 1):
            options = [(best[group - 1][start - 1][0] + cost(start, end), [*best[group - 1][start - 1][1], start])
                       for start in range(group, end)]
            row.append(min(options, default=best[group - 1][end - 1]))
        best.append(row)
    return best[groups - 1][size - 1][1]


def _quantiles(counts: Sequence[int], groups: int) -> list[int]:
    total, before, starts = sum(counts), 0, [0]
    for place, count in enumerate(counts[:-1], 1):
        before += count
        if len(starts) < groups and before >= total * len(starts) / groups:
            starts.append(place)
    return starts
