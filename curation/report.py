"""A run as one HTML page: funnel, pass rates by source, difficulty of tests, examples of what was rejected.

Self-contained: no script, no font, no address; the page forbids itself to load anything (CSP). Every text of a pool is escaped. Bars
are divs whose widths are percentages, so that the page fits a phone; a bar's number stands beside it as text.
"""
from __future__ import annotations

import html
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ..core.errors import InputError, UsageError
from .catalog import Catalog
from .items import REASONS

__all__ = ["report_html", "write_report"]

_EXAMPLES: Final = 3
_PROMPT: Final = 400
_SOURCES: Final = 12
"""Sources with histograms of their own; the table has them all."""

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --paper: #ffffff; --line: #d9dee3; --kept: #2c7a4b; --out: #b4502f;
  --open: #8a6d1d; --bar: #3b6ea5; --tier0: #7fb3d5; --tier1: #3b6ea5; --tier2: #1d3a5f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #a2abb5; --paper: #14171a; --line: #333a41; --kept: #5fbf86;
  --out: #e08a68; --open: #d1ad4b; --bar: #7aa9d8; --tier0: #b5d4ea; --tier1: #7aa9d8; --tier2: #4678ab; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0.5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; } h3 { font-size: 1rem; margin: 1rem 0 0.25rem; }
.soft { color: var(--soft); } .num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.row { display: grid; grid-template-columns: minmax(8rem, 14rem) 5rem 1fr; gap: 0.5rem; align-items: center; margin: 0.15rem 0; }
.bin { display: grid; grid-template-columns: 5rem 4rem 1fr; gap: 0.5rem; align-items: center; font-size: 0.9rem; }
.track { height: 1rem; } .fill { height: 100%; border-radius: 2px; background: var(--bar); }
.kept { background: var(--kept); } .rejected { background: var(--out); } .undecided { background: var(--open); } .in { background: var(--soft); }
.tier0 { background: var(--tier0); } .tier1 { background: var(--tier1); } .tier2 { background: var(--tier2); }
.stack { display: flex; height: 100%; } .stack .fill { border-radius: 0; min-width: 0; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; } th, td { padding: 0.25rem 0.5rem; text-align: left;
  border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: break-word; }
td:first-child { min-width: 8rem; }
details { border-bottom: 1px solid var(--line); padding: 0.4rem 0; } summary { cursor: pointer; }
blockquote { margin: 0.4rem 0; padding: 0.25rem 0.75rem; border-left: 3px solid var(--line); white-space: pre-wrap; }
code { font-size: 0.85rem; } .key span { display: inline-block; width: 0.8rem; height: 0.8rem; margin: 0 0.3rem 0 0.8rem; }
@media (max-width: 40rem) { body { padding: 0.75rem; }
  .row { grid-template-columns: 1fr auto; gap: 0 0.5rem; margin: 0.4rem 0; } .row .track { grid-column: 1 / -1; height: 0.6rem; } }
