"""Packets that were built ahead, in Redis: kept small, and found with what tells whether they still hold.

Nothing is built here. A packet that is lost, damaged or of another version of Handrail is built again by the claim.
"""

from __future__ import annotations

import zlib
from functools import cache

from rules.decision import Check, Decision, FiredRule
from rules.handoff import Handoff, Reason
from rules.model import OnTimeout
from rules.packet.context_packet import PACKET_VERSION, TranscriptTurn
from rules.packet.packet import build, dumps
from rules.turn import ToolCall
from service.store import codec
from service.store.keys import Place
from service.store.store import Store

# A packet is text that repeats: level 6 leaves a third of 6 kB in 0.15 ms, and nobody waits for it but a worker.
PACKET_LEVEL = 6
PACKET_KEPT_MS = 3_600_000  # a handoff that waits longer has its packet built when it is claimed


async def find(store: Store, place: Place, handoff: Handoff) -> tuple[bytes | None, int]:
    """Return the packet built ahead, as JSON, and the version of its conversation: one round trip.

    None when there is none for the handoff and the conversation as they are now.
    """
    _, version, kept = await store.scripts.read(
        "find_packet",
        conversation=place.conversation(handoff.conversation_id),
        packet=place.packet(handoff.handoff_id),
    )
    known = codec.number(version) or 0
    return unpacked(kept, handoff, known), known


def unpacked(kept: bytes, handoff: Handoff, conversation_version: int | None = None) -> bytes | None:
    """Return a kept packet as JSON, None when it is not one of the handoff as it is now.

    Without a version whoever read it knows that no turn came after it: each takes the packet of an open handoff away.
    """
    stamp, _, body = kept.partition(b"\n")
    version, _, rest = stamp.partition(b" ")
    if rest != _stamp(handoff) or conversation_version not in (None, codec.number(version)):
        return None
    try:
        unpacking = zlib.decompressobj(zdict=_words())
        return unpacking.decompress(body) + unpacking.flush()
    except zlib.error:
        # Written with other words in mind, or damaged.
        return None


async def keep(store: Store, place: Place, handoff: Handoff, conversation_version: int, packet: bytes) -> bool:
    """Keep a packet for the claim to come, and return whether: not when its conversation has gone on meanwhile."""
    packing = zlib.compressobj(PACKET_LEVEL, zdict=_words())
    stamp = b"%d %b" % (conversation_version, _stamp(handoff))
    word, *_ = await store.scripts.run(
        "keep_packet",
        conversation=place.conversation(handoff.conversation_id),
        packet=place.packet(handoff.handoff_id),
        version=conversation_version,
        body=stamp + b"\n" + packing.compress(packet) + packing.flush(),
        kept_ms=PACKET_KEPT_MS,
    )
    return bool(word == b"kept")


def _stamp(handoff: Handoff) -> bytes:
    """Return what a packet depends on beside the turns: its shape, the reasons, where and until when it waits.

    A customer who waits goes on talking, and those turns ask for nobody: only the conversation's version shows them.
    """
    called = "" if handoff.call is None else handoff.call.promised_at_ms
    where = f"{handoff.kind} {handoff.queue} {handoff.priority} {handoff.expires_at_ms} {called}"
    return f"{PACKET_VERSION} {len(handoff.reasons)} {where}".encode()


@cache
def _words() -> bytes:
    """Return what every packet says: a dictionary that leaves its names and its fixed sentences out of the kept bytes.

    It is a packet itself, so that it follows when the shape changes. zlib knows by its checksum which one a packet was
    written with.
    """
    turn = TranscriptTurn("t1", 0, "I", "I", (ToolCall("get", {"id": "1"}, False, None, "ok"),), "escalate")
    check = Check("channel = chat", "chat", "chat", None, "channel chat = chat")
    rule = FiredRule("asks", "the customer asks", "escalate", (check,))
    decision = Decision("dec_0_0", "c", "t1", "escalate", (rule,), None, "", False, 0)
    reason = Reason("dec_0_0", "t1", "escalate", ("asks",), 0)
    handoff = Handoff(
        "hof_0_0", "t", "c", "escalate", "waiting", "q", "normal", 0, 0, 0, OnTimeout("callback", {}), (reason,)
    )
    return dumps(build(handoff, (decision,), (turn, turn), 0))
