"""The client against a real service, and against services that misbehave: order kept, everything tried again, never an invented score."""
from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from assay.core.errors import UsageError
from assay.core.problem import CodeTests, Problem, Program, Response
from assay.core.rows import parse_row
from assay.core.verdict import Grade, Verdict
from assay.verifiers.client import AsyncClient, Client
from assay.verifiers.grader import Grader
from assay.verifiers.remote_chunks import reward_json

from .support import MATH, Scripted, running

pytestmark = pytest.mark.serve


def problem(name: str = "p") -> Problem:
    return parse_row({"id": name, "reward": MATH}, "here").problem


def scores(grades: list[Grade]) -> list[float | None]:
    return [grade.score for grade in grades]


@contextlib.contextmanager
def faulty(answers: list[Callable[[BaseHTTPRequestHandler, bytes], None]]) -> Iterator[str]:
    """A server that handles its n-th request by the n-th function, the last one ever after."""
    seen = 0

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal seen
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = answers[min(seen, len(answers) - 1)]
            seen += 1
            answer(self, body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def status(code: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
    return answer


def lines_of(body: bytes, keep: Callable[[int], bool] = lambda n: True, **changes: Any) -> bytes:
    """A right answer to a request: every response that says `right` accepted; only those at the places that `keep` takes."""
    out = []
    for number, text in enumerate(body.splitlines(), 1):
        row = json.loads(text)
        for index, response in enumerate(row["responses"]):
            right = response == "right"
            out.append({"line": number, "id": row["id"], "index": index, "verdict": "AC" if right else "WA", "score": float(right),
                        "reason": "equal", "detail": "", "components": {}, "cpu_s": 0.0, "wall_s": 0.0} | changes)
    kept = [line for n, line in enumerate(out) if keep(n)]
    return b"".join(json.dumps(line).encode() + b"\n" for line in kept)


def right(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    status(200, lines_of(body) + b'{"end": true, "complete": true}\n')(handler, body)


def cut_off(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Promises more than it sends."""
    data = lines_of(body, lambda n: n == 1)
    handler.send_response(200)
    handler.send_header("content-length", str(len(data) + 100))
    handler.end_headers()
    handler.wfile.write(data)
    handler.close_connection = True


def hang_up(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.close_connection = True


ITEMS: list[tuple[Problem, Response | Program | str]] = [
    (problem(), "right"), (problem(), "wrong"), (problem("q"), Response("right")), (problem("q"), "wrong"), (problem(), "right")]
WANTED = [1.0, 0.0, 1.0, 0.0, 1.0]


def test_grades_come_in_the_order_of_the_items() -> None:
    items: list[Any] = [(problem(str(n // 3)), f"sleep {0.05 if n % 7 == 0 else 0}" if n % 2 else "wrong") for n in range(500)]
    with running(Scripted()) as service, Client(service.url) as client:
        grades = client.grade_many(items)
        assert scores(grades) == [float(n % 2) for n in range(500)]
        assert [grade.detail for grade in grades if grade.score] == [str(n // 3) for n in range(500) if n % 2]
        assert client.grade(problem(), "fault").score is None
        assert client.health()["status"] == "ok"
        assert client.grade_many([]) == []


def test_the_async_sibling_does_the_same() -> None:
    async def run(url: str) -> None:
        async with AsyncClient(url) as client:
            items: list[Any] = [(problem(str(n)), "right" if n % 2 else "wrong") for n in range(300)]
            assert scores(await client.grade_many(items)) == [float(n % 2) for n in range(300)]
            assert {n async for n, _ in client.as_completed(items)} == set(range(300))
            assert (await client.agrade(problem(), "fault")).verdict is Verdict.IE
            assert (await client.health())["status"] == "ok"

    with running(Scripted()) as service:
        asyncio.run(run(service.url))


def test_a_grade_is_the_same_near_and_far() -> None:
    spec = {"type": "code", "mode": "call", "entry_point": "f", "checker": {"type": "float", "abs": 0.1},
            "tests": [{"args": [1], "output": 1.05}, {"args": [2], "output": None}, {"args": [3]}], "stop_on_failure": False}
    code = parse_row({"reward": spec}, "here").problem
    items: list[Any] = [(problem(), r"\boxed{0.5}"), (problem(), "?"), (code, Program("def f(x): return x"))]
    with Grader("local", workers=1, slots=1) as grader, running(grader) as service, Client(service.url) as client:
        near, far = grader.grade_many(items), client.grade_many(items)
    assert [(g.verdict, g.score, g.reason, g.components) for g in near] == [(g.verdict, g.score, g.reason, g.components) for g in far]
    assert [case.verdict for case in near[2].cases] == [case.verdict for case in far[2].cases]


def test_a_spec_survives_the_way_and_nothing_is_added_to_it() -> None:
    spec = {"type": "code", "mode": "call", "entry_point": "f", "limits": {"cpu_s": 2.0},
            "tests": [{"args": [1], "output": None}, {"args": [2], "limits": {"cpu_s": 1.0}}]}
    given = parse_row({"reward": spec}, "here").problem.reward
    assert json.loads(json.dumps(reward_json(given))) == spec
    assert parse_row({"reward": json.loads(json.dumps(reward_json(given)))}, "here").problem.reward == given
    made = CodeTests(checker=type(given.checker)(ignore_case=True)) if isinstance(given, CodeTests) else None
    assert made is not None
    assert parse_row({"reward": reward_json(made)}, "here").problem.reward == made


@pytest.mark.parametrize("trouble", [
    status(429, b'{"error": {"reason": "queue_full", "detail": "", "retry_after_s": 0.05}}', retry_after="1"), status(503), status(500, b"\xff"),
    hang_up, cut_off, status(200, b"<html>\n"), status(200, b'{"line": 0}\n{"line": 99}\n[]\n"x"\n{"line": 1, "index": -1}\n'),
    status(200, b'{"end": true, "complete": false, "stopped": "draining"}\n'),
], ids=["429", "503", "500", "hang-up", "cut-off", "no-service", "nonsense", "draining"])
def test_trouble_is_tried_again_and_changes_no_grade(trouble: Callable[[BaseHTTPRequestHandler, bytes], None]) -> None:
    with faulty([trouble, trouble, right]) as url:
        with Client(url, connections=1) as client:
            assert scores(client.grade_many(ITEMS)) == WANTED
    with faulty([trouble, right]) as url:
        async def run() -> list[Grade]:
            async with AsyncClient(url, connections=1) as client:
                return await client.grade_many(ITEMS)
        assert scores(asyncio.run(run())) == WANTED


@pytest.mark.parametrize("changes", [{"score": None}, {"score": 2.0}, {"score": "1"}, {"verdict": "IE"}, {"verdict": "OK"}, {"id": "other"}])
def test_a_line_that_contradicts_itself_is_no_grade(changes: dict[str, Any]) -> None:
    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        status(200, lines_of(body, **changes))(handler, body)

    with faulty([answer]) as url, Client(url, patience_s=0.2) as client:
        grades = client.grade_many(ITEMS)
    assert [(grade.verdict, grade.score, grade.reason) for grade in grades] == [(Verdict.IE, None, "service_unavailable")] * 5


def test_patience_has_an_end_and_then_it_is_ie_not_zero() -> None:
    with Client("http://127.0.0.1:9", patience_s=0.4) as client:     # nobody listens there
        started = time.monotonic()
        grades = client.grade_many(ITEMS)
        assert time.monotonic() - started < 60
    assert [(grade.verdict, grade.score, grade.reason) for grade in grades] == [(Verdict.IE, None, "service_unavailable")] * 5
    assert "127.0.0.1:9" in grades[0].detail


def test_what_came_before_the_trouble_is_kept() -> None:
    def first_only(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        status(200, lines_of(body, lambda n: n == 0))(handler, body)

    with faulty([first_only, status(503)]) as url, Client(url, patience_s=0.3) as client:
        assert scores(client.grade_many(ITEMS)) == [1.0, None, None, None, None]


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_wrong_token_or_url_is_said_at_once(code: int) -> None:
    with faulty([status(code)]) as url:
        with Client(url) as client, pytest.raises(UsageError, match=str(code)):
            client.grade_many(ITEMS)

        async def run() -> None:
            async with AsyncClient(url) as client:
                await client.agrade(*ITEMS[0])
        with pytest.raises(UsageError, match=str(code)):
            asyncio.run(run())


def test_a_row_that_is_refused_hurts_no_other() -> None:
    with running(Scripted(), body_bytes=2000) as service, Client(service.url) as client:
        grades = client.grade_many([(problem("a"), "right"), (problem("b"), "x" * 3000), (problem("c"), "right")])
    assert [(grade.score, grade.reason) for grade in grades] == [(1.0, "equal"), (None, "service_refused"), (1.0, "equal")]
    assert "too_large" in grades[1].detail


def test_a_queue_that_is_full_for_a_while_costs_time_only() -> None:
    grader = Scripted()
    with running(grader, queue=4, streams=1) as service, Client(service.url, connections=4) as client:
        items: list[Any] = [(problem(str(n)), "sleep 0.002") for n in range(400)]
        grades = client.grade_many(items)
        assert [grade.detail for grade in grades] == [str(n) for n in range(400)]
        assert service.service.admission.refused > 0


def test_a_token_is_sent_and_a_client_pickles() -> None:
    with running(Scripted(), token="abc") as service, Client(service.url, token="abc") as client:
        assert client.grade(problem(), "right").score == 1.0
        with pickle.loads(pickle.dumps(client)) as again:
            assert again.grade(problem(), "wrong").score == 0.0


def test_items_submitted_one_by_one_share_requests() -> None:
    bodies: list[bytes] = []
    submitted = threading.Event()

    def note(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        bodies.append(body)
        submitted.wait(60)
        right(handler, body)

    spec = problem()
    copies = [Problem(id="p", reward=spec.reward) for _ in range(200)]      # as adapters make them: one a sample, with one reward spec
    with faulty([note]) as url, Client(url, connections=2) as client:
        futures = [client.submit(copy, "right" if n % 3 else "wrong") for n, copy in enumerate(copies)]
        submitted.set()
        assert scores([future.result(60) for future in futures]) == [float(n % 3 > 0) for n in range(200)]
        assert len(bodies) <= 20
        assert sum(len(body.splitlines()) for body in bodies) == len(bodies)        # a row each, its tests sent once
        assert client.metrics()["grades"] == {"WA": 67, "AC": 133} and client.metrics()["in_flight"] == 0
        assert 'assay_grades_total{verdict="AC"} 133' in client.prometheus()


def test_a_grade_is_there_before_its_neighbours() -> None:
    grader = Scripted()
    with running(grader) as service, Client(service.url, connections=1) as client:
        slow, fast = client.submit(problem(), "wait"), client.submit(problem("q"), "right")
        assert fast.result(60).score == 1.0 and not slow.done()
        grader.go.set()
        assert slow.result(60).score == 1.0


def test_trouble_is_counted() -> None:
    with faulty([status(503), right]) as url, Client(url, connections=1) as client:
        assert client.submit(problem(), "right").result(60).score == 1.0
        assert client.metrics()["retries"] == 1
    with faulty([status(401)]) as url, Client(url, connections=1) as client:
        future = client.submit(problem(), "right")
        assert isinstance(future.exception(60), UsageError) and client.metrics()["in_flight"] == 0


def test_closing_cancels_and_the_next_item_starts_anew() -> None:
    grader = Scripted()
    with running(grader) as service, Client(service.url, connections=1) as client:
        first, others = client.submit(problem(), "wait"), [client.submit(problem(), "wait") for _ in range(200)]
        time.sleep(0.2)
        client.close()
        for future in (first, *others):
            with pytest.raises(CancelledError):
                future.result(60)
        grader.go.set()
        assert client.grade(problem(), "right").score == 1.0
        assert client.metrics()["cancelled"] == 201 and client.metrics()["in_flight"] == 0


def test_what_nobody_waits_for_is_not_sent() -> None:
    grader = Scripted()
    with running(grader) as service, Client(service.url, connections=1) as client:
        waiting = client.submit(problem(), "wait")
        service.until(lambda _: grader.seen == ["wait"])
        dropped = [client.submit(problem(), "wrong") for _ in range(10)]
        assert all(future.cancel() for future in dropped)
        grader.go.set()
        assert waiting.result(60).score == 1.0 and client.grade(problem(), "right").score == 1.0
        assert "wrong" not in grader.seen


def test_leaving_early_stops_the_work() -> None:
    grader = Scripted()
    with running(grader) as service, Client(service.url, connections=1, timeout_s=2, patience_s=300) as client:
        grades = client.iter_grades([(problem(), "right")] * 64 + [(problem(), "wait")] * 64)
        next(grades)
        started = time.monotonic()
        grades.close()
        assert time.monotonic() - started < 60


@pytest.mark.parametrize("options", [{"url": "localhost:8400"}, {"timeout_s": 0}, {"connections": 0}, {"patience_s": -1}])
def test_settings_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Client(**options)
