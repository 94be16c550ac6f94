"""The story of one problem, and the difference between two runs, as lines of text."""
from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from ..core.errors import UsageError
from .catalog import Catalog
from .items import REASONS
from .terminal import printable

__all__ = ["diff_text", "explain_text", "overlap_lines"]

_WIDTH: Final = 110
_PROMPT: Final = 600
_EXAMPLES: Final = 5


def explain_text(catalog: Catalog, wanted: str) -> str:
    """All that the catalog knows of the rows with this id or content hash. Raises: UsageError if there is none."""
    rows = catalog.rows("SELECT d.row, d.pid, d.problem_id, d.id, d.source, d.domain, d.status, d.stage, d.reason, d.evidence, d.file, d.line "
                        "FROM v_decision d WHERE d.id = ? OR d.problem_id = ? ORDER BY d.row", [wanted, wanted])
    if not rows:
        near = catalog.rows("SELECT DISTINCT id FROM v_decision ORDER BY levenshtein(lower(id[:200]), lower(?)), id LIMIT 3", [wanted[:200]])
        raise UsageError(f"{catalog.path}: no row with the id or content hash {wanted!r}"
                         + (f"; near: {', '.join(str(name) for (name,) in near)}" if near else ""))
    return printable("\n\n".join("\n".join(_story(catalog, *row)) for row in rows))


