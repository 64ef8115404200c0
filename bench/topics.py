"""How well the library's topics read what people wrote: precision and recall on public collections, half by half.

`python -m bench.topics [DIRECTORY]` reads ../shared/data unless told otherwise. The words were written with the first
half of each collection in sight (a hash of the row's id decides); the second half was only counted. `--missed NAME` and
`--wrong NAME` print the sentences of the first half that a measure missed or hit by mistake, never those of the second.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

from rules.compile.rule_files import files_or_raise
from rules.decision import Inside
from rules.replay.scorecards import wilson
from rules.text.topics import Matcher

REPOSITORY = Path(__file__).parents[1]
LIBRARY = REPOSITORY / "rules" / "library"
SHARED = Path(os.environ.get("HANDRAIL_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
# More sentences than this are not read by anybody.
SHOWN_MAX = 80


@dataclass(frozen=True, slots=True)
class Measure:
    """What topics should find: rows with one of the labels `wanted`. Rows with a label of `beside` are not judged.

    Under `beside` stand labels whose sentences may or may not be meant, so that neither a hit nor a miss tells
    anything. `name` is what the result is called; it is the topic's own name where there is one.
    """

    name: str
    topics: frozenset[str]
    collection: str
    wanted: frozenset[str]
    beside: frozenset[str] = frozenset()
    inside: Inside = "message"


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled sentence."""

    id: str
    text: str
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Counted:
    """What came of a measure on one half: hits that were wanted, all hits, all wanted, and all other rows."""

    right: int
    hit: int
    wanted: int
    others: int


def _measure(name: str, topics: str, collection: str, wanted: str, beside: str = "") -> Measure:
    return Measure(name, _words(topics), collection, _words(wanted), _words(beside))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MEASURES: tuple[Measure, ...] = (
    _measure(
        "asks for a person", "asks_for_person pide_una_persona refuses_bot", "intents", "handoff", "banking77 clinc150"
    ),
    _measure(
        "payment_dispute, unauthorised_payment",
        "payment_dispute unauthorised_payment",
        "intents",
        "direct_debit_payment_not_recognised card_payment_not_recognised cash_withdrawal_not_recognised report_fraud",
        "compromised_card lost_or_stolen_card report_lost_card lost_stolen extra_charge_on_statement",
    ),
    _measure(
        "payment_error",
        "payment_error",
        "intents",
        "transaction_charged_twice wrong_amount_of_cash_received",
        "extra_charge_on_statement cash_withdrawal_not_recognised",
    ),
    _measure(
        "card_stolen, card_lost",
        "card_stolen card_lost",
        "intents",
        "lost_or_stolen_card compromised_card report_lost_card",
        "lost_stolen lost_or_stolen_phone replacement_card_duration card_payment_not_recognised report_fraud"
        " cash_withdrawal_not_recognised direct_debit_payment_not_recognised",
    ),
    _measure("abuse", "abuse", "convabuse", "abuse"),
    Measure(
        "tool_injection",
        _words("tool_injection"),
        "injection tau",
        _words("indirect"),
        _words("jailbreak"),
        "tool_output",
    ),
    _measure("prompt_attack", "prompt_attack", "injection intents", "jailbreak", "indirect"),
)


def half(identifier: str) -> int:
    """Return 0 for the half that was in sight while the words were written, 1 for the other."""
    return blake2b(identifier.encode(), digest_size=2).digest()[0] & 1


