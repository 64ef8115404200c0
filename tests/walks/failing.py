"""A shift on one `serve` while the servers behind it fail: how long it goes on, and the keys that it needs there."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable

from tests.waiting import wait_until
from tests.walks.served import Served
from tests.walks.shift import Plan, Shift

# Agents go on for as long as something fails.
PLAN = Plan(agents=4, operators=6, handoffs_min=30, settled_s=120)
PROGRESS = 6  # handoffs resolved after each fault, before the next one
PROGRESS_S = 60


async def work_while(served: Served, fails: Callable[[Shift], Awaitable[None]]) -> Shift:
    """Let agents and operators work while something fails, and until all is settled; return what they were told."""
    shift = Shift([served], PLAN, lambda shift: shift.faults_over.is_set())
    await shift.work(fails)
    return shift


async def goes_on(shift: Shift) -> None:
    """Wait until work is done again: nobody has started anything anew."""
    before = len(shift.resolved)
    await asyncio.to_thread(wait_until, lambda: len(shift.resolved) >= before + PROGRESS, PROGRESS_S)


def make_keys(served: Served) -> None:
    """Make a key of each role with the command, as whoever runs a server of their own does."""
    made = {}
    for role in ("agent", "operator", "admin"):
        words = [sys.executable, "-P", "-m", "service", "keys", "create", f"walk-{role}", "--role", role, "--json"]
        told = subprocess.run(words, env=served.environment, capture_output=True, text=True, timeout=60, check=True)
        made[role] = json.loads(told.stdout)["token"]
    (served.data_dir / "keys.json").write_text(json.dumps(made))
