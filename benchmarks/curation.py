"""Curation at full size: times, memory and recall, as a table.

    python benchmarks/curation.py --pool DIR --benchmarks DIR [--rows 130000] [--work DIR]

DIR: folders of `.jsonl.gz` pools (id, prompt, domain, answer | tests, ...) and benchmarks (id, prompt). The pool is grown to --rows with
families of reasoning-gym (`pip install 'assay[sources]'`). Planted duplicates are reformatted (spacing, letter case, LaTeX delimiters) or
edited (one or two words of at least 25 replaced). Times are of this machine as it was: wall and CPU seconds are both said.
"""
from __future__ import annotations

import argparse
import json
import math
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from assay.curation.catalog import Catalog
from assay.curation.checkpoint import load_items
from assay.curation.decontaminate import Benchmark, find_contamination
from assay.curation.dedup import exact_clusters, near_clusters
from assay.curation.filters.question_type import type_filter
from assay.curation.items import Item
from assay.curation.recipe import Recipe, TypeRules
from assay.curation.rollouts import RolloutReader
from assay.curation.sources.generators import FAMILIES
from assay.curation.sources.reader import PoolRow, read_benchmark, read_pool
from assay.curation.stages import count_rates
from assay.curation.text import words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--benchmarks", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=130_000)
    parser.add_argument("--work", type=Path)
    args = parser.parse_args()
    pools = {path.name.partition(".")[0]: list(read_pool(str(path))) for path in sorted(args.pool.glob("*.jsonl.gz"))}
    benchmarks = sorted(args.benchmarks.glob("*.jsonl.gz"))
    print("| | |\n|---|---|")
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        _whole_runs(Path(folder), pools, benchmarks, args.rows)
    _contamination(pools, benchmarks)
    _duplicates(pools)
    _types(pools)


def line(name: str, value: str) -> None:
    print(f"| {name} | {value} |", flush=True)


def _whole_runs(folder: Path, pools: dict[str, list[PoolRow]], benchmarks: Sequence[Path], rows: int) -> None:
    """The command line on the grown pool, with 16 recorded scores a problem: no grading, so that the static stages are what is timed."""
    pool, rollouts, recipe, static, catalog = (str(folder / name) for name in ("pool.jsonl", "r.jsonl", "recipe.toml", "static.duckdb", "c.duckdb"))
    ids, tokens = _grow(pools, Path(pool), rows)
    line("rows, tokens", f"{len(ids):,}, {tokens:,}")
    dice = random.Random(1)
    with open(rollouts, "w") as out:
        for name in ids:
            rate = dice.random()
            out.write(json.dumps({"id": name, "model": "sft", "scores": [int(dice.random() < rate) for _ in range(16)]}) + "\n")
    stages = [stage for stage in Recipe().stages if stage not in ("gold_check", "code")]
    Path(recipe).write_text(f'stages = {json.dumps(stages)}\n[difficulty]\nscores = "recorded"\n')
    command = ["curate", pool, *(part for path in benchmarks for part in ("--benchmark", str(path))), "--recipe", recipe]
    line(f"static stages, {len(benchmarks)} benchmarks", _assay(*command, "--catalog", static))
    line(f"storing {16 * rows:,} recorded scores and counting rates", _store_scores(static, rollouts))
    whole = [*command, "--rollouts", rollouts, "--catalog", catalog]
    line(f"static stages and {16 * rows:,} recorded scores", _assay(*whole))
    line("`--resume`, nothing has changed", _assay(*whole, "--resume"))
    line("`--what-if difficulty.max=0.8`", _assay("curate", "--catalog", catalog, "--what-if", "difficulty.max=0.8"))
    line("stats", _assay("stats", catalog))
    line("export to Parquet", _assay("export", catalog, "-o", str(folder / "kept.parquet")))
    with Catalog.open(catalog, read_only=True) as opened:
        for view in ("v_funnel", "v_decision WHERE status = 'kept'", "v_recorded_rate", "v_recorded_rate WHERE pass_rate BETWEEN 0.2 AND 0.6",
                     "v_source_stats"):
            sql = f"SELECT count(*) FROM {view}"
            opened.rows(sql)
            line(f"`{sql}`", _timed(lambda sql=sql: opened.rows(sql)))  # type: ignore[misc]


