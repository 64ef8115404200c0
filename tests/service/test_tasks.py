"""What each handoff takes for an answer over HTTP, and that what a person says reaches the agent, or is refused."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rules.handoff import ACTIONS
from rules.tasks import TASKS, TaskName
from service.clock import now_ms
from service.flows import deadlines
from tests.service.api_service import Api, Server, embedded, ruleset, served

pytestmark = pytest.mark.server
_NUMBERS = itertools.count(1)
HOUR_MS = 3_600_000
RULES = """\
handrail: 1
queues:
  tier1:
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "One moment."}
  approvals: {answer_within: 5m, on_timeout: {verdict: deny, say: {en: "No."}}, say: {en: "I have to ask."}}
  later: {answer_within: 3d, on_timeout: {verdict: continue, say: {en: "-"}}, say: {en: "-"}}
rules:
  - id: by-telephone
    why: the customer is on the telephone
    when: channel = voice
    then: {escalate: tier1}
  - id: cannot-wait
    why: the customer is angry
    when: sentiment < -0.5
    then: {escalate: approvals}
  - id: refund
    why: money is about to go
    when: {tool_call: {all: [name = issue_refund, status = proposed]}}
    then: {hold: approvals}
  - id: unsure
    why: the agent is unsure
    when: confidence < 0.5
    then: {review: later}
"""
REFUND = {"name": "issue_refund", "args": {"order_id": "A-1"}, "write": True, "status": "proposed"}
# What the agent sends for each kind of work; a call is owed where nobody came to an escalation.
SENT: dict[TaskName, dict[str, Any]] = {
    "review": {"message": "When?", "reply": "Soon, I think.", "confidence": 0.2},
    "call": {"message": "Hello?", "channel": "voice"},
    "hold": {"message": "Refund me.", "tool_calls": [REFUND]},
    "escalate": {"message": "Outrageous!", "sentiment": -0.9},
    "draft": {"message": "Outrageous!", "reply": "I am sorry.", "sentiment": -0.9},
}
WORDS: dict[str, dict[str, Any]] = {"answer": {"text": "On Monday."}, "edit": {"edited": {"reply": "On Monday."}}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("tasks"))


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server, ruleset(RULES)) as api:
        yield api


class Work:
    """A handoff of one kind that an operator has taken."""

    def __init__(self, api: Api, conversation_id: str, claimed: dict[str, Any]) -> None:
        self.api, self.conversation_id, self.claimed = api, conversation_id, claimed
        self.path, self.token = f"/handoffs/{claimed['handoff']['id']}", claimed["lease"]["token"]

    async def does(self, verb: str, **body: object) -> tuple[int, dict[str, Any]]:
        answer = await self.api.post(f"{self.path}/{verb}", {"token": self.token, **body})
        return answer.status_code, answer.json()

    async def writes(self) -> dict[str, Any]:
        """Return the answer to the customer's next turn, on which no rule fires."""
        turn_id = f"w{next(_NUMBERS)}"
        answer = await self.api.ask(conversation_id=self.conversation_id, turn_id=turn_id, message="Hello")
        told: dict[str, Any] = answer.json()
        return told


async def taken(api: Api, task: TaskName) -> Work:
    conversation_id, store = f"task-{next(_NUMBERS)}", api.running.store
    decision = (await api.ask(conversation_id=conversation_id, turn_id="t1", **SENT[task])).json()
    handoff_id = decision["handoff"]["id"]
    if task == "call":
        await deadlines.sweep(store, api.tenant, now_ms() + HOUR_MS)
        handoff_id = (await api.get(f"/handoffs/{handoff_id}")).json()["call_id"]
    answer = await api.post(f"/handoffs/{handoff_id}/claim")
    assert answer.status_code == 200, answer.text
    return Work(api, conversation_id, answer.json())


@pytest.mark.parametrize("task", SENT)
async def test_the_packet_lists_what_the_service_takes(api: Api, task: TaskName) -> None:
    for action in ACTIONS:
        work = await taken(api, task)
        assert tuple(work.claimed["packet"]["task"]["actions"]) == TASKS[task].actions
        status, told = await work.does("resolve", action=action, outcome="needed", **WORDS.get(action, {}))
        assert (status == 200) == TASKS[task].takes(action), (action, told)
        if status != 200:
            assert (status, told["code"]) == (409, "move_illegal")
            assert told["detail"] == f"that is no answer to {TASKS[task].named}"
            # What is possible is, and the lease is still theirs.
            status, _ = await work.does("resolve", action="take_over", outcome="needed")
        assert status == 200
    work = await taken(api, task)
    status, told = await work.does("hand-back")
    assert (status == 200, "hand_back" in TASKS[task].actions) == (True, True)


