"""The one list of machine work: what each job is called, which lane it rides in, and how long it may take.

A job is only a nudge, `(tenant, partition)`: what is to be done stands in the store, so a lost job loses nothing, a
repeated one finds nothing to do, and none of them carries anything of a customer's. Names only: nothing runs here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

Lane: TypeAlias = Literal["timers", "delivery", "packets"]
# One process a lane: a worker that listens on two queues and is killed after the pop loses the job. And a webhook
# receiver that hangs must not make a deadline late.
LANES: tuple[Lane, ...] = ("timers", "delivery", "packets")


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
            JobSpec("deliver", "delivery", "workers.deliver.run", 30_000, "tells webhooks what happened"),
            JobSpec("enrich", "packets", "workers.enrich.run", 20_000, "builds packets ahead of the claims"),
        )
    }
)

# The only functions a worker calls, whatever stands in Redis under an RQ job's name.
FUNCTIONS: frozenset[str] = frozenset(spec.function for spec in JOBS.values())
