"""What is asked of all partitions comes without those that are away, and nobody waits for these twice."""

from __future__ import annotations

import asyncio

import pytest

from service.errors import StoreAway, StoreBusy
from service.store.keys import Place, place
from service.store.reach import AGAIN_MS, LATER_MS_MAX, Reach

PLACES = [place("reach", partition) for partition in range(3)]
FIRST, SECOND, THIRD = PLACES


class Shards:
    """Partitions as this file has them: those in `gone` refuse, those in `silent` never answer."""

    def __init__(self) -> None:
        self.gone: set[Place] = set()
        self.silent: set[Place] = set()
        self.asked: list[Place] = []

    async def ask(self, one: Place) -> int:
        self.asked.append(one)
        if one in self.silent:
            await asyncio.Event().wait()
        if one in self.gone:
            raise StoreAway("gone")
        return one.partition


async def test_all_that_answer_are_told_in_their_order() -> None:
    assert await Reach().each(PLACES, Shards().ask) == [0, 1, 2]


async def test_one_that_refuses_or_is_silent_is_left_out_and_asked_no_more_for_a_while() -> None:
    for name in ("gone", "silent"):
        reach, shards = Reach(), Shards()
        getattr(shards, name).add(SECOND)
        assert await reach.each(PLACES, shards.ask) == [0, None, 2]
        assert not reach.whole(PLACES)
        assert reach.whole([FIRST, THIRD])
        shards.asked.clear()
        assert await reach.each(PLACES, shards.ask) == [0, None, 2]
        assert shards.asked == [FIRST, THIRD]


async def test_one_that_is_back_is_found_by_one_caller_while_the_others_go_on() -> None:
    now_s = [0.0]
    reach, shards = Reach(lambda: now_s[0]), Shards()
    shards.gone.add(SECOND)
    await reach.each(PLACES, shards.ask)
    now_s[0] = AGAIN_MS / 1000
    shards.gone.clear()
    shards.silent.add(SECOND)
    probing = asyncio.create_task(reach.each(PLACES, shards.ask))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    shards.asked.clear()
    assert await reach.each(PLACES, shards.ask) == [0, None, 2]
    assert SECOND not in shards.asked
    assert await probing == [0, None, 2]
    now_s[0] = 2 * AGAIN_MS / 1000
    shards.silent.clear()
    assert await reach.each(PLACES, shards.ask) == [0, 1, 2]
    assert reach.whole(PLACES)


@pytest.mark.parametrize("away", ["gone", "silent"])
@pytest.mark.parametrize("others", [[SECOND], [SECOND, THIRD]])
async def test_all_of_some_that_are_not_all_there_is_may_be_away(away: str, others: list[Place]) -> None:
    reach, shards = Reach(), Shards()
    getattr(shards, away).update(others)
    assert await reach.each(others, shards.ask, most_ms=10) == [None] * len(others)
    assert not reach.whole(others)


async def test_where_all_are_away_all_are_asked_again_at_once() -> None:
    reach, shards = Reach(), Shards()
    shards.gone.update(PLACES)
    assert await reach.each(PLACES, shards.ask) == [None, None, None]
    shards.gone.clear()
    assert await reach.each(PLACES, shards.ask) == [0, 1, 2]


async def test_those_that_answer_late_together_are_not_away() -> None:
    reach = Reach()

    async def slow(one: Place) -> int:
        await asyncio.sleep(LATER_MS_MAX / 1000 + 0.1)
        return one.partition

    assert await reach.each(PLACES, slow) == [0, 1, 2]


async def test_a_process_that_is_too_busy_and_a_fault_are_no_shard_that_is_away() -> None:
    reach = Reach()

    async def busy(one: Place) -> int:
        raise StoreBusy(1)

    async def wrong(one: Place) -> int:
        raise ValueError(one.partition)

    with pytest.raises(StoreBusy):
        await reach.each(PLACES, busy)
    with pytest.raises(ValueError, match="0"):
        await reach.each(PLACES, wrong)
    assert reach.whole(PLACES)


async def test_one_alone_is_asked_as_it_is() -> None:
    shards = Shards()
    shards.gone.add(FIRST)
    with pytest.raises(StoreAway, match="gone"):
        await Reach().each([FIRST], shards.ask)
