"""A handoff, its decisions and its transcript to the ContextPacket an operator reads. Pure: nothing is fetched here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from itertools import islice

from rules.decision import Decision, Evidence, Inside
from rules.handoff import Call, Handoff, deadline, draft_turn_id
from rules.marks import is_drill
from rules.model import STOPPING
from rules.packet.context_packet import PACKET_VERSION as PACKET_VERSION
from rules.packet.context_packet import (
    Asked,
    Draft,
    DraftCall,
    Found,
    NamedId,
    PacketTurn,
    Promised,
    Task,
    Tried,
    Untrusted,
    Why,
    WhyCheck,
    WhyRule,
)
from rules.packet.context_packet import ContextPacket as ContextPacket
from rules.packet.context_packet import TranscriptTurn as TranscriptTurn
from rules.packet.packet_chain import packet_chain
from rules.packet.packet_json import PacketInvalid as PacketInvalid
from rules.packet.packet_json import dumps as dumps
from rules.packet.packet_json import from_json as from_json
from rules.packet.packet_json import loads as loads
from rules.packet.packet_json import to_json as to_json
from rules.packet.packet_lint import lint as lint
from rules.packet.packet_size import PACKET_BYTES_MAX as PACKET_BYTES_MAX
from rules.packet.packet_size import fit
from rules.tasks import CALL_BESIDES, TASKS, task_of
from rules.text import entities, promises
from rules.text.fences import NOTICE, Author, fence, neutralise, prefix_length
from rules.text.mask import Mask, Masked, mask
from rules.turn import ToolCall

# What enters a packet at all; packet_size cuts further where even this is too much.
TURNS_MAX = 30  # two screens of conversation; who needs more opens the archive
TRIED_MAX = 30
PROMISES_MAX = 20
ENTITIES_MAX = entities.ENTITIES_MAX
FOUND_MAX = 20
WHYS_MAX = 8  # the turn that opened the handoff and the newest that joined
CHECKS_MAX = 6  # a rule
RULES_MAX = 8  # a turn
NAME_CHARS_MAX = 128  # of a tool, a rule, a queue: what the service takes
OWN_CHARS_MAX = 300  # of a rule's `why`, a check, a name: ours or the rule author's, but still bounded
TEXT_CHARS_MAX = 8_000  # of one message or reply; the held draft alone gets DRAFT_CHARS_MAX
DRAFT_CHARS_MAX = 16_000
ARGS_CHARS_MAX = 2_000
ERROR_CHARS_MAX = 400
ASKED_CHARS_MAX = 500
# Of all texts, newest first, so much is masked and searched for promises and ids; of each text behind that only the
# beginning. A packet holds a sixth of it: where the newest six turns are longer, the older ones are cut in any case.
READ_CHARS_MAX = 200_000
READ_BEYOND_CHARS_MAX = 2_000
MASKS_MAX = 100  # told of one text: what is masked is masked, but the places of a page of addresses weigh more than it
EXCERPT_CHARS_MAX = 120  # of the words a topic was found in; the phrases of a rule file are a fraction of that
EXCERPT_CONTEXT_CHARS = 200  # on either side: further than a pattern of rules.mask looks, and longer than what it finds

# Whose words a text of a turn is.
AUTHORS_INSIDE: dict[Inside, Author] = {"message": "customer", "reply": "agent"}


def build(
    handoff: Handoff, decisions: Sequence[Decision], transcript: Sequence[TranscriptTurn], now_ms: int
) -> ContextPacket:
    """Return the packet of a handoff, at most PACKET_BYTES_MAX as JSON.

    `decisions` are those behind the handoff's reasons, as many as are at hand; `transcript` is oldest first and may
    reach back before the handoff.
    """
    # Each text is masked once. What is remembered for that ends with this packet.
    masking = cache(mask)
    read = _readable(transcript)
    shown = tuple(_turn(turn, masking) for turn in read[-TURNS_MAX:])
    packet = ContextPacket(
        version=PACKET_VERSION,
        notice=NOTICE,
        handoff_id=handoff.handoff_id,
        conversation_id=handoff.conversation_id,
        queue=handoff.queue,
        priority=handoff.priority,
        locale=handoff.locale,
        opened_at_ms=handoff.opened_at_ms,
        built_at_ms=now_ms,
        task=_task(handoff, transcript),
        why=_whys(handoff, decisions),
        asked=_asked(transcript),
        transcript=shown,
        tried=_tried(transcript),
        promises=_promised(read),
        entities=_named_ids(read, masking),
        found=_found(decisions, transcript, list(zip(read[-TURNS_MAX:], shown, strict=True)), masking),
        cut=(f"transcript: the {len(transcript) - TURNS_MAX} oldest turns",) if len(transcript) > TURNS_MAX else (),
        drill=is_drill(handoff.conversation_id),
        chain=packet_chain(handoff, transcript),
    )
    return fit(packet)


def _readable(transcript: Sequence[TranscriptTurn]) -> tuple[TranscriptTurn, ...]:
    """Return the turns with as much of their texts as is read for a packet: READ_CHARS_MAX in all, and beginnings."""
    left, turns = READ_CHARS_MAX, []
    for turn in reversed(transcript):
        message, reply = (text and text[: max(left, READ_BEYOND_CHARS_MAX)] for text in (turn.message, turn.reply))
        left -= sum(min(len(text), TEXT_CHARS_MAX * 2) for text in (message, reply) if text)
        turns.append(
            turn if (message, reply) == (turn.message, turn.reply) else replace(turn, message=message, reply=reply)
        )
    return tuple(reversed(turns))


def untrusted(
    text: str | None, author: Author, chars_max: int, masking: Callable[[str], Masked] = mask
) -> Untrusted | None:
    """Return the text masked, cut to a length, neutralised and fenced; None where there is none."""
    if not text:
        return None
    masked = masking(text[: chars_max * 2])
    return _fenced(masked, 0, len(masked.text), author, chars_max)


def _fenced(masked: Masked, start: int, end: int, author: Author, chars_max: int) -> Untrusted:
    """Return a span of a masked text, cut to a length and fenced, with the masks that are whole in it."""
    body = masked.text[start:end]
    if len(body) > chars_max:
        body = body[: chars_max - 1] + "…"
        end = start + chars_max - 1
    shift = prefix_length(author) - start
    within = ((found.kind, at, to) for found, at, to in masked.placed() if start <= at and to <= end)
    places = (Mask(kind, at + shift, to + shift) for kind, at, to in islice(within, MASKS_MAX))
    return Untrusted(author, fence(body, author), tuple(places))


def _task(handoff: Handoff, transcript: Sequence[TranscriptTurn]) -> Task:
    draft = _draft(handoff, transcript)
    name = task_of(handoff)
    # Nobody lets out what they cannot read.
    asks = TASKS["escalate" if name == "draft" and draft is None else name]
    sentence = asks.sentence
    if handoff.call is not None:
        promised = _promise(handoff.call)
        sentence = (
            sentence.format(promised=promised) if name == "call" else sentence + CALL_BESIDES.format(promised=promised)
        )
    return Task(
        kind=handoff.kind,
        sentence=sentence,
        actions=asks.actions,
        answer_by_ms=deadline(handoff.expires_at_ms),
        on_timeout=handoff.on_timeout.verdict,
        draft=draft,
    )


def _promise(call: Call) -> str:
    words = f' with the words "{_own(call.say)}"' if call.say else ""
    due = "" if call.due_at_ms is None else f", due by {_moment(call.due_at_ms)}"
    return f"at {_moment(call.promised_at_ms)}{words}{due}"


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _draft(handoff: Handoff, transcript: Sequence[TranscriptTurn]) -> Draft | None:
    """Return what was held back in the newest stopped turn behind the handoff."""
    # An older draft in its place would be approved for the one that is meant.
    stopped = draft_turn_id(handoff)
    turn = next((turn for turn in transcript if turn.turn_id == stopped), None)
    if turn is None or handoff.kind == "review":
        return None
    calls = tuple(
        DraftCall(_name(call.name), _args(call), call.write, call.amount)
        for call in turn.tool_calls
        if call.status == "proposed"
    )
    if not turn.reply and not calls:
        return None
    return Draft(turn.turn_id, untrusted(turn.reply, "agent", DRAFT_CHARS_MAX), calls)


def _whys(handoff: Handoff, decisions: Sequence[Decision]) -> tuple[Why, ...]:
    """Return one Why a reason, with the checks where the decision is at hand and the rules' names where it is not."""
    known = {decision.decision_id: decision for decision in decisions}
    reasons = (
        handoff.reasons if len(handoff.reasons) <= WHYS_MAX else (handoff.reasons[0], *handoff.reasons[1 - WHYS_MAX :])
    )
    whys = []
    for reason in reasons:
        decision = known.get(reason.decision_id)
        if decision is None:
            rules = tuple(WhyRule(_name(rule_id), "", reason.verdict, ()) for rule_id in reason.rule_ids[:RULES_MAX])
        else:
            fired = [rule for rule in decision.rules if rule.live][:RULES_MAX]
            rules = tuple(
                WhyRule(
                    _name(rule.rule_id),
                    _own(rule.why),
                    rule.verdict,
                    tuple(WhyCheck(_own(check.text), _sentence(check.sentence)) for check in rule.checks[:CHECKS_MAX]),
                )
                for rule in fired
            )
        whys.append(Why(reason.decision_id, reason.turn_id, reason.verdict, rules))
    return tuple(whys)


