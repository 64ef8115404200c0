"""Random rule sets, turns and conversations for Hypothesis, over few names and values, so that rules do fire."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any as Anything

from hypothesis import strategies as st

from rules.comparisons import COMPARISONS
from rules.model import (
    PRIORITIES,
    VERDICTS,
    Aggregate,
    All,
    Any,
    CallMatch,
    Compare,
    Condition,
    Mode,
    Not,
    OnTimeout,
    Queue,
    Rule,
    RuleFiles,
    SignalDeclaration,
    Span,
    Then,
    Topic,
    Window,
)
from rules.turn import (
    AgentRef,
    Conversation,
    Customer,
    ToolCall,
    TopicScore,
    Turn,
    TurnRecord,
    Value,
)
from rules.wording import aggregate_text, operand_text

NOW_MS = 1_790_000_000_000
SPAN = Span("rules.yaml", 1, 1, 2)

NUMBERS: tuple[float | int, ...] = (
    *(0, -0.0, 1, 1.0, 2, 3, -1, 0.4, 0.5, math.nextafter(0.5, 1), math.nextafter(0.5, 0), 0.55),
    *(2**53, 2.0**53, 2**53 + 1, -(2**53) - 1, 10**25, 1e308, 1.7976931348623157e308),
)
ODD_NUMBERS: tuple[float | int, ...] = (math.nan, math.inf, -math.inf, 10**400, -(10**400))
TEXTS = ("chat", "voice", "mail", "gold", "", "en", "Gold")
MEMBERS = ("refund", "fees", "outage", "issue_refund")
TOOLS = ("issue_refund", "send_mail", "lookup")

NUMBER_SIGNALS = ("confidence", "sentiment", "message_length", "turn_count", "elapsed_ms", "risk", "customer.balance")
TEXT_SIGNALS = ("channel", "language", "customer.tier", "mood", "customer.plan")
BOOL_SIGNALS = ("asks_for_person", "draft_present", "flagged")
SET_SIGNALS = ("topics", "tools", "labels", "sources")
RECORDED_NUMBERS = ("confidence", "sentiment", "risk", "message_length")
RECORDED = (*RECORDED_NUMBERS, "mood", "flagged", "labels", "topics")

SIGNALS = {
    declared.name: declared
    for declared in (
        SignalDeclaration("risk", "number"),
        SignalDeclaration("mood", "text"),
        SignalDeclaration("flagged", "bool"),
        SignalDeclaration("labels", "set"),
        SignalDeclaration("customer.balance", "number"),
        SignalDeclaration("customer.plan", "text"),
    )
}
TOPICS = {
    "fees": Topic("fees", phrases=("hidden fee",), inside=frozenset({"message", "reply"})),
    "person": Topic("person", phrases=("a human",), means="asks_for_person"),
}
MESSAGES = (None, "", "hello", "why this hidden fee", "a human please", "a human about the hidden fee")
QUEUES = {"tier1": Queue("tier1", 60_000, OnTimeout("callback", {"en": "We call you."}), say={"en": "One moment."})}

numbers = st.sampled_from(NUMBERS) | st.sampled_from((0.41, 7, 12))
odd_numbers = st.sampled_from(NUMBERS + ODD_NUMBERS)
texts = st.sampled_from(TEXTS)
members = st.sampled_from(MEMBERS)
sets = st.frozensets(members, max_size=3)
# What a caller may send where one type was declared: mostly that type, now and then another or none.
anything: st.SearchStrategy[Value] = st.one_of(st.none(), odd_numbers, texts, st.booleans(), sets)


def _mostly(values: st.SearchStrategy[Anything]) -> st.SearchStrategy[Anything]:
    return st.one_of(values, values, values, st.none(), anything)


def compare(left: str | Aggregate, operator: str, operand: Anything = None, threshold: str | None = None) -> Compare:
    """Return a comparison with the text that a rule file would have for it."""
    name = aggregate_text(left) if isinstance(left, Aggregate) else left
    return Compare(left, operator, operand, f"{name} {operator} {operand_text(operand)}".strip(), SPAN, threshold)


def _operators(*groups: str) -> list[str]:
    return [operator for operator, comparison in COMPARISONS.items() if comparison.group in groups]


@st.composite
def _numeric_compares(draw: st.DrawFn, left: str | Aggregate) -> Compare:
    operator = draw(st.sampled_from(_operators("order", "equal", "presence")))
    if COMPARISONS[operator].group == "presence":
        return compare(left, operator)
    if operator in ("in", "not in"):
        return compare(left, operator, tuple(draw(st.lists(odd_numbers, min_size=1, max_size=3))))
    return compare(left, operator, draw(odd_numbers if draw(st.integers(0, 9)) == 0 else numbers))


@st.composite
def _equal_compares(draw: st.DrawFn, left: str, operands: st.SearchStrategy[Anything]) -> Compare:
    operator = draw(st.sampled_from(_operators("equal", "presence")))
    if COMPARISONS[operator].group == "presence":
        return compare(left, operator)
    if operator in ("in", "not in"):
        return compare(left, operator, tuple(draw(st.lists(operands, min_size=1, max_size=3))))
    return compare(left, operator, draw(operands))


@st.composite
def _member_compares(draw: st.DrawFn, left: str) -> Compare:
    operator = draw(st.sampled_from(_operators("member", "presence")))
    return compare(left, operator, draw(members) if COMPARISONS[operator].group == "member" else None)


def signal_compares() -> st.SearchStrategy[Compare]:
    """Draw a comparison of a signal with an operand of its type, or of any type at all."""
    return st.one_of(
        st.sampled_from(NUMBER_SIGNALS).flatmap(_numeric_compares),
        st.sampled_from(TEXT_SIGNALS).flatmap(lambda name: _equal_compares(name, texts)),
        st.sampled_from(BOOL_SIGNALS).flatmap(lambda name: _equal_compares(name, st.booleans())),
        st.sampled_from(SET_SIGNALS).flatmap(_member_compares),
        st.sampled_from(NUMBER_SIGNALS + TEXT_SIGNALS + BOOL_SIGNALS + SET_SIGNALS).flatmap(
            lambda name: _equal_compares(name, st.one_of(odd_numbers, texts, st.booleans()))
        ),
    )


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Draw a window of turns, of time, or none."""
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return Window()
    if kind == 1:
        return Window(turns=draw(st.sampled_from((1, 2, 3, 10, 50))))
    return Window(span_ms=draw(st.sampled_from((1_000, 60_000, 600_000))))


