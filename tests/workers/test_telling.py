"""From a handoff to people: told by chat and mail, again and again, together, at night or not, until somebody comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.handoff import Handoff
from rules.telling.notices import Quiet
from rules.telling.tell_text import Item, Message
from rules.turn import Customer, Turn
from service.flows import channels, decide, deliver, handoffs, links, tellings
from service.flows.access import Store
from service.flows.channels import Channel
from service.flows.handoffs import Claiming, Lease
from service.flows.tellings import LEASE_MS, Counts, Means
from service.flows.tries import Answer
from service.store import tellings as owed_store

pytestmark = pytest.mark.server

NOON = 1_795_262_400_000  # 2026-11-21 12:00 UTC, a Saturday
MINUTE = 60_000
TAKEN, DOWN = Answer(200, "answered 200"), Answer(500, "answered 500")
GATHER = 10_000


def rules(notify: str, **more: str) -> Ruleset:
    extra = "".join(f"    {name}: {value}\n" for name, value in more.items())
    text = f"""
handrail: 1
topics:
  advice: {{regulated: true, source: FINRA Rule 2111, phrases: [which fund should i buy]}}
queues:
  tier1:
    answer_within: 2h
    on_timeout: {{verdict: callback, say: {{en: "We will call you back."}}}}
    say: {{en: "One moment, please."}}
    notify: {notify}
{extra}
rules:
  - {{id: unsure, why: the agent is unsure, when: confidence < 0.5, then: {{escalate: tier1}}}}
  - {{id: danger, why: somebody is in danger, when: confidence < 0.1, then: {{escalate: tier1, priority: urgent}}}}
  - {{id: advice, why: only an advisor may say, when: topics has advice, then: {{escalate: tier1}}}}
