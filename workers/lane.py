"""One RQ worker for one lane, which runs the functions of JOBS and nothing else that may stand in Redis."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from types import FrameType
from typing import Any

import redis
import structlog
from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError, StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker.base import WorkerStatus

from service.jobs import FUNCTIONS, Lane

QUEUE_PREFIX = "handrail-"  # other programs may keep their own RQ queues on the same server
WORKER_TTL_S = 25  # a dead worker leaves RQ's list after this; RQ's 420 s showed ghosts for minutes
MAINTENANCE_EVERY_S = 30  # RQ's own sweep only tidies its lists: lost nudges are sent again by the scheduler
DEQUEUE_WAIT_S = 5  # how long a wait for a job goes on after a stop that got lost; see `request_stop`
RECONNECT_WAIT_S_MAX = 1.0  # RQ's 60 s would leave timers standing for a minute after a short outage
FAILED_KEPT_S = 3_600  # what a failed job's trace is worth; its work is still due and is nudged again
RUN_MARGIN_MS = 10_000  # a run ends itself by its `run_ms_max`; RQ breaks it off only when it did not


AWAY_LOGGED_EVERY_S = 30  # RQ says once a second that its server is away; twice a minute is enough to know

log = structlog.get_logger("handrail.lane")


class JobFailed(Exception):
    """A run ended early; what it left is still due. The words of the cause stay out: they may quote a customer."""


class JobRefused(Exception):
    """A job in Redis names something that is none of JOBS; it is not run."""


class ListedJob(Job):
    """A job whose function is looked up in JOBS. The JSON serializer is no boundary: `os.system` is a name too."""

    @property
    def func(self) -> Callable[..., Any]:
        """Return the listed function of this job's name, or raise JobRefused."""
        name = self.func_name
        if self.instance is not None or name not in FUNCTIONS:
            raise JobRefused("the job names no function of JOBS")
        module, _, attribute = name.rpartition(".")
        function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        return function

    @property
    def success_callback(self) -> None:
        """Refuse callbacks: they are imported by name, past the list."""
        self._refuse(self._success_callback_name)

    @property
    def failure_callback(self) -> None:
        """Refuse callbacks."""
        self._refuse(self._failure_callback_name)

    @property
    def stopped_callback(self) -> None:
        """Refuse callbacks."""
        self._refuse(self._stopped_callback_name)

    def send_webhooks(self, status: object, *, exc_string: str | None = None) -> None:
        """Send nothing: an address that stands in a job is not one that an administrator has set."""

    def perform(self) -> Any:
        """Run the listed function, after looking at all that RQ would run beside it."""
        for name in (self._success_callback_name, self._failure_callback_name, self._stopped_callback_name):
            self._refuse(name)
        return super().perform()

    @staticmethod
    def _refuse(name: str | None) -> None:
        if name:
            raise JobRefused("the job names a callback")


class LaneWorker(SimpleWorker):
    """RQ's worker without forks (7 times as many jobs a second), remote commands and long pauses."""

    job_class = ListedJob
    max_connection_wait_time = RECONNECT_WAIT_S_MAX

    @property
    def dequeue_timeout(self) -> int:
        """Return how long, in seconds, one wait for a job lasts before the next begins."""
        return DEQUEUE_WAIT_S

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop after the present job, or at once.

        RQ's way is an exception out of the signal handler, which Python drops when it falls into some object's
        `__del__`: the worker would then wait for ever. So the wish is written down first, and `heartbeat` reads it.
        """
        self._stop_requested = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # RQ has no types

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Say that this worker lives, before every wait for a job; leave instead when it was told to stop."""
        if self._stop_requested and self.get_state() != WorkerStatus.BUSY:
            raise StopRequested
        super().heartbeat(timeout, pipeline)

    def subscribe(self) -> None:
        """Listen to no commands: the supervisor starts and stops this process, nobody on the network does."""

    def get_heartbeat_ttl(self, job: Job) -> int:
        """Return how long, in seconds, a running job counts as alive after its worker was last heard of."""
        return int(job.timeout or WORKER_TTL_S) + WORKER_TTL_S

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Say of a failure what may be said: RQ would write the exception's own words, over many lines."""
        if not isinstance(exc_info[1], JobFailed):
            log.error("job_refused", error=exc_info[0].__name__, lane=job.origin)

    def handle_job_failure(self, job: Job, queue: Queue, *rest: Any, **named: Any) -> None:
        """Let go of a job that cannot even be read, which RQ's own handling would stumble over."""
        try:
            super().handle_job_failure(job, queue, *rest, **named)
        except DeserializationError:
            job.delete(remove_from_queue=True)


def queue(lane: Lane, connection: redis.Redis) -> Queue:
    """Return the RQ queue of a lane."""
    return Queue(QUEUE_PREFIX + lane, connection=connection, job_class=ListedJob, serializer=JSONSerializer)


def worker(lane: Lane, connection: redis.Redis) -> LaneWorker:
    """Return the worker of a lane; its `work()` returns when the process is told to end or Redis stays away."""
    for name in ("rq.worker", "rq.job", "rq.queue"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("rq.worker").addFilter(_Seldom())
    return LaneWorker(
        [queue(lane, connection)],
        connection=connection,
        default_result_ttl=0,
        worker_ttl=WORKER_TTL_S,
        maintenance_interval=MAINTENANCE_EVERY_S,
        job_monitoring_interval=5,
        log_job_description=False,
        serializer=JSONSerializer,
    )


class _Seldom(logging.Filter):
    """Lets the line about a server that is away through once in a while, and every other line always."""

    def __init__(self) -> None:
        super().__init__()
        self._next_s = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if "could not connect to Redis" not in str(record.msg):
            return True
        if record.created < self._next_s:
            return False
        self._next_s = record.created + AWAY_LOGGED_EVERY_S
        return True
