"""From the outbox to the receivers: what happened becomes one delivery an endpoint, and each delivery is tried until it
is taken or given up. At least once, never in silence; the store knows at every moment what is still owed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from service.flows import webhook_events
from service.flows.access import Store
from service.flows.tries import Again, Answer, Done, Request, Send, next_step, rest_ms
from service.store import keys, outbox, webhooks
from service.store.outbox import Event
from service.store.webhooks import Delivery, Endpoint

OUTBOX_READ_MAX = 200  # entries fanned out in one step; each becomes at most ENDPOINTS_MAX deliveries
TAKE_MAX = 100  # deliveries taken from the store at a time
SENDS_MAX = 32  # tries under way at once in one worker
SENDS_ENDPOINT_MAX = 4  # and of these to one endpoint: a slow receiver must not take all of them
BATCH_MS_MAX = 10_000  # no try begins later than this after the batch was taken
TRY_MS_MAX = 10_000  # how long a sender may take over one try
# The events after which a packet built ahead is worth its price: somebody is about to claim.
PACKET_EVENTS = frozenset({"handoff.opened", "handoff.joined"})
LEASE_MS = BATCH_MS_MAX + TRY_MS_MAX + 5_000  # a taken delivery is due again after this, should its worker be killed


@dataclass(frozen=True, slots=True)
class Means:
    """What a run of deliveries is given from outside: how to send, what time it is, where in the jitter, who it is."""

    send: Send
    clock: Callable[[], int]
    chance: Callable[[], float]
    version: str


@dataclass(frozen=True, slots=True)
class FannedOut:
    """One step of the outbox: entries read, deliveries they became, and the handoffs whose packet they changed."""

    entries: tuple[str, ...]
    events: tuple[Event, ...]
    deliveries: int
    handoffs: tuple[str, ...]


@dataclass(slots=True)
class Counts:
    """What a run did, counted while it runs."""

    sent: int = 0
    taken: int = 0
    again: int = 0
    given_up: int = 0
    put_off: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Batch:
    """What the tries of one batch share."""

    store: Store
    tenant: str
    partition: int
    means: Means
    ends_at_ms: int
    endpoints: dict[str, Endpoint]
    rests_until_ms: dict[str, int]
    counts: Counts
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SENDS_MAX))


async def fan_out(store: Store, tenant: str, partition: int, reader: str, now_ms: int) -> FannedOut:
    """Turn unread outbox entries into deliveries. They stay unread until `forget`, so a kill in between repeats them.

    A delivery is named after its event and endpoint, so the repetition finds it there.
    """
    events = await outbox.read(store, keys.place(tenant, partition), reader, OUTBOX_READ_MAX)
    endpoints = (await webhooks.endpoints(store, tenant)).values() if events else ()
    owed = [
        Delivery.of(event, endpoint.endpoint_id)
        for event in events
        for endpoint in endpoints
        if endpoint.disabled is None and webhook_events.wanted(endpoint, event.type)
    ]
    added = await webhooks.add(store, tenant, partition, owed, now_ms) if owed else 0
    changed = {event.handoff_id for event in events if event.type in PACKET_EVENTS}
    return FannedOut(
        tuple(event.entry_id for event in events),
        tuple(events),
        added,
        tuple(sorted(each for each in changed if each is not None)),
    )


async def forget(store: Store, tenant: str, partition: int, entries: Iterable[str]) -> None:
    """Take entries that have been fanned out from the outbox."""
    await outbox.ack(store, keys.place(tenant, partition), list(entries))


async def deliver_due(store: Store, tenant: str, partition: int, means: Means, run_ms_max: int) -> Counts:
    """Try every delivery that is due, until none is or `run_ms_max` is over. Safe to repeat, to race and to kill."""
    counts = Counts()
    ends_at_ms = means.clock() + run_ms_max
    while (now_ms := means.clock()) < ends_at_ms:
        taken = await webhooks.take_due(store, tenant, partition, now_ms, now_ms + LEASE_MS, TAKE_MAX)
        if not taken:
            break
        endpoints, rests = await webhooks.endpoints_and_rests(store, tenant)
        batch = _Batch(
            store, tenant, partition, means, min(now_ms + BATCH_MS_MAX, ends_at_ms), endpoints, rests, counts
        )
        await asyncio.gather(*(_tell_endpoint(batch, endpoint_id, owed) for endpoint_id, owed in _by_endpoint(taken)))
    return counts


def _by_endpoint(taken: Iterable[Delivery]) -> list[tuple[str, list[Delivery]]]:
    groups: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in taken:
        groups[delivery.endpoint_id].append(delivery)
    return list(groups.items())


async def _tell_endpoint(batch: _Batch, endpoint_id: str, owed: list[Delivery]) -> None:
    """Send one handoff's events in their order, several handoffs side by side."""
    endpoint = batch.endpoints.get(endpoint_id)
    chains: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in sorted(owed, key=lambda each: webhook_events.sequence_of(each.event)):
        chains[delivery.event.handoff_id or delivery.event.event_id].append(delivery)
    room = asyncio.Semaphore(SENDS_ENDPOINT_MAX)

    async def tell(chain: list[Delivery]) -> None:
        async with room:
            for delivery in chain:
                await _try(batch, endpoint, delivery)

    await asyncio.gather(*(tell(chain) for chain in chains.values()))


