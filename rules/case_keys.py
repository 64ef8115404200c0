"""Every key of a test file, as tables: what may stand where, of which kind. Reader and docs read the same."""

from __future__ import annotations

from rules.keys import KeySpec, KeyTable
from rules.model import PRIORITIES, VERDICTS

# How a handoff ends in a test: an operator gives the conversation back or resolves it, or nobody came in time.
ENDS: tuple[str, ...] = ("hand_back", "resolve", "expire")
_STATUSES: tuple[str, ...] = ("proposed", "ok", "error")


def _table(*rows: KeySpec) -> dict[str, KeySpec]:
    return {row.name: row for row in rows}


FILE_KEYS: KeyTable = _table(
    KeySpec("handrail_tests", "version", "version of the format, always 1", required=True),
    KeySpec("defaults", "map", "fields that every turn of the file has unless it says otherwise"),
    KeySpec("cases", "list", "the conversations", required=True),
)

TURN_KEYS: KeyTable = _table(
    KeySpec("message", "text", "what the customer writes"),
    KeySpec("reply", "text", "what the agent drafts"),
    KeySpec("confidence", "number", "how sure the agent says it is"),
    KeySpec("sentiment", "number", "how the customer feels, from -1 to 1"),
    KeySpec("topics", "texts", "topics that the caller found itself"),
    KeySpec("tool_calls", "list", "calls of tools, proposed or done"),
    KeySpec("sources", "texts", "what the draft rests on"),
    KeySpec("signals", "map", "signals that the rule files declare"),
    KeySpec("channel", "text", "where the conversation takes place"),
    KeySpec("locale", "text", "the customer's locale"),
    KeySpec("customer", "map", "id, tier and what the rule files declare under `customer:`"),
    KeySpec("agent", "map", "id, version and prompt_version"),
    KeySpec("parent", "map", "agent and conversation_id that the conversation came from"),
)

EXPECT_KEYS: KeyTable = _table(
    KeySpec("verdict", "word", "the verdict of the turn", choices=VERDICTS),
    KeySpec("review", "queue", "the verdict is `review`, in that queue"),
    KeySpec("hold", "queue", "the verdict is `hold`, in that queue"),
    KeySpec("escalate", "queue", "the verdict is `escalate`, in that queue"),
    KeySpec("queue", "queue", "the queue of the first rule"),
    KeySpec("priority", "word", "the priority of the first rule", choices=PRIORITIES),
    KeySpec("say", "text", "what the agent says, word by word"),
    KeySpec("reason_code", "text", "the reason code of the first rule"),
    KeySpec("rules", "texts", "exactly the live rules that fire, in any order"),
    KeySpec("rules_include", "texts", "live rules that fire, perhaps among others"),
    KeySpec("rules_exclude", "texts", "rules that do not fire"),
    KeySpec("shadow", "texts", "exactly the rules that fire without counting"),
    KeySpec("topics", "texts", "topics that the turn has, perhaps among others"),
)

STEP_KEYS: KeyTable = _table(
    KeySpec("after", "duration", "time since the step before, 30s unless told"),
    *TURN_KEYS.values(),
    KeySpec("expect", "map", "a verdict, or what is expected in full"),
)
END_KEYS: KeyTable = _table(
    KeySpec("after", "duration", "time since the step before, 30s unless told"),
    *(KeySpec(end, "bool", "the open handoff ends in this way; write `true`") for end in ENDS),
)
CASE_KEYS: KeyTable = _table(
    KeySpec("name", "text", "the sentence that the case proves", required=True),
    KeySpec("at", "text", "when the first turn comes, as `2026-03-02T09:00Z`"),
    KeySpec("conversation", "text", "the conversation's id, which decides a rollout"),
    KeySpec("turns", "list", "the conversation, when it has more than one turn"),
    *TURN_KEYS.values(),
    KeySpec("expect", "map", "what is expected of the only turn"),
)
CALL_KEYS: KeyTable = _table(
    KeySpec("name", "text", "name of the tool", required=True),
    KeySpec("args", "map", "its arguments"),
    KeySpec("write", "bool", "the call changes something"),
    KeySpec("amount", "number", "amount in US dollars"),
    KeySpec("status", "word", "how far the call is; proposed unless told", choices=_STATUSES),
    KeySpec("error", "text", "the error it ended in"),
)
AGENT_KEYS: KeyTable = _table(
    *(KeySpec(name, "text", f"the agent's {name}") for name in ("id", "version", "prompt_version"))
)
PARENT_KEYS: KeyTable = _table(
    *(KeySpec(name, "text", f"the parent's {name}") for name in ("agent", "conversation_id"))
)
