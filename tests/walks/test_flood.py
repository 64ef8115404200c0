"""One broken agent floods a running service while parts of it are killed: the others come first, and nobody is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.cli_run import handrail
from tests.waiting import wait_until
from tests.walks.served import RULES, Served, turn
from tests.walks.shift import counted

pytestmark = [
    pytest.mark.walk,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
FLOODED = 500
OTHERS = 20
LIMIT = 10
AT_ONCE = 25
FLOODED_RULES = RULES.replace("  tier1:\n", f"  tier1:\n    flood: {{agent: {LIMIT} in 1h}}\n").replace("10m", "1h")


def sent(number: int) -> dict[str, object]:
    others = number % (FLOODED // OTHERS) == 1
    agent = f"fine-{number}" if others and number < FLOODED else "refund-bot"
    return turn(f"chat-{number}") | {"agent": {"id": agent}}


async def all_sent(served: Served, client: httpx.AsyncClient) -> dict[str, str]:
    """Return conversation -> handoff of every turn, each asked again until it is answered."""
    told: dict[str, str] = {}
    room = asyncio.Semaphore(AT_ONCE)

    async def ask(number: int) -> None:
        async with room:
            answer = (await served.ask(client, "/should-escalate", "agent", sent(number))).json()
        told[answer["conversation_id"]] = answer["handoff"]["id"]

    async def kill() -> None:
        await reached(told, FLOODED // 3)
        await asyncio.to_thread(served.kill)
        served.restart()
        await reached(told, FLOODED * 2 // 3)
        os.kill(served.server_pid, signal.SIGKILL)

    await asyncio.gather(kill(), *(ask(number) for number in range(FLOODED)))
    return told


async def reached(told: dict[str, str], count: int) -> None:
    await asyncio.to_thread(wait_until, lambda: len(told) >= count, 120)


async def all_claimed(served: Served, client: httpx.AsyncClient) -> list[dict[str, Any]]:
    claimed: list[dict[str, Any]] = []
    while True:
        answer = await served.ask(client, "/claim", "operator", request_id=f"claim-{len(claimed)}")
        if answer.status_code == httpx.codes.NO_CONTENT:
            return claimed
        claimed.append(answer.json())


def answered_some(served: Served, members: int) -> bool:
    floods = served.get("/floods")["floods"]
    return not floods or floods[0]["members"] < members


async def test_a_broken_agent_buries_nobody_whatever_is_killed(folder: Path) -> None:
    with Served(folder, rules_text=FLOODED_RULES, lease_ms="600000") as served:
        async with httpx.AsyncClient(timeout=10) as client:
            told = await all_sent(served, client)
            assert len(set(told.values())) == len(told) == FLOODED
            await asyncio.to_thread(served.wait_until_ready)
            spool = served.data_dir / "spool"
            await asyncio.to_thread(wait_until, lambda: not list(spool.glob("*.json")))
            (flood,) = served.get("/floods")["floods"]
            members = FLOODED - OTHERS - LIMIT - 1
            assert (flood["who"], flood["members"], flood["grouped"]) == ("refund-bot", members, members + 1)
            listed = await asyncio.to_thread(
                handrail, "floods", env={"HANDRAIL_URL": served.url, "HANDRAIL_DATA_DIR": str(served.data_dir)}
            )
            assert f"tier1: {members} like this from agent refund-bot since " in listed.stdout

            claimed = await all_claimed(served, client)
            # All who are none of the flood, what came before it was one, and the one that stands for the rest.
            assert len(claimed) == OTHERS + LIMIT + 1
            leader = next(each for each in claimed if each["handoff"]["group"] is not None)
            assert leader["handoff"]["group"]["members"] == members
            path = f"/handoffs/{leader['handoff']['id']}"
            answer = {
                "token": leader["lease"]["token"],
                "action": "answer",
                "outcome": "not_needed",
                "text": "Every refund is on its way.",
            }
            answering = asyncio.create_task(served.ask(client, f"{path}/members/answer", "operator", answer))
            await asyncio.to_thread(wait_until, lambda: answered_some(served, members))
            await asyncio.to_thread(served.kill)
            served.restart()
            assert (await answering).json()["left"] == 0
            resolving = [
                served.ask(
                    client, f"/handoffs/{each['handoff']['id']}/resolve", "operator",
                    answer | {"token": each["lease"]["token"]}, request_id=each["handoff"]["id"],
                )
                for each in claimed
            ]  # fmt: skip
            assert {each.status_code for each in await asyncio.gather(*resolving)} == {200}
            bearer = {"Authorization": f"Bearer {served.keys['agent']}"}
            views = [
                (await client.get(f"{served.url}/handoffs/{handoff_id}", headers=bearer)).json()
                for handoff_id in told.values()
            ]
        assert {(each["state"], each["resolution"]["text"]) for each in views} == {
            ("resolved", "Every refund is on its way.")
        }
        assert served.get("/floods") == {"floods": []}
        records = served.data_dir / "audit"
        await asyncio.to_thread(wait_until, lambda: counted(records)["ended"].total() >= FLOODED, 60)
        found = counted(records)
        assert dict(found["ended"]) == dict.fromkeys(told.values(), 1)
        assert found["handoff.grouped"].total() == members
