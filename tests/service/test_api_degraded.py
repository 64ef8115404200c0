"""While the store is away turns are answered degraded, known keys go on working, and the rest says when to retry."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from service.store.embedded import start_or_attach
from tests.service.api_service import Server, served


async def until_200(ask: Callable[[], Awaitable[httpx.Response]]) -> None:
    async with asyncio.timeout(20):
        while (await ask()).status_code != 200:  # noqa: ASYNC110  # the service has no event to wait for
            await asyncio.sleep(0.05)


async def test_a_store_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    embedded = start_or_attach(tmp_path / "s")
    try:
        async with served(Server(embedded.url, tmp_path / "s")) as api:
            for role, path in (("agent", "/decisions/x"), ("operator", "/queues"), ("manager", "/metrics")):
                await api.get(path, role)  # from now on these keys are known here; the admin's is not
            os.kill(embedded.pid, signal.SIGKILL)
            answer = await api.ask(conversation_id="c-away", message="let me talk to a human")
            told = answer.json()
            assert (answer.status_code, told["verdict"], told["degraded"]) == (200, "escalate", True)
            assert told["handoff"]["position"] is None
            for role in ("operator", "admin"):
                away = await api.get("/queues", role)
                assert (away.status_code, away.json()["code"]) == (503, "store_away")
                assert away.headers["retry-after"] == "1"
            assert (await api.client.get("/livez")).status_code == 200
            ready = await api.client.get("/readyz")
            assert (ready.status_code, ready.json()) == (503, {"status": "store_away"})
            metrics = (await api.get("/metrics", "manager")).text
            assert "\nhandrail_store_up 0.0" in metrics
            assert "\nhandrail_decisions_degraded_total 1.0" in metrics
            embedded.revive()
            await until_200(lambda: api.client.get("/readyz"))
            # What was told while it was away is delivered, and stays what it was.
            await until_200(lambda: api.get(f"/decisions/{told['decision_id']}"))
            again = await api.ask(conversation_id="c-away", message="never mind")
            assert again.headers["handrail-repeated"] == "true"
            assert (again.json()["verdict"], again.json()["handoff"]["id"]) == ("escalate", told["handoff"]["id"])
            assert (await api.get(f"/handoffs/{told['handoff']['id']}")).json()["state"] == "waiting"
    finally:
        embedded.close()
