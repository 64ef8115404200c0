"""Operators who ask at the same moment: one look serves all of them, and each gets what is theirs by urgency."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from rules.handoff import Handoff
from rules.routing.operators import Operator
from service.errors import CapacityReached, OthersQuicker
from service.flows import claims, handoffs, taking
from service.flows.access import Store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, Lease, NothingWaiting
from service.flows.taking import Try
from service.store import handoffs as handoffs_kept
from service.store.handoffs import Candidate, Claim
from service.store.keys import Place
from service.store.multiplexed import Reply
from service.store.scripts import Argument
from service.store.work import CLASSES_READ_MAX, Found
from tests.service.desk import DESK, NOW, waiting
from tests.service.turns import turn

pytestmark = pytest.mark.server

LANGUAGES = ("en", "es", "de", "fr", "it", "pt", "nl", "pl", "sv", "fi", "da", "cs")


@pytest.fixture
def store(parted: Store) -> Store:
    return parted


async def claim(store: Store, tenant: str, name: str, declared: Operator | None = None) -> Handoff | None:
    claiming = Claiming(name, 60_000, declared=declared)
    claimed = await handoffs.claim_next(store, DESK, tenant, None, claiming, NOW + 1_000)
    return claimed.handoff if isinstance(claimed, Claimed) else None


def numbers(found: Sequence[Handoff | None]) -> list[int]:
    return sorted(int(each.conversation_id[1:]) for each in found if each is not None)


@pytest.mark.parametrize("operators", [2, 16, 40])
async def test_those_who_ask_at_once_get_the_most_urgent_ones_and_no_two_the_same(
    store: Store, tenant: str, operators: int
) -> None:
    await waiting(store, tenant, 60, languages=LANGUAGES[:4])
    for start in (0, operators):
        found = await asyncio.gather(*(claim(store, tenant, f"op{number}") for number in range(operators)))
        left = min(60, start + operators)
        assert numbers(found) == list(range(start, left))


async def test_more_ask_than_wait_and_everybody_else_is_told_so(store: Store, tenant: str) -> None:
    await waiting(store, tenant, 3)
    found = await asyncio.gather(*(claim(store, tenant, f"op{number}") for number in range(20)))
    assert numbers(found) == [0, 1, 2]


async def test_who_can_do_less_gets_the_first_of_what_they_can(store: Store, tenant: str) -> None:
    await waiting(store, tenant, 24, languages=["en", "es"])
    spanish = [Operator(f"es{number}", languages=("es",)) for number in range(3)]
    english = [Operator(f"en{number}", languages=("en",)) for number in range(3)]
    both = await asyncio.gather(
        *(claim(store, tenant, each.name, each) for pair in zip(spanish, english, strict=True) for each in pair)
    )
    assert numbers(both) == [0, 1, 2, 3, 4, 5]
    assert {each.locale for each in both[::2] if each} == {"es"}


async def test_one_with_a_limit_takes_no_more_than_it_however_they_ask(store: Store, tenant: str) -> None:
    await waiting(store, tenant, 20)
    kim = Operator("kim", capacity=2)
    asks = asyncio.gather(*(claim(store, tenant, "kim", kim) for _ in range(5)), return_exceptions=True)
    others = asyncio.gather(*(claim(store, tenant, f"op{number}") for number in range(4)))
    mine, theirs = await asyncio.gather(asks, others)
    assert [isinstance(each, CapacityReached) for each in mine].count(True) == 3
    taken = [each for each in (*mine, *theirs) if isinstance(each, Handoff)]
    assert numbers(taken) == [0, 1, 2, 3, 4, 5]


async def test_more_classes_than_are_looked_at_are_emptied_in_order(store: Store, tenant: str) -> None:
    assert len(LANGUAGES) > CLASSES_READ_MAX
    await waiting(store, tenant, 36, languages=LANGUAGES)
    taken: list[Handoff | None] = []
    for _ in range(36):
        taken.append(await claim(store, tenant, "mia"))
    assert [int(each.conversation_id[1:]) for each in taken if each] == list(range(36))
    assert await claim(store, tenant, "mia") is None


async def test_what_comes_between_two_looks_goes_first_when_it_is_more_urgent(store: Store, tenant: str) -> None:
    await waiting(store, tenant, 8)
    assert numbers([await claim(store, tenant, "mia")]) == [0]
    # A class that no look has seen yet, and older than all that wait.
    await decide(store, DESK, tenant, turn("c100", channel="desk", locale="tr"), NOW - 5_000)
    assert numbers([await claim(store, tenant, "mia")]) == [100]


async def test_who_gives_up_while_they_ask_keeps_nobody_from_it(store: Store, tenant: str) -> None:
    await waiting(store, tenant, 2)
    asking = asyncio.create_task(claim(store, tenant, "mia"))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    found = await asyncio.gather(claim(store, tenant, "ben"), claim(store, tenant, "kim"))
    assert numbers(found) == [0, 1]


async def test_a_store_that_is_away_tells_everybody_who_asked(store: Store, tenant: str) -> None:
    await waiting(store, tenant, 2)
    await store.close()
    found = await asyncio.gather(*(claim(store, tenant, f"op{each}") for each in range(3)), return_exceptions=True)
    assert [type(each).__name__ for each in found] == ["StoreAway"] * 3


async def test_a_released_one_is_there_for_the_next_who_asks(store: Store, tenant: str) -> None:
    await waiting(store, tenant, 1)
    for name in ("mia", "ben", "kim"):
        claimed = await handoffs.claim_next(store, DESK, tenant, None, Claiming(name, 60_000), NOW + 1_000)
        assert not isinstance(claimed, NothingWaiting)
        await handoffs.release(store, tenant, Lease(claimed.handoff.handoff_id, claimed.token), NOW + 1_000)


async def test_what_a_silent_operator_had_is_there_for_all_who_ask_at_once(store: Store, tenant: str) -> None:
    """Each finds that something is due, one of them settles it, and the others must not have looked too soon."""
    await waiting(store, tenant, 3)
    for number in range(3):
        await handoffs.claim_next(store, DESK, tenant, None, Claiming(f"gone{number}", 500), NOW + 10)
    found = await asyncio.gather(*(claim(store, tenant, f"op{number}") for number in range(3)))
    assert numbers(found) == [0, 1, 2]


async def test_who_is_always_too_late_is_not_told_that_nothing_waits(
    store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await waiting(store, tenant, 1)

    async def taken_by_another(*_: object) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr(claims, "first", taken_by_another)
        with pytest.raises(OthersQuicker, match=r"^others were quicker in each of 32 tries$"):
            await handoffs.claim_next(store, DESK, tenant, "desk", Claiming("mia", 60_000), NOW)
    assert isinstance(await handoffs.claim_next(store, DESK, tenant, "desk", Claiming("mia", 60_000), NOW), Claimed)


async def test_what_another_was_about_to_take_is_taken_when_they_do_not(
    store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await waiting(store, tenant, 1)
    first = taking.first

    async def hung_up(store: Store, tenant: str, found: Found, tried: Try) -> object:
        if tried.claiming.operator == "ann":
            await asyncio.sleep(0.1)
            raise ConnectionResetError
        return await first(store, tenant, found, tried)

    monkeypatch.setattr(claims, "first", hung_up)
    ann, ben = await asyncio.gather(
        *(handoffs.claim_next(store, DESK, tenant, "desk", Claiming(name, 60_000), NOW) for name in ("ann", "ben")),
        return_exceptions=True,
    )
    assert isinstance(ann, ConnectionResetError)
    assert isinstance(ben, Claimed)


async def test_what_was_taken_while_a_look_was_on_its_way_is_not_given_again(
    store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await waiting(store, tenant, 5)
    assert await claim(store, tenant, "met") is not None  # so that the class is read at the first look
    read, looked, held = store.scripts.read, asyncio.Event(), asyncio.Event()

    async def late(name: str, /, **values: Argument) -> list[Reply]:
        answer = await read(name, **values)
        if name == "look_for_work" and "ben" in cast(Sequence[str], values["operators"]):
            looked.set()
            await held.wait()
        return answer

    taking_part: list[str] = []
    take = handoffs_kept.claim

    async def counted(store: Store, place: Place, candidates: Sequence[Candidate], asked: Claim, now_ms: int) -> object:
        taking_part.append(asked.operator)
        return await take(store, place, candidates, asked, now_ms)

    monkeypatch.setattr(store.scripts, "read", late)
    monkeypatch.setattr(handoffs_kept, "claim", counted)
    ben = asyncio.create_task(claim(store, tenant, "ben"))
    await looked.wait()
    for name in ("ann", "eve", "ida"):
        assert await claim(store, tenant, name) is not None
    held.set()
    assert numbers([await ben]) == [4]
    assert taking_part.count("ben") == 1
