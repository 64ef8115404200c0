"""What a busy queue sheds on the real store: the decision stands for ever, and is listed."""

from __future__ import annotations

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.turn import Turn
from service.flows import budgets
from service.flows.decide import decide
from service.store.store import Store
from tests.rules.test_shedding import HEAD, UNSURE

MINUTE = 60_000
NOW_MS = 1_800_000_000_000


async def test_a_shed_decision_stands_and_is_listed(store: Store, tenant: str) -> None:
    ruleset = build(files_or_raise({"a.yaml": HEAD + UNSURE}))

    async def asked(number: int, at_ms: int) -> str:
        turn = Turn(conversation_id=f"c{number}", turn_id="t", confidence=0.35)
        return (await decide(store, ruleset, tenant, turn, at_ms)).decision.verdict

    # 15 open handoffs at 6 minutes each are 150% of 60 minutes.
    assert {await asked(number, NOW_MS) for number in range(15)} == {"escalate"}
    assert await budgets.look_again(store, NOW_MS) == 1
    assert await asked(15, NOW_MS + MINUTE) == "escalate", "what was read a minute ago is not known any more"
    await budgets.look_again(store, NOW_MS)
    assert await asked(16, NOW_MS) == "review"
    store.pressures.views.clear()
    assert await asked(16, NOW_MS) == "review", "the stored decision is answered at a quieter time too"
    (found,) = await budgets.listed(store, tenant, "tier1", 0, 10)
    (shed,) = found.shed
    assert (found.conversation_id, shed.verdict, shed.to, shed.pressure_percent) == ("c16", "escalate", "review", 160)
    assert await budgets.listed(store, tenant, "other", 0, 10) == ()


async def test_what_was_known_before_a_long_silence_sheds_nothing_after_it(store: Store, tenant: str) -> None:
    ruleset = build(files_or_raise({"a.yaml": HEAD + UNSURE}))

    async def asked(name: str, at_ms: int) -> str:
        turn = Turn(conversation_id=name, turn_id="t", confidence=0.35)
        return (await decide(store, ruleset, tenant, turn, at_ms)).decision.verdict

    for number in range(15):
        await asked(f"c{number}", NOW_MS)
    later_ms = NOW_MS + budgets.FOLLOWED_MS
    assert await budgets.look_again(store, later_ms - 1) == 1
    assert await budgets.look_again(store, later_ms) == 0
    assert await asked("d", later_ms) == "escalate"


async def test_rule_files_that_decide_beside_others_look_at_their_own_budgets(store: Store, tenant: str) -> None:
    """A candidate that is rolled out to some conversations may have twice the people."""
    small, large = (
        build(files_or_raise({"a.yaml": HEAD.replace("minutes: 60", f"minutes: {minutes}") + UNSURE}))
        for minutes in (60, 600)
    )

    async def asked(name: str, large_too: bool) -> str:
        turn = Turn(conversation_id=name, turn_id="t", confidence=0.35)
        return (await decide(store, large if large_too else small, tenant, turn, NOW_MS)).decision.verdict

    for number in range(15):
        await asked(f"c{number}", number % 2 == 0)
    assert await budgets.look_again(store, NOW_MS) == 2
    assert [await asked(f"d{number}", number % 2 == 0) for number in range(4)] == ["escalate", "review"] * 2