@st.composite
def aggregates(draw: st.DrawFn) -> Aggregate:
    """Draw an aggregate of any function over recorded signals."""
    function = draw(st.sampled_from(("count", "streak", "min", "max", "avg", "last")))
    if function not in ("count", "streak"):
        return Aggregate(function, draw(st.sampled_from(RECORDED_NUMBERS)), draw(windows()))  # type: ignore[arg-type]
    inner = draw(signal_compares().filter(lambda one: one.left in RECORDED))
    return Aggregate(function, inner, draw(windows()))  # type: ignore[arg-type]


def aggregate_compares() -> st.SearchStrategy[Compare]:
    """Draw a comparison of an aggregate with a small number."""
    return aggregates().flatmap(_numeric_compares)


def call_compares() -> st.SearchStrategy[Compare]:
    """Draw a comparison for inside a `tool_call` block."""
    return st.one_of(
        _equal_compares("name", st.sampled_from(TOOLS)),
        _equal_compares("status", st.sampled_from(("proposed", "ok", "error"))),
        _equal_compares("write", st.booleans()),
        _numeric_compares("amount_usd"),
        _numeric_compares("args.count"),
        _equal_compares("args.why", texts),
        _member_compares("args.labels"),
    )


def nested(leaves: st.SearchStrategy[Anything], max_leaves: int) -> st.SearchStrategy[Anything]:
    """Draw `all`, `any` and `not` over the leaves."""

    def deeper(parts: st.SearchStrategy[Anything]) -> st.SearchStrategy[Anything]:
        several = st.lists(parts, min_size=1, max_size=4).map(tuple)
        return st.one_of(several.map(All), several.map(Any), parts.map(Not))

    return st.recursive(leaves, deeper, max_leaves=max_leaves)


def call_matches() -> st.SearchStrategy[CallMatch]:
    """Draw a `tool_call` block."""
    return nested(call_compares(), 4).map(lambda inner: CallMatch(inner, SPAN))


def conditions(max_leaves: int = 8) -> st.SearchStrategy[Condition]:
    """Draw a whole condition."""
    plain = signal_compares()
    return nested(st.one_of(plain, plain, plain, aggregate_compares(), call_matches()), max_leaves)


