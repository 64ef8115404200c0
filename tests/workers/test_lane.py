"""A lane runs the functions of JOBS and nothing else, and a nudge is sent once until it is begun."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Callback, Queue
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from service import settings
from service.flows.access import open_store
from service.flows.audit import AuditLog
from service.jobs import FUNCTIONS, JOBS, LANES
from service.store.embedded import Embedded
from workers import context, lane, nudges, rq_server
from workers.context import Context
from workers.lane import LaneWorker
from workers.mailer import Mailer
from workers.nudges import Nudges
from workers.sender import Sender

pytestmark = pytest.mark.server
SPEC = JOBS["expire"]


@pytest.fixture
def connection(server: Embedded) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, db=1) as opened:
        opened.flushdb()
        yield opened


@pytest.fixture(autouse=True)
def _no_signal_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    # Only here, where the worker is a part of the test's own process.
    monkeypatch.setattr(LaneWorker, "_install_signal_handlers", lambda self: None)


def run_all(connection: redis.Redis, name: Any = "timers") -> None:
    lane.worker(name, connection).work(burst=True)


def failures(connection: redis.Redis) -> list[str]:
    """Return the last line of why each job failed."""
    queue = lane.queue("timers", connection)
    jobs = [Job.fetch(each, connection, JSONSerializer) for each in FailedJobRegistry(queue=queue).get_job_ids()]
    return [str(getattr(job.latest_result(), "exc_string", "")).strip().splitlines()[-1] for job in jobs]


def planted(connection: redis.Redis, function: str, *args: object, **options: Any) -> None:
    """Put a job into the lane as anybody who can write to that Redis could."""
    Queue("handrail-timers", connection=connection, serializer=JSONSerializer).enqueue(function, *args, **options)


@pytest.mark.parametrize(
    "function", ["os.system", "subprocess.call", "workers.expire.now_ms", "workers.run.main", "builtins.exec"]
)
def test_a_function_that_is_no_job_is_not_run(connection: redis.Redis, tmp_path: Path, function: str) -> None:
    planted(connection, function, f"touch {tmp_path}/was-run")
    run_all(connection)
    assert failures(connection) == ["workers.lane.JobRefused: the job names no function of JOBS"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["on_success", "on_failure", "on_stopped"])
def test_a_callback_is_not_run(connection: redis.Redis, kind: str) -> None:
    planted(connection, SPEC.function, "tenant", 0, **{kind: Callback("os.getcwd")})
    run_all(connection)
    assert failures(connection) == ["workers.lane.JobRefused: the job names a callback"]


def test_a_job_that_is_not_json_stops_nobody(connection: redis.Redis, ran: list[object]) -> None:
    planted(connection, SPEC.function, "tenant", 0)
    (job_id,) = lane.queue("timers", connection).job_ids
    connection.hset(f"rq:job:{job_id}", "data", b"\x80\x04broken")
    Nudges(connection).send(SPEC, "tenant", 1)
    run_all(connection)
    assert ran == [("expire", "tenant", 1)]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the list of runs, each as it begins, of a job that does nothing."""
    begun: list[object] = []

    def run(tenant: str, partition: int) -> None:
        begun.append(("expire", tenant, partition))

    monkeypatch.setattr("workers.expire.run", run)
    return begun


def test_a_nudge_runs_its_job_and_leaves_nothing_behind(connection: redis.Redis, ran: list[object]) -> None:
    assert Nudges(connection).send(SPEC, "tenant", 3)
    run_all(connection)
    assert ran == [("expire", "tenant", 3)]
    assert connection.keys("rq:job:*") == []
    assert failures(connection) == []


def test_a_nudge_is_sent_once_until_it_is_begun(connection: redis.Redis) -> None:
    sender = Nudges(connection)
    assert [sender.send(SPEC, "tenant", 0) for _ in range(3)] == [True, False, False]
    assert sender.send(SPEC, "tenant", 1)
    assert sender.send(SPEC, "other", 0)
    sender.begun(SPEC, "tenant", 0)
    assert sender.send(SPEC, "tenant", 0)


