"""Sends turns over kept connections as fast as they are answered, from a process of its own, and prints what it saw."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import cast

import uvloop

from bench.kernel_path import _WORDS as WORDS

# A conversation of ten turns: on average five earlier turns are read with each.
TURNS_A_CONVERSATION = 10
BODIES = 2_000
# Every connection ends its last request at the latest so long after the end.
END_WAIT_S = 10


def bodies(seed: int) -> list[tuple[bytes, bytes]]:
    """Return turns of about 2 kB, split where the ids are put in."""
    rng = random.Random(seed)
    return [_body(rng) for _ in range(BODIES)]


def _body(rng: random.Random) -> tuple[bytes, bytes]:
    text, draft = (" ".join(rng.choices(WORDS, k=rng.randint(70, 110))) for _ in range(2))
    calls = [
        {"name": "lookup_order", "args": {"order_id": f"W{rng.randint(1, 9999)}"}, "write": False, "status": "ok"},
        {
            "name": rng.choice(("issue_refund", "cancel_order", "change_address", "send_mail")),
            "args": {"order_id": "W1", "reason": " ".join(rng.choices(WORDS, k=6)), "notify": True},
            "write": True,
            "amount": round(rng.lognormvariate(3.5, 0.8), 2),
            "status": "proposed",
        },
    ]
    turn = {
        "agent": {"id": "shop-agent", "version": "1.4.2", "prompt_version": "2026-11-01"},
        "channel": rng.choice(("chat", "voice", "mail", "sms")),
        "locale": "en-US",
        "customer": {"id": f"cus-{rng.randint(1, 99999)}", "tier": rng.choice(("free", "gold")), "country": "US"},
        "message": text.capitalize() + "?",
        "reply": draft.capitalize() + ".",
        "confidence": round(rng.betavariate(6, 2), 3),
        "sentiment": round(rng.triangular(-1, 1, 0.3), 3),
        "topics": [{"name": "order", "score": 0.91}],
        "tool_calls": calls[: rng.randint(0, 2)],
        "sources": ["faq/3", "orders/W1"],
        "signals": {"risk": round(rng.random(), 3)},
    }
    encoded = json.dumps(turn, separators=(",", ":")).encode()
    return b'{"conversation_id":"', b'",' + encoded[1:]


class Connection(asyncio.Protocol):
    """One kept connection: the next request goes out when the answer before is complete.

    With a `pause_s` it goes out no sooner than so long after the one before was due, and its latency counts from when
    it was due: a server that falls behind is not asked less for it.
    """

    def __init__(self, requests: Iterator[bytes], until_s: float, seen: Seen, pause_s: float, first_s: float) -> None:
        self._requests = requests
        self._until_s = until_s
        self._pause_s = pause_s
        self._due_s = first_s
        self._seen = seen
        self._buffer = b""
        self._sent_s = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        self._plan()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        head = buffer.find(b"\r\n\r\n")
        if head >= 0:
            at = buffer.find(b"content-length: ", 0, head) + 16
            if len(buffer) >= head + 4 + int(buffer[at : buffer.find(b"\r", at)]):
                self._buffer = b""
                self._answered(buffer)
                return
        self._buffer = buffer

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._seen.statuses["lost"] += 1
            self.done.set_result(None)

    def _answered(self, answer: bytes) -> None:
        now_s = time.perf_counter()
        self._seen.latencies_s.append(now_s - self._sent_s)
        self._seen.statuses[answer[9:12].decode()] += 1
        if b'"verdict":"' in answer:
            at = answer.find(b'"verdict":"') + 11
            self._seen.verdicts[answer[at : answer.find(b'"', at)].decode()] += 1
        if now_s < self._until_s:
            self._plan()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _plan(self) -> None:
        """Send the next request when it is due."""
        wait_s = self._due_s - time.perf_counter() if self._pause_s else 0.0
        if wait_s > 0:
            asyncio.get_running_loop().call_later(wait_s, self._next)
        else:
            self._next()

    def _next(self) -> None:
        self._sent_s = self._due_s if self._pause_s else time.perf_counter()
        self._due_s += self._pause_s
        self._transport.write(next(self._requests))


class Seen:
    """What all connections saw."""

    def __init__(self) -> None:
        self.latencies_s: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()


def requests(path: str, key: str, run: str, connection: int, prepared: list[tuple[bytes, bytes]]) -> Iterator[bytes]:
    """Yield a connection's requests: turns of one conversation after the other, no turn twice."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
        "content-type: application/json\r\ncontent-length: "
    ).encode()
    number = 0
    while True:
        before, after = prepared[(number + connection * TURNS_A_CONVERSATION) % BODIES]
        conversation, turn = divmod(number, TURNS_A_CONVERSATION)
        body = before + f'{run}-{connection}-{conversation}","turn_id":"{turn}'.encode() + after
        yield head + str(len(body)).encode() + b"\r\n\r\n" + body
        number += 1


async def load(port: int, path: str, key: str, run: str, connections: int, seconds: float, rate: float) -> Seen:
    """Load an address for a while and return what was seen; with a rate, so many requests a second over all."""
    loop, seen = asyncio.get_running_loop(), Seen()
    prepared = bodies(1)
    streams = [requests(path, key, run, number, prepared) for number in range(connections)]
    begun_s = time.perf_counter()
    until_s, pause_s = begun_s + seconds, connections / rate if rate else 0.0
    made = []
    for number, stream in enumerate(streams):
        # The connections take turns, so that the requests come evenly.
        first_s = begun_s + pause_s * number / connections
        made.append(
            await loop.create_connection(
                lambda stream=stream, first_s=first_s: Connection(stream, until_s, seen, pause_s, first_s),
                "127.0.0.1",
                port,
            )
        )
    await asyncio.wait([connection.done for _, connection in made], timeout=seconds + END_WAIT_S)
    return seen


def main() -> None:
    """Load one address and print what was seen."""
    parser = argparse.ArgumentParser()
    for name, kind in (
        ("port", int),
        ("path", str),
        ("key", str),
        ("run", str),
        ("connections", int),
        ("seconds", float),
        ("rate", float),
    ):
        parser.add_argument(name, type=kind)
    given = parser.parse_args()
    started_s = time.perf_counter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        words = (given.port, given.path, given.key, given.run, given.connections, given.seconds, given.rate)
        seen = runner.run(load(*words))
    latencies = sorted(seen.latencies_s)
    print(
        json.dumps(
            {
                "requests": len(latencies),
                "seconds": given.seconds,
                "wall_s": time.perf_counter() - started_s,
                "p50_ms": latencies[len(latencies) // 2] * 1000,
                "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
                "max_ms": latencies[-1] * 1000,
                "statuses": seen.statuses,
                "verdicts": seen.verdicts,
                "cpu_s": time.process_time(),
            }
        )
    )


if __name__ == "__main__":
    main()