_FAMILIES = [name for name in FAMILIES if name != "number_sequence"]       # that one takes 8 ms a row


def _grow(pools: dict[str, list[PoolRow]], target: Path, rows: int) -> tuple[list[str], int]:
    """The pools as one file, and as much of the families as is missing; ids and tokens."""
    real = [row for rows_of in pools.values() for row in rows_of if row.problem is not None][:rows]
    share = -(-(rows - len(real)) // len(_FAMILIES))
    grown = read_pool(f"reasoning-gym:{','.join(_FAMILIES)}:{share}:7") if rows > len(real) else iter(())
    ids: list[str] = []
    tokens = 0
    with target.open("w") as out:
        for row in islice(chain(real, grown), rows):
            assert row.problem is not None
            reward = row.problem.reward
            out.write(json.dumps({"id": row.id, "prompt": row.problem.prompt, "source": row.source, "domain": row.domain,
                                  "solutions": [{"program": held.source, "language": held.language} for held in row.problem.solutions],
                                  "reward": reward.model_dump(mode="json", exclude_unset=True) | {"type": reward.type}}) + "\n")
            ids.append(row.id)
            tokens += len(words(row.problem.prompt))
    return ids, tokens


def _store_scores(path: str, rollouts: str) -> str:
    """What the stage `difficulty` does with recorded scores, on a copy of a catalog."""
    copy = f"{path}.copy"
    shutil.copy(path, copy)
    with Catalog.open(copy) as catalog:
        items = load_items(catalog, 1, texts=False)
        with catalog.using("loaded", {"n": [1]}):       # Arrow loads pandas at the first use; a run has done so when it read its pool
            pass
        wall, cpu = time.monotonic(), time.process_time()
        reader = RolloutReader(catalog, items, {"@gold": 0, "@golden": 1}, {"math": 0, "code": 1}, lambda _: None)
        for _ in reader.jobs([rollouts], {item.pid for item in items}, True):
            raise SystemExit("scores are not graded")
        count_rates(catalog)
        return f"{time.monotonic() - wall:.1f} s wall, {time.process_time() - cpu:.1f} s CPU"


def _assay(*args: str) -> str:
    """Wall time, CPU time and peak memory of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    # VmHWM, not ru_maxrss: that one begins with what this process holds.
    script = ("import sys\nfrom assay.cli import app\n"
              "try:\n    app(sys.argv[1:])\nfinally:\n    told = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
              "    print('peak', int(told['VmHWM'].split()[0]) // 1024, file=sys.stderr)")
    ended = subprocess.run([sys.executable, "-c", script, *args], capture_output=True, text=True)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        raise SystemExit(f"assay {' '.join(args)[:200]} ended with {ended.returncode}: {ended.stderr[-500:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{wall:.1f} s wall, {cpu:.1f} s CPU, peak {ended.stderr.rpartition('peak ')[2].strip()} MB"


def _timed(work: Callable[[], Any]) -> str:
    """The best of five: what is left is the work itself."""
    best_wall = best_cpu = math.inf
    for _ in range(5):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        best_wall, best_cpu = min(best_wall, time.perf_counter() - wall), min(best_cpu, time.process_time() - cpu)
    return f"{1000 * best_wall:.0f} ms wall, {1000 * best_cpu:.0f} ms CPU"


def _prompts(pools: dict[str, list[PoolRow]]) -> list[str]:
    return [row.problem.prompt for rows in pools.values() for row in rows if row.problem is not None]


def _contamination(pools: dict[str, list[PoolRow]], files: Sequence[Path]) -> None:
    prompts = _prompts(pools)
    benches = []
    copies: list[tuple[str, str]] = []
    for file in files:
        found = list(read_benchmark(str(file)))
        benches.append(Benchmark(file.name.partition(".")[0], [name for name, _ in found], [prompt for _, prompt in found]))
        copies += [(benches[-1].name, f"Question. {prompt} Answer:") for _, prompt in found
                   if len(prompt.split()) >= 20 or benches[-1].name in ("math500", "aime24")]
    hits = find_contamination([*prompts, *(copy for _, copy in copies)], benches, Recipe().contamination)
    for bench in benches:
        own = [hit for hit in hits if hit.benchmark == bench.name]
        planted = [n for n, (name, _) in enumerate(copies, len(prompts)) if name == bench.name]
        line(f"{bench.name}: items found in the pool as it is",
             f"{len({hit.item_id for hit in own if hit.prompt < len(prompts)})} of {len(bench.ids)}")
        line(f"{bench.name}: planted copies found", f"{len({hit.prompt for hit in own} & set(planted))} of {len(planted)}")


def _duplicates(pools: dict[str, list[PoolRow]]) -> None:
    dice = random.Random(2)
    prompts = sorted({row.problem.prompt for rows in pools.values() for row in rows
                      if row.problem is not None and row.problem.reward.type == "math" and len(row.problem.prompt.split()) >= 25})
    chosen = dice.sample(range(len(prompts)), min(1000, len(prompts)))
    reformatted = [_reformat(prompts[n], dice) for n in chosen]
    joined = {(a, b) for cluster in exact_clusters([*prompts, *reformatted]) for a in cluster.members for b in cluster.members}
    line("reformatted duplicates found", f"{sum((n, len(prompts) + place) in joined for place, n in enumerate(chosen))} of {len(chosen)}")
    edited = [_edit(prompts[n], dice) for n in chosen]
    golds = [str(n) for n in range(len(prompts))]
    clusters = near_clusters([*prompts, *edited], [*golds, *(golds[n] for n in chosen)], Recipe().duplicates.near)
    joined = {(a, b) for cluster in clusters for a in cluster.members for b in cluster.members}
    line("edited duplicates found", f"{sum((n, len(prompts) + place) in joined for place, n in enumerate(chosen))} of {len(chosen)}")


def _reformat(prompt: str, dice: random.Random) -> str:
    text = "".join(dice.choice([" ", "  ", "\n"]) if letter == " " else letter for letter in prompt)
    if "\\$" not in text and text.count("$") % 2 == 0:     # else dollars are money
        text = re.sub(r"\$([^$]+)\$", r"\\( \1 \\)", text).replace("\\frac", "\\dfrac")
    shout = "\\" not in text and dice.random() < 0.3
    return f"  {text.upper() if shout else text} "


def _edit(prompt: str, dice: random.Random) -> str:
    parts = prompt.split(" ")
    places = [n for n, part in enumerate(parts) if part.isalpha()]
    for n in dice.sample(places, min(len(places), dice.randrange(1, 3))):
        parts[n] = dice.choice(["which", "really", "also", "some", "given"])
    return " ".join(parts)


def _types(pools: dict[str, list[PoolRow]]) -> None:
    check = type_filter(TypeRules())
    for name, wanted in (("minif2f_test", "type.proof"), ("aqua_dev", "type.mcq"), ("mathqa_mc", "type.mcq"), ("gsm8k_train", ""),
                         ("math_train", ""), ("math_test", "")):
        rows = [row for row in pools.get(name, []) if row.problem is not None]
        found = [check(Item(0, "", 0, "", "", "", type="math", prompt=row.problem.prompt, golds=row.problem.reward.golds))  # type: ignore[union-attr]
                 for row in rows]
        for reason in (wanted,) if wanted else ("type.proof", "type.mcq"):
            line(f"{name}: {reason}", f"{sum(decision is not None and decision.reason == reason for decision in found)} of {len(rows)}")


if __name__ == "__main__":
    main()
