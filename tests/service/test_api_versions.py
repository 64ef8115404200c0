"""Versions over HTTP: pushed, tried, approved, activated, taken back, and which rules decide meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rules.evaluate import is_in_share
from service.api.version_answers import (
    HistoryAnswer,
    PushedAnswer,
    RolledBackAnswer,
    VersionAnswer,
    VersionTextsAnswer,
)
from service.clock import now_ms
from service.flows import keys
from tests.service.api_service import RULES, Api, Server, embedded, ruleset, served
from tests.service.test_api_openapi import exact

STRICTER = RULES.replace("low_confidence: 0.5", "low_confidence: 0.6")
TWO_PERSONS = RULES.replace("handrail: 1", "handrail: 1\napprovals: 2")
FAILING = """handrail_tests: 1
cases:
  - name: nobody is ever sure enough
    confidence: 0.99
    expect: {verdict: review}
"""
PASSING = """handrail_tests: 1
cases:
  - name: an unsure draft is read afterwards
    confidence: 0.4
    expect: {verdict: review}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("api") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


async def push(api: Api, text: str = STRICTER, message: str = "", role: str = "manager", **files: str) -> Any:
    body = {"files": {"rules.yaml": text, **files}, "message": message}
    answer = await api.post("/rulesets", body, role)
    assert answer.is_success, answer.text
    return answer.json()


async def take(api: Api, path: str, role: str = "manager", **body: Any) -> Any:
    answer = await api.post(f"/rulesets/{path}", body, role)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(api: Api, path: str, role: str = "manager", **body: Any) -> tuple[int, str, str]:
    answer = await api.post(f"/rulesets/{path}", body, role)
    problem = answer.json()
    return answer.status_code, problem["code"], problem["detail"]


async def deciding(api: Api, **fields: Any) -> str:
    return str((await api.ask(**fields)).json()["ruleset"])


async def test_a_version_is_pushed_decides_and_is_taken_back(api: Api) -> None:
    own = await deciding(api)
    assert own == ruleset().hash
    pushed = await push(api, message="unsure a little earlier")
    exact(PushedAnswer, pushed)
    assert (pushed["version"], pushed["state"], pushed["author"]) == (1, "pushed", f"manager-of-{api.tenant}")
    assert pushed["message"] == "unsure a little earlier"
    assert await deciding(api) == own
    active = await take(api, "1/activate")
    exact(VersionAnswer, active)
    assert active["state"] == "active"
    assert await deciding(api) == pushed["hash"] != own
    rolled_back = await take(api, "rollback", expect=1)
    exact(RolledBackAnswer, rolled_back)
    assert rolled_back == {"taken_back": 1, "was": "active", "active": 0}
    assert await deciding(api) == own
    history = (await api.get("/rulesets", "manager")).json()
    exact(HistoryAnswer, history)
    assert [(each["version"], each["state"]) for each in history["versions"]] == [(1, "rolled_back")]
    assert [(step["kind"], step["version"]) for step in history["steps"]] == [
        ("rolled_back", 1),
        ("activated", 1),
        ("pushed", 1),
    ]
