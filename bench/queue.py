"""Times the queue on the real embedded server: claims by length and beside the raw script, timers, memory.

Ratios within one run. Writes bench/results/queue.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import platform
import random
import shutil
import statistics
import subprocess
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench.text import WORDS
from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.handoff import Assignment, wanted
from rules.turn import Customer, ToolCall, Turn
from service.clock import now_ms
from service.errors import StoreAway
from service.flows import deadlines, handoffs, operators
from service.flows.access import Store, open_store, start_or_attach
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, Lease
from service.store.handoffs import Candidate, Claim, claim
from service.store.multiplexed import Reply, Word
from service.store.scripts import library
from service.store.store import KEPT_MS

RESULTS = Path(__file__).parent / "results" / "queue.json"
LENGTHS = (10, 1_000, 10_000, 100_000)
CLAIMS = 400  # of each length, by turns
RAW_WAITING = 100_000
RAW_CLAIMS = 4_000  # of a round
FLOW_CLAIMS = 2_000  # of a round
ROUNDS = 5  # raw and flow by turns, so that both meet the same noise
CLIENTS = (1, 16)
TIMERS = 10_000
LENGTH_RATIO_MAX, FLOW_RATIO_MIN, LATE_P99_MS_MAX = 1.5, 0.5, 1_000
RULES = """\
handrail: 1
queues:
  desk:
    answer_within: 8h
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "A colleague is on the way."}
    needs: {fraud: 2}
    language: customer
rules:
  - {id: asks, why: the caller asks, when: channel = desk, then: {escalate: desk}}
