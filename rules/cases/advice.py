"""What tests do not reach yet, in words, and how to write the test that does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rules.cases.coverage import ComparisonCoverage, RuleCoverage, WayCoverage

# What a turn must leave out for a signal to be unknown, where that is not the key of the same name.
LEFT_OUT: Mapping[str, str] = {
    **dict.fromkeys(
        ("topics", "asks_for_person", "confirmed", "message_length", "message_repeats"),
        "leave `message` out, with a tool call in its place",
    ),
    **dict.fromkeys(("reply_topics", "reply_length", "reply_repeats"), "leave `reply` out"),
    "language": "leave `locale` out",
    "sources_count": "leave `sources` out",
    "amount_usd": "leave the call's `amount` out",
    "amount_usd_max": "leave `amount` out of all calls",
    "since_last_turn_ms": "make it the first turn",
    "since_handoff_ms": "let no handoff come before it",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that no test reaches: of which rule, what of it (empty: the rule itself), and what to write."""

    rule_id: str
    of: str
    missing: str
    advice: str


def gaps(covered: Iterable[RuleCoverage]) -> Iterator[Gap]:
    """Yield all that is not reached; of a rule that never fires only that, since the rest follows from it."""
    for rule in covered:
        if not rule.cases:
            ways = " or ".join(_all_of(way.texts) for way in rule.ways[:3])
            yield Gap(rule.rule_id, "", "it never fires", f"write a turn on which this holds: {ways}")
            continue
        for way in rule.ways:
            if not way.taken:
                yield _of_way(rule, way)
        for comparison in rule.comparisons:
            yield from _of_comparison(rule, comparison)


def _of_way(rule: RuleCoverage, way: WayCoverage) -> Gap:
    others = dict.fromkeys(text for other in rule.ways for text in other.texts if text not in way.texts)
    besides = f", and none of {_listed(list(others))}" if others else ""
    advice = f"write a turn on which {_all_of(way.texts)} holds{besides}"
    return Gap(rule.rule_id, " and ".join(way.texts), "it never fires by this alone", advice)


def _of_comparison(rule: RuleCoverage, comparison: ComparisonCoverage) -> Iterator[Gap]:
    copy = "copy a case in which the rule fires"
    if rule.example is not None:
        name, span = rule.example
        copy = f"copy the case `{name}` ({span.file}:{span.line})"
    if not comparison.failed:
        advice = f"{copy} and change one thing: `{comparison.text}` no longer holds"
        yield Gap(rule.rule_id, comparison.text, "it never was the only one that failed", advice)
    if comparison.unknown is False:
        left_out = LEFT_OUT.get(comparison.signal, f"leave `{comparison.signal}` out")
        yield Gap(rule.rule_id, comparison.text, "it never was unknown", f"{copy} and {left_out}")


def _all_of(texts: Sequence[str]) -> str:
    return " and ".join(f"`{text}`" for text in texts)


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)
