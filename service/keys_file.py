"""Where the file lies that tells the keys which `serve` made. Read and written it is elsewhere."""

from __future__ import annotations

from pathlib import Path

from service.settings import KEYS_FILE


def keys_file(data_dir: Path, tenant: str) -> Path:
    """Return the file of this tenant's keys: `keys.json`, or its own where that was another tenant's before."""
    own = own_keys_file(data_dir, tenant)
    return own if own.exists() else data_dir / KEYS_FILE


def own_keys_file(data_dir: Path, tenant: str) -> Path:
    """Return the file that no other tenant's keys are ever in."""
    first = data_dir / KEYS_FILE
    return first.with_name(f"{first.stem}-{tenant}{first.suffix}")