"""


def write_report(catalog: Catalog, target: str, *, overwrite: bool = False) -> None:
    """Writes the page, whole or not at all. Raises: UsageError (target exists; no finished run), InputError."""
    place = Path(target)
    if place.exists() and not overwrite:
        raise UsageError(f"{target} exists; --overwrite replaces it")
    page = report_html(catalog).encode("utf-8", "replace")
    beside: Path | None = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
        beside = Path(name)
        with os.fdopen(handle, "wb") as out:
            out.write(page)
        beside.chmod(0o644)
        beside.replace(place)
    except OSError as error:
        if beside is not None:
            beside.unlink(missing_ok=True)
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from error


def report_html(catalog: Catalog) -> str:
    """The page of the latest finished run. Raises: UsageError if there is none."""
    run = catalog.rows("SELECT run, recipe, recipe_hash, rows_in, roles, finished_at, version, recipe_json, inputs FROM v_run")
    if not run:
        raise UsageError(f"{catalog.path}: no run came to its end here; go on with `assay curate ... --resume`")
    number, recipe, digest, rows_in, roles, finished, version, settings, inputs = run[0]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>assay: {_text(catalog.path.name)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_text(catalog.path.name)}</h1>",
        f'<p class="soft">run {number}, recipe {_text(recipe)} ({_text(digest[:8])}), {_text(str(finished)[:19])} UTC, assay {_text(version)}</p>',
        *_funnel(catalog, rows_in), *_sources(catalog), *_rates(catalog, json.loads(roles)), *_tests(catalog), *_examples(catalog),
        "<h2>Settings</h2>", _folded("recipe", f"<blockquote><code>{_text(json.dumps(json.loads(settings), indent=1))}</code></blockquote>"),
        _folded("inputs", f"<blockquote><code>{_text(json.dumps(json.loads(inputs), indent=1))}</code></blockquote>"),
        "</body></html>\n"]
    return "\n".join(parts)


def _funnel(catalog: Catalog, rows_in: int) -> Iterator[str]:
    yield "<h2>Funnel</h2>"
    yield _bar("in", rows_in, rows_in, "in", "rows of the pools")
    rows = catalog.rows("SELECT status, reason, count(*) FROM v_decision GROUP BY ALL ORDER BY count(*) DESC, reason")
    for wanted in ("rejected", "undecided", "kept"):
        for status, reason, n in rows:
            if status == wanted:
                yield _bar(reason, n, rows_in, status, REASONS.get(reason, ""))


def _bar(name: str, n: int, of: int, style: str, title: str) -> str:
    width = 100 * n / max(1, of)
    return (f'<div class="row" title="{_text(title)}"><span>{_text(name)}</span><span class="num">{n:,}</span>'
            f'<div class="track"><div class="fill {style}" style="width:{width:.2f}%"></div></div></div>')


def _sources(catalog: Catalog) -> Iterator[str]:
    yield '<h2>Sources</h2><div class="scroll"><table><tr><th>source</th><th>domain</th><th class="num">rows</th><th class="num">kept</th>'
    yield '<th class="num">policy mean</th></tr>'
    for source, domain, n, kept, mean in catalog.rows("SELECT source, domain, n, kept, mean_pass_rate FROM v_source_stats ORDER BY n DESC, source"):
        rate = "" if mean is None else f"{mean:.2f}"
        yield (f'<tr><td>{_text(source or "-")}</td><td>{_text(domain or "-")}</td><td class="num">{n:,}</td><td class="num">{kept:,}</td>'
               f'<td class="num">{rate}</td></tr>')
    yield "</table></div>"


def _rates(catalog: Catalog, roles: dict[str, list[str]]) -> Iterator[str]:
    """One histogram a role for all problems, and one of the policy for each large source."""
    models = [(role, name) for role, names in roles.items() for name in names]
    if not models:
        yield "<h2>Pass rates</h2><p>No rollouts: the difficulty is unknown.</p>"
        return
    yield '<h2>Pass rates</h2><div class="grid">'
    for role, name in models:
        bins = catalog.rows(_BINS.format(where="model = ?"), [name])
        yield from _histogram(f"{name} ({role})", bins)
    policy = roles.get("policy", [])
    sources = catalog.rows("SELECT source, domain FROM v_decision GROUP BY ALL ORDER BY count(*) DESC, source LIMIT ?", [_SOURCES])
    for source, domain in sources if policy and len(sources) > 1 else ():
        bins = catalog.rows(_BINS.format(
            where="model = ? AND problem_id IN (SELECT problem_id FROM v_decision WHERE source IS NOT DISTINCT FROM ? AND domain IS NOT DISTINCT "
                  "FROM ?)"), [policy[0], source, domain])
        if bins:
            yield from _histogram(f"{source or '-'}, {domain or '-'}: {policy[0]}", bins)
    yield "</div>"


_BINS: Final = ("SELECT CASE WHEN k = n THEN 10 ELSE floor(10.0 * k / n)::INTEGER END AS bin, count(*) FROM v_pass_rate WHERE {where} "
                "GROUP BY bin ORDER BY bin")


def _histogram(title: str, bins: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    counts = dict(bins)
    most = max(counts.values(), default=1)
    yield f'<section><h3>{_text(title)}</h3><p class="soft">{sum(counts.values()):,} problems</p>'
    for place in range(11):
        n = counts.get(place, 0)
        label = "1" if place == 10 else f"{place / 10:.1f} to {(place + 1) / 10:.1f}"
        yield (f'<div class="bin"><span>{label}</span><span class="num">{n:,}</span>'
               f'<div class="track"><div class="fill" style="width:{100 * n / most:.2f}%"></div></div></div>')
    yield "</section>"


def _tests(catalog: Catalog) -> Iterator[str]:
    """Tests by pass rate, coloured by tier: the report's figure of test difficulty (MiMo-7B, 3.3.1)."""
    rows = catalog.rows("SELECT CASE WHEN k = n THEN 10 ELSE floor(10.0 * k / n)::INTEGER END AS bin, coalesce(tier, -1) AS tier, count(*) "
                        "FROM v_test_difficulty GROUP BY ALL ORDER BY ALL")
    if not rows:
        return
    totals: dict[int, int] = {}
    for place, _, n in rows:
        totals[place] = totals.get(place, 0) + n
    most = max(totals.values())
    tiers = sorted({tier for _, tier, _ in rows})
    yield f'<h2>Difficulty of tests</h2><p class="soft">{sum(totals.values()):,} tests by the share of rollouts that pass them</p><p class="key">'
    yield "".join(f'<span class="fill {_tier_style(tier)}"></span>{"no tier" if tier < 0 else f"tier {tier}"}' for tier in tiers) + "</p>"
    for place in range(11):
        label = "1" if place == 10 else f"{place / 10:.1f} to {(place + 1) / 10:.1f}"
        stack = "".join(f'<div class="fill {_tier_style(tier)}" style="width:{100 * n / most:.2f}%" title="{n:,}"></div>'
                        for found, tier, n in rows if found == place)
        yield (f'<div class="bin"><span>{label}</span><span class="num">{totals.get(place, 0):,}</span>'
               f'<div class="track"><div class="stack">{stack}</div></div></div>')


