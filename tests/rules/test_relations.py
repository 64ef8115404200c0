"""Signals that have to do with each other: a rule that asks for what never stands together is told, and no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import compile_files
from rules.evaluation import signals
from rules.evaluation.clauses import without_not
from rules.evaluation.late_signals import LATE, Asked
from rules.evaluation.reference import Moment
from rules.findings.entailment import Reasoning
from rules.model import Aggregate, All, CallMatch, Compare, Condition, Not, Window
from rules.turn import Conversation, ToolCall, Turn, TurnRecord
from tests.rules import strategies as make
from tests.rules.test_entailment import SPECS

FILE = """handrail: 1
topics:
  refunds: {phrases: [my money back], inside: [message, reply, tool_output]}
rules:
  - id: r
    why: x
    when: WHEN
    then: continue
"""


def told(when: str) -> list[str]:
    return [
        f"{problem.code}: {problem.message} -> {problem.next_step}"
        for problem in compile_files({"f.yaml": FILE.replace("WHEN", when)})[1]
        if problem.code != "W202"
    ]


# condition -> the two parts that never hold together; None where it takes more than two.
NEVER = {
    "{all: [clock.hour >= 22, clock.time < 06:00]}": ("clock.time < 06:00", "clock.hour >= 22"),
    "{all: [clock.hour = 9, clock.time > 09:59]}": ("clock.time > 09:59", "clock.hour = 9"),
    "{all: [clock.date = 2026-12-25, clock.weekday = mon]}": ("clock.weekday = mon", "clock.date = 2026-12-25"),
    "{all: [clock.hour is unknown, clock.time >= 9:00]}": ("clock.time >= 9:00", "clock.hour is unknown"),
    "{all: [language = es, locale = en-US]}": ("locale = en-US", "language = es"),
    "{all: [language in [es, fr], locale in [en-US, de_DE]]}": (
        "locale in [en-US, de_DE]",
        "language in [es, fr]",
    ),
    "{all: [locale is unknown, language != es]}": ("language != es", "locale is unknown"),
    "{all: [tool_calls_count = 0, {tool_call: name = x}]}": (None, None),
    "{all: [tool_calls_count = 0, tools has x]}": ("tools has x", "tool_calls_count = 0"),
    "{all: [tool_calls_count = 0, amount_usd_max > 5]}": ("amount_usd_max > 5", "tool_calls_count = 0"),
    "{all: [tool_calls_count < 2, {all: [tools has a, tools has b]}]}": (None, None),
    "{all: [tool_calls_count <= 1, tool_errors_count > 1]}": ("tool_errors_count > 1", "tool_calls_count <= 1"),
    "{all: [tool_errors_count = 0, tools_failed has x]}": ("tools_failed has x", "tool_errors_count = 0"),
    "{all: [tool_errors_total = 0, tool_errors_count > 0]}": ("tool_errors_count > 0", "tool_errors_total = 0"),
    "{all: [tool_calls_count = 0, output_topics lacks refunds]}": (
        "output_topics lacks refunds",
        "tool_calls_count = 0",
    ),
    "{all: [handoffs_count = 0, since_handoff_ms > 1m]}": ("since_handoff_ms > 1m", "handoffs_count = 0"),
    "{all: [turn_count = 1, count(confidence < 0.5) >= 2]}": ("count(confidence < 0.5) >= 2", "turn_count = 1"),
    "{all: [turn_count <= 2, streak(confidence < 0.5) over 5 turns > 2]}": (
        "streak(confidence < 0.5) over 5 turns > 2",
        "turn_count <= 2",
    ),
    "{all: [turn_count = 1, count(confidence < 0.5) over 3 earlier turns >= 1]}": (
        "count(confidence < 0.5) over 3 earlier turns >= 1",
        "turn_count = 1",
    ),
    "{all: [turn_count = 1, since_last_turn_ms > 10m]}": ("since_last_turn_ms > 10m", "turn_count = 1"),
    "{all: [turn_count = 1, elapsed_ms > 10m]}": ("elapsed_ms > 10m", "turn_count = 1"),
    "{all: [turn_count < 3, message_repeats >= 2]}": ("message_repeats >= 2", "turn_count < 3"),
    "{all: [draft_present = true, reply_length = 0]}": ("reply_length = 0", "draft_present = true"),
    "{all: [draft_present = false, reply_repeats >= 1]}": ("reply_repeats >= 1", "draft_present = false"),
    "{all: [min(confidence) over 5 turns > 0.8, max(confidence) over 5 turns < 0.5]}": (
        "max(confidence) over 5 turns < 0.5",
        "min(confidence) over 5 turns > 0.8",
    ),
    "{all: [min(confidence) > 0.5, max(confidence) <= 0.5]}": ("max(confidence) <= 0.5", "min(confidence) > 0.5"),
    "{all: [last(confidence) < 0.3, confidence > 0.5]}": ("confidence > 0.5", "last(confidence) < 0.3"),
    "{all: [last(confidence) over 10m != 0.3, confidence = 0.3]}": (
        "confidence = 0.3",
        "last(confidence) over 10m != 0.3",
    ),
    "{all: [max(sentiment) over 3 turns < -0.5, sentiment >= 0]}": (
        "sentiment >= 0",
        "max(sentiment) over 3 turns < -0.5",
    ),
    "{all: [min(sentiment) > 0, last(sentiment) < 0]}": ("last(sentiment) < 0", "min(sentiment) > 0"),
    "{all: [sources has handbook, sources_count = 0]}": ("sources_count = 0", "sources has handbook"),
    "{all: [amount_usd_max < 100, {tool_call: {all: [name = x, amount_usd > 200]}}]}": (None, None),
    "{all: [amount_usd_max <= 200, {tool_call: amount_usd > 200}]}": (None, None),
    "{all: [message_present = true, message_length is unknown]}": (
        "message_length is unknown",
        "message_present = true",
    ),
}


@pytest.mark.parametrize("when", NEVER)
def test_what_never_stands_together_is_told(when: str) -> None:
    problems = told(when)
    assert len(problems) == 1
    assert problems[0].startswith("R133: the rule `r` never fires: ")
    one, other = NEVER[when]
    if one is not None:
        assert f"`{one}` never holds together with `{other}`" in problems[0]


FINE = [
    "{all: [clock.hour >= 22, clock.time < 23:00]}",
    "{all: [clock.hour = 9, clock.time > 09:58]}",
    "{all: [clock.date = 2026-12-25, clock.weekday = fri]}",
    "{all: [clock.date >= 2026-12-25, clock.date < 2027-01-02, clock.weekday = mon]}",
    "{all: [language = es, locale in [en-US, es_MX]]}",
    "{all: [language = en, locale = EN-us]}",
    "{all: [language = es, locale != es-MX]}",
    "{any: [locale = en-US, language = es]}",
    "{all: [tool_calls_count = 0, {not: {tool_call: name = x}}]}",
    "{all: [tool_calls_count = 1, tools has a, tools lacks b]}",
    "{all: [tool_calls_count = 0, tool_errors_total > 2]}",
    "{all: [tool_calls_count = 0, amount_usd_max is unknown]}",
    "{all: [handoffs_count = 0, since_handoff_ms is unknown]}",
    "{all: [handoffs_count >= 1, since_handoff_ms is unknown]}",
    "{all: [turn_count = 2, count(confidence < 0.5) >= 2]}",
    "{all: [turn_count = 2, count(confidence < 0.5) over 3 earlier turns >= 1]}",
    "{all: [turn_count = 1, message_repeats = 0]}",
    "{all: [turn_count = 1, elapsed_ms >= 0]}",
    "{all: [min(confidence) over 5 turns > 0.8, max(confidence) over 10 turns < 0.5]}",
    "{all: [min(confidence) >= 0.5, max(confidence) <= 0.5, last(confidence) = 0.5, confidence = 0.5]}",
    "{all: [last(confidence) over 3 earlier turns < 0.3, confidence > 0.5]}",
    "{all: [last(confidence) < 0.3, confidence is unknown]}",
    "{all: [max(confidence) < 0.3, sentiment > 0.5]}",
    "{all: [sources has handbook, sources_count = 1, sources lacks faq]}",
    "{all: [amount_usd_max >= 200, {tool_call: amount_usd > 100}, {tool_call: amount_usd < 50}]}",
    "{all: [amount_usd_max < 100, {not: {tool_call: amount_usd > 200}}]}",
    "{all: [amount_usd_max < 100, {tool_call: {any: [amount_usd > 200, name = x]}}]}",
    # A draft of nothing but spaces is none, and has a length.
    "{all: [draft_present = false, reply_length > 5]}",
    "{all: [draft_present = true, reply_repeats is unknown]}",
    "{all: [message_present = false, asks_for_person = true]}",
]


@pytest.mark.parametrize("when", FINE)
def test_what_can_stand_together_is_left_alone(when: str) -> None:
    assert [problem for problem in told(when) if problem.startswith("R")] == []


LANGUAGES = {"ES": "write `es`", "es-MX": "write `es`", "pt_br": "write `pt`", "Spanish": "write `es`"}


@pytest.mark.parametrize("word", LANGUAGES)
def test_a_language_is_written_as_the_first_part_of_a_locale(word: str) -> None:
    assert told(f"language = {word}") == [f"R109: `{word}` is no language without a region -> {LANGUAGES[word]}"]
    assert told(f"language in [en, {word}]") == [f"R109: `{word}` is no language without a region -> {LANGUAGES[word]}"]


def test_every_word_that_is_no_language_is_told_how_they_are_written() -> None:
    assert told('language = "the usual"') == [
        "R109: `the usual` is no language without a region -> write languages as `en` or `es`"
    ]


_CALLS = st.builds(
    ToolCall,
    name=st.sampled_from(("a", "b")),
    status=st.sampled_from(("proposed", "ok", "error")),
    amount=st.sampled_from((None, 5.0, 50.0, -5.0)),
    write=st.sampled_from((None, True)),
    output=st.sampled_from((None, "my money back")),
)
_TEXTS = st.sampled_from((None, "", "  ", "\u200b", "\x85\x1c", "hello", "my money back"))
_TURNS = st.builds(
    Turn,
    conversation_id=st.just("c"),
    turn_id=st.just("t"),
    locale=st.sampled_from((None, "en", "EN-us", "es_MX", "es-MX", "spanish", "-", "")),
    message=_TEXTS,
    reply=_TEXTS,
    confidence=st.sampled_from((None, 0.2, 0.7)),
    sources=st.sampled_from((None, (), ("a",), ("a", "a"), ("a", "b"))),
    tool_calls=st.lists(_CALLS, max_size=2).map(tuple),
)
# Moments around midnight and noon of four days.
_MOMENTS = st.builds(
    lambda day, minutes: (make.NOW_MS // 86_400_000 + day) * 86_400_000 + minutes * 60_000,
    st.integers(0, 3),
    st.sampled_from((0, 1, 359, 360, 599, 600, 1319, 1320, 1439)),
)


@st.composite
def _situations(draw: st.DrawFn) -> tuple[Turn, Conversation, int]:
    """A turn in a conversation as it is kept: by turns that were decided, and handoffs that ended."""
    now_ms = draw(_MOMENTS)
    files = make.files_of(())
    conversation = Conversation("c")
    for number, earlier in enumerate(draw(st.lists(_TURNS, max_size=3))):
        at_ms = now_ms - (3 - number) * 60_000
        record = signals.record(files, earlier, signals.read(files, earlier, conversation, at_ms, ()), at_ms)
        past = (*conversation.past, TurnRecord(f"p{number}", at_ms, record.values))
        started = conversation.started_at_ms or at_ms
        conversation = replace(conversation, started_at_ms=started, turns_count=number + 1, past=past)
    if draw(st.booleans()):
        conversation = replace(
            conversation, handoffs_count=1, last_handoff_at_ms=now_ms - draw(st.sampled_from((0, 90_000)))
        )
        # What led to a handoff is forgotten; that there were turns is not.
        conversation = replace(conversation, past=conversation.past[draw(st.integers(0, 3)) :])
    return draw(_TURNS), conversation, now_ms


def _of(name: str, operators: tuple[str, ...], *operands: object) -> st.SearchStrategy[Condition]:
    return st.builds(make.compare, st.just(name), st.sampled_from(operators), st.sampled_from(operands))


_ORDER = ("<", "<=", ">", ">=", "=", "!=")
_DAY = date.fromtimestamp(make.NOW_MS / 1000).toordinal()
_COUNTED = st.builds(
    make.compare,
    st.builds(
        Aggregate,
        st.sampled_from(("count", "streak")),
        st.just(make.compare("confidence", "<", 0.5)),
        st.sampled_from((Window(), Window(turns=2), Window(turns=2, earlier=True), Window(span_ms=90_000))),
    ),
    st.sampled_from(_ORDER),
    st.sampled_from((0, 1, 2, 3)),
)
_MEASURED = st.builds(
    make.compare,
    st.builds(
        Aggregate,
        st.sampled_from(("min", "max", "last", "avg")),
        st.just("confidence"),
        st.sampled_from((Window(), Window(turns=2), Window(turns=2, earlier=True), Window(span_ms=90_000))),
    ),
    st.sampled_from(_ORDER),
    st.sampled_from((0.2, 0.5, 0.7)),
)
_GROUPS: tuple[tuple[st.SearchStrategy[Condition], ...], ...] = (
    (
        _of("clock.hour", _ORDER, 0, 5, 6, 9, 10, 21, 22, 23),
        _of("clock.time", _ORDER, 0, 1, 359, 360, 599, 600, 1319, 1320, 1439),
        _of("clock.date", _ORDER, _DAY, _DAY + 1, _DAY + 3),
        _of("clock.weekday", ("=", "!="), "mon", "tue", "wed", "thu", "fri"),
        _of("clock.time", ("is known", "is unknown"), None),
    ),
    (
        _of("locale", ("=", "!="), "en", "EN-us", "es_MX", "es-MX", "spanish", "-", ""),
        _of("language", ("=", "!="), "en", "es", "spanish", ""),
        _of("locale", ("in", "not in"), ("en", "es-MX"), ("EN-us",)),
        _of("language", ("is known", "is unknown"), None),
        _of("locale", ("is known", "is unknown"), None),
    ),
    (
        *(_of(name, _ORDER, 0, 1, 2) for name in ("tool_calls_count", "tool_errors_count", "tool_errors_total")),
        _of("writes_proposed_count", _ORDER, 0, 1),
        *(_of(name, ("has", "lacks"), "a", "b") for name in ("tools", "tools_failed", "tools_proposed")),
        _of("tools", ("within", "not within"), ("a",), ("a", "b")),
        _of("amount_usd_max", ("is known", "is unknown"), None),
        _of("output_topics", ("is known", "is unknown"), None),
        st.builds(CallMatch, _of("name", ("=", "!="), "a", "b"), st.just(make.SPAN)),
    ),
    (
        _of("amount_usd_max", _ORDER, -5, 0, 5, 50),
        st.builds(CallMatch, _of("amount_usd", _ORDER, -5, 0, 5, 50), st.just(make.SPAN)),
        st.builds(CallMatch, _of("name", ("=", "!="), "a", "b"), st.just(make.SPAN)),
    ),
    (_MEASURED, _of("confidence", _ORDER, 0.2, 0.5, 0.7)),
    (_of("sources", ("has", "lacks"), "a", "b"), _of("sources_count", _ORDER, 0, 1, 2)),
    (
        _of("turn_count", _ORDER, 1, 2, 3),
        _COUNTED,
        _of("message_repeats", _ORDER, 0, 1, 2),
        _of("reply_repeats", ("is known", "is unknown"), None),
        _of("since_last_turn_ms", ("is known", "is unknown"), None),
        _of("elapsed_ms", _ORDER, 0, 60_000),
        _of("handoffs_count", _ORDER, 0, 1),
        _of("since_handoff_ms", (">", "<"), 0, 60_000),
        _of("since_handoff_ms", ("is known", "is unknown"), None),
    ),
    (
        *(_of(name, ("=", "!="), True, False) for name in ("draft_present", "message_present")),
        *(_of(name, _ORDER, 0, 1, 2) for name in ("reply_length", "message_length")),
        *(_of(name, ("is known", "is unknown"), None) for name in ("reply_length", "message_length")),
        *(_of(name, ("is known", "is unknown"), None) for name in ("reply_repeats", "message_repeats")),
        _of("reply_repeats", _ORDER, 0, 1),
    ),
)
_LITERALS = st.sampled_from(_GROUPS).flatmap(lambda group: st.lists(st.one_of(group), min_size=2, max_size=6))


@settings(max_examples=600, deadline=None)
@given(_LITERALS, _situations())
def test_what_holds_together_on_a_turn_is_never_said_never_to_fire(
    literals: list[Condition], situation: tuple[Turn, Conversation, int]
) -> None:
    turn, conversation, now_ms = situation
    values = signals.read(make.files_of(()), turn, conversation, now_ms, ())
    moment = Moment(values, turn, conversation, now_ms)
    # Each that does not hold is turned into its opposite, so that all of them hold together.
    lefts = [each.left for each in literals if isinstance(each, Compare)]
    exactly = [
        make.compare(left, "is unknown") if (value := values[left]) is None else make.compare(left, "=", value)
        for left in lefts
        if isinstance(left, str) and not isinstance(values[left], frozenset)
    ]
    exactly += [make.compare(left, ">=", least) for left in lefts if isinstance(left, Aggregate) for least in (1, 2, 3)]
    parts = [part for each in (*literals, *exactly) for part in (each, Not(each)) if moment.truth(part) is True]
    condition = All(tuple(parts))
    assert not parts or moment.truth(condition) is True
    assert not parts or Reasoning(SPECS).ways(without_not(condition))


@given(
    st.sampled_from((" ", "\t\n", "\x1c\x1d\x1e\x1f", "\x85", "\u2028\u3000", "")),
    st.sampled_from(("message", "reply")),
)
def test_a_text_that_is_not_there_never_came_before(text: str, which: str) -> None:
    turn = replace(Turn("c", "t"), **{which: text})  # type: ignore[arg-type] # the two are texts
    values = signals.read(make.files_of(()), turn, Conversation("c"), make.NOW_MS, ())
    assert values[{"message": "message_present", "reply": "draft_present"}[which]] is False
    assert values[f"{which}_repeats"] is None
    assert LATE["language"](Asked(turn, Conversation("c"), 0, values, "UTC")) is None
