"""`handrail explain`: one turn against a rule directory, and why it is decided as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from rules.decision import FiredRule
from rules.evaluation import explain as reasons
from rules.evaluation.call_values import read_as
from rules.evaluation.evaluate import Evaluation, Ruleset, evaluate
from rules.evaluation.explain_json import fired_json, near_json, values_json
from rules.evaluation.near_misses import NearMiss, near_misses
from rules.evaluation.signals import read
from rules.evaluation.wording import unit_of, value_text
from rules.history import remember
from rules.model import STOPPING
from rules.say import of_rule
from rules.turn import Conversation, Turn
from service import rule_files
from service.api.arrival import whole
from service.api.problems import PROBLEMS, Refused
from service.api.turn_body import read_turn
from service.cli.output import JsonFlag, note, refuse, say, say_json, say_table
from service.cli.reasons import say_fired, say_near, say_verdict
from service.clock import now_ms

FILE_BYTES_MAX = 4_194_304  # a turn is at most a few hundred kB, an earlier conversation a few hundred turns
BETWEEN = re.compile(r"[\s,]*")  # what stands between the items of a list that is known to be JSON
TURN_GAP_MS = 30_000  # between earlier turns that do not say when they were


def explain(
    turn_file: Annotated[
        Path,
        typer.Argument(help="The turn as JSON, as sent to POST /should-escalate; `-` reads stdin.", metavar="TURN"),
    ],
    rules: Annotated[
        Path | None, typer.Option("--rules", help="Directory of rule files.  [default: the library]")
    ] = None,
    conversation: Annotated[
        Path | None, typer.Option("--conversation", help="Earlier turns: a JSON list, or one a line, oldest first.")
    ] = None,
    at_ms: Annotated[
        int | None, typer.Option("--at-ms", help="When the turn comes in (Unix ms).  [default: now]")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how a turn is decided: verdict, rules, the checks behind them, and what nearly fired.

    Nothing is sent and nothing is stored.

    \b
    Examples:
      echo '{"conversation_id": "c1", "message": "let me talk to a person"}' | handrail explain -
      handrail explain turn.json --rules my-rules --conversation earlier.jsonl
      handrail explain turn.json --json | jq -r .verdict
    """
    ruleset = rule_files.load(rules or rule_files.LIBRARY)
    turn = _turns(_read(turn_file), _name(turn_file))[-1]
    for fact in _unheard(ruleset, turn):
        note(f"warning: {fact}")
    moment = now_ms() if at_ms is None else at_ms
    earlier = _turns(_read(conversation), _name(conversation)) if conversation else []
    history = _history(ruleset, turn, earlier, moment)
    found = evaluate(ruleset, turn, history, moment)
    # A person who looks for the reason may miss a signal that no rule asks for yet.
    every = read(ruleset.files, turn, history, moment, found.evidence)
    found = replace(found, values={**every, **found.values})
    fired = reasons.fired(ruleset, found)
    near = near_misses(ruleset, found, history, moment)
    if as_json:
        say_json(_as_json(ruleset, found, fired, near))
    else:
        _print(ruleset, found, fired, near)


def _unheard(ruleset: Ruleset, turn: Turn) -> Iterator[str]:
    """Return one line for each value that the turn sends and no rule can hear."""
    sent = {**turn.signals, **{f"customer.{name}": value for name, value in turn.customer.attributes.items()}}
    for name, value in sent.items():
        declared = ruleset.files.signals.get(name)
        if declared is None:
            yield f"no rule file declares `{name}`, so no rule can ask for it"
        elif value is not None and read_as(value, declared.type) is None:
            yield f"`{name}` is declared as {declared.type} and sent as something else, so it is unknown"


def _name(path: Path) -> str:
    return "stdin" if str(path) == "-" else str(path)


def _read(path: Path) -> str:
    try:
        if str(path) == "-":
            return typer.get_text_stream("stdin").read(FILE_BYTES_MAX)
        if path.stat().st_size > FILE_BYTES_MAX:
            refuse(f"{path}: more than {FILE_BYTES_MAX} bytes", "give one turn, or the turns of one conversation")
        return path.read_text(encoding="utf-8")
    except OSError as away:
        refuse(f"{path}: {(away.strerror or 'cannot be read').lower()}", "give a file that holds the turn as JSON")
    except UnicodeDecodeError:
        refuse(f"{path}: not UTF-8", "save the file as UTF-8")


