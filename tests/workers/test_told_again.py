"""One line of `notify` tells one handoff again once in its `repeat`, however many occasions it had."""

from __future__ import annotations

import itertools

import pytest

from service.flows.access import Store
from service.store import tellings as owed_store
from tests.workers.test_telling import DOWN, MINUTE, NOON, TAKEN, World, rules

pytestmark = pytest.mark.server

EVERY = "[opened, returned, deadline_near]"


@pytest.fixture
def world(store: Store, tenant: str) -> World:
    line = f"[{{channel: on-call, on: {EVERY}, repeat: 5m, then: {{channel: managers, after: 12m}}}}]"
    return World(store, tenant, rules(line, warn_before="103m"))


def lines(world: World) -> list[tuple[int, str, str]]:
    """Return what was sent: minutes after noon, to whom, and what happened."""
    return [
        ((at_ms - NOON) // MINUTE, name, message.subject.partition(": ")[2]) for at_ms, name, message, _ in world.got
    ]


WAITS, NEAR, AGAIN = (
    *("waits for a person", "still waits, and its deadline is near"),
    "waits again: whoever had it is gone",
)


async def test_the_latest_occasion_is_told_at_once_and_alone_told_again(world: World) -> None:
    await world.channel("on-call", gather_ms=0)
    await world.channel("managers", gather_ms=0)
    handoff = await world.turn()
    await world.until(NOON + 34 * MINUTE)
    assert [each for each in lines(world) if each[1] == "on-call"] == [
        *((minute, "on-call", WAITS) for minute in (0, 5, 10, 15)),
        *((minute, "on-call", NEAR) for minute in (17, 22, 27, 32)),
    ]
    # The second tier hears of each in its own time, and of one of them again.
    assert [each for each in lines(world) if each[1] == "managers"] == [
        *((minute, "managers", WAITS) for minute in (12, 17, 22, 27)),
        *((minute, "managers", NEAR) for minute in (29, 34)),
    ]
    assert await owed_store.owed_counts(world.store, world.tenant) == {"managers": 1, "on-call": 1}
    lease = await world.claim(handoff)
    assert lease.token
    world.got.clear()
    await world.until(NOON + 46 * MINUTE)
    # Mia fell silent after five minutes: what is told is that, and nothing of before.
    assert [each for each in lines(world) if each[1] == "on-call"] == [
        (39, "on-call", AGAIN),
        (44, "on-call", AGAIN),
    ]


async def test_two_occasions_in_one_message_are_told_again_as_the_later_one(world: World) -> None:
    world.ruleset = rules(f"[{{channel: on-call, on: {EVERY}, repeat: 5m}}]", warn_before="119m")
    await world.channel("on-call", gather_ms=0)
    world.says = [DOWN, DOWN, DOWN, DOWN, DOWN, DOWN, TAKEN]
    await world.turn()
    await world.until(NOON + 12 * MINUTE)
    taken = lines(world)[6:]
    assert [(name, said) for _, name, said in taken] == [("on-call", NEAR)] * 3
    assert [later[0] - sooner[0] for sooner, later in itertools.pairwise(taken)] == [5, 5]
    assert await owed_store.owed_counts(world.store, world.tenant) == {"on-call": 1}
