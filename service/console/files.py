"""The scripts, the stylesheet and the icon of the pages, as they lie in the package. Nothing else is read from disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

FOLDER = "assets"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
VERSION_CHARS = 12  # of a digest: enough to tell every release from every other


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    media_type: str
    content: bytes


@cache
def assets() -> dict[str, Asset]:
    """Return every file by its name. They are read once: what is installed does not change while the service runs."""
    folder = files("service.console") / FOLDER
    return {
        each.name: Asset(MEDIA_TYPES[ending], each.read_bytes())
        for each in sorted(folder.iterdir(), key=lambda each: each.name)
        for ending in (f".{each.name.rpartition('.')[2]}",)
        if ending in MEDIA_TYPES
    }


@cache
def version() -> str:
    """Return the name of these files as a whole; it stands in their addresses, so that a browser may keep them."""
    digest = sha256()
    for name, asset in assets().items():
        digest.update(f"{name} {len(asset.content)} ".encode())
        digest.update(asset.content)
    return digest.hexdigest()[:VERSION_CHARS]
