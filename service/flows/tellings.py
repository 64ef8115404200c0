"""Telling people: what happened becomes owed to channels, and is told until somebody comes. At least once, and never
after the acknowledgement: whether a message still holds is asked of the handoffs at the moment of sending."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from rules.handoff import Handoff
from rules.telling import tell_text
from rules.telling.notices import OCCASIONS
from rules.telling.tell_text import SHOWN_MAX, Item, Message
from rules.telling.telling import ONCE_KEPT_MS, Happened, Held, Over, Tell, Telling, begun, next_of
from service.flows import floods, links
from service.flows.access import Store
from service.flows.channels import GATHER_MS_DEFAULT, TEST_MARK
from service.flows.tries import Answer, rest_ms
from service.store import channels, decisions, handoffs, keys, tellings
from service.store.channels import Channel
from service.store.outbox import Event
from service.store.tellings import Settled, Taken

CHANNELS_READ_MAX = 100  # looked at in one go
TAKE_MAX = 1_000  # tellings in one message, of which SHOWN_MAX handoffs are shown; the rest come in the next one
LOOK_MS = 200  # while one channel is being told, the others are looked at this often
SEND_MS_MAX = 20_000  # how long a sender may take over one message
LEASE_MS = SEND_MS_MAX + 20_000  # a channel that was taken is looked at again after this, should its worker be killed
NO_CHANNEL = "there is no channel of this name"
_KINDS = frozenset({"handoff.widened", *(kind for each in OCCASIONS.values() for kind in each.events)})

log = structlog.get_logger("handrail.telling")
SendTo = Callable[[str, Channel, Message, Sequence[Item], str], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Means:
    """What a run is given from outside: how to send (tenant, channel, message, items, message id), the time, links."""

    send: SendTo
    clock: Callable[[], int]
    link_base: str | None = None


@dataclass(slots=True)
class Counts:
    """What a run did, counted while it runs: messages taken and failed, handoffs told, held back, over, given up."""

    messages: int = 0
    failed: int = 0
    told: int = 0
    held: int = 0
    over: int = 0
    given_up: int = 0


@dataclass(slots=True)
class _Sorted:
    """The tellings of one take by what becomes of them."""

    settled: list[Settled] = field(default_factory=list)
    held: int = 0
    now: list[tuple[Telling, Handoff]] = field(default_factory=list)
    after: list[Settled] = field(default_factory=list)
    over: int = 0


async def owe(store: Store, tenant: str, events: Sequence[Event]) -> int:
    """Make owed what the events begin, and return how much that is. Safe to repeat: the same events owe the same."""
    asked = [event for event in events if event.type in _KINDS and event.handoff_id is not None]
    if not asked:
        return 0
    by_channel: dict[str, list[tuple[Telling, int]]] = defaultdict(list)
    for event, handoff in zip(asked, await _handoffs(store, tenant, [e.handoff_id or "" for e in asked]), strict=True):
        if handoff is not None:
            happened = Happened(event.event_id, event.type, event.version, event.at_ms, event.detail)
            for telling, due_at_ms in begun(handoff, happened):
                by_channel[telling.channel].append((telling, due_at_ms))
    if not by_channel:
        return 0
    known = (await channels.known(store, tenant)).channels
    total = 0
    for name, owed in by_channel.items():
        added, refused = await tellings.owe(store, tenant, name, owed, _gather_ms(known.get(name)))
        total += added
        if refused:
            # Far past what people can read; each of these handoffs keeps its deadline and its `on_timeout`.
            log.error("tellings_refused", tenant=tenant, channel=name, tellings=refused)
            await channels.count(store, tenant, name, "given_up", refused)
    return total


async def tell_due(store: Store, tenant: str, means: Means, run_ms_max: int) -> Counts:
    """Tell every channel that is due, side by side, until none is or the time is over. Safe to repeat and to kill."""
    counts = Counts()
    ends_at_ms = means.clock() + run_ms_max - SEND_MS_MAX
    under_way: dict[str, asyncio.Task[None]] = {}
    try:
        while True:
            now_ms = means.clock()
            if now_ms <= ends_at_ms:
                for name in await tellings.due_channels(store, tenant, now_ms, CHANNELS_READ_MAX):
                    if name not in under_way:
                        under_way[name] = asyncio.create_task(_tell_channel(store, tenant, name, means, counts))
            if not under_way:
                return counts
            done, _ = await asyncio.wait(
                under_way.values(), timeout=LOOK_MS / 1000, return_when=asyncio.FIRST_COMPLETED
            )
            under_way = {name: task for name, task in under_way.items() if task not in done}
            for task in done:
                task.result()
    finally:
        for task in under_way.values():
            task.cancel()


async def _tell_channel(store: Store, tenant: str, key: str, means: Means, counts: Counts) -> None:
    name = key.removesuffix(TEST_MARK)
    gather_ms = 0 if key != name else _gather_ms(await channels.get(store, tenant, name))
    now_ms = means.clock()
    taken = await tellings.take(store, tenant, key, now_ms, now_ms + LEASE_MS, TAKE_MAX, gather_ms)
    if taken is None:
        return
    # Read once it is taken: whoever mends the channel from here on wakes it, and a failure does not put it to rest.
    channel = await channels.get(store, tenant, name)
    if key != name:
        await _test(store, tenant, key, channel, taken, means)
        return
    found = await _handoffs(store, tenant, [each.handoff_id for each in taken.tellings])
    parted = _part(zip(taken.tellings, found, strict=True), channel, now_ms)
    counts.held += parted.held
    counts.over += parted.over
    await channels.count(store, tenant, name, "held", parted.held)
    rests_until_ms = 0
    if parted.now:
        answer = await _send(store, tenant, channel, taken, parted.now, means)
        rests_until_ms = await _count(store, tenant, name, answer, len(parted.now), means.clock(), counts)
        if answer.taken:
            parted.settled += [Settled(telling) for telling, _ in parted.now] + parted.after
        else:
            parted.settled += await _given_up(store, tenant, name, parted.now, now_ms, counts)
    await tellings.settle(store, tenant, key, taken, parted.settled, rests_until_ms=rests_until_ms, gather_ms=gather_ms)


def _part(taken: Iterable[tuple[Telling, Handoff | None]], channel: Channel | None, now_ms: int) -> _Sorted:
    parted = _Sorted()
    for telling, handoff in taken:
        step = next_of(telling, handoff, channel.quiet if channel else None, now_ms)
        if isinstance(step, Over) or handoff is None:
            parted.over += 1
            parted.settled.append(Settled(telling))
        elif isinstance(step, Held):
            parted.held += step.telling.held and not telling.held
            parted.settled.append(Settled(step.telling, step.due_at_ms))
        else:
            parted.now.append((telling, handoff))
            parted.after += _after(step, _gather_ms(channel))
    # Of two that are told again under one name the later holds, as it is written last.
    parted.after.sort(key=lambda each: each.telling.version)
    return parted


def _after(step: Tell, gather_ms: int) -> list[Settled]:
    if step.after is None:
        return []
    again, due_at_ms = step.after
    # It will be gathered once more: begun so much sooner, it is told at its distance.
    return [Settled(again, due_at_ms - min(gather_ms, (again.repeat_ms or 1) - 1))]


async def _send(
    store: Store,
    tenant: str,
    channel: Channel | None,
    taken: Taken,
    told: Sequence[tuple[Telling, Handoff]],
    means: Means,
) -> Answer:
    if channel is None:
        return Answer(None, NO_CHANNEL)
    items = tell_text.gathered(told)
    key = await links.secret(store) if means.link_base is not None else b""
    whys = await asyncio.gather(*(_why(store, item.handoff) for item in items[:SHOWN_MAX]))
    groups = await floods.seen(store, (item.handoff for item in items[:SHOWN_MAX] if item.handoff.leads))
    now_ms = means.clock()
    shown = [
        replace(
            item,
            why=why,
            members=groups[item.handoff.handoff_id].members if item.handoff.handoff_id in groups else 0,
            link=means.link_base and links.link(means.link_base, key, tenant, item.handoff.handoff_id, now_ms),
        )
        for item, why in zip(items[:SHOWN_MAX], whys, strict=True)
    ]
    every = [*shown, *items[SHOWN_MAX:]]
    message = tell_text.message(every, channel.language, now_ms)
    return await means.send(tenant, channel, message, every, _message_id(taken))


async def _count(store: Store, tenant: str, name: str, answer: Answer, told: int, now_ms: int, counts: Counts) -> int:
    """Count what came of a message, and return until when the channel is left alone."""
    if answer.taken:
        counts.messages += 1
        counts.told += told
        await channels.taken(store, tenant, name, answer.fact, now_ms)
        await channels.count(store, tenant, name, "messages", 1)
        await channels.count(store, tenant, name, "told", told)
        return 0
    counts.failed += 1
    failures = await channels.failed(store, tenant, name, answer.fact, now_ms)
    log.warning("channel_failed", tenant=tenant, channel=name, failures=failures, fact=answer.fact)
    return now_ms + rest_ms(answer, failures)


async def _given_up(
    store: Store, tenant: str, name: str, told: Sequence[tuple[Telling, Handoff]], now_ms: int, counts: Counts
) -> list[Settled]:
    """Return what is no longer worth a try: it is told once, and has found no taker for a day."""
    old = [each for each, _ in told if each.occasion == "expired" and each.at_ms + ONCE_KEPT_MS < now_ms]
    counts.given_up += len(old)
    await channels.count(store, tenant, name, "given_up", len(old))
    return [Settled(each) for each in old]


async def _test(store: Store, tenant: str, key: str, channel: Channel | None, taken: Taken, means: Means) -> None:
    answer = Answer(None, NO_CHANNEL)
    if channel is not None:
        message = tell_text.trial_message(channel.name, channel.language)
        answer = await means.send(tenant, channel, message, (), _message_id(taken))
        if answer.taken:
            # What failed before need not be waited out: the channel is there.
            await tellings.wake(store, tenant, channel.name, channel.gather_ms)
        for each in taken.tellings:
            await channels.note_test(store, tenant, channel.name, each.telling_id, answer.taken, answer.fact)
    settled = [Settled(each) for each in taken.tellings]
    await tellings.settle(store, tenant, key, taken, settled, rests_until_ms=0, gather_ms=0)


async def _handoffs(store: Store, tenant: str, ids: Sequence[str]) -> list[Handoff | None]:
    """Return each handoff, None for one that is not kept; each is read once."""
    # An id that is none of ours is nobody to tell of, and must not keep back what comes after it.
    parts = {each: keys.partition_in(keys.HANDOFF_ID, each, store.partitions) for each in ids}
    once = tuple(each for each, part in parts.items() if part is not None)
    places = [(keys.place(tenant, parts[each] or 0), each) for each in once]
    found = await asyncio.gather(*(handoffs.find(store, *each) for each in places))
    known = dict(zip(once, found, strict=True))
    return [known.get(each) for each in ids]


async def _why(store: Store, handoff: Handoff) -> str:
    """Return what the rule files give as the reason of the latest rule that asked for a person."""
    reason = handoff.reasons[-1]
    decision = await decisions.get(store, store.place_of(handoff.tenant, handoff.conversation_id), reason.decision_id)
    fired = decision.rules if decision is not None else ()
    return next(
        (rule.why for rule in fired if rule.rule_id in reason.rule_ids and rule.why), ", ".join(reason.rule_ids)
    )


def _gather_ms(channel: Channel | None) -> int:
    return GATHER_MS_DEFAULT if channel is None else channel.gather_ms


def _message_id(taken: Taken) -> str:
    """Return the same id for the same tellings told the same number of times, so that a receiver knows a repeat."""
    first = min(taken.tellings, key=lambda each: each.telling_id)
    return f"tell_{first.telling_id}.{first.version}.{first.times}.{len(taken.tellings)}"
