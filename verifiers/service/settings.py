"""`Settings` of the service: where it listens, who may use it, and how much it takes on at once."""
from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass

from ...core.errors import UsageError

__all__ = ["Settings", "is_loopback", "read_token"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The defaults suit one trainer on the same machine. Checked when made. Raises: UsageError."""

    host: str = "127.0.0.1"
    port: int = 8400
    """0 takes a free one; which, is said when the service is up."""
    token: str | None = None
    """Bearer token that every request but `/health` must carry."""
    insecure: bool = False
    """Whether a host that is not loopback may be served without a token."""
    queue: int = 2048
    """Responses accepted and not yet graded, of all requests together; one more is answered 429."""
    streams: int = 16
    """`/grade/batch` requests at once. Together they may hold half of the queue, so that they cannot shut out `/grade`."""
    ahead: int = 64
    """Items of batches that are with the grader at once, besides that: enough to keep its slots and threads busy, and no more, since a
    `/grade` request has its turn behind them."""
    body_bytes: int = 32 << 20
    """Largest body, and largest line of a batch: a problem with its tests and responses."""
    responses: int = 1024
    """Most responses of one row."""
    connections: int = 4096
    """Open at once; one more is answered 503."""
    idle_s: float = 60.0
    """How long a client may keep the service waiting, for bytes of a body or for room to send; then it is cut off."""
    drain_s: float = 600.0
    """How long accepted work may go on after SIGTERM."""
    unscored: float | None = None
    """What a response without a score becomes for frameworks whose contract has no null (OpenRLHF, NeMo-Gym). None: an HTTP error,
    which stops them or makes them try again. Either way it is counted in `/metrics`."""

    def __post_init__(self) -> None:
        for name in ("queue", "streams", "ahead", "body_bytes", "responses", "connections", "idle_s", "drain_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be a number above 0, not {getattr(self, name)!r}")
        if self.unscored is not None and not math.isfinite(self.unscored):
            raise UsageError(f"unscored must be a finite number, not {self.unscored!r}: JSON has no other")
        if not 0 <= self.port <= 65535:
            raise UsageError(f"port must be from 0 to 65535, not {self.port}")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token.strip() == self.token != ""):
            raise UsageError("the token must be printable ASCII without spaces around it, and not empty")
        if not is_loopback(self.host) and self.token is None and not self.insecure:
            raise UsageError(f"{self.host} can be reached from other machines, and there is no token: anyone could run programs in the "
                             "sandbox. Give a token (ASSAY_TOKEN or --token-file), or say --insecure")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. A name other than `localhost` counts as reachable, whatever it resolves to today."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(path: str | None, environment: Mapping[str, str]) -> str | None:
    """The token in a file, else in the variable ASSAY_TOKEN, else None. Never an argument: other users see those. Raises: UsageError."""
    if path is None:
        return environment.get("ASSAY_TOKEN") or None
    try:
        with open(path, encoding="ascii") as file:
            token = file.read(4097).strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: no token can be read: {error}") from error
    if not token or len(token) > 4096:
        raise UsageError(f"{path}: is empty, or too long for a token")
    return token
