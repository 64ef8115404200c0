"""`handrail try`: type what a customer writes, and see what the rules decide, turn by turn."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from rules.cases.values import TurnStep
from rules.model import STOPPING
from service import rule_files
from service.cli.named_rules import is_path, version_number
from service.cli.output import note, refuse, say
from service.cli.reasons import lack_text, say_fired, say_shed, say_verdict
from service.cli.service_client import DataDirOption, KeyOption, service_at
from service.cli.try_commands import COMMANDS, Done, run
from service.cli.try_rules import DirectoryRules, ServiceRules, TriedRules
from service.cli.try_session import CONVERSATION, Mistake, Reloaded, Session, Told
from service.clock import now_ms

try:
    import readline
except ImportError:  # Windows: lines are typed without history
    readline = None  # type: ignore[assignment]

PROMPT = "> "
# A line that is longer was not typed.
LINE_CHARS_MAX = 100_000


def try_rules(
    rules: Annotated[
        str | None,
        typer.Option(
            "--rules",
            metavar="RULES",
            help="Directory of rule files, or `active`, `staged` or the number of a version of a service.  "
            "[default: the library; with --url what is active there]",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="A service whose rules are tried.  [default for a version: HANDRAIL_URL]"),
    ] = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    at: Annotated[
        str | None, typer.Option("--at", help="When the conversation begins, as 2026-03-02T22:15.  [default: now]")
    ] = None,
    conversation: Annotated[
        str, typer.Option("--conversation", help="Its id, which decides whether a rollout counts.")
    ] = CONVERSATION,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line for each step.")] = False,
) -> None:
    """Type what a customer writes, and see what the rules decide, and why.

    Each turn shows its verdict, the words to say, the checks behind every rule that fired, and which rules nearly did
    and by how much. The conversation goes on from line to line, with a clock of its own: a turn comes 30 seconds after
    the one before. What else a turn says, the time that goes by and what an operator does are commands that begin with
    `/`; /help shows them. Rule files that are saved meanwhile are taken over at once, and the conversation is played
    again. With --url the rules of a running service are tried: it answers as for a turn and stores nothing. Lines may
    also come from a pipe: then the first one that cannot be understood ends it, with exit code 2.

    \b
    Examples:
      handrail try --rules my-rules
      handrail try --url https://handrail.example.com
      handrail try --url https://handrail.example.com --rules 4
      printf '/confidence 0.4\\nwhere is it?\\n' | handrail try --json | jq -r .verdict
    """
    session = Session(_tried_rules(rules, url, key, data_dir), now_ms() // 1000 * 1000, conversation)
    show = _Json() if as_json else _Text(session)
    typed = sys.stdin.isatty()
    if at is not None:
        try:
            run(session, f"/at {at}")
        except Mistake as mistake:
            refuse(f"--at: {mistake.fact}", mistake.hint)
    show.greet(session, typed=typed)
    for number, line in _lines(typed, echo=not typed and not as_json):
        try:
            if _leaves(session, show, line):
                return
        except Mistake as mistake:
            _turn_down(mistake.fact if typed else f"line {number}: {mistake.fact}", mistake.hint, typed=typed)


def _tried_rules(rules: str | None, url: str | None, key: str | None, data_dir: Path | None) -> TriedRules:
    """Return the rules that the options name; ends the command where they contradict one another."""
    if url is None and (rules is None or is_path(rules)):
        return DirectoryRules(rule_files.LIBRARY if rules is None else Path(rules))
    if rules is not None and is_path(rules):
        refuse(f"--rules {rules} is a directory, and --url a service", "leave out one, or name a version with --rules")
    service = service_at(url or os.environ.get("HANDRAIL_URL"), key, data_dir)
    return ServiceRules(service, None if rules in (None, "active") else version_number(str(rules), service))


def _turn_down(fact: str, hint: str, *, typed: bool) -> None:
    """Say why a line is not done: whoever types goes on with the next, what comes from a pipe ends there."""
    if not typed:
        refuse(fact, hint)
    note(f"{fact}; {hint}" if hint else fact)


def _leaves(session: Session, show: _Text | _Json, line: str) -> bool:
    """Do what a line says, and return whether it ends the session. Raises Mistake, and nothing else.

    Whatever goes wrong with one line, the conversation so far is somebody's work and outlives it.
    """
    try:
        show.reloaded(session.reload())
        done = run(session, line)
        show.done(done)
    except (Mistake, BrokenPipeError, typer.Exit):
        raise
    except Exception as error:  # a fault of one line, whatever it is, is told and ends nothing
        fact = f"that could not be done ({type(error).__name__}: {error})"
        raise Mistake(fact, "the conversation is kept, /save writes it down") from error
    return done.leave


def _lines(typed: bool, *, echo: bool) -> Iterator[tuple[int, str]]:
    """Yield every line that is typed or piped in and says something, with its number, until it ends."""
    if typed and readline is not None:
        readline.set_completer_delims(" ")
        readline.set_completer(_complete)
        readline.parse_and_bind("tab: complete")
    for number in itertools.count(1):
        try:
            line = input(PROMPT if typed else "")
        except EOFError:
            if typed:
                say()
            return
        except KeyboardInterrupt:
            if not typed:
                raise
            # As a shell does it: the line is dropped, the session goes on.
            say()
            continue
        except UnicodeDecodeError:
            _turn_down("the input is not UTF-8", "save it as UTF-8", typed=typed)
            continue
        line = line.strip()
        if len(line) > LINE_CHARS_MAX:
            _turn_down(f"a line of more than {LINE_CHARS_MAX} characters", "a message has 32,768 at most", typed=typed)
        elif line and not line.startswith("#"):
            if echo:
                say(f"{PROMPT}{line}")
            yield number, line


def _complete(begun: str, number: int) -> str | None:
    """Return the command of that number that begins with what is typed; readline asks until there is none."""
    found = [f"/{name}" for name in COMMANDS if f"/{name}".startswith(begun)] if begun.startswith("/") else []
    return found[number] if number < len(found) else None


class _Text:
    """Shows steps as a person reads them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def greet(self, session: Session, *, typed: bool) -> None:
        """Tell what is tried, and how to go on."""
        if typed:
            title, rules = session.rules.title, session.names.rules
            say(f"{title}: {rules} rules. Type what a customer writes; /help shows the rest.")

    def reloaded(self, reloaded: Reloaded | None) -> None:
        """Tell that rule files were edited, and what that changes of the conversation."""
        if reloaded is None:
            return
        if reloaded.fault is not None:
            note(f"the rule files were edited and cannot be used; the rules before go on\n{reloaded.fault}")
            return
        say(f"{reloaded.what}: {self._session.names.rules} rules decide now")
        for number, before, now in reloaded.changes:
            say(f"  step {number} was {before}, and is {now}")

    def done(self, done: Done) -> None:
        """Show what a line led to."""
        if done.told is not None:
            self._told(done.told)
        for line in (done.line, *done.lines):
            if line:
                say(line)

    def _told(self, told: Told) -> None:
        if told.found["timed_out"] is not None:
            _fell_due(told.found["timed_out"])
        if isinstance(told.step, TurnStep):
            self._turn(told.step, told.found)
        else:
            self._move(told.found)
        say()

    def _turn(self, step: TurnStep, found: Mapping[str, Any]) -> None:
        verdict, handoff = found["verdict"], found["handoff"]
        say_verdict(verdict, None if verdict == "held_by_human" else found["queue"], found["priority"])
        if found["say"]:
            say(f"say: {found['say']}")
        say_fired(step.turn, found["rules"])
        say_shed(found["shed"])
        if not found["rules"]:
            say("no rule fired")
        for miss in found["nearest"]:
            say(f"nearly: {miss['id']} ({miss['verdict']})")
            for lack in miss["lacks"]:
                say(f"  {lack_text(lack)}")
        if handoff is not None and verdict in STOPPING | {"review"}:
            say(self._waits(handoff))

    def _waits(self, handoff: Mapping[str, Any]) -> str:
        """Return who has the conversation, until when, and what ends that."""
        queue, expires_at_ms = handoff["queue"], handoff["expires_at_ms"]
        if handoff["state"] != "waiting":
            return f"an operator of `{queue}` has it: /hand-back or /resolve ends that"
        if expires_at_ms is None:
            return f"waits in `{queue}` until somebody takes it: /hand-back or /resolve ends that"
        until = f"waits in `{queue}` until {self._clock(expires_at_ms)}, then {handoff['on_timeout']}"
        return f"{until}: /hand-back, /resolve or /timeout ends that"

    def _move(self, found: Mapping[str, Any]) -> None:
        move, handoff, moment = found["kind"], found["handoff"], self._clock(found["at_ms"])
        if move in ("wait", "timeout"):
            say(f"it is {moment}")
        elif move in ("hand_back", "resolve"):
            ended = "handed back to the agent" if move == "hand_back" else "resolved"
            say(f"{moment}: {ended}; what came before counts no more")
        else:
            say(f"{moment}: {self._waits(handoff)}" if handoff is not None else moment)

    def _clock(self, at_ms: int) -> str:
        zone = ZoneInfo(self._session.names.timezone)
        try:
            return f"{datetime.fromtimestamp(at_ms / 1000, zone):%a %H:%M:%S}"
        except (ValueError, OverflowError, OSError):
            return "a day that no calendar has"


def _fell_due(timed_out: Mapping[str, Any]) -> None:
    if timed_out["queue"] is not None:
        say(f"nobody came in time: it went on to `{timed_out['queue']}`")
        return
    words = f", say: {timed_out['say']}" if timed_out["say"] else ""
    say(f"nobody came in time: {timed_out['verdict']}{words}")


class _Json:
    """Shows steps as JSON objects, one a line."""

    def greet(self, session: Session, *, typed: bool) -> None:
        """Tell nothing: the first line is the first step."""

    def reloaded(self, reloaded: Reloaded | None) -> None:
        """Tell that rule files were edited."""
        if reloaded is not None:
            changes = [{"step": number, "before": before, "now": now} for number, before, now in reloaded.changes]
            self._print({"reloaded": reloaded.fault is None, "fault": reloaded.fault, "changes": changes})

    def done(self, done: Done) -> None:
        """Show what was played; what was only set for a later turn shows there."""
        if done.told is not None:
            self._print(done.told.found)

    def _print(self, value: object) -> None:
        typer.echo(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode())
