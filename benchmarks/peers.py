"""Python stdin tests a second beside two other judges, on the same programs and tests, in turn: assay, LiveCodeBench, SandboxFusion.

    python benchmarks/peers.py --livecodebench FOLDER --livecodebench-python PY --sandboxfusion FOLDER --sandboxfusion-python PY
                               [--backend local|docker] [--tests 100,10,1] [--rounds 5] [--seconds 2] [--json OUT]

FOLDER is a checkout of the peer (github.com/LiveCodeBench/LiveCodeBench, github.com/bytedance/SandboxFusion), PY an interpreter that has what
it imports; a peer that is not named is left out. Every round runs each judge for about `--seconds`, one after the other; the table has the
medians of the rounds and of their ratios, of tests a second and of CPU a test (all processes: a busy machine disturbs that less).

- assay: `Grader(slots=2).grade_many`, so extraction, sandbox and comparison; `fail_first` and the cache off.
- LiveCodeBench: `evaluate_generations` with 2 processes and its 6 s time-out: a process a solution, no isolation.
- SandboxFusion: its server on loopback with isolation `none` and its own settings, best of 2, 4 and 8 requests at once, sent to `/run_code` (one
  a test) and to `/submit` (one a solution).

Every solution is a program of its own, with inputs of its own, and right: neither dedup nor an order of tests nor a failure helps anyone. Each
judge has to accept every one of them. SandboxFusion's programs run on this machine without isolation: these are harmless, its settings that
kill stray processes and restore /bin/bash are off in the configuration it is started with, and it gets a process namespace where there is one.
"""
from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from assay import Grader, Problem, Program, Verdict
from assay.sandbox.bench import machine_cpu_s

WORKERS = 2
REQUESTS = (2, 4, 8)
FUSION = "SandboxFusion"
_READY_S = 60.0
_DRIVER = Path(__file__).with_name("peers_livecodebench.py")
_numbers = itertools.count(time.time_ns() % 10**9)


@dataclass(frozen=True)
class Solution:
    source: str
    tests: tuple[tuple[str, str], ...]


def solutions(count: int, tests: int) -> list[Solution]:
    """Programs that were never there before: one statement, so that what is measured is the judge."""
    out = []
    for _ in range(count):
        own = next(_numbers)
        cases = tuple((f"{own} {n}\n", f"{2 * own + n}\n") for n in range(tests))
        out.append(Solution(f"print(sum(map(int, input().split())) + {own})", cases))
    return out


class Judge(Protocol):
    def grade(self, batch: list[Solution]) -> float:
        """Seconds it took. Raises: AssertionError unless all of `batch` was accepted."""
        ...


class Assay:
    def __init__(self, grader: Grader) -> None:
        self._grader = grader

    def grade(self, batch: list[Solution]) -> float:
        items = [(Problem.model_validate({"reward": {"type": "code", "mode": "stdin", "tests": [
            {"input": given, "output": wanted} for given, wanted in one.tests]}}), Program(one.source, "python")) for one in batch]
        start = time.perf_counter()
        grades = self._grader.grade_many(items)
        took = time.perf_counter() - start
        assert all(grade.verdict is Verdict.AC and len(grade.cases) == len(one.tests) for grade, one in zip(grades, batch, strict=True)), grades[0]
        return took