def _asked(transcript: Sequence[TranscriptTurn]) -> Asked:
    messages = [turn.message for turn in transcript if turn.message]
    first, last = (messages[0], messages[-1]) if messages else (None, None)
    return Asked(untrusted(first, "customer", ASKED_CHARS_MAX), untrusted(last, "customer", ASKED_CHARS_MAX))


def _turn(turn: TranscriptTurn, masking: Callable[[str], Masked]) -> PacketTurn:
    return PacketTurn(
        turn_id=turn.turn_id,
        at_ms=turn.at_ms,
        verdict=turn.verdict,
        message=untrusted(turn.message, "customer", TEXT_CHARS_MAX, masking),
        reply=untrusted(turn.reply, "agent", TEXT_CHARS_MAX, masking),
        sent=bool(turn.reply) and turn.verdict not in STOPPING,
        calls=tuple(f"{_name(call.name)}: {call.status}" for call in turn.tool_calls),
    )


def _tried(transcript: Sequence[TranscriptTurn]) -> tuple[Tried, ...]:
    tried = [
        Tried(
            turn_id=turn.turn_id,
            name=_name(call.name),
            args=_args(call),
            status=call.status,
            error=untrusted(call.error, "tool", ERROR_CHARS_MAX),
            write=call.write,
            amount_usd=call.amount,
        )
        for turn in transcript[-TURNS_MAX:]
        for call in turn.tool_calls
        if call.status != "proposed"
    ]
    return tuple(tried[-TRIED_MAX:])


