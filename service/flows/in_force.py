"""Which rules decide in this process, tenant by tenant: the versions of the store, followed. Nothing is changed there.

While the store is away, or holds a version that this software cannot compile, the last good rules go on deciding.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from rules.evaluation.evaluate import Ruleset, is_in_share
from rules.files.errors import Problem
from rules.turn import Turn
from service.errors import Refusal, StoreAway
from service.flows.decide import Decided
from service.flows.ruleset_refusals import RulesInvalid
from service.flows.ruleset_texts import CompiledVersions
from service.flows.rulesets import Desk, compile_ahead, ruleset_of
from service.flows.shadow import Seen, Shadowing
from service.store import rulesets
from service.store.machine_work import tenants
from service.store.rulesets import Stand
from service.store.store import Store

# Compiled before the first turn comes. What more there are is compiled when one of theirs does.
TENANTS_PREPARED_MAX = 1_000
# Asked in one look, a small read each; the next look goes on from there.
TENANTS_LOOKED_AT_MAX = 500


@dataclass(frozen=True, slots=True)
class Candidate:
    """A staged version, ready to judge."""

    version: int
    ruleset: Ruleset
    mode: str
    percent: int


@dataclass(frozen=True, slots=True)
class Unfit:
    """A version that this process cannot use, though another has accepted it, and why."""

    version: int
    fact: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class InForce:
    """What decides one tenant's turns in this process. `unfit` says why it is not all that the store names."""

    at: Stand
    version: int
    active: Ruleset
    candidate: Candidate | None = None
    unfit: Unfit | None = None

    def rules_for(self, tenant: str, conversation_id: str) -> Ruleset:
        """Return the rules that decide in this conversation: the hash of its name decides, all through a rollout."""
        candidate = self.candidate
        if candidate is None or candidate.mode != "rollout":
            return self.active
        share = is_in_share(tenant, conversation_id, candidate.percent)
        return candidate.ruleset if share else self.active

    @property
    def overseen(self) -> Ruleset:
        """Return the active rules with the queues of a rollout beside their own: operators work on both."""
        candidate = self.candidate
        if candidate is None or candidate.mode != "rollout":
            return self.active
        files = self.active.files
        return replace(self.active, files=replace(files, queues={**candidate.ruleset.files.queues, **files.queues}))


class Following:
    """The rules in force of every tenant that this process has met."""

    def __init__(self, own: Ruleset) -> None:
        self.own = own
        self.compiled = CompiledVersions()
        self.met: dict[str, InForce] = {}
        self.shadowing = Shadowing()
        self._looks: dict[str, asyncio.Lock] = {}
        self._next = 0

    def desk(self, store: Store, tenant: str) -> Desk:
        """Return where this tenant's versions are worked on."""
        return Desk(store, tenant, self.own, self.compiled)

    def answered(self, tenant: str, turn: Turn, decided: Decided) -> None:
        """Have an answered turn judged by the version in shadow, if there is one, in a free moment."""
        found = self.met.get(tenant)
        candidate = None if found is None else found.candidate
        if candidate is None or candidate.mode != "shadow" or decided.before is None:
            return
        self.shadowing.take(Seen(tenant, candidate.version, candidate.ruleset, turn, decided.before, decided.decision))

    async def prepare(self, store: Store) -> None:
        """Meet every tenant that there is, so that no turn waits for its rules to be compiled."""
        for tenant in (await tenants(store))[:TENANTS_PREPARED_MAX]:
            await self.look(store, tenant)

    async def meet(self, store: Store, tenant: str) -> InForce:
        """Return what decides for a tenant, read now if it was never met; the own rules while the store is away."""
        if tenant not in self.met:
            try:
                await self.look(store, tenant)
            except StoreAway:
                return InForce(Stand(), 0, self.own)
        return self.met[tenant]

    async def look(self, store: Store, tenant: str) -> bool:
        """Take over what the store names now, if it is another; return whether it was. Raises StoreAway."""
        async with self._looks.setdefault(tenant, asyncio.Lock()):
            before = self.met.get(tenant)
            if before is not None and await rulesets.revision(store, tenant) == before.at.revision:
                return False
            self.met[tenant] = await self._read(store, tenant, before)
            return True

    async def look_ahead(self, store: Store, tenant: str) -> None:
        """Compile what was pushed last for a tenant, if it is not yet. Raises StoreAway."""
        await compile_ahead(self.desk(store, tenant))

    async def look_around(self, store: Store) -> tuple[str, ...]:
        """Look for every tenant that was met, some in this call and others in the next; return whose rules changed.

        Raises StoreAway.
        """
        names = list(self.met)
        if len(names) > TENANTS_LOOKED_AT_MAX:
            first = self._next % len(names)
            self._next = first + TENANTS_LOOKED_AT_MAX
            names = (names[first:] + names[:first])[:TENANTS_LOOKED_AT_MAX]
        seen = await asyncio.gather(*(rulesets.revision(store, tenant) for tenant in names))
        changed = [
            tenant for tenant, revision in zip(names, seen, strict=True) if revision != self.met[tenant].at.revision
        ]
        for tenant in changed:
            await self.look(store, tenant)
        return tuple(changed)

    async def _read(self, store: Store, tenant: str, before: InForce | None) -> InForce:
        desk = self.desk(store, tenant)
        at = await rulesets.stand(store, tenant)
        last = before or InForce(at, 0, self.own)
        active = await _ruleset_or_unfit(desk, at.active)
        candidate = None if at.candidate is None else await _ruleset_or_unfit(desk, at.candidate)
        unfit = next((each for each in (active, candidate) if isinstance(each, Unfit)), None)
        staged = None
        if isinstance(candidate, Ruleset) and at.candidate is not None and at.mode is not None:
            staged = Candidate(at.candidate, candidate, at.mode, at.percent)
        if isinstance(active, Unfit):
            return InForce(at, last.version, last.active, staged, unfit)
        return InForce(at, at.active, active, staged, unfit)


async def _ruleset_or_unfit(desk: Desk, version: int) -> Ruleset | Unfit:
    """Return the rules of a version, or why they cannot be used here: other software than this has accepted them."""
    try:
        return await ruleset_of(desk, version)
    except StoreAway:
        raise
    except RulesInvalid as invalid:
        return Unfit(version, f"version {version}: {invalid.detail}", invalid.problems)
    except Exception as error:
        # Whatever is wrong with one version of one tenant, the other tenants' rules must still be looked at.
        why = error.detail if isinstance(error, Refusal) else type(error).__name__
        return Unfit(version, f"version {version}: {why}")
