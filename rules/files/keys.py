"""Every key of a rule file, as tables: what may stand where, of which kind. Compiler, docs and schema read the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rules.agents.descriptions import AUTONOMIES
from rules.evaluation.signal_table import MEANINGS
from rules.model import PRIORITIES
from rules.telling.notices import DAYS as DAYS
from rules.telling.notices import OCCASIONS

ValueKind: TypeAlias = Literal[
    "version",
    "text",
    "texts",
    "number",
    "duration",
    "number or duration",
    "numbers",
    "share",
    "rate",
    "count",
    "bool",
    "word",
    "words of",
    "needs",
    "queue",
    "queues",
    "say",
    "on_timeout",
    "condition",
    "conditions",
    "rollout",
    "percent",
    "topics",
    "languages",
    "amount",
    "autonomy",
    "hand-overs",
    "undescribed",
    "channel",
    "tier",
    "quiet",
    "map",
    "true or map",
    "list",
]


@dataclass(frozen=True, slots=True)
class KeySpec:
    """One key: the kind of its value, what it is for, whether it must be there; `choices` lists the known words."""

    name: str
    kind: ValueKind
    about: str
    required: bool = False
    choices: tuple[str, ...] = ()


KeyTable: TypeAlias = Mapping[str, KeySpec]

VERSION = "1"
TYPES: tuple[str, ...] = ("number", "text", "bool", "set")
TEXTS_READ: tuple[str, ...] = ("message", "reply", "tool_output")
TIMEOUT_VERDICTS: tuple[str, ...] = ("continue", "deny", "answer", "callback", "escalate")
QUEUE_LANGUAGES: tuple[str, ...] = ("any", "customer")
RULE_VERDICTS: tuple[str, ...] = ("continue", "review", "hold", "escalate")
MODES: tuple[str, ...] = ("live", "shadow")


def _table(*rows: KeySpec) -> dict[str, KeySpec]:
    return {row.name: row for row in rows}


FILE_KEYS: KeyTable = _table(
    KeySpec("handrail", "version", "version of the language, always 1", required=True),
    KeySpec("timezone", "text", "where `clock.*` is read, as `Europe/Madrid`; UTC when no file says it"),
    KeySpec(
        "approvals",
        "count",
        "how many persons must stand behind a version that is to decide; 1 when no file says it",
        choices=("1", "2"),
    ),
    KeySpec("languages", "languages", "languages that every text to say must have; those of most texts unless told"),
    KeySpec("thresholds", "map", "named numbers, used as `$name`"),
    KeySpec("signals", "map", "facts that the caller sends in `signals`"),
    KeySpec("customer", "map", "facts that the caller sends in `customer`, used as `customer.NAME`"),
    KeySpec("topics", "map", "what a text can be about"),
    KeySpec("queues", "map", "where handoffs wait"),
    KeySpec("channels", "texts", "channels that people are told on; once any is named here, no other may be"),
    KeySpec("rules", "list", "conditions and what to do when they hold"),
    KeySpec("agents", "map", "what each agent may do, and when it hands over"),
    KeySpec("undescribed_agents", "undescribed", "what comes of the turns of an agent that `agents` does not describe"),
)

THRESHOLD_KEYS: KeyTable = _table(
    KeySpec("value", "number or duration", "the number itself", required=True),
    KeySpec("min", "number or duration", "the lowest that a change may propose"),
    KeySpec("max", "number or duration", "the highest that a change may propose"),
    KeySpec("why", "text", "what the number means"),
)

SIGNAL_KEYS: KeyTable = _table(
    KeySpec("type", "word", "what the caller sends", required=True, choices=TYPES),
    KeySpec("why", "text", "what the signal means"),
)

TOPIC_KEYS: KeyTable = _table(
    KeySpec("regulated", "bool", "a law or rule asks for a person: never shed, never sampled away"),
    KeySpec("source", "text", "that law or rule; a regulated topic must name it"),
    KeySpec("phrases", "texts", "words that make a text be about it"),
    KeySpec("patterns", "texts", "regular expressions (RE2) that do"),
    KeySpec("unless", "texts", "phrases that, around a hit, take it back"),
    KeySpec("means", "word", "the signal that the topic feeds", choices=MEANINGS),
    KeySpec("inside", "words of", "which texts are read; only the message unless told", choices=TEXTS_READ),
    KeySpec("why", "text", "what the topic is for"),
)

QUEUE_KEYS: KeyTable = _table(
    KeySpec("title", "text", "the name that operators see"),
    KeySpec("answer_within", "duration", "how long a handoff may wait for a person"),
    KeySpec("on_timeout", "on_timeout", "what happens when nobody came by then"),
    KeySpec("needs", "needs", "skills that an operator must have: `[spanish]`, or with a level `{spanish: 3}`"),
    KeySpec("language", "word", "`customer`: an operator must speak the customer's language", choices=QUEUE_LANGUAGES),
    KeySpec("same_operator_for", "duration", "how long only the person who had this customer before may take it"),
    KeySpec("offer_for", "duration", "a free person is offered it, and has so long to accept; else people claim"),
    KeySpec("resolve_within", "duration", "how long it may take from its opening until it is resolved"),
    KeySpec("warn_before", "duration", "how long before either deadline those concerned are warned"),
    KeySpec("ladder", "list", "what changes while it waits, step by step"),
    KeySpec("notify", "list", "who is told of it, when, and how often until somebody comes"),
    KeySpec("budget", "map", "operator minutes that it may ask for"),
    KeySpec("flood", "map", "from how many alike on they are grouped into one"),
    KeySpec("calls", "map", "where the calls wait that are promised here, and by when each is due"),
    KeySpec("say", "say", "what the agent says when a rule that stops the turn has no words of its own"),
    KeySpec("meanwhile", "say", "what the agent says on later turns, until the handoff ends"),
)

BUDGET_KEYS: KeyTable = _table(
    KeySpec("minutes", "number", "operator minutes that there are", required=True),
    KeySpec("over", "duration", "in which time, at most a day", required=True),
    KeySpec("minutes_each", "number", "what a handoff takes, until 20 have been seen; unknown when it is not said"),
)

# Limits of one rule's handoffs in the queue; who is over one has the further ones grouped.
FLOOD_KEYS: KeyTable = _table(
    KeySpec("customer", "rate", "of one customer, as `5 in 10m`"),
    KeySpec("agent", "rate", "of one agent, as `20 in 10m`"),
    KeySpec("tenant", "rate", "of all together, as `200 in 10m`"),
)

# Of a queue or a rule: what becomes of the calls that it promises.
CALLS_KEYS: KeyTable = _table(
    KeySpec("within", "duration", "how long after the promise the call must have been made", required=True),
    KeySpec("queue", "queue", "whose people make it; where it was promised unless told"),
)

# A step of what a rule sheds.
BUSY_KEYS: KeyTable = _table(
    KeySpec("over", "share", "from which pressure on, as `150%` of the budget", required=True),
    KeySpec("thresholds", "numbers", "other numbers for thresholds of the rule, within their `min` and `max`"),
    KeySpec("then", "word", "what becomes of the rule's verdict", choices=("review", "callback")),
    KeySpec("say", "say", "what the agent says then"),
)

# A step of a queue's ladder.
STEP_KEYS: KeyTable = _table(
    KeySpec("after", "duration", "how long after it came into the queue", required=True),
    KeySpec("needs", "needs", "skills that are enough from then on"),
    KeySpec("queues", "queues", "queues whose operators may take it too"),
    KeySpec("language", "word", "`any`: every operator's language will do", choices=("any",)),
    KeySpec("priority", "word", "its priority from then on, if that is higher", choices=PRIORITIES),
    KeySpec("page", "channel", "channel to tell, as `on-call`"),
    KeySpec("skip_if", "word", "leave the step out when nobody is there to take it", choices=("nobody_available",)),
)

# A line of a queue's `notify`, what it says of the second tier, and hours in which nobody is told.
NOTICE_KEYS: KeyTable = _table(
    KeySpec("channel", "channel", "who is told, as `on-call`", required=True),
    KeySpec("on", "words of", "what of; `opened` and `returned` unless told", choices=tuple(OCCASIONS)),
    KeySpec("after", "duration", "how much later, if nobody has come by then"),
    KeySpec("repeat", "duration", "how often it is told again until somebody comes or acknowledges it"),
    KeySpec("then", "tier", "who is told as well when that did not help"),
    KeySpec("quiet", "quiet", "hours in which nobody is told, as `22:00-07:00`; what is urgent or regulated is"),
)

TIER_KEYS: KeyTable = _table(
    KeySpec("channel", "channel", "who is told, as `managers`", required=True),
    KeySpec("after", "duration", "how long after the first were told", required=True),
)

QUIET_KEYS: KeyTable = _table(
    KeySpec("hours", "text", "as `22:00-07:00`", required=True),
    KeySpec("days", "words of", "days on which they begin; every day when it is not said", choices=DAYS),
    KeySpec("timezone", "text", "where they are read, if elsewhere than the rule files"),
    KeySpec(
        "urgent", "word", "`hold`: what is urgent or regulated waits too; told unless said", choices=("tell", "hold")
    ),
)

# operators.yaml, which lies beside the rule files and is no part of their hash: people come and go.
OPERATORS_FILE_KEYS: KeyTable = _table(
    KeySpec("handrail", "version", "version of the language, always 1"),
    KeySpec("timezone", "text", "where working hours are read, as `Europe/Madrid`; UTC when it is not said"),
    KeySpec("operators", "list", "the people who take handoffs", required=True),
)

OPERATOR_KEYS: KeyTable = _table(
    KeySpec("name", "text", "that of the operator's API key", required=True),
    KeySpec("title", "text", "the name that others see"),
    KeySpec("skills", "needs", "what they can do: `[fraud]`, or with a level `{fraud: 3}`"),
    KeySpec("languages", "texts", "languages they speak, as `[en, es]`; every one when it is not said"),
    KeySpec("queues", "queues", "queues they work in; all when it is not said"),
    KeySpec("capacity", "number", "how much they can have in hand at once; no limit when it is not said"),
    KeySpec("weights", "map", "what a `review`, a `hold` and an `escalate` count against it; 1 each when not said"),
    KeySpec("hours", "list", "when they work; always when it is not said"),
    KeySpec("absences", "list", "days on which they do not"),
    KeySpec("customers", "texts", "ids of the customers they know: with `same_operator_for` they are asked first"),
    KeySpec("timezone", "text", "where their hours are read, if elsewhere than the file's"),
)

HOURS_KEYS: KeyTable = _table(
    KeySpec("days", "words of", "days of the week; every day when it is not said", choices=DAYS),
    KeySpec("from", "text", "as `09:00`", required=True),
    KeySpec("to", "text", "as `17:30`; earlier than `from` means on the next day", required=True),
)

ABSENCE_KEYS: KeyTable = _table(
    KeySpec("from", "text", "the first day, as `2026-12-24`", required=True),
    KeySpec("to", "text", "the last day; the first alone when it is not said"),
    KeySpec("why", "text", "a word on it"),
)

ON_TIMEOUT_KEYS: KeyTable = _table(
    KeySpec("verdict", "word", "what the agent may do then", required=True, choices=TIMEOUT_VERDICTS),
    KeySpec("say", "say", "what the agent says then"),
    KeySpec("queue", "queue", "where an `escalate` moves on to"),
)

RULE_KEYS: KeyTable = _table(
    KeySpec("id", "text", "the rule's name, the only one of all files", required=True),
    KeySpec("why", "text", "the reason that operators read"),
    KeySpec("when", "condition", "the condition", required=True),
    KeySpec("then", "map", "what happens when it holds", required=True),
    KeySpec("mode", "rollout", "live unless told", choices=MODES),
    KeySpec("when_busy", "list", "what is shed while its queue is over its budget"),
)

# One of RULE_VERDICTS stands among these, with the queue as its value.
THEN_KEYS: KeyTable = _table(
    KeySpec("continue", "bool", "no person is asked; the rule is counted, and its words are said"),
    KeySpec("review", "queue", "the reply goes out, a person looks afterwards"),
    KeySpec("hold", "queue", "the reply or tool call waits for a person"),
    KeySpec("escalate", "queue", "a person takes the conversation"),
    KeySpec("priority", "word", "how urgent it is; normal unless told", choices=PRIORITIES),
    KeySpec("answer_within", "duration", "a deadline other than the queue's"),
    KeySpec("on_timeout", "on_timeout", "another end than the queue's"),
    KeySpec("calls", "map", "other people or another time for a call than the queue's"),
    KeySpec("say", "say", "what the agent says"),
    KeySpec("reason_code", "text", "your own system's name for the reason, which the agent is answered with"),
)
# No person is asked, so there is nobody to wait for; what is said and counted stays.
CONTINUE_KEYS: tuple[str, ...] = ("continue", "say", "reason_code")

MODE_KEYS: KeyTable = _table(
    KeySpec("rollout", "rollout", "share of the conversations, as `10%`", required=True),
)

CONDITION_KEYS: KeyTable = _table(
    KeySpec("all", "conditions", "every part holds"),
    KeySpec("any", "conditions", "at least one part holds"),
    KeySpec("not", "condition", "the part is known not to hold"),
    KeySpec("tool_call", "condition", "one tool call of the turn meets all of it"),
)

# An agent's job description.
AGENT_KEYS: KeyTable = _table(
    KeySpec("id", "text", "what the agent sends as `agent.id`; its name here unless told"),
    KeySpec("title", "text", "the name that people use for it"),
    KeySpec("purpose", "text", "what it is for, in a sentence", required=True),
    KeySpec("owner", "text", "the person who answers for it", required=True),
    KeySpec("autonomy", "autonomy", "how much it does alone", required=True, choices=tuple(AUTONOMIES)),
    KeySpec("sample", "percent", "share of the conversations that a person looks at in `limited`; 10% unless told"),
    KeySpec("may", "map", "what it may do; what is not limited here is free"),
    KeySpec("must_not", "map", "what it may never do"),
    KeySpec("hands_over", "map", "who takes over, and when", required=True),
    KeySpec("approved_by", "queue", "where held replies and calls wait; where it hands over unless told"),
    KeySpec("reviewed_by", "queue", "where a person looks afterwards; where held things wait unless told"),
    KeySpec("targets", "map", "which figures count as success"),
    KeySpec("mode", "word", "live unless told; `shadow` tries the description without effect", choices=MODES),
)

AUTONOMY_KEYS: KeyTable = _table(
    KeySpec("default", "word", "the stage of every other version", required=True, choices=tuple(AUTONOMIES)),
    KeySpec("versions", "map", "the stage of a version, by what the agent sends as `agent.version`", required=True),
)

MAY_KEYS: KeyTable = _table(
    KeySpec("tools", "texts", "tools that it may call"),
    KeySpec("writes", "texts", "tools with which it may change something; nothing where the list is empty"),
    KeySpec("amount_usd", "amount", "the largest amount of one call"),
    KeySpec("topics", "topics", "what a message or a draft may be about"),
    KeySpec("sources", "texts", "what a draft may rest on, as the agent names it"),
    KeySpec("sources_required", "bool", "a draft must rest on a source"),
    KeySpec("languages", "languages", "the languages that it speaks, as `en`"),
    KeySpec("channels", "texts", "where it may speak"),
)

MUST_NOT_KEYS: KeyTable = _table(
    KeySpec("tools", "texts", "tools that it must never call"),
    KeySpec("topics", "topics", "what neither a message nor a draft may be about"),
)

HANDS_OVER_KEYS: KeyTable = _table(
    KeySpec("to", "queue", "the people who take over", required=True),
    KeySpec("when", "hand-overs", "each of them alone makes it hand over"),
    KeySpec("priority", "word", "how urgent that is; normal unless told", choices=PRIORITIES),
    KeySpec("say", "say", "what the agent says then; the queue's words unless told"),
)

# One item of `when`, where it is more than a condition or the id of a rule.
HAND_OVER_KEYS: KeyTable = _table(
    KeySpec("id", "text", "the end of its rule's id; its place in the list unless told"),
    KeySpec("when", "condition", "the condition", required=True),
    KeySpec("why", "text", "the reason that operators read"),
)

TARGET_KEYS: KeyTable = _table(
    KeySpec("resolution_rate", "percent", "conversations solved without a person: at least"),
    KeySpec("escalation_rate", "percent", "conversations that a person took over: at most"),
    KeySpec("csat", "number", "the customers' average score, in the scale of your outcomes: at least"),
    KeySpec("handling_time", "duration", "how long a conversation takes: at most"),
)

# One of these stands alone, with the queue as its value, or `allow` in place of the map.
UNDESCRIBED_KEYS: KeyTable = _table(
    KeySpec("review", "queue", "the reply goes out, a person looks afterwards"),
    KeySpec("hold", "queue", "every reply and every call waits for a person"),
    KeySpec("escalate", "queue", "a person takes the conversation"),
)
