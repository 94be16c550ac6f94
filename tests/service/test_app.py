"""The service over a real loopback connection: what it answers, what it refuses, and that it never hangs, mixes up or invents a score."""
from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from assay.core.errors import UsageError
from assay.verifiers.grader import Grader
from assay.verifiers.service.run import bind
from assay.verifiers.service.settings import Settings, read_token

from .support import MATH, Running, Scripted, ask_and_leave, row, running

pytestmark = pytest.mark.serve


@pytest.fixture
def grader() -> Scripted:
    return Scripted()


@pytest.fixture
def service(grader: Scripted) -> Iterator[Running]:
    with running(grader, queue=8, streams=2, body_bytes=4096, responses=8) as found:
        yield found


@pytest.fixture
def impatient(grader: Scripted) -> Iterator[Running]:
    with running(grader, idle_s=2.0) as found:
        yield found


def test_a_row_is_graded_in_the_order_of_its_responses(service: Running) -> None:
    answer = service.post("/grade", row("sleep 0.1", "wrong", "fault", {"program": "x", "language": "cpp"}, other=1))
    assert answer.status_code == 200
    lines = answer.json()["grades"]
    assert [(line["id"], line["index"], line["verdict"], line["score"]) for line in lines] == [
        ("p", 0, "AC", 1.0), ("p", 1, "WA", 0.0), ("p", 2, "IE", None), ("p", 3, "AC", 1.0)]
    assert "other" not in lines[0]
    assert service.service.admission.in_use == 0


def test_a_line_is_that_of_assay_grade(tmp_path: Any) -> None:
    from assay.verifiers.grade_files import grade_file

    given = row(r"\boxed{0.5}", r"\boxed{3}", "no idea")
    (tmp_path / "in.jsonl").write_text(json.dumps(given) + "\n")
    with Grader(workers=1) as real, running(real) as service:
        grade_file(str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl"), real)
        served = service.post("/grade", given).json()["grades"]
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]

    def settled(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{key: value for key, value in line.items() if key not in ("cpu_s", "wall_s")} for line in lines]

    assert settled(served) == settled(written)
    assert [line["score"] for line in served] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(("body", "said"), [
    (b"", "not JSON"), (b"[]", "not a JSON object"), (b"\xff", "not JSON"), (b"[" * 3000, "not JSON"), (b'{"reward": 1}', "no `responses`"),
    (json.dumps({"responses": []}).encode(), "no `reward`"), (json.dumps(row() | {"reward": {"type": "nope"}}).encode(), "nope"),
    (json.dumps(row(3)).encode(), "responses[0]"), (json.dumps(row(None)).encode(), "responses[0]"),
    (json.dumps(row() | {"responses": "x"}).encode(), "not a list"), (json.dumps(row("right", id="x" * 1025)).encode(), "`id` has 1025"),
])
def test_a_bad_row_is_422_with_its_reason(service: Running, grader: Scripted, body: bytes, said: str) -> None:
    answer = service.post("/grade", body)
    assert answer.status_code == 422
    assert answer.json()["error"]["reason"] == "bad_row"
    assert said in answer.json()["error"]["detail"]
    assert not grader.seen


def test_no_responses_are_no_grades(service: Running) -> None:
    assert service.post("/grade", row()).json() == {"id": "p", "grades": []}


def test_too_much_is_413_and_the_connection_survives_to_say_so(service: Running, grader: Scripted) -> None:
    assert service.post("/grade", row("x" * 5000)).status_code == 413
    assert service.post("/grade", row(*["right"] * 9)).status_code == 413

    def drip() -> Iterator[bytes]:      # chunked: no length to refuse by
        for _ in range(100):
            yield b" " * 1000

    answer = httpx.post(service.url + "/grade", content=drip(), trust_env=False, timeout=60)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (413, "too_large")
    assert not grader.seen
    assert service.service.admission.held_bytes == 0


def test_a_full_queue_is_429_at_once_and_then_there_is_room_again(service: Running, grader: Scripted) -> None:
    held: list[httpx.Response] = []
    waiting = [threading.Thread(target=lambda: held.append(service.post("/grade", row(*["wait"] * 4)))) for _ in range(2)]
    for thread in waiting:
        thread.start()
    service.until(lambda gate: gate.in_use == 8)
    answer = service.post("/grade", row("right"))       # while those before it wait on
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["reason"] == "queue_full"
    assert 0 < answer.json()["error"]["retry_after_s"] <= 60
    grader.go.set()
    for thread in waiting:
        thread.join()
    assert [answer.status_code for answer in held] == [200, 200]
    assert service.post("/grade", row("right")).status_code == 200
    assert "assay_queue_refused_total 1" in httpx.get(service.url + "/metrics", trust_env=False, timeout=60).text


