"""What a busy queue sheds on the real store: the decision stands for ever, and is listed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rules.compile.rule_files import files_or_raise
from rules.decision import Decision
from rules.evaluation.evaluate import build
from rules.handoff import Handoff
from rules.model import Budget
from rules.routing.shed import Shed
from rules.turn import Turn
from service.errors import CursorInvalid
from service.flows import budgets
from service.flows.decide import decide
from service.store import budgets as kept
from service.store import codec, handoffs
from service.store.keys import Place
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
    (found,) = (await budgets.listed(store, tenant, "tier1", 0, 10)).decisions
    (shed,) = found.shed
    assert (found.conversation_id, shed.verdict, shed.to, shed.pressure_percent) == ("c16", "escalate", "review", 160)
    assert await budgets.listed(store, tenant, "other", 0, 10) == budgets.Page((), None)


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


async def an_end(store: Store, tenant: str) -> Handoff:
    """Return a handoff that is said below to have ended at many times."""
    ruleset = build(files_or_raise({"a.yaml": HEAD + UNSURE}))
    turn = Turn(conversation_id="c", turn_id="t", confidence=0.35)
    found = (await decide(store, ruleset, tenant, turn, NOW_MS)).decision.handoff_id
    assert found is not None
    return await handoffs.get(store, tenant, found)


async def ends(store: Store, tenant: str, count: int, every_ms: int, took_ms: int) -> None:
    """Note so many handlings of one queue in one partition, the last of them at NOW_MS."""
    one = await an_end(store, tenant)
    for first in range(0, count, 100):
        numbers = range(first, min(first + 100, count))
        ended = [
            replace(one, handoff_id=f"h{number}", claimed_at_ms=at_ms - took_ms, ended_at_ms=at_ms)
            for number, at_ms in ((number, NOW_MS - number * every_ms) for number in numbers)
        ]
        await asyncio.gather(*(kept.note_handled(store, each) for each in ended))


async def test_a_budget_over_a_day_counts_every_handling_of_the_day(store: Store, tenant: str) -> None:
    """160 hours of people: more handlings than are kept one by one."""
    count = kept.HANDLED_MAX + 600
    await ends(store, tenant, count, 50_000, 6 * MINUTE)
    budget = Budget(count * 6 * MINUTE, 24 * 60 * MINUTE)
    load = (await budgets.loads(store, tenant, {"tier1": budget}, NOW_MS))["tier1"]
    assert (load.spent_ms, load.observed) == (count * 6 * MINUTE, kept.HANDLED_MAX)
    assert load.percent == 100
    # An hour on, what ended in the first of the day's hours counts no more.
    later = (await budgets.loads(store, tenant, {"tier1": budget}, NOW_MS + 3 * 60 * MINUTE))["tier1"]
    gone = sum(NOW_MS - number * 50_000 <= NOW_MS - 21 * 60 * MINUTE for number in range(count))
    assert abs(later.spent_ms - (count - gone) * 6 * MINUTE) <= 2 * 6 * MINUTE


async def test_a_handling_that_is_noted_twice_counts_once(store: Store, tenant: str) -> None:
    ended = replace(await an_end(store, tenant), claimed_at_ms=NOW_MS - MINUTE, ended_at_ms=NOW_MS)
    for _ in range(3):
        await kept.note_handled(store, ended)
    assert await kept.spent_ms(store, tenant, "tier1", NOW_MS - 60 * MINUTE, NOW_MS) == MINUTE


@pytest.mark.parametrize(
    ("after_ms", "counted_ms"),
    [(-1, 0), (0, 40_000), (60 * MINUTE, 40_000), (60 * MINUTE + 30_000, 20_000), (61 * MINUTE, 0)],
)
async def test_what_was_spent_leaves_a_budget_by_the_minute(
    store: Store, tenant: str, after_ms: int, counted_ms: int
) -> None:
    """It ended at the first moment of a minute, and the budget is over an hour."""
    assert NOW_MS % MINUTE == 0
    ended = replace(await an_end(store, tenant), claimed_at_ms=NOW_MS - 40_000, ended_at_ms=NOW_MS)
    await kept.note_handled(store, ended)
    until_ms = NOW_MS + after_ms
    assert await kept.spent_ms(store, tenant, "tier1", until_ms - 60 * MINUTE, until_ms) == counted_ms


async def listed_as_shed(store: Store, tenant: str, queues: Sequence[str]) -> list[str]:
    """Put decisions on the list, seven of each moment and the last of them latest, and return their ids."""
    ruleset = build(files_or_raise({"a.yaml": HEAD + UNSURE}))
    turn = Turn(conversation_id="c", turn_id="t", confidence=0.35)
    one = (await decide(store, ruleset, tenant, turn, NOW_MS)).decision
    made = [
        replace(
            one,
            decision_id=f"dec_{number % store.partitions:x}_{number:020x}",
            decided_at_ms=NOW_MS + number // 7,
            shed=(Shed("unsure", "escalate", "continue", queue, 120, 100),),
        )
        for number, queue in enumerate(queues)
    ]

    async def put(each: Decision, place: Place) -> None:
        await store.link.call("SET", place.decision(each.decision_id), b"\n" + codec.decision_out(each))
        await store.link.call("ZADD", place.shed, each.decided_at_ms, each.decision_id)

    places = store.places(tenant)
    await asyncio.gather(*(put(each, places[number % store.partitions]) for number, each in enumerate(made)))
    return [each.decision_id for each in made]


async def paged(store: Store, tenant: str, queue: str | None, limit: int) -> list[list[str]]:
    """Return every page of the list, by the ids on it."""
    pages, cursor = [], None
    while True:
        page = await budgets.listed(store, tenant, queue, 0, limit, cursor)
        pages.append([each.decision_id for each in page.decisions])
        cursor = page.cursor
        if cursor is None:
            return pages


async def test_a_rare_queue_is_listed_from_behind_a_busy_one(store: Store, tenant: str) -> None:
    queues = ["tier1"] * 25 + ["other"] * (budgets.LISTED_MAX + 50)
    every = await listed_as_shed(store, tenant, queues)
    of_tier1 = {each for each in every if int(each[-20:], 16) < 25}
    pages = await paged(store, tenant, "tier1", 10)
    assert [len(page) for page in pages] == [10, 10, 5]
    assert {each for page in pages for each in page} == of_tier1
    assert [len(page) for page in await paged(store, tenant, "tier1", 25)] == [25]


@pytest.mark.parametrize("limit", [1, 3, 7, 8, 20, 21, 50])
async def test_pages_leave_nothing_out_and_repeat_nothing(store: Store, tenant: str, limit: int) -> None:
    every = await listed_as_shed(store, tenant, ["tier1", "other", "other"] * 7)
    pages = await paged(store, tenant, None, limit)
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert pages[-1], "a page without any would have been asked for in vain"
    assert sorted(each for page in pages for each in page) == sorted(every)
    moments = [int(each[-20:], 16) // 7 for page in pages for each in page]
    assert moments == sorted(moments, reverse=True)


async def test_a_call_looks_through_so_many_and_no_more(
    store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "LISTED_MAX", 4)
    monkeypatch.setattr(budgets, "LOOKED_MAX", 8)
    await listed_as_shed(store, tenant, ["tier1"] + ["other"] * 19)
    assert [len(page) for page in await paged(store, tenant, "tier1", 3)] == [0, 0, 1]


@pytest.mark.parametrize("cursor", ["x", "!", "MTIz", "é", "A" * 500])
async def test_a_cursor_that_is_none_is_refused(store: Store, tenant: str, cursor: str) -> None:
    with pytest.raises(CursorInvalid):
        await budgets.listed(store, tenant, None, 0, 10, cursor)
