"""A turn log and 200 rules for the replay bench: always the same for the same seed. Nothing is timed here."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from rules.compile.rule_files import files_or_raise
from rules.model import RuleFiles
from rules.replay.turn_log import CALL_COLUMNS, STRETCH_COLUMNS, TURN_COLUMNS, About, Part, type_of
from rules.replay.turn_rows import Definition, definition_of
from service.turn_logs import write_part

RULES = 200
START_AT_MS = 1_790_000_000_000
PART_TURNS = 250_000
CONVERSATION_TURNS_MAX = 20
SETS = 400  # different sets of a column, as agents with some dozens of tools send them

TOPICS = tuple(f"topic_{number}" for number in range(60))
TOOLS = tuple(f"tool_{number}" for number in range(30))
SOURCES = tuple(f"kb_{number}" for number in range(20))
# column -> highest value, digits, share of turns on which it is unknown
NUMBERS: dict[str, tuple[float, int, float]] = {
    "confidence": (1, 3, 0.15),
    "sentiment": (2, 3, 0.2),
    "message_length": (600, 0, 0.1),
    "message_repeats": (3, 0, 0.1),
    "reply_length": (800, 0, 0.1),
    "reply_repeats": (3, 0, 0.1),
    "sources_count": (6, 0, 0.3),
    "tool_calls_count": (4, 0, 0),
    "tool_errors_count": (3, 0, 0),
    "writes_proposed_count": (2, 0, 0),
    "amount_usd_max": (900, 2, 0.7),
    "turn_count": (40, 0, 0),
    "elapsed_ms": (3_600_000, 0, 0),
    "since_last_turn_ms": (300_000, 0, 0.15),
    "tool_errors_total": (8, 0, 0),
    "handoffs_count": (3, 0, 0),
    "since_handoff_ms": (900_000, 0, 0.8),
    "sent.risk:number": (100, 1, 0.2),
}
# column -> its different texts, share of turns on which it is unknown
TEXTS: dict[str, tuple[Sequence[str], float]] = {
    "channel": (("chat", "voice", "mail", "sms", "social"), 0),
    "language": (("en", "es", "de", "fr", "pt", "it", "nl", "pl"), 0.1),
    "locale": (tuple(f"{one}-{two}" for one in ("en", "es", "de", "fr") for two in ("A", "B", "C")), 0.1),
    "customer.tier": (("free", "basic", "silver", "gold", "platinum"), 0.1),
    "agent.id": (tuple(f"agent{number}" for number in range(20)), 0),
    "agent.version": (tuple(f"7.{number}" for number in range(12)), 0),
    "agent.prompt_version": (tuple(f"p{number}" for number in range(30)), 0),
    "parent.agent": (tuple(f"agent{number}" for number in range(20)), 0.9),
    "sent.mood:text": (("calm", "tense", "angry", "lost"), 0.3),
    "sent.customer.plan:text": (tuple(f"plan{number}" for number in range(9)), 0.2),
}
BOOLS: dict[str, float] = {"message_present": 0, "draft_present": 0, "sent.flagged:bool": 0.3}
# column -> the members of its sets
SET_MEMBERS: dict[str, Sequence[str]] = {
    "topics_found": TOPICS,
    "topics_sent": TOPICS,
    "reply_topics_found": TOPICS,
    "sources": SOURCES,
    "tools": TOOLS,
    "tools_proposed": TOOLS,
    "tools_failed": TOOLS,
}
_SIGNAL_OF = {"topics_found": "topics", "topics_sent": "topics", "reply_topics_found": "reply_topics"}


def rule_files(*, looking_back: bool) -> RuleFiles:
    """Return 200 rules; `looking_back` makes two of ten hold an aggregate and two a tool call, as rule files do.

    A rule asks for two to four things at once, one rule in five has an `any`, one in ten a `not`.
    """
    rng = random.Random(11)
    lines = ["handrail: 1", "timezone: UTC", "topics:"]
    lines += [
        f"  {topic}: {{phrases: ['{topic.replace('_', ' number ')}'], inside: [message, reply]}}" for topic in TOPICS
    ]
    lines += ["signals:", "  risk: {type: number}", "  mood: {type: text}", "  flagged: {type: bool}"]
    lines += ["customer:", "  plan: {type: text}"]
    lines += ["queues:", "  tier1: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: We call.}}}"]
    lines.append("rules:")
    every = [*NUMBERS, *TEXTS, *BOOLS, *SET_MEMBERS]
    for number in range(RULES):
        # A signal is asked for once in a rule, for two bounds of one may contradict each other.
        columns = _columns(rng, every[number % len(every)], rng.choice((3, 4, 4, 5)))
        spare = columns.pop()
        parts = [_asked(rng, column) for column in columns]
        shape = number % 10
        if looking_back and shape in (2, 5):
            parts[-1] = _aggregate(rng)
        if looking_back and shape in (3, 7):
            parts[-1] = _call(rng)
        if shape in (0, 4):
            parts[-1] = f"{{any: [{parts[-1]}, {_asked(rng, spare)}]}}"
        if shape == 1:
            parts[-1] = f"{{not: {parts[-1]}}}"
        verdict = rng.choice(("review", "hold", "escalate"))
        lines.append(
            f"  - {{id: r{number}, why: because, when: {{all: [{', '.join(parts)}]}}, then: {{{verdict}: tier1}}}}"
        )
    return files_or_raise({"rules.yaml": "\n".join([*lines, ""])})


def _columns(rng: random.Random, first: str, count: int) -> list[str]:
    """Return that many columns of different signals: two of five numbers, one of four texts, a third sets."""
    columns = {_name(first): first}
    while len(columns) < count:
        kind = rng.random()
        among = tuple(NUMBERS if kind < 0.4 else TEXTS if kind < 0.65 else BOOLS if kind < 0.7 else SET_MEMBERS)
        column = rng.choice(among)
        columns.setdefault(_name(column), column)
    return list(columns.values())


def _name(column: str) -> str:
    return _SIGNAL_OF.get(column, column.removeprefix("sent.").partition(":")[0])


def _asked(rng: random.Random, column: str) -> str:
    """Return a comparison of a column that one turn in some meets."""
    name = _name(column)
    if column in NUMBERS:
        high, digits, _ = NUMBERS[column]
        low = rng.random() < 0.5
        share = rng.uniform(0.05, 0.3) if low else rng.uniform(0.7, 0.95)
        bound = round(high * share - (1 if column == "sentiment" else 0), digits)
        number = f"{bound:.0f}ms" if name.endswith("_ms") else f"{bound:g}"
        if name.endswith("_count") or name.endswith("_repeats") or name.endswith("_total"):
            number = f"{max(1, round(bound))}"
        return f"{name} {'<=' if low else '>='} {number}"
    if column in TEXTS:
        texts = TEXTS[column][0]
        if rng.random() < 0.6:
            return f"'{name} = \"{rng.choice(texts)}\"'"
        quoted = ", ".join(f'"{text}"' for text in rng.sample(list(texts), min(len(texts) - 1, 3)))
        return f"'{name} in [{quoted}]'"
    if column in BOOLS:
        return f"{name} = {rng.choice(('true', 'false'))}"
    return f"{name} {rng.choice(('has',) * 5 + ('lacks',))} {rng.choice(SET_MEMBERS[column])}"


def _aggregate(rng: random.Random) -> str:
    return rng.choice(
        (
            f"streak(confidence < {rng.randint(30, 60) / 100}) >= {rng.randint(2, 3)}",
            f"count(topics has {rng.choice(TOPICS)}) over 10 turns >= 2",
            f"count(tool_errors_count >= 1) over {rng.randint(3, 20)} turns >= {rng.randint(2, 5)}",
            f"avg(sentiment) over {rng.choice((5, 10))} turns < {rng.randint(-30, 0) / 100}",
            f"min(confidence) over {rng.choice((3, 5))} turns < 0.2",
            f"max(risk) over {rng.choice((5, 10, 15))}m > {rng.randint(80, 99)}",
            f"count(mood = angry) over {rng.choice((5, 10))}m >= 2",
            "last(sentiment) over 5 turns < -0.5",
        )
    )


def _call(rng: random.Random) -> str:
    return (
        f"{{tool_call: {{all: [name = {rng.choice(TOOLS)}, amount_usd > {rng.randint(100, 800)}, status = proposed]}}}}"
    )


def write_log(directory: Path, turns: int, files: RuleFiles) -> None:
    """Write a log of that many turns, in parts as a recording has them."""
    about = About({name: _definition(files, name) for name in TOPICS}, masked=True)
    for number, first in enumerate(range(0, turns, PART_TURNS)):
        write_part(directory, _part(min(PART_TURNS, turns - first), number, about), f"part-{number:05d}")


def _definition(files: RuleFiles, name: str) -> Definition:
    return definition_of(files.topics[name])


def _part(turns: int, seed: int, about: About) -> Part:
    rng = random.Random(seed)
    rows: list[int] = []
    left = turns
    while left:
        rows.append(min(rng.randint(1, CONVERSATION_TURNS_MAX), left))
        left -= rows[-1]
    stretch = pl.Series([number for number, count in enumerate(rows) for _ in range(count)], dtype=pl.UInt32)
    columns = {"stretch": stretch}
    draws = _Draws(turns, seed)
    columns["turn_id"] = "t" + pl.int_range(turns, eager=True).cast(pl.String)
    columns["at_ms"] = START_AT_MS + seed * 86_400_000 + pl.int_range(turns, eager=True) * 20_000
    columns |= {name: draws.number(*given) for name, given in NUMBERS.items()}
    columns["sentiment"] = columns["sentiment"] - 1
    columns |= {name: draws.text(*given) for name, given in TEXTS.items()}
    columns |= {name: draws.truth(unknown) for name, unknown in BOOLS.items()}
    columns |= {name: draws.text(_sets(members), 0.02) for name, members in SET_MEMBERS.items()}
    for found, length in (("topics_found", "message_length"), ("reply_topics_found", "reply_length")):
        # No topic is found in a text that there was not.
        known = columns[length].is_not_null()
        columns[found] = pl.select(pl.when(known).then(columns[found].fill_null("[]"))).to_series()
    calls = _calls(draws)
    columns["calls"] = _calls_text(calls, turns)
    names = [*TURN_COLUMNS, *(name for name in columns if name not in TURN_COLUMNS)]
    nothing = pl.Series([None] * turns)
    frame = pl.DataFrame({name: columns[name] if name in columns else nothing.cast(type_of(name)) for name in names})
    return Part(frame, calls, _stretches(rows), about)


class _Draws:
    """Columns of chance, each of its own seed, a million values in milliseconds."""

    def __init__(self, turns: int, seed: int) -> None:
        self._turns = turns
        self._seed = seed * 1_000

    def share(self, rows: int | None = None) -> pl.Series:
        """Return values from 0 up to 1."""
        self._seed += 1
        hashed = pl.int_range(rows or self._turns, dtype=pl.UInt64, eager=True).hash(self._seed)
        return (hashed // 2**11).cast(pl.Float64) / 2**53

    def number(self, high: float, digits: int, unknown: float) -> pl.Series:
        """Return numbers up to `high`."""
        return self._with_gaps((self.share() * high).round(digits), unknown)

    def text(self, texts: Sequence[str], unknown: float, rows: int | None = None) -> pl.Series:
        """Return one of the texts each."""
        categories = list(dict.fromkeys(texts))
        places = (self.share(rows) * len(texts)).cast(pl.UInt32)
        return self._with_gaps(pl.Series(texts, dtype=pl.Enum(categories)).gather(places), unknown)

    def truth(self, unknown: float) -> pl.Series:
        """Return true in one of five."""
        return self._with_gaps(self.share() < 0.2, unknown)

    def _with_gaps(self, values: pl.Series, unknown: float) -> pl.Series:
        if not unknown:
            return values
        return pl.select(pl.when(self.share(len(values)) >= unknown).then(values)).to_series()


def _sets(members: Sequence[str]) -> list[str]:
    """Return JSON lists to draw from, half of them empty: the same in every part, so that one scan reads all parts."""
    rng = random.Random(len(members))
    full = {json.dumps(sorted(rng.sample(list(members), rng.choice((1, 1, 2, 3))))) for _ in range(SETS)}
    return [*["[]"] * len(full), *sorted(full)]


def _calls(draws: _Draws) -> pl.DataFrame:
    """Return tool calls, one on every second turn on average."""
    rows = pl.int_range(draws.share().len(), dtype=pl.UInt32, eager=True).filter(draws.share() < 0.5)
    count = len(rows)
    columns = {
        "row": rows,
        "name": draws.text(TOOLS, 0, count),
        "write": draws.share(count) < 0.3,
        "amount_usd": (draws.share(count) * 900).round(2),
        "status": draws.text(("proposed", "ok", "error"), 0, count),
        "error": pl.Series([None] * count, dtype=pl.Enum([])),
        "has_error": draws.share(count) < 0.1,
        "args_items_max": pl.repeat(0.0, count, eager=True),
    }
    return pl.DataFrame({name: columns[name] for name in CALL_COLUMNS})


def _calls_text(calls: pl.DataFrame, turns: int) -> pl.Series:
    """Return each turn's calls as JSON, as the turn-by-turn engine reads them again."""
    texts: list[str | None] = [None] * turns
    for row, name, write, amount, status in calls.select("row", "name", "write", "amount_usd", "status").iter_rows():
        call = {"name": name, "args": {}, "write": write, "amount": amount, "status": status, "error": None}
        texts[row] = json.dumps([call])
    return pl.Series(texts, dtype=pl.String)


def _stretches(rows: Sequence[int]) -> pl.DataFrame:
    first = [0]
    for count in rows[:-1]:
        first.append(first[-1] + count)
    stretches = len(rows)
    columns: dict[str, pl.Series] = {
        "conversation_id": pl.Series([f"conv-{number}" for number in range(stretches)]),
        "first_row": pl.Series(first, dtype=pl.UInt32),
        "rows": pl.Series(rows, dtype=pl.UInt32),
        "odd": pl.repeat(False, stretches, dtype=pl.Boolean, eager=True),
        "synthetic_clock": pl.repeat(False, stretches, dtype=pl.Boolean, eager=True),
    }
    nothing = pl.Series([None] * stretches)
    return pl.DataFrame(
        {name: columns[name] if name in columns else nothing.cast(type_of(name)) for name in STRETCH_COLUMNS}
    )
