"""What callers would have been told of their wait, against what came: recorded calls through the real queue.

Each call is opened, answered or given up at its recorded moment by the flows that serve the API, in a store of its own.
`python -m bench.waits [--data FILE] [--quick]`
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import platform
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.callcenter import DATA, Call, half_of, signs_of_life, waiting_calls
from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.routing.waits import Wait
from rules.turn import Turn
from service.flows import handoffs, operators, waits
from service.flows.access import Store, open_store, start_or_attach
from service.flows.decide import decide
from service.flows.handoffs import Claiming, Lease, Resolving

RESULT = Path(__file__).parent / "results" / "waits.json"
TENANT = "bank"
LEASE_MS = 86_400_000
SEEN_EVERY_MS = 60_000  # a console says it twice as often
PATIENCE_S_MAX = 7_200
QUICK_CALLS = 1_500
BUCKETS = ((0, 0), (1, 3), (4, 9), (10, 10_000))


@dataclass(frozen=True, slots=True)
class Row:
    """A call, what it was told, how many were ahead, and what simpler ways would have said, in ms."""

    call: Call
    told: Wait | None
    ahead: int
    last_ms: int
    oldest_ms: int
    mean_ms: int


def ruleset(calls: Sequence[Call]) -> Ruleset:
    """Return rules in which a caller who gives up is one whose deadline passes: a queue has no other way to lose one.

    All are urgent, so that the queue is first come, first served, and the deadline does not show in the order.
    """
    given_up = {max(1, call.waited_ms // 1000) for call in calls if call.answered_at_ms is None} | {PATIENCE_S_MAX}
    rules = "".join(
        f"  - {{id: gives-up-{s}, when: 'patience_s = {s}', then: {{escalate: line, priority: urgent,"
        f" answer_within: {s}s}}}}\n"
        for s in sorted(given_up)
    )
    head = (
        "handrail: 1\nsignals: {patience_s: {type: number}}\nqueues:\n  line: {answer_within: 2h,"
        " on_timeout: {verdict: callback, say: {en: We call back.}}, say: {en: One moment.}}\nrules:\n"
    )
    return build(files_or_raise({"line.yaml": head + rules}))


async def replay(store: Store, rules: Ruleset, calls: Sequence[Call], seen: Sequence[tuple[int, str]]) -> list[Row]:
    """Return what each call was told when it began to wait."""
    # At one moment: first whoever is done, then who is answered or gives up, then who comes.
    moments: list[tuple[int, int, int]] = [(call.opened_at_ms, 2, at) for at, call in enumerate(calls)]
    last_ms = calls[-1].opened_at_ms
    moments += [(at_ms, 3, place) for place, (at_ms, _) in enumerate(seen) if at_ms <= last_ms]
    heapq.heapify(moments)
    ids: dict[int, str] = {}
    leases: dict[int, Lease] = {}
    waiting: dict[int, int] = {}
    lately: deque[int] = deque(maxlen=20)
    rows: list[Row] = []
    looked_at_ms = 0
    while moments:
        now_ms, what, at = heapq.heappop(moments)
        if what == 3:
            await operators.heartbeat(store, TENANT, seen[at][1], now_ms)
            continue
        call = calls[at]
        if what == 2:
            if now_ms - looked_at_ms >= waits.LOOK_EVERY_MS:
                await waits.look_again(store, now_ms)
                looked_at_ms = now_ms
            patience_s = PATIENCE_S_MAX if call.answered_at_ms is not None else max(1, call.waited_ms // 1000)
            decided = await decide(store, rules, TENANT, _turn(at, patience_s), now_ms)
            ids[at] = decided.decision.handoff_id or ""
            oldest_ms = max((now_ms - since_ms for since_ms in waiting.values()), default=0)
            mean_ms = round(statistics.fmean(lately)) if lately else 0
            rows.append(Row(call, decided.decision.wait, len(waiting), lately[-1] if lately else 0, oldest_ms, mean_ms))
            waiting[at] = now_ms
            then_ms = now_ms + patience_s * 1000 if call.answered_at_ms is None else call.answered_at_ms
            heapq.heappush(moments, (then_ms, 1, at))
        elif what == 1:
            del waiting[at]
            if call.answered_at_ms is None:
                await handoffs.expire_due(store, TENANT, 0, now_ms)
                continue
            lately.append(call.waited_ms)
            await operators.heartbeat(store, TENANT, call.operator, now_ms)
            claimed = await handoffs.claim_one(store, TENANT, ids[at], Claiming(call.operator, LEASE_MS), now_ms)
            leases[at] = Lease(ids[at], claimed.token)
            heapq.heappush(moments, (max(call.ended_at_ms, now_ms), 0, at))
        else:
            await handoffs.resolve(store, TENANT, leases.pop(at), Resolving("take_over", "needed"), now_ms)
    return rows


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the figures of the answered calls of some days; times in seconds."""
    answered = [row for row in rows if row.call.answered_at_ms is not None and row.told is not None]
    truth = [row.call.waited_ms for row in answered]
    constant = statistics.median(truth)

    def error(said: Callable[[Row], float]) -> float:
        off = (abs(said(row) - row.call.waited_ms) for row in answered)
        return round(statistics.fmean(off) / 1000, 1)

    by_load = {}
    for low, high in BUCKETS:
        some = [row for row in answered if low <= row.ahead <= high]
        if some:
            by_load[f"{low}" if low == high else f"{low} and more" if high > 1000 else f"{low} to {high}"] = {
                "calls": len(some),
                "mean_wait_s": round(statistics.fmean(row.call.waited_ms for row in some) / 1000, 1),
                **_covered(some),
            }
    return {
        "calls": len(answered),
        "given_up": sum(row.call.answered_at_ms is None for row in rows),
        "told_unknown": sum(row.told is None for row in rows),
        "p90_unknown": sum(row.told is not None and row.told.p90_ms is None for row in rows),
        "mean_absolute_error_s": {
            "handrail": error(lambda row: row.told.p50_ms if row.told else 0),
            "best_constant_in_hindsight": error(lambda _: constant),
            "the_last_wait": error(lambda row: row.last_ms),
            "the_oldest_still_waiting": error(lambda row: row.oldest_ms),
            "mean_of_the_last_20": error(lambda row: row.mean_ms),
        },
        **_covered(answered),
        "by_calls_ahead": by_load,
    }


