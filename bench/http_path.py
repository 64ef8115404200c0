"""What a turn costs this process alone, bytes in to bytes out: no socket, no disk, no neighbour to wait for.

Both answers are asked by turns through uvicorn's own protocol classes; the store answers at once. Prints what the
quickest twentieth of the requests took, which a busy machine hardly changes, and writes bench/results/http_path.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from bench.http_load import bodies, requests
from bench.http_server import CONSTANT, constant, ruleset
from service import logs, settings
from service.api.escalation import PATH
from service.api.turn_protocol import turn_protocol
from service.clock import now_ms
from service.flows import keys
from service.main import create_app
from service.store.embedded import start_or_attach
from service.store.multiplexed import Reply, Word

RESULTS = Path(__file__).parent / "results" / "http_path.json"
ROUNDS, REQUESTS_A_ROUND = 12, 200


class AtOnce:
    """A link whose server has nothing to read and finds everything written, after one turn of the loop.

    `nothing` is what the real server says of a conversation that it does not know.
    """

    def __init__(self, nothing: Reply) -> None:
        self._nothing = nothing

    async def call(self, *words: Word, durable: bool = False) -> Reply:
        """Answer as commit_turn does, or load_conversation of a new conversation."""
        await asyncio.sleep(0)
        return [b"stored"] if durable else self._nothing

    async def close(self) -> None:
        """Hold nothing."""


class Wired(asyncio.Transport):
    """The far end of a connection: it tells when an answer is complete, and counts the writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.answered: asyncio.Future[None] | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take a piece; both answers are one JSON object at the end of the last. What is refused took another way."""
        self.writes += 1
        if bytes(data[:8]) == b"HTTP/1.1" and bytes(data[9:12]) != b"200":
            raise SystemExit(f"a request was not answered: {bytes(data[9:12]).decode()}")
        if self.answered is not None and bytes(data[-1:]) == b"}":
            self.answered.set_result(None)

    def is_closing(self) -> bool:
        """Return False: it stays."""
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Know nothing of the network."""
        return default


async def measure(url: str, data_dir: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Return for each way µs of the quickest twentieth and of the median request, and writes a request."""
    loop = asyncio.get_running_loop()
    handrail, plain = create_app(settings.load(data_dir=data_dir), url, ruleset()), constant()

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        await (plain if scope.get("path") == CONSTANT else handrail)(scope, receive, send)

    async with handrail.router.lifespan_context(handrail):
        store = handrail.state.running.store
        token = (await keys.create(store, "bench", "agent", "agent", now_ms())).token
        await handrail.state.running.callers.find(store, f"Bearer {token}".encode(), now_ms())
        await store.know("bench")
        place = store.place_of("bench", "new")
        nothing = await store.scripts.read(
            "load_conversation",
            conversation=place.conversation("new"),
            turns=place.turns("new"),
            decision=place.decision("new"),
        )
        store.scripts._link = AtOnce(nothing)
        prepared = bodies(1)
        ways = {
            "should_escalate": (PATH, turn_protocol(PATH, handrail.answer_turn)),
            "should_escalate over ASGI": (PATH, "auto"),
            "constant": (CONSTANT, "auto"),
        }
        open_ways = {}
        for name, (path, http) in ways.items():
            config = uvicorn.Config(both, http=http, lifespan="off", ws="none", access_log=False, log_level="warning")  # type: ignore[arg-type]
            config.load()
            state, wired = ServerState(), Wired()
            state.default_headers = [(b"date", b"Sat, 21 Nov 2026 11:00:00 GMT")]
            made: Any = config.http_protocol_class
            protocol = made(config=config, server_state=state, app_state={}, _loop=loop)
            protocol.connection_made(wired)
            open_ways[name] = (protocol, wired, requests(path, token, name.replace(" ", "-"), 0, prepared))
        took_us: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (protocol, wired, stream) in open_ways.items():
                for _ in range(REQUESTS_A_ROUND):
                    request, wired.answered = next(stream), loop.create_future()
                    started_s = time.perf_counter()
                    protocol.data_received(request)
                    await wired.answered
                    took_us[name].append((time.perf_counter() - started_s) * 1e6)
                    await asyncio.sleep(0)  # what the answer leaves behind is not the next one's
        return {name: _summary(took, open_ways[name][1].writes) for name, took in took_us.items()}


def _summary(took_us: list[float], writes: int) -> dict[str, float]:
    ordered, count = sorted(took_us), len(took_us)
    return {
        "p5_us": round(ordered[count // 20], 1),
        "p50_us": round(ordered[count // 2], 1),
        "writes": round(writes / count, 2),
    }


def main() -> None:
    """Measure, print, and write the result unless it was only a quick look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds; writes nothing")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hr-bench-") as where:
        directory = Path(where)
        embedded = start_or_attach(directory / "server")
        lines = logs.configure("info", "json", os.open(directory / "log", os.O_WRONLY | os.O_CREAT, 0o600))
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                found = runner.run(measure(embedded.url, directory / "data", 2 if given.quick else ROUNDS))
        finally:
            lines.close()
            embedded.close()
    result = {
        "what": "a turn in this process alone, bytes in to bytes out, with a store that answers at once",
        "rerun": "python -m bench.http_path",
        "ratio": round(found["constant"]["p5_us"] / found["should_escalate"]["p5_us"], 3),
        **found,
    }
    print(json.dumps(result, indent=2))
    if not given.quick:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
