"""What rule files say of the calls that are promised to customers: whose work they are, and by when each is due."""

from __future__ import annotations

from rules.compile.names import Names
from rules.compile.values import read_duration, read_keys, read_text
from rules.files.keys import CALLS_KEYS
from rules.files.nodes import Node
from rules.files.source import Source
from rules.model import Calls


def read_calls(source: Source, node: Node, names: Names) -> Calls | None:
    """Return what becomes of promised calls, None for what cannot be; whether the queue exists is looked at later."""
    values = read_keys(source, node, CALLS_KEYS, "`calls`")
    if values is None:
        return None
    queue = read_text(source, values["queue"], "`queue`") if "queue" in values else None
    if queue is not None:
        names.moves.append((source, values["queue"], queue))
    within_ms = read_duration(source, values["within"], "`within`") if "within" in values else None
    return None if within_ms is None else Calls(within_ms, queue)
