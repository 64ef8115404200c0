"""Values to what Redis keeps, and back: JSON for values, flat fields for a handoff. Nothing is read or written here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from typing import Any, cast, overload

import orjson

from rules.decision import Check, Decision, Evidence, FiredRule
from rules.handoff import (
    NO_DEADLINE_AT_MS,
    Assignment,
    Call,
    Handoff,
    HumanStretch,
    Kind,
    Reason,
    Reply,
    Resolution,
    State,
    group_of,
    stands_at_ms,
    wanted,
)
from rules.marks import GROUPED_BEHIND_MS
from rules.model import OnTimeout, Priority
from rules.moves import advance_at_ms
from rules.packet.packet import TranscriptTurn
from rules.routing.route import Likeness
from rules.routing.shed import Shed
from rules.routing.waits import Circumstances, Told, Wait
from rules.turn import Scalar, ToolCall, Turn, TurnRecord, Value
from service.store.route_codec import Json, reroute_in, route_in


def dumps(value: object) -> bytes:
    """Return compact JSON: dataclasses as objects, sets as sorted lists."""
    return orjson.dumps(value, default=_plain)


def _short(value: Any) -> Json:
    """Return a dataclass as an object without what is as it always is: a handoff waits in memory with what it says."""
    fields = ((each, getattr(value, each.name)) for each in dataclass_fields(value))
    return {each.name: found for each, found in fields if found != each.default}


def _plain(value: object) -> object:
    if isinstance(value, (frozenset, set)):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def text(value: bytes | None) -> str | None:
    """Return a field as text, None when it is empty or not there: in Redis an absent value is an empty one."""
    return value.decode() if value else None


def number(value: bytes | None) -> int | None:
    """Return a field as a whole number, None when it is empty or not there."""
    return int(value) if value else None


def record_out(record: TurnRecord) -> bytes:
    """Return a record as one JSON list: fifty may be read at a turn, so the names of the fields are left out."""
    # Sets are all that JSON cannot carry.
    return orjson.dumps([record.turn_id, record.at_ms, record.turn_index, record.values], default=sorted)


def record_index(raw: bytes) -> int | None:
    """Return the `turn_index` of a kept record."""
    index: int | None = orjson.loads(raw)[2]
    return index


def records_in(raw: Sequence[bytes]) -> tuple[TurnRecord, ...]:
    """Return the records in the order in which they are kept. All are read in one parse."""
    if not raw:
        return ()
    records = []
    # An earlier version kept the sets apart, at the end.
    for turn_id, at_ms, turn_index, values, *apart in orjson.loads(b"[" + b",".join(raw) + b"]"):
        known = {**values, **apart[0]} if apart else values
        for name, value in known.items():
            if type(value) is list:
                known[name] = frozenset(value)
        records.append(TurnRecord(turn_id, at_ms, known, turn_index))
    return tuple(records)


class Records(Sequence[TurnRecord]):
    """Records as they are kept, read when somebody asks for one: at most turns no rule looks at an earlier one."""

    __slots__ = ("_raw", "_read")

    def __init__(self, raw: tuple[bytes, ...]) -> None:
        self._raw = raw
        self._read: tuple[TurnRecord, ...] | None = None

    def _all(self) -> tuple[TurnRecord, ...]:
        if self._read is None:
            self._read = records_in(self._raw)
        return self._read

    def __len__(self) -> int:
        return len(self._raw)

    @overload
    def __getitem__(self, place: int) -> TurnRecord: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[TurnRecord, ...]: ...

    def __getitem__(self, place: int | slice) -> TurnRecord | tuple[TurnRecord, ...]:
        return self._all()[place]

    def __iter__(self) -> Iterator[TurnRecord]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._raw)


def _value_in(value: Any) -> Value:
    # A set is the only value that JSON writes as a list.
    return frozenset(value) if isinstance(value, list) else cast(Value, value)


def said_out(turn: Turn, decision: Decision) -> bytes:
    """Return what an operator may need to read of a turn, as one JSON list: it is written at every turn.

    What was sent beside the texts stands at its end, so that the turn can be judged again as a test case.
    """
    calls = [(call.name, call.args, call.write, call.amount, call.status, call.error) for call in turn.tool_calls]
    said = [turn.turn_id, decision.decided_at_ms, turn.message, turn.reply, calls, decision.verdict]
    return dumps([*said, _beside(turn)])


def _beside(turn: Turn) -> Json:
    # As plain objects: JSON writes those at a third of the cost of dataclasses.
    agent, customer = turn.agent, turn.customer
    given: Json = {
        "agent": {"id": agent.id, "version": agent.version, "prompt_version": agent.prompt_version},
        "channel": turn.channel,
        "locale": turn.locale,
        "customer": {"id": customer.id, "tier": customer.tier, "attributes": customer.attributes},
        "confidence": turn.confidence,
        "sentiment": turn.sentiment,
        "topics": [{"name": topic.name, "score": topic.score} for topic in turn.topics] or None,
        "sources": turn.sources,
        "signals": turn.signals or None,
        "parent": turn.parent,
    }
    if not (agent.id or agent.version or agent.prompt_version):
        del given["agent"]
    if not (customer.id or customer.tier or customer.attributes):
        del given["customer"]
    return {name: value for name, value in given.items() if value is not None}


def said_in(raw: bytes) -> TranscriptTurn:
    """Return a kept turn as a packet takes it; one that an earlier version kept has nothing beside its texts."""
    turn_id, at_ms, message, reply, calls, verdict, *rest = orjson.loads(raw)
    beside = rest[0] if rest else None
    return TranscriptTurn(turn_id, at_ms, message, reply, tuple(ToolCall(*call) for call in calls), verdict, beside)


def decision_out(decision: Decision) -> bytes:
    """Return a Decision; its position is added by the script that knows it."""
    return dumps(decision)


def decision_in(raw: bytes) -> Decision:
    """Return the Decision of a stored answer: its position, a line end, and JSON."""
    position, _, body = raw.partition(b"\n")
    fields = orjson.loads(body)
    fields["rules"] = tuple(_fired_in(rule) for rule in fields["rules"])
    fields["on_timeout"] = _on_timeout_in(fields["on_timeout"])
    fields["position"] = number(position)
    wait = fields.get("wait")
    fields["wait"] = Wait(**wait) if wait else None
    fields["replies"] = tuple(Reply(**reply) for reply in fields.get("replies", ()))
    fields["after_human"] = _stretch_in(fields.get("after_human"))
    fields["shed"] = tuple(Shed(**shed) for shed in fields.get("shed", ()))
    return Decision(**fields)


def _stretch_in(fields: Json | None) -> HumanStretch | None:
    if fields is None:
        return None
    resolution = _resolution_in(dumps(fields["resolution"]))
    if resolution is None:
        return None
    replies = tuple(Reply(**reply) for reply in fields["replies"])
    return HumanStretch(fields["handoff_id"], fields["kind"], resolution, replies)


def _fired_in(rule: Json) -> FiredRule:
    rule["checks"] = tuple(_check_in(check) for check in rule["checks"])
    return FiredRule(**rule)


def _check_in(check: Json) -> Check:
    operand = check["operand"]
    check["operand"] = cast(tuple[Scalar, ...], tuple(operand)) if isinstance(operand, list) else operand
    check["actual"] = _value_in(check["actual"])
    check["evidence"] = tuple(Evidence(**evidence) for evidence in check["evidence"])
    return Check(**check)


def _on_timeout_in(value: Json | None) -> OnTimeout | None:
    return OnTimeout(**value) if value is not None else None


def handoff_out(handoff: Handoff) -> list[str | bytes]:
    """Return what rules decide of a handoff, as names and values in a row; the rest belongs to the scripts."""
    fields: dict[str, str | bytes] = {
        "handoff_id": handoff.handoff_id,
        "tenant": handoff.tenant,
        "conversation_id": handoff.conversation_id,
        "kind": handoff.kind,
        "opened_at_ms": str(handoff.opened_at_ms),
        "reasons": dumps([_short(reason) for reason in handoff.reasons]),
        "locale": handoff.locale or "",
        "customer_id": handoff.customer_id or "",
        "told": "" if handoff.told is None else dumps(_short(handoff.told)),
    }
    if handoff.call is not None:
        # Few were promised one, and none is ever taken back: where it stands not, it costs nothing.
        fields["call"] = dumps(_short(handoff.call))
    return [word for pair in fields.items() for word in pair] + place_out(handoff)


def place_out(handoff: Handoff) -> list[str | bytes]:
    """Return where and until when a handoff waits, as names and values in a row.

    `class` and `timer_at_ms` are what the indexes hold while it waits. A claim ends a reservation, and what is true
    from then on stands beside them, so that the script need not think: `class_freed`, `timer_freed_at_ms`, and
    `timer_held_at_ms` for as long as a person has it.
    """
    freed = replace(handoff, reserved_for=None, reserved_until_at_ms=None)
    held_at_ms, group = advance_at_ms(handoff, held=True), group_of(handoff)
    fields: dict[str, str | bytes] = {
        "queue": handoff.queue,
        "priority": handoff.priority,
        "expires_at_ms": str(handoff.expires_at_ms),
        "score_ms": str(stands_at_ms(handoff)),
        "on_timeout": dumps(_short(handoff.on_timeout)),
        "reroute": dumps(handoff.reroute) if handoff.reroute else "",
        "rerouted": "1" if handoff.rerouted else "0",
        "reserved_for": handoff.reserved_for or "",
        "reserved_until_at_ms": "" if handoff.reserved_until_at_ms is None else str(handoff.reserved_until_at_ms),
        "route": dumps(_short(handoff.route)),
        "acknowledged_by": handoff.acknowledged_by or "",
        "group": "" if group is None or group.group is None else dumps(group.group),
        "leads": group.text if group is not None and handoff.leads else "",
        "class": wanted(handoff).text,
        "class_freed": wanted(freed).text,
        "timer_at_ms": str(_timer_at_ms(handoff)),
        "timer_freed_at_ms": str(_timer_at_ms(freed)),
        "timer_held_at_ms": "" if held_at_ms is None else str(held_at_ms),
        "kept_as": handoff.route.kept_as if handoff.reserved_for else "",
        "sent_by": handoff.route.sent_by if handoff.reserved_for else "",
    }
    return [word for pair in fields.items() for word in pair]


def _timer_at_ms(handoff: Handoff) -> int:
    step_at_ms = advance_at_ms(handoff, held=False)
    return handoff.expires_at_ms if step_at_ms is None else min(step_at_ms, handoff.expires_at_ms)


def handoff_in(flat: list[bytes]) -> Handoff | None:
    """Return the handoff of HGETALL's flat answer, None when there is none."""
    if not flat:
        return None
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    get = fields.get
    leads, alike = bool(get(b"leads")), get(b"group")
    group = Likeness(**orjson.loads(alike)) if alike else None
    return Handoff(
        handoff_id=fields[b"handoff_id"].decode(),
        tenant=fields[b"tenant"].decode(),
        conversation_id=fields[b"conversation_id"].decode(),
        kind=cast(Kind, fields[b"kind"].decode()),
        state=cast(State, fields[b"state"].decode()),
        queue=fields[b"queue"].decode(),
        priority=cast(Priority, fields[b"priority"].decode()),
        opened_at_ms=int(fields[b"opened_at_ms"]),
        expires_at_ms=int(fields[b"expires_at_ms"]),
        score_ms=int(fields[b"score_ms"]) - (GROUPED_BEHIND_MS if group is not None and not leads else 0),
        on_timeout=OnTimeout(**orjson.loads(fields[b"on_timeout"])),
        reasons=tuple(_reason_in(reason) for reason in orjson.loads(fields[b"reasons"])),
        version=int(fields[b"version"]),
        locale=text(get(b"locale")),
        holder=text(get(b"holder")),
        lease_expires_at_ms=number(get(b"lease_expires_at_ms")),
        # What was a lease until somebody put it back has an end no more, and so no beginning.
        lease_began_at_ms=number(get(b"lease_began_at_ms")) if get(b"lease_expires_at_ms") else None,
        lease_version=number((get(b"token") or b"").partition(b"-")[0]),
        claimed_at_ms=number(get(b"claimed_at_ms")),
        reserved_for=text(get(b"reserved_for")),
        reserved_until_at_ms=number(get(b"reserved_until_at_ms")),
        hold_reason=text(get(b"hold_reason")),
        reroute=reroute_in(get(b"reroute")),
        rerouted=get(b"rerouted") == b"1",
        route=route_in(orjson.loads(fields[b"route"])),
        customer_id=text(get(b"customer_id")),
        assignments=tuple(Assignment(**each) for each in orjson.loads(get(b"assignments") or b"[]")),
        told=_told_in(get(b"told")),
        acknowledged_by=text(get(b"acknowledged_by")),
        answered_version=number(get(b"answered_version")) or 0,
        replies=_replies_in(get(b"replies")),
        replies_told=number(get(b"replies_told")) or 0,
        resolution=_resolution_in(get(b"resolution")),
        ended_at_ms=number(get(b"ended_at_ms")),
        group=group,
        leads=leads,
        call=_call_in(get(b"call"), int(fields[b"expires_at_ms"]), int(fields[b"opened_at_ms"])),
        call_id=text(get(b"call_id")),
    )