async def test_a_refusal_names_what_is_possible_and_keeps_what_was_written(api: Api) -> None:
    work = await taken(api, "call")
    status, told = await work.does("resolve", action="answer", outcome="needed", text="It is on its way.")
    assert (status, told["hint"]) == (409, "answer it with `take_over` or `reject`, or hand it back")
    assert told["draft_saved"]
    status, told = await work.does("reply", text="It is on its way.")
    assert (status, told["code"], told["detail"], told["hint"]) == (
        409,
        "move_illegal",
        "nobody passes on a reply to a promised call",
        "speak to the customer yourself; then answer it with `take_over` or `reject`, or hand it back",
    )
    handoff = (await api.get(work.path)).json()
    assert (handoff["state"], handoff["replies"]) == ("leased", [])
    work = await taken(api, "review")
    status, told = await work.does("resolve", action="edit", outcome="needed", edited={"reply": "Hello"})
    assert (status, told["detail"]) == (409, "that is no answer to a review")
    assert told["hint"] == "answer it with `approve`, `reject`, `answer` or `take_over`, or hand it back"


@pytest.mark.parametrize(("action", "words"), [("approve", {}), ("edit", {"edited": {"reply": "It is on its way."}})])
async def test_an_escalation_without_a_draft_offers_no_approval_and_takes_one(
    api: Api, action: str, words: dict[str, Any]
) -> None:
    work = await taken(api, "escalate")
    assert action not in work.claimed["packet"]["task"]["actions"]
    status, told = await work.does("resolve", action=action, outcome="needed", **words)
    assert (status, told["resolution"]["action"]) == (200, action)


async def test_whoever_has_lost_it_hears_of_that_first(api: Api) -> None:
    work = await taken(api, "call")
    work.token = "1-x"
    for verb, body in (("reply", {"text": "Hello"}), ("resolve", {"action": "approve", "outcome": "needed"})):
        status, told = await work.does(verb, **body)
        assert (status, told["code"]) == (409, "lease_lost")


@pytest.mark.parametrize("task", ["review", "hold"])
async def test_a_reply_goes_back_with_the_next_answer_where_the_agent_has_gone_on(api: Api, task: TaskName) -> None:
    work = await taken(api, task)
    await work.does("reply", text="I am Mia.")
    answer = await work.writes()
    assert answer["verdict"] == "continue"
    assert [each["text"] for each in answer["replies"]] == ["I am Mia."]
    assert "replies" not in await work.writes()
    # What was said last and no turn has carried yet is told with the end.
    await work.does("reply", text="It arrives on Monday.")
    await work.does("resolve", action="approve", outcome="needed")
    after = (await work.writes())["after_human"]
    assert (after["kind"], [each["text"] for each in after["replies"]]) == (task, ["It arrives on Monday."])
    assert "after_human" not in await work.writes()


@pytest.mark.parametrize(
    ("task", "verb", "body", "told"),
    [
        ("review", "resolve", {"action": "answer", "text": "It was wrong: on Monday.", "outcome": "needed"}, True),
        ("review", "resolve", {"action": "reject", "text": "It was wrong.", "outcome": "needed"}, True),
        ("review", "hand-back", {"facts": {"arrives": "Monday"}}, True),
        ("review", "hand-back", {}, True),
        ("review", "resolve", {"action": "approve", "outcome": "not_needed"}, False),
        ("review", "resolve", {"action": "reject", "text": "", "outcome": "needed"}, False),
        ("review", "resolve", {"action": "take_over", "outcome": "needed"}, False),
        ("call", "hand-back", {"facts": {"agreed": "a refund"}, "may_retry": True, "text": "As we said."}, True),
        ("hold", "resolve", {"action": "approve", "outcome": "needed"}, True),
    ],
    ids=str,
)
async def test_the_next_answer_tells_how_it_ended_where_there_is_something_to_tell(
    api: Api, task: TaskName, verb: str, body: dict[str, Any], told: bool
) -> None:
    work = await taken(api, task)
    if task == "call":
        # That nobody came was told by the first turn after it.
        assert (await work.writes())["after_human"]["resolution"]["action"] == "timeout"
    status, _ = await work.does(verb, **body)
    assert status == 200
    after = (await work.writes()).get("after_human")
    assert (after is not None) == told
    if after is not None:
        given = {name: value for name, value in body.items() if name in ("text", "facts", "may_retry")}
        assert {name: after["resolution"][name] for name in given} == given
        assert f"/handoffs/{after['handoff_id']}" == work.path


async def test_the_end_of_a_review_without_words_does_not_hide_an_earlier_end(api: Api) -> None:
    work = await taken(api, "call")
    status, _ = await work.does("resolve", action="take_over", outcome="needed")
    assert status == 200
    assert (await work.writes())["after_human"]["resolution"]["action"] == "timeout"
