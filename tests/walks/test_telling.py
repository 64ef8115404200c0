"""People are told by real processes over HTTP and SMTP, through `kill -9` of any of them, and never after a claim."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from pathlib import Path

import httpx
import pytest

from tests.waiting import wait_until
from tests.walks.served import Served, turn
from tests.workers.mail_server import MailServer
from tests.workers.receiver import Receiver

pytestmark = [pytest.mark.server, pytest.mark.walk]

RULES = """
handrail: 1
channels: [on-call, mail]
queues:
  tier1:
    answer_within: 1h
    on_timeout: {verdict: callback, say: {en: "We will call you back."}}
    say: {en: "One moment, please."}
    notify:
      - {channel: on-call, repeat: 30s, then: {channel: mail, after: 2s}}
rules:
  - {id: unsure, why: the agent is unsure, when: confidence < 0.5, then: {escalate: tier1}}
"""
SAFE_S = 2.0  # what is on the wire when somebody claims still arrives; a message takes milliseconds


def texts(receiver: Receiver) -> list[str]:
    return [json.loads(got.body)["text"] for got in receiver.got]


async def test_everybody_is_told_through_kills_and_nobody_after_the_claim(tmp_path: Path) -> None:
    with Receiver() as room, MailServer() as post, Served(tmp_path, rules_text=RULES) as served:
        served.post("/channels", {"name": "on-call", "kind": "slack", "url": room.url("/ok"), "gather_ms": 200})
        mail = {
            "host": "localhost",
            "port": post.port,
            "security": "none",
            "sender": "h@shop.example",
            "to": ["ana@shop.example"],
        }
        served.post("/channels", {"name": "mail", "kind": "email", "mail": mail, "gather_ms": 200})
        assert served.post("/channels/on-call/test", {}, "manager") == {"taken": True, "fact": "answered 200"}
        assert served.post("/channels/mail/test", {}, "manager") == {"taken": True, "fact": "answered 250"}
        chance = random.Random(7)
        async with httpx.AsyncClient(timeout=10) as client:
            opened = []
            for number in range(40):
                answer = await served.ask(client, "/should-escalate", "agent", turn(f"chat-{number}"))
                opened.append(answer.json()["handoff"]["id"])
                if number % 8 == 3:
                    victims = [*served.worker_pids, served.server_pid]
                    os.kill(chance.choice(victims), signal.SIGKILL)

            # Told at least once each, in the room and by mail, whoever was killed.
            def all_told() -> bool:
                said = "\n".join(texts(room))
                return sum("waits" in text for text in texts(room)) > 0 and all_counted(said, opened)

            await asyncio.to_thread(wait_until, all_told, 90)
            await asyncio.to_thread(post.wait_for, lambda got: len(got) >= 2, 90)
            # Whatever nobody claims is told again.
            assert owed(served) > 0
            for handoff_id in opened:
                claimed = await served.ask(client, f"/handoffs/{handoff_id}/claim", "operator")
                assert claimed.status_code == 200, claimed.text
            for pid in served.worker_pids[1:]:
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(SAFE_S)
            before = len(room.got), len(post.got)
            # As long as a repetition, and as what a killed worker had taken stays its own.
            await asyncio.to_thread(wait_until, lambda: owed(served) == 0, 120)
            assert (len(room.got), len(post.got)) == before


def owed(served: Served) -> int:
    """Return how much is still to be told, whenever that is due."""
    return sum(channel["owed"] for channel in served.get("/channels")["channels"])


def all_counted(said: str, opened: list[str]) -> bool:
    """Return whether the messages speak of at least as many handoffs as there are: ten are named, the rest counted."""
    shown = sum(handoff_id in said for handoff_id in opened)
    more = sum(int(line.split()[2]) for line in said.splitlines() if line.startswith("… and "))
    return shown + more >= len(opened)