def _promised(transcript: Sequence[TranscriptTurn]) -> tuple[Promised, ...]:
    made = []
    for turn in transcript:
        reply = (turn.reply or "")[: TEXT_CHARS_MAX * 2]
        for promise in promises.find(reply):
            sentence = untrusted(reply[promise.start : promise.end], "agent", promises.SENTENCE_CHARS_MAX)
            if sentence is not None:
                sent = turn.verdict not in STOPPING
                made.append(Promised(turn.turn_id, promise.kind, sentence, sent, promise.conditional))
    return tuple(made[-PROMISES_MAX:])


def _named_ids(transcript: Sequence[TranscriptTurn], masking: Callable[[str], Masked]) -> tuple[NamedId, ...]:
    """Return the ids of all turns, those that came up last at the end; an id keeps the best name any turn gave it."""
    kept: dict[str, tuple[str, Author, str]] = {}
    for turn in transcript:
        for author, entity in _entities_of(turn, masking):
            kind, first_author, _ = kept.pop(entity.value, ("id", author, ""))
            kept[entity.value] = (entity.kind if kind == "id" else kind, first_author, turn.turn_id)
    newest = list(kept.items())[-ENTITIES_MAX:]
    return tuple(
        NamedId(kind, Untrusted(author, fence(value[: entities.ENTITY_CHARS_MAX], author)), turn_id)
        for value, (kind, author, turn_id) in newest
    )


