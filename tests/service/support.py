"""A service on a free loopback port, in a thread, around a grader that does as its responses say."""
from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import httpx

from assay.core.problem import Problem, Program, Response
from assay.core.verdict import Grade, Verdict
from assay.verifiers.service.admission import Admission
from assay.verifiers.service.app import Service
from assay.verifiers.service.run import Server, bind, url_of
from assay.verifiers.service.settings import Settings

MATH = {"type": "math", "answer": "1/2"}


@dataclass
class Scripted:
    """Responses: `right`, `wrong`, `fault`, `bug`, `sleep SECONDS`, `wait` (until `go` is set), `behind RESPONSE` (until that is graded)."""

    seen: list[str] = field(default_factory=list)
    graded: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)

    def submit(self, problem: Problem, response: Response | Program | str) -> Future[Grade]:
        return asyncio.run_coroutine_threadsafe(self._grade(problem, response), asyncio.get_running_loop())

    async def _grade(self, problem: Problem, response: Response | Program | str) -> Grade:
        text = response.text if isinstance(response, Response) else str(response)
        self.seen.append(text)
        word, _, rest = text.partition(" ")
        try:
            if word == "sleep":
                await asyncio.sleep(float(rest))
            elif word == "wait":
                while not self.go.is_set():
                    await asyncio.sleep(0.005)
            elif word == "behind":
                while rest not in self.graded:
                    await asyncio.sleep(0.005)
                await asyncio.sleep(0.1)        # and its line is written
        except asyncio.CancelledError:
            self.cancelled.append(text)
            raise
        self.graded.append(text)
        if word == "bug":
            raise ZeroDivisionError("a bug of the service")
        if word == "fault":
            return Grade(Verdict.IE, None, "slot_died", "gone")
        return Grade(Verdict.WA, 0.0, "different") if word == "wrong" else Grade(Verdict.AC, 1.0, "equal", problem.id)

    def prometheus(self) -> str:
        return "# scripted\n"


@dataclass
class Running:
    url: str
    service: Service
    server: Server
    thread: threading.Thread

    def post(self, path: str, value: Any, **options: Any) -> httpx.Response:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return httpx.post(self.url + path, content=data, timeout=60, trust_env=False, **options)

    def batch(self, rows: list[Any], **options: Any) -> list[dict[str, Any]]:
        answer = self.post("/grade/batch", b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows), **options)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def terminate(self) -> None:
        self.server.handle_exit(signal.SIGTERM, None)

    def until(self, condition: Callable[[Admission], bool]) -> None:
        """Waits until it holds of the admission."""
        deadline = time.monotonic() + 60
        while not condition(self.service.admission):
            assert time.monotonic() < deadline, "not in a minute"
            time.sleep(0.002)


def row(*responses: Any, **more: Any) -> dict[str, Any]:
    return {"id": "p", "reward": MATH, "responses": list(responses)} | more


def ask_and_leave(service: Running, path: str, value: Any, ready: Callable[[Admission], bool]) -> None:
    """A client that is gone as soon as it holds of the admission, before any answer."""
    connection = http.client.HTTPConnection("127.0.0.1", int(service.url.rsplit(":", 1)[1]), timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(value))
        service.until(ready)


@contextlib.contextmanager
def running(grader: Any, **settings: Any) -> Iterator[Running]:
    chosen = Settings(**({"port": 0} | settings))
    with contextlib.closing(bind(chosen)) as listening:
        service = Service(grader, chosen)
        server = Server(service)
        thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
        thread.start()
        found = Running(url_of(listening), service, server, thread)
        try:
            while not server.started:
                time.sleep(0.005)
            yield found
        finally:
            if isinstance(grader, Scripted):
                grader.go.set()
            found.terminate()
            found.terminate()       # at once: a slow end is a test of its own
            thread.join(60)
            assert not thread.is_alive()
