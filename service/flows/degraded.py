"""What is answered while the store is away, and how it reaches the store afterwards.

Nothing is known of the conversation then. Rules that look at the turn alone judge as always; where a turn speaks of
something regulated and a rule on it would have needed the conversation, a person is asked for: it fails closed.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import structlog

from rules.decision import Decision, FiredRule
from rules.evaluation.evaluate import Evaluation, Ruleset, is_live
from rules.evaluation.signal_table import SIGNALS
from rules.handoff import KINDS, Handoff
from rules.model import PRIORITIES, Aggregate, CallMatch, Compare, Condition, FloodLimit, Not, Rule
from rules.routing.floods import Guard
from rules.routing.route import Likeness
from rules.routing.routing import join
from rules.thinking import Event, Names, judge_sparing, think
from rules.turn import AgentRef, Conversation, Parent, ToolCall, Turn
from service.errors import HandoffUnknown, StoreAway
from service.flows.spool import Spool
from service.store import codec, conversations, decisions, handoffs, keys
from service.store.conversations import Loaded
from service.store.decisions import Change, Moved
from service.store.keys import Place
from service.store.store import Store

DELIVER_TRIES_MAX = 8  # the conversation may be busy at that moment
DRAIN_MAX = 500  # delivered in one call; the caller comes again
# Partitions that a call finds away, seconds each where a server hangs; past that it leaves the others for the next one.
DRAIN_AWAY_MAX = 8
# Signals that are read from the conversation are of these groups, and these two compare with earlier turns.
HISTORY_GROUPS = frozenset({"conversation", "chain"})
HISTORY_SIGNALS = frozenset({"message_repeats", "reply_repeats"})

log = structlog.get_logger("handrail.spool")


async def answer_alone(spool: Spool, ruleset: Ruleset, names: Names, turn: Turn, now_ms: int) -> tuple[Change, bool]:
    """Return what the rules make of the turn alone, kept in the spool, and whether its Decision stood there before.

    Raises StoreAway when the spool cannot keep it.
    """
    told = think_alone(ruleset, names, turn, now_ms)
    body = spooled(told, names.tenant)
    standing = await asyncio.to_thread(
        spool.keep, told.decision.decision_id, body, must=told.decision.handoff_id is not None
    )
    return (told, False) if standing == body else (replace(told, decision=told_in(standing)), True)


def think_alone(ruleset: Ruleset, names: Names, turn: Turn, now_ms: int) -> Change:
    """Return what the turn would change, judged without its conversation."""
    judged = judge_sparing(ruleset, turn, Conversation(turn.conversation_id), now_ms)
    closed = _fails_closed(ruleset, turn, judged.evaluation)
    if closed is not None and judged.verdict != "escalate":
        fired = (FiredRule(closed.id, closed.why, "escalate", ()), *judged.fired)
        judged = replace(judged, fired=fired, asking=closed, verdict="escalate")
    return think(ruleset, names, turn, replace(judged, degraded=True), None, now_ms)


def _fails_closed(ruleset: Ruleset, turn: Turn, evaluation: Evaluation) -> Rule | None:
    """Return the first live rule on something regulated that cannot be judged now, if the turn speaks of any such."""
    named = {hit.topic for hit in evaluation.evidence} | {topic.name for topic in turn.topics}
    topics = ruleset.files.topics
    if not any(topics[name].regulated for name in named if name in topics):
        return None
    for rule in ruleset.files.rules:
        asks = rule.regulated and rule.then.queue is not None and rule.then.verdict != "continue"
        if asks and is_live(rule, turn.conversation_id) and _needs_history(rule.when):
            return replace(rule, then=replace(rule.then, verdict="escalate"))
    return None


def _needs_history(condition: Condition) -> bool:
    """Return whether a condition looks at more than the turn."""
    if isinstance(condition, Compare):
        left = condition.left
        if isinstance(left, Aggregate):
            return True
        return left in HISTORY_SIGNALS or (left in SIGNALS and SIGNALS[left].group in HISTORY_GROUPS)
    if isinstance(condition, Not):
        return _needs_history(condition.part)
    return not isinstance(condition, CallMatch) and any(_needs_history(part) for part in condition.parts)


def told_in(body: bytes) -> Decision:
    """Return the Decision of a spooled body."""
    return codec.decision_in(b"\n" + orjson.dumps(orjson.loads(body)["decision"]))


async def drain(store: Store, spool: Spool) -> int:
    """Deliver what the spool holds, oldest first, and return how many were delivered. Safe to repeat, and to race.

    What belongs to a shard that is away stays, and keeps back nothing of the others. Raises StoreAway when nothing can
    be delivered for that reason.
    """
    delivered, away = 0, dict[int | None, StoreAway]()
    for path in await asyncio.to_thread(spool.held):
        # By the number alone, so that thousands need not be read again each second for nothing. Another tenant's
        # partition of that number, on a shard that is there, waits with it.
        partition = keys.partition_in(keys.DECISION_ID, path.stem, store.partitions)
        if partition in away:
            continue
        try:
            told, tenant = unspooled(await asyncio.to_thread(path.read_bytes))
        except FileNotFoundError:
            continue  # another process has delivered it
        except (ValueError, KeyError, TypeError):
            log.error("spooled_decision_unreadable", decision_id=path.stem)
            spool.set_aside(path)
            continue
        try:
            if not await _deliver(store, tenant, told):
                continue
        except StoreAway as error:
            away[partition] = error
            if len(away) == DRAIN_AWAY_MAX:
                break
            continue
        # Only now: whoever asks in between is answered from the file.
        path.unlink(missing_ok=True)
        delivered += 1
        if delivered == DRAIN_MAX:
            break
    if away and not delivered:
        raise next(iter(away.values()))
    return delivered


async def _deliver(store: Store, tenant: str, told: Change) -> bool:
    """Write a told decision as if the store had been there, in whatever state the conversation is now.

    Return False when the conversation was too busy for it; it stays, and is tried again with the next ones.
    """
    place = store.place_of(tenant, told.turn.conversation_id)
    await store.know(tenant)
    for _ in range(DELIVER_TRIES_MAX):
        # The conversation as it is: a decision that was written, but whose answer got lost, gives way to the told one.
        loaded = await conversations.load(store, place, told.turn.conversation_id, "")
        if isinstance(loaded, Decision):
            return True
        fitted = await _fitted(store, place, loaded, told)
        if not isinstance(await decisions.commit(store, place, loaded, fitted, "handrail", told=True), Moved):
            return True
    return False


async def _fitted(store: Store, place: Place, loaded: Loaded, told: Change) -> Change:
    """Return the change as the handoff that its turn has had already, or the conversation's present one, lets it be."""
    asked = told.handoff
    if asked is None:
        return told
    current = await handoffs.find(store, place, loaded.open_handoff_id) if loaded.open_handoff_id else None
    handled = await _handled(store, place, told, asked)
    met = handled or current
    if met is None:
        return told
    if met.handoff_id != asked.handoff_id:
        # Its id was told already, and must lead somewhere.
        await handoffs.point(store, place, asked.handoff_id, met.handoff_id)
    if (
        current is None
        or met.handoff_id != current.handoff_id
        or (handled is not None and _asks_no_more(asked, current))
    ):
        return replace(told, handoff=None, event=None, guards=())
    return replace(told, before=current, handoff=join(current, asked), event="handoff.joined", guards=())


