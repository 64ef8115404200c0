"""Two serving processes on one store: an activated version decides in both, under load, and whoever is killed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.waiting import wait_until
from tests.walks.served import RULES, Served, turn

pytestmark = pytest.mark.walk

STRICTER = RULES.replace("confidence < 0.5", "confidence < 0.6")
LOOSER = RULES.replace("confidence < 0.5", "confidence < 0.4")
_NAMES = (f"conversation-{number}" for number in itertools.count())


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Served, Served]]:
    # Without a directory of rules, so that versions decide.
    with Served(tmp_path, rules="", work="false") as one, Served(tmp_path, rules="", work="false") as other:
        yield one, other


@asynccontextmanager
async def asked_all_the_time(*served: Served) -> AsyncIterator[list[httpx.Response]]:
    """Ask every process turn after turn while the block runs, and give all the answers."""
    answers: list[httpx.Response] = []

    async def ask(one: Served, client: httpx.AsyncClient) -> None:
        headers = {"Authorization": f"Bearer {one.keys['agent']}"}
        while True:
            sent = turn(next(_NAMES), confidence=0.9)
            answer = await client.post(f"{one.url}/should-escalate", json=sent, headers=headers)
            answers.append(answer)

    async with httpx.AsyncClient(timeout=20) as client:
        tasks = [asyncio.create_task(ask(one, client)) for one in served for _ in range(2)]
        try:
            yield answers
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [each for each in ended if not isinstance(each, asyncio.CancelledError)] == []


def decides(served: Served, ruleset: str) -> bool:
    return bool(served.post("/should-escalate", turn(next(_NAMES)))["ruleset"] == ruleset)


def push(served: Served, text: str, message: str) -> dict[str, Any]:
    pushed: dict[str, Any] = served.post("/rulesets", {"files": {"walk.yaml": text}, "message": message})
    return pushed


async def test_a_version_decides_in_every_process_while_turns_are_asked_and_none_fails(
    both: tuple[Served, Served],
) -> None:
    one, other = both
    decided = one.post("/should-escalate", turn("before", confidence=0.55))
    async with asked_all_the_time(*both) as answers:
        for served, text in ((one, STRICTER), (other, LOOSER), (one, RULES)):
            pushed = await asyncio.to_thread(push, served, text, "under load")
            await asyncio.to_thread(served.post, f"/rulesets/{pushed['version']}/activate", {})
            for each in both:
                await asyncio.to_thread(wait_until, partial(decides, each, pushed["hash"]))
        await asyncio.to_thread(other.post, "/rulesets/rollback", {"expect": 3})
        second = await asyncio.to_thread(one.get, "/rulesets/2")
        for each in both:
            await asyncio.to_thread(wait_until, partial(decides, each, second["hash"]))
        await asyncio.to_thread(wait_until, lambda: len(answers) > 20)
    assert {answer.status_code for answer in answers} == {200}
    assert other.post("/should-escalate", turn("before", confidence=0.55)) == decided


def test_a_process_that_was_killed_decides_with_the_active_version_when_it_is_back(both: tuple[Served, Served]) -> None:
    one, other = both
    pushed = push(one, STRICTER, "before the kill")
    one.post(f"/rulesets/{pushed['version']}/activate", {})
    one.kill()
    wait_until(lambda: decides(other, pushed["hash"]))
    later = push(other, LOOSER, "while one was away")
    other.post(f"/rulesets/{later['version']}/activate", {})
    one.restart()
    one.wait_until_ready()
    # From its first turn on: the active version is read before the process listens.
    assert decides(one, later["hash"])
    assert f"  rules   version 2: 2 rules, {later['hash'][:12]}" in one.log.read_text()
    history = one.get("/rulesets")
    assert [(each["version"], each["state"]) for each in history["versions"]] == [(2, "active"), (1, "superseded")]