def _call_in(raw: bytes | None, expires_at_ms: int, opened_at_ms: int) -> Call | None:
    """Return the call that was promised; an earlier version kept it only by the deadline that is none."""
    if raw:
        return Call(**orjson.loads(raw))
    return Call(opened_at_ms) if expires_at_ms >= NO_DEADLINE_AT_MS else None


def handoff_of(fields: Json) -> Handoff:
    """Return the handoff of a JSON object that `dumps` made of one."""
    reroute = fields["reroute"]
    return Handoff(
        **{
            **fields,
            "on_timeout": OnTimeout(**fields["on_timeout"]),
            "reasons": tuple(_reason_in(reason) for reason in fields["reasons"]),
            "reroute": reroute_in(dumps(reroute)) if reroute else None,
            "route": route_in(fields["route"]),
            "assignments": tuple(Assignment(**each) for each in fields["assignments"]),
            "told": told_in(fields["told"]) if fields.get("told") else None,
            "replies": tuple(Reply(**reply) for reply in fields["replies"]),
            "resolution": _resolution_in(dumps(fields["resolution"])) if fields["resolution"] else None,
            "group": Likeness(**fields["group"]) if fields.get("group") else None,
            "call": Call(**fields["call"]) if fields.get("call") else None,
        }
    )


def _reason_in(reason: Json) -> Reason:
    reason["rule_ids"] = tuple(reason["rule_ids"])
    return Reason(**reason)


def _told_in(raw: bytes | None) -> Told | None:
    return told_in(orjson.loads(raw)) if raw else None


def told_in(fields: Json) -> Told:
    """Return what was told of a wait, as `dumps` made a JSON object of it."""
    wait = fields.get("wait")
    return Told(fields["queue"], Circumstances(**fields["circumstances"]), Wait(**wait) if wait else None)


def _replies_in(raw: bytes | None) -> tuple[Reply, ...]:
    replies = orjson.loads(raw) if raw else []
    return tuple(Reply(place, **reply) for place, reply in enumerate(replies, 1))


def _resolution_in(raw: bytes | None) -> Resolution | None:
    if not raw:
        return None
    fields = orjson.loads(raw)
    fields["flags"] = tuple(fields["flags"])
    return Resolution(**fields)