def _entities_of(turn: TranscriptTurn, masking: Callable[[str], Masked]) -> list[tuple[Author, entities.Entity]]:
    found: list[tuple[Author, entities.Entity]] = []
    texts: tuple[tuple[Author, str | None], ...] = (("customer", turn.message), ("agent", turn.reply))
    for author, text in texts:
        # Masked first: a card number after the word `reference` is still a card number.
        read = masking(text[: TEXT_CHARS_MAX * 2]).text[:TEXT_CHARS_MAX] if text else ""
        found += [(author, entity) for entity in entities.find(read)]
    for call in turn.tool_calls:
        for name, value in call.args.items():
            entity = entities.of_argument(name, value)
            if entity is not None and not mask(f"{name}: {entity.value}").masks:
                found.append(("agent", entity))
    return found


def _found(
    decisions: Sequence[Decision],
    transcript: Sequence[TranscriptTurn],
    shown: Sequence[tuple[TranscriptTurn, PacketTurn]],
    masking: Callable[[str], Masked],
) -> tuple[Found, ...]:
    texts = {turn.turn_id: turn for turn in transcript}
    visible = {turn.turn_id: (turn, seen) for turn, seen in shown}
    found: dict[Found, None] = {}
    for decision in decisions:
        for evidence in (
            item for rule in decision.rules if rule.live for check in rule.checks for item in check.evidence
        ):
            # What a tool gave back is kept nowhere: of it only the topic is told.
            text = getattr(texts.get(decision.turn_id), evidence.inside, None)
            read, here = (getattr(each, evidence.inside, None) for each in visible.get(decision.turn_id, (None, None)))
            start = end = None
            if read is not None and here is not None:
                start, end = _placed(masking(read[: TEXT_CHARS_MAX * 2]), here, evidence.start, evidence.end)
            excerpt = None if text is None else _excerpt(text, AUTHORS_INSIDE[evidence.inside], evidence)
            found[Found(evidence.topic, decision.turn_id, evidence.inside, excerpt, start, end)] = None
    return tuple(found)[-FOUND_MAX:]


def _excerpt(text: str, author: Author, evidence: Evidence) -> Untrusted | None:
    """Return the words that evidence points at, masked as their surroundings ask for."""
    before = max(evidence.start - EXCERPT_CONTEXT_CHARS, 0)
    end = min(evidence.end, evidence.start + EXCERPT_CHARS_MAX * 2)
    masked = mask(text[before : end + EXCERPT_CONTEXT_CHARS])
    start, end = masked.cover(evidence.start - before, end - before)
    # Words that are nobody's number within a longer one can be somebody's once they stand alone.
    if mask(masked.text[start:end]).masks:
        return untrusted(masked.text[start:end], author, EXCERPT_CHARS_MAX)
    return _fenced(masked, start, end, author, EXCERPT_CHARS_MAX) if start < end else None


def _placed(masked: Masked, here: Untrusted, start: int, end: int) -> tuple[int | None, int | None]:
    shift = prefix_length(here.author)
    new_start, new_end = masked.cover(start, end)
    if new_end + shift > len(here.text) - shift - 1:
        return None, None
    return new_start + shift, new_end + shift


def _args(call: ToolCall) -> Untrusted | None:
    return untrusted(_json(call.args), "agent", ARGS_CHARS_MAX) if call.args else None


def _json(args: Mapping[str, object]) -> str:
    return json.dumps(dict(args), ensure_ascii=False, default=str)


def _name(text: str) -> str:
    # Tool names come from outside: even so short a text must not carry a fence mark.
    return neutralise(text[:NAME_CHARS_MAX])


def _own(text: str) -> str:
    return neutralise(text[:OWN_CHARS_MAX])


def _sentence(text: str) -> str:
    # A check's sentence quotes the value it met, and a value can be a customer's words.
    return _own(mask(text[:OWN_CHARS_MAX]).text)