def test_a_nudge_that_got_lost_is_sent_again(connection: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nudges, "LOST_AFTER_MS", 50)
    sender = Nudges(connection)
    assert sender.send(SPEC, "tenant", 0)
    # The worker that popped it is killed: nothing of it is left.
    connection.delete("rq:queue:handrail-timers")
    time.sleep(0.06)
    assert sender.send(SPEC, "tenant", 0)


def test_after_a_failed_run_the_same_work_rests_for_a_moment(
    connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nudges, "FAILED_PAUSE_MS", 60_000)
    sender = Nudges(connection)
    sender.failed(SPEC, "tenant", 0)
    assert not sender.send(SPEC, "tenant", 0)
    assert 0 < connection.pttl("hr:nudge:expire:tenant:0") <= nudges.FAILED_PAUSE_MS


def test_a_job_carries_nothing_but_names(connection: redis.Redis) -> None:
    Nudges(connection).send(SPEC, "tenant", 0)
    (key,) = connection.keys("rq:job:*")
    job = connection.hgetall(key)
    assert job[b"description"] == b"expire"
    fetched = Job.fetch(str(key, "utf-8").removeprefix("rq:job:"), connection, JSONSerializer)  # type: ignore[arg-type]
    assert (fetched.func_name, list(fetched.args), fetched.kwargs) == ("workers.expire.run", ["tenant", 0], {})


def test_the_words_of_a_failure_stay_out_of_redis(
    server: Embedded, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def fails(*_: object) -> int:
        raise ValueError("the customer said: my card is 4111 1111 1111 1111")

    monkeypatch.setattr("service.flows.handoffs.lapse_due", fails)
    monkeypatch.setattr(nudges, "FAILED_PAUSE_MS", 60_000)
    sender = Nudges(connection)
    with asyncio.Runner() as runner:
        store = runner.run(open_store(server.url))
        context.enter(
            Context(
                settings.load(),
                store,
                sender,
                Sender("public"),
                runner,
                "tests",
                AuditLog(tmp_path / "audit"),
                Mailer("public"),
            )
        )
        sender.send(SPEC, "tenant", 0)
        run_all(connection)
        runner.run(store.close())
    assert failures(connection) == ["workers.lane.JobFailed: expire: ValueError"]
    assert not any(b"4111" in _dumped(connection, key) for key in connection.keys("*"))
    # What failed is still due: it is nudged again, a little later.
    assert connection.exists("hr:nudge:expire:tenant:0")


def _dumped(connection: redis.Redis, key: bytes | str) -> bytes:
    kind = connection.type(key)
    if kind == b"hash":
        return repr(connection.hgetall(key)).encode()
    if kind == b"stream":
        return repr(connection.xrange(key)).encode()
    return b""


def test_a_stop_that_python_drops_is_noticed_at_the_next_wait(
    connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "DEQUEUE_WAIT_S", 1)
    waiting = lane.worker("timers", connection)
    # What is left of a SIGTERM whose exception fell into some object's `__del__`.
    threading.Timer(0.3, lambda: setattr(waiting, "_stop_requested", True)).start()
    begun = time.monotonic()
    waiting.work()
    assert time.monotonic() - begun < 20


def test_every_job_names_a_function_that_is_there_and_a_lane_that_runs() -> None:
    assert {spec.lane for spec in JOBS.values()} == set(LANES)
    assert len(FUNCTIONS) == len(JOBS)
    for spec in JOBS.values():
        module, _, name = spec.function.rpartition(".")
        assert callable(getattr(__import__(module, fromlist=[name]), name))
        assert json.loads(json.dumps([spec.name, spec.lane])) == [spec.name, spec.lane]


def test_a_cluster_needs_another_server_for_rq() -> None:
    given = settings.load(redis_url="redis://one:6379?cluster=true")
    with pytest.raises(rq_server.RqNeedsItsOwnServer) as fact:
        rq_server.address(given, str(given.redis_url))
    assert str(fact.value) == "RQ does not run on a cluster; set HANDRAIL_RQ_URL to a standalone server or a Sentinel"
    own = settings.load(redis_url="redis://one:6379?cluster=true", rq_url="redis://two:6379")
    assert rq_server.address(own, str(own.redis_url)) == "redis://two:6379"
