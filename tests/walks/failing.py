"""Agents and operators at work on one `serve` while the servers behind it fail: what they were told must stand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import cast

from service.flows import audit
from tests.walks import test_killed
from tests.walks.killing import Killer
from tests.walks.served import Served, wait_until
from tests.walks.test_killed import Shift, counted, differences, nobody_waits

AGENTS, OPERATORS = 4, 6
HANDOFFS = 30  # at the least; agents go on for as long as something fails
SETTLED_S = 120
PROGRESS = 6  # handoffs resolved after each fault, before the next one
PROGRESS_S = 60


class Failing(Shift):
    """A shift on one service that nobody kills; it ends once what was to fail has failed."""

    def __init__(self, served: Served) -> None:
        super().__init__([served, served], cast(Killer, None))
        self.over = asyncio.Event()

    def _met_all(self, number: int) -> bool:
        return self.over.is_set()


async def work_while(served: Served, fails: Callable[[Failing], Awaitable[None]]) -> Failing:
    """Let agents and operators work while something fails, and until all is settled; return what they were told."""
    shift = Failing(served)
    with contextlib.ExitStack() as stack:
        before = test_killed.HANDOFFS
        test_killed.HANDOFFS = HANDOFFS
        stack.callback(setattr, test_killed, "HANDOFFS", before)
        operators = [asyncio.create_task(shift.operator()) for _ in range(OPERATORS)]
        agents = [asyncio.create_task(shift.agent()) for _ in range(AGENTS)]
        try:
            await fails(shift)
        finally:
            shift.over.set()
        await asyncio.gather(*agents)

    def settled() -> bool:
        assert not any(task.done() for task in operators), "an operator gave up"
        return not list((served.data_dir / "spool").glob("*.json")) and nobody_waits(served)

    await asyncio.to_thread(wait_until, settled, SETTLED_S)
    shift.closing.set()
    await asyncio.gather(*operators)
    return shift


async def goes_on(shift: Failing) -> None:
    """Wait until work is done again: nobody has started anything anew."""
    before = len(shift.resolved)
    await asyncio.to_thread(wait_until, lambda: len(shift.resolved) >= before + PROGRESS, PROGRESS_S)


async def each_was_resolved_once(served: Served, shift: Shift) -> None:
    """Count what was acknowledged in the handoffs and in the audit log: opened and resolved once, and nothing else."""
    views = [await asyncio.to_thread(served.get, f"/handoffs/{handoff_id}") for handoff_id in shift.told.values()]
    once = Counter({view["id"]: 1 for view in views})
    assert len(once) == len(shift.told) >= HANDOFFS
    assert Counter(view["state"] for view in views) == {"resolved": len(once)}
    assert differences(shift.resolved, once) == {}
    records = served.data_dir / "audit"
    await asyncio.to_thread(wait_until, lambda: counted(records)["ended"].total() >= len(once), SETTLED_S)
    told = counted(records)
    for kind in ("handoff.opened", "handoff.resolved", "ended"):
        assert differences(told[kind], once) == {}, kind
    assert (await asyncio.to_thread(audit.verify, records)).broken is None


def make_keys(served: Served) -> None:
    """Make a key of each role with the command, as whoever runs a server of their own does."""
    made = {}
    for role in ("agent", "operator", "admin"):
        words = [sys.executable, "-P", "-m", "service", "keys", "create", f"walk-{role}", "--role", role, "--json"]
        told = subprocess.run(words, env=served.environment, capture_output=True, text=True, timeout=60, check=True)
        made[role] = json.loads(told.stdout)["token"]
    (served.data_dir / "keys.json").write_text(json.dumps(made))
