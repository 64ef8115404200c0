"""The one list of machine work: what each job is called, which lane it rides in, and how long it may take.

A job is only a nudge, a tenant and a partition or handoff: what is to be done stands in the store, so a lost job loses
nothing, a repeated one finds nothing to do, and none carries anything of a customer's. Names only: nothing runs here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

Lane: TypeAlias = Literal["timers", "events", "delivery", "telling"]
# One process a lane: a worker that listens on two queues and is killed after the pop loses the job. And a webhook
# receiver that hangs must make neither a deadline late nor the page of somebody who is on call.
LANES: tuple[Lane, ...] = ("timers", "events", "delivery", "telling")


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One kind of machine work. `run_ms_max` is when a run ends by itself; what it left is done by the next one."""

    name: str
    lane: Lane
    function: str
    run_ms_max: int
    about: str


JOBS: Mapping[str, JobSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            JobSpec("expire", "timers", "workers.expire.run", 20_000, "ends leases and deadlines that are due"),
            JobSpec("relay", "events", "workers.relay.run", 20_000, "makes deliveries of what stands in the outbox"),
            JobSpec("enrich", "events", "workers.enrich.run", 20_000, "builds a packet ahead of the claim"),
            JobSpec("deliver", "delivery", "workers.deliver.run", 30_000, "tells webhooks what happened"),
            JobSpec("tell", "telling", "workers.tell.run", 30_000, "tells people through their channels"),
        )
    }
)

# The only functions a worker calls, whatever stands in Redis under an RQ job's name.
FUNCTIONS: frozenset[str] = frozenset(spec.function for spec in JOBS.values())