def rows(path: Path) -> Iterator[Row]:
    """Yield every row of a collection."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if path.name.startswith("tau"):
                yield from _tool_results(row)
            else:
                yield Row(row["id"], _text(row), _labels(row))


def _tool_results(row: dict[str, Any]) -> Iterator[Row]:
    """Yield what the tools of a recorded conversation gave back: none of it was prepared by anybody."""
    for turn in row["turns"]:
        if turn["role"] == "tool" and turn.get("text"):
            yield Row(f"{row['id']}-{turn['i']}", str(turn["text"]), frozenset({"tool"}))


def _text(row: dict[str, Any]) -> str:
    return str(row["text"] if "text" in row else row["turns"][row["label_turn"]]["text"])


def _labels(row: dict[str, Any]) -> frozenset[str]:
    if "intents" in row:
        return frozenset(row["intents"] or ()) | {row["source"].split("-")[0]}
    if "attack" in row:
        return frozenset({row["kind"].split(":")[0]})
    return frozenset({"abuse"} if row["abuse"] else ())


def matcher() -> Matcher:
    """Return what finds the topics of the shipped rule files."""
    paths = [path for path in LIBRARY.glob("*.yaml") if not path.name.endswith(".tests.yaml")]
    return Matcher(files_or_raise({path.name: path.read_text("utf-8") for path in paths}).topics)


def judged(measure: Measure, found: Matcher, directory: Path) -> Iterator[tuple[Row, bool, bool]]:
    """Yield the rows that a measure is about, whether each was hit, and whether it should have been."""
    for row in chain.from_iterable(rows(directory / f"{one}.dev.jsonl.gz") for one in measure.collection.split()):
        wanted = bool(row.labels & measure.wanted)
        if wanted or not row.labels & measure.beside:
            yield row, any(hit.topic in measure.topics for hit in found.find(row.text, measure.inside)), wanted


def counted(measure: Measure, found: Matcher, directory: Path) -> tuple[Counted, Counted]:
    """Return what came of the half that was in sight, and of the other."""
    totals = [[0, 0, 0, 0], [0, 0, 0, 0]]
    for row, hit, wanted in judged(measure, found, directory):
        total = totals[half(row.id)]
        for place, one in enumerate((hit and wanted, hit, wanted, not wanted)):
            total[place] += one
    first, second = (Counted(*total) for total in totals)
    return first, second


def told(result: Counted) -> str:
    """Return precision, recall and false hits as three cells of a table."""
    wrong = result.hit - result.right
    per_1000 = 1000 * wrong / result.others if result.others else 0.0
    precision, recall = _share(result.right, result.hit), _share(result.right, result.wanted)
    return f"{precision} | {recall} | {per_1000:.2f} ({wrong} of {result.others:,})"


def _share(part: int, whole: int) -> str:
    if not whole:
        return "none"
    low, high = wilson(part, whole)
    return f"{part / whole:.2f} ({part} of {whole}, {low:.2f} to {high:.2f})"


def main() -> None:
    """Print the table, or the sentences of the first half that a measure missed or hit by mistake."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, default=SHARED, help="where the collections are")
    parser.add_argument("--missed", metavar="NAME", help="what the measure of that name missed, first half")
    parser.add_argument("--wrong", metavar="NAME", help="what it hit by mistake, first half")
    options = parser.parse_args()
    absent = [one for one in _files(MEASURES) if not (options.directory / one).is_file()]
    if absent:
        parser.error(f"{options.directory} holds no {', '.join(absent)}; name the directory of the collections")
    found, named = matcher(), options.missed or options.wrong
    if named is not None:
        measure = next((each for each in MEASURES if each.name.startswith(named)), None)
        if measure is None:
            parser.error(f"no measure `{named}`; there are {', '.join(each.name for each in MEASURES)}")
        _print_rows(measure, found, options.directory, missed=options.missed is not None)
        return
    print("| topic | half | precision | recall | false hits in 1,000 others |\n|---|---|---|---|---|")
    for measure in MEASURES:
        for name, result in zip(("in sight", "other"), counted(measure, found, options.directory), strict=True):
            print(f"| {measure.name} | {name} | {told(result)} |")


def _files(measures: tuple[Measure, ...]) -> list[str]:
    return sorted({f"{one}.dev.jsonl.gz" for measure in measures for one in measure.collection.split()})


def _print_rows(measure: Measure, found: Matcher, directory: Path, *, missed: bool) -> None:
    in_sight = (each for each in judged(measure, found, directory) if not half(each[0].id))
    shown = [row for row, hit, wanted in in_sight if hit is not wanted and wanted is missed]
    for row in shown[:SHOWN_MAX]:
        print(f"{' '.join(sorted(row.labels))}: {' '.join(row.text.split())[:160]}")


if __name__ == "__main__":
    main()
