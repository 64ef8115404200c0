"""What this process counts, and how /metrics shows it. Plain numbers on the way of a turn; families only at a scrape.

prometheus-client's own counters take a lock each; one event loop needs none, and a turn touches five of them.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds. The goal is a decision within a few milliseconds; the last ones show a store in trouble.
BUCKETS_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# Rules come and go with edits of the files; a process counts for this many of them, and the rest together.
RULE_LABELS_MAX = 2_000
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late timers were: how many by up to each bound, then how many by more, and the sum of all."""

    bounds_ms: tuple[int, ...]
    counts: tuple[int, ...]
    sum_ms: int


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many handoffs of a queue wait, are with an operator, or in the groups of floods, when they are scraped."""

    tenant: str
    queue: str
    waiting: int
    leased: int
    oldest_wait_ms: int
    grouped: int = 0


@dataclass(frozen=True, slots=True)
class ChannelFares:
    """How a channel fares, as the store has counted it since the channel was added, and what it is owed now."""

    tenant: str
    channel: str
    counts: Mapping[str, int]
    failures: int
    owed: int


@dataclass(frozen=True, slots=True)
class LastDrill:
    """How the last fire drill of a queue that has ended went; `took_ms` until somebody came, None where nobody did."""

    tenant: str
    queue: str
    ended_at_ms: int
    took_ms: int | None


@dataclass(frozen=True, slots=True)
class CallsOwed:
    """How many calls a tenant owes its customers, and how long ago the first of them was promised; 0 for none."""

    tenant: str
    count: int
    oldest_ms: int


# What is counted of a channel -> what it means.
CHANNEL_COUNTS: Mapping[str, str] = {
    "messages": "Messages that a channel took.",
    "told": "Handoffs told in messages that a channel took.",
    "held": "Handoffs that quiet hours kept back.",
    "failed": "Messages that a channel did not take.",
    "given_up": "Handoffs that were told to nobody in the end.",
}


@dataclass(slots=True)
class Metrics:
    """The counts of one process since it started."""

    decisions: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    degraded: int = 0
    rules_fired: Counter[str] = field(default_factory=Counter)
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    store_errors: int = 0
    rules_refused: int = 0
    rules_loaded: int = 0
    shadow_judged: Counter[str] = field(default_factory=Counter)
    shadow_errors: int = 0
    shadow_rules_fired: Counter[str] = field(default_factory=Counter)
    shadow_rules_raised: Counter[str] = field(default_factory=Counter)
    rules_faulty: bool = False
    rules_lost: int = 0
    operators_faulty: bool = False
    store_lacks: int = 0
    waits_open: int = 0
    shed: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _latency: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    _latency_sum_s: float = 0.0

    def decided(self, verdict: str, rule_ids: Iterable[str], repeated: bool, degraded: bool, took_s: float) -> None:
        """Count one answered turn; a repeated one is not a second decision."""
        self._latency[bisect_left(BUCKETS_S, took_s)] += 1
        self._latency_sum_s += took_s
        if repeated:
            self.repeated += 1
            return
        self.decisions[verdict] += 1
        if degraded:
            self.degraded += 1
        for rule_id in rule_ids:
            known = rule_id in self.rules_fired or len(self.rules_fired) < RULE_LABELS_MAX
            self.rules_fired[rule_id if known else OTHER] += 1

    def fired_in_shadow(self, rule_ids: Iterable[str]) -> None:
        """Count rules that fired without counting for the verdict."""
        for rule_id in rule_ids:
            known = rule_id in self.shadow_rules_fired or len(self.shadow_rules_fired) < RULE_LABELS_MAX
            self.shadow_rules_fired[rule_id if known else OTHER] += 1

    def raised_in_shadow(self, rule_ids: Sequence[str]) -> None:
        """Count rules that raised where they decide nothing; without a name where it is not known which."""
        for rule_id in rule_ids or ("",):
            known = rule_id in self.shadow_rules_raised or len(self.shadow_rules_raised) < RULE_LABELS_MAX
            self.shadow_rules_raised[rule_id if known else OTHER] += 1

    def exposition(
        self,
        depths: Sequence[QueueDepth],
        store_up: bool,
        late: Lateness | None = None,
        fares: Sequence[ChannelFares] = (),
        drills: Sequence[LastDrill] = (),
        pressures: Mapping[tuple[str, str], int] = MappingProxyType({}),
        calls: Sequence[CallsOwed] = (),
    ) -> bytes:
        """Return everything in the text format of Prometheus; `late` is how late the store knows timers to be.

        `pressures` are those of queues with a budget, in percent, by tenant and queue.
        """
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        registry.register(_Families(self, depths, store_up, late))
        registry.register(_ChannelFamilies(fares))
        registry.register(_DrillFamilies(drills))
        registry.register(_PressureFamilies(pressures))
        registry.register(_CallFamilies(calls))
        return generate_latest(registry)


class _Families:
    """One scrape's view of the counts, in the shape that prometheus-client collects."""

    def __init__(
        self,
        metrics: Metrics,
        depths: Sequence[QueueDepth],
        store_up: bool,
        late: Lateness | None,
    ) -> None:
        self._late = late
        self._metrics = metrics
        self._depths = depths
        self._store_up = store_up

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        counts = self._metrics
        yield _counter(
            "decisions", "Turns decided, by verdict.", ("verdict",), {(k,): v for k, v in counts.decisions.items()}
        )
        yield _counter(
            "rule_fires", "Live rules that fired.", ("rule_id",), {(k,): v for k, v in counts.rules_fired.items()}
        )
        yield _counter("decisions_repeated", "Turns answered with their stored decision.", (), {(): counts.repeated})
        yield _counter("decisions_degraded", "Turns decided without the store.", (), {(): counts.degraded})
        yield self._histogram()
        yield _counter(
            "handoff_moves",
            "Moves of operators, by verb and result.",
            ("verb", "result"),
            {(*label,): number for label, number in counts.moves.items()},
        )
        yield _counter(
            "http_answers", "Answers by route and status.", ("route", "status"),
            {(route, str(status)): number for (route, status), number in counts.answers.items()},
        )  # fmt: skip
        yield _counter(
            "problems", "Problems answered, by code.", ("code",), {(k,): v for k, v in counts.problems.items()}
        )
        yield _counter("store_errors", "Calls that found the store away.", (), {(): counts.store_errors})
        yield _counter(
            "shed",
            "Rules that asked people for less, as their queue was over its budget.",
            ("queue", "rule", "to"),
            {(*label,): number for label, number in counts.shed.items()},
        )
        yield _counter("rules_loaded", "Times that rule files took effect.", (), {(): counts.rules_loaded})
        yield from self._shadow()
        yield _counter("rules_refused", "Edits of rule files that were refused.", (), {(): counts.rules_refused})
        about = "1 while the rule files cannot be used and the rules before go on deciding."
        yield _gauge("rules_faulty", about, (), {(): int(counts.rules_faulty)})
        about = "Rules and regulated topics that edits took away or cut down within a day, and nobody put back."
        yield _gauge("rules_lost", about, (), {(): counts.rules_lost})
        about = "1 while the operators.yaml cannot be used and those before stay declared."
        yield _gauge("operators_faulty", about, (), {(): int(counts.operators_faulty)})
        about = "Ways in which the server is set to lose what was answered; 0 as it should be."
        yield _gauge("store_lacks", about, (), {(): counts.store_lacks})
        yield _gauge("waits_open", "Long polls of agents that are open.", (), {(): counts.waits_open})
        if self._late is not None:
            yield _late_family(self._late)
        yield _gauge("store_up", "1 when the store answered this scrape.", (), {(): int(self._store_up)})
        labels = ("tenant", "queue")
        yield _gauge("queue_waiting", "Handoffs that wait.", labels, {_of(d): d.waiting for d in self._depths})
        about = "Handoffs that wait behind the one that stands for their flood."
        yield _gauge("queue_grouped", about, labels, {_of(d): d.grouped for d in self._depths})
        yield _gauge("queue_leased", "Handoffs with an operator.", labels, {_of(d): d.leased for d in self._depths})
        yield _gauge(
            "queue_oldest_wait_seconds", "Age of the oldest handoff that waits.", labels,
            {_of(d): d.oldest_wait_ms / 1000 for d in self._depths},
        )  # fmt: skip

    def _shadow(self) -> Iterator[Metric]:
        """Yield what was judged beside the answers, and decided nothing."""
        counts = self._metrics
        yield _counter(
            "shadow_judged",
            "Turns judged by a version in shadow, by what came of it.",
            ("result",),
            {(k,): v for k, v in counts.shadow_judged.items()},
        )
        yield _counter(
            "shadow_errors", "Turns that a version in shadow could not judge.", (), {(): counts.shadow_errors}
        )
        yield _counter(
            "rule_shadow_fires",
            "Rules that fired in shadow, or outside of their rollout.",
            ("rule_id",),
            {(k,): v for k, v in counts.shadow_rules_fired.items()},
        )
        yield _counter(
            "rule_shadow_errors",
            "Rules in shadow, or outside of their rollout, that raised; the turns were decided without them.",
            ("rule_id",),
            {(k,): v for k, v in counts.shadow_rules_raised.items()},
        )

    def _histogram(self) -> HistogramMetricFamily:
        below = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), self._metrics._latency, strict=True):
            below += count
            buckets.append((bound, below))
        family = HistogramMetricFamily("handrail_decision_seconds", "From the request's arrival to its answer.")
        family.add_metric((), buckets, self._metrics._latency_sum_s)
        return family


