"""Which lines of its files of rollouts a run that goes on need not look at: those whose every response has its grade."""
from __future__ import annotations

from collections.abc import Collection, Mapping

from ..core.verdict import BAD_REFERENCE
from .catalog import Catalog

__all__ = ["settled_lines"]


def settled_lines(catalog: Catalog, run: int, vids: Collection[int], skip: Collection[int]) -> Mapping[str, Mapping[int, int]]:
    """File -> line -> its grades. Problems in `skip` get none.

    A run that goes on has the files it began with, as they were (checkpoint.py). But a line stands only for what was stored from it: where an
    earlier run has stored rollouts, they may be of other lines under the same name, or have kept a response of this one from being stored again;
    then nothing is settled.
    """
    earlier = catalog.rows("SELECT 1 FROM runs WHERE run < ? AND json_array_length(inputs, '$.rollouts') > 0 LIMIT 1", [run])
    if earlier or not vids:
        return {}
    found: dict[str, dict[int, int]] = {}
    for file, line, pids, graded in catalog.rows(
            "SELECT r.file, r.line, list(DISTINCT r.pid) FILTER (g.pid IS NULL), count(g.pid) FROM rollouts r LEFT JOIN (SELECT DISTINCT pid, mid, "
            f"sample FROM grades WHERE vid IN ({', '.join(map(str, vids))}) AND (verdict <> 'IE' OR reason = ?)) g USING (pid, mid, sample) "
            "GROUP BY r.file, r.line HAVING min(r.length) >= 0", [BAD_REFERENCE]):
        if all(pid in skip for pid in pids or ()):
            found.setdefault(file, {})[line] = graded
    return found