"""
    return build(files_or_raise({"test.yaml": text}))


@dataclass
class World:
    """One tenant with a clock of its own, and everything that was sent in it."""

    store: Store
    tenant: str
    ruleset: Ruleset
    at_ms: int = NOON
    says: list[Answer] = field(default_factory=lambda: [TAKEN])
    got: list[tuple[int, str, Message, tuple[str, ...]]] = field(default_factory=list)
    numbers: int = 0
    restarts: int = 0

    async def channel(self, name: str, **more: Any) -> None:
        made = Channel(name, "slack", self.at_ms, url="http://127.0.0.1:9/", **{"gather_ms": GATHER, **more})
        await channels.add(self.store, self.tenant, made, "loopback", 1)

    async def turn(
        self, conversation_id: str | None = None, confidence: float = 0.3, message: str = "where is my parcel?"
    ) -> Handoff:
        self.numbers += 1
        chat = conversation_id or f"chat-{self.numbers}"
        customer = Customer(id="cus_secret")
        turn = Turn(chat, f"t{self.numbers}", message=message, confidence=confidence, customer=customer)
        decided = await decide.decide(self.store, self.ruleset, self.tenant, turn, self.at_ms)
        assert decided.waiting is not None
        await self.pass_on()
        return await handoffs.get(self.store, self.tenant, decided.waiting.handoff_id)

    async def pass_on(self) -> None:
        """Do what the relay does, twice: a killed one is repeated."""
        step = await deliver.fan_out(self.store, self.tenant, 0, "tests", self.at_ms)
        for _ in range(2):
            await tellings.owe(self.store, self.tenant, step.events)
        await deliver.forget(self.store, self.tenant, 0, step.entries)

    async def send(
        self, tenant: str, channel: Channel, message: Message, items: Sequence[Item], message_id: str
    ) -> Answer:
        self.got.append((self.at_ms, channel.name, message, tuple(item.handoff.handoff_id for item in items)))
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]

    async def until(self, at_ms: int) -> Counts:
        """Let time pass, with a look every second in which something is due."""
        total = Counts()
        while True:
            await handoffs.lapse_due(self.store, self.tenant, 0, self.at_ms)
            await handoffs.expire_due(self.store, self.tenant, 0, self.at_ms)
            await self.pass_on()
            counts = await tellings.tell_due(
                self.store, self.tenant, Means(self.send, lambda: self.at_ms, "https://desk.example"), 30_000
            )
            total.told += counts.told
            total.messages += counts.messages
            if self.at_ms >= at_ms:
                return total
            self.at_ms = min(at_ms, await self.next_ms())

    async def next_ms(self) -> int:
        place = owed_store.place_of(self.tenant)
        head = await self.store.link.call("ZRANGE", place.telling_channels, 0, 0, "WITHSCORES")
        timer = await handoffs.next_due_at_ms(self.store, self.tenant, 0)
        times = [int(float(head[1]))] if head else []
        times += [timer] if timer is not None else []
        return max(self.at_ms + 1, min(times, default=self.at_ms + 60 * MINUTE))

    async def claim(self, handoff: Handoff) -> Lease:
        claimed = await handoffs.claim_one(
            self.store, self.tenant, handoff.handoff_id, Claiming("mia", 5 * MINUTE), self.at_ms
        )
        return Lease(handoff.handoff_id, claimed.token, None)

    def told(self) -> list[tuple[int, str]]:
        """Return what was sent: seconds after noon, and to whom."""
        return [((at_ms - NOON) // 1000, name) for at_ms, name, _, _ in self.got]


@pytest.fixture
def world(store: Store, tenant: str) -> World:
    return World(store, tenant, rules("[{channel: on-call}]"))


async def test_a_message_says_what_a_person_needs_to_decide_whether_to_come(world: World) -> None:
    await world.channel("on-call")
    handoff = await world.turn(message="my card 4111 1111 1111 1111 was stolen")
    await world.until(NOON + MINUTE)
    ((_, _, message, _),) = world.got
    key = await links.secret(world.store)
    address = links.link("https://desk.example", key, world.tenant, handoff.handoff_id, world.got[0][0])
    assert message.subject == "[Handrail] tier1 (normal): waits for a person"
    assert message.text == (
        "tier1 (normal): waits for a person\n"
        "why: the agent is unsure\n"
        "waits since 12:00 UTC (10s) · deadline 14:00 UTC (1h 59m left)\n" + address
    )


async def test_it_is_repeated_and_goes_to_the_second_tier_until_it_is_claimed(world: World) -> None:
    world.ruleset = rules("[{channel: on-call, repeat: 5m, then: {channel: managers, after: 12m}}]")
    await world.channel("on-call", gather_ms=0)
    await world.channel("managers", gather_ms=0, language="es")
    handoff = await world.turn()
    await world.until(NOON + 16 * MINUTE)
    assert world.told() == [(0, "on-call"), (300, "on-call"), (600, "on-call"), (720, "managers"), (900, "on-call")]
    assert "told before: 3" in world.got[-1][2].text
    assert world.got[3][2].text.startswith("tier1 (normal): espera a una persona\nmotivo: the agent is unsure\n")
    await world.claim(handoff)
    world.got.clear()
    await world.until(NOON + 20 * MINUTE)
    assert world.got == []
    assert await owed_store.owed_counts(world.store, world.tenant) == {}


async def test_an_acknowledgement_silences_the_wait_and_its_deadline_but_not_what_comes_after(world: World) -> None:
    on = "[opened, returned, deadline_near, expired]"
    world.ruleset = rules(f"[{{channel: on-call, on: {on}, repeat: 5m}}]", warn_before="30m")
    await world.channel("on-call", gather_ms=0)
    handoff = await world.turn()
    await world.until(NOON + 6 * MINUTE)
    acknowledged = await handoffs.acknowledge(world.store, world.tenant, handoff.handoff_id, "ana", world.at_ms)
    assert (acknowledged.acknowledged_by, acknowledged.state) == ("ana", "waiting")
    world.got.clear()
    await world.until(NOON + 119 * MINUTE)
    assert world.got == []
    await world.until(NOON + 125 * MINUTE)
    # What ended, and the call that its customer was promised: one message.
    ((_, _, message, told),) = world.got
    assert (message.subject, told[0]) == ("[Handrail] 2 handoffs: 2 normal", handoff.handoff_id)
    assert message.text.index("nobody came in time") < message.text.index("no deadline, a call was promised")


async def test_one_that_comes_back_is_told_anew_and_the_old_pages_stay_silent(world: World) -> None:
    world.ruleset = rules("[{channel: on-call, repeat: 30m}]")
    await world.channel("on-call", gather_ms=0)
    handoff = await world.turn()
    await world.until(NOON + MINUTE)
    await world.claim(handoff)
    # Mia goes silent: her lease lapses at 12:06, and the repetition of before would come at 12:30.
    await world.until(NOON + 40 * MINUTE)
    assert world.told() == [(0, "on-call"), (360, "on-call"), (2160, "on-call")]
    assert "waits again: whoever had it is gone" in world.got[1][2].text


async def test_a_burst_is_one_message_with_the_most_urgent_first(world: World) -> None:
    await world.channel("on-call")
    opened = [await world.turn(confidence=0.05 if number == 7 else 0.3) for number in range(14)]
    await world.until(NOON + MINUTE)
    ((at_ms, _, message, told),) = world.got
    assert at_ms == NOON + GATHER
    assert message.subject == "[Handrail] 14 handoffs: 1 urgent, 13 normal"
    assert told[0] == opened[7].handoff_id
    assert set(told) == {each.handoff_id for each in opened}
    assert message.text.count("why: ") == 10
    assert message.text.endswith("… and 4 more")


async def test_quiet_hours_hold_back_and_end_in_one_digest_of_those_who_still_wait(world: World) -> None:
    world.ruleset = rules("[{channel: on-call, repeat: 10m, then: {channel: managers, after: 5m}}]")
    await world.channel("on-call", gather_ms=0, quiet=Quiet(12 * 60, 13 * 60, timezone="UTC"))
    await world.channel("managers", gather_ms=0, quiet=Quiet(11 * 60, 13 * 60, timezone="UTC"))
    opened = [await world.turn() for _ in range(3)]
    await world.until(NOON + 20 * MINUTE)
    await world.claim(opened[0])
    world.at_ms += 1
    await handoffs.acknowledge(world.store, world.tenant, opened[1].handoff_id, "ana", world.at_ms)
    urgent = await world.turn(confidence=0.05)
    advice = await world.turn(message="which fund should i buy?", confidence=0.9)
    await world.until(NOON + 21 * MINUTE)
    assert [told for _, _, _, told in world.got] == [(urgent.handoff_id, advice.handoff_id)]
    for handoff in (urgent, advice):
        await handoffs.acknowledge(world.store, world.tenant, handoff.handoff_id, "ana", world.at_ms)
    world.got.clear()
    # Mia's claim lapsed meanwhile, so that one waits again.
    await world.until(NOON + 66 * MINUTE)
    assert [(at_ms - NOON, name, set(told)) for at_ms, name, _, told in world.got] == [
        (60 * MINUTE, "on-call", {opened[0].handoff_id, opened[2].handoff_id}),
        (65 * MINUTE, "managers", {opened[0].handoff_id, opened[2].handoff_id}),
    ]
    assert world.got[0][2].text.startswith("2 handoffs: 2 normal\n\n2 came up in the quiet hours\n")


async def test_what_becomes_urgent_in_quiet_hours_breaks_through_within_a_minute(world: World) -> None:
    world.ruleset = rules('[{channel: on-call, quiet: "00:00-24:00"}]')
    await world.channel("on-call", gather_ms=0)
    handoff = await world.turn("chat-x")
    await world.until(NOON + 5 * MINUTE)
    assert world.got == []
    await world.turn("chat-x", confidence=0.05)
    await world.until(NOON + 7 * MINUTE)
    assert {told for _, _, _, told in world.got} == {(handoff.handoff_id,)}
    assert world.told()[0][0] <= 360


async def test_a_channel_that_is_down_is_told_when_it_is_back_without_those_who_were_helped(world: World) -> None:
    await world.channel("on-call", gather_ms=0)
    world.says = [DOWN, DOWN, DOWN, TAKEN]
    first, second = await world.turn(), await world.turn()
    await world.until(NOON + 2_500)
    await world.claim(first)
    await world.until(NOON + MINUTE)
    assert [(at_ms - NOON, told) for at_ms, _, _, told in world.got[-2:]] == [
        (3_000, (second.handoff_id,)),
        (7_000, (second.handoff_id,)),
    ]
    (seen,) = await channels.seen(world.store, world.tenant)
    assert (seen.fares.failures, seen.fares.fact, seen.owed) == (0, "answered 200", 0)
    assert seen.fares.counts == {"messages": 1, "told": 1, "held": 0, "failed": 3, "given_up": 0}


async def test_what_a_missing_channel_is_owed_waits_for_it_and_is_shown(world: World) -> None:
    await world.turn()
    await world.until(NOON + MINUTE)
    (seen,) = await channels.seen(world.store, world.tenant)
    assert (seen.name, seen.channel, seen.owed) == ("on-call", None, 1)
    assert seen.fares.fact == "there is no channel of this name"
    await world.channel("on-call")
    await world.until(NOON + 5 * MINUTE)
    assert len(world.got) == 1


async def test_the_page_of_a_ladder_goes_to_the_channel_of_that_name_once(world: World) -> None:
    world.ruleset = rules("[]", ladder="[{after: 15m, page: chief, priority: urgent}]")
    await world.channel("chief", gather_ms=0)
    await world.turn()
    acknowledged = await world.turn()
    await world.until(NOON + MINUTE)
    await handoffs.acknowledge(world.store, world.tenant, acknowledged.handoff_id, "ana", world.at_ms)
    await world.until(NOON + 60 * MINUTE)
    assert world.told() == [(900, "chief")]
    assert world.got[0][2].subject == "[Handrail] tier1 (urgent): still waits, and nobody has come"


async def test_a_worker_that_is_killed_leaves_its_message_to_the_next(world: World) -> None:
    await world.channel("on-call", gather_ms=0)
    await world.turn()
    taken = await owed_store.take(world.store, world.tenant, "on-call", world.at_ms, world.at_ms + LEASE_MS, 10, 0)
    assert taken is not None
    # Nobody else gets it meanwhile, whatever else comes up for the channel.
    await world.turn()
    await world.until(NOON + LEASE_MS - 1)
    assert world.got == []
    await world.until(NOON + LEASE_MS)
    ((_, _, _, told),) = world.got
    assert len(told) == 2
    # The slow one comes back to life, and changes nothing.
    late = [owed_store.Settled(each) for each in taken.tellings]
    assert not await owed_store.settle(world.store, world.tenant, "on-call", taken, late, rests_until_ms=0, gather_ms=0)


async def test_two_workers_at_once_tell_once(world: World) -> None:
    await world.channel("on-call", gather_ms=0)
    for _ in range(20):
        await world.turn()
    means = Means(world.send, lambda: world.at_ms)
    await asyncio.gather(*(tellings.tell_due(world.store, world.tenant, means, 30_000) for _ in range(5)))
    assert [len(told) for _, _, _, told in world.got] == [20]


async def test_no_message_holds_a_word_of_the_customer(world: World) -> None:
    await world.channel("on-call")
    await world.turn("conversation-of-ana", message="my card 4111 1111 1111 1111 was stolen")
    await world.until(NOON + MINUTE)
    sent = json.dumps([(message.subject, message.text) for _, _, message, _ in world.got])
    assert world.got
    for word in ("4111", "stolen", "cus_secret", "conversation-of-ana"):
        assert word not in sent


async def test_a_transfer_ends_what_the_old_queue_told(world: World) -> None:
    text = """
