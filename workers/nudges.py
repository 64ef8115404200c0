"""Nudges: telling a lane that there is work in one partition, once until it has begun. What the work is stands in the
store, so a nudge may get lost, come late or come twice."""

from __future__ import annotations

import redis

from service.jobs import JobSpec
from workers.lane import FAILED_KEPT_S, RUN_MARGIN_MS, queue

LOST_AFTER_MS = 5_000  # a nudge that was not begun by then is sent again; a lane that runs begins it in 2 ms
FAILED_PAUSE_MS = 1_000  # after a failed run the same work is nudged again this late: no tight loop of failures
WAIT_S_MAX = 60  # a nudge that lay this long is stale: its work has been nudged again since


class Nudges:
    """The open lanes of one RQ server. What is nudged and not yet begun is remembered there, for all processes."""

    def __init__(self, connection: redis.Redis) -> None:
        self._connection = connection

    def send(self, spec: JobSpec, tenant: str, *about: str | int) -> bool:
        """Nudge the job's lane; return whether a nudge was sent, or one is on its way already."""
        if not self._connection.set(_key(spec, tenant, about), 1, nx=True, px=LOST_AFTER_MS):
            return False
        queue(spec.lane, self._connection).enqueue_call(
            spec.function,
            args=(tenant, *about),
            timeout=(spec.run_ms_max + RUN_MARGIN_MS) // 1000,
            result_ttl=0,
            ttl=WAIT_S_MAX,
            failure_ttl=FAILED_KEPT_S,
            description=spec.name,
        )
        return True

    def begun(self, spec: JobSpec, tenant: str, *about: str | int) -> None:
        """Forget the nudge before its work begins: what becomes due from here on is nudged again."""
        self._connection.delete(_key(spec, tenant, about))

    def failed(self, spec: JobSpec, tenant: str, *about: str | int) -> None:
        """Hold back the next nudge for a moment."""
        self._connection.set(_key(spec, tenant, about), 1, px=FAILED_PAUSE_MS)


def _key(spec: JobSpec, tenant: str, about: tuple[str | int, ...]) -> str:
    return ":".join(("hr:nudge", spec.name, tenant, *map(str, about)))
