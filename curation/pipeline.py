"""`curate`: pools, rollouts and benchmarks through a recipe into a catalog. Every row of the input gets exactly one decision.

    ingest -> static stages -> golds and golden programs -> rollouts -> decisions, all at once, at the end

Grades are committed as they are made, decisions in one transaction when all stages are through: a run that is killed loses at most
a batch of grades, and `resume` grades only what is missing. The same inputs give the same decisions, however often it was killed.
"""
from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

from .. import __version__
from ..core.errors import AssayError, CatalogError, InputError, UsageError
from ..verifiers.grader import Grader
from . import stages
from .catalog import Catalog
from .checkpoint import begun, decision_columns, hold, load_items, run_key, was_finished
from .decontaminate import Benchmark
from .gradebook import GradeBook
from .ingest import ingest
from .items import Decision, Item, Status
from .recipe import Recipe
from .roles import assign_roles, check_asked
from .rollouts import RolloutReader, model_names
from .settled import settled_lines
from .snapshot import Publisher, remove_snapshots
from .sources.reader import check_source, read_benchmark
from .tagger import Tagger, ask_tagger, known_tags
from .text import Tokens

__all__ = ["Inputs", "Summary", "curate", "open_for_run", "read_benchmarks"]

Advance = Callable[[str, int], None]
_GRADED: Final = ("gold_check", "code", "difficulty")
"""Stages that may take long: before each, what is decided is stored."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run reads. Benchmarks are `NAME=FILE` or `FILE`; `policy` and `advanced` are model names that go before the recipe's."""

    pools: tuple[str, ...]
    rollouts: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    mapping: str | None = None
    policy: tuple[str, ...] = ()
    advanced: tuple[str, ...] = ()

    def key(self, recipe: Recipe, tagger: str = "") -> str:
        """See checkpoint.py."""
        files = [*self.pools, *self.rollouts, *(_benchmark_file(text)[1] for text in self.benchmarks)]
        own_mapping = [self.mapping] if self.mapping and self.mapping.endswith(".toml") else []
        return run_key(recipe.digest, asdict(self) | {"tagger": tagger}, [*files, *own_mapping])

    def check(self) -> None:
        """Before anything is made or replaced: every file is there. Raises: UsageError."""
        for path in (*self.pools, *self.rollouts, *(_benchmark_file(text)[1] for text in self.benchmarks)):
            check_source(path)


@dataclass(slots=True)
class Summary:
    """What a run did."""

    rows: int = 0
    status: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    graded: int = 0
    reused: int = 0
    bad_rollouts: int = 0
    unknown_rollouts: int = 0

    @property
    def ungraded(self) -> int:
        """Rows left undecided by a fault of ours."""
        return self.reasons["undecided.ungraded"]


