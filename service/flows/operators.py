"""Operators: declared by managers, there by their heartbeat, busy by what they hold. Who is offered what: `rules`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from rules.compile.operators import OPERATORS_MAX
from rules.handoff import Handoff, wanted
from rules.model import Queue
from rules.moves import kept_until_ms
from rules.routing.operators import Operator, People, Person, absence_at, is_on_shift
from service.errors import LimitReached, OperatorUnknown, StoreAway
from service.flows import keys
from service.store import operators
from service.store.store import Declared, Store

# Who has said nothing for so long is believed to be gone. A console says it every 30 s, so two may get lost.
PRESENT_MS = 90_000
# How often an operator at work is written down as being there.
SEEN_AGAIN_MS = 20_000
TAKING_ROLES: frozenset[keys.Role] = frozenset({"operator", "admin"})
# While the shard that says who may do what is away, whoever asked for work in this time goes on with it.
DECLARED_BELIEVED_MS = 3_600_000
SEEN_MAX = 10_000  # operators that one process remembers; past that it writes once more for each


@dataclass(frozen=True, slots=True)
class OperatorView:
    """An operator as managers and colleagues see them. `available`: work may be offered to them now; `why_not` else.

    `load` and `capacity` are weights, a capacity of None is unlimited; `present_until_ms` is None for nobody's guess.
    """

    operator: Operator
    present_until_ms: int | None
    on_shift: bool
    load: int
    last_claim_at_ms: int | None
    available: bool
    why_not: str | None


async def declare(
    store: Store, tenant: str, found: Iterable[Operator], actor: str, now_ms: int, *, replacing: bool
) -> int:
    """Keep what is declared of these, and with `replacing` of nobody else; return how many there are. LimitReached."""
    await store.know(tenant)
    count = await operators.declare(store, tenant, found, actor, now_ms, replace=replacing)
    if count is None:
        raise LimitReached("operators of one tenant", OPERATORS_MAX, "remove those who are gone")
    return count


def strange_queues(found: Iterable[Operator], queues: Collection[str]) -> list[str]:
    """Return a sentence for each queue that somebody is to serve and the rules do not have: nothing comes there."""
    return [
        f"`{operator.name}` serves `{queue}`, which is no queue of the rules that decide now"
        for operator in found
        for queue in operator.queues
        if queue not in queues
    ]


async def remove(store: Store, tenant: str, name: str, actor: str, now_ms: int) -> None:
    """Forget what was declared of an operator; raises OperatorUnknown. What they hold they keep."""
    if not await operators.remove(store, tenant, name, actor, now_ms):
        raise OperatorUnknown


async def declared(store: Store, tenant: str, name: str) -> Operator | None:
    """Return what a claim of this person goes by: None where no operators are declared, then they may take all.

    Somebody who is not among the declared ones may take what needs no skill. While the shard where it stands is away,
    it is what this process read last: nobody can declare anything meanwhile.
    """
    known, now_s = store.declared.get((tenant, name)), time.monotonic()
    try:
        found, any_declared = await operators.find(store, tenant, name)
    except StoreAway:
        if store.partitions == 1 or known is None or now_s - known.read_at_s > DECLARED_BELIEVED_MS / 1000:
            raise
        return known.operator
    if len(store.declared) >= SEEN_MAX:
        store.declared.clear()
    operator = found or (Operator(name) if any_declared else None)
    store.declared[tenant, name] = Declared(operator, now_s)
    return operator


async def any_declared(store: Store, tenant: str) -> bool:
    """Return whether somebody is declared: while nobody is, everybody who takes handoffs may take everything."""
    return bool(await operators.every(store, tenant))


async def meet(store: Store, tenant: str, name: str) -> None:
    """Raise OperatorUnknown for a name that is neither declared nor on the key of somebody who takes handoffs."""
    found, _ = await operators.find(store, tenant, name)
    if found is None and not any(
        key.name == name and key.role in TAKING_ROLES and key.revoked_at_ms is None
        for key in await keys.list_all(store, tenant)
    ):
        raise OperatorUnknown("no operator has that name")


async def heartbeat(store: Store, tenant: str, name: str, now_ms: int, *, back: bool = True) -> int:
    """Believe that the operator is there, and return until when. Who has left is only where they are `back`."""
    until_ms = now_ms + PRESENT_MS
    await operators.be_present(store, tenant, name, until_ms, back=back)
    return until_ms


async def seen(store: Store, tenant: str, name: str, now_ms: int, *, asks: bool = False) -> None:
    """Believe that an operator who does something is there; written now and then, as a write waits for the disk.

    Who has left finishes what they have in hand, and is back only when they ask for work.
    """
    if store.seen_until_ms.get((tenant, name, asks), 0) - now_ms > PRESENT_MS - SEEN_AGAIN_MS:
        return
    if not store.reach.whole([operators.place_of(store, tenant)]):
        return  # where the operators stand is away; what they do may lie elsewhere
    if len(store.seen_until_ms) >= SEEN_MAX:
        store.seen_until_ms.clear()
    try:
        store.seen_until_ms[tenant, name, asks] = await heartbeat(store, tenant, name, now_ms, back=asks)
    except StoreAway:
        # Where that is written may be away while what they do lies elsewhere.
        if store.partitions == 1:
            raise


async def leave(store: Store, tenant: str, name: str) -> None:
    """Believe that the operator is not there until they ask for work or say so. What they hold stays theirs."""
    for asks in (True, False):
        store.seen_until_ms.pop((tenant, name, asks), None)
    await operators.be_away(store, tenant, name)


async def every(store: Store, tenant: str, now_ms: int) -> list[OperatorView]:
    """Return everybody who is declared, and whoever else is there or has something in hand, by name."""
    known, present, loads, claims = await asyncio.gather(
        operators.every(store, tenant),
        operators.present_until_ms(store, tenant),
        operators.loads(store, tenant),
        operators.last_claims_ms(store, tenant),
    )
    names = {operator.name for operator in known}
    there = {name for name, until_ms in present.items() if until_ms > now_ms} | {name for name in loads if loads[name]}
    others = map(Operator, there - names)
    return [
        _view(operator, present.get(operator.name), loads.get(operator.name, 0), claims.get(operator.name), now_ms)
        for operator in sorted((*known, *others), key=lambda operator: operator.name)
    ]


async def people(store: Store, tenant: str, now_ms: int) -> People:
    """Return who is at work at this moment, as offers and steps of a ladder ask for it.

    What is kept for somebody counts as if they had it: whoever has been offered one is not the freest for the next.
    """
    views, kept = await asyncio.gather(every(store, tenant, now_ms), operators.kept(store, tenant))
    return People(
        tuple(
            Person(
                view.operator,
                present=view.on_shift and (view.present_until_ms or 0) > now_ms,
                load=view.load,
                offered=kept.get(view.operator.name, 0),
                last_claim_at_ms=view.last_claim_at_ms or 0,
            )
            for view in views
        )
    )


async def kept(store: Store, tenant: str, name: str) -> int:
    """Return how many handoffs are kept for somebody, which they have not taken yet."""
    return (await operators.kept(store, tenant, name)).get(name, 0)


async def kept_for_keeper(store: Store, handoff: Handoff, queue: Queue, now_ms: int) -> Handoff:
    """Return a handoff that opens, kept for the person who knows its customer where the queue says so."""
    if queue.same_operator_ms is None or handoff.customer_id is None or handoff.state != "waiting":
        return handoff
    known, there = await asyncio.gather(
        operators.keeper(store, handoff.tenant, handoff.customer_id), people(store, handoff.tenant, now_ms)
    )
    keeper = there.keeper_of(handoff.customer_id, known, wanted(handoff))
    if keeper is None:
        return handoff
    return replace(
        handoff,
        reserved_for=keeper,
        reserved_until_at_ms=kept_until_ms(handoff.expires_at_ms, queue.same_operator_ms, now_ms),
        route=replace(handoff.route, kept_as="customer"),
    )


def _view(
    operator: Operator, present_until_ms: int | None, load: int, last_claim_at_ms: int | None, now_ms: int
) -> OperatorView:
    on_shift, away = is_on_shift(operator, now_ms), absence_at(operator, now_ms)
    full = operator.capacity is not None and load >= operator.capacity
    why_not = None
    if away is not None:
        why_not = f"absent until {away.last}: {away.why}" if away.why else f"absent until {away.last}"
    elif present_until_ms is None or present_until_ms <= now_ms:
        why_not = "no heartbeat"
    elif not on_shift:
        why_not = "off shift"
    elif full:
        why_not = f"{load} of {operator.capacity} in hand"
    return OperatorView(operator, present_until_ms, on_shift, load, last_claim_at_ms, why_not is None, why_not)
