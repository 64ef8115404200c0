"""File mode: the operators.yaml beside the rule files is taken up with every edit; a broken one changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from rules.compile.operators import compile_operators
from rules.routing.operators import Operator
from service import rule_files
from service.api.rules_fault import RulesFault
from service.api.running import Running
from service.clock import now_ms
from service.errors import Refusal
from service.flows import operators
from service.rule_files import RulesUnreadable, located

# People come and go by the day, so nobody waits for this; rules are looked at more often.
LOOKED_AT_EVERY_MS = 1_000
ACTOR = "operators.yaml"


async def watch_operators(running: Running, directory: Path) -> None:
    """Declare whom the file names, at once and after every edit. Never returns."""
    taken: Mapping[str, str] = {}
    while True:
        found = await asyncio.to_thread(_read, directory)
        # A directory without the file has operators that were declared otherwise, or none.
        if found and found != taken and await _take_up(running, directory, found):
            taken = found
        await asyncio.sleep(LOOKED_AT_EVERY_MS / 1000)


async def unusable_at_start(running: Running, directory: Path) -> RulesFault | None:
    """Return why the file cannot be used while nobody was declared before, so that nothing stands in its place."""
    found = await asyncio.to_thread(_read, directory)
    _, fault = _compiled(running, directory, found)
    if fault is None or await operators.any_declared(running.store, running.settings.tenant):
        return None
    return fault


async def _take_up(running: Running, directory: Path, texts: Mapping[str, str]) -> bool:
    """Declare whom the texts name, and return whether they were: what is refused may be mended by an edit of rules."""
    found, fault = _compiled(running, directory, texts)
    if fault is None:
        try:
            await operators.declare(running.store, running.settings.tenant, found, ACTOR, now_ms(), replacing=True)
        except Refusal as refused:
            fault = RulesFault(_since(running), refused.detail)
    before, running.operators_fault = running.operators_fault, fault
    running.metrics.operators_faulty = fault is not None
    if fault is None:
        running.log.info("operators declared", count=len(found))
    elif before is None or before.problems != fault.problems or before.fact != fault.fact:
        running.log.error("operators refused, those before stay", why=fault.why)
    return fault is None


def _compiled(
    running: Running, directory: Path, texts: Mapping[str, str]
) -> tuple[tuple[Operator, ...], RulesFault | None]:
    """Return the operators of the texts, and why they cannot be used; mistakes are those that `check` tells of."""
    found, problems = compile_operators(texts) if texts else ((), ())
    errors = tuple(problem for problem in located(problems, directory) if problem.severity == "error")
    if errors:
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        return found, RulesFault(_since(running), f"{ACTOR} has {count}", errors)
    strange = operators.strange_queues(found, running.ruleset.files.queues)
    return found, RulesFault(_since(running), f"{ACTOR}: {strange[0]}") if strange else None


def _since(running: Running) -> int:
    return now_ms() if running.operators_fault is None else running.operators_fault.since_at_ms


def _read(directory: Path) -> Mapping[str, str]:
    try:
        return rule_files.read_operators(directory)
    except RulesUnreadable:
        return {}
