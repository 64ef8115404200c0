"""Random conversations as they are recorded: turns in order, times, and the handoffs that ended, for Hypothesis."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from rules.transcripts import RecordedTurn
from rules.turn import Turn
from rules.turn_rows import Ended, Stretch
from tests.rules.strategies import NOW_MS, turns

# Steps between turns fall on the borders of the windows that strategies.windows has, and now and then time runs back.
_STEPS_MS = st.sampled_from((0, 1, 999, 1_000, 1_001, 30_000, 60_000, 60_001, 600_000, 3_600_000, 0, 1_000, -1_500))
_TEXTS = st.sampled_from(
    ("Why this HIDDEN  fee", "a human", "ｆｅｅ: a hidden fee ☂", "\ud800 hidden fee", "a human, é")
)
_turns = st.one_of(turns, turns, st.builds(lambda turn, text: replace(turn, message=text), turns, _TEXTS))
_lengths = st.sampled_from((1, 1, 2, 3, 4, 7))


@st.composite
def recorded(draw: st.DrawFn, conversation_id: str = "conv-1", turns_max: int = 7) -> tuple[Stretch, ...]:
    """Draw one conversation: one to three stretches, each but perhaps the last ended by a handoff."""
    at_ms, ordinal = NOW_MS, 0
    stretches = []
    for _ in range(draw(st.sampled_from((1, 1, 2, 3)))):
        recorded_turns = []
        for _ in range(min(draw(_lengths), turns_max)):
            at_ms += draw(_STEPS_MS)
            turn: Turn = replace(draw(_turns), conversation_id=conversation_id, turn_id=f"t{ordinal}")
            recorded_turns.append(RecordedTurn(turn, at_ms, ordinal))
            ordinal += 1
        at_ms = max(each.at_ms for each in recorded_turns)
        stretches.append(Stretch(tuple(recorded_turns), Ended(at_ms, "tier1", 60_000, "needed")))
    if draw(st.booleans()):
        stretches[-1] = replace(stretches[-1], ended=None)
    return tuple(stretches)
