"""A catalog in words: the funnel, pass rates as a histogram, and what to do next. Plain text, made for a terminal of 80 columns."""
from __future__ import annotations

import json
from collections.abc import Iterator

from .catalog import Catalog
from .items import REASONS

__all__ = ["stats_text"]

_BAR = 40


def stats_text(catalog: Catalog) -> str:
    """The latest run that came to its end, as lines of text; or that there is none."""
    run = catalog.rows("SELECT run, recipe, recipe_hash, rows_in, roles, finished_at FROM v_run")
    if not run:
        return f"{catalog.path}: no run came to its end here; go on with `assay curate ... --resume`"
    return "\n".join(_lines(catalog, *run[0]))


def _lines(catalog: Catalog, run: int, recipe: str, digest: str, rows_in: int, roles: str, finished: object) -> Iterator[str]:
    yield f"run {run}, recipe {recipe} ({digest[:8]}), {str(finished)[:19]} UTC"
    yield ""
    yield from _funnel(catalog, rows_in)
    for role, names in json.loads(roles).items():
        for name in names:
            yield from _histogram(catalog, role, name)
    sources = catalog.rows("SELECT source, domain, n, kept, mean_pass_rate FROM v_source_stats ORDER BY n DESC, source LIMIT 20")
    yield ""
    yield f"{'source':<34}{'domain':<10}{'rows':>9}{'kept':>9}{'policy mean':>13}"
    for source, domain, n, kept, mean in sources:
        yield f"{(source or '-')[:33]:<34}{(domain or '-')[:9]:<10}{n:>9,}{kept:>9,}{'' if mean is None else f'{mean:.2f}':>13}"
    yield ""
    yield "next:"
    yield f'  assay sql {catalog.path} "SELECT reason, id, evidence FROM v_decision WHERE status <> \'kept\' LIMIT 10"'
    yield f"  assay export {catalog.path} -o kept.parquet"


def _funnel(catalog: Catalog, rows_in: int) -> Iterator[str]:
    counts = catalog.rows("SELECT status, reason, count(*) FROM v_decision GROUP BY ALL ORDER BY count(*) DESC, reason")
    yield f"{'in':<28}{rows_in:>9,}"
    for status, sign in (("rejected", "-"), ("undecided", "?")):
        for found, reason, n in counts:
            if found == status:
                yield f"  {sign} {reason:<24}{n:>9,}  {REASONS.get(reason, '')}"
    kept = sum(n for status, _, n in counts if status == "kept")
    share = f"  {kept / rows_in:.1%} of the rows" if rows_in else ""
    yield f"{'kept':<28}{kept:>9,}{share}"


def _histogram(catalog: Catalog, role: str, model: str) -> Iterator[str]:
    """Pass rates of one model in tenths; a rate of 1 stands alone, since it is what the rules look at."""
    rows = dict(catalog.rows(
        "SELECT CASE WHEN k = n THEN 10 ELSE floor(10.0 * k / n)::INTEGER END AS bin, count(*) FROM v_pass_rate WHERE model = "
        "CAST(? AS VARCHAR) GROUP BY bin", [model]))
    if not rows:
        return
    most, total = max(rows.values()), sum(rows.values())
    yield ""
    yield f"pass rate of {model} ({role}), {total:,} problems"
    for place in range(11):
        n = rows.get(place, 0)
        label = "    1    " if place == 10 else f"{place / 10:.1f} - {(place + 1) / 10:.1f}"
        bar = "█" * round(_BAR * n / most) or ("▏" if n else "")
        yield f"  {label} {n:>8,} {bar}"
