"""What is known of each problem's rollouts: sums over all models of a role, as SQL and as `Tally`."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .catalog import Catalog
from .difficulty import Tally

__all__ = ["tallies", "tally_query"]

_COUNTS: Final = {"recorded": ("sum(given)", "sum(recorded)", "sum(recorded_k)", "false"),
                  "ours": ("sum(responses)", "sum(n)", "sum(k)", "sum(tests_k) > 0")}


def tally_query(mids: Sequence[int], scores: str, rates: str) -> str:
    """Columns pid and those of `Tally`, of the problems with rollouts. `rates` is a table, or a query in parentheses, like the table of that name."""
    given, n, k, solved = _COUNTS[scores]
    which = f"mid IN ({', '.join(map(str, mids))})" if mids else "false"
    return (f"SELECT pid, {given} AS given, {n} AS n, {k} AS k, {solved} AS solved_tests FROM {rates} WHERE {which} "
            f"GROUP BY pid HAVING {given} > 0")


def tallies(catalog: Catalog, mids: Sequence[int], scores: str, rates: str) -> dict[int, Tally]:
    """By problem."""
    return {pid: Tally(int(given), int(n), int(k), solved) for pid, given, n, k, solved in catalog.rows(tally_query(mids, scores, rates))}
