"""The command line: parse, call one library function, print. Results on stdout, talk on stderr.

Exit codes: 0 done, 1 the run failed midway (what was written stays), 2 usage, 3 rows were rejected, 4 some rows ended IE, 130 Ctrl-C.
"""
from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from assay.core.errors import AssayError, CatalogError, RowError, SandboxUnavailable, UsageError

if TYPE_CHECKING:
    from assay.verifiers.grader import Grader

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=True, rich_markup_mode="markdown", pretty_exceptions_show_locals=False,
                  context_settings={"help_option_names": ["-h", "--help"]},
                  help="Grade model responses by rule; curate problems for RL with verifiable rewards.")
sandbox_app = typer.Typer(no_args_is_help=True, help="The sandbox that programs run in.")
app.add_typer(sandbox_app, name="sandbox")
bench_app = typer.Typer(no_args_is_help=True, help="Measure assay on this machine.")
app.add_typer(bench_app, name="bench")

_SHOWN_REJECTIONS = 10


def _version(wanted: bool) -> None:
    if wanted:
        from assay import __version__

        print(f"assay {__version__}")
        raise typer.Exit


@app.callback()
def assay(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False) -> None:
    pass


class SandboxName(StrEnum):
    auto = "auto"
    docker = "docker"
    local = "local"


class RewardChoice(StrEnum):
    all_tests = "all_tests"
    fraction = "fraction"
    difficulty_strict = "difficulty_strict"
    difficulty_soft = "difficulty_soft"


class DetailChoice(StrEnum):
    none = "none"
    first = "first"
    all = "all"


Sandbox = Annotated[SandboxName, typer.Option(help="Where programs run: docker where a daemon answers, else local; or one of them.")]
Slots = Annotated[int | None, typer.Option(min=1, help="Programs run at once. Default: one a core.", show_default=False)]
Workers = Annotated[int | None, typer.Option(min=1, help="Math grades at once. Default: one a core.", show_default=False)]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def fail(message: str, code: int) -> NoReturn:
    say(f"assay: {message}")
    raise typer.Exit(code)


@contextmanager
def errors_as_one_line() -> Iterator[None]:
    """An error of ours becomes one line and an exit code."""
    try:
        yield
    except (UsageError, SandboxUnavailable, CatalogError) as error:
        fail(str(error), 2)
    except AssayError as error:
        fail(str(error), 1)
    except FileNotFoundError as error:
        fail(f"{error.filename}: no such file", 2)


