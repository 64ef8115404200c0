"""The name of a set of files: one sha256 over all names and texts. Nothing is read or compiled."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256


def files_hash(texts: Mapping[str, str]) -> str:
    """Return the sha256 (hex) of the texts by name, whatever their order in the mapping."""
    digest = sha256()
    for name in sorted(texts):
        for part in (name, texts[name]):
            data = part.encode("utf-8", "surrogatepass")
            # The length before each part keeps two files from reading as one.
            digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()
