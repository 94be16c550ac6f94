"""Functions that tests run in worker processes."""
from __future__ import annotations

import os
import signal
import time


def echo(value: object) -> object:
    print("a library that prints must not break the protocol", flush=True)
    return value


def spin(seconds: float) -> str:
    """So much CPU time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return "finished"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(marker: str) -> str:
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "second time"
    die()
    return "unreachable"


def fill(megabytes: int) -> int:
    return len(bytearray(megabytes << 20))


def fail() -> None:
    raise ValueError("by itself")


def pid() -> int:
    return os.getpid()


def nap(seconds: float) -> str:
    time.sleep(seconds)
    return "finished"
