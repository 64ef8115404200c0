"""Conversations as this process last left them, so that the next turn need not read them again. Never the truth.

A commit is refused when the conversation's version has risen since, whoever raised it, so what stands here can be
out of date but never do harm: a refused commit reads the conversation and thinks again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rules.history import remember

if TYPE_CHECKING:  # the store holds what stands here, and these hold the store
    from service.store.conversations import Loaded
    from service.store.decisions import Change

# Agents keep to one process while a conversation lasts; a thousand at a time is more than one process serves. Some
# 5 kB each, 50 MB where every one of them has its fifty turns.
CONVERSATIONS_MAX = 1_024
# Conversations that another process works on too: remembering those costs a refused commit at every turn.
SHARED_MAX = 4_096

Key = tuple[str, str]


class Recent:
    """The most recently decided conversations by (tenant, conversation_id)."""

    def __init__(self) -> None:
        self._left: dict[Key, Loaded] = {}
        self._shared: dict[Key, None] = {}

    def take(self, tenant: str, conversation_id: str) -> Loaded | None:
        """Return the conversation as it was left, once: a second turn at the same time reads it for itself."""
        return self._left.pop((tenant, conversation_id), None)

    def keep(self, tenant: str, loaded: Loaded, change: Change) -> None:
        """Remember the conversation as a written change leaves it, where that is known without reading."""
        key = (tenant, change.turn.conversation_id)
        if change.handoff is not None or loaded.open_handoff_id is not None or key in self._shared:
            return
        if not _comes_last(loaded, change):
            return
        left = remember(loaded.conversation, change.record)
        if loaded.conversation.started_at_ms is not None:
            # A clock that ran backwards does not make a conversation begin earlier; the store does not think so either.
            left = replace(left, started_at_ms=loaded.conversation.started_at_ms)
        self._left[key] = replace(loaded, conversation=left, version=loaded.version + 1)
        _bounded(self._left, CONVERSATIONS_MAX)

    def distrust(self, tenant: str, conversation_id: str) -> None:
        """Read this conversation from now on: somebody else changes it too."""
        self._shared[tenant, conversation_id] = None
        _bounded(self._shared, SHARED_MAX)


def _comes_last(loaded: Loaded, change: Change) -> bool:
    """Return whether the turn's record certainly comes after all others, so that its place is known."""
    past, index = loaded.conversation.past, change.turn.turn_index
    if not past:
        return True
    before = past[-1].turn_index
    return before is None if index is None else before is not None and before < index


def _bounded(kept: dict[Key, Loaded] | dict[Key, None], most: int) -> None:
    # Dicts remember the order of insertion: the first key is the one that was left the longest ago.
    if len(kept) > most:
        del kept[next(iter(kept))]
