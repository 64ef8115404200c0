"""Runs one call on either client, so that a test states a fact once and holds it for both."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from handrail_client import AsyncHandrail, Handrail

Kind = Literal["blocking", "async"]
KINDS: tuple[Kind, ...] = ("blocking", "async")
KEY = "hr_agent_5ecret"


def run(kind: Kind, url: str, name: str, *args: Any, options: Mapping[str, Any] | None = None, **fields: Any) -> Any:
    """Call the method called `name` once, on a client of its own."""
    if kind == "blocking":
        with Handrail(url, KEY, **(options or {})) as handrail:
            return getattr(handrail, name)(*args, **fields)

    async def ask() -> Any:
        async with AsyncHandrail(url, KEY, **(options or {})) as handrail:
            return await getattr(handrail, name)(*args, **fields)

    return asyncio.run(ask())