def _tier_style(tier: int) -> str:
    return "in" if tier < 0 else f"tier{min(tier, 2)}"


def _examples(catalog: Catalog) -> Iterator[str]:
    yield "<h2>Examples by reason</h2>"
    rows = catalog.rows(
        "SELECT d.reason, d.id, d.source, d.file, d.line, d.evidence, p.prompt FROM v_decision d LEFT JOIN problems p USING (pid) "
        "WHERE d.status <> 'kept' QUALIFY row_number() OVER (PARTITION BY d.reason ORDER BY d.row) <= ? ORDER BY d.reason, d.row", [_EXAMPLES])
    reasons = dict.fromkeys(row[0] for row in rows)
    for reason in reasons:
        inside = "".join(
            f"<h3>{_text(row_id or '(no id)')}</h3><p class=\"soft\">{_text(source or '-')}; {_text(file)}, line {line}</p>"
            + (f"<blockquote>{_text(prompt[:_PROMPT])}{'...' if len(prompt) > _PROMPT else ''}</blockquote>" if prompt else "")
            + f"<p><code>{_text(_shown(evidence))}</code></p>"
            for found, row_id, source, file, line, evidence, prompt in rows if found == reason)
        yield _folded(f"{reason}: {REASONS.get(reason, '')}", inside)


def _shown(evidence: str) -> str:
    return json.dumps(json.loads(evidence), ensure_ascii=False)[:600]


def _folded(title: str, inside: str) -> str:
    return f"<details><summary>{_text(title)}</summary>{inside}</details>"


def _text(value: str) -> str:
    return html.escape(value, quote=True)
