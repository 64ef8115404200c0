"""Where a comparison stands while it is read: its text, and the names around it. Nothing is judged here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rules.compile.names import Names
from rules.files.grammar import Call, Comparison, Name
from rules.files.nodes import TextNode
from rules.files.source import Source

_SPACES = re.compile(r"\s+")


class Told(Exception):
    """The comparison was found wrong and the problem is noted already; nothing more can be said of it."""


@dataclass(slots=True)
class Place:
    """Where a comparison stands: its text's node, the names around it, whether it speaks of one tool call."""

    source: Source
    node: TextNode
    names: Names
    in_call: bool

    def text(self, part: Name | Call | Comparison) -> str:
        """Return a part of the comparison as it is written, white space folded."""
        written = self.node.value[part.start : part.end]
        # What can be printed holds no other white space than the space.
        return written if written.isprintable() and "  " not in written else _SPACES.sub(" ", written)