def _covered(rows: Sequence[Row]) -> dict[str, float]:
    early = late = 0
    for row in rows:
        if row.told is not None:
            early += row.call.waited_ms < row.told.p10_ms
            late += row.told.p90_ms is not None and row.call.waited_ms > row.told.p90_ms
    return {
        "covered": round(1 - (early + late) / len(rows), 3),
        "before_p10": round(early / len(rows), 3),
        "after_p90": round(late / len(rows), 3),
    }


def _turn(at: int, patience_s: int) -> Turn:
    return Turn(
        conversation_id=f"call-{at}",
        turn_id="1",
        message="hello",
        signals={"patience_s": patience_s},
    )


async def _measured(calls: Sequence[Call], seen: Sequence[tuple[int, str]]) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="hr-waits-") as directory:
        embedded = await asyncio.to_thread(start_or_attach, Path(directory))
        store = await open_store(embedded.url)
        try:
            return await replay(store, ruleset(calls), calls, seen)
        finally:
            await store.close()
            embedded.close()


def main() -> None:
    """Replay, print, and write the committed result."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, default=DATA)
    asked.add_argument("--quick", action="store_true", help=f"the first {QUICK_CALLS} calls; nothing is written")
    given = asked.parse_args()
    if not given.data.exists():
        raise SystemExit(f"{given.data} is not there; name the recorded calls with --data")
    calls, seen = waiting_calls(given.data), signs_of_life(given.data, SEEN_EVERY_MS)
    began_s = time.monotonic()
    rows = asyncio.run(_measured(calls[:QUICK_CALLS] if given.quick else calls, seen))
    found = {
        "python": platform.python_version(),
        "took_s": round(time.monotonic() - began_s),
        "chosen_on": figures([row for row in rows if half_of(row.call.day) == 0]),
        "reported_on": figures([row for row in rows if half_of(row.call.day) == 1]),
    }
    text = json.dumps(found, indent=2)
    if not given.quick:
        RESULT.write_text(text + "\n")
    print(text)  # a bench's result is its output


if __name__ == "__main__":
    main()
