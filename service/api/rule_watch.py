"""File mode: every edit of the directory decides within a second, and a broken one never takes the place of a good one.

Nothing is read from the directory while a turn is answered; the rules are swapped between two of them, in one step.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import perf_counter

from rules.compile.rule_files import compile_files
from rules.evaluation.evaluate import Ruleset, build
from rules.files.errors import RuleFileInvalid
from service import last_good, rule_files
from service.api import rules_fault
from service.api.rules_fault import RulesFault
from service.api.running import Running
from service.clock import now_ms
from service.compiling import beside
from service.logs import failure
from service.rule_edits import Edits, Texts, pause_ms
from service.rule_files import RulesUnreadable


async def watch_rules(running: Running, directory: Path) -> None:
    """Make every edit of the directory active, and keep the last good rules when one is broken. Never returns."""
    # What was edited since the rules were read is new as well: until the service listens a second may pass.
    edits = Edits(directory, running.ruleset.hash)
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
    began_s = perf_counter()
    try:
        ruleset, warnings = await beside(lambda: _compiled(found, directory))
    except RuleFileInvalid as invalid:
        _refuse(running, rules_fault.of_problems(_since(running), invalid.problems))
    except Exception as error:
        # A mistake of ours must not end the watch: the next edit may be one that we can read.
        running.log.error("rules not read", **failure(error))
        _refuse(running, RulesFault(_since(running), f"the rule files could not be read: {type(error).__name__}"))
    else:
        running.texts = found
        _activate(running, ruleset, warnings, perf_counter() - began_s)
        await _keep(running, directory, found)


async def _keep(running: Running, directory: Path, texts: Texts) -> None:
    """Keep what decides now for a start that finds the directory broken."""
    try:
        await asyncio.to_thread(last_good.keep, running.settings.data_dir, directory, texts, now_ms())
    except OSError as error:
        running.log.warning("rules not kept for the next start", **failure(error))


def _compiled(texts: Texts, directory: Path) -> tuple[Ruleset, int]:
    """Return the ruleset and the number of warnings. Raises RuleFileInvalid with places that an editor can open."""
    files, problems = compile_files(texts)
    if files is None:
        raise RuleFileInvalid(rule_files.located(problems, directory))
    return build(files), len(problems)


def _activate(running: Running, ruleset: Ruleset, warnings: int, took_s: float) -> None:
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
        warnings=warnings,
        mended_after_ms=None if mended is None else now_ms() - mended.since_at_ms,
        compiled_in_ms=round(took_s * 1000),
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
