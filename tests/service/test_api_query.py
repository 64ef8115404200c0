"""What stands behind the `?` of an address is read or refused, and a filter for a queue that is not there says so."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from service.api.escalation import PATH
from tests.service.api_service import RULES, Api, Server, embedded, ruleset, served

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(Path(tmp_path_factory.mktemp("query")) / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


def refused(answer: httpx.Response) -> tuple[str, str]:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "query_invalid"), answer.text
    return problem["detail"], problem["hint"]


HANDOFFS = "this address takes `queue`, `state`, `cursor`, `limit`, each once"
REFUSED: dict[str, tuple[str, str, str]] = {
    "a misspelt filter": (
        "statee=resolved",
        "`statee` is not a parameter here (did you mean `state`?)",
        HANDOFFS,
    ),
    "two values of one filter": ("queue=tier1&queue=later", "`queue` stands more than once", HANDOFFS),
    "the same value twice": ("queue=tier1&queue=tier1", "`queue` stands more than once", HANDOFFS),
    "a name without a value": ("resolved", "`resolved` is not a parameter here", HANDOFFS),
    "no name at all": ("=1", "`…` is not a parameter here", HANDOFFS),
    "a name that may be somebody's words": ("my+card+is+4111=1", "`…` is not a parameter here", HANDOFFS),
    "both": (
        "limits=1&queue=a&queue=b",
        "`limits` is not a parameter here (did you mean `limit`?); `queue` stands more than once",
        HANDOFFS,
    ),
    "more than anybody reads": (
        "&".join(f"p{number}=1" for number in range(300)),
        "; ".join(f"`p{number}` is not a parameter here" for number in range(8)) + "; and 292 more",
        HANDOFFS,
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_what_a_list_does_not_read_is_refused(api: Api, case: tuple[str, str, str]) -> None:
    query, detail, hint = case
    assert refused(await api.client.get(f"/handoffs?{query}", headers=api.bearer("operator"))) == (detail, hint)


async def test_a_claim_with_a_filter_that_it_does_not_have_takes_nothing(api: Api) -> None:
    decision = await api.escalated()
    told = refused(await api.post("/claim?queue=later"))
    assert told == ("`queue` is not a parameter here", "this address takes no parameters")
    answer = await api.get(f"/handoffs/{decision['handoff']['id']}")
    assert answer.json()["state"] == "waiting"


async def test_no_address_that_needs_a_key_drops_a_parameter_in_silence(api: Api) -> None:
    asked = 0
    for path, operations in api.app.openapi()["paths"].items():
        for method, operation in operations.items():
            if path == PATH or not operation.get("security"):
                continue
            address = re.sub(r"\{[a-z_]+\}", "1", path)
            answer = await api.client.request(method, f"{address}?nope=1", headers=api.bearer("admin"))
            assert refused(answer)[0] == "`nope` is not a parameter here", f"{method} {path}"
            assert "`query_invalid`" in operation["responses"]["422"]["description"], f"{method} {path}"
            asked += 1
    assert asked > 50


async def test_whoever_has_no_key_is_told_that_and_nothing_more(api: Api) -> None:
    assert (await api.client.get("/handoffs?statee=resolved")).status_code == 401


async def test_a_turn_and_what_is_open_pass_over_what_others_add_to_an_address(api: Api) -> None:
    turn = {"conversation_id": "c", "turn_id": "1", "message": "hello"}
    assert (await api.post(f"{PATH}?utm_source=mail", turn, "agent")).status_code == 200
    for path in ("/livez?probe=1", "/readyz?probe=1", "/schema/rules.json?v=2", "/openapi.json?v=2"):
        assert (await api.client.get(path)).status_code == 200
    link = "/open/hof_0_1?tenant=t&exp=1&sig=s&utm_source=mail"
    assert (await api.client.get(link)).json()["code"] == "link_invalid"


LISTS = ("/handoffs", "/handoffs?state=resolved", "/calls", "/calls?done=true", "/floods", "/shed")


async def listed(api: Api, path: str, queue: str) -> httpx.Response:
    joined = "&" if "?" in path else "?"
    return await api.client.get(f"{path}{joined}queue={queue}", headers=api.bearer("operator"))


@pytest.mark.parametrize("path", LISTS)
async def test_a_misspelt_queue_is_no_empty_one(api: Api, path: str) -> None:
    await api.escalated()
    problem = (await listed(api, path, "tier")).json()
    assert (problem["code"], problem["detail"], problem["hint"]) == (
        "queue_unknown",
        "no such queue",
        "the active rule files declare tier1, approvals, later",
    )
    # One of which nothing is listed is there all the same.
    assert (await listed(api, path, "approvals")).status_code == 200


async def test_a_queue_that_is_gone_is_there_as_long_as_something_is_in_it(api: Api, server: Server) -> None:
    handoff, token = await api.claimed()
    ended = await api.escalated()
    fewer = ruleset(RULES.replace("tier1", "tier2"))
    async with served(server, fewer) as later:
        other = replace(later, tokens=api.tokens)
        for path in LISTS:
            assert (await listed(other, path, "tier1")).status_code == 200, path
        assert len((await listed(other, "/handoffs", "tier1")).json()["handoffs"]) == 2
        done = {"token": token, "action": "take_over", "outcome": "needed"}
        assert (await api.post(f"/handoffs/{handoff['id']}/resolve", done)).status_code == 200
        claim = (await api.post(f"/handoffs/{ended['handoff']['id']}/claim")).json()
        done["token"] = claim["lease"]["token"]
        assert (await api.post(f"/handoffs/{ended['handoff']['id']}/resolve", done)).status_code == 200
        found = {path: (await listed(other, path, "tier1")).status_code for path in LISTS}
        # What it led to is still listed.
        assert found == dict.fromkeys(LISTS, 404) | {"/handoffs?state=resolved": 200}


async def test_a_page_after_the_first_is_no_question_about_the_queue(api: Api) -> None:
    for _ in range(2):
        await api.escalated()
    first = (await api.get("/handoffs", "operator", limit=1)).json()
    assert first["cursor"] is not None
    page = await api.get("/handoffs", "operator", queue="tier", cursor=first["cursor"])
    assert (page.status_code, page.json()["handoffs"]) == (200, [])
