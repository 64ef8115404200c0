"""Two services, their workers and their server, killed at random while agents and operators are at work.

Every escalation that was acknowledged is resolved exactly once: counted from the answers, from the handoffs, and from
the audit log. `HANDRAIL_KILL_HANDOFFS=10000` makes it long, `HANDRAIL_KILL_SEED` another one,
`HANDRAIL_KILL_PAUSE_S=4` other pauses between the kills, `HANDRAIL_KILL_RESULT=FILE` writes down what it counted.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import time
from pathlib import Path

import pytest

from tests.walks.killing import Killer
from tests.walks.served import Served
from tests.walks.shift import ONCE, Plan, Shift, each_was_resolved_once

pytestmark = [
    pytest.mark.walk,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
HANDOFFS = int(os.environ.get("HANDRAIL_KILL_HANDOFFS", "200"))
SEED = int(os.environ.get("HANDRAIL_KILL_SEED", "4"))
PLAN = Plan(agents=6, operators=12, handoffs_min=HANDOFFS, settled_s=120 + HANDOFFS / 20)
# So many conversations at the most, until every part was killed and somebody was answered without the store.
CONVERSATIONS_MAX = HANDOFFS * 20
# Between two kills, on average: some come while the parts killed before are still starting.
PAUSE_S = float(os.environ.get("HANDRAIL_KILL_PAUSE_S", "1"))
RESULT = os.environ.get("HANDRAIL_KILL_RESULT")


async def test_every_acknowledged_escalation_is_resolved_exactly_once_whatever_is_killed(folder: Path) -> None:
    with Served(folder) as first, Served(folder) as second:
        began_s = time.monotonic()
        killer = Killer((first, second), SEED, (PAUSE_S / 5, PAUSE_S * 9 / 5))

        def met_all(shift: Shift) -> bool:
            """Return whether all that the test is for has come up, or will not."""
            return (killer.met_all and shift.degraded > 0) or shift.asked >= CONVERSATIONS_MAX

        shift = Shift((first, second), PLAN, met_all)
        await shift.work(lambda shift: killer.run(shift.all_asked), killer.raise_the_dead)
        took_s = time.monotonic() - began_s
        assert killer.met_all
        assert shift.degraded > 0
        verified = await each_was_resolved_once(shift, (*ONCE, "handoff.replied"))
    # Shown by `pytest -s`: what the long run is run for.
    found = {
        "handoffs": len(shift.told),
        "resolved_once": sum(shift.resolved.values()),
        "told_degraded": shift.degraded,
        "leases_lapsed": shift.lapsed,
        "kills": dict(sorted(killer.kills.items())),
        "audit_entries": verified.entries,
        "seconds": round(took_s),
        "seed": SEED,
        "pause_s": PAUSE_S,
        "machine": {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()},
    }
    sys.stdout.write(f"\n{json.dumps(found)}\n")
    if RESULT is not None:
        await asyncio.to_thread(Path(RESULT).write_text, json.dumps(found, indent=2) + "\n")
