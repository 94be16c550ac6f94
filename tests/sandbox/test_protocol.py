"""The two ends of the protocol say the same; what comes in malformed is refused."""
from __future__ import annotations

import ast
import asyncio
import struct
from pathlib import Path

import pytest

from assay.sandbox import agent, protocol
from assay.sandbox.protocol import HEAD, Kind, ProtocolError, encode, read_frame


def reader(data: bytes) -> asyncio.StreamReader:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    return stream


async def read(data: bytes) -> protocol.Frame:
    return await read_frame(reader(data))


def test_both_ends_have_the_same_numbers() -> None:
    assert {kind.name: getattr(agent, kind.name) for kind in Kind} == {kind.name: kind.value for kind in Kind}
    assert agent.PROTOCOL == protocol.PROTOCOL
    assert agent.HEAD.format == protocol.HEAD.format


def test_the_agent_imports_the_standard_library_alone() -> None:
    """And only what Python 3.9 has: its syntax is checked here, its behaviour by the image's Python."""
    import sys

    source = Path(agent.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [
            node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert name.partition(".")[0] in sys.stdlib_module_names, name


def test_a_frame_comes_back() -> None:
    data = encode(Kind.OUTCOME, {"n": 1, "text": "é"}, 3) + b"abc"
    frame = asyncio.run(read(data))
    assert (frame.kind, frame.head, frame.body) == (Kind.OUTCOME, {"n": 1, "text": "é"}, b"abc")


@pytest.mark.parametrize("data", [HEAD.pack(5 << 30, 66, 2), HEAD.pack(1, 66, 2) + b"xx", HEAD.pack(2, 99, 2) + b"{}",
                                  HEAD.pack(2, 66, 2) + b"{]"])
def test_malformed_frames_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        asyncio.run(read(data))


def test_a_frame_that_ends_early() -> None:
    with pytest.raises(EOFError):
        asyncio.run(read(encode(Kind.PONG, {}, 10) + b"abc"))


def test_boot_bytes_carry_source_and_configuration() -> None:
    data = protocol.boot_bytes({"a": 1})
    size = struct.unpack_from("<I", data)[0]
    assert b"def main(config" in data[4:4 + size]
    assert data[4 + size + 4:] == b'{"a": 1}'
