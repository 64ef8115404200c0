"""A conversation as it stood at one moment, with what a commit needs to know that it still stands so. A value only."""

from __future__ import annotations

from dataclasses import dataclass

from rules.turn import Conversation


@dataclass(frozen=True, slots=True)
class Loaded:
    """A conversation as it stood at one moment; a commit is refused when `version` has risen since.

    `cut_order` is the place of the last turn before the last handoff ended, None when none did. `records` are those of
    `conversation.past` as they are kept, and `last_index` is the `turn_index` of the last of them. `ended_handoff_id`
    is the handoff that ended since, where no turn has been told of that.
    """

    conversation: Conversation
    version: int
    open_handoff_id: str | None
    cut_order: int | None
    records: tuple[bytes, ...]
    last_index: int | None
    ended_handoff_id: str | None = None
