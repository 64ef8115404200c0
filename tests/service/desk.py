"""A desk at which handoffs wait, for tests of who gets which: its rules, and whoever comes."""

from __future__ import annotations

from collections.abc import Sequence

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from service.flows.access import Store
from service.flows.decide import decide
from tests.service.turns import turn

NOW = 1_800_000_000_000
DESK = build(
    files_or_raise(
        {
            "rules.yaml": """\
handrail: 1
queues:
  desk:
    answer_within: 1h
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
    language: customer
  calls:
    answer_within: 1h
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
    offer_for: 30s
rules:
  - {id: asks, why: x, when: channel = desk, then: {escalate: desk}}
  - {id: reads, why: x, when: channel = mail, then: {review: desk}}
  - {id: calls, why: x, when: channel = calls, then: {escalate: calls}}
"""
        }
    )
)


async def waiting(
    store: Store,
    tenant: str,
    count: int,
    *,
    first: int = 0,
    channel: str = "desk",
    languages: Sequence[str] = ("en",),
) -> list[str]:
    """Let so many handoffs wait, of which a later one is less urgent; return their ids."""
    made = []
    for number in range(first, first + count):
        asks = turn(f"c{number}", channel=channel, locale=languages[number % len(languages)])
        decided = await decide(store, DESK, tenant, asks, NOW + number)
        made.append(decided.decision.handoff_id or "")
    return made
