"""The table of signals: what a rule file may say of each. How they are read is known in `rules.evaluation.signals`.

Whoever checks rule files loads this table, and nothing that judges a turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from rules.chains.kinds import DISAGREEMENTS
from rules.evaluation.call_values import SignalType

if TYPE_CHECKING:
    from rules.decision import Inside

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# What a number counts, which decides how its operand is written: `90s` for ms, `18:00` for minutes, a date for day.
Unit: TypeAlias = Literal["ratio", "score", "characters", "count", "usd", "ms", "hour", "minutes", "day"]

CUSTOMER_PREFIX = "customer."


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """One row of the table: what a rule file may say of a signal.

    `recorded` ones are kept with each decided turn, so aggregates may look back at them. `low` and `high` bound a
    number, `values` lists all that a text can be or a set hold; another operand is a mistake in the rule file.
    """

    name: str
    type: SignalType
    unit: Unit | None
    group: str
    about: str
    recorded: bool = False
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()


def _table(*rows: SignalSpec) -> dict[str, SignalSpec]:
    return {row.name: row for row in rows}


SIGNALS: dict[str, SignalSpec] = _table(
    SignalSpec("confidence", "number", "ratio", "turn", "how sure the agent says it is", True, 0.0, 1.0),
    SignalSpec("sentiment", "number", "score", "turn", "how the customer feels, from -1 to 1", True, -1.0, 1.0),
    SignalSpec("message_present", "bool", None, "turn", "the customer wrote something besides white space"),
    SignalSpec("message_length", "number", "characters", "turn", "length of the customer's message", True, 0),
    SignalSpec("message_repeats", "number", "count", "turn", "earlier turns with the same message", low=0),
    SignalSpec("draft_present", "bool", None, "turn", "the agent drafted a reply"),
    SignalSpec("reply_length", "number", "characters", "turn", "length of the agent's draft", True, 0),
    SignalSpec("reply_repeats", "number", "count", "turn", "earlier turns with the same reply", low=0),
    SignalSpec("language", "text", None, "turn", "language of the locale: `es` of `es-MX`"),
    SignalSpec("locale", "text", None, "turn", "locale as the caller sent it: `es-MX`"),
    SignalSpec("channel", "text", None, "turn", "where the conversation takes place, as the caller names it"),
    SignalSpec("topics", "set", None, "turn", "topics found in the message or sent by the caller", True),
    SignalSpec("reply_topics", "set", None, "turn", "topics found in the agent's draft", True),
    SignalSpec("asks_for_person", "bool", None, "turn", "the customer asks for a person", True),
    SignalSpec("confirmed", "bool", None, "turn", "the customer's latest message agrees to what was proposed", True),
    SignalSpec("sources", "set", None, "turn", "sources that the draft rests on, as the caller names them"),
    SignalSpec("sources_count", "number", "count", "turn", "number of these sources", True, 0),
    SignalSpec("customer.id", "text", None, "customer", "the caller's id of the customer"),
    SignalSpec("customer.tier", "text", None, "customer", "the customer's tier, as the caller names it"),
    SignalSpec("agent.id", "text", None, "agent", "which agent speaks"),
    SignalSpec("agent.version", "text", None, "agent", "version of that agent"),
    SignalSpec("agent.prompt_version", "text", None, "agent", "version of that agent's prompt"),
    SignalSpec("parent.agent", "text", None, "agent", "the agent that handed the conversation over"),
    SignalSpec("chain_depth", "number", "count", "chain", "handovers from the first agent to this one", low=0),
    SignalSpec("handovers_count", "number", "count", "chain", "how often an agent handed work to another", low=0),
    SignalSpec("agent_returns_count", "number", "count", "chain", "how often work came back to an agent", low=0),
    SignalSpec("agents_count", "number", "count", "chain", "agents that had the work, this one included", low=0),
    SignalSpec("agents_disagree", "bool", None, "chain", "this agent and another name one thing differently"),
    SignalSpec(
        "disagreements",
        "set",
        None,
        "chain",
        "what they differ in: `argument`, `amount`, `answer`",
        values=tuple(DISAGREEMENTS),
    ),
    SignalSpec("amounts_differ_usd", "number", "usd", "chain", "how far this agent's amount is from another's", low=0),
    SignalSpec("tools", "set", None, "tools", "names of all tool calls of the turn", True),
    SignalSpec("tools_proposed", "set", None, "tools", "names of the calls that are proposed, not yet run", True),
    SignalSpec("tools_failed", "set", None, "tools", "names of the calls that ended in an error", True),
    SignalSpec("tool_calls_count", "number", "count", "tools", "number of tool calls of the turn", True, 0),
    SignalSpec("tool_errors_count", "number", "count", "tools", "number of those that ended in an error", True, 0),
    SignalSpec("writes_proposed_count", "number", "count", "tools", "proposed calls that change something", True, 0),
    SignalSpec("output_topics", "set", None, "tools", "topics found in what the tools gave back", True),
    SignalSpec("amount_usd_max", "number", "usd", "tools", "largest amount of the turn's tool calls", True, 0),
    SignalSpec("turn_count", "number", "count", "conversation", "turns so far, this one included", low=0),
    SignalSpec("elapsed_ms", "number", "ms", "conversation", "time since the first turn", low=0),
    SignalSpec("since_last_turn_ms", "number", "ms", "conversation", "time since the turn before", low=0),
    SignalSpec("tool_errors_total", "number", "count", "conversation", "failed tool calls, this turn included", low=0),
    SignalSpec("handoffs_count", "number", "count", "conversation", "handoffs that this conversation had", low=0),
    SignalSpec("since_handoff_ms", "number", "ms", "conversation", "time since the last handoff ended", low=0),
    SignalSpec("clock.weekday", "text", None, "clock", "day of the week", values=WEEKDAYS),
    SignalSpec("clock.hour", "number", "hour", "clock", "hour of the day, 0 to 23", low=0, high=23),
    SignalSpec("clock.time", "number", "minutes", "clock", "time of the day", low=0, high=1439),
    SignalSpec("clock.date", "number", "day", "clock", "the date"),
)

# What a condition inside `tool_call` may speak of, besides `args.NAME`.
CALL_SIGNALS: dict[str, SignalSpec] = _table(
    SignalSpec("name", "text", None, "call", "name of the tool"),
    SignalSpec("write", "bool", None, "call", "the call changes something"),
    SignalSpec("amount_usd", "number", "usd", "call", "amount that the caller gave, in US dollars", low=0),
    SignalSpec("status", "text", None, "call", "how far the call is", values=("proposed", "ok", "error")),
    SignalSpec("error", "text", None, "call", "the error it ended in"),
    SignalSpec("has_error", "bool", None, "call", "it ended in an error"),
    SignalSpec("args_items_max", "number", "count", "call", "length of the longest list in its arguments", low=0),
)

# The sets of topics, and the text that each is found in.
TOPIC_SETS: dict[str, Inside] = {"topics": "message", "reply_topics": "reply", "output_topics": "tool_output"}

# What a topic may mean besides itself: the signal that it feeds.
MEANINGS: tuple[str, ...] = ("asks_for_person", "confirmed")