def _asks_no_more(asked: Handoff, current: Handoff) -> bool:
    """Return whether a turn that has led to the handoff already would change nothing: nobody is told that it joined."""
    return PRIORITIES.index(asked.priority) <= PRIORITIES.index(current.priority)


async def _handled(store: Store, place: Place, told: Change, asked: Handoff) -> Handoff | None:
    """Return the handoff that this very turn has led to before, None where there was none, or one that is too weak.

    A server that hangs does in the end what it was asked: a handoff that nobody was told of may be claimed, and even
    resolved, before the told one comes. Nobody is asked twice for one turn; but whoever looked at a draft has not
    spoken to the customer, who was promised a person.
    """
    written = await decisions.get(store, place, told.decision.decision_id)
    if written is None or written.handoff_id is None:
        return None
    try:
        found = await handoffs.get(store, place.tenant, written.handoff_id)
    except HandoffUnknown:
        return None
    return found if KINDS.index(found.kind) >= KINDS.index(asked.kind) else None


def spooled(told: Change, tenant: str) -> bytes:
    """Return a change as it is kept on disk."""
    turn = told.turn
    return codec.dumps(
        {
            "tenant": tenant,
            "turn": {
                "conversation_id": turn.conversation_id,
                "turn_id": turn.turn_id,
                "turn_index": turn.turn_index,
                "message": turn.message,
                "reply": turn.reply,
                "agent": turn.agent,
                "parent": turn.parent,
                # What a tool gave back is read once and kept nowhere, not even here.
                "tool_calls": [replace(call, output=None) for call in turn.tool_calls],
            },
            "decision": told.decision,
            "record": orjson.loads(codec.record_out(told.record)),
            "handoff": told.handoff,
            "guards": told.guards,
        }
    )


def unspooled(body: bytes) -> tuple[Change, str]:
    """Return a change from disk, and its tenant; raises ValueError, KeyError or TypeError on what is none."""
    kept = orjson.loads(body)
    calls = tuple(ToolCall(**call) for call in kept["turn"].pop("tool_calls"))
    # What an earlier version kept has no agent and no parent.
    agent, parent = kept["turn"].pop("agent", None), kept["turn"].pop("parent", None)
    turn = Turn(
        **kept["turn"],
        tool_calls=calls,
        agent=AgentRef(**agent) if agent else AgentRef(),
        parent=Parent(**parent) if parent else None,
    )
    (record,) = codec.records_in([orjson.dumps(kept["record"])])
    handoff: Handoff | None = codec.handoff_of(kept["handoff"]) if kept["handoff"] else None
    guards = tuple(Guard(FloodLimit(**guard["limit"]), Likeness(**guard["group"])) for guard in kept.get("guards", ()))
    event: Event | None = "handoff.opened" if handoff else None
    change_kept = Change(turn, told_in(body), record, None, handoff, event, guards=guards)
    return change_kept, kept["tenant"]