@app.command()
def grade(
    source: Annotated[str, typer.Argument(metavar="IN", help="Rows with responses: .jsonl[.gz|.zst], .parquet, or - for stdin.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="OUT", help="One line a response; same formats, - for stdout.")] = "-",
    sandbox: Sandbox = SandboxName.auto,
    slots: Slots = None,
    workers: Workers = None,
    reward: Annotated[RewardChoice, typer.Option(help="How the tests of a program make its score.")] = RewardChoice.all_tests,
    detail: Annotated[DetailChoice, typer.Option(help="Failed tests described in `detail`.")] = DetailChoice.first,
    python: Annotated[str | None, typer.Option(help="Interpreter for Python programs on the local sandbox.", show_default=False)] = None,
    image: Annotated[str | None, typer.Option(help="Image of the docker sandbox.", show_default=False)] = None,
    runtime: Annotated[str | None, typer.Option(help="Docker runtime: runc, runsc, kata ...", show_default=False)] = None,
    cache: Annotated[str | None, typer.Option(metavar="DIR", help="Keep grades of programs there, and use what it has.", show_default=False)] = None,
    fail_first: Annotated[bool, typer.Option("--fail-first", help="Run first the tests that failed most often, where one failure ends it.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on behind the last line of OUT.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Grade responses against gold answers and tests.

    IN: one problem a line, with its responses: `{"id", "prompt", "reward": {"type": "math", "answer": "42"}, "responses": ["..."]}`.
    OUT: one line a response, in input order: `{"id", "index", "verdict", "score", "reason", ...}`.
    Rows that are no problems go to `OUT.rejected.jsonl`, each with its line and reason.

    Exit codes: 0 all graded, 2 usage, 3 rows were rejected, 4 some rows ended IE (not the response's fault: no score).

    Example: `assay grade examples/grade.jsonl -o grades.jsonl --sandbox local`
    """
    from assay.verifiers.grade_files import Summary, grade_file
    from assay.verifiers.grader import Grader

    summary = Summary()
    shown = 0

    def rejected(reason: str) -> None:
        nonlocal shown
        shown += 1
        if shown <= _SHOWN_REJECTIONS:
            say(f"rejected: {reason}")
        elif shown == _SHOWN_REJECTIONS + 1:
            say(f"rejected: more, see {output}.rejected.jsonl")

    with errors_as_one_line(), stopping_cleanly(lambda: _stopped(summary, output)), progress("grading") as advance:
        with Grader(sandbox.value, slots=slots, workers=workers, reward=reward.value, detail=detail.value,
                    python=python, image=image, runtime=runtime, cache=cache, fail_first=fail_first) as grader:
            grade_file(source, output, grader, resume=resume, overwrite=overwrite, summary=summary, on_rejected=rejected,
                       on_line=lambda s: advance(s.graded))
    verdicts = ", ".join(f"{name} {n}" for name, n in summary.verdicts.most_common())
    before = f" ({summary.resumed} were there)" if summary.resumed else ""
    say(f"{summary.graded + summary.resumed} responses graded{before}: {verdicts or 'none'}"
        + (f"; {summary.rejected} rows rejected" if summary.rejected else ""))
    if summary.reasons:
        say("IE (no score): " + ", ".join(f"{reason} {n}" for reason, n in summary.reasons.most_common()))
    raise typer.Exit(summary.exit_code)


def _stopped(summary: Any, output: str) -> str:
    kept = f"{summary.graded + summary.resumed} grades are in {output}; go on with --resume" if output != "-" else "stopped"
    return f"interrupted: {kept}"


@contextmanager
def stopping_cleanly(message: Any) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the work, say how far it came, and exit with 130 or 143."""
    def terminate(_signal: int, _frame: object) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt:
        fail(message(), 130)
    except RuntimeError as error:
        if str(error) != "Query interrupted":       # what DuckDB makes of Ctrl-C
            raise
        fail(message(), 130)
    except SystemExit as stop:
        if stop.code == 143:
            say(f"assay: {message()}")
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def progress(what: str) -> Iterator[Any]:
    """A bar on stderr, none when stderr is no terminal. Yields `advance(done)`."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(SpinnerColumn(), TextColumn(what), MofNCompleteColumn(), TimeElapsedColumn(), console=Console(stderr=True),
                  transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done: bar.update(task, completed=done)


# --- the sandbox -------------------------------------------------------------------------------------------------------------


@sandbox_app.command("build")
def sandbox_build(
    tag: Annotated[str | None, typer.Option(
        help="Name of the image. Default: what the docker sandbox looks for.", show_default=False)] = None,
    base: Annotated[str | None, typer.Option(
        help="Base image of a Debian family. Default: one from a registry in reach, else a bootstrap from packages.",
        show_default=False)] = None,
    languages: Annotated[str, typer.Option(help="Comma-separated, or `all`. Default: Python, PyPy, C and C++.", show_default=False)] = "",
) -> None:
    """Build the image of the docker sandbox: into the Docker daemon goes one image, out comes its name on stdout.

    Takes about a minute for the default languages. Needs a Docker daemon, and a registry in reach, or mmdebstrap and a Debian or Ubuntu.

    Example: `assay sandbox build --languages python,cpp,java`
    """
    from assay.sandbox.image import build_image

    with errors_as_one_line():
        print(build_image(tag, base=base, languages=[name.strip() for name in languages.split(",") if name.strip()], say=say))


@app.command()
def doctor(
    image: Annotated[str | None, typer.Option(help="Image of the docker sandbox.", show_default=False)] = None,
    runtime: Annotated[str | None, typer.Option(help="Docker runtime: runc, runsc, kata ...", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show what this machine has for sandboxing, backend by backend, by trying it.

    Out comes a table of findings (ok, warn, missing) with how to get what is missing, then what `--sandbox auto` gives here.
    Exit codes: 0 a sandbox can run, 1 none can.

    Example: `assay doctor --json`
    """
    from assay.sandbox.doctor import diagnose

    found = diagnose(image=image, runtime=runtime)
    if as_json:
        import json

        print(json.dumps(found.to_dict(), indent=1))
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table("area", "what", "state", "found", box=None)
        colours = {"ok": "green", "warn": "yellow", "missing": "red"}
        for check in found.checks:
            table.add_row(check.area, check.name, f"[{colours[check.state]}]{check.state}[/]",
                          check.found + (f"\n[dim]{check.advice}[/]" if check.advice else ""))
        console = Console()
        console.print(table)
        console.print(f"\n{found.summary}", markup=False)
    raise typer.Exit(0 if found.chosen else 1)


# --- measuring ---------------------------------------------------------------------------------------------------------------


@bench_app.command("judge")
def bench_judge(
    sandbox: Sandbox = SandboxName.local,
    slots: Annotated[int, typer.Option(min=1, help="Programs run at once.")] = 2,
    tests: Annotated[int, typer.Option(min=1, help="Tests a program.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; medians are shown.")] = 7,
    cancels: Annotated[int, typer.Option(min=1, help="Jobs left early.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON on stdout.")] = False,
) -> None:
    """Measure the judge on this machine: tests a second, CPU a test, cancelling, C++ compiling.

    Out comes a table of medians and their ratios to a bare fork+exec of /bin/true, all interleaved in one run. Takes about a minute.

    Example: `assay bench judge --sandbox docker --slots 2`
    """
    import asyncio
    import json

    from assay.sandbox.bench import measure

    with errors_as_one_line():
        figures = asyncio.run(measure(sandbox.value, slots=slots, tests=tests, rounds=rounds, cancels=cancels, say=say if as_json else print))
    if as_json:
        print(json.dumps(figures, indent=1))


@bench_app.command("math")
def bench_math(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Labelled rows, JSONL: `gold`, `response`, `label`.")],
    alone: Annotated[bool, typer.Option("--alone", help="Without Math-Verify beside it.")] = False,
) -> None:
    """Measure math verification next to Math-Verify, on labelled answers, in one run.

    Out comes, for each file and grader: false negatives and positives, CPU milliseconds a grade (p50, p95, p99, worst), grades a CPU second.

    Example: `assay bench math labelled.jsonl`
    """
    from assay.verifiers.math_bench import bench_math as measure
    from assay.verifiers.math_bench import labelled_rows

    print(f"{'set':22}{'grader':14}{'FN':>12}{'FP':>12}{'p50 ms':>9}{'p95':>9}{'p99':>9}{'worst':>9}{'per cpu s':>11}")
    with errors_as_one_line():
        for path in files:
            for who, score in measure(list(labelled_rows(path)), with_math_verify=not alone).items():
                times = "".join(f"{1000 * score.cpu_quantile_s(q):9.3f}" for q in (0.5, 0.95, 0.99, 1.0))
                print(f"{path.stem:22}{who:14}{f'{len(score.false_negatives)}/{score.positives}':>12}"
                      f"{f'{len(score.false_positives)}/{score.negatives}':>12}{times}{score.grades_per_cpu_s:11.0f}", flush=True)


@app.command("check-golds")
def check_golds(
    source: Annotated[str, typer.Argument(metavar="FILE", help="Rows of the wire format: .jsonl[.gz|.zst], .parquet, or - for stdin.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Readable golds too.")] = False,
) -> None:
    """Check the gold answers of a pool: which cannot be read, are only text to us, have no value, or do not equal themselves.

    Out comes a line for each such gold: place, status, reason, gold. Exit codes: 0 none is broken, 3 some are (or rows are no problems).

    Example: `assay check-golds examples/pool.jsonl`
    """
    import json
    from collections import Counter
    from dataclasses import asdict

    from assay.core.rows import check_readable
    from assay.verifiers.check_golds import check_golds as reports

    counts: Counter[str] = Counter()
    with errors_as_one_line():
        check_readable(source)
        for report in reports(source):
            if isinstance(report, RowError):
                counts["no problem"] += 1
                say(f"rejected: {report}")
                continue
            counts[report.status] += 1
            if every or report.status != "readable":
                print(json.dumps(asdict(report)) if as_json else f"{report.where}: {report.status} {report.reason}: {report.gold[:100]!r}")
    say(", ".join(f"{n} {status}" for status, n in counts.most_common()) or "no math rows")
    raise typer.Exit(3 if set(counts) - {"readable", "text"} else 0)


# --- curation ----------------------------------------------------------------------------------------------------------------


CatalogFile = Annotated[str, typer.Argument(metavar="CATALOG", help="A catalog that `assay curate` made.")]


@app.command()
def curate(
    catalog: Annotated[str, typer.Option("--catalog", metavar="C.duckdb", help="The catalog to make, or with --resume to go on with.")],
    pools: Annotated[list[str] | None, typer.Argument(metavar="POOL...", show_default=False,
                                                      help="Problems: .jsonl, .jsonl.gz, .jsonl.zst, .parquet, or a Hub id.")] = None,
    rollouts: Annotated[list[str] | None, typer.Option("--rollouts", metavar="R", help="Rollouts of models; may be given several times.",
                                                       show_default=False)] = None,
    benchmark: Annotated[list[str] | None, typer.Option("--benchmark", metavar="[NAME=]FILE", show_default=False,
                                                        help="Benchmark to decontaminate against; may be given several times.")] = None,
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE.toml", help="The rules: `mimo`, or a file of one's own.")] = "mimo",
    mapping: Annotated[str | None, typer.Option(metavar="NAME|FILE.toml", help="What the columns mean. Default: by their shape.",
                                                show_default=False)] = None,
    policy: Annotated[list[str] | None, typer.Option(metavar="MODEL", help="A model that is the policy; goes before the recipe's patterns.",
                                                     show_default=False)] = None,
    advanced: Annotated[list[str] | None, typer.Option(metavar="MODEL", help="A model that is an advanced one; likewise.",
                                                       show_default=False)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the catalog; nothing is graded twice.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the catalog if it exists.")] = False,
    sandbox: Sandbox = SandboxName.auto,
    slots: Slots = None,
    workers: Workers = None,
    python: Annotated[str | None, typer.Option(help="Interpreter for Python programs on the local sandbox.", show_default=False)] = None,
    image: Annotated[str | None, typer.Option(help="Image of the docker sandbox.", show_default=False)] = None,
    explain: Annotated[str | None, typer.Option(metavar="ID", help="No run: tell the story of one problem.", show_default=False)] = None,
    what_if: Annotated[list[str] | None, typer.Option("--what-if", metavar="KEY=VALUE", show_default=False,
                                                      help="No run: count again under another setting, such as difficulty.max=0.8.")] = None,
) -> None:
    """Decide for every problem of the pools: kept, rejected or undecided, and why.

    POOL: one problem a row: `{"id", "prompt", "reward": {...}, "solutions": [{"program", "language"}], "source", "licence"}`,
    or rows that a mapping explains. Rollouts: `{"id", "model", "responses": [...], "sampling": {...}, "scores": [...]}`.
    Benchmarks: `{"id", "prompt"}`. All goes into the catalog, one DuckDB file, for `stats`, `sql` and `export`.

    Exit codes: 0 done, 1 stopped midway (go on with --resume), 2 usage, 4 rows left undecided because grading failed.

    Example: `assay curate examples/pool.jsonl --rollouts examples/rollouts.jsonl --catalog out/examples.duckdb --sandbox local`

    Then: `assay curate --catalog out/examples.duckdb --explain tram-seats`, or `--what-if difficulty.max=0.8`
    """
    from assay.curation.catalog import Catalog

    if explain is not None or what_if:
        if pools or (explain is not None and what_if):
            fail("--explain and --what-if ask a catalog: one of them, and no POOL", 2)
        from assay.curation.explain import explain_text
        from assay.curation.replay import change_text
        from assay.curation.replay import what_if as count_again

        def comparer() -> Grader:
            from assay.verifiers.grader import Grader

            return stack.enter_context(Grader(workers=workers))

        with errors_as_one_line(), Catalog.open(catalog, read_only=True) as opened, ExitStack() as stack:
            print(explain_text(opened, explain) if explain is not None else change_text(count_again(opened, what_if or (), comparer)))
        return
    from assay.curation.pipeline import Inputs, open_for_run
    from assay.curation.pipeline import curate as run_curation
    from assay.curation.recipe import load_recipe
    from assay.verifiers.grader import Grader

    if not pools:
        fail("no POOL: name at least one file of problems", 2)
    inputs = Inputs(tuple(pools), tuple(rollouts or ()), tuple(benchmark or ()), mapping, tuple(policy or ()), tuple(advanced or ()))
    with errors_as_one_line(), stopping_cleanly(lambda: f"interrupted: the grades made so far are in {catalog}; go on with --resume"):
        rules = load_recipe(recipe)
        inputs.check()
        with open_for_run(catalog, resume=resume, overwrite=overwrite) as opened, stages_on_stderr() as advance, \
                Grader(sandbox.value, slots=slots, workers=workers, python=python, image=image) as grader:
            summary = run_curation(opened, inputs, rules, grader, say, advance)
    say(f"{summary.rows} rows = " + " + ".join(f"{summary.status[name]} {name}" for name in ("kept", "rejected", "undecided"))
        + f"; {summary.graded} graded, {summary.reused} grades reused")
    if summary.bad_rollouts or summary.unknown_rollouts:
        say(f"rollout rows left out: {summary.bad_rollouts} unreadable, {summary.unknown_rollouts} of problems that are in no pool")
    say(f"next: assay stats {catalog}")
    raise typer.Exit(4 if summary.ungraded else 0)


@app.command()
def sft(
    sources: Annotated[list[str], typer.Argument(metavar="IN...", help="Queries with responses: .jsonl[.gz|.zst], .parquet, or a Hub id.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="OUT.jsonl", help="What stays; decisions go to OUT.jsonl.decisions.jsonl.")],
    benchmark: Annotated[list[str] | None, typer.Option("--benchmark", metavar="[NAME=]FILE", show_default=False,
                                                        help="Benchmark to decontaminate against; may be given several times.")] = None,
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE.toml", help="The rules: [contamination] and [sft] of a recipe.")] = "mimo",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.jsonl if it exists.")] = False,
) -> None:
    """Clean SFT data: out go overlaps with benchmarks, mixed languages, unfinished responses, repeats, more than 8 responses a query.

    IN: `{"prompt", "response"}`, `{"prompt", "responses": [...]}` or `{"messages": [...]}`. Every response gets one decision with its reason.

    Example: `assay sft examples/sft.jsonl --benchmark math=examples/benchmark.jsonl -o out/sft.jsonl`
    """
    from assay.curation.items import REASONS
    from assay.curation.pipeline import read_benchmarks
    from assay.curation.recipe import load_recipe
    from assay.curation.sft import clean_sft
    from assay.curation.sources.reader import check_source

    with errors_as_one_line(), progress("reading") as advance:
        for source in sources:
            check_source(source)
        rules = load_recipe(recipe)
        summary = clean_sft(sources, output, read_benchmarks(benchmark or ()), rules, overwrite=overwrite, advance=advance)
    total = sum(summary.reasons.values())
    print(f"{'in':<28}{total:>9,}  responses in {summary.rows:,} rows")
    for reason, n in summary.reasons.most_common():
        if reason != "kept":
            print(f"  - {reason:<24}{n:>9,}  {REASONS.get(reason, '')}")
    print(f"{'kept':<28}{summary.kept:>9,}")


@app.command()
def stats(catalog: CatalogFile) -> None:
    """The funnel, the pass rates as a histogram, the sources, and the next command to try.

    Example: `assay stats out/examples.duckdb`
    """
    from assay.curation.snapshot import open_to_read
    from assay.curation.stats import stats_text

    with errors_as_one_line(), open_to_read(catalog, say) as opened:
        print(stats_text(opened))


@app.command()
def sql(
    catalog: CatalogFile,
    query: Annotated[str, typer.Argument(metavar="SQL", help="One query. Views: v_decision, v_funnel, ...: see docs/catalog.md.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header.")] = False,
) -> None:
    """Ask the catalog, read-only. While a run writes it, its last snapshot answers, and stderr says of when that is.

    Example: `assay sql out/examples.duckdb "SELECT reason, count(*) AS n FROM v_decision GROUP BY ALL ORDER BY n DESC"`
    """
    from assay.curation.snapshot import open_to_read
    from assay.curation.tables import print_result

    if as_json and as_csv:
        fail("--json or --csv, not both", 2)
    with errors_as_one_line(), stopping_cleanly(lambda: "interrupted"), open_to_read(catalog, say) as opened:
        print_result(*opened.stoppable(lambda: opened.query(query)), style="json" if as_json else "csv" if as_csv else "table")


@app.command()
def shell(catalog: CatalogFile) -> None:
    """Ask the catalog at a prompt: completion, history, `.save FILE`; `.help` tells more. From a pipe it reads statements.

    Exit codes: 0 done, 2 a statement from a pipe failed.

    Example: `echo "SELECT * FROM v_funnel; SELECT * FROM v_source_stats;" | assay shell out/examples.duckdb`
    """
    from assay.curation.shell import run
    from assay.curation.snapshot import open_to_read

    with errors_as_one_line(), open_to_read(catalog, say) as opened:
        failed = run(opened, say)
    raise typer.Exit(2 if failed else 0)


@app.command()
def show(
    catalog: CatalogFile,
    wanted: Annotated[str, typer.Argument(metavar="ID", help="Id of a pool row, or its content hash.")],
    full: Annotated[bool, typer.Option("--full", help="All tests, lines and rollouts.")] = False,
) -> None:
    """One problem: prompt, reward, tests, solutions, rollouts with their grades, and the decisions of every run.

    Example: `assay show out/examples.duckdb roman-numeral`
    """
    from assay.curation.show import show_text
    from assay.curation.snapshot import open_to_read

    with errors_as_one_line(), open_to_read(catalog, say) as opened:
        print(show_text(opened, wanted, full=full))


@app.command()
def export(
    catalog: CatalogFile,
    output: Annotated[str, typer.Option("-o", "--output", metavar="OUT", help=".parquet, .jsonl, .jsonl.gz or .jsonl.zst.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
    size: Annotated[int | None, typer.Option(min=1, help="Draw so many problems, and write OUT.manifest.json.", show_default=False)] = None,
    weight: Annotated[list[str] | None, typer.Option(metavar="WEIGHT", show_default=False,
                                                     help="With --size: domain=NAME:W, source=NAME:W or difficulty=LOW-HIGH:W.")] = None,
    seed: Annotated[int, typer.Option(help="With --size: another seed draws another mix.")] = 0,
) -> None:
    """Write the kept problems, in the wire format, with their pass rates; `assay grade` and `assay curate` read them.

    Example: `assay export out/examples.duckdb -o kept.parquet`

    Or a mix: `assay export out/examples.duckdb -o mix.jsonl --size 30 --weight domain=code:2 --weight difficulty=0.2-0.8:3 --seed 1`
    """
    from assay.curation.catalog import Catalog
    from assay.curation.export import export_kept
    from assay.curation.mixture import Mix, parse_weights

    if size is None and (weight or seed):
        fail("--weight and --seed go with --size", 2)
    with errors_as_one_line(), Catalog.open(catalog, read_only=True) as opened, progress("exporting") as advance:
        mix = Mix(size, seed, parse_weights(weight or ())) if size is not None else None
        count = export_kept(opened, output, overwrite=overwrite, mix=mix, advance=advance)
    say(f"{count} kept problems are in {output}")


@app.command()
def diff(
    catalog: CatalogFile,
    old: Annotated[int, typer.Argument(metavar="RUN1", help="Number of a run; `assay sql C \"SELECT run, recipe FROM runs\"` lists them.")],
    new: Annotated[int, typer.Argument(metavar="RUN2", help="Number of another run.")],
) -> None:
    """How decisions changed from one run to another: settings, counts by reason, examples.

    Example: `assay diff out/examples.duckdb 1 2`
    """
    from assay.curation.catalog import Catalog
    from assay.curation.explain import diff_text

    with errors_as_one_line(), Catalog.open(catalog, read_only=True) as opened:
        print(diff_text(opened, old, new))


@app.command()
def report(
    catalog: CatalogFile,
    output: Annotated[str, typer.Option("-o", "--output", metavar="OUT.html", help="The page.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.html if it exists.")] = False,
) -> None:
    """Write one self-contained HTML page about the latest run: funnel, pass rates, difficulty of tests, examples by reason.

    Example: `assay report out/examples.duckdb -o report.html`
    """
    from assay.curation.catalog import Catalog
    from assay.curation.report import write_report

    with errors_as_one_line(), Catalog.open(catalog, read_only=True) as opened:
        write_report(opened, output, overwrite=overwrite)
    say(f"the page is {output}")


@app.command()
def snapshot(
    catalog: CatalogFile,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="DIR", show_default=False,
                                               help="Folder for snapshots. Default: CATALOG.snapshot, where a running writer puts its own.")] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the next commit of a running writer.")] = 60,
) -> None:
    """Write read-only copies of a catalog as it is now, also beside a running writer: one DuckDB file, and Parquet of each table and view.

    Out comes the folder's name on stdout. `DIR/current` leads to it and is switched at once; whoever reads the one before is not disturbed.

    Example: `assay snapshot out/examples.duckdb`, then `duckdb -readonly out/examples.duckdb.snapshot/current/catalog.duckdb`
    """
    from assay.curation.snapshot import take

    with errors_as_one_line():
        taken = take(catalog, output, wait_s=wait, say=say)
    print(taken.folder)
    say(f"of {taken.made_at:%Y-%m-%d %H:%M:%S} UTC: {len(taken.rows)} tables and views, {sum(taken.rows.values()):,} rows")


@app.command()
def publish(
    catalog: CatalogFile,
    repo: Annotated[str, typer.Option("--repo", metavar="ORG/NAME", help="The data set on the Hub; made if it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="Make it private, if it is made.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make the files, say what they are, and touch no network.")] = False,
    with_rejected: Annotated[bool, typer.Option("--with-rejected", help="A config `rejected` too, with reasons and evidence.")] = False,
    allow_licence: Annotated[list[str] | None, typer.Option("--allow-licence", metavar="NAME", show_default=False, help=(
        "Publish rows of this licence though it forbids that or is not known, on your word; `unknown`: rows without one."))] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="DIR", help="Keep the files in this folder.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Into a repository that holds files of others, too.")] = False,
) -> None:
    """Publish the kept problems as a data set on the Hub: configs `math`, `code` (and `rejected`), with a card, in one commit.

    Needs a token (`hf auth login`, or HF_TOKEN) that may write to ORG. An unchanged catalog uploads nothing; run it again after a failure.
    Out come the data set's address, its commit and its tag; with --dry-run a line a file: bytes and name.

    Exit codes: 0 published (or nothing to do), 1 failed (what was published is said), 2 usage, or licences that do not allow it.

    Example: `assay publish out/examples.duckdb --repo me/assay-examples --dry-run`
    """
    from assay.curation.catalog import Catalog
    from assay.curation.publish import Ledger
    from assay.curation.publish import publish as publish_catalog

    ledger = Ledger(repo)
    with errors_as_one_line(), stopping_cleanly(lambda: f"interrupted: {ledger.told()}"), Catalog.open(catalog, read_only=True) as opened, \
            progress("writing") as advance:
        plan = publish_catalog(opened, repo, private=private, dry_run=dry_run, with_rejected=with_rejected, allowed=allow_licence or (),
                               output=output, overwrite=overwrite, say=say, advance=advance, ledger=ledger)
    for line in plan.lines():
        print(line)
    say(plan.summary())


@contextmanager
def stages_on_stderr() -> Iterator[Any]:
    """Yields `advance(stage, done)`: a bar where stderr is a terminal, else one line a stage."""
    if not sys.stderr.isatty():
        named: set[str] = set()

        def name(stage: str, _done: int) -> None:
            if stage not in named:
                named.add(stage)
                say(f"stage: {stage}")

        yield name
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn(),
                  console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda stage, done: bar.update(task, description=stage, completed=done)


@app.command()
def demo(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder for the tour's files.")] = "assay-demo",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not wait for Enter between the steps; so too where there is no terminal.")] = False,
    sandbox: Sandbox = SandboxName.auto,
) -> None:
    """A tour of two minutes: grade, curate, look, ask, export, on the example pool that comes with assay.

    Example: `assay demo --yes`
    """
    from assay.curation.demo import demo as tour

    def pause() -> None:
        if not yes and sys.stdin.isatty() and sys.stdout.isatty():
            input("   -- Enter goes on, Ctrl-C leaves --")

    with errors_as_one_line(), stopping_cleanly(lambda: f"left; what was made is in {folder}"):
        tour(folder, sandbox.value, pause, stages_on_stderr)


# --- serving and converting --------------------------------------------------------------------------------------------------


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on. One that is not loopback needs a token, or --insecure.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one, and says which.")] = 8400,
    token_file: Annotated[str | None, typer.Option(help="File with the bearer token. Default: the variable ASSAY_TOKEN, else no token.",
                                                   show_default=False)] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Serve other machines without a token.")] = False,
    queue: Annotated[int, typer.Option(min=1, help="Responses accepted at once; one more is answered 429.")] = 2048,
    max_body_mb: Annotated[int, typer.Option(min=1, help="Largest request, and largest line of a batch.")] = 32,
    drain_s: Annotated[float, typer.Option(help="Seconds that accepted work may go on after SIGTERM.")] = 600,
    unscored: Annotated[float | None, typer.Option(show_default=False, help=(
        "Reward of a response without a score, for OpenRLHF and NeMo-Gym, which have no null. Default: an HTTP error."))] = None,
    deadline_s: Annotated[float | None, typer.Option(help="Wall seconds that one program may take in all.", show_default=False)] = None,
    sandbox: Sandbox = SandboxName.auto,
    slots: Slots = None,
    workers: Workers = None,
    reward: Annotated[RewardChoice, typer.Option(help="How the tests of a program make its score.")] = RewardChoice.all_tests,
    detail: Annotated[DetailChoice, typer.Option(help="Failed tests described in `detail`.")] = DetailChoice.first,
    python: Annotated[str | None, typer.Option(help="Interpreter for Python programs on the local sandbox.", show_default=False)] = None,
    image: Annotated[str | None, typer.Option(help="Image of the docker sandbox.", show_default=False)] = None,
    runtime: Annotated[str | None, typer.Option(help="Docker runtime: runc, runsc, kata ...", show_default=False)] = None,
) -> None:
    """Serve grades over HTTP: rows with responses go in, grades come out; also OpenRLHF's and NeMo-Gym's reward contracts.

    Paths: `/grade` (one row), `/grade/batch` (rows, one a line), `/get_reward` (OpenRLHF), `/verify` (NeMo-Gym), `/health`, `/metrics`.
    SIGTERM and Ctrl-C finish what was accepted, refuse new work with 503, and exit.

    Exit codes: 0 ended when told to, 1 accepted work was not finished in time, 2 usage.

    Example: `assay serve --port 8400 --sandbox local`, then
    `curl -s 127.0.0.1:8400/grade -d '{"reward": {"type": "math", "answer": "1/2"}, "responses": ["It is \\\\boxed{0.5}"]}'`
    """
    import os

    from assay.verifiers.grader import Grader

    with errors_as_one_line():
        try:
            from assay.verifiers.service.run import serve as run_service
        except ModuleNotFoundError as error:
            raise UsageError(f"{error.name} is not installed; get it with: pip install 'assay[serve]'") from error
        from assay.verifiers.service.settings import Settings, read_token

        settings = Settings(host=host, port=port, token=read_token(token_file, os.environ), insecure=insecure, queue=queue,
                            ahead=max(32, 4 * (slots or os.cpu_count() or 1)), body_bytes=max_body_mb << 20, drain_s=drain_s, unscored=unscored)
        try:
            grader = Grader(sandbox.value, slots=slots, workers=workers, reward=reward.value, detail=detail.value,
                            python=python, image=image, runtime=runtime, deadline_s=deadline_s)
        except ValueError as error:
            raise UsageError(str(error)) from error
        with grader:
            try:
                say(f"sandbox {grader.start_sandbox()}")
            except SandboxUnavailable as error:
                if sandbox is not SandboxName.auto:
                    raise
                say(f"no sandbox, so programs get no score: {error}")
            code = run_service(grader, settings, say)
    raise typer.Exit(code)


class FormatChoice(StrEnum):
    canonical = "canonical"
    verl = "verl"
    trl = "trl"
    verifiers = "verifiers"
    nemo_gym = "nemo-gym"


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="Rows: .jsonl[.gz|.zst], .parquet, or - for stdin.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="OUT", help=".jsonl[.gz|.zst]; for verl and trl also .parquet.")],
    origin: Annotated[FormatChoice, typer.Option("--from", help="Format of IN.")] = FormatChoice.canonical,
    wanted: Annotated[FormatChoice, typer.Option("--to", help="Format of OUT.")] = FormatChoice.canonical,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Convert problems between assay's rows and those of verl, TRL, verifiers v1 and NeMo-Gym.

    What assay wrote comes back to the last key. Rows of other programs are read by their framework's usual columns.
    Rows that cannot be converted go to `OUT.rejected.jsonl`, each with its line and reason.

    Exit codes: 0 all converted, 2 usage, 3 rows were rejected.

    Example: `assay convert examples/pool.jsonl -o out/train.parquet --to verl`
    """
    from assay.curation.convert import convert_file

    with errors_as_one_line(), progress("converting") as advance:
        done = convert_file(source, output, origin.value, wanted.value, overwrite=overwrite, advance=advance,
                            on_rejected=lambda reason: say(f"rejected: {reason}"))
    say(f"{done.rows} rows are in {output}" + (f"; {done.rejected} rejected, see {output}.rejected.jsonl" if done.rejected else ""))
    raise typer.Exit(3 if done.rejected else 0)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
