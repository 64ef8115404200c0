"""Handoffs as turns open them, for tests of what happens to them afterwards."""

from __future__ import annotations

import asyncio
import itertools

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.handoff import Handoff
from rules.turn import Turn
from service.clock import now_ms
from service.flows import decide, handoffs
from service.flows.access import Store

_NUMBERS = itertools.count()


def rules(answer_within: str = "10m") -> Ruleset:
    """Return rules under which an unsure agent gets a person."""
    text = f"""
handrail: 1
queues:
  tier1:
    answer_within: {answer_within}
    on_timeout: {{verdict: callback, say: {{en: "We will call you back."}}}}
    say: {{en: "One moment, please."}}
rules:
  - id: unsure
    why: the agent is unsure
    when: confidence < 0.5
    then: {{escalate: tier1}}
"""
    return build(files_or_raise({"test.yaml": text}))


async def open_handoff(store: Store, ruleset: Ruleset, tenant: str) -> Handoff:
    """Open one handoff, in a conversation of its own."""
    turn = Turn(conversation_id=f"chat-{next(_NUMBERS)}", turn_id="1", message="where is my parcel?", confidence=0.1)
    decided = await decide.decide(store, ruleset, tenant, turn, now_ms())
    assert decided.waiting is not None
    await store.know(tenant)
    return await handoffs.get(store, tenant, decided.waiting.handoff_id)


async def open_many(store: Store, ruleset: Ruleset, tenant: str, count: int) -> list[Handoff]:
    """Open several, in as many conversations."""
    return list(await asyncio.gather(*(open_handoff(store, ruleset, tenant) for _ in range(count))))


async def ended(store: Store, tenant: str, opened: list[Handoff], wait_s: float = 60.0) -> list[Handoff]:
    """Return the handoffs once all of them have ended. Reading one settles nothing: only a worker ends it."""
    async with asyncio.timeout(wait_s):
        while True:
            found = [await handoffs.get(store, tenant, each.handoff_id) for each in opened]
            if all(each.ended_at_ms is not None for each in found):
                return found
            await asyncio.sleep(0.05)
