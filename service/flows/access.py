"""The store as edges and workers get it: opened, handed on to the flows, closed. What is in it only flows know."""

from __future__ import annotations

from collections.abc import Callable

from service.store.embedded import Embedded as Embedded
from service.store.embedded import start_or_attach as start_or_attach
from service.store.keys import RULESETS_CHANNEL
from service.store.news import listen
from service.store.server_binary import ServerUnavailable as ServerUnavailable
from service.store.server_files import holds_store as holds_store
from service.store.store import Store as Store
from service.store.store import open_store as open_store


async def hear_of_rulesets(store: Store, heard: Callable[[str | None], None]) -> None:
    """Call `heard` with every tenant whose rulesets take a step; None when some may have been missed. Never returns."""
    await listen(store.url, RULESETS_CHANNEL, heard)