@contextlib.contextmanager
def open_for_run(path: str, *, resume: bool, overwrite: bool) -> Iterator[Catalog]:
    """The catalog to write. One that was made here and got no row is taken away again when the run fails.

    Raises: UsageError if it exists and neither `resume` nor `overwrite` is said; CatalogError, InputError.
    """
    place = Path(path)
    if resume and overwrite:
        raise UsageError("--resume goes on with a catalog, --overwrite begins a new one: not both")
    if place.is_file() and not place.stat().st_size:
        place.unlink()      # a run that was killed while it made the file
    if place.exists() and not resume:
        if not overwrite:
            raise UsageError(f"{path} exists: --resume goes on with it (nothing is graded twice), --overwrite begins anew")
        Catalog.open(place, read_only=True).close()     # only a catalog is overwritten, and only one that nobody uses
        _remove(place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{place.parent}: cannot be made: {error.strerror}") from error
    is_new = not place.exists()
    with Catalog.open(place) as catalog:
        try:
            yield catalog
        except AssayError:
            if is_new and _is_empty(catalog):
                catalog.close()
                _remove(place)
            raise


def _is_empty(catalog: Catalog) -> bool:
    try:
        return not catalog.rows("SELECT 1 FROM pool_rows LIMIT 1")
    except InputError:      # after a full disk nobody can say: it stays
        return False


def _remove(place: Path) -> None:
    place.unlink(missing_ok=True)
    Path(f"{place}.wal").unlink(missing_ok=True)
    remove_snapshots(place)


def curate(catalog: Catalog, inputs: Inputs, recipe: Recipe, grader: Grader, say: Callable[[str], None] = lambda _: None,
           advance: Advance = lambda _stage, _done: None, tagger: Tagger | None = None) -> Summary:
    """One run. `say` gets a line of talk, `advance` a stage's name and how much of it is done; a `tagger` goes before the recipe's.

    Raises: UsageError, InputError, CatalogError, SandboxUnavailable (programs to run, and no sandbox).
    """
    key = inputs.key(recipe, tagger.name if tagger else "")
    if (finished := was_finished(catalog, key)) is not None:
        say(f"nothing has changed since run {finished}: its decisions stand (--overwrite begins anew)")
        return _summary_of(catalog, finished)
    _check_roles(catalog, inputs)
    benchmarks = read_benchmarks(inputs.benchmarks)
    publisher = Publisher(catalog, say)
    catalog.after_commit = publisher.after_commit
    if before := begun(catalog, key):
        run, done = before
        say(f"going on with run {run} behind its stage {done[-1]}")
        items = load_items(catalog, run, texts=any(stage not in ("code", "difficulty") for stage in recipe.stages[len(done):]), table="held")
    else:
        run, done = _begin(catalog, inputs, recipe, key), []
        items = ingest(catalog, run, inputs.pools, inputs.mapping, say, lambda n: advance("ingest", n))
    if not items:
        raise UsageError(f"no rows in {', '.join(inputs.pools)}")
    _check_all_there(catalog, run, items)
    held = {item.row for item in items if item.decision is not None} if done else set()
    models = _models(catalog)
    verifiers = _verifiers(catalog, run)
    book = GradeBook(catalog, grader)
    tables: dict[str, dict[str, list[Any]]] = {}
    summary = Summary()
    role_names: dict[str, list[str]] = {"policy": [], "advanced": []}
    tokens = lru_cache(1)(lambda: Tokens(item.prompt for item in items))
    for place, stage in enumerate(recipe.stages[len(done):], len(done)):
        if stage in _GRADED and place > len(done):
            hold(catalog, run, recipe.stages[:place], items, tables, held)
            tables.clear()
        publisher.between_stages()
        advance(stage, 0)
        if stage == "type":
            tags = ask_tagger(items, catalog, recipe, tagger, say)
            stages.filter_types(items, recipe, tags, tagger.name if tagger else recipe.tagger.model)
        elif stage == "gold":
            stages.filter_golds(items, recipe)
        elif stage == "contamination":
            tables["contamination"] = stages.filter_contamination(items, tokens(), recipe, benchmarks)
        elif stage == "duplicates":
            tables["clusters"] = stages.filter_duplicates(items, tokens(), recipe, catalog, grader)
        elif stage == "gold_check":
            stages.check_golds(items, book, catalog, models[stages.GOLD], verifiers["math"], lambda n: advance("gold_check", n))
        elif stage == "code":
            stages.check_golden(items, book, catalog, recipe, models[stages.GOLDEN], verifiers["code"], lambda n: advance("code", n))
        elif stage == "difficulty":
            reader = RolloutReader(catalog, items, models, verifiers, say)
            ours = recipe.difficulty.scores == "ours"
            skip = _ungradable(items) if ours else {item.pid for item in items}
            settled = settled_lines(catalog, run, verifiers.values(), skip) if done and ours else {}
            book.grade(reader.jobs(inputs.rollouts, skip, recipe.difficulty.per_test, settled), lambda n: advance("rollouts", n))
            book.reused += reader.reused
            models = reader.models
            roles = assign_roles(models, inputs.policy, inputs.advanced, recipe.roles, say)
            named = {mid: name for name, mid in models.items()}
            role_names = {role: [named[mid] for mid in mids] for role, mids in roles.items()}
            stages.count_rates(catalog)
            golden = stages.golden_passes(items, catalog, recipe, models[stages.GOLDEN], verifiers["code"]) if "code" in recipe.stages else set()
            stages.decide_difficulty(items, recipe, catalog, roles, golden)
            tables["test_tiers"] = stages.tier_tests(items, recipe, catalog)
            summary.bad_rollouts, summary.unknown_rollouts = reader.bad, reader.unknown
    _finish(catalog, run, items, tables, role_names, tagger.name if tagger else recipe.tagger.model)
    publisher.at_the_end()
    summary.rows, summary.graded, summary.reused = len(items), book.graded, book.reused
    for item in items:
        assert item.decision is not None
        summary.status[item.decision.status.value] += 1
        summary.reasons[item.decision.reason] += 1
    return summary


def _check_roles(catalog: Catalog, inputs: Inputs) -> None:
    """A model's name that no rollout has is found before hours of grading, where the rollouts can be read twice. Raises: UsageError, InputError."""
    if all(Path(path).is_file() for path in inputs.rollouts):
        stored = (name for (name,) in catalog.rows("SELECT name FROM models WHERE NOT starts_with(name, '@')"))
        check_asked(chain(stored, model_names(inputs.rollouts)), (*inputs.policy, *inputs.advanced))


def _summary_of(catalog: Catalog, run: int) -> Summary:
    counts = catalog.rows("SELECT status, reason, count(*) FROM decisions WHERE run = ? GROUP BY ALL", [run])
    summary = Summary(rows=sum(n for _, _, n in counts))
    for status, reason, n in counts:
        summary.status[status] += n
        summary.reasons[reason] += n
    return summary


def _begin(catalog: Catalog, inputs: Inputs, recipe: Recipe, key: str) -> int:
    [(last,)] = catalog.rows("SELECT coalesce(max(run), 0) FROM runs")
    run = int(last) + 1
    catalog.append("runs", {
        "run": [run], "recipe": [recipe.name], "recipe_hash": [recipe.digest], "recipe_json": [recipe.model_dump_json()],
        "inputs": [json.dumps(asdict(inputs) | {"key": key})],
        "version": [__version__], "started_at": [datetime.now(UTC).replace(tzinfo=None)]})
    return run


def _finish(catalog: Catalog, run: int, items: Sequence[Item], tables: dict[str, dict[str, list[Any]]],
            roles: dict[str, list[str]], tagger: str = "") -> None:
    """All decisions at once; a kept row's evidence is what the tagger said of it. Rows in = kept + rejected + undecided, or nothing is written."""
    tags = {pid: {"tagger": tagger, "answer": answer} for pid, answer in known_tags(catalog, tagger).items()} if tagger else {}
    for item in items:
        if item.decision is None:
            item.decision = Decision(Status.KEPT, "kept", "kept", tags.get(item.pid, {}))
    _check_all_there(catalog, run, items)
    if "test_tiers" not in tables:      # no stage has counted
        stages.count_rates(catalog)
    numbered = {name: {"run": [run] * len(next(iter(columns.values()))), **columns} for name, columns in tables.items()}
    catalog.append_all({"decisions": decision_columns(run, items), **numbered, "run_ends": {
        "run": [run], "rows_in": [len(items)], "roles": [json.dumps(roles)], "finished_at": [datetime.now(UTC).replace(tzinfo=None)]}},
        {"rates": f"SELECT {run} AS run, * FROM {stages.COUNTED}", "test_rates": f"SELECT {run} AS run, * FROM {stages.COUNTED_TESTS}"})


def _check_all_there(catalog: Catalog, run: int, items: Sequence[Item]) -> None:
    [(rows,)] = catalog.rows("SELECT count(*) FROM pool_rows WHERE run = ?", [run])
    if rows != len(items) or [item.row for item in items] != list(range(rows)):
        raise CatalogError(f"{catalog.path}: {rows} rows were read and {len(items)} decided; this is a bug of assay's, nothing was decided")


def _models(catalog: Catalog) -> dict[str, int]:
    models = {name: mid for mid, name in catalog.rows("SELECT mid, name FROM models")}
    if not models:
        models = {stages.GOLD: 0, stages.GOLDEN: 1}
        catalog.append("models", {"mid": list(models.values()), "name": list(models)})
    return models


def _verifiers(catalog: Catalog, run: int) -> dict[str, int]:
    """The verifiers of this version, newly numbered where the catalog does not have them."""
    known = {(name, version): vid for vid, name, version in catalog.rows("SELECT vid, name, version FROM verifiers")}
    new = [name for name in ("math", "code") if (name, __version__) not in known]
    if new:
        first = max(known.values(), default=-1) + 1
        numbers = list(range(first, first + len(new)))
        catalog.append("verifiers", {"vid": numbers, "name": new, "version": [__version__] * len(new), "settings": ["{}"] * len(new)})
        known |= {(name, __version__): vid for name, vid in zip(new, numbers, strict=True)}
    used = {name: known[name, __version__] for name in ("math", "code")}
    if not catalog.rows("SELECT 1 FROM run_verifiers WHERE run = ?", [run]):     # a run that goes on has them
        catalog.append("run_verifiers", {"run": [run] * len(used), "vid": list(used.values())})
    return used


def _ungradable(items: Sequence[Item]) -> set[int]:
    """Problems whose rollouts would all be IE: no gold, no tests."""
    return {item.pid for item in items if item.decision is not None and item.decision.reason in
            ("gold.empty", "gold.sentinel", "gold.unparseable", "code.no_tests")}


def read_benchmarks(texts: Sequence[str]) -> list[Benchmark]:
    """From `NAME=FILE` or `FILE`. Raises: InputError."""
    return [_benchmark(text) for text in texts]


def _benchmark_file(text: str) -> tuple[str, str]:
    """Its name and its file."""
    name, equals, file = text.partition("=")
    if not equals or Path(text).exists():
        return Path(text).name.partition(".")[0], text
    return name, file


def _benchmark(text: str) -> Benchmark:
    name, file = _benchmark_file(text)
    found = list(read_benchmark(file))
    if not found:
        raise InputError(f"{file}: no items in this benchmark")
    return Benchmark(name, [item_id for item_id, _ in found], [prompt for _, prompt in found])
