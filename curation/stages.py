"""The stages of a run. Each looks at the rows that no earlier stage decided, and decides some.

    static      type, gold           words and golds of one row
                contamination        against the benchmarks: looks at all rows, so that every overlap is on record
                duplicates           among the rows still there
    graded      gold_check           each gold against itself, through the math verifier
                code                 golden programs through the judge
                difficulty           rollouts
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import partial
from itertools import groupby
from typing import Any, Final, Protocol

import numpy as np

from ..core.problem import Problem, Program, Response
from ..core.verdict import BAD_REFERENCE, Grade, Verdict
from .catalog import Catalog
from .decontaminate import Benchmark, find_contamination
from .dedup import Cluster, exact_clusters, near_clusters
from .difficulty import Evidence, Tally, difficulty
from .filters.gold import gold_filter
from .filters.question_type import type_filter
from .golden import GOLD, GOLDEN, attempt, decide_golden, golden_passes, latest_grades
from .gradebook import GradeBook, Job
from .hashing import hash_text
from .ingest import load_problems
from .items import Decision, Item, alive
from .recipe import DuplicateRules, Recipe
from .tagger import with_tags
from .tallies import tallies
from .text import Tokens
from .tiers import tiers_of

__all__ = [
    "COUNTED",
    "COUNTED_TESTS",
    "GOLD",
    "GOLDEN",
    "Comparer",
    "alive",
    "check_golden",
    "check_golds",
    "contaminated",
    "count_rates",
    "decide_difficulty",
    "decide_golden",
    "decide_golds",
    "filter_contamination",
    "filter_duplicates",
    "filter_golds",
    "filter_types",
    "golden_passes",
    "tier_tests",
]

_SHOWN: Final = 5
_CHUNK: Final = 256
_DECIMAL: Final = re.compile(r"-?\d{1,15}\.\d{6,30}")

Advance = Callable[[int], None]


class Comparer(Protocol):
    """What is needed of a Grader to compare golds."""

    def grade_many(self, items: Sequence[tuple[Problem, Response | Program | str]]) -> list[Grade]: ...


def filter_types(items: Sequence[Item], recipe: Recipe, tags: Mapping[int, str] | None = None, tagger: str = "") -> None:
    """By the rules; where `tags` has an answer of the tagger, by that (tagger.py)."""
    check = type_filter(recipe.type)
    _apply(items, lambda item: with_tags(check(item), (tags or {}).get(item.pid), recipe, tagger))


def filter_golds(items: Sequence[Item], recipe: Recipe) -> None:
    _apply(items, gold_filter(recipe.gold))


def _apply(items: Sequence[Item], check: Callable[[Item], Decision | None]) -> None:
    for item in alive(items):
        item.decision = check(item)


def filter_contamination(items: Sequence[Item], tokens: Tokens, recipe: Recipe, benchmarks: Sequence[Benchmark]) -> dict[str, list[Any]]:
    """Decides, and returns columns of the table `contamination` (without `run`). `tokens` are those of all rows, in their order."""
    rows = [item for item in items if item.type]
    hits = find_contamination([item.prompt for item in rows], benchmarks, recipe.contamination, _tokens_of(tokens, rows))
    table: dict[str, list[Any]] = {name: [] for name in ("row", "benchmark", "item_id", "rule", "span")}
    for hit in hits:
        item = rows[hit.prompt]
        _put(table, item.row, hit.benchmark, hit.item_id, hit.rule, hit.span)
        if item.decision is None:
            item.decision = contaminated(hit.rule, benchmark=hit.benchmark, item=hit.item_id, rule=hit.rule, span=hit.span)
    return table


def contaminated(by: str, /, **evidence: Any) -> Decision:
    """What an overlap by this rule makes of a row."""
    return Decision.reject("contamination", "contam.short_exact" if by == "short_exact" else "contam.ngram", **evidence)


def filter_duplicates(items: Sequence[Item], tokens: Tokens, recipe: Recipe, catalog: Catalog, grader: Comparer) -> dict[str, list[Any]]:
    """Decides, and returns columns of the table `clusters` (without `run`). Exact duplicates first, near ones among what is left."""
    table: dict[str, list[Any]] = {name: [] for name in ("cluster", "row", "best", "rule", "jaccard")}
    rules = recipe.duplicates
    if rules.exact:
        rows = [item for item in alive(items) if item.prompt.strip()]
        _decide_clusters(rows, exact_clusters([item.prompt for item in rows], _tokens_of(tokens, rows)), table, grader)
    if rules.near:
        rows = [item for item in alive(items) if item.prompt.strip()]
        specs = _test_keys(catalog, rows)
        golds = [specs.get(item.pid) or json.dumps(item.golds) for item in rows]
        clusters = near_clusters([item.prompt for item in rows], golds, rules.near, _exempt(rows, rules), _tokens_of(tokens, rows),
                                 [item.type == "code" for item in rows])
        _decide_clusters(rows, clusters, table, grader)
    return table


def _tokens_of(tokens: Tokens, rows: Sequence[Item]) -> Tokens:
    return tokens.take(np.array([item.row for item in rows], np.int64))


def _exempt(rows: Sequence[Item], rules: DuplicateRules) -> list[bool]:
    """Of each row, whether its source is a generated family."""
    sources = {source: any(fnmatchcase(source, pattern) for pattern in rules.exempt_sources) for source in {item.source for item in rows}}
    return [sources[item.source] for item in rows]


def _test_keys(catalog: Catalog, rows: Sequence[Item]) -> dict[int, str]:
    """Of code: a hash of the tests, to tell the same problem from one that reads alike."""
    pids = sorted({item.pid for item in rows if item.type == "code"})
    if not pids:
        return {}
    with catalog.using("wanted", {"pid": pids}):
        rows_of_code = catalog.rows("SELECT pid, md5(reward::VARCHAR) FROM problems SEMI JOIN wanted USING (pid)")
    return dict(rows_of_code)


def _decide_clusters(rows: Sequence[Item], clusters: Sequence[Cluster], table: dict[str, list[Any]], grader: Comparer) -> None:
    """The best member stays: the most tests, then one with a golden program, then the first. Golds that disagree: none stays."""
    verdicts = _GoldComparison(grader, [[rows[n] for n in cluster.members] for cluster in clusters])
    start = max(table["cluster"], default=-1) + 1
    for number, cluster in enumerate(clusters, start):
        members = [rows[n] for n in cluster.members]
        best = min(members, key=_worth)
        for item, similarity in zip(members, cluster.similarity, strict=True):
            _put(table, number, item.row, item is best, cluster.rule, similarity)
        sound = [item for item in members if item.type != "math" or not verdicts.broken(item)]
        for item in members:
            if item not in sound:
                item.decision = Decision.reject("duplicates", "gold.unparseable", gold=item.golds[0],
                                                detail=verdicts.broken(item))
        if conflict := verdicts.conflict([item for item in sound if item.type == "math"]):
            for item in sound:
                item.decision = Decision.reject("duplicates", "gold.conflict", golds=conflict, rows=[other.id for other in sound][:_SHOWN],
                                                rule=cluster.rule)
            continue
        if not sound:
            continue
        best = min(sound, key=_worth)
        for item, similarity in zip(members, cluster.similarity, strict=True):
            if item is not best and item.decision is None:
                item.decision = Decision.reject("duplicates", f"dup.{cluster.rule}", kept=best.id, file=best.file, line=best.line,
                                                similarity=round(similarity, 4))


def _worth(item: Item) -> tuple[int, bool, int]:
    """The smallest is the best."""
    return -item.tests, not item.solutions, item.row


def _put(table: dict[str, list[Any]], *values: Any) -> None:
    for name, value in zip(table, values, strict=True):
        table[name].append(value)


class _GoldComparison:
    """Whether the golds within clusters are sound and equal, by the math verifier; asked only where their texts differ."""

    def __init__(self, grader: Comparer, clusters: Sequence[Sequence[Item]]) -> None:
        asked: dict[tuple[str, str], tuple[Problem, Response | Program | str]] = {}
        for members in clusters:
            golds = sorted({gold for item in members if item.type == "math" for gold in item.golds})
            if len({item.golds for item in members if item.type == "math"}) > 1:
                for a in golds:
                    for b in golds:
                        asked[a, b] = _gold_item(a, b)
        self._pairs = dict(zip(asked, grader.grade_many(list(asked.values())), strict=True)) if asked else {}

    def broken(self, item: Item) -> str:
        """What is wrong with its golds, or ""; "" also where nothing was asked."""
        for gold in item.golds:
            grade = self._pairs.get((gold, gold))
            if grade is not None and grade.verdict is not Verdict.AC and (grade.verdict is not Verdict.IE or grade.reason == BAD_REFERENCE):
                return f"{grade.verdict.value} {grade.reason}: {grade.detail}"[:200]
        return ""

    def conflict(self, items: Sequence[Item]) -> list[str]:
        """Golds that disagree, or []. Two rows agree if some gold of the one is some gold of the other, either way round."""
        for item in items[1:]:
            first = items[0]
            if not any(a == b or _same_decimal(a, b) or self._equal(a, b) for a in first.golds for b in item.golds):
                return [first.golds[0], item.golds[0]]
        return []

    def _equal(self, a: str, b: str) -> bool:
        return any((grade := self._pairs.get(pair)) is not None and grade.verdict is Verdict.AC for pair in ((a, b), (b, a)))


def _same_decimal(a: str, b: str) -> bool:
    """Whether one is the other rounded: 0.8333333333 and 0.8333333333333334. With fewer than 6 decimals nobody can say."""
    short, long = sorted((a.strip(), b.strip()), key=len)
    if not (_DECIMAL.fullmatch(short) and _DECIMAL.fullmatch(long)):
        return False
    return abs(Decimal(short) - Decimal(long)) * 2 <= Decimal(1).scaleb(-len(short.partition(".")[2]))


def _gold_item(reference: str, answer: str) -> tuple[Problem, Response]:
    return Problem.model_validate({"reward": {"type": "math", "answer": reference}}), Response(f"\\boxed{{{answer}}}")


def check_golds(items: Sequence[Item], book: GradeBook, catalog: Catalog, mid: int, vid: int, advance: Advance) -> None:
    """Each gold against itself: one that its own verifier does not accept could never be rewarded."""
    def jobs() -> Iterator[Job]:
        for item in alive(items, "math"):
            for n, gold in enumerate(item.golds):
                problem, response = _gold_item(gold, gold)
                yield Job(item.pid, mid, n, hash_text(gold), vid, response, partial(_same, problem))

    book.grade(jobs(), advance)
    decide_golds(items, catalog, mid, vid)


def decide_golds(items: Sequence[Item], catalog: Catalog, mid: int, vid: int) -> None:
    """By the grades that the catalog has."""
    found = latest_grades(catalog, mid, vid)
    for item in alive(items, "math"):
        for gold in item.golds:
            verdict, reason, detail = found.get((item.pid, hash_text(gold)), ("IE", "ungraded", ""))
            if verdict == "AC":
                continue
            if verdict == "IE" and reason != BAD_REFERENCE:
                item.decision = Decision.undecided("gold_check", "undecided.ungraded", gold=gold, fault=reason, detail=detail)
            else:
                item.decision = Decision.reject("gold_check", "gold.unparseable", gold=gold, verdict=verdict, detail=detail or reason)
                break


def _same(problem: Problem) -> Problem:
    return problem


def check_golden(items: Sequence[Item], book: GradeBook, catalog: Catalog, recipe: Recipe, mid: int, vid: int, advance: Advance) -> None:
    """Every golden program through the judge, `golden_runs` times."""
    book.grade(_golden_jobs(alive(items, "code"), catalog, recipe.code.golden_runs, mid, vid), advance)
    decide_golden(items, catalog, recipe, mid, vid)


def _golden_jobs(rows: Sequence[Item], catalog: Catalog, runs: int, mid: int, vid: int) -> Iterator[Job]:
    for start in range(0, len(rows), _CHUNK):
        chunk = [item for item in rows[start:start + _CHUNK] if item.solutions]
        pids = sorted({item.pid for item in chunk})
        if not pids:
            continue
        problems = load_problems(catalog, pids)
        with catalog.using("wanted", {"pid": pids}):
            programs = {(pid, value): Program(text, language) for pid, value, language, text in catalog.rows(
                "SELECT pid, hash, language, program FROM solutions SEMI JOIN wanted USING (pid)")}
        seen: set[tuple[int, int]] = set()
        for item in chunk:
            for place, value in enumerate(item.solutions):
                if (item.pid, value) in seen:
                    continue
                seen.add((item.pid, value))
                for n in range(runs):
                    yield Job(item.pid, mid, place * runs + n, attempt(value, n), vid, programs[item.pid, value],
                              partial(problems.__getitem__, item.pid))


COUNTED: Final = "counted_rates"
COUNTED_TESTS: Final = "counted_test_rates"


def count_rates(catalog: Catalog) -> None:
    """Sums up what the catalog holds, into the temporary tables COUNTED and COUNTED_TESTS."""
    catalog.rows(f"CREATE OR REPLACE TEMP TABLE {COUNTED} AS FROM v_count ORDER BY mid, pid")
    catalog.rows(f"CREATE OR REPLACE TEMP TABLE {COUNTED_TESTS} AS FROM v_test_count ORDER BY pid, test")


def decide_difficulty(items: Sequence[Item], recipe: Recipe, catalog: Catalog, roles: Mapping[str, Sequence[int]], golden: set[int],
                      rates: str = COUNTED) -> None:
    """Applies the difficulty rules by the counts of `rates`, a table."""
    known = {role: tallies(catalog, mids, recipe.difficulty.scores, rates) for role, mids in roles.items()}
    nothing = Tally()
    for item in alive(items):
        policy, advanced = (known[role].get(item.pid, nothing) for role in ("policy", "advanced"))
        item.decision = difficulty(recipe.difficulty, Evidence(item.type == "code", policy, advanced, item.pid in golden))


def tier_tests(items: Sequence[Item], recipe: Recipe, catalog: Catalog) -> dict[str, list[Any]]:
    """Columns of the table `test_tiers` (without `run`), for code problems that no stage has rejected."""
    table: dict[str, list[Any]] = {name: [] for name in ("pid", "test", "tier")}
    tests = {item.pid: item.tests for item in alive(items, "code") if item.tests > 1}
    if recipe.tiers.method == "none" or not tests:
        return table
    with catalog.using("wanted", {"pid": sorted(tests)}):
        rows = catalog.rows(f"SELECT pid, test, k, n FROM {COUNTED_TESTS} SEMI JOIN wanted USING (pid) ORDER BY pid, test")
    for pid, group in groupby(rows, key=lambda row: row[0]):
        known = list(group)
        if len(known) == tests[pid] and min(n for *_, n in known) >= recipe.tiers.min_rollouts:
            for (_, test, _, _), tier in zip(known, tiers_of([k / n for _, _, k, n in known], recipe.tiers), strict=True):
                _put(table, pid, test, tier)
    return table