def _late_family(late: Lateness) -> HistogramMetricFamily:
    bounds = (*(str(bound / 1000) for bound in late.bounds_ms), "+Inf")
    family = HistogramMetricFamily("handrail_timer_late_seconds", "Deadlines, steps and leases: how late they were.")
    family.add_metric((), list(zip(bounds, itertools.accumulate(late.counts), strict=True)), late.sum_ms / 1000)
    return family


class _ChannelFamilies:
    """One scrape's view of how channels fare."""

    def __init__(self, fares: Sequence[ChannelFares]) -> None:
        self._fares = fares

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        labels = ("tenant", "channel")
        for name, about in CHANNEL_COUNTS.items():
            values: dict[tuple[str, ...], int] = {
                (each.tenant, each.channel): each.counts.get(name, 0) for each in self._fares
            }
            yield _counter(f"channel_{name}", about, labels, values)
        failures: dict[tuple[str, ...], float] = {
            (each.tenant, each.channel): float(each.failures) for each in self._fares
        }
        yield _gauge("channel_failures", "Messages in a row that a channel did not take.", labels, failures)
        owed: dict[tuple[str, ...], float] = {(each.tenant, each.channel): float(each.owed) for each in self._fares}
        yield _gauge("channel_owed", "What a channel is owed, now or later.", labels, owed)


