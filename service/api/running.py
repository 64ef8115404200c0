"""What one serving process holds while it runs. Built by `main`, read by every route, changed only by a new ruleset."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog
from structlog.typing import FilteringBoundLogger

from rules.evaluate import Ruleset
from service.api.identity import Callers
from service.flows.access import Store
from service.flows.spool import Spool
from service.metrics import Metrics
from service.settings import Settings


@dataclass(slots=True)
class Running:
    """The parts of a serving process. `stopping` is set once it is told to end, so that no long poll delays it."""

    settings: Settings
    store: Store
    ruleset: Ruleset
    spool: Spool | None = None
    rules_from: str = "library"
    rules_fault: str | None = None
    metrics: Metrics = field(default_factory=Metrics)
    callers: Callers = field(default_factory=Callers)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    log: FilteringBoundLogger = field(default_factory=lambda: structlog.get_logger().bind())
