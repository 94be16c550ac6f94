"""Math verification next to Math-Verify on labelled files: accuracy and CPU time, in one run.

    python benchmarks/math_verification.py FILE.jsonl... [--limit N] [--alone] [--show N]

A row has `gold`, `response` and `label`. --limit: at most N rows a file, drawn with a fixed seed; --alone: without Math-Verify;
--show: print N false negatives and N false positives of ours a file.
"""
from __future__ import annotations

import argparse
import random
from pathlib import Path

from assay.verifiers.math_bench import Score, bench_math, labelled_rows


def line(name: str, who: str, score: Score) -> str:
    def rate(wrong: list[int], of: int) -> str:
        return f"{len(wrong):>5}/{of:<6}{100 * len(wrong) / of:>6.2f} %" if of else f"{'-':>5}/{of:<6}{'':>8}"

    milliseconds = "".join(f"{1000 * score.cpu_quantile_s(q):>9.3f}" for q in (0.5, 0.95, 0.99, 1.0))
    return (f"{name:20}{who:13}{rate(score.false_negatives, score.positives)}{rate(score.false_positives, score.negatives)}"
            f"{milliseconds}{score.grades_per_cpu_s:>10.0f}{score.over_budget:>6}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--show", type=int, default=0)
    args = parser.parse_args()
    print(f"{'set':33}{'false negatives':20}{'false positives':18}{'cpu ms: p50':>11}{'p95':>9}{'p99':>9}{'max':>9}{'per cpu s':>10}{'over':>6}")
    for path in args.files:
        rows = list(labelled_rows(path))
        if args.limit and args.limit < len(rows):
            rows = [rows[n] for n in sorted(random.Random(0).sample(range(len(rows)), args.limit))]
        scores = bench_math(rows, with_math_verify=not args.alone)
        for who, score in scores.items():
            print(line(path.stem, who, score), flush=True)
        for kind, wrong in (("FN", scores["assay"].false_negatives), ("FP", scores["assay"].false_positives)):
            for n in wrong[:args.show]:
                print(f"    {kind} gold {rows[n][0][:80]!r}, response ...{rows[n][1][-100:]!r}")


if __name__ == "__main__":
    main()
