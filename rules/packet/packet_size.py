"""What leaves a ContextPacket first when it is too large, in a declared order, and the note that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rules.packet.context_packet import ContextPacket, PacketTurn, Untrusted
from rules.packet.packet_json import dumps
from rules.text.fences import fence, prefix_length, unfence

# A typical packet is 6 kB. Five times that still holds a long draft in full, and 10,000 open handoffs fit in 320 MB.
PACKET_BYTES_MAX = 32_768
TURNS_KEPT = 6  # the newest turns are the last to go: they are what the operator answers to
TURNS_KEPT_LAST = 2
TEXT_KEPT_CHARS = 1_000
TEXT_KEPT_LAST_CHARS = 300
TRIED_KEPT = 5
ENTITIES_KEPT = 8
PROMISES_KEPT = 5
STATIONS_KEPT = 4
CHECKS_KEPT = 2
DRAFT_KEPT_CHARS = 3_000
DRAFT_KEPT_LAST_CHARS = 1_000
DRAFT_CALLS_KEPT = 4
DRAFT_CUT = "task: THE DRAFT IS LONGER THAN SHOWN; do not approve it from this packet alone"
ARGS_KEPT_CHARS = 600
ARGS_KEPT_LAST_CHARS = 200
BARE_CHARS = 100
BARE_NAME_CHARS = 40

Cut = Callable[[ContextPacket], tuple[ContextPacket, str | None]]


def fit(packet: ContextPacket) -> ContextPacket:
    """Return the packet with as much cut, in the order of CUT_ORDER, as PACKET_BYTES_MAX asks for; noted in `cut`."""
    for cut in CUT_ORDER.values():
        if len(dumps(packet)) <= PACKET_BYTES_MAX:
            return packet
        smaller, note = cut(packet)
        if note is not None:
            notes = packet.cut if note in packet.cut else (*packet.cut, note)
            packet = replace(smaller, cut=notes)
    return packet


def _tried_args(packet: ContextPacket) -> tuple[ContextPacket, str | None]:
    older, newest = packet.tried[:-TRIED_KEPT], packet.tried[-TRIED_KEPT:]
    if not any(call.args for call in older):
        return packet, None
    bare = tuple(replace(call, args=None) for call in older)
    return replace(packet, tried=(*bare, *newest)), f"tried: arguments of the {len(older)} oldest calls"


def _oldest_turns(keep: int) -> Cut:
    def cut(packet: ContextPacket) -> tuple[ContextPacket, str | None]:
        """Leave out just as many of the oldest turns as are needed, and keep the newest whatever they weigh."""
        over = len(dumps(packet)) - PACKET_BYTES_MAX
        gone = 0
        while over > 0 and len(packet.transcript) - gone > keep:
            over -= len(dumps(replace(packet, transcript=packet.transcript[gone : gone + 1]))) - len(
                dumps(replace(packet, transcript=()))
            )
            gone += 1
        if not gone:
            return packet, None
        smaller = _hide_found(replace(packet, transcript=packet.transcript[gone:]))
        return smaller, f"transcript: {gone} of the oldest turns"

    return cut


def _long_texts(chars: int) -> Cut:
    def cut(packet: ContextPacket) -> tuple[ContextPacket, str | None]:
        turns = tuple(
            replace(turn, message=shortened(turn.message, chars), reply=shortened(turn.reply, chars))
            for turn in packet.transcript
        )
        if turns == packet.transcript:
            return packet, None
        smaller = _hide_found(replace(packet, transcript=turns))
        return smaller, f"transcript: what a text has beyond {chars} characters"

    return cut


def _tried_calls(packet: ContextPacket) -> tuple[ContextPacket, str | None]:
    gone = len(packet.tried) - TRIED_KEPT
    if gone <= 0:
        return packet, None
    kept = tuple(replace(call, args=shortened(call.args, ARGS_KEPT_CHARS)) for call in packet.tried[-TRIED_KEPT:])
    return replace(packet, tried=kept), f"tried: the {gone} oldest calls"


def _entities(packet: ContextPacket) -> tuple[ContextPacket, str | None]:
    gone = len(packet.entities) - ENTITIES_KEPT
    if gone <= 0:
        return packet, None
    return replace(packet, entities=packet.entities[-ENTITIES_KEPT:]), f"entities: the {gone} that came up longest ago"


def _promises(packet: ContextPacket) -> tuple[ContextPacket, str | None]:
    gone = len(packet.promises) - PROMISES_KEPT
    if gone <= 0:
        return packet, None
    return replace(packet, promises=packet.promises[-PROMISES_KEPT:]), f"promises: the {gone} oldest"


def _chain(packet: ContextPacket) -> tuple[ContextPacket, str | None]:
    chain = packet.chain
    if chain is None or (len(chain.stations) <= STATIONS_KEPT and not chain.odd):
        return packet, None
    broke_at = None if chain.broke is None else chain.broke.station
    newest = chain.stations[-STATIONS_KEPT:]
    kept = tuple(each for each in chain.stations if each in newest or each.place == broke_at)
    broke = chain.broke and replace(chain.broke, path=chain.broke.path[-STATIONS_KEPT:])
    short = replace(chain, stations=kept, broke=broke, disagreements=chain.disagreements[-1:], odd=())
    return replace(packet, chain=short), f"chain: all but the {STATIONS_KEPT} newest agents and the one it broke at"


def _checks(packet: ContextPacket) -> tuple[ContextPacket, str | None]:
    why = tuple(
        replace(item, rules=tuple(replace(rule, checks=rule.checks[:CHECKS_KEPT]) for rule in item.rules))
        for item in packet.why
    )
    found = packet.found[-CHECKS_KEPT:]
    if why == packet.why and found == packet.found:
        return packet, None
    return replace(packet, why=why, found=found), f"why: checks beyond the first {CHECKS_KEPT} of a rule"


def _draft(chars: int, args_chars: int) -> Cut:
    def cut(packet: ContextPacket) -> tuple[ContextPacket, str | None]:
        draft = packet.task.draft
        if draft is None:
            return packet, None
        calls = tuple(replace(c, args=shortened(c.args, args_chars)) for c in draft.tool_calls[:DRAFT_CALLS_KEPT])
        short = replace(draft, reply=shortened(draft.reply, chars), tool_calls=calls)
        if short == draft:
            return packet, None
        return replace(packet, task=replace(packet.task, draft=short)), DRAFT_CUT

    return cut


def _bare(packet: ContextPacket) -> tuple[ContextPacket, str | None]:
    """Keep names and beginnings. Only a packet of many long texts in a script of four bytes a letter gets here."""
    asked = replace(
        packet.asked, first=shortened(packet.asked.first, BARE_CHARS), last=shortened(packet.asked.last, BARE_CHARS)
    )
    tried = tuple(replace(call, name=call.name[:BARE_NAME_CHARS], args=None, error=None) for call in packet.tried)
    made = tuple(replace(item, sentence=_short(item.sentence)) for item in packet.promises)
    whys = tuple(
        replace(item, rules=tuple(replace(r, why=r.why[:BARE_CHARS], checks=()) for r in item.rules[:CHECKS_KEPT]))
        for item in packet.why[-CHECKS_KEPT:]
    )
    turns = tuple(replace(turn, calls=()) for turn in packet.transcript)
    chain = packet.chain and replace(packet.chain, stations=(), disagreements=(), odd=())
    smaller = replace(packet, asked=asked, tried=tried, promises=made, why=whys, transcript=turns, chain=chain)
    return smaller, "asked, tried, promises, why, chain: all but names and beginnings"


def _short(text: Untrusted) -> Untrusted:
    return shortened(text, BARE_CHARS) or text


# What goes first, and why so: what the operator can do without, before what they would have to ask for again.
CUT_ORDER: dict[str, Cut] = {
    "arguments of old calls": _tried_args,
    "old turns": _oldest_turns(TURNS_KEPT),
    "long texts": _long_texts(TEXT_KEPT_CHARS),
    "old calls": _tried_calls,
    "old ids": _entities,
    "old promises": _promises,
    "most of the chain": _chain,
    "further checks": _checks,
    "all turns but the last": _oldest_turns(TURNS_KEPT_LAST),
    "all but the start of texts": _long_texts(TEXT_KEPT_LAST_CHARS),
    "the end of a long draft": _draft(DRAFT_KEPT_CHARS, ARGS_KEPT_CHARS),
    "all but names": _bare,
    "all but the start of the draft": _draft(DRAFT_KEPT_LAST_CHARS, ARGS_KEPT_LAST_CHARS),
}


def shortened(text: Untrusted | None, chars: int) -> Untrusted | None:
    """Return the text cut to a number of characters, still fenced, with the masks that are left."""
    if text is None:
        return None
    inner = unfence(text.text)
    if len(inner) <= chars:
        return text
    limit = prefix_length(text.author) + chars - 1
    masks = tuple(mask for mask in text.masks if mask.end <= limit)
    return Untrusted(text.author, fence(inner[: chars - 1] + "…", text.author), masks)


def _hide_found(packet: ContextPacket) -> ContextPacket:
    """Take back offsets into texts that the packet no longer shows that far."""
    shown = {(turn.turn_id, inside): text for turn in packet.transcript for inside, text in _texts(turn)}
    found = tuple(
        item
        if item.end is not None
        and (text := shown.get((item.turn_id, item.inside))) is not None
        and item.end <= prefix_length(text.author) + len(unfence(text.text)) - 1
        else replace(item, start=None, end=None)
        for item in packet.found
    )
    return replace(packet, found=found)


def _texts(turn: PacketTurn) -> tuple[tuple[str, Untrusted | None], ...]:
    return ("message", turn.message), ("reply", turn.reply)
