"""File mode: every edit of the directory decides within a second, and a broken one never takes the place of a good one.

Nothing is read from the directory while a turn is answered; the rules are swapped between two of them, in one step.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from rules.evaluation.evaluate import Ruleset, build
from rules.files.errors import RuleFileInvalid
from rules.files.files_hash import files_hash
from service import last_good, rules_loss
from service.api import rules_fault
from service.api.rules_fault import RulesFault
from service.api.running import Running
from service.clock import now_ms
from service.compiling import beside
from service.logs import failure
from service.rule_edits import Edits, Texts, pause_ms
from service.rule_files import RulesUnreadable
from service.rules_loss import LINES_LOGGED_MAX, RulesLoss
from service.rules_taken import NamedByTests, Taken, apart, taken


async def watch_rules(running: Running, directory: Path) -> None:
    """Make every edit of the directory active, and keep the last good rules when one is broken. Never returns."""
    # What was edited since the rules were read is new as well: until the service listens a second may pass.
    edits = Edits(directory, running.ruleset.hash, with_tests=True)
    while True:
        began_s = perf_counter()
        found = await asyncio.to_thread(edits.look)
        if found is not None:
            await take_up(running, directory, found)
        await asyncio.sleep(pause_ms((perf_counter() - began_s) * 1000 if found is None else 0) / 1000)


async def take_up(running: Running, directory: Path, found: Texts | RulesUnreadable) -> None:
    """Let these texts decide from the next turn on, or say loudly why the rules before go on."""
    if isinstance(found, RulesUnreadable):
        _refuse(running, RulesFault(_since(running), str(found)))
        return
    rules, _ = apart(found)
    name, fault = files_hash(rules), running.rules_fault
    if name == (running.ruleset.hash if fault is None else fault.files_hash):
        # Only tests were edited, and nothing that was told of the rules hangs on them.
        return
    began_s = perf_counter()
    try:
        made = await beside(lambda: _made(running, found, directory))
    except NamedByTests as gone:
        _refuse(running, rules_fault.of_tests(_since(running), gone.problems))
    except RuleFileInvalid as invalid:
        _refuse(running, rules_fault.of_problems(_since(running), invalid.problems, name))
    except RulesUnreadable as empty:
        _refuse(running, RulesFault(_since(running), str(empty), files_hash=name))
    except Exception as error:
        # A mistake of ours must not end the watch: the next edit may be one that we can read.
        running.log.error("rules not read", **failure(error))
        _refuse(running, RulesFault(_since(running), f"the rule files could not be read: {type(error).__name__}"))
    else:
        running.texts = rules
        running.rules_loss = made.loss
        _activate(running, made, perf_counter() - began_s)
        await _keep(running, directory, rules)


async def _keep(running: Running, directory: Path, texts: Texts) -> None:
    """Keep what decides now for a start that finds the directory broken, and what is told of those before."""
    at_ms, loss = now_ms(), running.rules_loss
    before = None if loss is None else loss.to_keep(at_ms)
    try:
        await asyncio.to_thread(last_good.keep, running.settings.data_dir, directory, texts, at_ms, before)
    except OSError as error:
        running.log.warning("rules not kept for the next start", **failure(error))


@dataclass(frozen=True, slots=True)
class _Made:
    """What came of texts: the ruleset, what is told of its files, and what they lost to be told with it."""

    ruleset: Ruleset
    result: Taken
    loss: RulesLoss | None


def _made(running: Running, texts: Texts, directory: Path) -> _Made:
    """Return what becomes active with these texts, all that takes long; raises what `taken` does."""
    before = running.ruleset.files
    result = taken(texts, directory, before)
    loss = rules_loss.after(running.rules_loss, before, result.files, now_ms(), running.texts)
    return _Made(build(result.files), result, loss)


def _activate(running: Running, made: _Made, took_s: float) -> None:
    ruleset, result = made.ruleset, made.result
    mended, running.rules_fault = running.rules_fault, None
    changed = ruleset.hash != running.ruleset.hash
    running.ruleset = ruleset
    running.metrics.rules_faulty = False
    if changed:
        running.metrics.rules_loaded += 1
    running.log.info(
        "rules active" if changed else "rules mended, the same as before",
        ruleset=ruleset.hash[:12],
        rules=len(ruleset.files.rules),
        warnings=len(result.warnings),
        mended_after_ms=None if mended is None else now_ms() - mended.since_at_ms,
        compiled_in_ms=round(took_s * 1000),
    )
    if result.lost.count and made.loss is not None:
        tell_of_loss(running, made.loss)


def tell_of_loss(running: Running, loss: RulesLoss) -> None:
    """Say in the log what the rules that decide now no longer ask for."""
    running.log.warning(
        "rules active, and they ask for less than those before",
        ruleset=running.ruleset.hash[:12],
        lost=loss.lost.said,
        why="\n".join(loss.lines(LINES_LOGGED_MAX)),
    )


def _refuse(running: Running, fault: RulesFault) -> None:
    running.rules_fault = fault
    running.metrics.rules_faulty = True
    running.metrics.rules_refused += 1
    running.log.error(
        "rules refused, the ones before go on deciding",
        ruleset=running.ruleset.hash[:12],
        since_at_ms=fault.since_at_ms,
        errors=len(fault.problems),
        why=fault.why,
    )


def _since(running: Running) -> int:
    """Return since when edits are refused: a second broken edit does not begin a new trouble."""
    return now_ms() if running.rules_fault is None else running.rules_fault.since_at_ms
