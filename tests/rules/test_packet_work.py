"""What a packet costs: long and hostile texts are read once, and no further than a packet can show."""

from __future__ import annotations

from collections import Counter

import pytest

from rules.packet import packet as packets
from rules.packet.packet import (
    MASKS_MAX,
    PACKET_BYTES_MAX,
    READ_BEYOND_CHARS_MAX,
    READ_CHARS_MAX,
    TEXT_CHARS_MAX,
    ContextPacket,
    TranscriptTurn,
    build,
    dumps,
)
from rules.text import mask as masking
from rules.text.mask import Masked, mask
from tests.rules.test_packet import handoff, reason, turn

TURNS = 40
# Each is as long as a message may be. All of the first two is personal data, and of the third a part of each line.
HOSTILE = {
    "addresses": "a@b.c " * 5_450,
    "numbers": "1.2.3.4 " * 4_000,
    "a mail thread": "From: ann@example.com, call me at 555-123-4567, order 12-345\n" * 500,
    "words": "where is the parcel that I have paid for " * 790,
}


def talk(text: str) -> tuple[TranscriptTurn, ...]:
    return tuple(turn(number, f"{number} {text}", f"re {number} {text}") for number in range(TURNS))


def built(text: str) -> ContextPacket:
    return build(handoff("escalate", reason(TURNS - 1, "escalate")), (), talk(text), 0)


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_no_text_is_read_twice_and_old_ones_only_where_they_begin(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[str] = Counter()

    def counted(text: str) -> Masked:
        read[text] += 1
        return mask(text)

    monkeypatch.setattr(packets, "mask", counted)
    monkeypatch.setattr(Masked, "place", None)  # walks all masks: one for each of them would be their square
    packet = built(HOSTILE[name])
    assert len(dumps(packet)) <= PACKET_BYTES_MAX
    long = {text: times for text, times in read.items() if len(text) > READ_BEYOND_CHARS_MAX}
    # The draft that waits for an answer is read further than its turn.
    assert set(long.values()) == {1}
    assert sum(map(len, long)) <= READ_CHARS_MAX + 6 * TEXT_CHARS_MAX
    assert sum(map(len, read)) <= sum(map(len, long)) + 2 * TURNS * READ_BEYOND_CHARS_MAX + 2_000


def test_the_newest_are_whole_and_of_the_oldest_ids_and_promises_are_found_where_they_begin() -> None:
    long = "nothing of note here. " * 1_400
    begins = turn(0, f"order #W7654321. {long}", f"I will refund you within 3 days. {long}")
    ends = turn(1, f"{long} order #W1111111", f"{long} I will call you tomorrow.")
    newest = [turn(number, long, long) for number in range(2, TURNS)]
    last = turn(TURNS, "order #W2222222", "I will send it today.")
    packet = build(handoff("escalate", reason(TURNS, "escalate")), (), (begins, ends, *newest, last), 0)
    assert [each.value.text for each in packet.entities] == [
        "⟦customer⟧W7654321⟦/customer⟧",
        "⟦customer⟧W2222222⟦/customer⟧",
    ]
    assert [each.turn_id for each in packet.promises] == ["t0", f"t{TURNS}"]


def test_of_a_text_that_is_full_of_personal_data_all_is_masked_and_some_places_are_told() -> None:
    packet = build(handoff("review", reason(0)), (), (turn(0, "a@b.c " * 1_000, None),), 0)
    message = packet.transcript[0].message
    assert message is not None
    assert "@" not in message.text
    assert len(message.masks) == MASKS_MAX
    assert {message.text[found.start : found.end] for found in message.masks} == {"[email]"}


def test_where_masks_stand_is_told_as_offset_by_offset() -> None:
    masked = masking.mask("ann@example.com wrote: my ip is 1.2.3.4, card 4111 1111 1111 1111, ann@example.com")
    assert [(found, at) for found, at, _ in masked.placed()] == [
        (found, masked.place(found.start)) for found in masked.masks
    ]
    assert [masked.text[at:to] for _, at, to in masked.placed()] == list(masked.shown)