class _DrillFamilies:
    """One scrape's view of fire drills: the only series that they are in."""

    def __init__(self, drills: Sequence[LastDrill]) -> None:
        self._drills = drills

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        labels = ("tenant", "queue")
        passed: dict[tuple[str, ...], float] = {
            (each.tenant, each.queue): float(each.took_ms is not None) for each in self._drills
        }
        yield _gauge("drill_passed", "1 when somebody came to the last fire drill in time, else 0.", labels, passed)
        took: dict[tuple[str, ...], float] = {
            (each.tenant, each.queue): each.took_ms / 1000 for each in self._drills if each.took_ms is not None
        }
        yield _gauge("drill_came_seconds", "How long it took until somebody came to the last one.", labels, took)
        ended: dict[tuple[str, ...], float] = {
            (each.tenant, each.queue): each.ended_at_ms / 1000 for each in self._drills
        }
        yield _gauge("drill_ended_timestamp_seconds", "When the last fire drill ended, Unix time.", labels, ended)


class _PressureFamilies:
    """One scrape's view of how full the queues with a budget are."""

    def __init__(self, pressures: Mapping[tuple[str, str], int]) -> None:
        self._pressures = pressures

    def collect(self) -> Iterator[Metric]:
        """Yield the one family."""
        about = "Minutes spent and asked for, as a share of the queue's budget; missing while it is unknown."
        values: dict[tuple[str, ...], float] = {key: percent / 100 for key, percent in self._pressures.items()}
        yield _gauge("queue_pressure_ratio", about, ("tenant", "queue"), values)


class _CallFamilies:
    """One scrape's view of the calls that customers were promised."""

    def __init__(self, calls: Sequence[CallsOwed]) -> None:
        self._calls = calls

    def collect(self) -> Iterator[Metric]:
        """Yield both families."""
        owed: dict[tuple[str, ...], float] = {(each.tenant,): float(each.count) for each in self._calls}
        yield _gauge("calls_owed", "Calls that were promised to customers and that nobody has made.", ("tenant",), owed)
        oldest: dict[tuple[str, ...], float] = {(each.tenant,): each.oldest_ms / 1000 for each in self._calls}
        yield _gauge("calls_owed_oldest_seconds", "How long ago the first of them was promised.", ("tenant",), oldest)


def _of(depth: QueueDepth) -> tuple[str, str]:
    return depth.tenant, depth.queue


def _counter(name: str, about: str, labels: Sequence[str], values: dict[tuple[str, ...], int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"handrail_{name}", about, labels=labels)
    for label, value in sorted(values.items()):
        family.add_metric(label, value)
    return family


def _gauge(name: str, about: str, labels: Sequence[str], values: dict[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"handrail_{name}", about, labels=labels)
    for label, value in sorted(values.items()):
        family.add_metric(label, value)
    return family
