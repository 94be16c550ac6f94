"""Counts and latencies of a Grader in one process: as a dict, and as Prometheus text.

    {"grades": {"AC": 10, "IE": 1}, "reasons": {"accepted": 10, "slot_died": 1}, "retries": 1, "in_flight": 0,
     "latency_s": {"count": 11, "sum": 1.5, "max": 0.4, "buckets": {"0.001": 3, ...}}}

`in_flight` counts what was submitted and is not finished, waiting included; a latency runs from submission to the grade.
"""
from __future__ import annotations

import threading
from collections import Counter
from typing import Any, Final

from ..core.verdict import Grade

__all__ = ["Metrics", "merged", "prometheus_text"]

BUCKETS_S: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Metrics:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._verdicts: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._buckets = [0] * len(BUCKETS_S)
        self._sum = self._max = 0.0
        self._retries = self._started = self._finished = self._cancelled = 0

    def started(self) -> None:
        with self._lock:
            self._started += 1

    def retried(self) -> None:
        with self._lock:
            self._retries += 1

    def finished(self, grade: Grade | None, latency_s: float) -> None:
        """`grade` is None for what was cancelled."""
        with self._lock:
            self._finished += 1
            if grade is None:
                self._cancelled += 1
                return
            self._verdicts[grade.verdict.value] += 1
            self._reasons[grade.verdict.value, grade.reason] += 1
            self._sum += latency_s
            self._max = max(self._max, latency_s)
            for n, bound in enumerate(BUCKETS_S):
                if latency_s <= bound:
                    self._buckets[n] += 1
                    break

    def to_dict(self) -> dict[str, Any]:
        with self._lock:
            reasons: Counter[str] = Counter()
            for (_, reason), n in self._reasons.items():
                reasons[reason] += n
            return {
                "grades": dict(self._verdicts), "reasons": dict(reasons), "retries": self._retries, "cancelled": self._cancelled,
                "in_flight": self._started - self._finished,
                "latency_s": {"count": sum(self._verdicts.values()), "sum": self._sum, "max": self._max,
                              "buckets": {str(bound): n for bound, n in zip(BUCKETS_S, self._buckets, strict=True)}},
            }

    def by_reason(self) -> dict[tuple[str, str], int]:
        """Counts by (verdict, reason)."""
        with self._lock:
            return dict(self._reasons)


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The metrics of several processes as one."""
    out = Metrics().to_dict()
    for part in parts:
        for name in ("grades", "reasons"):
            out[name] = dict(Counter(out[name]) + Counter(part[name]))
        for name in ("retries", "cancelled", "in_flight"):
            out[name] += part[name]
        latency, more = out["latency_s"], part["latency_s"]
        out["latency_s"] = {"count": latency["count"] + more["count"], "sum": latency["sum"] + more["sum"],
                            "max": max(latency["max"], more["max"]),
                            "buckets": {bound: n + more["buckets"].get(bound, 0) for bound, n in latency["buckets"].items()}}
    return out


def prometheus_text(metrics: dict[str, Any]) -> str:
    """Prometheus' text format 0.0.4 of what `to_dict` gives."""
    lines = ["# HELP assay_grades_total Grades by verdict.", "# TYPE assay_grades_total counter"]
    lines += [f'assay_grades_total{{verdict="{verdict}"}} {n}' for verdict, n in sorted(metrics["grades"].items())]
    lines += ["# HELP assay_reasons_total Grades by reason.", "# TYPE assay_reasons_total counter"]
    lines += [f'assay_reasons_total{{reason="{reason}"}} {n}' for reason, n in sorted(metrics["reasons"].items())]
    for name, kind, text in (("retries", "counter", "Faults of ours that were tried again."), ("cancelled", "counter", "Items cancelled."),
                             ("in_flight", "gauge", "Items submitted and not finished.")):
        suffix = "_total" if kind == "counter" else ""
        lines += [f"# HELP assay_{name}{suffix} {text}", f"# TYPE assay_{name}{suffix} {kind}", f"assay_{name}{suffix} {metrics[name]}"]
    latency = metrics["latency_s"]
    lines += ["# HELP assay_latency_seconds From submission to the grade.", "# TYPE assay_latency_seconds histogram"]
    below = 0
    for bound, n in latency["buckets"].items():
        below += n
        lines.append(f'assay_latency_seconds_bucket{{le="{bound}"}} {below}')
    lines += [f'assay_latency_seconds_bucket{{le="+Inf"}} {latency["count"]}', f"assay_latency_seconds_sum {latency['sum']}",
              f"assay_latency_seconds_count {latency['count']}"]
    return "\n".join(lines) + "\n"
