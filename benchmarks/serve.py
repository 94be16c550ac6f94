"""Load on `assay serve` over loopback, from a second process: is an answer ever lost or mixed up, what does HTTP add, what if it is full.

    python benchmarks/serve.py [--requests 100000] [--seconds 20] [--numbers]

Each part ends by itself. Every request asks for a grade that only it should get: its own id, its own gold answer, and a response that
is right or wrong as a hash of its number says; every second answer is a formula. Added latency is what the client waited less what the
grading itself took (`wall_s`).
At half load requests come at random times (Poisson) at half of the rate that the closed loop reached, whether or not answers came.
"""
from __future__ import annotations

import argparse
import asyncio
import collections
import gc
import json
import os
import random
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

NUMBERS_ALONE = "--numbers" in sys.argv
_LIMIT_S = 420.0
"""For each part: then it is said to have failed."""
_SLOW = "import time\ntime.sleep(0.5)\nprint('ok')"


class Connection:
    """One kept-alive HTTP/1.1 connection: as little of a client as will do, so that the server is what is measured."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body)) + body)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:"))
        return int(lines[0].split()[1]), await reader.readexactly(length)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


@dataclass
class Tally:
    """What was seen of a part's requests."""

    answers: Counter[str] = field(default_factory=Counter)
    waited_s: list[float] = field(default_factory=list)
    added_s: list[float] = field(default_factory=list)
    seconds: float = 0.0


def right(n: int) -> bool:
    return zlib.crc32(str(n).encode()) % 2 == 0


def question(n: int) -> bytes:
    """Numbers, which are graded at once, and formulas, which a thread grades, in turn."""
    answer = n if right(n) else n + 1
    gold, given = (str(n), str(answer)) if n % 2 or NUMBERS_ALONE else (f"x^2+{n}", f"{answer}+x^{{2}}")
    return json.dumps({"id": f"q{n}", "reward": {"type": "math", "answer": gold}, "responses": [f"We get \\boxed{{{given}}}."]}).encode()


def judge(n: int, status: int, body: bytes, tally: Tally, waited_s: float) -> None:
    if status != 200:
        tally.answers[f"status {status}"] += 1
        return
    [line] = json.loads(body)["grades"]
    expected = (f"q{n}", 0, 1.0 if right(n) else 0.0)
    tally.answers["as expected" if (line["id"], line["index"], line["score"]) == expected else "MIXED UP"] += 1
    tally.waited_s.append(waited_s)
    tally.added_s.append(waited_s - line["wall_s"])


async def closed_loop(address: tuple[str, int], requests: int, clients: int) -> Tally:
    """Each client asks again as soon as it has its answer."""
    tally = Tally()
    numbers = iter(range(requests))

    async def client() -> None:
        connection = Connection(*address)
        for n in numbers:
            started = time.perf_counter()
            status, body = await connection.post("/grade", question(n))
            judge(n, status, body, tally, time.perf_counter() - started)
        connection.close()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    tally.seconds = time.perf_counter() - started
    return tally


