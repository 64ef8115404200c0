"""The server of the HTTP bench: Handrail as `serve` runs it, and beside it FastAPI's own constant answer, which may
wait for a disk as well."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from bench.kernel_path import _WORDS as WORDS
from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from service import logs, settings
from service.api.decision_answers import DecisionAnswer
from service.api.escalation import PATH
from service.api.openapi import DECISION_EXAMPLE
from service.api.turn_body import TurnBody
from service.api.turn_protocol import turn_protocol
from service.clock import now_ms
from service.flows import keys
from service.main import create_app
from service.store.store import Store

RULES = 200
TOPICS = 40
CONSTANT = "/constant"
# The same after one synced write: whoever keeps what they answer waits for the disk too.
KEPT = "/constant/kept"
# What a turn of the bench adds to the append-only file, the names of its keys included: measured, 2,832.
KEPT_BYTES = 2_832
KEPT_MAX = 10_000  # keys; the next write replaces the first


def rule_file() -> str:
    """Return 200 rules of which about one fires in thirty turns: signals, topics, the conversation, tool calls."""
    rng = random.Random(7)
    topics = [f"topic_{number}" for number in range(TOPICS)]
    lines = ["handrail: 1", "signals:", "  risk: {type: number, why: the caller's}", "topics:"]
    for topic in topics:
        phrases = [" ".join(rng.sample(WORDS, 3)) for _ in range(10)]
        lines.append(f"  {topic}: {{phrases: {phrases}, patterns: ['\\b{rng.choice(WORDS)} (?:now|twice|again)\\b']}}")
    lines.append("queues:")
    lines.append("  tier1: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: We will call you.}}}")
    lines.append("rules:")
    for number in range(RULES):
        verdict = rng.choices(("review", "hold", "escalate"), (8, 1, 1))[0]
        when = ", ".join(_parts(rng, number % 10, topics))
        lines.append(f"  - {{id: r{number}, why: because, when: {{all: [{when}]}}, then: {{{verdict}: tier1}}}}")
    return "\n".join([*lines, ""])


def _parts(rng: random.Random, kind: int, topics: list[str]) -> list[str]:
    plain = [
        f"confidence < {rng.randint(10, 35) / 100}",
        f"sentiment < {rng.randint(-95, -75) / 100}",
        f"risk > {rng.randint(95, 99) / 100}",
        f"turn_count >= {rng.randint(8, 30)}",
        f"topics has {rng.choice(topics)}",
        f"topics has {rng.choice(topics)}",
    ]
    rng.shuffle(plain)
    if kind in (6, 7):
        looks_back = (
            f"streak(confidence < {rng.randint(20, 40) / 100}) >= 2",
            f"count(topics has {rng.choice(topics)}) over 10 turns >= 2",
            f"avg(sentiment) over 10m < {rng.randint(-80, -60) / 100}",
            f"min(confidence) over {rng.randint(3, 20)} turns < 0.1",
        )
        return [rng.choice(looks_back), *plain[:1]]
    if kind in (8, 9):
        tool = rng.choice(("issue_refund", "cancel_order", "change_address", "send_mail"))
        asked = f"name = {tool}, amount_usd > {rng.randint(200, 900)}, status = proposed"
        return [f"{{tool_call: {{all: [{asked}]}}}}", *plain[:1]]
    return plain[: rng.choice((2, 2, 3))]


def ruleset() -> Ruleset:
    """Return the rules of the bench."""
    return build(files_or_raise({"bench.yaml": rule_file()}))


def constant() -> FastAPI:
    """Return FastAPI as it comes: the same body validated, the same answer, always the same one."""
    app = FastAPI()
    value = DecisionAnswer.model_validate(DECISION_EXAMPLE)

    @app.post(CONSTANT)
    async def answer(turn: TurnBody) -> DecisionAnswer:
        return value

    return app


def add_kept(app: FastAPI, store: Store) -> None:
    """Add the constant that is answered after one command was synced, sent as Handrail sends its own."""
    value = DecisionAnswer.model_validate(DECISION_EXAMPLE)
    kept, numbers = b"x" * KEPT_BYTES, itertools.count()

    @app.post(KEPT)
    async def answer_kept(turn: TurnBody) -> DecisionAnswer:
        await store.link.call("SET", f"bench:{next(numbers) % KEPT_MAX}", kept, durable=True)
        return value


async def serve(url: str, data_dir: Path, ready: Any) -> None:
    """Serve all of it until told to stop; `ready` gets the port and the key."""
    handrail, plain = create_app(settings.load(data_dir=data_dir), url, ruleset()), constant()

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        await (plain if str(scope.get("path")).startswith(CONSTANT) else handrail)(scope, receive, send)

    async with handrail.router.lifespan_context(handrail):
        store = handrail.state.running.store
        add_kept(plain, store)
        token = (await keys.create(store, "bench", "agent", "agent", now_ms())).token
        server = uvicorn.Server(
            uvicorn.Config(
                either,
                port=0,
                http=turn_protocol(PATH, handrail.answer_turn),
                lifespan="off",
                ws="none",
                access_log=False,
                log_level="warning",
                server_header=False,
                proxy_headers=False,
            )
        )
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  # uvicorn has a flag and no event
            await asyncio.sleep(0.01)
        print(server.servers[0].sockets[0].getsockname()[1], token, file=ready, flush=True)
        await serving


def main() -> None:
    """Serve, with log lines to a file as they would go to a collector."""
    url, data_dir, log = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    lines = logs.configure("info", "json", os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(url, data_dir, sys.stdout))
    lines.close()


if __name__ == "__main__":
    main()
