"""`handrail replay --against`: what a candidate would decide otherwise than the active rules, over recorded turns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from rules.evaluation.evaluate import Ruleset, build
from rules.replay.turn_rows import Rows, stretches_of
from service.cli import delta_output
from service.cli.conversation_files import files_of
from service.cli.counted_once import Once, files_once, folders_once
from service.cli.named_rules import Where, named_rules
from service.cli.output import note, progress, refuse, say_json
from service.cli.replay_options import Options
from service.flows.deltas import compare
from service.turn_logs import HeldPart, LogPart, gathered, is_log, parts_of, write_part


def replay_against(candidate: str, active: str, paths: list[Path], options: Options, where: Where) -> None:
    """Print what the candidate would decide otherwise than the active rules."""
    old, new = named_rules([active, candidate], where)
    before, after = build(old.files), build(new.files)
    once = Once()
    with progress("judging turns", None) as bar:
        (task,) = bar.task_ids
        found = compare(
            _parts(paths, [before, after], options, once),
            before,
            after,
            options.truth,
            told=lambda turns: bar.update(task, advance=turns, description="judging turns"),
            looked=lambda texts: bar.update(task, description=f"looking through {texts:,} texts again"),
        )
    if not found.delta.turns:
        refuse("the files hold no turn", "name files with at least one conversation, or a turn log that is not empty")
    once.tell()
    if any(rule.when_busy for ruleset in (before, after) for rule in ruleset.files.rules):
        note("judged as if no queue was over its budget: `when_busy` sheds nothing here")
    if options.as_json:
        say_json(delta_output.as_json_of(found, new.name, old.name, after, before))
    else:
        delta_output.say_delta(found, new.name, old.name, after, before)


def _parts(paths: list[Path], rulesets: list[Ruleset], options: Options, once: Once) -> Iterator[LogPart]:
    logs = [path for path in paths if is_log(path)]
    if logs and len(logs) < len(paths):
        refuse("turn logs and conversation files are compared apart", "run the command once for each")
    if logs:
        if options.limit is not None or options.write_log is not None:
            refuse("`--limit` and `--write-log` are for conversation files", "leave them out for a turn log")
        parts = [part for log in logs for part in parts_of(log)]
        opened = {part.path: part for part in parts}
        yield from (opened[folder] for folder in folders_once(part.path for part in parts))
        return
    yield from _held(paths, rulesets, options, once)


def _held(paths: list[Path], rulesets: list[Ruleset], options: Options, once: Once) -> Iterator[LogPart]:
    recorded = itertools.islice(once.of(files_once(files_of(paths))), options.limit)
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
