"""Operators claim, renew, hold, release, transfer, reply, resolve and hand back; a lost lease says who has it now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rules.handoff import ACTIONS, OUTCOMES
from service.api import handoffs as handoff_routes
from service.clock import now_ms
from tests.service.api_service import Api, Server, embedded, served
from tests.service.listening import WAIT_S


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("api") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


async def test_a_handoff_says_where_it_stands_while_it_waits_and_a_list_does_not(api: Api) -> None:
    await api.escalated()
    second = (await api.escalated())["handoff"]
    alone = (await api.get(f"/handoffs/{second['id']}", "agent")).json()
    assert (alone["position"], alone["wait_ms"]) == (2, None)
    listed = (await api.get("/handoffs", "operator")).json()["handoffs"]
    assert {(each["position"], each["wait_ms"]) for each in listed} == {(None, None)}
    claimed = await api.claimed()
    held = (await api.get(f"/handoffs/{claimed[0]['id']}", "agent")).json()
    assert (held["state"], held["position"], held["wait_ms"]) == ("leased", None, None)


async def test_queues_are_listed_with_their_depths(api: Api) -> None:
    await api.escalated()
    await api.claimed()
    answer = await api.get("/queues", "operator")
    queues = {queue["name"]: queue for queue in answer.json()["queues"]}
    assert sorted(queues) == ["approvals", "later", "tier1"]
    oldest = queues["tier1"].pop("oldest_opened_at_ms")
    assert 0 < oldest <= now_ms()
    assert queues["tier1"] == {
        "name": "tier1",
        "title": "First line",
        "waiting": 1,
        "leased": 1,
        "grouped": 0,
        "declared": True,
        "wait_ms": None,
        "wait_told": {"told": 0, "held": 0},
        "budget": None,
    }


async def test_a_claim_of_an_empty_queue_is_204_without_a_body(api: Api) -> None:
    answer = await api.post("/queues/tier1/claim")
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_claim_gives_the_handoff_its_packet_and_a_lease(api: Api) -> None:
    decision = await api.escalated(message="I want to talk to a human about order A-1")
    answer = await api.post("/queues/tier1/claim")
    assert answer.status_code == 200
    claimed = answer.json()
    assert sorted(claimed) == ["drafts", "handoff", "lease", "packet"]
    handoff = claimed["handoff"]
    assert (handoff["id"], handoff["state"], handoff["kind"]) == (decision["handoff"]["id"], "leased", "escalate")
    assert handoff["holder"] == f"operator-of-{api.tenant}"
    assert sorted(claimed["lease"]) == ["expires_at_ms", "token", "warn_at_ms"]
    assert now_ms() < claimed["lease"]["expires_at_ms"] <= now_ms() + 60_000
    assert claimed["packet"]["handoff_id"] == handoff["id"]
    assert "talk to a human" in str(claimed["packet"])


async def test_the_packet_is_read_again_with_what_the_customer_wrote_since_the_claim(api: Api) -> None:
    handoff, _ = await api.claimed()
    said = "are you still there?"
    turn = {"conversation_id": handoff["conversation_id"], "turn_id": "since", "message": said}
    assert (await api.ask(**turn)).json()["verdict"] == "held_by_human"
    for role in ("operator", "manager"):
        answer = await api.get(f"/handoffs/{handoff['id']}/packet", role)
        assert answer.status_code == 200
        assert sorted(answer.json()) == ["drafts", "handoff", "packet"]
        assert said in answer.json()["packet"]["transcript"][-1]["message"]
    refused = await api.get(f"/handoffs/{handoff['id']}/packet", "agent")
    assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")


async def test_the_most_urgent_is_claimed_first_and_each_once(api: Api) -> None:
    opened = [(await api.escalated())["handoff"]["id"] for _ in range(5)]
    answers = await asyncio.gather(*(api.post("/queues/tier1/claim") for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [204] * 3
    assert sorted(answer.json()["handoff"]["id"] for answer in answers if answer.content) == sorted(opened)


async def test_the_same_claim_sent_again_is_answered_again(api: Api) -> None:
    await api.escalated()
    key = {"Idempotency-Key": "claim-1"}
    first = await api.post("/queues/tier1/claim", headers=key)
    again = await api.post("/queues/tier1/claim", headers=key)
    assert first.json()["lease"]["token"] == again.json()["lease"]["token"]
    assert (await api.post("/queues/tier1/claim")).status_code == 204


async def test_a_handoff_that_somebody_has_is_refused_with_the_name(api: Api) -> None:
    handoff, _ = await api.claimed()
    answer = await api.post(f"/handoffs/{handoff['id']}/claim", role="admin")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "already_claimed")
    assert f"operator-of-{api.tenant}" in problem["hint"]


async def test_a_lease_is_renewed_held_released_and_then_lost(api: Api) -> None:
    handoff, token = await api.claimed()
    path = f"/handoffs/{handoff['id']}"
    renewed = await api.post(f"{path}/renew", {"token": token})
    assert (renewed.status_code, renewed.json()["state"]) == (200, "leased")
    assert renewed.json()["lease_expires_at_ms"] >= handoff["lease_expires_at_ms"]
    until = now_ms() + 3_600_000
    held = await api.post(f"{path}/hold", {"token": token, "until_at_ms": until, "reason": "calling the warehouse"})
    assert (held.json()["state"], held.json()["hold_reason"]) == ("held", "calling the warehouse")
    assert held.json()["lease_expires_at_ms"] == until
    released = await api.post(f"{path}/release", {"token": token})
    assert (released.json()["state"], released.json()["holder"]) == ("waiting", None)
    lost = await api.post(f"{path}/renew", {"token": token})
    assert (lost.status_code, lost.json()["code"]) == (409, "lease_lost")


async def test_a_stale_token_is_told_who_has_the_handoff_now(api: Api) -> None:
    handoff, stale = await api.claimed()
    path = f"/handoffs/{handoff['id']}"
    await api.post(f"{path}/release", {"token": stale})
    await api.post(f"{path}/claim", role="admin")
    answer = await api.post(f"{path}/resolve", {"token": stale, "action": "approve", "outcome": "needed"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["title"]) == (409, "lease_lost", "the lease is lost")
    assert f"admin-of-{api.tenant}, who holds it now" in problem["hint"]
    assert sorted(problem) == ["code", "detail", "draft_saved", "hint", "status", "title", "type"]


async def test_a_transfer_moves_it_and_needs_somewhere_to_go(api: Api) -> None:
    handoff, token = await api.claimed()
    path = f"/handoffs/{handoff['id']}/transfer"
    nowhere = await api.post(path, {"token": token})
    assert (nowhere.status_code, nowhere.json()["detail"]) == (422, "needs `queue`, `operator` or both")
    unknown = await api.post(path, {"token": token, "queue": "tier9"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "queue_unknown")
    nobody = await api.post(path, {"token": token, "operator": "mai"})
    assert (nobody.status_code, nobody.json()["detail"]) == (404, "no operator has that name")
    assert (await api.get(f"/handoffs/{handoff['id']}")).json()["state"] == "leased"
    # Whoever has a key to take handoffs with, and whoever is declared, is somebody.
    admin = await api.post(path, {"token": token, "operator": f"admin-of-{api.tenant}"})
    assert admin.json()["reserved_for"] == f"admin-of-{api.tenant}"
    token = (await api.post(f"/handoffs/{handoff['id']}/claim", role="admin")).json()["lease"]["token"]
    await api.client.put("/operators/mia", json={}, headers=api.bearer("manager"))
    moved = await api.post(path, {"token": token, "queue": "approvals", "operator": "mia"}, "admin")
    assert (moved.json()["queue"], moved.json()["state"], moved.json()["reserved_for"]) == (
        "approvals",
        "waiting",
        "mia",
    )


async def test_a_reply_reaches_the_waiting_agent(api: Api) -> None:
    handoff, token = await api.claimed()
    path = f"/handoffs/{handoff['id']}"
    waiting = asyncio.create_task(api.get(path, wait_ms=30_000, version=handoff["version"]))
    await asyncio.sleep(0)
    said = await api.post(f"{path}/reply", {"token": token, "text": "Hello, this is Mia."})
    assert said.status_code == 200
    answer = await asyncio.wait_for(waiting, WAIT_S)
    (reply,) = answer.json()["replies"]
    assert (reply["number"], reply["text"], reply["by"]) == (1, "Hello, this is Mia.", f"operator-of-{api.tenant}")
    assert answer.json()["version"] > handoff["version"]


RESOLVED: dict[str, dict[str, Any]] = {
    "approve": {},
    "edit": {"edited": {"reply": "Better words."}},
    "reject": {"root_cause": "policy"},
    "answer": {"text": "It arrives on Monday."},
    "take_over": {"flags": ["customer_had_to_repeat"]},
}


@pytest.mark.parametrize("action", ACTIONS)
async def test_every_resolution_reaches_the_agent_typed(api: Api, action: str) -> None:
    handoff, token = await api.claimed(reply="It arrives soon.")
    body = {"token": token, "action": action, "outcome": "needed"} | RESOLVED[action]
    resolved = await api.post(f"/handoffs/{handoff['id']}/resolve", body)
    assert resolved.status_code == 200, resolved.text
    answer = await api.get(f"/handoffs/{handoff['id']}", wait_ms=20_000)
    resolution = answer.json()["resolution"]
    assert answer.json()["state"] == "resolved"
    assert (resolution["action"], resolution["outcome"]) == (action, "needed")
    assert {name: resolution[name] for name in RESOLVED[action]} == RESOLVED[action]


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_every_outcome_may_be_said(api: Api, outcome: str) -> None:
    handoff, token = await api.claimed(reply="It arrives soon.")
    body = {"token": token, "action": "approve", "outcome": outcome}
    resolved = await api.post(f"/handoffs/{handoff['id']}/resolve", body)
    assert resolved.json()["resolution"]["outcome"] == outcome


INCOMPLETE: dict[str, tuple[dict[str, Any], str]] = {
    "an edit without its edit": ({"action": "edit"}, "`edit` needs `edited` with `reply` or `tool_call`"),
    "an empty edit": ({"action": "edit", "edited": {}}, "`edit` needs `edited` with `reply` or `tool_call`"),
    "an answer without words": ({"action": "answer"}, "`answer` needs `text`"),
    "an action that is none": (
        {"action": "hand_back"},
        "`action` must be one of `approve`, `edit`, `reject`, `answer` or `take_over`",
    ),
    "an outcome that is none": (
        {"action": "approve", "outcome": "fine"},
        "`outcome` must be one of `needed`, `not_needed`, `too_late` or `unclear`",
    ),
    "a flag that is none": (
        {"action": "approve", "flags": ["x"]},
        "`flags.0` must be one of `customer_had_to_repeat`, `wrong_queue` or `missing_context`",
    ),
    "a field that is none": (
        {"action": "approve", "root_couse": "x"},
        "`root_couse` is not a field (did you mean `root_cause`?)",
    ),
}


@pytest.mark.parametrize("name", INCOMPLETE)
async def test_a_resolution_that_says_too_little_changes_nothing(api: Api, name: str) -> None:
    fields, told = INCOMPLETE[name]
    handoff, token = await api.claimed()
    answer = await api.post(f"/handoffs/{handoff['id']}/resolve", {"token": token, "outcome": "needed"} | fields)
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (422, "body_invalid", told)
    assert (await api.get(f"/handoffs/{handoff['id']}")).json()["state"] == "leased"


async def test_a_hand_back_gives_the_conversation_and_the_facts_to_the_agent(api: Api) -> None:
    handoff, token = await api.claimed(conversation_id="c-back")
    back = {"token": token, "facts": {"refund_ok": True}, "may_retry": True}
    answer = await api.post(f"/handoffs/{handoff['id']}/hand-back", back)
    resolution = answer.json()["resolution"]
    assert (answer.json()["state"], resolution["action"]) == ("handed_back", "hand_back")
    assert (resolution["facts"], resolution["may_retry"]) == ({"refund_ok": True}, True)
    after = (await api.ask(conversation_id="c-back", turn_id="2")).json()
    assert (after["verdict"], after["handoff"]) == ("continue", None)


@pytest.mark.parametrize(
    ("verb", "fields"),
    [("hand-back", {"facts": {"a": 1}}), ("resolve", {"action": "reject", "outcome": "needed"})],
    ids=["hand-back", "resolve"],
)
async def test_an_edit_of_nothing_is_refused(api: Api, verb: str, fields: dict[str, Any]) -> None:
    handoff, token = await api.claimed()
    answer = await api.post(f"/handoffs/{handoff['id']}/{verb}", {"token": token, "edited": {}} | fields)
    told = "`edited` needs `reply` or `tool_call`"
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (422, "body_invalid", told)
    assert (await api.get(f"/handoffs/{handoff['id']}")).json()["state"] == "leased"


async def test_facts_are_bounded(api: Api) -> None:
    handoff, token = await api.claimed()
    deep: Any = 1
    for _ in range(12):
        deep = [deep]
    answer = await api.post(f"/handoffs/{handoff['id']}/hand-back", {"token": token, "facts": {"a": deep}})
    assert (answer.status_code, answer.json()["code"]) == (422, "body_invalid")


async def test_what_has_ended_stays_ended(api: Api) -> None:
    handoff, token = await api.claimed()
    path = f"/handoffs/{handoff['id']}"
    body = {"token": token, "action": "reject", "outcome": "needed"}
    await api.post(f"{path}/resolve", body)
    for verb, fields in (("renew", {"token": token}), ("reply", {"token": token, "text": "x"}), ("resolve", body)):
        answer = await api.post(f"{path}/{verb}", fields)
        assert answer.status_code == 409
        assert answer.json()["code"] in ("move_illegal", "lease_lost")
    again = await api.post(f"{path}/claim")
    assert (again.status_code, again.json()["code"]) == (409, "move_illegal")


async def test_open_handoffs_are_listed_a_page_at_a_time(api: Api) -> None:
    opened = [(await api.escalated())["handoff"]["id"] for _ in range(5)]
    seen: list[str] = []
    cursor = None
    for _ in range(10):
        params = {"queue": "tier1", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/handoffs", "operator", **params)).json()
        seen += [handoff["id"] for handoff in page["handoffs"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == opened
    waiting = (await api.get("/handoffs", "manager", state="leased")).json()
    assert waiting["handoffs"] == []
    every = await api.get("/handoffs", "operator", queue="", state="", cursor="")
    assert [handoff["id"] for handoff in every.json()["handoffs"]] == opened


LISTS_REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "a cursor that is not ours": ({"cursor": "zzz"}, 422, "cursor_invalid"),
    "a state that is none": ({"state": "sleeping"}, 422, "query_invalid"),
    "a page that is too long": ({"limit": 101}, 422, "query_invalid"),
    "a page of nothing": ({"limit": 0}, 422, "query_invalid"),
}


@pytest.mark.parametrize("name", LISTS_REFUSED)
async def test_a_list_that_cannot_be_given(api: Api, name: str) -> None:
    params, status, code = LISTS_REFUSED[name]
    answer = await api.get("/handoffs", "operator", **params)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_wait_without_news_ends_in_time_and_answers_the_present_state(api: Api) -> None:
    decision = await api.escalated()
    answer = await asyncio.wait_for(api.get(f"/handoffs/{decision['handoff']['id']}", wait_ms=300), WAIT_S)
    assert (answer.status_code, answer.json()["state"]) == (200, "waiting")


async def test_a_wait_for_a_version_that_is_past_answers_at_once(api: Api) -> None:
    handoff, _ = await api.claimed()
    answer = await asyncio.wait_for(api.get(f"/handoffs/{handoff['id']}", wait_ms=30_000, version=0), WAIT_S)
    assert answer.json()["version"] == handoff["version"]


async def test_a_wait_is_bounded(api: Api) -> None:
    answer = await api.get("/handoffs/hof_0_0000000000000000", wait_ms=30_001)
    assert (answer.status_code, answer.json()["detail"]) == (422, "`wait_ms` must be at most 30000")


async def test_a_stop_ends_every_wait_at_once(api: Api) -> None:
    decision = await api.escalated()
    waiting = asyncio.create_task(api.get(f"/handoffs/{decision['handoff']['id']}", wait_ms=30_000))
    async with asyncio.timeout(WAIT_S):
        while not api.running.metrics.waits_open:  # noqa: ASYNC110  # what is waited for is a plain count
            await asyncio.sleep(0.01)
    api.running.stopping.set()
    answer = await asyncio.wait_for(waiting, WAIT_S)
    assert answer.json()["state"] == "waiting"
    assert api.running.metrics.waits_open == 0
    assert (await api.client.get("/readyz")).json() == {"status": "stopping"}


async def test_past_the_limit_of_waits_an_answer_comes_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff_routes, "WAITS_OPEN_MAX", 0)
    decision = await api.escalated()
    answer = await asyncio.wait_for(api.get(f"/handoffs/{decision['handoff']['id']}", wait_ms=30_000), WAIT_S)
    assert answer.json()["state"] == "waiting"


OUTCOMES_LATER: dict[str, dict[str, Any]] = {
    "it was opened again": {"kind": "reopened", "conversation_id": "c-later"},
    "the customer gave a score": {"kind": "csat", "conversation_id": "c-later", "score": 4},
    "the customer complained": {"kind": "complaint", "conversation_id": "c-later", "at_ms": 1_790_000_000_000},
    "nobody was needed": {"kind": "resolved_without_person", "conversation_id": "c-later"},
}


@pytest.mark.parametrize("name", OUTCOMES_LATER)
async def test_what_becomes_known_later_is_put_on_record_once_a_request(api: Api, name: str) -> None:
    await api.ask(conversation_id="c-later")
    key = {"Idempotency-Key": f"outcome-{name.replace(' ', '-')}"}
    first = await api.post("/outcomes", OUTCOMES_LATER[name], "agent", key)
    again = await api.post("/outcomes", OUTCOMES_LATER[name], "agent", key)
    assert (first.status_code, first.json()["repeated"]) == (201, False)
    assert (again.status_code, again.json()["repeated"]) == (200, True)
    assert again.json()["outcome_id"] == first.json()["outcome_id"]


OUTCOMES_REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "of nothing": ({"kind": "reopened"}, 422, "needs `conversation_id`, `handoff_id` or both"),
    "what has not happened yet": (
        {"kind": "complaint", "conversation_id": "c", "at_ms": 99_999_999_999_999},
        422,
        "`at_ms` lies ahead: it is when it happened, in milliseconds since 1970",
    ),
    "a score that is missing": ({"kind": "csat", "conversation_id": "c"}, 422, "`csat` needs `score`"),
    "of no kind": (
        {"kind": "fine", "conversation_id": "c"},
        422,
        "`kind` must be one of `reopened`, `csat`, `complaint` or `resolved_without_person`",
    ),
    "of a handoff that is not there": (
        {"kind": "reopened", "handoff_id": "hof_0_0000000000000000"},
        404,
        "no such handoff",
    ),
}


@pytest.mark.parametrize("name", OUTCOMES_REFUSED)
async def test_an_outcome_that_cannot_be_put_on_record(api: Api, name: str) -> None:
    body, status, told = OUTCOMES_REFUSED[name]
    answer = await api.post("/outcomes", body, "operator")
    assert (answer.status_code, answer.json()["detail"]) == (status, told)


async def test_moves_are_counted_by_how_they_went(api: Api) -> None:
    handoff, token = await api.claimed()
    await api.post(f"/handoffs/{handoff['id']}/renew", {"token": token})
    await api.post(f"/handoffs/{handoff['id']}/renew", {"token": "not-it"})
    assert dict(api.running.metrics.moves) == {
        ("claim", "done"): 1,
        ("renew", "done"): 1,
        ("renew", "lease_lost"): 1,
    }


async def test_what_an_operator_writes_is_kept_and_found_by_whoever_comes_next(api: Api) -> None:
    handoff_id = (await api.escalated())["handoff"]["id"]
    claimed = (await api.post(f"/handoffs/{handoff_id}/claim")).json()
    assert claimed["drafts"] == []
    for text in ("Dear", "Dear customer"):
        kept = await api.client.put(
            f"/handoffs/{handoff_id}/draft", json={"fields": {"text": text}}, headers=api.bearer("operator")
        )
        assert kept.status_code == 204
    seen = (await api.get(f"/handoffs/{handoff_id}/packet", "operator")).json()["drafts"]
    assert [(draft["fields"], draft["by"]) for draft in seen] == [
        ({"text": "Dear customer"}, claimed["handoff"]["holder"])
    ]
    # Sent, it is a draft no more.
    token = claimed["lease"]["token"]
    sent = await api.post(f"/handoffs/{handoff_id}/reply", {"token": token, "text": "Dear customer, yes."})
    assert sent.status_code == 200
    assert (await api.get(f"/handoffs/{handoff_id}/packet", "operator")).json()["drafts"] == []


async def test_an_answer_that_comes_too_late_is_refused_and_kept(api: Api) -> None:
    handoff_id = (await api.escalated())["handoff"]["id"]
    stale = (await api.post(f"/handoffs/{handoff_id}/claim")).json()["lease"]["token"]
    await api.post(f"/handoffs/{handoff_id}/release", {"token": stale})
    claimed = (await api.post(f"/handoffs/{handoff_id}/claim", role="admin")).json()
    answer = {"action": "answer", "outcome": "needed", "text": "Your money is on its way."}
    late = await api.post(f"/handoffs/{handoff_id}/resolve", {"token": stale, **answer})
    assert (late.status_code, late.json()["code"], late.json()["draft_saved"]) == (409, "lease_lost", True)
    assert claimed["lease"]["warn_at_ms"] == claimed["lease"]["expires_at_ms"] - 15_000
    (draft,) = (await api.get(f"/handoffs/{handoff_id}/packet", "operator")).json()["drafts"]
    assert draft["fields"] == {"verb": "resolve", **answer, "flags": []}
    # Each text by itself, beside what is being written, and the same one once.
    for text in ("One.", "Two.", "Two."):
        late = await api.post(f"/handoffs/{handoff_id}/reply", {"token": stale, "text": text})
        assert late.json()["draft_saved"] is True
    await api.client.put(
        f"/handoffs/{handoff_id}/draft", json={"fields": {"text": "Thr"}}, headers=api.bearer("operator")
    )
    drafts = (await api.get(f"/handoffs/{handoff_id}/packet", "operator")).json()["drafts"]
    assert [(each["refused"], each["fields"]["text"]) for each in reversed(drafts)] == [
        (True, "Your money is on its way."),
        (True, "One."),
        (True, "Two."),
        (False, "Thr"),
    ]
    # Said at last, it is a draft no more; what was refused besides still is, until its author throws it away.
    token = claimed["lease"]["token"]
    await api.post(
        f"/handoffs/{handoff_id}/transfer", {"token": token, "operator": f"operator-of-{api.tenant}"}, "admin"
    )
    token = (await api.post(f"/handoffs/{handoff_id}/claim")).json()["lease"]["token"]
    await api.post(f"/handoffs/{handoff_id}/reply", {"token": token, "text": "One."})
    drafts = (await api.get(f"/handoffs/{handoff_id}/packet", "operator")).json()["drafts"]
    assert [each["fields"]["text"] for each in reversed(drafts)] == ["Your money is on its way.", "Two."]
    await api.client.put(f"/handoffs/{handoff_id}/draft", json={"fields": {}}, headers=api.bearer("operator"))
    assert (await api.get(f"/handoffs/{handoff_id}/packet", "operator")).json()["drafts"] == []
    stale = token
    await api.post(f"/handoffs/{handoff_id}/release", {"token": token})
    claimed = (await api.post(f"/handoffs/{handoff_id}/claim", role="admin")).json()
    # Also after somebody else has ended it.
    ended = {"token": claimed["lease"]["token"], "action": "take_over", "outcome": "needed"}
    assert (await api.post(f"/handoffs/{handoff_id}/resolve", ended, role="admin")).status_code == 200
    late = await api.post(f"/handoffs/{handoff_id}/reply", {"token": stale, "text": "Still there?"})
    assert late.json()["draft_saved"] is True


async def test_nothing_blank_is_said_and_no_hold_ends_before_it_begins(api: Api) -> None:
    handoff, token = await api.claimed()
    path = f"/handoffs/{handoff['id']}"
    blank = await api.post(f"{path}/reply", {"token": token, "text": " \n "})
    assert (blank.status_code, "the text is blank" in blank.json()["detail"]) == (422, True)
    answer = await api.post(f"{path}/resolve", {"token": token, "action": "answer", "outcome": "needed", "text": " "})
    assert (answer.status_code, answer.json()["detail"]) == (422, "`answer` needs `text`")
    past = await api.post(f"{path}/hold", {"token": token, "until_at_ms": now_ms() - 1})
    assert (past.status_code, past.json()["detail"]) == (422, "`until_at_ms` has passed already")
    long = {"token": token, "facts": {"all": "x" * 65_537}}
    facts = await api.post(f"{path}/hand-back", long)
    assert facts.json()["detail"] == "`facts` is longer than 65536 characters"
    assert (await api.get(path)).json()["replies"] == []


async def test_a_heartbeat_ends_no_hold_and_a_word_does(api: Api) -> None:
    handoff_id = (await api.escalated())["handoff"]["id"]
    token = (await api.post(f"/handoffs/{handoff_id}/claim")).json()["lease"]["token"]
    until = {"token": token, "until_at_ms": now_ms() + 3_600_000, "reason": "asks the bank"}
    held = (await api.post(f"/handoffs/{handoff_id}/hold", until)).json()
    assert held["lease_warn_at_ms"] == until["until_at_ms"] - 120_000
    before_ms = now_ms()
    soon = {"token": token, "until_at_ms": before_ms + 40_000}
    short = (await api.post(f"/handoffs/{handoff_id}/hold", soon)).json()
    # The hold began a moment after `before_ms`: a quarter of what was left then.
    assert before_ms + 30_000 <= short["lease_warn_at_ms"] < soon["until_at_ms"]
    renewed = await api.post(f"/handoffs/{handoff_id}/renew", {"token": token})
    assert (renewed.status_code, renewed.json()["code"]) == (409, "move_illegal")
    assert (await api.get(f"/handoffs/{handoff_id}")).json()["state"] == "held"
    resumed = (await api.post(f"/handoffs/{handoff_id}/resume", {"token": token})).json()
    assert (resumed["state"], resumed["hold_reason"]) == ("leased", None)
