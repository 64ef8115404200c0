"""`handrail replay --against`: what a candidate would decide otherwise than the active rules, over recorded turns."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rules.compile import files_or_raise
from rules.evaluate import Ruleset, build
from rules.turn_rows import Rows, stretches_of
from service import rule_files
from service.cli import delta_output
from service.cli.conversation_files import conversations, files_of
from service.cli.output import note, progress, refuse, say_json
from service.cli.replay_options import Options, Where
from service.cli.service_client import Service, service_at
from service.flows.deltas import compare
from service.turn_logs import HeldPart, LogPart, gathered, is_log, parts_of, write_part

_VERSION = re.compile(r"v?(\d{1,15})")
ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Named:
    """A ruleset and how the output calls it."""

    ruleset: Ruleset
    name: str


def replay_against(candidate: str, active: str, paths: list[Path], options: Options, where: Where) -> None:
    """Print what the candidate would decide otherwise than the active rules."""
    before, after = named(active, where), named(candidate, where)
    with progress("judging turns", None) as bar:
        parts = _parts(paths, [before.ruleset, after.ruleset], options)
        found = compare(
            parts, before.ruleset, after.ruleset, options.truth, lambda turns: bar.advance(bar.task_ids[0], turns)
        )
    if not found.delta.turns:
        refuse("the files hold no turn", "name files with at least one conversation, or a turn log that is not empty")
    if options.as_json:
        say_json(delta_output.as_json_of(found, after.name, before.name, after.ruleset, before.ruleset))
    else:
        delta_output.say_delta(found, after.name, before.name, after.ruleset, before.ruleset)


def named(name: str, where: Where) -> Named:
    """Return the ruleset of a path, of a version's number, or of the version that is active on the service."""
    path = Path(name)
    if path.exists():
        return Named(rule_files.load(path), name)
    version = _VERSION.fullmatch(name)
    if version is None and name != ACTIVE:
        refuse(f"`{name}` is no rule file, no version's number, and not `{ACTIVE}`", "name a directory that exists")
    service = service_at(where.url, where.key, where.data_dir)
    if version is not None:
        return _version(service, int(version[1]))
    told = service.get("/rulesets/active")
    if told["version"]:
        return _version(service, int(told["version"]))
    library = rule_files.load(rule_files.LIBRARY)
    if told["hash"] != library.hash:
        refuse(
            "the service decides by rule files that it does not hand out: no version is active",
            "name their directory instead of `active`",
        )
    return Named(library, "the shipped library")


def _version(service: Service, number: int) -> Named:
    told = service.get(f"/rulesets/{number}")
    texts = {name: text for name, text in told["texts"].items() if not name.endswith(rule_files.TESTS_ENDINGS)}
    return Named(build(files_or_raise(texts)), f"version {number}")


def _parts(paths: list[Path], rulesets: list[Ruleset], options: Options) -> Iterator[LogPart]:
    logs = [path for path in paths if is_log(path)]
    if logs and len(logs) < len(paths):
        refuse("turn logs and conversation files are compared apart", "run the command once for each")
    if logs:
        if options.limit is not None or options.write_log is not None:
            refuse("`--limit` and `--write-log` are for conversation files", "leave them out for a turn log")
        yield from itertools.chain.from_iterable(map(parts_of, logs))
        return
    yield from _held(paths, rulesets, options)


def _held(paths: list[Path], rulesets: list[Ruleset], options: Options) -> Iterator[LogPart]:
    recorded = itertools.islice(itertools.chain.from_iterable(map(conversations, files_of(paths))), options.limit)
    rows = Rows([ruleset.files for ruleset in rulesets], masked=options.write_log is not None)
    made = gathered(((each.conversation_id, stretches_of(each)) for each in recorded), rows)
    for number, part in enumerate(made):
        if options.write_log is not None:
            _write(options.write_log, HeldPart(part), number)
        yield HeldPart(part)


def _write(directory: Path, held: HeldPart, number: int) -> None:
    place = directory / f"part-{number:05d}"
    if place.exists():
        refuse(f"{place} exists", "name a new directory: a turn log is never written over")
    write_part(directory, held.part, place.name)
    note(f"wrote {held.part.turns.height:,} turns to {place}")
