"""Random rule sets, turns and conversations for Hypothesis, over few names and values, so that rules do fire."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any as Anything

from hypothesis import strategies as st

from rules.compile.operands import LISTING
from rules.evaluation.comparisons import COMPARISONS
from rules.evaluation.wording import aggregate_text, operand_text
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
    CallStatus,
    Conversation,
    Customer,
    ToolCall,
    TopicScore,
    Turn,
    TurnRecord,
    Value,
)

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


def _operators(*groups: str) -> st.SearchStrategy[str]:
    return st.sampled_from([operator for operator, comparison in COMPARISONS.items() if comparison.group in groups])


def _operands(operator: str, operands: st.SearchStrategy[Anything]) -> st.SearchStrategy[Anything]:
    if COMPARISONS[operator].group == "presence":
        return st.none()
    return st.lists(operands, min_size=1, max_size=3).map(tuple) if operator in LISTING else operands


_ANY_OPERAND = st.one_of(odd_numbers, texts, st.booleans())
_MOSTLY_NUMBERS = st.one_of(numbers, numbers, numbers, odd_numbers)
# Strategies are dear to make and cheap to draw from, so each is made once: operator -> where its operand is drawn.
_ORDERED = _operators("order", "equal", "presence")
_EQUAL = _operators("equal", "presence")
_MEMBER = _operators("member", "subset", "presence")
_BY_OPERATOR: dict[str, dict[str, st.SearchStrategy[Anything]]] = {
    kind: {operator: _operands(operator, operands) for operator in COMPARISONS}
    for kind, operands in {
        "number": _MOSTLY_NUMBERS,
        "text": texts,
        "bool": st.booleans(),
        "set": members,
        "any": _ANY_OPERAND,
        "tool": st.sampled_from(TOOLS),
        "status": st.sampled_from(("proposed", "ok", "error")),
    }.items()
}


@st.composite
def _compares(
    draw: st.DrawFn, lefts: st.SearchStrategy[Anything], operators: st.SearchStrategy[str], kind: str
) -> Compare:
    operator = draw(operators)
    return compare(draw(lefts), operator, draw(_BY_OPERATOR[kind][operator]))


def _signal_compares(numeric: tuple[str, ...], *others: tuple[str, ...]) -> st.SearchStrategy[Compare]:
    text, boolean, several = others
    return st.one_of(
        _compares(st.sampled_from(numeric), _ORDERED, "number"),
        _compares(st.sampled_from(text), _EQUAL, "text"),
        _compares(st.sampled_from(boolean), _EQUAL, "bool"),
        _compares(st.sampled_from(several), _MEMBER, "set"),
        _compares(st.sampled_from(numeric + text + boolean + several), _EQUAL, "any"),
    )


# A comparison of a signal with an operand of its type, or of any type at all.
signal_compares = _signal_compares(NUMBER_SIGNALS, TEXT_SIGNALS, BOOL_SIGNALS, SET_SIGNALS)

windows: st.SearchStrategy[Window] = st.one_of(
    st.just(Window()),
    st.sampled_from((1, 2, 3, 10, 50)).map(lambda turns: Window(turns=turns)),
    st.sampled_from((1, 2, 50)).map(lambda turns: Window(turns=turns, earlier=True)),
    st.sampled_from((1_000, 60_000, 600_000)).map(lambda span_ms: Window(span_ms=span_ms)),
)
aggregates: st.SearchStrategy[Aggregate] = st.one_of(
    st.builds(
        Aggregate,
        st.sampled_from(("count", "streak")),
        _signal_compares(RECORDED_NUMBERS, ("mood",), ("flagged",), ("labels", "topics")),
        windows,
    ),
    st.builds(Aggregate, st.sampled_from(("min", "max", "avg", "last")), st.sampled_from(RECORDED_NUMBERS), windows),
)
aggregate_compares = _compares(aggregates, _ORDERED, "number")

# A comparison for inside a `tool_call` block.
call_compares = st.one_of(
    _compares(st.just("name"), _EQUAL, "tool"),
    _compares(st.just("status"), _EQUAL, "status"),
    _compares(st.just("write"), _EQUAL, "bool"),
    _compares(st.sampled_from(("amount_usd", "args.count")), _ORDERED, "number"),
    _compares(st.just("args.why"), _EQUAL, "text"),
    _compares(st.just("args.labels"), _MEMBER, "set"),
)


def nested(leaves: st.SearchStrategy[Anything], max_leaves: int) -> st.SearchStrategy[Anything]:
    """Draw `all`, `any` and `not` over the leaves."""

    def deeper(parts: st.SearchStrategy[Anything]) -> st.SearchStrategy[Anything]:
        several = st.lists(parts, min_size=1, max_size=4).map(tuple)
        return st.one_of(several.map(All), several.map(Any), parts.map(Not))

    return st.recursive(leaves, deeper, max_leaves=max_leaves)


call_matches: st.SearchStrategy[CallMatch] = nested(call_compares, 4).map(lambda inner: CallMatch(inner, SPAN))
_LEAVES = st.one_of(signal_compares, signal_compares, signal_compares, aggregate_compares, call_matches)
# Whole conditions: what a rule's `when` holds, and wider ones.
conditions: st.SearchStrategy[Condition] = nested(_LEAVES, 8)
wide_conditions: st.SearchStrategy[Condition] = nested(_LEAVES, 20)


_MODES = st.sampled_from([Mode(percent) for percent in (100, 100, 0, 30, 70)])
_THENS = st.builds(
    lambda verdict, priority: Then(verdict, None if verdict == "continue" else "tier1", priority),
    st.sampled_from(VERDICTS[:4]),
    st.sampled_from(PRIORITIES),
)


def _rules(parts: Sequence[tuple[Condition, Then, Mode]]) -> tuple[Rule, ...]:
    made = [Rule(f"rule-{n}", "because", when, then, mode, SPAN) for n, (when, then, mode) in enumerate(parts)]
    return ordered(made)


# Rules in order of precedence.
rule_lists: st.SearchStrategy[tuple[Rule, ...]] = st.lists(
    st.tuples(conditions, _THENS, _MODES), min_size=1, max_size=8
).map(_rules)


def ordered(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return the rules in order of precedence: verdict, priority, then as written."""
    strength = lambda rule: (-VERDICTS.index(rule.then.verdict), -PRIORITIES.index(rule.then.priority))  # noqa: E731
    return tuple(sorted(rules, key=strength))