@st.composite
def rule_lists(draw: st.DrawFn, max_rules: int = 8) -> tuple[Rule, ...]:
    """Draw rules in order of precedence."""
    rules = []
    for number, when in enumerate(draw(st.lists(conditions(), min_size=1, max_size=max_rules))):
        verdict = draw(st.sampled_from(VERDICTS[:4]))
        then = Then(verdict, None if verdict == "continue" else "tier1", draw(st.sampled_from(PRIORITIES)))
        mode = Mode(draw(st.sampled_from((100, 100, 0, 30, 70))))
        rules.append(Rule(f"rule-{number}", "because", when, then, mode, SPAN))
    return ordered(rules)


def ordered(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return the rules in order of precedence: verdict, priority, then as written."""
    strength = lambda rule: (-VERDICTS.index(rule.then.verdict), -PRIORITIES.index(rule.then.priority))  # noqa: E731
    return tuple(sorted(rules, key=strength))


def files_of(rules: Sequence[Rule]) -> RuleFiles:
    """Return rule files with these rules and the topics, queues and signals of this page."""
    return RuleFiles("0" * 64, {}, TOPICS, QUEUES, SIGNALS, tuple(rules))


def rule_files(max_rules: int = 8) -> st.SearchStrategy[RuleFiles]:
    """Draw rule files."""
    return rule_lists(max_rules).map(files_of)


@st.composite
def tool_calls(draw: st.DrawFn) -> ToolCall:
    """Draw one tool call."""
    args = draw(st.fixed_dictionaries({}, optional={"count": anything, "why": _mostly(texts), "labels": _mostly(sets)}))
    return ToolCall(
        draw(st.sampled_from(TOOLS)),
        {name: list(value) if isinstance(value, frozenset) else value for name, value in args.items()},
        draw(st.sampled_from((True, False, None))),
        draw(st.none() | numbers),
        draw(st.sampled_from(("proposed", "ok", "error"))),
    )


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    """Draw a turn; every field may be missing."""
    optional = {"risk": _mostly(odd_numbers), "mood": _mostly(texts)}
    optional |= {"flagged": _mostly(st.booleans()), "labels": _mostly(sets)}
    attributes = st.fixed_dictionaries({}, optional={"balance": numbers, "plan": texts})
    return Turn(
        conversation_id=draw(st.sampled_from(("conv-1", "conv-2", "conv-3", "conv-4"))),
        turn_id="turn",
        agent=AgentRef(draw(st.none() | texts)),
        channel=draw(st.none() | texts),
        locale=draw(st.sampled_from((None, "en", "es-MX"))),
        customer=Customer(None, draw(st.none() | texts), draw(attributes)),
        message=draw(st.sampled_from(MESSAGES)),
        reply=draw(st.sampled_from((None, "", "this hidden fee"))),
        confidence=draw(st.none() | odd_numbers),
        topics=tuple(TopicScore(name) for name in draw(sets)),
        sentiment=draw(st.none() | numbers),
        tool_calls=tuple(draw(st.lists(tool_calls(), max_size=3))),
        sources=draw(st.none() | st.lists(members, max_size=2).map(tuple)),
        signals=draw(st.fixed_dictionaries({}, optional=optional)),
    )


@st.composite
def records(draw: st.DrawFn, number: int = 0) -> TurnRecord:
    """Draw what an earlier turn left; its age falls on the borders of the windows too."""
    age_ms = draw(st.sampled_from((-5, 0, 999, 1_000, 1_001, 60_000, 60_001, 600_000, 3_600_000)))
    values = {
        "confidence": numbers,
        "sentiment": numbers,
        "message_length": st.integers(0, 3),
        "risk": odd_numbers,
        "mood": texts,
        "flagged": st.booleans(),
        "labels": sets,
        "topics": sets,
    }
    return TurnRecord(f"past-{number}", NOW_MS - age_ms, draw(st.fixed_dictionaries({}, optional=values)))


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Draw a conversation with up to six remembered turns."""
    past = tuple(draw(records(number)) for number in range(draw(st.integers(0, 6))))
    return Conversation("conv-1", draw(st.none() | st.just(NOW_MS - 1_000)), len(past), past=past)


def odd_values() -> st.SearchStrategy[dict[str, Value]]:
    """Draw the value of each signal without regard for its type: evaluation must bear it, though `read` prevents it."""
    names = NUMBER_SIGNALS + TEXT_SIGNALS + BOOL_SIGNALS + SET_SIGNALS
    return st.fixed_dictionaries({name: anything for name in names})