handrail: 1
queues:
  one: &q
    answer_within: 2h
    on_timeout: {verdict: callback, say: {en: "We will call you back."}}
    say: {en: "One moment, please."}
    notify: [{channel: on-call, repeat: 5m}]
  two:
    answer_within: 2h
    on_timeout: {verdict: callback, say: {en: "We will call you back."}}
    say: {en: "One moment, please."}
    notify: [{channel: managers, repeat: 7m}]
rules:
  - {id: unsure, why: the agent is unsure, when: confidence < 0.5, then: {escalate: one}}
  - {id: other, why: other, when: confidence < 0.01, then: {escalate: two}}
""".replace("&q", "")
    world.ruleset = build(files_or_raise({"test.yaml": text}))
    await world.channel("on-call", gather_ms=0)
    await world.channel("managers", gather_ms=0)
    handoff = await world.turn()
    await world.until(NOON + MINUTE)
    lease = await world.claim(handoff)
    await handoffs.transfer(world.store, world.ruleset, world.tenant, lease, "two", None, world.at_ms)
    await world.until(NOON + 9 * MINUTE)
    assert world.told() == [(0, "on-call"), (60, "managers"), (480, "managers")]


async def test_more_than_can_be_owed_is_counted_and_never_silent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owed_store, "OWED_MAX", 2)
    await world.channel("on-call")
    for _ in range(3):
        await world.turn()
    (seen,) = await channels.seen(world.store, world.tenant)
    assert seen.owed == 2
    assert seen.fares.counts["given_up"] >= 1


async def test_a_repetition_keeps_its_distance_though_it_is_gathered(world: World) -> None:
    world.ruleset = rules("[{channel: on-call, repeat: 5m}]")
    await world.channel("on-call")
    await world.turn()
    await world.until(NOON + 16 * MINUTE)
    assert world.told() == [(10, "on-call"), (310, "on-call"), (610, "on-call"), (910, "on-call")]


async def test_an_event_of_no_handoff_keeps_back_nothing(world: World) -> None:
    await world.channel("on-call")
    place = owed_store.place_of(world.tenant)
    words = {"type": "handoff.opened", "tenant": world.tenant, "handoff_id": "nonsense", "conversation_id": "c"}
    flat = [word for pair in {**words, "actor": "x", "at_ms": str(NOON)}.items() for word in pair]
    await world.store.link.call("XADD", place.outbox, "*", *flat)
    await world.turn()
    await world.until(NOON + MINUTE)
    assert len(world.got) == 1
