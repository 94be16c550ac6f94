"""64-bit hashes of responses and programs: what grades are found again by."""
from __future__ import annotations

import hashlib

from ..core.problem import Program, Response

__all__ = ["hash_of", "hash_text"]


def hash_text(*parts: str) -> int:
    """BLAKE2b-64 of the parts, each with its length, so that no two lists of parts run together."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return int.from_bytes(digest.digest(), "big")


def hash_of(response: Response | Program) -> int:
    if isinstance(response, Program):
        return hash_text(response.language, response.source)
    return hash_text(response.text)