def _turns(text: str, name: str) -> list[Turn]:
    """Read one turn, a list of them, or one a line."""
    bodies = _bodies(text, name)
    if not bodies:
        refuse(f"{name}: no turn", "give a turn as POST /should-escalate takes it")
    places = (f"{name}: turn {number}" if len(bodies) > 1 else name for number in range(1, len(bodies) + 1))
    return [_turn(body.encode(), place) for body, place in zip(bodies, places, strict=True)]


def _bodies(text: str, name: str) -> list[str]:
    """Return each turn in its own bytes, which are what the service would be sent."""
    try:
        return _items(text) if isinstance(json.loads(text), list) else [text]
    except RecursionError:
        refuse(f"{name}: nested deeper than any turn is", "give a turn as POST /should-escalate takes it")
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
    try:
        for line in lines:
            json.loads(line)
    except (ValueError, RecursionError) as broken:
        refuse(
            f"{name}: not JSON ({getattr(broken, 'msg', 'broken')})", "give a turn as POST /should-escalate takes it"
        )
    return lines


def _items(text: str) -> list[str]:
    """Return the items of a list as they are written."""
    decoder, found = json.JSONDecoder(), []
    at = BETWEEN.match(text, text.index("[") + 1).end()  # type: ignore[union-attr]  # it matches nothing, too
    while text[at] != "]":
        _, end = decoder.raw_decode(text, at)
        found.append(text[at:end])
        at = BETWEEN.match(text, end).end()  # type: ignore[union-attr]  # as above
    return found


def _turn(raw: bytes, place: str) -> Turn:
    try:
        return read_turn(whole({}, raw))
    except Refused as refused:
        not_json = refused.code == "body_not_json"
        hint = PROBLEMS[refused.code].hint if not_json else "the service refuses it too; docs/api.md lists the limits"
        refuse(f"{place}: {refused.detail}", hint)


def _history(ruleset: Ruleset, turn: Turn, earlier: list[Turn], at_ms: int) -> Conversation:
    history = Conversation(turn.conversation_id)
    for place, before in enumerate(earlier):
        moment = at_ms - (len(earlier) - place) * TURN_GAP_MS
        history = remember(history, evaluate(ruleset, before, history, moment).record)
    return history


def _as_json(
    ruleset: Ruleset, found: Evaluation, fired: tuple[FiredRule, ...], near: tuple[NearMiss, ...]
) -> dict[str, object]:
    return {
        "conversation_id": found.turn.conversation_id,
        "turn_id": found.turn.turn_id,
        "verdict": found.verdict,
        "must_stop": found.verdict in STOPPING,
        "say": _say(ruleset, found),
        "queue": found.top.then.queue if found.top else None,
        "priority": found.top.then.priority if found.top else None,
        "ruleset": ruleset.hash,
        "rules": fired_json(fired),
        "nearest": near_json(near),
        "signals": values_json(found.values),
    }


def _print(ruleset: Ruleset, found: Evaluation, fired: tuple[FiredRule, ...], near: tuple[NearMiss, ...]) -> None:
    then = found.top.then if found.top else None
    say_verdict(found.verdict, then.queue if then else None, then.priority if then else None)
    words_said = _say(ruleset, found)
    if words_said:
        say(f"say: {words_said}")
    say_fired(found.turn, fired_json(fired))
    if not fired:
        say("no rule fired")
    say_near(near_json(near))
    say()
    told = {name: found.values[name] for name in sorted(found.values) if not name.startswith("_")}
    known = [(name, value_text(value, unit_of(name))) for name, value in told.items() if value is not None]
    say_table("what is known", ("signal", "value"), known)
    say("unknown: " + ", ".join(name for name, value in told.items() if value is None))


def _say(ruleset: Ruleset, found: Evaluation) -> str | None:
    if found.top is None:
        return None
    then = found.top.then
    return of_rule(then, ruleset.files.queues.get(then.queue or ""), found.turn.locale)
