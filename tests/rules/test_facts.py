from __future__ import annotations

import pytest

from rules.evaluation.clauses import without_not
from rules.evaluation.facts import Facts, Probes
from rules.history import TURNS_READ_MAX
from rules.model import Aggregate, Any, CallMatch, Window
from rules.turn import Conversation, ToolCall, Turn, TurnRecord, Value
from tests.rules.strategies import NOW_MS, SPAN, compare

LOW = compare("confidence", "<", 0.5)


def facts(past: int = 0, **values: Value) -> Facts:
    """Return a turn with earlier ones, one a minute, the oldest with confidence 0.0, the next with 0.1, and so on."""
    records = tuple(
        TurnRecord(f"t{number}", NOW_MS - (past - number) * 60_000, {"confidence": number / 10})
        for number in range(past)
    )
    turn = Turn("conv-1", "now", tool_calls=(ToolCall("pay", amount=5.0), ToolCall("pay")))
    return Facts(values, turn, Conversation("conv-1", past=records), NOW_MS)


@pytest.mark.parametrize(
    ("window", "column"),
    [
        (Window(), [0.9, 0.2, 0.1, 0.0]),
        (Window(turns=1), [0.9]),
        (Window(turns=3), [0.9, 0.2, 0.1]),
        (Window(turns=50), [0.9, 0.2, 0.1, 0.0]),
        (Window(turns=1, earlier=True), [0.2]),
        (Window(turns=50, earlier=True), [0.2, 0.1, 0.0]),
        (Window(span_ms=60_000), [0.9, 0.2]),
        (Window(span_ms=59_999), [0.9]),
        (Window(turns=2, span_ms=600_000), [0.9, 0.2]),
    ],
)
def test_a_look_back_reaches_as_far_as_its_window(window: Window, column: list[float]) -> None:
    assert facts(3, confidence=0.9).column("confidence", window) == column


def test_no_more_turns_are_looked_at_than_are_remembered() -> None:
    assert len(facts(TURNS_READ_MAX + 20).column("confidence", Window())) == TURNS_READ_MAX + 1


def test_an_aggregate_that_many_rules_ask_for_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    column = Facts.column

    def watched(known: Facts, name: str, window: Window) -> list[Value]:
        measured.append(name)
        return column(known, name, window)

    monkeypatch.setattr(Facts, "column", watched)
    probes, known = Probes(), facts(3, confidence=0.2)
    low_again = compare("confidence", "<", 0.5, "low_confidence")
    counts = [probes.number(Aggregate("count", one, Window())) for one in (LOW, low_again, LOW)]
    assert [count(known) for count in counts] == [4, 4, 4]
    assert measured == ["confidence"]


def test_unlike_aggregates_are_measured_apart() -> None:
    probes, known = Probes(), facts(3, confidence=0.9)
    asked = [Aggregate("max", "confidence", Window(turns=turns)) for turns in (1, 4)]
    asked += [Aggregate("min", "confidence", Window()), Aggregate("min", "confidence", Window(turns=2))]
    assert [probes.number(one)(known) for one in asked] == [0.9, 0.9, 0.0, 0.2]


def test_an_average_too_large_for_a_float_is_unknown() -> None:
    huge = 1.7e308
    known = Facts(
        {"risk": huge}, Turn("c", "t"), Conversation("c", past=(TurnRecord("a", NOW_MS, {"risk": huge}),)), NOW_MS
    )
    probes = Probes()
    assert probes.number(Aggregate("avg", "risk", Window()))(known) is None
    assert probes.number(Aggregate("max", "risk", Window()))(known) == huge


def test_a_calls_condition_is_tried_once_for_all_who_ask() -> None:
    probes = Probes()
    pays = CallMatch(compare("name", "=", "pay"), SPAN)
    one, other = probes.holds(without_not(pays)), probes.holds(without_not(Any((pays, LOW))))
    known = facts(confidence=0.9)
    assert one(known)
    assert other(known)
    assert list(known.answers.values()) == [True]


def test_the_values_of_calls_are_read_once() -> None:
    known = facts()
    assert known.calls is known.calls
    assert [call["amount_usd"] for call in known.calls] == [5.0, None]
