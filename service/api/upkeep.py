"""What a serving process does beside answering: it watches its rule files and delivers what it had to keep back."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path

from rules.errors import RuleFileInvalid, render
from rules.evaluate import Ruleset
from service import rule_files
from service.api.running import Running
from service.errors import Refusal, StoreAway
from service.flows import degraded
from service.flows.spool import Spool
from service.logs import failure
from service.rule_files import RulesUnreadable

# A person who saved a file and turns to the other window finds the rules active.
RULES_LOOKED_AT_EVERY_MS = 1_000
# How soon after the store's return a kept handoff reaches its queue.
SPOOL_DRAINED_EVERY_MS = 1_000
# A log line names this many problems of a refused edit; `handrail check` shows them all.
PROBLEMS_LOGGED_MAX = 5


async def watch_rules(running: Running, directory: Path) -> None:
    """Make every edit of the directory active, and keep the last good rules when one is broken. Never returns."""
    seen = await asyncio.to_thread(_stamp, directory)
    while True:
        await asyncio.sleep(RULES_LOOKED_AT_EVERY_MS / 1000)
        now = await asyncio.to_thread(_stamp, directory)
        if now != seen:
            seen = now
            await reload(running, directory)


async def reload(running: Running, directory: Path) -> None:
    """Make the rules of the directory active, or say loudly why the ones before go on deciding."""
    try:
        ruleset = await asyncio.to_thread(rule_files.load, directory)
    except RuleFileInvalid as invalid:
        errors = [problem for problem in invalid.problems if not problem.code.startswith("W")]
        _refused(running, "\n".join(render(problem) for problem in errors[:PROBLEMS_LOGGED_MAX]))
    except RulesUnreadable as unreadable:
        _refused(running, str(unreadable))
    else:
        activate(running, ruleset)


def activate(running: Running, ruleset: Ruleset) -> None:
    """Let this ruleset decide from the next turn on."""
    changed = ruleset.files.hash != running.ruleset.files.hash
    running.ruleset, running.rules_fault = ruleset, None
    if changed:
        running.metrics.rules_loaded += 1
        running.log.info("rules active", ruleset=ruleset.files.hash[:12], rules=len(ruleset.files.rules))
        settle()


def settle() -> None:
    """Take what is loaded out of the garbage collector's sight: a full collection of it stops a process for 40 ms."""
    gc.collect()
    gc.freeze()


async def drain_spool(running: Running, kept: Spool) -> None:
    """Deliver what was decided while the store was away, as soon as it is back. Never returns."""
    while True:
        await asyncio.sleep(SPOOL_DRAINED_EVERY_MS / 1000)
        try:
            delivered = await degraded.drain(running.store, kept)
        except StoreAway:
            continue
        if delivered:
            running.log.info("spool delivered", decisions=delivered)


async def keep_on(running: Running, work: Callable[[], Awaitable[None]], pause_ms: int = 1_000) -> None:
    """Run a task that never returns, and run it again when it fails: an upkeep that died would die in silence."""
    while True:
        try:
            await work()
        except (Refusal, OSError, ValueError, RuntimeError) as error:
            running.log.error("upkeep failed", **failure(error))
            await asyncio.sleep(pause_ms / 1000)


def _refused(running: Running, why: str) -> None:
    running.rules_fault = why
    running.metrics.rules_refused += 1
    running.log.error("rules refused, the ones before go on deciding", ruleset=running.ruleset.files.hash[:12], why=why)


def _stamp(directory: Path) -> object:
    try:
        return rule_files.stamp(directory)
    except (RulesUnreadable, OSError):
        # A directory that vanishes for a moment (a checkout, a mount that is swapped) is looked at again.
        return None
