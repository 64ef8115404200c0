"""`handrail chain`: which agents had the work of a conversation, as a tree, and at whom it broke."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from service.cli.output import JsonFlag, say, say_json
from service.cli.service_client import DataDirOption, KeyOption, UrlOption, service_at

# Turns of one agent that are shown one by one; of more only the ends and what was not plain.
TURNS_SHOWN_MAX = 8


def chain(
    conversation_id: Annotated[str, typer.Argument(help="The conversation, by the id that its agents send.")],
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show which agents had the work of a conversation, and at whom it broke.

    Each agent stands under the one that handed the work over, with its turns, what was decided of them and the tools
    that failed. docs/chains.md says how agents name whom they got it from.

    \b
    Examples:
      handrail chain conv-1001
      handrail chain conv-1001 --json
    """
    told = service_at(url, key, data_dir).get(f"/conversations/{quote(conversation_id, safe='')}/chain")
    if as_json:
        say_json(told)
        return
    for line in lines_of(told):
        say(line)


def lines_of(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield the chain as a person reads it, line by line."""
    stations: Sequence[Mapping[str, Any]] = told["stations"]
    agents, handovers = len(told["agents"]), told["handovers"]
    returns = f", {told['returns']} back to one that had it before" if told["returns"] else ""
    yield f"{told['conversation_id']}: {_count(agents, 'agent')}, {_count(handovers, 'handover')}{returns}"
    if told["turns_before"]:
        yield f"  the first {_count(told['turns_before'], 'turn')} are no longer kept"
    for name in told["came_from"]:
        yield f"  came from conversation {name}"
    yield ""
    broke = told["broke"]
    for place, station in enumerate(stations):
        if station["under"] is None:
            yield from _tree(stations, place, "", "", broke)
    yield ""
    yield from _ending(broke)
    for each in told["disagreements"]:
        yield f"disagree: {each['sentence']}"
    if told["calls_not_compared"]:
        yield f"{_count(told['calls_not_compared'], 'call')} not compared: too many for one conversation"
    for each in told["odd"]:
        yield f"odd: turn {each['turn_id']} {each['fact']}"


def _tree(
    stations: Sequence[Mapping[str, Any]], place: int, first: str, further: str, broke: Mapping[str, Any] | None
) -> Iterator[str]:
    station = stations[place]
    under = [number for number, each in enumerate(stations) if each["under"] == place]
    yield f"{first}{_title(station)}"
    for line in _turns(station, broke if broke and broke["station"] == place else None):
        yield f"{further}{'│' if under else ' '}   {line}"
    for number in under:
        last = number == under[-1]
        lead, after = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield from _tree(stations, number, further + lead, further + after, broke)


def _title(station: Mapping[str, Any]) -> str:
    name = station["agent"] or "an agent that nobody named"
    if station["conversation_id"] is not None:
        return f"{name} (in conversation {station['conversation_id']})"
    if not station["turns"]:
        return f"{name} (sent no turn)"
    return f"{name} (had it before)" if station["returned"] else name


def _turns(station: Mapping[str, Any], broke: Mapping[str, Any] | None) -> Iterator[str]:
    turns = station["turns"]
    broke_at = None if broke is None else broke["turn_id"]
    hidden = 0
    for number, turn in enumerate(turns):
        ends = number < TURNS_SHOWN_MAX // 2 or number >= len(turns) - TURNS_SHOWN_MAX // 2
        plain = turn["verdict"] == "continue" and not turn["tool_errors"] and turn["turn_id"] != broke_at
        if plain and not ends:
            hidden += 1
            continue
        if hidden:
            yield f"… {_count(hidden, 'turn')}, continue"
            hidden = 0
        failed = f", failed: {', '.join(turn['tool_errors'])}" if turn["tool_errors"] else ""
        here = "  <- broke here" if turn["turn_id"] == broke_at else ""
        yield f"turn {turn['turn_id']}: {turn['verdict']}{failed}{here}"


def _ending(broke: Mapping[str, Any] | None) -> Iterator[str]:
    if broke is None:
        yield "no turn asked for a person"
        return
    agent = broke["agent"] or "an agent that nobody named"
    path = " > ".join(name or "?" for name in broke["path"])
    yield f"broke at {agent} in turn {broke['turn_id']}: {broke['verdict']} ({path})"
    for rule in broke["rules"] or ():
        yield f"  {rule['id']}: {rule['why']}"
        for because in rule["because"]:
            yield f"    {because}"
    if broke["rules"] is None:
        yield "  why is no longer kept"
    if broke["handoff_id"] is not None:
        yield f"  handoff {broke['handoff_id']}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
