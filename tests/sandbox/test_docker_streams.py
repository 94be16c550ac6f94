"""The attach stream taken apart: whatever way the bytes are cut, the reader gets the same."""
from __future__ import annotations

import asyncio
import random

import pytest

from assay.sandbox.docker import _Streams


def chunk(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize("seed", range(20))
def test_any_cut_gives_the_same_bytes(seed: int) -> None:
    rng = random.Random(seed)
    pieces = [(rng.choice((1, 1, 1, 2)), rng.randbytes(rng.choice((0, 1, 7, 8, 9, 5000)))) for _ in range(50)]
    wire = b"".join(chunk(stream, data) for stream, data in pieces)

    async def run() -> tuple[bytes, str]:
        streams = _Streams()
        at = 0
        while at < len(wire):
            size = rng.choice((1, 2, 3, 8, 100, 9000))
            streams.data_received(wire[at:at + size])
            at += size
        streams.connection_lost(None)
        return await streams.reader.read(), streams.why()

    got, _ = asyncio.run(run())
    assert got == b"".join(data for stream, data in pieces if stream == 1)


def test_why_is_the_last_line_of_stderr() -> None:
    async def run() -> str:
        streams = _Streams()
        streams.data_received(chunk(2, b"x" * 10000 + b"\nTraceback\nMemoryError: here\n\n") + chunk(1, b"frames"))
        return streams.why()

    assert asyncio.run(run()) == "MemoryError: here"


def test_a_lost_connection_ends_reader_and_writer() -> None:
    async def run() -> None:
        streams = _Streams()
        streams.pause_writing()
        waiting = asyncio.ensure_future(streams.drain())
        await asyncio.sleep(0)
        streams.connection_lost(ConnectionResetError("gone"))
        with pytest.raises(OSError):
            await waiting
        with pytest.raises(OSError):
            await streams.reader.readexactly(1)

    asyncio.run(run())