def _story(catalog: Catalog, row: int, pid: int | None, problem_id: str | None, row_id: str, source: str, domain: str, status: str, stage: str,
           reason: str, evidence: str, file: str, line: int) -> Iterator[str]:
    yield f"{row_id}  ({file}, line {line}; source {source or '-'}, domain {domain or '-'})"
    yield f"{status}: {REASONS['kept']}" if status == "kept" else f"{status} by stage {stage}: {reason}, {REASONS.get(reason, '')}"
    for key, value in json.loads(evidence).items():
        yield from _wrapped(f"  {key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    if pid is None:
        return
    [(prompt, reward)] = catalog.rows("SELECT prompt, reward FROM problems WHERE pid = ?", [pid])
    spec = json.loads(reward)
    yield ""
    yield f"content hash {problem_id}"
    yield from _wrapped(f"prompt: {prompt[:_PROMPT]}{'...' if len(prompt) > _PROMPT else ''}")
    if spec["type"] == "math":
        yield f"gold: {json.dumps(spec.get('answer'), ensure_ascii=False)}"
    else:
        yield f"reward: {spec['type']}, mode {spec.get('mode', 'stdin')}, {len(spec.get('tests', ()))} tests"
    yield from overlap_lines(catalog, row)
    yield from _grades(catalog, pid)


def overlap_lines(catalog: Catalog, row: int) -> Iterator[str]:
    """What a row of the latest finished run has in common with benchmark items and with other rows."""
    for benchmark, item, rule, span in catalog.rows(
            "SELECT benchmark, item_id, rule, span FROM contamination JOIN (SELECT run FROM v_run) USING (run) WHERE row = ? ORDER BY ALL", [row]):
        yield from _wrapped(f"overlaps with {benchmark} {item} ({rule}): {span}")
    for rule, other, best, similarity in catalog.rows(
            "SELECT b.rule, w.id, b.best, b.jaccard FROM clusters a JOIN clusters b USING (run, cluster) JOIN (SELECT run FROM v_run) USING (run) "
            "JOIN pool_rows w ON w.run = b.run AND w.row = b.row WHERE a.row = ? AND b.row <> a.row ORDER BY b.row", [row]):
        yield f"{rule} duplicate: {other}{' (the best of them)' if best else ''}, similarity {similarity:.2f} to the first"


def _grades(catalog: Catalog, pid: int) -> Iterator[str]:
    own = catalog.rows("SELECT m.name, g.sample, g.verdict, g.reason, g.detail FROM v_grade g JOIN models m USING (mid) "
                       "WHERE g.pid = ? AND starts_with(m.name, '@') ORDER BY ALL", [pid])
    for name, sample, verdict, reason, detail in own:
        what = "gold" if name == "@gold" else "golden program"
        yield from _wrapped(f"{what}, run {sample + 1}: {verdict} {reason}" + (f": {detail}" if verdict != "AC" and detail else ""))
    rates = catalog.rows("SELECT model, k, n, pass_rate, low, high FROM v_pass_rate JOIN problems USING (problem_id) WHERE pid = ? ORDER BY model",
                         [pid])
    for model, k, n, rate, low, high in rates:
        verdicts = catalog.rows("SELECT g.verdict || ' ' || g.reason AS what, count(*) FROM v_grade g JOIN models m USING (mid) "
                                "WHERE g.pid = ? AND m.name = ? GROUP BY what ORDER BY count(*) DESC, what", [pid, model])
        yield f"{model}: {k} of {n} right, {rate:.3f} (95 %: {low:.3f} to {high:.3f})"
        yield from _wrapped("  " + ", ".join(f"{what} x{count}" for what, count in verdicts))
    tests = catalog.rows("SELECT test, k, n, tier FROM v_test_difficulty JOIN problems USING (problem_id) WHERE pid = ? ORDER BY test", [pid])
    if tests:
        yield from _wrapped("tests passed: " + ", ".join(
            f"{test + 1}: {k}/{n}" + (f" (tier {tier})" if tier is not None else "") for test, k, n, tier in tests))


def _wrapped(text: str) -> list[str]:
    lines: list[str] = []
    for part in text.splitlines():
        lines += textwrap.wrap(part, _WIDTH, subsequent_indent="    ", break_long_words=False) or [""]
    return lines


def diff_text(catalog: Catalog, old: int, new: int) -> str:
    """How decisions changed from one finished run to another, row by row. Raises: UsageError if there is no such run."""
    finished = {run for (run,) in catalog.rows("SELECT run FROM run_ends")}
    for run in (old, new):
        if run not in finished:
            raise UsageError(f"{catalog.path}: no finished run {run}; there are {', '.join(map(str, sorted(finished))) or 'none'}")
    return "\n".join(_diff(catalog, old, new))


def _diff(catalog: Catalog, old: int, new: int) -> Iterator[str]:
    settings = [_flat(json.loads(text)) for run in (old, new) for (text,) in catalog.rows("SELECT recipe_json FROM runs WHERE run = ?", [run])]
    for key in sorted(settings[0].keys() | settings[1].keys()):
        if settings[0].get(key) != settings[1].get(key):
            yield f"{key}: {settings[0].get(key)} -> {settings[1].get(key)}"
    # A row is known by its id and content; the same one again by its turn.
    side = ("SELECT coalesce(w.id, '') AS id, w.pid, row_number() OVER (PARTITION BY w.id, w.pid ORDER BY row) AS turn, d.status, d.reason "
            "FROM pool_rows w JOIN decisions d USING (run, row) WHERE run = ?")
    moved = catalog.rows(
        f"SELECT coalesce(a.reason, 'absent') AS was, coalesce(b.reason, 'absent') AS now, count(*) AS n, "
        f"list(coalesce(a.id, b.id) ORDER BY coalesce(a.id, b.id))[:{_EXAMPLES}] "
        f"FROM ({side}) a FULL JOIN ({side}) b ON a.id = b.id AND a.pid IS NOT DISTINCT FROM b.pid AND a.turn = b.turn "
        "WHERE a.reason IS DISTINCT FROM b.reason GROUP BY ALL ORDER BY n DESC, was, now", [old, new])
    kept = [n for run in (old, new) for (n,) in catalog.rows("SELECT count(*) FROM decisions WHERE run = ? AND status = 'kept'", [run])]
    yield f"kept: {kept[0]:,} in run {old}, {kept[1]:,} in run {new}"
    for was, now, n, examples in moved:
        yield f"{n:>9,}  {was} -> {now}   {', '.join(examples)}{', ...' if n > len(examples) else ''}"
    if not moved:
        yield "every row has the same decision in both"


def _flat(data: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(data, dict):
        return {prefix: data}
    return {key: value for name, held in data.items() for key, value in _flat(held, f"{prefix}.{name}" if prefix else name).items()}
