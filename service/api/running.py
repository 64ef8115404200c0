"""What one serving process holds while it runs. Built by `main`, read by every route, changed only by a new ruleset."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from structlog.typing import FilteringBoundLogger

from rules.evaluation.evaluate import Ruleset
from service.api.identity import Callers
from service.api.rules_fault import RulesFault
from service.api.workbench import Workbench
from service.flows.access import Store
from service.flows.in_force import Following
from service.flows.spool import Spool
from service.metrics import Metrics
from service.rules_loss import RulesLoss
from service.settings import Settings


@dataclass(slots=True)
class Running:
    """The parts of a serving process. `stopping` is set once it is told to end, so that no long poll delays it.

    `ruleset` are the service's own rules: those of its directory, or the library. Without a directory the versions of
    each tenant are `following`, and the own rules decide for those that have none;
    `versions_refused` has the tenants whose version this process cannot use. `texts` are the rule files that `ruleset`
    was made from, once one was edited; `rules_loss` is what those no longer ask for of the ones before.
    `store_lacks` says in sentences why the server may lose what was answered.
    """

    settings: Settings
    store: Store
    ruleset: Ruleset
    spool: Spool | None = None
    following: Following | None = None
    rules_from: str = "library"
    rules_fault: RulesFault | None = None
    rules_loss: RulesLoss | None = None
    operators_fault: RulesFault | None = None
    store_lacks: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    workbench: Workbench = field(default_factory=Workbench)
    versions_refused: dict[str, RulesFault] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    callers: Callers = field(default_factory=Callers)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    log: FilteringBoundLogger = field(default_factory=lambda: structlog.get_logger().bind())

    def loss_at(self, at_ms: int) -> RulesLoss | None:
        """Return what the rules of the directory lost lately, None when nothing or when it is no news any more."""
        loss = self.rules_loss
        return loss if loss is not None and loss.told_at(at_ms) else None

    def rules_for(self, tenant: str, conversation_id: str) -> Ruleset | None:
        """Return the rules that decide in this conversation; None for a tenant that has to be met first."""
        if self.following is None:
            return self.ruleset
        found = self.following.met.get(tenant)
        return None if found is None else found.rules_for(tenant, conversation_id)

    async def meet(self, tenant: str, conversation_id: str) -> Ruleset:
        """Return the rules that decide in this conversation, whoever its tenant is."""
        if self.following is None:
            return self.ruleset
        return (await self.following.meet(self.store, tenant)).rules_for(tenant, conversation_id)

    async def overseen(self, tenant: str) -> Ruleset:
        """Return the rules that people of this tenant work with: the active ones, and the queues of a rollout."""
        if self.following is None:
            return self.ruleset
        return (await self.following.meet(self.store, tenant)).overseen
