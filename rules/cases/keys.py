"""Every key of a test file, as tables: what may stand where, of which kind. Reader, docs and schema read the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from rules.files.keys import TIMEOUT_VERDICTS, KeySpec, KeyTable
from rules.handoff import ACTIONS, FLAGS, KINDS, OUTCOMES, State
from rules.model import PRIORITIES, VERDICTS
from rules.text.mask import KINDS as MASK_KINDS

# What a step can do to the open handoff, instead of being a turn. `expire` is the older word for `timeout`.
MOVES: tuple[str, ...] = ("claim", "release", "transfer", "lapse", "hand_back", "resolve", "timeout", "expire")
# Moves of somebody who has the handoff; where nothing was said of a claim, they had claimed it in time.
HELD_MOVES: tuple[str, ...] = ("transfer", "lapse", "hand_back", "resolve")
TIMEOUTS: tuple[str, ...] = ("timeout", "expire")
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
    KeySpec("parent", "map", "the agent, and its turn, that handed the work over"),
    KeySpec("pressure", "map", "how full queues are then, as `{tier1: 160%}` of their budgets"),
)

# What is expected of a turn, and after the `say` of it also of a move of the handoff.
_SAY_KEYS: tuple[KeySpec, ...] = (
    KeySpec("say", "text", "what the agent says, word by word"),
    KeySpec("say_includes", "texts", "words that stand in it, perhaps among others"),
)
_HANDOFF_KEYS: tuple[KeySpec, ...] = (
    KeySpec("on_timeout", "word", "what is promised when nobody comes by the deadline", choices=TIMEOUT_VERDICTS),
    KeySpec("deadline", "duration", "how long it is until that deadline"),
    KeySpec("handoff", "map", "the handoff as it stands then; `none` when none is open"),
    KeySpec("packet", "map", "what an operator reads who takes the handoff at that moment"),
)

EXPECT_KEYS: KeyTable = _table(
    KeySpec("verdict", "word", "the verdict of the turn", choices=VERDICTS),
    KeySpec("review", "queue", "the verdict is `review`, in that queue"),
    KeySpec("hold", "queue", "the verdict is `hold`, in that queue"),
    KeySpec("escalate", "queue", "the verdict is `escalate`, in that queue"),
    KeySpec("queue", "queue", "the queue of the first rule"),
    KeySpec("priority", "word", "the priority of the first rule", choices=PRIORITIES),
    KeySpec("must_stop", "bool", "whether the agent must keep back its draft and its proposed calls"),
    *_SAY_KEYS,
    KeySpec("reason_code", "text", "the reason code of the first rule"),
    KeySpec("rules", "texts", "exactly the live rules that fire, in any order"),
    KeySpec("rules_include", "texts", "live rules that fire, perhaps among others"),
    KeySpec("rules_exclude", "texts", "rules that do not fire"),
    KeySpec("shadow", "texts", "exactly the rules that fire without counting"),
    KeySpec("topics", "texts", "topics that the turn has, perhaps among others"),
    *_HANDOFF_KEYS,
)
MOVE_EXPECT_KEYS: KeyTable = _table(
    KeySpec("verdict", "word", "what the missed deadline leads to", choices=TIMEOUT_VERDICTS),
    KeySpec("escalate", "queue", "the missed deadline leads on to that queue"),
    *_SAY_KEYS,
    *_HANDOFF_KEYS,
)
HANDOFF_KEYS: KeyTable = _table(
    KeySpec("state", "word", "where it stands", choices=get_args(State)),
    KeySpec("kind", "word", "what it has grown to", choices=KINDS),
    KeySpec("queue", "queue", "the queue that it is in"),
    KeySpec("priority", "word", "how urgent it has become", choices=PRIORITIES),
    KeySpec("reasons", "texts", "exactly the rules that asked for it, of all turns that joined"),
    KeySpec("reasons_include", "texts", "rules that asked for it, perhaps among others"),
)
PACKET_KEYS: KeyTable = _table(
    KeySpec("why", "texts", "rules that it gives as reasons"),
    KeySpec("asked", "texts", "words of what the customer asked first or last"),
    KeySpec("transcript", "texts", "words that stand in the turns"),
    KeySpec("draft", "texts", "words of the draft, or tools of the calls, that wait for an answer"),
    KeySpec("tried", "texts", "tools that were called"),
    KeySpec("promises", "texts", "words of what the agent promised"),
    KeySpec("entities", "texts", "ids that came up"),
    KeySpec("found", "texts", "topics that were found"),
    KeySpec("chain", "texts", "agents that had the work"),
    KeySpec("masks", "words of", "kinds of personal data that were taken out", choices=tuple(MASK_KINDS)),
    KeySpec("lacks", "texts", "what stands nowhere in it, as a card number in whatever spacing"),
)

STEP_KEYS: KeyTable = _table(
    KeySpec("after", "duration", "time since the step before, 30s unless told"),
    *TURN_KEYS.values(),
    KeySpec("expect", "map", "a verdict, or what is expected in full"),
)
# A step that is no turn has one of MOVES, or `after` alone: then only the clock moves.
MOVE_KEYS: KeyTable = _table(
    KeySpec("after", "duration", "time since the step before, 30s unless told"),
    KeySpec("claim", "bool", "an operator takes the open handoff; write `true`"),
    KeySpec("release", "bool", "the operator puts it back; write `true`"),
    KeySpec("transfer", "queue", "the operator sends it on to that queue"),
    KeySpec("lapse", "bool", "the operator goes silent, and it waits again; write `true`"),
    KeySpec("hand_back", "true or map", "the operator gives the conversation back: `true`, or with what"),
    KeySpec("resolve", "true or map", "the operator answers and ends the handoff: `true`, or with what"),
    KeySpec("timeout", "bool", "nobody comes: the clock goes on to the deadline at least; write `true`"),
    KeySpec("expire", "bool", "another word for `timeout`"),
    KeySpec("expect", "map", "what the missed deadline leads to, or what is expected in full"),
)
HAND_BACK_KEYS: KeyTable = _table(
    KeySpec("facts", "map", "what the operator found out"),
    KeySpec("may_retry", "bool", "whether the agent may try the held action again"),
    KeySpec("text", "text", "what the agent should say"),
    KeySpec("outcome", "word", "whether a person was needed", choices=OUTCOMES),
    KeySpec("flags", "words of", "what was wrong with the handoff", choices=FLAGS),
)
RESOLVE_KEYS: KeyTable = _table(
    KeySpec("action", "word", "what the operator decided; `answer` unless told", choices=ACTIONS),
    KeySpec("outcome", "word", "whether a person was needed", choices=OUTCOMES),
    KeySpec("text", "text", "what the agent should say"),
    KeySpec("edited", "map", "what to send or run in place of the draft"),
    KeySpec("root_cause", "text", "why the agent could not do it alone"),
    KeySpec("flags", "words of", "what was wrong with the handoff", choices=FLAGS),
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
    KeySpec("output", "text", "what it gave back"),
)
AGENT_KEYS: KeyTable = _table(
    *(KeySpec(name, "text", f"the agent's {name}") for name in ("id", "version", "prompt_version"))
)
PARENT_KEYS: KeyTable = _table(
    KeySpec("agent", "text", "the agent that handed the work over"),
    KeySpec("conversation_id", "text", "the conversation it was in, when that was another one"),
    KeySpec("turn_id", "text", "the turn in which it did; `turn-1` is the first of the case"),
)

# The keys of the maps that stand under these keys, wherever they stand. `expect` has two: MOVE_EXPECT_KEYS in a step
# that is no turn, EXPECT_KEYS everywhere else.
TABLES: Mapping[str, KeyTable] = {
    "defaults": TURN_KEYS,
    "tool_calls": CALL_KEYS,
    "agent": AGENT_KEYS,
    "parent": PARENT_KEYS,
    "hand_back": HAND_BACK_KEYS,
    "resolve": RESOLVE_KEYS,
    "handoff": HANDOFF_KEYS,
    "packet": PACKET_KEYS,
}
