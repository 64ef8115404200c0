"""What rule files say of floods: from how many handoffs alike on they are grouped. Values or problems come out."""

from __future__ import annotations

import re

from rules.compile.values import read_keys
from rules.files.grammar import duration_ms
from rules.files.keys import FLOOD_KEYS
from rules.files.nodes import MapNode, Node, TextNode
from rules.files.source import Source
from rules.model import FLOOD_BY, FloodBy, FloodLimit

# The store keeps the moments of as many for each who comes near a limit; a thousand people take no more at once.
MOST_MAX = 1_000
# What was an hour ago is no flood any more, and what comes evenly over a day never was one.
OVER_MS_MAX = 3_600_000

_RATE = re.compile(r"\s*(\d{1,6})\s+in\s+(\S+)\s*")


def read_flood(source: Source, node: Node) -> tuple[FloodLimit, ...]:
    """Return the limits of a queue, the narrowest first."""
    values = read_keys(source, node, FLOOD_KEYS, "`flood`")
    if values is None:
        return ()
    if isinstance(node, MapNode) and not node.pairs:
        source.refuse("R149", node, "`flood` names no limit", "write `flood: {agent: 20 in 10m}`")
    limits = (_limit(source, values[by], by) for by in FLOOD_BY if by in values)
    return tuple(limit for limit in limits if limit is not None)


def _limit(source: Source, node: Node, by: FloodBy) -> FloodLimit | None:
    found = _RATE.fullmatch(node.value) if isinstance(node, TextNode) else None
    over_ms = duration_ms(found[2]) if found is not None else None
    if found is None or over_ms is None or over_ms <= 0:
        source.refuse("R149", node, f"`{by}` is no number in a time", "write it as `20 in 10m`")
        return None
    most = int(found[1])
    if not 1 <= most <= MOST_MAX:
        source.refuse("R149", node, f"`{by}` is {most}, the limit is 1 to {MOST_MAX}", "write it as `20 in 10m`")
    elif over_ms > OVER_MS_MAX:
        source.refuse("R149", node, f"`{by}` looks further back than an hour", "write at most `1h`")
    else:
        return FloodLimit(by, most, over_ms)
    return None
