"""What is wrong with a ContextPacket, before an operator has to find out. Findings only; nothing is mended here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rules.packet.context_packet import PACKET_VERSION, ContextPacket, Untrusted
from rules.packet.packet_json import dumps, to_json
from rules.packet.packet_size import PACKET_BYTES_MAX
from rules.text.fences import CLOSE, OPEN, author_of, unfence
from rules.text.mask import mask


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: its code, where (a JSON pointer), and the fact."""

    code: str
    pointer: str
    fact: str


# Code -> what it means for the operator.
FINDINGS: dict[str, str] = {
    "version_unknown": "the packet is of a version that this Handrail does not know",
    "why_missing": "nobody can tell why the conversation is here",
    "rule_unexplained": "a rule fired without the sentence that says why it exists",
    "transcript_missing": "there is nothing to read, so the customer will have to repeat it",
    "draft_missing": "a held draft is to be approved that the packet does not show",
    "deadline_passed": "the promise to the waiting agent is already broken",
    "text_unfenced": "somebody else's text stands there as if it were ours",
    "personal_data": "personal data was left in",
    "mask_astray": "a mask points at something else",
    "too_large": "the packet is over PACKET_BYTES_MAX",
}


def lint(packet: ContextPacket) -> tuple[Finding, ...]:
    """Return everything that is wrong with the packet; none is what a packet from `build` should have."""
    return (*_whole(packet), *_whys(packet), *_texts(packet))


def _whole(packet: ContextPacket) -> Iterator[Finding]:
    if packet.version != PACKET_VERSION:
        yield Finding("version_unknown", "/version", f"version {packet.version}, this is {PACKET_VERSION}")
    if not packet.transcript:
        yield Finding("transcript_missing", "/transcript", "no turn at all")
    if packet.task.kind == "hold" and packet.task.draft is None:
        yield Finding("draft_missing", "/task/draft", "a hold without its draft")
    if packet.task.answer_by_ms is not None and packet.task.answer_by_ms <= packet.built_at_ms:
        late_ms = packet.built_at_ms - packet.task.answer_by_ms
        yield Finding("deadline_passed", "/task/answer_by_ms", f"built {late_ms} ms after the deadline")
    size = len(dumps(packet))
    if size > PACKET_BYTES_MAX:
        yield Finding("too_large", "", f"{size} bytes, limit {PACKET_BYTES_MAX}")


def _whys(packet: ContextPacket) -> Iterator[Finding]:
    if not packet.why:
        yield Finding("why_missing", "/why", "no reason at all")
    for place, why in enumerate(packet.why):
        for at, rule in enumerate(why.rules):
            if not rule.why:
                yield Finding("rule_unexplained", f"/why/{place}/rules/{at}/why", f"no `why` for `{rule.rule_id}`")


def _texts(packet: ContextPacket) -> Iterator[Finding]:
    for pointer, text in _untrusted(packet):
        if author_of(text.text) != text.author:
            yield Finding("text_unfenced", pointer, f"not fenced as `{text.author}`")
        left = mask(unfence(text.text)).masks
        if left:
            yield Finding("personal_data", pointer, f"{left[0].kind} left in")
        for item in text.masks:
            if not text.text[item.start : item.end].startswith("["):
                yield Finding("mask_astray", pointer, f"no mask at {item.start}")
    for pointer, words in _own_texts(to_json(packet), ""):
        inner = author_of(words) is None and pointer != "/notice"
        if inner and (OPEN in words or CLOSE in words):
            yield Finding("text_unfenced", pointer, "a fence mark in a text that is not fenced")


def _untrusted(packet: ContextPacket) -> Iterator[tuple[str, Untrusted]]:
    draft = packet.task.draft
    texts: list[tuple[str, Untrusted | None]] = [
        ("/asked/first", packet.asked.first),
        ("/asked/last", packet.asked.last),
    ]
    if draft is not None:
        texts.append(("/task/draft/reply", draft.reply))
        texts += [(f"/task/draft/tool_calls/{at}/args", call.args) for at, call in enumerate(draft.tool_calls)]
    for at, turn in enumerate(packet.transcript):
        texts += [(f"/transcript/{at}/message", turn.message), (f"/transcript/{at}/reply", turn.reply)]
    for at, call in enumerate(packet.tried):
        texts += [(f"/tried/{at}/args", call.args), (f"/tried/{at}/error", call.error)]
    texts += [(f"/promises/{at}/sentence", promise.sentence) for at, promise in enumerate(packet.promises)]
    texts += [(f"/entities/{at}/value", named.value) for at, named in enumerate(packet.entities)]
    texts += [(f"/found/{at}/excerpt", found.excerpt) for at, found in enumerate(packet.found)]
    for pointer, text in texts:
        if text is not None:
            yield pointer, text


def _own_texts(value: object, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _own_texts(item, f"{pointer}/{place}")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _own_texts(item, f"{pointer}/{name}")
