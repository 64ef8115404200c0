"""What rule files say of telling people: the channels there are, a queue's `notify`, and quiet hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rules.compile.declarations import read_timezone
from rules.compile.names import Names
from rules.compile.values import is_name, read_duration, read_keys, read_list, read_text, read_texts, read_word
from rules.evaluation.wording import span_text
from rules.files.keys import NOTICE_KEYS, QUIET_KEYS, TIER_KEYS
from rules.files.nodes import ListNode, Node, TextNode
from rules.files.source import Source
from rules.model import Queue
from rules.telling.notices import DAYS, ON_UNLESS_TOLD, Notice, Quiet, Tier, hours_of

NOTICES_MAX = 10  # each becomes a telling of every handoff; whoever tells more people writes to a list of them
# More often than this nobody reads, and a chat service begins to refuse.
REPEAT_MS_MIN = 30_000


def read_channels(source: Source, node: Node, names: Names) -> None:
    """Add the channels that one file says there are."""
    for item, _ in read_texts(source, node, "`channels`"):
        if is_name(source, item):
            names.declare("channel", item.value, source, item)


def refuse_unknown_channels(names: Names) -> None:
    """Note every channel that no file names, once any is named: which exist is otherwise known to the service only."""
    known = names.declared.get("channel", ())
    for source, node, name in names.told:
        if known and not names.is_declared("channel", name):
            names.refuse_unknown("channel", name, known, source, node)


def read_channel(source: Source, node: Node, names: Names) -> str | None:
    """Return the name of a channel, which is looked at once all files are read."""
    if not isinstance(node, TextNode):
        source.refuse("R116", node, "`channel` is not a text", "write the name of one channel, as `on-call`")
        return None
    if not is_name(source, node):
        return None
    names.told.append((source, node, node.value))
    return node.value


def read_notices(source: Source, node: Node, names: Names) -> tuple[Notice, ...]:
    """Return the lines of a queue's `notify`."""
    items = read_list(source, node, "`notify`")
    if len(items) > NOTICES_MAX:
        source.refuse("R113", node, f"`notify` has {len(items)} lines, the limit is {NOTICES_MAX}", "take some out")
    found = (_notice(source, item, names) for item in items[:NOTICES_MAX])
    return tuple(notice for notice in found if notice is not None)


def note_late_notices(source: Source, node: Node, queue: Queue) -> None:
    """Note who would be told of a wait that is over by then."""
    for notice in queue.notify:
        last_ms = notice.after_ms + (notice.then.after_ms if notice.then else 0)
        if "opened" in notice.on and last_ms >= queue.answer_within_ms:
            channel = (
                notice.channel if notice.after_ms >= queue.answer_within_ms or not notice.then else notice.then.channel
            )
            message = f"`{channel}` is told after {span_text(last_ms)}, when `answer_within` is over"
            source.refuse("W213", node, message)


def in_timezone(queues: Mapping[str, Queue], timezone: str) -> dict[str, Queue]:
    """Return the queues with quiet hours in the time zone of the files, where they have none of their own."""
    return {
        name: replace(queue, notify=tuple(_in(each, timezone) for each in queue.notify))
        for name, queue in queues.items()
    }


def _in(notice: Notice, timezone: str) -> Notice:
    if notice.quiet is None or notice.quiet.timezone:
        return notice
    return replace(notice, quiet=replace(notice.quiet, timezone=timezone))


def _notice(source: Source, node: Node, names: Names) -> Notice | None:
    values = read_keys(source, node, NOTICE_KEYS, "a line of `notify`")
    if values is None or "channel" not in values:
        return None
    channel = read_channel(source, values["channel"], names)
    occasions = _occasions(source, values["on"]) if "on" in values else ON_UNLESS_TOLD
    after_ms = read_duration(source, values["after"], "`after`") if "after" in values else 0
    repeat_ms = _repeat(source, values["repeat"]) if "repeat" in values else None
    then = _tier(source, values["then"], names) if "then" in values else None
    quiet = read_quiet(source, values["quiet"]) if "quiet" in values else None
    if channel is None or not occasions or after_ms is None:
        return None
    if occasions == ("expired",) and ("repeat" in values or "then" in values):
        at = values.get("repeat") or values["then"]
        source.refuse("W213", at, "`expired` is told once, as nobody can come any more", "remove it")
    return Notice(channel, occasions, after_ms, repeat_ms, then, quiet)


def _occasions(source: Source, node: Node) -> tuple[str, ...]:
    items = node.items if isinstance(node, ListNode) else [node]
    words = (read_word(source, item, NOTICE_KEYS["on"]) for item in items)
    found = tuple(dict.fromkeys(word for word in words if word is not None))
    if not items:
        source.refuse("R116", node, "`on` is empty", "write at least one word, or remove the key")
    return found


def _repeat(source: Source, node: Node) -> int | None:
    repeat_ms = read_duration(source, node, "`repeat`")
    if repeat_ms is not None and repeat_ms < REPEAT_MS_MIN:
        least = span_text(REPEAT_MS_MIN)
        message = f"`repeat` is {span_text(repeat_ms)}, the least is {least}"
        source.refuse("R123", node, message, f"write `{least}` or more")
        return None
    return repeat_ms


def _tier(source: Source, node: Node, names: Names) -> Tier | None:
    values = read_keys(source, node, TIER_KEYS, "`then`")
    if values is None or "channel" not in values or "after" not in values:
        return None
    channel = read_channel(source, values["channel"], names)
    after_ms = read_duration(source, values["after"], "`after`")
    return None if channel is None or after_ms is None else Tier(channel, after_ms)


def read_quiet(source: Source, node: Node) -> Quiet | None:
    """Return quiet hours: `22:00-07:00`, or a map that says more."""
    if isinstance(node, TextNode):
        hours = _hours(source, node)
        return None if hours is None else Quiet(*hours)
    values = read_keys(source, node, QUIET_KEYS, "`quiet`")
    if values is None:
        return None
    hours = _hours(source, values["hours"]) if "hours" in values else None
    days: tuple[str, ...] = DAYS
    if "days" in values:
        items = values["days"].items if isinstance(values["days"], ListNode) else [values["days"]]
        words = {read_word(source, item, QUIET_KEYS["days"]) for item in items}
        days = tuple(day for day in DAYS if day in words)
    zone = read_timezone(source, values["timezone"]) if "timezone" in values else ""
    urgent = read_word(source, values["urgent"], QUIET_KEYS["urgent"]) if "urgent" in values else "tell"
    if hours is None or zone is None:
        return None
    return Quiet(*hours, days, zone, urgent_too=urgent == "hold")


def _hours(source: Source, node: Node) -> tuple[int, int] | None:
    written = read_text(source, node, "`quiet`")
    hours = None if written is None else hours_of(written)
    if written is not None and hours is None:
        source.refuse("R116", node, f"`{written}` are no hours of a day", "write them as `22:00-07:00`")
    return hours
