"""File mode: the operators.yaml beside the rule files is taken up with every edit; a broken one changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from rules.compile.operators import compile_operators
from rules.files.errors import render
from service import rule_files
from service.api.running import Running
from service.clock import now_ms
from service.errors import Refusal
from service.flows import operators
from service.rule_files import RulesUnreadable, located

# People come and go by the day, so nobody waits for this; rules are looked at more often.
LOOKED_AT_EVERY_MS = 1_000
# A log line names this many problems of a refused edit; `handrail check` shows them all.
PROBLEMS_LOGGED_MAX = 5
ACTOR = "operators.yaml"


async def watch_operators(running: Running, directory: Path) -> None:
    """Declare whom the file names, at once and after every edit. Never returns."""
    taken: Mapping[str, str] = {}
    while True:
        found = await asyncio.to_thread(_read, directory)
        # A directory without the file has operators that were declared otherwise, or none.
        if found and found != taken:
            await _take_up(running, directory, found)
            taken = found
        await asyncio.sleep(LOOKED_AT_EVERY_MS / 1000)


async def _take_up(running: Running, directory: Path, texts: Mapping[str, str]) -> None:
    found, problems = compile_operators(texts)
    errors = [problem for problem in located(problems, directory) if problem.severity == "error"]
    if errors:
        running.log.error(
            "operators refused, those before stay", why="\n".join(map(render, errors[:PROBLEMS_LOGGED_MAX]))
        )
        return
    try:
        await operators.declare(running.store, running.settings.tenant, found, ACTOR, now_ms(), replacing=True)
    except Refusal as refused:
        running.log.error("operators refused, those before stay", why=refused.detail)
        return
    running.log.info("operators declared", count=len(found))


def _read(directory: Path) -> Mapping[str, str]:
    try:
        return rule_files.read_operators(directory)
    except RulesUnreadable:
        return {}
