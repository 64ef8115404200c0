"""File mode: the operators.yaml beside the rule files is taken up with every edit; a broken one changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rules.compile.operators import compile_operators
from rules.routing.operators import Operator
from service import rule_files
from service.api.rules_fault import RulesFault
from service.api.running import Running
from service.clock import now_ms
from service.compiling import beside
from service.errors import Refusal
from service.flows import operators
from service.rule_files import RulesUnreadable, located

# People come and go by the day, so nobody waits for this; rules are looked at more often.
LOOKED_AT_EVERY_MS = 1_000
ACTOR = "operators.yaml"
NOBODY = (
    f"{ACTOR} names nobody, and while nobody is declared every operator's key may claim everything; name who takes "
    f"handoffs, or say `handrail operators apply {ACTOR} --nobody` where that is meant"
)


async def watch_operators(running: Running, directory: Path) -> None:
    """Declare whom the file names, at once and after every edit. Never returns."""
    taken: Mapping[str, str] = {}
    read: _Read | None = None
    while True:
        found = await asyncio.to_thread(_texts, directory)
        if found is None:
            # Nobody knows what it says now, so what is told of it stays.
            pass
        elif not found or found == taken:
            # A directory without the file has operators that were declared otherwise, or none.
            read = None
            _undone(running)
        else:
            # What was refused may be mended by an edit of the rules, or by who else is declared.
            if read is None or not read.holds(found, running):
                read = await _compiled(running, directory, found)
            if await _take_up(running, read):
                taken, read = found, None
        await asyncio.sleep(LOOKED_AT_EVERY_MS / 1000)


async def unusable_at_start(running: Running, directory: Path) -> RulesFault | None:
    """Return why the file cannot be used while nobody was declared before, so that nothing stands in its place."""
    found = await asyncio.to_thread(_texts, directory)
    read = await _compiled(running, directory, found or {})
    if read.fault is None or await operators.any_declared(running.store, running.settings.tenant):
        return None
    return read.fault


@dataclass(frozen=True, slots=True)
class _Read:
    """Whom texts name, and why they cannot be used; mistakes are those that `check` tells of."""

    texts: Mapping[str, str]
    ruleset_hash: str
    operators: tuple[Operator, ...]
    fault: RulesFault | None

    def holds(self, texts: Mapping[str, str], running: Running) -> bool:
        """Return whether this is what would be read of the texts now."""
        return self.texts == texts and self.ruleset_hash == running.ruleset.hash


async def _take_up(running: Running, read: _Read) -> bool:
    """Declare whom the texts name, and return whether they were."""
    store, tenant, fault = running.store, running.settings.tenant, read.fault
    if fault is None and not read.operators and await operators.any_declared(store, tenant):
        # A file that was cut, more likely than a house in which everybody may take everything.
        fault = RulesFault(_since(running), NOBODY)
    if fault is None:
        try:
            await operators.declare(store, tenant, read.operators, ACTOR, now_ms(), replacing=True)
        except Refusal as refused:
            fault = RulesFault(_since(running), refused.detail)
    before = _told(running, fault)
    if fault is None:
        running.log.info("operators declared", count=len(read.operators))
    elif before is None or before.problems != fault.problems or before.fact != fault.fact:
        running.log.error("operators refused, those before stay", why=fault.why)
    return fault is None


def _undone(running: Running) -> None:
    """Tell nothing more of an edit that was refused and is gone: those before stay, and nothing else is asked for."""
    if _told(running, None) is not None:
        running.log.info("operators mended, the same as before")


def _told(running: Running, fault: RulesFault | None) -> RulesFault | None:
    """Let this be told of the file from now on, and return what was before."""
    before, running.operators_fault = running.operators_fault, fault
    running.metrics.operators_faulty = fault is not None
    return before


async def _compiled(running: Running, directory: Path, texts: Mapping[str, str]) -> _Read:
    ruleset = running.ruleset
    found, problems = await beside(lambda: compile_operators(texts)) if texts else ((), ())
    errors = tuple(problem for problem in located(problems, directory) if problem.severity == "error")
    fault = None
    if errors:
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        fault = RulesFault(_since(running), f"{ACTOR} has {count}", errors)
    elif strange := operators.strange_queues(found, ruleset.files.queues):
        fault = RulesFault(_since(running), f"{ACTOR}: {strange[0]}")
    return _Read(texts, ruleset.hash, found, fault)


def _since(running: Running) -> int:
    return now_ms() if running.operators_fault is None else running.operators_fault.since_at_ms


def _texts(directory: Path) -> Mapping[str, str] | None:
    """Return what the file says, nothing where there is none; None where it cannot be read."""
    try:
        return rule_files.read_operators(directory)
    except RulesUnreadable:
        return None
