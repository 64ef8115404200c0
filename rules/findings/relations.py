"""What the values of one turn have to do with each other: those that never stand together. Nothing is evaluated.

Each fact is read off how signals are read (`rules.evaluation.signals`, `late_signals`) and how a conversation is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from rules.evaluation.comparisons import Key
from rules.evaluation.signal_table import WEEKDAYS
from rules.findings.regions import ALL_TEXTS, Interval, Region, Words, met

# Dates in a row of which it is asked which weekdays they are; seven have all of them.
_WEEK_DAYS = 7
# Known only where the turn has a tool call.
_OF_CALLS = ("amount_usd_max", "output_topics")
_NAMES_OF_CALLS = ("tools", "tools_proposed", "tools_failed")
_COUNTS_OF_CALLS = ("tool_errors_count", "writes_proposed_count")
# Of one signal over one window: the lowest is at most the highest, and the latest is one of them.
_MEASURES = ("min", "max", "last")
_REPEATS = ("message_repeats", "reply_repeats")
# Whether a text is there -> its length, and how often it came before.
_TEXTS = (("message_present", "message_length", "message_repeats"), ("draft_present", "reply_length", "reply_repeats"))


def never_together(
    regions: Mapping[str | Key, Region],
    *,
    calls_least: int,
    counted: Iterable[tuple[float, bool]],
    amounts: Iterable[Interval] = (),
) -> bool:
    """Return whether no turn has values in all of these regions, each by its signal's name; False where in doubt.

    `calls_least` is how many tool calls the turn has at least, `counted` the least of each count or streak and whether
    it is of earlier turns only. `amounts` are the amounts that single calls have, each between two bounds.
    """
    if len(regions) + calls_least < 2:
        return False
    return (
        _clock_differs(regions)
        or _locale_differs(regions)
        or _too_few_calls(regions, calls_least)
        or _too_few_turns(regions, counted)
        or _no_handoff_yet(regions)
        or _too_few_sources(regions)
        or _amount_differs(regions, amounts)
        or _measures_differ(regions)
        or any(_text_differs(regions, *names) for names in _TEXTS)
    )


def _clock_differs(regions: Mapping[str | Key, Region]) -> bool:
    hour, time = regions.get("clock.hour"), regions.get("clock.time")
    if hour is not None and time is not None:
        spans = tuple(Interval(60 * each.low, 60 * each.high + 59) for each in hour.numbers)
        if met(Region(hour.unknown, numbers=spans), time).is_empty:
            return True
    date, weekday = regions.get("clock.date"), regions.get("clock.weekday")
    if date is None or weekday is None or any(each.high - each.low >= _WEEK_DAYS for each in date.numbers):
        return False
    days = (day for each in date.numbers for day in range(math.ceil(each.low), math.floor(each.high) + 1))
    # The first day of the calendar, 1, was a Monday.
    named = frozenset(WEEKDAYS[(day - 1) % 7] for day in days)
    return met(Region(date.unknown, texts=Words(named, listed=True)), weekday).is_empty


def _locale_differs(regions: Mapping[str | Key, Region]) -> bool:
    locale, language = regions.get("locale"), regions.get("language")
    if locale is None or language is None:
        return False
    texts = ALL_TEXTS
    if locale.texts.listed:
        named = frozenset(name.replace("_", "-").partition("-")[0].lower() for name in locale.texts.names)
        texts = Words(named, listed=True)
    return met(Region(locale.unknown, texts=texts), language).is_empty


def _too_few_calls(regions: Mapping[str | Key, Region], calls_least: int) -> bool:
    least = max(
        float(calls_least),
        *(_least(regions.get(name)) for name in _COUNTS_OF_CALLS),
        *(_words_least(regions.get(name)) for name in _NAMES_OF_CALLS),
        *(1.0 if _is_known(regions.get(name)) else 0.0 for name in _OF_CALLS),
    )
    failed = max(_least(regions.get("tool_errors_count")), min(1.0, _words_least(regions.get("tools_failed"))))
    return (
        _most(regions.get("tool_calls_count")) < least
        or _most(regions.get("tool_errors_count")) < _words_least(regions.get("tools_failed"))
        or _most(regions.get("tool_errors_total")) < failed
    )


def _too_few_turns(regions: Mapping[str | Key, Region], counted: Iterable[tuple[float, bool]]) -> bool:
    most = _most(regions.get("turn_count"))
    if most == math.inf:
        return False
    before = max(
        1.0 if _is_known(regions.get("since_last_turn_ms")) else 0.0,
        1.0 if _least(regions.get("elapsed_ms")) > 0 else 0.0,
        *(_least(regions.get(name)) for name in _REPEATS),
    )
    return most < before + 1 or any(most < least + earlier for least, earlier in counted)


def _no_handoff_yet(regions: Mapping[str | Key, Region]) -> bool:
    return _most(regions.get("handoffs_count")) < 1 and _is_known(regions.get("since_handoff_ms"))


def _too_few_sources(regions: Mapping[str | Key, Region]) -> bool:
    return _most(regions.get("sources_count")) < _words_least(regions.get("sources"))


def _amount_differs(regions: Mapping[str | Key, Region], amounts: Iterable[Interval]) -> bool:
    """Return whether the largest amount of the turn is below that of one of its calls."""
    largest = _numbers(regions.get("amount_usd_max"))
    return largest is not None and any(_is_above(amount, largest[-1]) for amount in amounts)


def _measures_differ(regions: Mapping[str | Key, Region]) -> bool:
    """Return whether the lowest, the highest and the latest value of a signal, or its value now, are at odds."""
    measured: dict[tuple[object, ...], dict[str, tuple[Interval, ...]]] = {}
    for key, region in regions.items():
        numbers = _numbers(region) if isinstance(key, tuple) and key[0] in _MEASURES else None
        if numbers is not None:
            measured.setdefault(tuple(key[1:]), {})[str(key[0])] = numbers
    for (of, *_, earlier), numbers_of in measured.items():
        now = None if earlier or not isinstance(of, str) else _numbers(regions.get(of))
        lowest, highest, latest = (numbers_of.get(name) for name in _MEASURES)
        between = [each for each in (lowest, latest, now) if each is not None]
        if highest is not None and any(_is_above(each[0], highest[-1]) for each in between):
            return True
        if lowest is not None and any(_is_above(lowest[0], each[-1]) for each in (latest, now) if each is not None):
            return True
        # This turn is the latest of those that are looked back at.
        if latest is not None and now is not None and met(Region(numbers=latest), Region(numbers=now)).is_empty:
            return True
    return False


def _numbers(region: Region | None) -> tuple[Interval, ...] | None:
    """Return the numbers that a value lies among, None where it may be unknown."""
    return region.numbers if region is not None and not region.unknown and region.numbers else None


def _is_above(one: Interval, other: Interval) -> bool:
    """Return whether every number of the one is above every number of the other."""
    return one.low > other.high or (one.low == other.high and (one.low_open or other.high_open))


def _text_differs(regions: Mapping[str | Key, Region], present: str, length: str, repeats: str) -> bool:
    there, long, again = regions.get(present), regions.get(length), regions.get(repeats)
    if there is None or len(there.bools) != 1:
        return False
    if True in there.bools:
        return long is not None and not any(each.high >= 1 for each in long.numbers)
    # A text of spaces alone is none, but it has a length.
    return _is_known(again)


def _is_known(region: Region | None) -> bool:
    return region is not None and not region.unknown


def _least(region: Region | None) -> float:
    """Return the least that a number is, 0 where it may be unknown."""
    return region.numbers[0].low if region is not None and not region.unknown and region.numbers else 0.0


def _most(region: Region | None) -> float:
    """Return the most that a number is, endless where it may be unknown."""
    return region.numbers[-1].high if region is not None and not region.unknown and region.numbers else math.inf


def _words_least(region: Region | None) -> float:
    """Return how many words a set has at least."""
    if region is None or region.unknown or not region.sets:
        return 0.0
    return min(max(len(way.has), bool(way.beyond)) for way in region.sets)
