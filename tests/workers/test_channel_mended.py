"""A channel that failed is left alone no longer than until it is mended, or a test of it arrives."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rules.telling.tell_text import Item, Message
from service.flows import channels, tellings
from service.flows.access import Store
from service.flows.channels import Channel
from service.flows.tellings import Means
from service.flows.tries import Answer
from service.store import tellings as owed_store
from tests.workers.test_telling import DOWN, MINUTE, NOON, TAKEN, World, rules

pytestmark = pytest.mark.server

SLOW_DOWN = Answer(429, "answered 429", 900_000)


@pytest.fixture
async def silenced(store: Store, tenant: str) -> World:
    """A channel that asked to be left alone for a quarter of an hour, with one handoff that it was not told of."""
    world = World(store, tenant, rules("[{channel: on-call}]"), says=[SLOW_DOWN, TAKEN])
    await world.channel("on-call", gather_ms=0)
    await world.turn()
    await world.until(NOON + MINUTE)
    assert world.told() == [(0, "on-call")]
    return world


async def rests_until(world: World) -> int | None:
    (seen,) = await channels.seen(world.store, world.tenant)
    assert seen.owed == 1
    return seen.rests_until_at_ms


async def test_it_is_left_alone_for_as_long_as_it_asked_and_says_until_when(silenced: World) -> None:
    assert await rests_until(silenced) == NOON + 15 * MINUTE
    await silenced.until(NOON + 20 * MINUTE)
    assert silenced.told() == [(0, "on-call"), (900, "on-call")]


async def test_one_that_is_mended_is_told_at_once(silenced: World) -> None:
    await silenced.channel("on-call", gather_ms=0)
    assert await rests_until(silenced) is None
    await silenced.until(NOON + 2 * MINUTE)
    assert silenced.told() == [(0, "on-call"), (60, "on-call")]


@pytest.mark.parametrize(("answer", "told_at_s"), [(TAKEN, 60), (DOWN, 900)])
async def test_a_test_that_arrives_wakes_it_and_one_that_does_not_leaves_it_alone(
    silenced: World, answer: Answer, told_at_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    silenced.says = [answer, TAKEN]
    # The test message is owed, and nobody has taken it up yet.
    monkeypatch.setattr(channels, "TEST_WAIT_MS", 0)
    assert await channels.test(silenced.store, silenced.tenant, "on-call", silenced.at_ms) is None
    await silenced.until(NOON + 20 * MINUTE)
    messages = [
        (told, text.text.startswith("This is a test"))
        for told, (_, _, text, _) in zip(silenced.told(), silenced.got, strict=True)
    ]
    assert messages[1:] == [((60, "on-call"), True), ((told_at_s, "on-call"), False)]


async def test_one_that_was_missing_is_told_as_soon_as_it_is_there(store: Store, tenant: str) -> None:
    world = World(store, tenant, rules("[{channel: on-call}]"))
    await world.turn()
    # Tried in vain again and again, until it is left alone for a minute each time.
    await world.until(NOON + 5 * MINUTE)
    rests_until_at_ms = await rests_until(world)
    assert rests_until_at_ms is not None
    assert rests_until_at_ms > world.at_ms
    await world.channel("on-call", gather_ms=0)
    await world.until(NOON + 6 * MINUTE)
    assert world.told() == [(300, "on-call")]


async def test_what_fails_at_the_old_address_while_it_is_mended_does_not_silence_the_new_one(silenced: World) -> None:
    world = silenced
    sent: list[str | None] = []

    async def send(tenant: str, channel: Channel, message: Message, items: Sequence[Item], message_id: str) -> Answer:
        sent.append(channel.url)
        if len(sent) > 1:
            return TAKEN
        # While this one hangs, somebody mends the channel; another worker has to wait all the same.
        made = Channel("on-call", "slack", world.at_ms, url="http://127.0.0.1:9/new", gather_ms=0)
        await channels.add(world.store, world.tenant, made, "loopback", 1)
        taken = await owed_store.take(world.store, world.tenant, "on-call", world.at_ms, world.at_ms + 1, 10, 0)
        assert taken is None
        return SLOW_DOWN

    world.at_ms = NOON + 15 * MINUTE
    await tellings.tell_due(world.store, world.tenant, Means(send, lambda: world.at_ms), 30_000)
    assert sent == ["http://127.0.0.1:9/", "http://127.0.0.1:9/new"]
