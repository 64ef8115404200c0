from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rules.history import TURNS_READ_MAX, before, cut, remember
from rules.turn import Conversation, TurnRecord


def record(turn_id: str, at_ms: int = 0, turn_index: int | None = None) -> TurnRecord:
    return TurnRecord(turn_id, at_ms, {}, turn_index)


def conversation(*records: TurnRecord) -> Conversation:
    known = Conversation("conv-1")
    for one in records:
        known = remember(known, one)
    return known


def ids(known: Conversation) -> list[str]:
    return [one.turn_id for one in known.past]


def test_the_first_turn_starts_the_conversation() -> None:
    assert conversation(record("a", 700)) == Conversation("conv-1", 700, 1, past=(record("a", 700),))


def test_turns_that_do_not_count_themselves_stand_as_they_came() -> None:
    assert ids(conversation(record("a", 5), record("b", 3), record("c", 4))) == ["a", "b", "c"]


def test_a_turn_that_came_late_takes_its_place() -> None:
    known = conversation(record("a", 1, 1), record("c", 3, 3), record("b", 4, 2))
    assert ids(known) == ["a", "b", "c"]
    assert known.turns_count == 3


def test_turns_with_the_same_index_stand_as_they_came() -> None:
    assert ids(conversation(record("a", 1, 1), record("b", 2, 1))) == ["a", "b"]


def test_a_late_turn_goes_behind_one_that_does_not_count_itself() -> None:
    assert ids(conversation(record("a", 1), record("c", 2, 3), record("b", 3, 2))) == ["a", "b", "c"]


def test_the_same_turn_again_replaces_its_record_and_is_not_counted_twice() -> None:
    known = conversation(record("a", 1), record("b", 2), record("a", 9))
    assert [(one.turn_id, one.at_ms) for one in known.past] == [("a", 9), ("b", 2)]
    assert known.turns_count == 2


def test_the_start_is_the_earliest_turn_though_it_came_late() -> None:
    assert conversation(record("b", 20, 2), record("a", 10, 1)).started_at_ms == 10


def test_the_oldest_turns_are_forgotten_and_still_counted() -> None:
    known = conversation(*[record(f"t{number}", number) for number in range(TURNS_READ_MAX + 3)])
    assert ids(known) == [f"t{number}" for number in range(3, TURNS_READ_MAX + 3)]
    assert known.turns_count == TURNS_READ_MAX + 3
    assert known.started_at_ms == 0


def test_a_late_turn_sees_only_what_was_before_it() -> None:
    known = conversation(record("a", 1, 1), record("b", 2, 2), record("c", 3, 3))
    assert ids(before(known, 2)) == ["a"]
    assert before(known, 2).turns_count == 3
    assert before(known, None) is known
    assert before(known, 4) is known


def test_a_cut_forgets_what_led_to_the_handoff_and_keeps_the_counts() -> None:
    known = conversation(record("a", 1), record("b", 2), record("c", 3))
    assert ids(cut(known, 2)) == ["c"]
    assert cut(known, 2).turns_count == 3
    assert cut(known, 2).started_at_ms == 1
    assert cut(known, 0) is known


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=80))
def test_counted_turns_always_stand_in_order_and_are_never_too_many(arrivals: list[tuple[int, int]]) -> None:
    known = conversation(*[record(f"t{index}", at_ms, index) for index, at_ms in arrivals])
    indexes = [one.turn_index or 0 for one in known.past]
    assert indexes == sorted(indexes)
    assert len(known.past) <= TURNS_READ_MAX
    assert known.turns_count >= len(known.past)
