"""Reaches a Docker daemon: the one place where the docker SDK is connected, and where its failures become one clear line."""
from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ..core.errors import SandboxUnavailable

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["CONNECT_TIMEOUT_S", "address", "connect", "said"]

CONNECT_TIMEOUT_S = 60
"""Seconds that one request may take. A busy daemon needs a second or two to start a container; a minute means that it hangs."""


def connect(timeout_s: int = CONNECT_TIMEOUT_S) -> DockerClient:
    """A client of the daemon that DOCKER_HOST names, else of the local socket. It has answered a ping.

    Raises: SandboxUnavailable where there is no SDK, no daemon, or no right to talk to it.
    """
    try:
        import docker
        from docker.errors import DockerException
    except ImportError as error:
        raise SandboxUnavailable(f"the docker SDK is not installed ({error}); get it with: pip install 'docker>=7.1'") from error
    _knock(address())
    try:
        client = docker.from_env(timeout=timeout_s)
        client.ping()
    except DockerException as error:
        raise SandboxUnavailable(_why(str(error))) from error
    except OSError as error:    # requests' errors are OSErrors: a daemon that goes away between the two calls
        raise SandboxUnavailable(_why(str(error))) from error
    return client


def address() -> str:
    """The daemon's URL: DOCKER_HOST, else the local socket."""
    from docker.utils import kwargs_from_env

    return str(kwargs_from_env().get("base_url") or "unix:///var/run/docker.sock")


def _knock(url: str) -> None:
    """Try a Unix socket by hand first: the SDK leaves its own socket open when it cannot connect."""
    if not url.startswith(("unix://", "http+unix://")):
        return
    with socket.socket(socket.AF_UNIX) as trial:
        try:
            trial.connect(url.partition("://")[2])
        except OSError as error:
            raise SandboxUnavailable(_why(f"{url.partition('://')[2]}: {error.strerror or error}")) from error


def _why(message: str) -> str:
    if "Permission denied" in message or "PermissionError" in message:
        return "this user may not talk to the Docker daemon; add it to the group docker, or run as root"
    return f"no Docker daemon answers ({said(message)}); start one (apt install docker.io), set DOCKER_HOST, or use the local backend"


def said(error: object) -> str:
    """One line of at most 300 characters of what an error says; of the daemon's errors only its own words."""
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:300]