"""
LANGUAGES = ("en", "es", "de", "fr")


def ruleset() -> Ruleset:
    """Return one queue that asks for a skill and a language, so that four classes wait."""
    return build(files_or_raise({"bench.yaml": RULES}))


async def opened(store: Store, rules: Ruleset, tenant: str, count: int, first: int = 0) -> None:
    """Open so many handoffs, a conversation each."""
    began_ms = now_ms()

    async def one(number: int) -> None:
        turn = Turn(f"c{number}", "t", channel="desk", locale=LANGUAGES[number % 4], message="my card was taken")
        await decide(store, rules, tenant, turn, began_ms + number % 1_000)

    for start in range(first, first + count, 64):
        await asyncio.gather(*(one(number) for number in range(start, min(start + 64, first + count))))


async def claim_by_length(store: Store, rules: Ruleset) -> dict[int, float]:
    """Return the median of a claim in microseconds for each length, taken by turns so that all meet the same noise."""
    taken: dict[int, list[float]] = {length: [] for length in LENGTHS}
    for length in LENGTHS:
        await opened(store, rules, f"length-{length}", length)
        await operators.declare(store, f"length-{length}", [], "bench", now_ms(), replacing=True)
    for _ in range(CLAIMS):
        for length in LENGTHS:
            began_s = time.perf_counter()
            claimed = await handoffs.claim_next(
                store, rules, f"length-{length}", "desk", Claiming("mia", 60_000), now_ms()
            )
            taken[length].append(time.perf_counter() - began_s)
            assert isinstance(claimed, Claimed)
            lease = Lease(claimed.handoff.handoff_id, claimed.token)
            await handoffs.release(store, f"length-{length}", lease, now_ms())
    return {length: statistics.median(times) * 1e6 for length, times in taken.items()}


class Heard:
    """A way to no server, which remembers what it was to send."""

    words: tuple[Word, ...] = ()

    async def call(self, *words: Word, durable: bool = False) -> Reply:
        """Remember it."""
        self.words = words
        raise StoreAway("nobody is asked")

    async def close(self) -> None:
        """There is nothing to let go of."""


async def raw_command(store: Store, rules: Ruleset, tenant: str) -> list[str]:
    """Let RAW_WAITING handoffs wait, and return the command that claims one of them, drawn at random."""
    place = store.places(tenant)[0]
    await opened(store, rules, tenant, 1)
    listed = await handoffs.list_open(store, tenant, None, None, None, 1)
    pattern = listed.handoffs[0]
    fields = await store.link.call("HGETALL", place.handoff(pattern.handoff_id))
    score, in_class = pattern.score_ms, wanted(pattern).text
    for start in range(0, RAW_WAITING, 500):
        ids = [f"hof_0_0000{number:012d}" for number in range(start, start + 500)]
        for handoff_id in ids:
            copied = [handoff_id.encode() if value == pattern.handoff_id.encode() else value for value in fields]
            store.link.call("HSET", place.handoff(handoff_id), *copied)
        await store.link.call("ZADD", place.waiting("desk"), *(word for each in ids for word in (score, each)))
        await store.link.call("ZADD", place.waiting_in(in_class), *(word for each in ids for word in (score, each)))
    heard = Heard()
    # What the flow itself sends for one candidate, but for the id.
    candidate = Candidate("hof_0_0000__rand_int__", "desk", in_class)
    assignment = Assignment("mia", now_ms(), "next", 4)
    asked = Claim("mia", "0123456789abcdef01234567", now_ms() + 60_000, "claim:mia:__rand_int__", assignment)
    with contextlib.suppress(StoreAway):
        await claim(Store("", heard, 1, KEPT_MS), place, [candidate], asked, now_ms())
    await store.link.call("SCRIPT", "LOAD", library()["claim"].source)
    return [word.decode() if isinstance(word, bytes) else str(word) for word in heard.words]


async def raw_claims(command: Sequence[str], socket: str, clients: int) -> float:
    """Return the claims a second of the script alone, sent by redis-benchmark.

    Some draw a handoff that was claimed before, up to a fifth at the end; those are quicker, which is in raw's favour.
    """
    asked = ["redis-benchmark", "-s", socket, "-c", str(clients), "-n", str(RAW_CLAIMS), "-r", str(RAW_WAITING)]
    done = await asyncio.to_thread(
        subprocess.run, [*asked, "--csv", *command], capture_output=True, text=True, check=True
    )
    # The last line: the command, requests a second, and six latencies.
    return float(done.stdout.strip().splitlines()[-1].split('","')[-7])


async def flow_claims(store: Store, rules: Ruleset, tenant: str, clients: int, *, ahead: bool) -> tuple[float, float]:
    """Return the claims a second through the flow in one process, and its processor time for one in microseconds.

    Look, script, packet, who has whom. `ahead`: workers have built the packets, as they do the moment a handoff opens.
    """
    await opened(store, rules, tenant, FLOW_CLAIMS)
    waiting = await store.link.call("ZRANGE", store.places(tenant)[0].open("desk"), 0, -1)
    for start in range(0, FLOW_CLAIMS if ahead else 0, 64):
        await asyncio.gather(
            *(handoffs.enrich(store, tenant, each.decode(), now_ms()) for each in waiting[start : start + 64])
        )
    left = FLOW_CLAIMS

    async def operator(name: str) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            claimed = await handoffs.claim_next(store, rules, tenant, "desk", Claiming(name, 600_000), now_ms())
            assert isinstance(claimed, Claimed)

    began_s, used_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(operator(f"op-{number}") for number in range(clients)))
    took_s, used_s = time.perf_counter() - began_s, time.process_time() - used_s
    return FLOW_CLAIMS / took_s, used_s * 1e6 / FLOW_CLAIMS


async def throughput(store: Store, rules: Ruleset, socket: str) -> dict[str, Any]:
    """Return the median claims a second of raw and flow, taken by turns, and the median of their ratios."""
    command = await raw_command(store, rules, "raw") if shutil.which("redis-benchmark") else None
    found: dict[str, Any] = {}
    for clients in CLIENTS:
        rounds = []
        for number in range(ROUNDS):
            raw = await raw_claims(command, socket, clients) if command else math.nan
            flow, cpu_us = await flow_claims(store, rules, f"flow-{clients}-{number}", clients, ahead=True)
            rounds.append((raw, flow, flow / raw, cpu_us))
        unbuilt, _ = await flow_claims(store, rules, f"unbuilt-{clients}", clients, ahead=False)
        raw, flow, ratio, cpu_us = (statistics.median(column) for column in zip(*rounds, strict=True))
        found[str(clients)] = {
            "raw_s": raw,
            "flow_s": flow,
            "ratio": ratio,
            "ratios": [row[2] for row in rounds],
            "flow_processor_us": cpu_us,
            "flow_packets_unbuilt_s": unbuilt,
        }
    return found


async def timers(store: Store) -> dict[str, float]:
    """Return how late deadlines are, in ms, with TIMERS open handoffs of which each has its own within 20 seconds."""
    text = RULES.replace("answer_within: 8h", "answer_within: 30s")
    rules, tenant = build(files_or_raise({"bench.yaml": text})), "timers"
    began_ms = now_ms()

    async def one(number: int) -> None:
        turn = Turn(f"c{number}", "t", channel="desk", locale="en")
        await decide(store, rules, tenant, turn, began_ms + number * 20_000 // TIMERS)

    for start in range(0, TIMERS, 64):
        await asyncio.gather(*(one(number) for number in range(start, min(start + 64, TIMERS))))
    late: list[int] = []
    while len(late) < TIMERS and now_ms() < began_ms + 120_000:
        # As the worker does it: a look five times a second, and everything that is due.
        moment = now_ms()
        due = await store.link.call("ZRANGEBYSCORE", store.places(tenant)[0].deadlines, "-inf", moment, "WITHSCORES")
        await deadlines.expire_due(store, tenant, 0, moment)
        ended_ms = now_ms()
        late += [ended_ms - int(float(score)) for score in due[1::2]]
        await asyncio.sleep(0.2)
    late.sort()
    return {"p50": late[len(late) // 2], "p99": late[int(len(late) * 0.99)], "max": late[-1], "count": len(late)}


async def memory(store: Store, rules: Ruleset) -> dict[str, float]:
    """Return the bytes of an open handoff in the server: its hash, its packet, and its part of the indexes.

    The conversation's own turns and answers are not in it: they are there with or without a handoff.
    """
    tenant, count = "memory", 300
    place = store.places(tenant)[0]
    chance = random.Random(5)

    def words(number: int) -> str:
        return " ".join(chance.choices(WORDS, k=number))

    async def size(key: str) -> int:
        return int(await store.link.call("MEMORY", "USAGE", key, "SAMPLES", 0) or 0)

    packets, hashes, kept = [], [], []
    for number in range(count):
        for turn_number in range(6):
            channel = "desk" if turn_number == 5 else "chat"
            turn = Turn(
                f"m{number}", f"t{turn_number}", channel=channel, locale="en", customer=Customer(f"cus_{number}"),
                message=words(30), reply=words(40),
                tool_calls=(ToolCall("get_order", {"id": f"W{number}"}, False, None, "ok"),),
            )  # fmt: skip
            decided = await decide(store, rules, tenant, turn, now_ms())
        handoff_id = decided.decision.handoff_id or ""
        await handoffs.enrich(store, tenant, handoff_id, now_ms())
        handoff = await handoffs.get(store, tenant, handoff_id)
        packets.append(await handoffs.packet_json(store, tenant, handoff, now_ms()))
        hashes.append(await size(place.handoff(handoff_id)))
        kept.append(await size(place.packet(handoff_id)))
    shared = [place.waiting("desk"), place.open("desk"), place.deadlines, place.waiting_in(wanted(handoff).text)]
    indexes = sum([await size(key) for key in shared]) / count
    compressed = statistics.mean(len(zlib.compress(packet, 6)) for packet in packets)
    whole = statistics.mean(hashes) + statistics.mean(kept) + indexes
    return {
        "whole": whole,
        "hash": statistics.mean(hashes),
        "kept_packet": statistics.mean(kept),
        "indexes": indexes,
        "packet": statistics.mean(map(len, packets)),
        "packet_zlib": compressed,
        "limit": 1.3 * compressed + 1_024,
    }


async def measured(quick: bool) -> dict[str, Any]:
    """Return every figure of one run."""
    folder = Path(tempfile.mkdtemp(prefix="hr-bench-"))
    server = start_or_attach(folder)
    try:
        store = await open_store(server.url)
        rules = ruleset()
        lengths = await claim_by_length(store, rules)
        claims = await throughput(store, rules, server.url.removeprefix("unix://"))
        found = {
            "claim_us": lengths,
            "claim_ratio": lengths[LENGTHS[-1]] / lengths[LENGTHS[0]],
            "claims": claims,
            "memory_bytes": await memory(store, rules),
            "timers_late_ms": None if quick else await timers(store),
        }
        found["met"] = _met(found)
        await store.close()
        return found
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


def _met(found: dict[str, Any]) -> dict[str, bool]:
    late = found["timers_late_ms"]
    return {
        "claim_cost_by_length": found["claim_ratio"] <= LENGTH_RATIO_MAX,
        "flow_against_raw": found["claims"][str(CLIENTS[-1])]["ratio"] >= FLOW_RATIO_MIN,
        "timers_late": late is not None and late["p99"] <= LATE_P99_MS_MAX,
        "memory": found["memory_bytes"]["whole"] <= found["memory_bytes"]["limit"],
    }


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write the result down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, and nothing is written")
    quick = parser.parse_args(words).quick
    if quick:
        globals().update(
            LENGTHS=(10, 1_000), CLAIMS=50, RAW_WAITING=10_000, RAW_CLAIMS=1_000, FLOW_CLAIMS=300, ROUNDS=2
        )
    found = uvloop.run(measured(quick))
    print(json.dumps(found, indent=2))
    if not quick:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
        RESULTS.write_text(json.dumps({"machine": machine, **found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
