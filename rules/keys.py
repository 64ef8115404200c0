"""Every key of a rule file, as tables: what may stand where, of which kind. Compiler, docs and schema read the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rules.model import PRIORITIES
from rules.signals import MEANINGS

ValueKind: TypeAlias = Literal[
    "version",
    "text",
    "texts",
    "number",
    "duration",
    "number or duration",
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
    "map",
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
TEXTS_READ: tuple[str, ...] = ("message", "reply")
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
    KeySpec("thresholds", "map", "named numbers, used as `$name`"),
    KeySpec("signals", "map", "facts that the caller sends in `signals`"),
    KeySpec("customer", "map", "facts that the caller sends in `customer`, used as `customer.NAME`"),
    KeySpec("topics", "map", "what a text can be about"),
    KeySpec("queues", "map", "where handoffs wait"),
    KeySpec("rules", "list", "conditions and what to do when they hold"),
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
    KeySpec("say", "say", "what the agent says when a rule that stops the turn has no words of its own"),
    KeySpec("meanwhile", "say", "what the agent says on later turns, until the handoff ends"),
)

# A step of a queue's ladder.
STEP_KEYS: KeyTable = _table(
    KeySpec("after", "duration", "how long after it came into the queue", required=True),
    KeySpec("needs", "needs", "skills that are enough from then on"),
    KeySpec("queues", "queues", "queues whose operators may take it too"),
    KeySpec("language", "word", "`any`: every operator's language will do", choices=("any",)),
    KeySpec("priority", "word", "its priority from then on, if that is higher", choices=PRIORITIES),
    KeySpec("page", "text", "channel to tell, as `on-call`"),
    KeySpec("skip_if", "word", "leave the step out when nobody is there to take it", choices=("nobody_available",)),
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
