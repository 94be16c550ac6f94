"""What a worker process of workers.py runs: `python -m assay.verifiers.worker_main SETUP`."""
from __future__ import annotations

import importlib
import json
import os
import resource
import select
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

_LENGTH: Final = struct.Struct(">I")
_IDLE_S: Final = 10.0
"""How often an idle worker looks whether its parent is still there (its pipe may be held open by a forked sibling)."""
_SLACK_S: Final = 1.0
"""The parent kills at the end of the wall time; this much later the kernel does, in case there is no parent any more."""


def main() -> int:
    setup = json.loads(sys.argv[1])
    parent = os.getppid()
    replies = os.dup(1)
    silent = os.open(os.devnull, os.O_RDWR)
    os.dup2(silent, 1)                          # a library that prints must not break the protocol
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)           # the default action: the kernel ends the process
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for entry in setup["preload"]:
        module, _, function = entry.partition(":")
        loaded = importlib.import_module(module)
        if function:
            getattr(loaded, function)()
    resource.setrlimit(resource.RLIMIT_AS, (setup["memory_bytes"], setup["memory_bytes"]))
    functions: dict[str, Callable[..., Any]] = {}
    _write(replies, _clocks())
    while (request := _read_request(parent)) is not None:
        signal.setitimer(signal.ITIMER_REAL, request["wall_s"] + _SLACK_S)
        signal.setitimer(signal.ITIMER_PROF, request["budget_s"])
        status, value = "done", None
        try:
            name = request["function"]
            if name not in functions:
                module, _, attribute = name.partition(":")
                functions[name] = getattr(importlib.import_module(module), attribute)
            value = functions[name](*request["args"])
        except MemoryError:
            status = "memory"
        except RecursionError:
            status, value = "error", "RecursionError"
        except Exception:  # noqa: BLE001  # the boundary of the process: the parent gets the traceback
            status, value = "error", traceback.format_exc(limit=-3)[-2000:]
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        _write(replies, {"status": status, "value": value, **_clocks()})
    return 0


def _clocks() -> dict[str, float]:
    """Seconds on a core, and of waiting for one (0 where the kernel does not tell)."""
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:
            waited_s = int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        waited_s = 0.0
    return {"cpu_s": time.process_time(), "waited_s": waited_s}


def _read_request(parent: int) -> dict[str, Any] | None:
    while not select.select([0], [], [], _IDLE_S)[0]:
        if os.getppid() != parent:
            return None
    head = _read(_LENGTH.size)
    body = _read(_LENGTH.unpack(head)[0]) if head else None
    return json.loads(body) if body else None


def _read(size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            return None
        data += part
    return data


def _write(fd: int, reply: dict[str, Any]) -> None:
    body = json.dumps(reply).encode()
    data = memoryview(_LENGTH.pack(len(body)) + body)
    while data:
        data = data[os.write(fd, data):]


if __name__ == "__main__":
    sys.exit(main())
