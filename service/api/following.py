"""How a serving process learns that a version was staged or activated: a word from the store, and a look by itself."""

from __future__ import annotations

import asyncio
import contextlib

from service.api.rules_fault import RulesFault
from service.api.running import Running
from service.clock import now_ms
from service.errors import StoreAway
from service.flows.access import hear_of_rulesets
from service.flows.in_force import Following
from service.flows.shadow import Raised
from service.logs import failure

# A word that was missed costs this long at most: who activates a version finds it active in every process.
LOOKED_AROUND_EVERY_MS = 1_000
# A tenant named by a word waits here until it was looked for; beyond this the look around finds the rest.
NAMED_MAX = 1_000
# How late what a version in shadow would have decided is seen; a write an answer would double the store's work.
SHADOW_WRITTEN_EVERY_MS = 250


async def follow(running: Running, following: Following) -> None:
    """Keep the rules in force as the store names them. Never returns; raises what breaks it, to be begun again."""
    named: asyncio.Queue[str | None] = asyncio.Queue(NAMED_MAX)

    def heard(tenant: str | None) -> None:
        if not named.full():
            named.put_nowait(tenant)

    ahead: asyncio.Task[None] | None = None
    listening = asyncio.create_task(hear_of_rulesets(running.store, heard))
    try:
        while True:
            try:
                async with asyncio.timeout(LOOKED_AROUND_EVERY_MS / 1000):
                    tenant = await named.get()
            except TimeoutError:
                tenant = None
            # Whoever was never met is read with its first turn.
            if tenant is None or tenant in following.met:
                changed = await look(running, following, tenant)
                # A word without a change is mostly a push. One at a time: what is not compiled ahead is compiled later.
                if tenant is not None and not changed and (ahead is None or ahead.done()):
                    ahead = asyncio.create_task(_look_ahead(running, following, tenant))
    finally:
        ending = {listening, *(() if ahead is None else (ahead,))}
        for task in ending:
            task.cancel()
        await asyncio.wait(ending)


async def judge_in_shadow(running: Running, following: Following) -> None:
    """Judge answered turns with the versions in shadow, one whenever nothing else is to do. Never returns."""
    shadowing = following.shadowing
    loop = asyncio.get_running_loop()
    written_at_s = loop.time()
    while True:
        await shadowing.arrived.wait()
        shadowing.arrived.clear()
        while (result := shadowing.judge_next()) is not None:
            _count(running, result)
            # A turn that has come meanwhile goes first.
            await asyncio.sleep(0)
        # What was judged a moment ago is written with what comes in the next one.
        await asyncio.sleep(max(0.0, written_at_s + SHADOW_WRITTEN_EVERY_MS / 1000 - loop.time()))
        with contextlib.suppress(StoreAway):
            await shadowing.write(running.store, now_ms())
        written_at_s = loop.time()


def _count(running: Running, result: str | Raised) -> None:
    metrics = running.metrics
    if isinstance(result, str):
        metrics.shadow_judged[result] += 1
        return
    metrics.shadow_judged["error"] += 1
    metrics.shadow_errors += 1
    seen = result.seen
    running.log.error(
        "version in shadow raised, and nothing depends on it",
        tenant=seen.tenant,
        version=seen.version,
        ruleset=seen.ruleset.hash[:12],
        rule_ids=list(result.rule_ids),
        decision_id=seen.decision.decision_id,
        **failure(result.error),
    )


async def _look_ahead(running: Running, following: Following, tenant: str) -> None:
    try:
        await following.look_ahead(running.store, tenant)
    except Exception as error:
        # Nothing rests on it: whatever is wrong is met again, and told, when the version shall decide.
        running.log.info("version not compiled ahead", tenant=tenant, **failure(error))


async def look(running: Running, following: Following, tenant: str | None) -> bool:
    """Look for what a tenant's rules are now, or for all of them; what is not there stays as it was.

    Return whether anything has changed.
    """
    try:
        if tenant is None:
            changed = await following.look_around(running.store)
        else:
            changed = (tenant,) if await following.look(running.store, tenant) else ()
    except StoreAway:
        # The last rules that were read go on deciding; the next look is in a second.
        return False
    for each in changed:
        tell(running, following, each)
    return bool(changed)


async def prepare(running: Running, following: Following) -> None:
    """Meet every tenant before the first turn comes."""
    await following.prepare(running.store)
    for tenant, found in following.met.items():
        if found.at.revision:
            tell(running, following, tenant)


def tell(running: Running, following: Following, tenant: str) -> None:
    """Count and log what decides for a tenant now, or why it is not what was activated."""
    found, metrics = following.met[tenant], running.metrics
    before = running.versions_refused.pop(tenant, None)
    if found.unfit is not None:
        since_at_ms = now_ms() if before is None else before.since_at_ms
        fault = RulesFault(since_at_ms, found.unfit.fact, found.unfit.problems)
        running.versions_refused[tenant] = fault
        metrics.rules_refused += 1
    metrics.rules_faulty = bool(running.versions_refused)
    about = {"tenant": tenant, "version": found.version, "ruleset": found.active.hash[:12]}
    if found.unfit is not None:
        running.log.error(
            "version refused, the rules before go on deciding",
            **about,
            refused=found.unfit.version,
            errors=len(found.unfit.problems),
            why=fault.why,
        )
        return
    metrics.rules_loaded += 1
    staged = found.candidate
    running.log.info(
        "version in force",
        **about,
        rules=len(found.active.files.rules),
        staged=staged.version if staged else None,
        mode=staged.mode if staged else None,
        percent=staged.percent if staged else None,
    )
