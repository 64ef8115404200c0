"""How a decision is shown at a terminal: the verdict, the words, the rules with their checks, and what nearly fired.

Decisions come as JSON (`rules.evaluation.explain_json`), made here or by a service, so both are shown alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rules.model import STOPPING
from rules.routing.shed import shed_of
from rules.turn import Turn
from service.cli.output import say

MATCHED_SHOWN_MAX = 60  # characters of a pattern: enough to find it in the rule files, where all of it stands


def say_verdict(verdict: str, queue: str | None, priority: str | None) -> None:
    """Print the verdict, where it leads, and whether the agent must stop."""
    where = f" to queue `{queue}`, priority {priority}" if queue else ""
    say(f"{verdict}{where}" + ("; reply and tool calls must wait" if verdict in STOPPING else ""), style="bold")


def say_fired(turn: Turn, fired: Iterable[Mapping[str, Any]]) -> None:
    """Print the rules that fired, the checks that made them, and the words of the turn that these rest on."""
    for rule in fired:
        say()
        live = "" if rule["live"] else " (not live here)"
        say(f"{rule['id']}: {rule['verdict']}{live}" + (f", {rule['why']}" if rule["why"] else ""))
        for check in rule["checks"]:
            say(f"  because {check['sentence']}")
            for hit in check["evidence"]:
                say(f"    {_found_words(turn, hit)}")


def say_shed(sheds: Iterable[Mapping[str, Any]]) -> None:
    """Print what was asked of people no more, as queues were over their budgets."""
    for shed in sheds:
        say()
        say(f"shed: {shed_of(shed).text}")


def say_near(near: Iterable[Mapping[str, Any]]) -> None:
    """Print the rules that nearly fired, and what each of them lacks."""
    for miss in near:
        say()
        say(f"{miss['id']}: would {miss['verdict']}, but it lacks")
        for lack in miss["lacks"]:
            say(f"  {lack_text(lack)}")


def lack_text(lack: Mapping[str, Any]) -> str:
    """Return what a rule lacks, and by how much where that can be measured."""
    return str(lack["sentence"]) if lack["distance"] is None else f"{lack['sentence']}: {lack['distance']}"


def _found_words(turn: Turn, hit: Mapping[str, Any]) -> str:
    """Return the words of the turn that a topic was found by, and the pattern where it says more than they do."""
    matched = str(hit["matched"])
    cut = matched if len(matched) <= MATCHED_SHOWN_MAX else f"{matched[:MATCHED_SHOWN_MAX]}…"
    if hit["inside"] == "tool_output":
        return f"in what a tool gave back, by `{cut}`"
    text = (turn.message if hit["inside"] == "message" else turn.reply) or ""
    words_found = text[hit["start"] : hit["end"]]
    place = f"`{words_found}` in the {hit['inside']}, characters {hit['start']} to {hit['end']}"
    if matched.casefold() == words_found.casefold():
        return place
    return f"{place}, by `{cut}`"