async def _try(batch: _Batch, endpoint: Endpoint | None, delivery: Delivery) -> None:
    """Try one delivery, unless its endpoint is gone, out of service or resting, and write down what came of it."""
    counts = batch.counts
    if endpoint is None:
        counts.dropped += 1
        await webhooks.done(batch.store, batch.tenant, batch.partition, delivery)
        return
    endpoint = batch.endpoints[endpoint.endpoint_id]
    async with batch.room:
        now_ms = batch.means.clock()
        if endpoint.disabled is not None:
            counts.given_up += 1
            unsent = delivery.failed(f"not sent: the endpoint {endpoint.disabled}")
            await _bury(batch, delivery, unsent, now_ms)
            return
        rests_until_ms = batch.rests_until_ms.get(endpoint.endpoint_id, 0)
        if rests_until_ms > now_ms or now_ms >= batch.ends_at_ms:
            counts.put_off += 1
            due_at_ms = max(rests_until_ms, now_ms)
            await webhooks.again(batch.store, batch.tenant, batch.partition, delivery, delivery, due_at_ms)
            return
        body = webhook_events.body_of(delivery)
        headers = webhook_events.headers_of(endpoint, delivery, body, now_ms, batch.means.version)
        counts.sent += 1
        answer = await batch.means.send(Request(endpoint.url, headers, body))
    await _write_down(batch, endpoint, delivery, answer)


async def _write_down(batch: _Batch, endpoint: Endpoint, delivery: Delivery, answer: Answer) -> None:
    now_ms = batch.means.clock()
    tried = delivery.tried(answer.fact, now_ms)
    step = next_step(answer, tried.tries, now_ms, batch.means.chance())
    await _rest(batch, endpoint.endpoint_id, answer, now_ms)
    if isinstance(step, Done):
        batch.counts.taken += 1
        await webhooks.done(batch.store, batch.tenant, batch.partition, delivery)
    elif isinstance(step, Again):
        batch.counts.again += 1
        await webhooks.again(batch.store, batch.tenant, batch.partition, delivery, tried, step.due_at_ms)
    else:
        batch.counts.given_up += 1
        if step.disable:
            gone = endpoint.out_of_service(answer.fact)
            batch.endpoints[endpoint.endpoint_id] = gone
            await webhooks.disable(batch.store, batch.tenant, endpoint.endpoint_id, answer.fact)
        await _bury(batch, delivery, tried, now_ms)


async def _rest(batch: _Batch, endpoint_id: str, answer: Answer, now_ms: int) -> None:
    if answer.taken:
        if batch.rests_until_ms.pop(endpoint_id, None) is not None:
            await webhooks.end_rest(batch.store, batch.tenant, endpoint_id)
        return
    failures = await webhooks.count_failure(batch.store, batch.tenant, endpoint_id)
    until_ms = now_ms + rest_ms(answer, failures)
    batch.rests_until_ms[endpoint_id] = max(until_ms, batch.rests_until_ms.get(endpoint_id, 0))
    await webhooks.rest(batch.store, batch.tenant, endpoint_id, batch.rests_until_ms[endpoint_id])


async def _bury(batch: _Batch, taken: Delivery, tried: Delivery, now_ms: int) -> None:
    await webhooks.bury(batch.store, batch.tenant, batch.partition, taken, tried, now_ms)
