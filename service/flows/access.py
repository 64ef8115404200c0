"""The store as edges and workers get it: opened, handed on to the flows, closed. What is in it only flows know."""

from __future__ import annotations

from service.store.embedded import Embedded as Embedded
from service.store.embedded import start_or_attach as start_or_attach
from service.store.server_binary import ServerUnavailable as ServerUnavailable
from service.store.store import Store as Store
from service.store.store import open_store as open_store