class LiveCodeBench:
    def __init__(self, folder: Path, python: Path) -> None:
        self._process = subprocess.Popen([python, _DRIVER, str(WORKERS)], cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)},
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def grade(self, batch: list[Solution]) -> float:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([(one.source, one.tests) for one in batch]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "LiveCodeBench's side ended"
        said = json.loads(line)
        assert said["accepted"] == len(batch), said
        return float(said["seconds"])

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


class SandboxFusion:
    """The server; `at(requests, submit)` is a judge that keeps so many requests under way."""

    def __init__(self, folder: Path, python: Path) -> None:
        _harmless(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        command = [str(python), "-m", "uvicorn", "sandbox.server.server:app", "--host", "127.0.0.1", "--port", str(self._port)]
        if os.geteuid() == 0 and shutil.which("unshare"):
            command = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", *command]
        # SHLVL: in the first shell of all, bash takes a `-c` whose stdin is a socket for a remote login, and reads ~/.bashrc for each test
        environment = os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}", "SANDBOX_CONFIG": "local", "SHLVL": "2"}
        null = subprocess.DEVNULL
        self._process = subprocess.Popen(command, cwd=folder, env=environment, stdin=null, stdout=null, stderr=null)
        end = time.monotonic() + _READY_S
        while True:
            with contextlib.suppress(OSError):
                self._request(http.client.HTTPConnection("127.0.0.1", self._port), "GET", "/v1/ping")
                return
            assert self._process.poll() is None and time.monotonic() < end, "SandboxFusion's server does not start"
            time.sleep(0.2)

    @staticmethod
    def _request(connection: http.client.HTTPConnection, method: str, path: str, body: object = None) -> object:
        connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        data = response.read()
        assert response.status == 200, data[:500]
        return json.loads(data)

    def at(self, requests: int, submit: bool) -> Callable[[list[Solution]], float]:
        def run_code(connection: http.client.HTTPConnection, source: str, given: str, wanted: str) -> None:
            said = self._request(connection, "POST", "/run_code", {"code": source, "stdin": given, "language": "python"})
            assert isinstance(said, dict) and said["status"] == "Success", said
            assert said["run_result"]["stdout"].strip() == wanted.strip(), said

        def whole(connection: http.client.HTTPConnection, one: Solution) -> None:
            cases = [{"input": {"stdin": given}, "output": {"stdout": wanted}} for given, wanted in one.tests]
            said = self._request(connection, "POST", "/submit", {
                "dataset": "peers", "id": 0, "completion": f"```python\n{one.source}\n```",
                "config": {"dataset_type": "CommonOJDataset", "language": "python", "provided_data": {"test": cases}}})
            assert isinstance(said, dict) and said["accepted"] and len(said["tests"]) == len(cases), said

        def grade(batch: list[Solution]) -> float:
            work: Iterator[Callable[[http.client.HTTPConnection], None]]
            if submit:
                work = iter([lambda c, one=one: whole(c, one) for one in batch])
            else:
                work = iter([lambda c, one=one, test=test: run_code(c, one.source, *test) for one in batch for test in one.tests])

            def client() -> None:
                connection = http.client.HTTPConnection("127.0.0.1", self._port)
                for send in work:       # shared: a list's iterator is safe among threads
                    send(connection)
                connection.close()

            start = time.perf_counter()
            with ThreadPoolExecutor(requests) as pool:
                for done in [pool.submit(client) for _ in range(requests)]:
                    done.result()
            return time.perf_counter() - start

        return grade

    def close(self) -> None:
        self._process.kill()            # and with it, the namespace's processes
        self._process.wait(20)


def _harmless(folder: Path) -> None:
    """Raises: SystemExit unless the settings it is started with leave this machine's processes and files alone."""
    path = folder / "sandbox" / "configs" / "local.yaml"
    text = path.read_text(encoding="utf-8")
    for line in ("isolation: none", "cleanup_process: false", "restore_bash: false"):
        if line not in text:
            raise SystemExit(f"{path} does not say `{line}`: not started")


def sized(grade: Callable[[list[Solution]], float], tests: int, seconds: float) -> tuple[float, int]:
    """Tests a second as first seen, and how many solutions take a judge about `seconds`; it is warm then."""
    count = WORKERS
    while True:
        took = grade(solutions(count, tests))
        if took > seconds / 3:
            return count * tests / took, max(WORKERS, round(count * seconds / took))
        count *= 2


@dataclass
class Figures:
    """One number a round each."""

    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def measure(judges: dict[str, Callable[[list[Solution]], float]], tests: int, rounds: int, seconds: float) -> dict[str, Figures]:
    """Of SandboxFusion's ways the one that is fastest at first. CPU counts every process below this one, this one too."""
    first = {name: sized(grade, tests, seconds) for name, grade in judges.items()}
    fusion = sorted((name for name in judges if name.startswith(FUSION)), key=lambda name: first[name][0], reverse=True)
    for name in fusion:
        print(f"{name}: {first[name][0]:.1f} tests/s at first", flush=True)
    out = {name: Figures() for name in judges if name not in fusion[1:]}
    for _ in range(rounds):
        for name in out:
            count = first[name][1]
            batch, n, before = solutions(count, tests), count * tests, machine_cpu_s()
            out[name].per_second.append(n / judges[name](batch))
            out[name].cpu_ms.append(1000 * (machine_cpu_s() - before) / n)
    return out


def ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def table(tests: int, figures: dict[str, Figures]) -> None:
    ours = figures["assay"]
    print(f"\n{tests} test{'s' * (tests != 1)} a solution{'':14}{'tests/s':>10}{'assay is':>10}{'cpu-ms':>10}{'of assay':>10}")
    for name, one in figures.items():
        print(f"  {name:30}{statistics.median(one.per_second):10.1f}{ratio(ours.per_second, one.per_second):9.2f}x"
              f"{statistics.median(one.cpu_ms):10.2f}{ratio(one.cpu_ms, ours.cpu_ms):9.2f}x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("livecodebench", "sandboxfusion"):
        parser.add_argument(f"--{name}", type=Path, help="its checkout")
        parser.add_argument(f"--{name}-python", type=Path, default=Path(sys.executable), help="the interpreter that has what it imports")
    parser.add_argument("--backend", default="local", choices=["local", "docker"])
    parser.add_argument("--tests", default="100,10,1", help="tests a solution, each a table of its own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))       # so that the server is ended then, too
    out: dict[int, dict[str, Figures]] = {}
    with contextlib.ExitStack() as stack:
        grader = stack.enter_context(Grader(sandbox=args.backend, slots=WORKERS))
        judges: dict[str, Callable[[list[Solution]], float]] = {"assay": Assay(grader).grade}
        if args.livecodebench:
            lcb = stack.enter_context(contextlib.closing(LiveCodeBench(args.livecodebench.resolve(), args.livecodebench_python.absolute())))
            judges["LiveCodeBench"] = lcb.grade
        if args.sandboxfusion:
            server = stack.enter_context(contextlib.closing(SandboxFusion(args.sandboxfusion.resolve(), args.sandboxfusion_python.absolute())))
            for submit, requests in itertools.product((False, True), REQUESTS):
                judges[f"{FUSION} {'submit' if submit else 'run_code'}, {requests} at once"] = server.at(requests, submit)
        print(f"{grader.start_sandbox()}; {WORKERS} slots, medians of {args.rounds} rounds of about {args.seconds:g} s")
        for tests in map(int, args.tests.split(",")):
            out[tests] = measure(judges, tests, args.rounds, args.seconds)
            table(tests, out[tests])
    if args.json:
        args.json.write_text(json.dumps({tests: {name: asdict(one) for name, one in judged.items()} for tests, judged in out.items()}, indent=1))


if __name__ == "__main__":
    main()
