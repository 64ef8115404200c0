"""Signals that no turn leaves behind, and how each is read: only where a rule asks for it, and once the others are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from rules.evaluation.signal_table import WEEKDAYS as WEEKDAYS
from rules.turn import Conversation, Turn, TurnRecord, Value

# The names under which a turn's texts are remembered for `message_repeats` and `reply_repeats`: no rule can say them.
MESSAGE_HASH = "_message"
REPLY_HASH = "_reply"

_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
# 1970-01-01 counted as datetime.date.toordinal() does, from 0001-01-01 = 1; it was a Thursday.
_EPOCH_ORDINAL = 719_163
_EPOCH_WEEKDAY = 3


class Asked(NamedTuple):
    """All that a signal can be read from: `values` are those that are kept with the turn, `zone` the rule files'."""

    turn: Turn
    before: Conversation
    now_ms: int
    values: Mapping[str, Value]
    zone: str


LateReader: TypeAlias = Callable[[Asked], Value]

LATE: dict[str, LateReader] = {
    "message_present": lambda asked: _present(asked.turn.message),
    "message_repeats": lambda asked: _repeats(asked.before.past, MESSAGE_HASH, asked.values),
    "draft_present": lambda asked: _present(asked.turn.reply),
    "reply_repeats": lambda asked: _repeats(asked.before.past, REPLY_HASH, asked.values),
    "language": lambda asked: _language(asked.turn.locale),
    "locale": lambda asked: asked.turn.locale,
    "channel": lambda asked: asked.turn.channel,
    "sources": lambda asked: None if asked.turn.sources is None else frozenset(asked.turn.sources),
    "customer.id": lambda asked: asked.turn.customer.id,
    "customer.tier": lambda asked: asked.turn.customer.tier,
    "agent.id": lambda asked: asked.turn.agent.id,
    "agent.version": lambda asked: asked.turn.agent.version,
    "agent.prompt_version": lambda asked: asked.turn.agent.prompt_version,
    "parent.agent": lambda asked: None if asked.turn.parent is None else asked.turn.parent.agent,
    "turn_count": lambda asked: asked.before.turns_count + 1,
    "elapsed_ms": lambda asked: _since(asked.before.started_at_ms, asked.now_ms) or 0,
    "since_last_turn_ms": lambda asked: (
        _since(asked.before.past[-1].at_ms, asked.now_ms) if asked.before.past else None
    ),
    "tool_errors_total": lambda asked: _errors_total(asked.before.past, asked.values),
    "handoffs_count": lambda asked: asked.before.handoffs_count,
    "since_handoff_ms": lambda asked: _since(asked.before.last_handoff_at_ms, asked.now_ms),
    "clock.weekday": lambda asked: _clock(asked.zone, asked.now_ms)[0],
    "clock.hour": lambda asked: _hour(_clock(asked.zone, asked.now_ms)[2]),
    "clock.time": lambda asked: _clock(asked.zone, asked.now_ms)[2],
    "clock.date": lambda asked: _clock(asked.zone, asked.now_ms)[1],
}


def _present(text: str | None) -> bool:
    return text is not None and not (text == "" or text.isspace())


def _language(locale: str | None) -> str | None:
    return None if locale is None else locale.replace("_", "-").partition("-")[0].lower()


def _since(at_ms: int | None, now_ms: int) -> int | None:
    # Clocks of two processes differ a little: a time that seems to run backwards is no time at all.
    return None if at_ms is None else max(0, now_ms - at_ms)


def _repeats(past: Sequence[TurnRecord], name: str, values: Mapping[str, Value]) -> int | None:
    digest = values[name]
    return None if digest is None else sum(1 for earlier in past if earlier.values.get(name) == digest)


def _errors_total(past: Sequence[TurnRecord], values: Mapping[str, Value]) -> int:
    counts = [values["tool_errors_count"], *[earlier.values.get("tool_errors_count") for earlier in past]]
    return sum(count for count in counts if type(count) is int)


def _hour(minutes: int | None) -> int | None:
    return None if minutes is None else minutes // 60


def _clock(zone: str, now_ms: int) -> tuple[str | None, int | None, int | None]:
    """Return the weekday, the date as an ordinal and the minutes since midnight in that time zone."""
    if zone != "UTC":
        try:
            moment = datetime.fromtimestamp(now_ms / 1000, _zone(zone))
        except (OverflowError, OSError, ValueError):
            return None, None, None
        return WEEKDAYS[moment.weekday()], moment.toordinal(), moment.hour * 60 + moment.minute
    days, into_day_ms = divmod(now_ms, _DAY_MS)
    return WEEKDAYS[(days + _EPOCH_WEEKDAY) % 7], days + _EPOCH_ORDINAL, into_day_ms // _MINUTE_MS


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    return ZoneInfo(name)