class OpenLoop:
    """Requests at random times, `rate` a second; the clock of each starts when it is due, so a late start counts as waiting.

    A thread sends and this one reads, on plain sockets: an event loop's timers are whole milliseconds, as long as what is measured.
    """

    def __init__(self, address: tuple[str, int], rate: float, seconds: float) -> None:
        self._address = address
        self._rate = rate
        self._seconds = seconds
        self._idle: collections.deque[socket.socket] = collections.deque()
        self._asked: dict[socket.socket, tuple[int, float]] = {}
        self._selector = selectors.DefaultSelector()
        self._connections: list[socket.socket] = []
        self._sent = 0
        self._all_sent = threading.Event()

    def run(self) -> Tally:
        tally = Tally()
        switch = sys.getswitchinterval()
        sys.setswitchinterval(1e-4)
        started = time.perf_counter()
        sender = threading.Thread(target=self._send, daemon=True)
        try:
            for _ in range(4):
                self._connect()
            sender.start()
            answered = 0
            while not (self._all_sent.is_set() and answered == self._sent):
                for key, _ in self._selector.select(0.1):
                    connection: socket.socket = key.fileobj     # type: ignore[assignment]
                    status, body = _answer(connection)
                    n, due = self._asked.pop(connection)
                    judge(n, status, body, tally, time.perf_counter() - due)
                    self._idle.append(connection)
                    answered += 1
                if time.perf_counter() > started + self._seconds + _LIMIT_S:
                    raise TimeoutError(f"{self._sent - answered} requests without an answer")
            tally.seconds = time.perf_counter() - started
        finally:
            sys.setswitchinterval(switch)
            for connection in self._connections:
                connection.close()
        return tally

    def _connect(self) -> None:
        connection = socket.create_connection(self._address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.append(connection)
        self._selector.register(connection, selectors.EVENT_READ)
        self._idle.append(connection)

    def _send(self) -> None:
        chance = random.Random(1)
        started = due = time.perf_counter()
        while due < started + self._seconds:
            due += chance.expovariate(self._rate)
            body = question(self._sent)
            request = b"POST /grade HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            if (left := due - time.perf_counter()) > 0:
                time.sleep(left)
            if not self._idle:
                self._connect()
            connection = self._idle.popleft()
            self._asked[connection] = self._sent, due
            self._sent += 1
            connection.sendall(request)
        self._all_sent.set()


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    """The rest of an answer of which something is there. Raises: ConnectionError."""
    data = b""
    while True:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError("the service closed a connection with a request under way")
        data += part
        head, there, body = data.partition(b"\r\n\r\n")
        if there:
            lines = head.split(b"\r\n")
            if len(body) == next(int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")):
                return int(lines[0].split()[1]), body


async def batches(address: tuple[str, int], rows: int, size: int, clients: int) -> Tally:
    """Rows in batches of `size`; every line is told by its place and id."""
    tally = Tally()
    firsts = iter(range(0, rows, size))

    async def client() -> None:
        for first in firsts:
            reader, writer = await asyncio.open_connection(*address)
            body = b"\n".join(question(n) for n in range(first, min(rows, first + size)))
            writer.write(b"POST /grade/batch HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            lines = [json.loads(line) for line in (await reader.read()).split(b"\n") if line.startswith(b"{")]
            writer.close()
            for line in lines[:-1]:
                n = first + line["line"] - 1
                good = (line["id"], line["score"]) == (f"q{n}", 1.0 if right(n) else 0.0)
                tally.answers["as expected" if good else "MIXED UP"] += 1
            if not lines[-1].get("complete"):
                tally.answers["CUT OFF"] += 1

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    tally.seconds = time.perf_counter() - started
    return tally


async def beside_batches(address: tuple[str, int], rows: int) -> Tally:
    """Single requests, a hundred a second at most, while batches of `rows` rows in all are graded."""
    tally = Tally()
    others = asyncio.create_task(batches(address, rows, 500, 4))
    connection = Connection(*address)
    started = time.perf_counter()
    n = rows
    while not others.done():
        asked = time.perf_counter()
        status, body = await connection.post("/grade", question(n))
        judge(n, status, body, tally, time.perf_counter() - asked)
        n += 1
        await asyncio.sleep(0.01)
    connection.close()
    tally.seconds = time.perf_counter() - started
    tally.answers.update((await others).answers)
    return tally


async def flood(address: tuple[str, int], requests: int) -> Tally:
    """More at once than the queue holds, of programs that take half a second."""
    tally = Tally()

    async def one(n: int) -> None:
        connection = Connection(*address)
        row = {"reward": {"type": "code", "tests": [{"input": "", "output": "ok\n"}]},
               "responses": [{"program": f"# {n}\n{_SLOW}", "language": "python"}]}
        started = time.perf_counter()
        status, _ = await connection.post("/grade", json.dumps(row).encode())
        tally.answers[f"status {status}"] += 1
        if status == 429:
            tally.waited_s.append(time.perf_counter() - started)
        connection.close()

    started = time.perf_counter()
    await asyncio.gather(*(one(n) for n in range(requests)))
    tally.seconds = time.perf_counter() - started
    return tally


@dataclass
class Served:
    """`assay serve` as a process of its own."""

    process: subprocess.Popen[str]
    address: tuple[str, int]

    def cpu_s(self) -> float:
        """Of the process itself: its workers and slots not counted."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def serve(*options: str) -> Served:
    process = subprocess.Popen([sys.executable, "-m", "assay.cli", "serve", "--port", "0", "--sandbox", "local", *options],
                               stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("listening on "):
            host, _, port = line.split()[-1].removeprefix("http://").rpartition(":")
            return Served(process, (host, int(port)))
    raise SystemExit("assay serve did not start")


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def told(name: str, tally: Tally, rest: str) -> None:
    answers = ", ".join(f"{count} {what}" for what, count in tally.answers.most_common())
    print(f"| {name} | {answers} | {sum(tally.answers.values()) / tally.seconds:.0f}/s | {rest} |", flush=True)


def within(part: Callable[[], Awaitable[Tally]]) -> Tally:
    async def run() -> Tally:
        async with asyncio.timeout(_LIMIT_S):
            return await part()

    gc.collect()
    gc.freeze()     # the pauses of the load's own collector are not the server's
    try:
        import uvloop
    except ImportError:
        return asyncio.run(run())
    return uvloop.run(run())


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--requests", type=int, default=100_000)
    options.add_argument("--seconds", type=float, default=20.0)
    options.add_argument("--numbers", action="store_true", help="no formulas among the answers")
    chosen = options.parse_args()
    print("| part | answers | rate | latency |\n|---|---|---|---|")
    failed = False
    served = serve("--workers", "2", "--slots", "1")
    try:
        within(lambda: closed_loop(served.address, 500, 8))     # warm
        before = served.cpu_s()
        tally = within(lambda: closed_loop(served.address, chosen.requests, 16))
        cpu_ms = (served.cpu_s() - before) / chosen.requests * 1e3
        rate = chosen.requests / tally.seconds
        told(f"{chosen.requests} `/grade` requests, 16 connections", tally,
             f"server {cpu_ms:.2f} cpu-ms a request; waited p50 {percentile(tally.waited_s, 0.5) * 1e3:.1f} ms, "
             f"p99 {percentile(tally.waited_s, 0.99) * 1e3:.1f} ms")
        failed |= tally.answers != {"as expected": chosen.requests}
        for share in (0.5, 0.25):
            tally = OpenLoop(served.address, rate * share, chosen.seconds).run()
            told(f"{share:.0%} of that rate, at random times, {chosen.seconds:g} s", tally,
                 f"added p50 {percentile(tally.added_s, 0.5) * 1e3:.1f} ms, p99 {percentile(tally.added_s, 0.99) * 1e3:.1f} ms, "
                 f"mean {statistics.mean(tally.added_s) * 1e3:.1f} ms")
            failed |= set(tally.answers) != {"as expected"}
        tally = within(lambda: batches(served.address, chosen.requests, 500, 4))
        told(f"{chosen.requests} rows by `/grade/batch`, 500 a request, 4 connections", tally, "")
        failed |= tally.answers != {"as expected": chosen.requests}
        tally = within(lambda: beside_batches(served.address, chosen.requests))
        told("the same, and one `/grade` request after the other beside them", tally,
             f"added p50 {percentile(tally.added_s, 0.5) * 1e3:.1f} ms, p99 {percentile(tally.added_s, 0.99) * 1e3:.1f} ms")
        failed |= tally.answers != {"as expected": chosen.requests + len(tally.added_s)}
    finally:
        code = served.stop()
    print(f"\nSIGTERM: exit code {code}\n")
    failed |= code != 0
    served = serve("--workers", "1", "--slots", "2", "--queue", "32")
    try:
        tally = within(lambda: flood(served.address, 300))
        told("300 programs of 0.5 s at once, queue of 32, 2 slots", tally, f"429 after p99 {percentile(tally.waited_s, 0.99) * 1e3:.0f} ms")
        failed |= tally.answers != {"status 200": 32, "status 429": 268}
    finally:
        served.stop()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
