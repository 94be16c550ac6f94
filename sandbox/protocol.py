"""The frames between the host and the agent inside a slot. sandbox/agent.py, a single file without imports of ours, has the same numbers.

A frame is a head (`HEAD`: length of JSON and body together, kind, length of the JSON), a JSON object, and a body of raw bytes.

    host -> agent                                            agent -> host
    PUT     {h: name}            body: the blob              HELLO    {protocol, python, machine, ...} once, when it is ready
    DROP    {h: name}                                        COMPILED {job, ok, reason, message, cpu_s, wall_s, h}   body: the artifact
    JOB     {job, ...}           a program; is compiled      OUTCOME  {job, n, ended, ..., out, err, result}   body: those three
    RUN     {job, n, ...}        one test of that job        IDLE     {job}   after CANCEL: everything of it is dead
    CANCEL  {job}                                            PONG     {}
    PING    {}                                               FAULT    {message}   it cannot go on; the slot is to be replaced
    QUIT    {}
    of a run that talks (RUN with "talk"), its standard streams being pipes:
    FEED    {job, n, held}       body: what it reads;        SAID     {job, n, over, cpu, held}  body: what it printed; empty: that was all
                                 empty: that was all                  (`over`: its processes have ended; `held`: seconds since it was spoken to,
                                                                       without those in which it had no core)
    FLOW    {job, n, bytes}      so much of it was taken     TOOK     {job, n, bytes}      so much went into its pipe
    END     {job, n}             its end, now

A slot's life: BOOT bytes (see `boot_bytes`), HELLO, then jobs one after the other. A RUN may be sent before the one before it has
ended; after CANCEL, and after a failed run of a job with `stop`, the agent drops the RUNs of that job. Of a talk, an agent
says no more than its window (256 KiB) beyond what the host let flow, and holds no more of what it is fed.
"""
from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, Protocol

__all__ = ["BOOT", "PROTOCOL", "PYTHON_OPTIONS", "Frame", "Kind", "ProtocolError", "Reader", "boot_bytes", "encode", "read_frame"]

PROTOCOL: Final = 1
HEAD: Final = struct.Struct("<QBI")
MAX_FRAME: Final = 4 << 30
"""No frame is longer: a slot that says so is broken."""

PYTHON_OPTIONS: Final = ("-s", "-S", "-B")
"""No .pth files (the agent adds site-packages itself), no byte code written."""
BOOT: Final = (
    "import os,struct,builtins,marshal\n"
    "def r(n):\n"
    " b=b''\n"
    " while len(b)<n:\n"
    "  c=os.read(0,n-len(b))\n"
    "  if not c: os._exit(1)\n"
    "  b+=c\n"
    " return b\n"
    "s=r(struct.unpack('<I',r(4))[0]);c=r(struct.unpack('<I',r(4))[0])\n"
    "p=os.pipe()\n"
    "if os.fork()==0:\n"
    " os.fdopen(p[1],'wb').write(marshal.dumps(compile(s,'<agent>','exec')))\n"
    " os._exit(0)\n"
    "os.close(p[1])\n"
    "with os.fdopen(p[0],'rb') as f: s=f.read()\n"
    "os.wait()\n"
    "n={'__name__':'assay_agent','__builtins__':dict(vars(builtins))}\n"
    "exec(marshal.loads(s),n)\n"
    "n['main'](c)\n"
)
"""`python3 *PYTHON_OPTIONS -c BOOT` reads the agent's source and its configuration from fd 0 and becomes the agent; fd 0 and 1 then
carry the frames. The source is compiled in a child, so that the memory this takes is in no fork server. The agent's functions get a copy
of the builtins, so that no program can change what they mean by patching the module."""


class Kind(IntEnum):
    PUT = 1
    DROP = 2
    JOB = 3
    RUN = 4
    CANCEL = 5
    PING = 6
    QUIT = 7
    FEED = 8
    FLOW = 9
    END = 10
    HELLO = 64
    COMPILED = 65
    OUTCOME = 66
    IDLE = 67
    PONG = 68
    FAULT = 69
    SAID = 70
    TOOK = 71


class ProtocolError(Exception):
    """The other side broke the protocol, or ended."""


class Reader(Protocol):
    """What is needed of asyncio.StreamReader."""

    async def readexactly(self, n: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Frame:
    kind: Kind
    head: Mapping[str, Any]
    body: bytes = b""


def encode(kind: Kind, head: Mapping[str, Any], size: int = 0) -> bytes:
    """The bytes of a frame up to its body of `size` bytes."""
    text = json.dumps(head, separators=(",", ":")).encode()
    return HEAD.pack(len(text) + size, kind, len(text)) + text


async def read_frame(reader: Reader) -> Frame:
    """The next frame. Raises: ProtocolError; what the reader raises at the end (asyncio.IncompleteReadError, OSError)."""
    size, kind, text = HEAD.unpack(await reader.readexactly(HEAD.size))
    if size > MAX_FRAME or text > size:
        raise ProtocolError(f"a frame of {size} bytes, {text} of them JSON")
    data = await reader.readexactly(size)
    try:
        return Frame(Kind(kind), json.loads(data[:text]), data[text:])
    except (ValueError, RecursionError) as error:
        raise ProtocolError(str(error)) from error


def boot_bytes(config: Mapping[str, Any]) -> bytes:
    """What a process started with `BOOT` reads first: the agent's source, then its configuration (see agent.main)."""
    source = (Path(__file__).parent / "agent.py").read_bytes()
    text = json.dumps(config).encode()
    return struct.pack("<I", len(source)) + source + struct.pack("<I", len(text)) + text
