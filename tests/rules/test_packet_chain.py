"""The chain in a packet: who had the work and where it broke, within the size that a packet may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.packet.context_packet import ContextPacket, TranscriptTurn
from rules.packet.packet import PACKET_BYTES_MAX, build, dumps, lint, loads
from rules.packet.packet_chain import STATIONS_MAX
from rules.packet.packet_size import STATIONS_KEPT
from rules.turn import ToolCall
from tests.rules.test_packet import NOW_MS, decision, handoff, reason, turn


def by(made: TranscriptTurn, agent: str | None, parent: str | None = None) -> TranscriptTurn:
    return replace(made, beside={"agent": {"id": agent}, "parent": {"agent": parent} if parent else None})


def packet(talk: Sequence[TranscriptTurn], *asking: int) -> ContextPacket:
    return build(handoff("hold", *map(reason, asking)), [decision(number) for number in asking], talk, NOW_MS)


def test_one_agent_alone_has_no_chain_and_a_turn_that_an_earlier_version_kept_neither() -> None:
    assert packet([by(turn(1, "hi", "x"), "front"), by(turn(2, "hi", "x"), "front")], 2).chain is None
    assert packet([turn(1, "hi", "x")], 1).chain is None


def test_it_broke_at_the_turn_that_asked_first_for_the_handoff() -> None:
    failed = ToolCall("find", {}, None, None, "error", "timed out")
    talk = [
        by(turn(1, "hi", "x"), "front"),
        by(turn(2, None, "x", failed, failed), "billing", "front"),
        by(turn(3, None, "x", verdict="hold"), "refunds", "billing"),
        by(turn(4, None, "x", verdict="hold"), "billing", "refunds"),
    ]
    chain = packet(talk, 3, 4).chain
    assert chain is not None
    assert chain.broke is not None
    assert (chain.broke.agent, chain.broke.turn_id, chain.broke.path) == (
        "refunds",
        "t3",
        ("front", "billing", "refunds"),
    )
    assert (chain.handovers, chain.returns) == (3, 1)
    assert [(one.agent, one.verdicts, one.tool_errors, one.returned) for one in chain.stations] == [
        ("front", ("continue: 1",), (), False),
        ("billing", ("continue: 1",), ("find: 2",), False),
        ("refunds", ("hold: 1",), (), False),
        ("billing", ("hold: 1",), (), True),
    ]


def test_a_turn_that_is_gone_leaves_the_chain_and_no_guess_where_it_broke() -> None:
    chain = packet([by(turn(8, "hi", "x"), "front"), by(turn(9, "hi", "x"), "back", "front")], 3).chain
    assert chain is not None
    assert chain.broke is None


def test_of_a_long_chain_its_ends_stand_there_and_the_one_where_it_broke() -> None:
    talk = [by(turn(1, "hi", "x"), "a1")]
    talk += [by(turn(number, None, "x"), f"a{number}", f"a{number - 1}") for number in range(2, 41)]
    chain = packet(talk, 12).chain
    assert chain is not None
    places = [station.place for station in chain.stations]
    assert places == [0, 11, *range(40 - STATIONS_MAX + 2, 40)]
    assert chain.handovers == 39


def test_the_worst_chain_leaves_the_packet_within_its_size() -> None:
    letters = "\U0001f600"
    call = ToolCall(letters * 128, {letters * 40: letters * 3_000}, True, 1.0, "error", letters * 900)
    names = [f"{number:02d}{letters * 126}" for number in range(40)]
    talk = [
        by(turn(n, letters * 9_000, letters * 9_000, *[call] * 9, verdict="hold"), names[n], names[n - 1])
        for n in range(1, 40)
    ]
    made = packet(talk, *range(5, 21))
    assert len(dumps(made)) <= PACKET_BYTES_MAX
    assert any(note.startswith(f"chain: all but the {STATIONS_KEPT} newest agents") for note in made.cut)
    assert loads(dumps(made)) == made
    assert made.chain is not None
    assert made.chain.broke is not None


names = st.one_of(st.none(), st.sampled_from(["a", "b"]), st.text(alphabet="4⟦⟧1 @.é😀\x1b", max_size=140))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(names, names, st.text(max_size=9)), min_size=1, max_size=20))
def test_whatever_agents_are_called_a_packet_fits_survives_json_and_no_name_ends_a_fence(
    said: list[tuple[str | None, str | None, str]],
) -> None:
    talk = [by(turn(n, "hi", reply, verdict="hold"), agent, parent) for n, (agent, parent, reply) in enumerate(said, 1)]
    made = packet(talk, len(talk))
    assert len(dumps(made)) <= PACKET_BYTES_MAX
    assert loads(dumps(made)) == made
    assert {"text_unfenced", "too_large"}.isdisjoint(finding.code for finding in lint(made))
