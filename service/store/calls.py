"""Calls that are owed to customers, in Redis: which, and with what scripts that end a handoff let one wait on.

Which call is owed is decided in rules.routing.calls. Its handoff is named after the one that it follows, so however
often an end is tried, it is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from rules.handoff import Handoff, Resolution, group_of, wanted
from rules.routing.calls import as_call, call_owed
from service.store import codec, keys
from service.store.keys import Place
from service.store.scripts import Argument


def owed_words(place: Place, handoff: Handoff | None, resolution: Resolution | None) -> Mapping[str, Argument]:
    """Return what a script that ends the handoff so needs to know of the call that is owed then."""
    call = None if handoff is None or resolution is None else call_owed(handoff, resolution)
    owed = None
    if handoff is not None and resolution is not None and call is not None:
        owed = as_call(handoff, call, _call_id(place, handoff.handoff_id), resolution.at_ms)
    queue, group = ("", None) if owed is None else (owed.queue, group_of(owed))
    return {
        "calls": place.calls,
        "ended": place.ended,
        "queues": place.queues,
        "call": place.handoff("" if owed is None else owed.handoff_id),
        "call_waiting": place.waiting(queue),
        "call_open": place.open(queue),
        "call_class": place.waiting_in("" if owed is None else wanted(owed).text),
        "call_group": place.group("" if group is None else group.text),
        "call_fields": [] if owed is None else [*codec.handoff_out(owed), "state", "waiting"],
    }


def _call_id(place: Place, handoff_id: str) -> str:
    return keys.handoff_id(place.partition, blake2b(f"call\0{handoff_id}".encode(), digest_size=8).hexdigest())