def files_of(rules: Sequence[Rule]) -> RuleFiles:
    """Return rule files with these rules and the topics, queues and signals of this page."""
    return RuleFiles("0" * 64, {}, TOPICS, QUEUES, SIGNALS, tuple(rules))


rule_files: st.SearchStrategy[RuleFiles] = rule_lists.map(files_of)


def _listed(args: dict[str, Value]) -> dict[str, object]:
    return {name: list(value) if isinstance(value, frozenset) else value for name, value in args.items()}


_STATUSES: tuple[CallStatus, ...] = ("proposed", "ok", "error")
tool_calls: st.SearchStrategy[ToolCall] = st.builds(
    ToolCall,
    st.sampled_from(TOOLS),
    st.fixed_dictionaries({}, optional={"count": anything, "why": _mostly(texts), "labels": _mostly(sets)}).map(
        _listed
    ),
    st.sampled_from((True, False, None)),
    st.none() | numbers,
    st.sampled_from(_STATUSES),
)

# Turns of which every field may be missing.
turns: st.SearchStrategy[Turn] = st.builds(
    Turn,
    conversation_id=st.sampled_from(("conv-1", "conv-2", "conv-3", "conv-4")),
    turn_id=st.just("turn"),
    agent=st.builds(AgentRef, st.none() | texts),
    channel=st.none() | texts,
    locale=st.sampled_from((None, "en", "es-MX")),
    customer=st.builds(
        Customer, st.none(), st.none() | texts, st.fixed_dictionaries({}, optional={"balance": numbers, "plan": texts})
    ),
    message=st.sampled_from(MESSAGES),
    reply=st.sampled_from((None, "", "this hidden fee")),
    confidence=st.none() | odd_numbers,
    topics=sets.map(lambda names: tuple(map(TopicScore, sorted(names)))),
    sentiment=st.none() | numbers,
    tool_calls=st.lists(tool_calls, max_size=3).map(tuple),
    sources=st.none() | st.lists(members, max_size=2).map(tuple),
    signals=st.fixed_dictionaries(
        {},
        optional={
            "risk": _mostly(odd_numbers),
            "mood": _mostly(texts),
            "flagged": _mostly(st.booleans()),
            "labels": _mostly(sets),
        },
    ),
)

_RECORDS = st.tuples(
    # The ages of earlier turns fall on the borders of the windows too.
    st.sampled_from((-5, 0, 999, 1_000, 1_001, 60_000, 60_001, 600_000, 3_600_000)),
    st.fixed_dictionaries(
        {},
        optional={
            "confidence": numbers,
            "sentiment": numbers,
            "message_length": st.integers(0, 3),
            "risk": odd_numbers,
            "mood": texts,
            "flagged": st.booleans(),
            "labels": sets,
            "topics": sets,
        },
    ),
)


def _conversation(started_at_ms: int | None, records: Sequence[tuple[int, dict[str, Value]]]) -> Conversation:
    past = tuple(TurnRecord(f"past-{n}", NOW_MS - age_ms, values) for n, (age_ms, values) in enumerate(records))
    return Conversation("conv-1", started_at_ms, len(past), past=past)


# Conversations with up to six remembered turns.
conversations: st.SearchStrategy[Conversation] = st.builds(
    _conversation, st.none() | st.just(NOW_MS - 1_000), st.lists(_RECORDS, max_size=6)
)

# The value of each signal without regard for its type: evaluation must bear it, though `read` prevents it.
odd_values: st.SearchStrategy[dict[str, Value]] = st.fixed_dictionaries(
    {name: anything for name in NUMBER_SIGNALS + TEXT_SIGNALS + BOOL_SIGNALS + SET_SIGNALS}
)
