"""Conversations as this process last left them, so that the next turn need not read them again. Never the truth.

A commit is refused when the conversation's version has risen since, whoever raised it, so what stands here can be
out of date but never do harm: a refused commit reads the conversation and thinks again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, TypeAlias

from rules.decision import Decision
from rules.history import TURNS_READ_MAX
from rules.turn import CHAINED, Conversation
from service.store import codec
from service.store.loaded import Loaded

if TYPE_CHECKING:  # changes are written by the store, which holds what stands here
    from service.store.decisions import Change

# Agents keep to one process while a conversation lasts; a thousand at a time is more than one process serves. Some
# 2 kB each, 25 MB where every one of them has its fifty turns.
CONVERSATIONS_MAX = 1_024
# Conversations that another process works on too: remembering those costs a refused commit at every turn.
SHARED_MAX = 4_096

# A retry comes within seconds: at two hundred turns a second these are twenty. Bytes of some 500, two megabytes.
ANSWERS_MAX = 4_096

Key: TypeAlias = tuple[str, str]
# A conversation as bytes and numbers alone: Python's collector passes over those. As values, a thousand conversations
# were 54,000 objects, and each full collection stopped the process for 50 ms.
Left: TypeAlias = tuple[int, int | None, int | None, int, int, int | None, tuple[bytes, ...], int | None]


class Recent:
    """The most recently decided conversations by (tenant, conversation_id)."""

    def __init__(self) -> None:
        self._left: OrderedDict[Key, Left] = OrderedDict()
        self._shared: OrderedDict[Key, None] = OrderedDict()

    def take(self, tenant: str, conversation_id: str) -> Loaded | None:
        """Return the conversation as it was left, once: a second turn at the same time reads it for itself."""
        left = self._left.pop((tenant, conversation_id), None)
        if left is None:
            return None
        version, cut_order, started_at_ms, turns, handoffs, last_handoff_at_ms, records, last_index = left
        past = codec.Records(records)
        conversation = Conversation(conversation_id, started_at_ms, turns, handoffs, last_handoff_at_ms, past)
        return Loaded(conversation, version, None, cut_order, records, last_index)

    def keep(self, tenant: str, loaded: Loaded, change: Change, record: bytes) -> None:
        """Remember the conversation as a written change leaves it, where that is known without reading.

        `record` is the change's own as it was written. A chain of agents is read from more than records.
        """
        key = (tenant, change.turn.conversation_id)
        if change.handoff is not None or loaded.open_handoff_id is not None or key in self._shared:
            return
        if not _comes_last(loaded, change) or CHAINED in change.record.values:
            return
        before = loaded.conversation
        self._left[key] = (
            loaded.version + 1,
            loaded.cut_order,
            change.record.at_ms if before.started_at_ms is None else before.started_at_ms,
            before.turns_count + 1,
            before.handoffs_count,
            before.last_handoff_at_ms,
            (*loaded.records, record)[-TURNS_READ_MAX:],
            change.turn.turn_index,
        )
        _bounded(self._left, CONVERSATIONS_MAX)

    def distrust(self, tenant: str, conversation_id: str) -> None:
        """Read this conversation from now on: somebody else changes it too."""
        self._shared[tenant, conversation_id] = None
        _bounded(self._shared, SHARED_MAX)


def _comes_last(loaded: Loaded, change: Change) -> bool:
    """Return whether the turn's record certainly comes after all others, so that its place is known."""
    before, index = loaded.last_index, change.turn.turn_index
    if not loaded.records:
        return True
    return before is None if index is None else before is not None and before < index


def _bounded(kept: OrderedDict[Key, Left] | OrderedDict[Key, None], most: int) -> None:
    # A plain dict keeps the order too, but passes over all that was removed each time it is asked for its first key.
    if len(kept) > most:
        kept.popitem(last=False)


class Told:
    """The answers that this process has given last, by decision_id: while the store is away they stand all the same."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, tuple[int | None, bytes]] = OrderedDict()

    def keep(self, decision_id: str, position: int | None, answer: bytes) -> None:
        """Remember an answer that was written, as it was written."""
        self._answers[decision_id] = (position, answer)
        if len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)

    def find(self, decision_id: str) -> Decision | None:
        """Return the Decision that was answered, None when it was not, or long ago."""
        found = self._answers.get(decision_id)
        if found is None:
            return None
        position, answer = found
        return codec.decision_in(b"%d\n%b" % (position, answer) if position is not None else b"\n" + answer)