def test_a_client_that_leaves_takes_its_work_with_it(service: Running, grader: Scripted) -> None:
    ask_and_leave(service, "/grade", row("wait", "wait"), lambda _: grader.seen == ["wait", "wait"])
    service.until(lambda gate: gate.in_use == 0 and grader.cancelled == ["wait", "wait"])


def test_a_bug_is_one_response_s_ie_and_hurts_no_other(service: Running) -> None:
    lines = service.post("/grade", row("right", "bug", "wrong")).json()["grades"]
    assert [(line["score"], line["reason"]) for line in lines] == [(1.0, "equal"), (None, "internal_error"), (0.0, "different")]
    assert "ZeroDivisionError" in lines[1]["detail"]
    batch = service.batch([row("bug"), row("right")])
    assert {line["line"]: line["score"] for line in batch[:-1]} == {1: None, 2: 1.0}
    assert batch[-1] == {"end": True, "rows": 2, "graded": 2, "rejected": 0, "complete": True}


@pytest.mark.parametrize("wrong", [{"queue": 0}, {"drain_s": -1}, {"idle_s": float("nan")}, {"unscored": float("nan")}, {"port": 70000}])
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Settings(**wrong)


def test_a_body_that_never_ends_is_408(impatient: Running) -> None:
    with socket.create_connection(("127.0.0.1", int(impatient.url.rsplit(":", 1)[1])), timeout=60) as raw:
        raw.sendall(b"POST /grade HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert raw.recv(4096).startswith(b"HTTP/1.1 408")
    impatient.until(lambda gate: gate.held_bytes == 0)


def test_unknown_paths_and_methods(service: Running) -> None:
    assert service.post("/nope", {}).status_code == 404
    assert httpx.get(service.url + "/grade", trust_env=False, timeout=60).status_code == 405


# --- batches


def test_a_batch_gives_each_grade_its_place_and_says_that_it_is_whole(service: Running) -> None:
    lines = service.batch([row("behind fault", "wrong", id="a"), b"", b"{bad", row("fault", id="b"), row(id="c")])
    end = lines.pop()
    assert end == {"end": True, "rows": 4, "graded": 3, "rejected": 1, "complete": True}
    errors = [line for line in lines if "error" in line]
    assert [(line["line"], line["error"]["reason"]) for line in errors] == [(3, "bad_row")]
    found = {(line["line"], line["id"], line["index"]): (line["verdict"], line["score"]) for line in lines if "error" not in line}
    assert found == {(1, "a", 0): ("AC", 1.0), (1, "a", 1): ("WA", 0.0), (4, "b", 0): ("IE", None)}
    assert [line["line"] for line in lines if "index" in line][-1] == 1     # the slow one came last


def test_a_batch_larger_than_the_queue_waits_for_room(service: Running) -> None:
    lines = service.batch([row("sleep 0.01", id=str(n)) for n in range(100)])
    assert sorted(int(line["id"]) for line in lines[:-1]) == list(range(100))
    assert all(line["id"] == str(line["line"] - 1) for line in lines[:-1])
    assert service.service.admission.in_use == 0


def test_a_bug_in_reading_a_row_is_that_row_s_only(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.verifiers.service import batch

    real = batch.row_of

    def row_of(value: Any, where: str, most: int) -> Any:
        if value["id"] == "bug":
            raise ZeroDivisionError
        return real(value, where, most)

    monkeypatch.setattr(batch, "row_of", row_of)
    lines = service.batch([row("right", id="a"), row("right", id="bug"), row("right", id="b")])
    assert (lines[-1]["graded"], lines[-1]["rejected"]) == (2, 1)
    [error] = [line["error"] for line in lines if "error" in line]
    assert (error["reason"], "ZeroDivisionError" in error["detail"]) == ("internal_error", True)


def test_a_line_that_is_too_long_is_one_bad_row(service: Running) -> None:
    lines = service.batch([row("right"), row("x" * 5000), row("x" * 50_000), row("right"), b"y" * 9000])
    assert lines[-1]["graded"] == 2
    assert sorted(line["line"] for line in lines if "error" in line) == [2, 3, 5]


def test_grades_come_while_rows_are_still_sent(service: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(service.url.rsplit(":", 1)[1]), timeout=60)
    connection.putrequest("POST", "/grade/batch")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()

    def send(data: bytes) -> None:
        connection.send(b"%x\r\n%s\r\n" % (len(data), data))

    send(json.dumps(row("right", id="first")).encode() + b"\n")
    answer = connection.getresponse()
    assert json.loads(answer.readline())["id"] == "first"
    send(json.dumps(row("wrong", id="second")).encode()[:20])
    send(json.dumps(row("wrong", id="second")).encode()[20:])
    connection.send(b"0\r\n\r\n")
    assert [json.loads(line).get("id", "end") for line in answer.read().splitlines()] == ["second", "end"]
    connection.close()


def test_batches_leave_half_of_the_queue_to_others(service: Running, grader: Scripted) -> None:
    thread = threading.Thread(target=service.batch, args=([row(*["wait"] * 8), row(*["wait"] * 8)],))
    thread.start()
    service.until(lambda gate: gate.in_use == 4)
    assert service.post("/grade", row("right")).status_code == 200
    grader.go.set()
    thread.join()


def test_batches_keep_few_items_with_the_grader(grader: Scripted) -> None:
    with running(grader, queue=64, ahead=3) as service:
        answers: list[list[dict[str, Any]]] = []
        thread = threading.Thread(target=lambda: answers.append(service.batch([row(*["wait"] * 5, id=f"q{n}") for n in range(4)])))
        thread.start()
        service.until(lambda gate: gate.in_use == 3)
        assert service.post("/grade", row("right")).json()["grades"][0]["verdict"] == "AC"
        assert service.service.admission.in_use == 3 and grader.seen.count("wait") == 3
        grader.go.set()
        thread.join()
        [lines] = answers
        assert Counter(line.get("id") for line in lines) == {"q0": 5, "q1": 5, "q2": 5, "q3": 5, None: 1} and lines[-1]["complete"]


def test_more_batches_than_there_may_be_are_429(service: Running, grader: Scripted) -> None:
    threads = [threading.Thread(target=service.batch, args=([row("wait")],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    service.until(lambda gate: gate.open_streams == 2)
    assert service.post("/grade/batch", row("right")).status_code == 429
    grader.go.set()
    for thread in threads:
        thread.join()
    service.until(lambda gate: gate.open_streams == 0)
    assert service.batch([row("right")])[0]["verdict"] == "AC"


def test_a_batch_whose_client_leaves_is_cancelled_and_its_places_are_free(service: Running, grader: Scripted) -> None:
    ask_and_leave(service, "/grade/batch", row(*["wait"] * 8), lambda gate: gate.open_streams == 1 and len(grader.seen) > 0)
    service.until(lambda gate: gate.open_streams == 0 and gate.in_use == 0)
    assert service.batch([row("right")])[-1]["complete"] is True


def test_a_batch_that_stalls_is_ended_and_what_came_is_graded(impatient: Running) -> None:
    with socket.create_connection(("127.0.0.1", int(impatient.url.rsplit(":", 1)[1])), timeout=60) as raw:
        body = json.dumps(row("right")).encode() + b"\n"
        raw.sendall(b"POST /grade/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n" + body)
        data = b""
        while b'"end"' not in data:
            data += raw.recv(4096)
    assert b'"verdict": "AC"' in data
    assert b'"complete": false, "stopped": "too_slow"' in data


# --- who may


def test_a_token_is_asked_of_everything_but_health(grader: Scripted) -> None:
    with running(grader, token="s3cret") as service:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}, {"Authorization": "Bearer s3cret "[:-3]}):
            assert service.post("/grade", row("right"), headers=headers).status_code == 401
            assert httpx.get(service.url + "/metrics", headers=headers, trust_env=False, timeout=60).status_code == 401
        assert not grader.seen
        assert service.post("/grade", row("right"), headers={"Authorization": "Bearer s3cret"}).status_code == 200
        assert httpx.get(service.url + "/health", trust_env=False, timeout=60).status_code == 200


def test_a_page_of_the_web_cannot_reach_a_service_without_a_token(service: Running, grader: Scripted) -> None:
    assert service.post("/grade", row("right"), headers={"Origin": "https://example.org"}).status_code == 403
    assert not grader.seen


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_other_machines_need_a_token_or_a_word(host: str) -> None:
    with pytest.raises(UsageError, match="no token"):
        Settings(host=host)
    Settings(host=host, token="x")
    Settings(host=host, insecure=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    Settings(host=host)


@pytest.mark.parametrize("token", ["", " x", "x\n", "ü"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(UsageError, match="token"):
        Settings(token=token)


def test_the_token_comes_from_a_file_or_the_environment(tmp_path: Any) -> None:
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "empty").write_text("\n")
    assert read_token(str(tmp_path / "token"), {"ASSAY_TOKEN": "other"}) == "abc"
    assert read_token(None, {"ASSAY_TOKEN": "other"}) == "other"
    assert read_token(None, {}) is None
    for name in ("empty", "missing"):
        with pytest.raises(UsageError):
            read_token(str(tmp_path / name), {})


# --- the end


def test_draining_finishes_what_was_accepted_and_refuses_the_rest(service: Running, grader: Scripted) -> None:
    held: list[Any] = []
    threads = [threading.Thread(target=lambda: held.append(service.post("/grade", row("wait")).status_code)),
               threading.Thread(target=lambda: held.append(service.batch([row("wait", "wait")])))]
    for thread in threads:
        thread.start()
    service.until(lambda gate: gate.in_use == 3)
    service.terminate()
    service.until(lambda gate: gate.draining)
    answer = service.post("/grade", row("right"))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (503, "draining")
    assert service.post("/grade/batch", row("right")).status_code == 503
    assert httpx.get(service.url + "/health", trust_env=False, timeout=60).json()["status"] == "draining"
    grader.go.set()
    for thread in threads:
        thread.join()
    service.thread.join(60)
    assert not service.thread.is_alive()
    assert 200 in held
    batch = next(one for one in held if isinstance(one, list))
    assert [line["verdict"] for line in batch[:-1]] == ["AC", "AC"]
    assert service.server.unfinished == 0
    with pytest.raises(httpx.ConnectError):
        service.post("/grade", row("right"))


def test_draining_has_an_end(grader: Scripted) -> None:
    answers: list[httpx.Response] = []
    cut: list[str] = []

    def batch(service: Running) -> None:
        with httpx.stream("POST", service.url + "/grade/batch", content=json.dumps(row("right", "sleep 60")), trust_env=False, timeout=60) as answer:
            try:
                cut.extend(answer.iter_lines())
            except httpx.RemoteProtocolError:
                cut.append("cut")

    with running(grader, drain_s=0.3) as service:
        threads = [threading.Thread(target=lambda: answers.append(service.post("/grade", row("right", "sleep 60")))),
                   threading.Thread(target=batch, args=(service,))]
        for thread in threads:
            thread.start()
        service.until(lambda gate: gate.in_use == 3 and grader.seen.count("sleep 60") == 2)
        service.terminate()
        service.thread.join(60)
        assert not service.thread.is_alive()
        assert service.server.unfinished == 3
        for thread in threads:
            thread.join(60)
    assert (answers[0].status_code, answers[0].json()["error"]["reason"]) == (503, "not_finished")
    assert json.loads(cut[0])["verdict"] == "AC"
    assert not any('"end"' in line for line in cut)
    assert sorted(grader.cancelled) == ["sleep 60", "sleep 60"]


# --- many at once


def test_no_answer_is_lost_or_mixed_up_among_many_clients(grader: Scripted) -> None:
    async def ask(url: str) -> None:
        turns = asyncio.Semaphore(32)
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
            async def one(n: int) -> None:
                async with turns:
                    await ask_for(n)

            async def ask_for(n: int) -> None:
                right = n % 3 != 0
                answer = await http.post("/grade", json={"id": f"q{n}", "reward": MATH, "responses": ["right" if right else "wrong"]})
                [line] = answer.json()["grades"]
                assert (line["id"], line["score"]) == (f"q{n}", float(right))
            await asyncio.gather(*(one(n) for n in range(400)))

    with running(grader, queue=4096) as service:
        asyncio.run(ask(service.url))
        assert len(grader.seen) == 400


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """Head and body go out in two writes: with Nagle's algorithm the second would wait 40 ms for the client."""
    with bind(Settings(port=0)) as listening:
        with socket.create_connection(listening.getsockname()[:2]), listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
