"""A whole service for the API's tests: the real application in this process over a real embedded server."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rules.compile.rule_files import compile_files
from rules.evaluation.evaluate import Ruleset, build
from service import settings
from service.api.application import Handrail
from service.api.running import Running
from service.clock import now_ms
from service.flows import keys
from service.flows.keys import ROLES
from service.main import create_app
from service.store.embedded import start_or_attach

RULES = """handrail: 1
thresholds:
  low_confidence: 0.5
  refund_limit_usd: 200
signals:
  risk: {type: number, why: the agent's own risk score}
topics:
  person: {phrases: [talk to a human, real person], means: asks_for_person}
  fees: {phrases: [hidden fee]}
queues:
  tier1:
    title: First line
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: "We will call you back.", es: "Le llamaremos."}}
    say: {en: "One moment, a colleague joins.", es: "Un momento, viene un colega."}
  approvals: {answer_within: 5m, on_timeout: {verdict: deny, say: {en: Not approved.}}, say: {en: I have to ask.}}
  later: {answer_within: 3d, on_timeout: {verdict: continue, say: {en: "-"}}, say: {en: "-"}}
rules:
  - id: asks-for-a-person
    why: the customer asks for a person
    when: asks_for_person = true
    then: {escalate: tier1, priority: high}
  - id: big-refund
    why: a refund above the limit is about to be made
    when: {tool_call: {all: [name = issue_refund, amount_usd > $refund_limit_usd, status = proposed]}}
    then: {hold: approvals}
  - id: unsure
    why: the agent is unsure
    when: confidence < $low_confidence
    then: {review: later}
  - id: risky-in-shadow
    why: tried out before it counts
    when: risk > 0.9
    then: {escalate: tier1}
    mode: shadow
  - id: fees
    why: hidden fees are mentioned
    when: topics has fees
    then: {review: later}
"""
_NUMBERS = itertools.count(1)


def ruleset(text: str = RULES) -> Ruleset:
    """Return the rules of one file."""
    files, problems = compile_files({"test.yaml": text})
    assert files is not None, problems
    return build(files)


@dataclass(frozen=True, slots=True)
class Server:
    """A real server, started for the tests that use it."""

    url: str
    directory: Path


def embedded(directory: Path) -> Iterator[Server]:
    """Start the embedded server, and stop it afterwards."""
    server = start_or_attach(directory)
    yield Server(server.url, directory)
    server.close()


@dataclass(frozen=True, slots=True)
class Api:
    """The application of one tenant, and how to speak to it as each role."""

    app: Handrail
    client: httpx.AsyncClient
    tokens: dict[str, str]
    tenant: str

    @property
    def running(self) -> Running:
        running: Running = self.app.state.running
        return running

    def bearer(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[role]}"}

    async def get(self, path: str, role: str = "agent", **params: Any) -> httpx.Response:
        return await self.client.get(path, headers=self.bearer(role), params=params)

    async def post(
        self, path: str, body: Any = None, role: str = "operator", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return await self.client.post(path, json=body, headers=self.bearer(role) | (headers or {}))

    async def ask(self, **fields: Any) -> httpx.Response:
        turn = {"conversation_id": f"c-{next(_NUMBERS)}", "turn_id": "1", "message": "hello"} | fields
        return await self.post("/should-escalate", turn, "agent")

    async def escalated(self, **fields: Any) -> dict[str, Any]:
        """Return the decision of a turn that asks for a person."""
        answer = await self.ask(**({"message": "let me talk to a human"} | fields))
        assert answer.status_code == 200, answer.text
        decision: dict[str, Any] = answer.json()
        assert decision["verdict"] == "escalate"
        return decision

    async def claimed(self, **fields: Any) -> tuple[dict[str, Any], str]:
        """Return an escalated turn's handoff, claimed, and the lease's token."""
        decision = await self.escalated(**fields)
        answer = await self.post(f"/handoffs/{decision['handoff']['id']}/claim")
        assert answer.status_code == 200, answer.text
        return answer.json()["handoff"], answer.json()["lease"]["token"]


@asynccontextmanager
async def served(server: Server, rules: Ruleset | None = None, **given: Any) -> AsyncIterator[Api]:
    """Open the application for a tenant of its own."""
    tenant = f"t{next(_NUMBERS)}-{now_ms()}"
    data_dir = server.directory.parent / f"data-{tenant}"
    app = create_app(
        settings.load(**({"data_dir": data_dir, "tenant": tenant} | given)), server.url, rules or ruleset()
    )
    async with app.router.lifespan_context(app):
        running: Running = app.state.running
        tokens: dict[str, str] = {
            role: (await keys.create(running.store, tenant, f"{role}-of-{tenant}", role, now_ms())).token
            for role in ROLES
        }
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://handrail", timeout=60) as client:
            yield Api(app, client, tokens, tenant)
