"""The operators' calls: what goes over the wire, what comes back typed, what a lost reply may not do twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from handrail_client import Claimed, HandrailProblem, HandrailUnreachable
from tests.client.drive import KINDS, Kind, run
from tests.client.misbehaving import Server, answers, halves, resets

pytestmark = pytest.mark.parametrize("kind", KINDS)

HANDOFF: dict[str, object] = {"handoff_id": "hof_1", "state": "leased", "queue": "approvals", "version": 2}
MOVES: list[tuple[str, tuple[object, ...], Mapping[str, object], str, Mapping[str, object]]] = [
    ("renew", (), {}, "renew", {}),
    ("hold", (), {"reason": "asks the bank", "until_at_ms": 9}, "hold", {"reason": "asks the bank", "until_at_ms": 9}),
    ("resume", (), {}, "resume", {}),
    ("release", (), {}, "release", {}),
    ("transfer", (), {"queue": "tier2"}, "transfer", {"queue": "tier2"}),
    ("transfer", (), {"operator": "mia"}, "transfer", {"operator": "mia"}),
    ("reply", ("I am here.",), {}, "reply", {"text": "I am here."}),
    (
        "resolve",
        (),
        {"action": "edit", "outcome": "needed", "edited": {"reply": "x"}, "root_cause": "policy", "flags": ("f",)},
        "resolve",
        {"action": "edit", "outcome": "needed", "edited": {"reply": "x"}, "root_cause": "policy", "flags": ["f"]},
    ),
    (
        "hand_back",
        (),
        {"facts": {"paid": True}, "may_retry": False, "edited": {"reply": "x"}},
        "hand-back",
        {"facts": {"paid": True}, "may_retry": False, "edited": {"reply": "x"}},
    ),
]


@pytest.mark.parametrize(("method", "positional", "fields", "verb", "sent"), MOVES)
def test_a_move_sends_the_token_and_what_is_known(
    kind: Kind,
    method: str,
    positional: tuple[object, ...],
    fields: Mapping[str, Any],
    verb: str,
    sent: Mapping[str, object],
) -> None:
    with Server([answers(HANDOFF)]) as server:
        handoff = run(kind, server.url, method, "hof_1", "tok", *positional, **fields)
    request = server.requests[0]
    assert (request.method, request.target) == ("POST", f"/handoffs/hof_1/{verb}")
    assert request.json == ({"token": "tok", "flags": []} if method == "resolve" else {"token": "tok"}) | dict(sent)
    assert (handoff.id, handoff.state, handoff.version) == ("hof_1", "leased", 2)


@pytest.mark.parametrize("fault", [resets, halves, answers({"code": "store_away"}, 503, {"retry-after": "0"})])
def test_a_move_whose_reply_was_lost_is_the_same_move_when_it_is_sent_again(kind: Kind, fault: Any) -> None:
    if fault is halves:
        fault = answers(b'{"handoff_id": ')
    with Server([fault, answers(HANDOFF)]) as server:
        run(kind, server.url, "reply", "hof_1", "tok", "I am here.")
        run(kind, server.url, "reply", "hof_1", "tok", "I am here.")
    first, again, other = (request.headers["idempotency-key"] for request in server.requests)
    assert first == again != other


def test_a_claim_brings_the_handoff_the_packet_and_a_lease_whose_token_is_in_no_repr(kind: Kind) -> None:
    body = {"handoff": HANDOFF, "packet": {"why": "x", "version": 1}, "lease": {"token": "s3cret", "expires_at_ms": 5}}
    with Server([answers(body)]) as server:
        claimed: Claimed = run(kind, server.url, "claim", "approvals/eu")
        run(kind, server.url, "claim_handoff", "hof_1")
    assert [request.target for request in server.requests] == ["/queues/approvals%2Feu/claim", "/handoffs/hof_1/claim"]
    assert (claimed.handoff.id, claimed.packet["why"]) == ("hof_1", "x")
    assert (claimed.lease.token, claimed.lease.expires_at_ms) == ("s3cret", 5)
    assert "s3cret" not in repr(claimed)


def test_without_a_queue_the_next_of_all_is_claimed_with_what_was_written_before(kind: Kind) -> None:
    drafts = [{"by": "ben", "at_ms": 3, "refused": True, "fields": {"verb": "reply", "text": "Dear"}}]
    body = {"handoff": HANDOFF, "packet": {}, "lease": {"token": "s", "expires_at_ms": 5, "warn_at_ms": 4}}
    with Server([answers(body | {"drafts": drafts}), answers(b"", 204)]) as server:
        claimed: Claimed = run(kind, server.url, "claim")
        assert run(kind, server.url, "claim") is None
    assert [request.target for request in server.requests] == ["/claim", "/claim"]
    assert (claimed.lease.warn_at_ms, claimed.drafts[0].by, claimed.drafts[0].refused) == (4, "ben", True)
    assert claimed.drafts[0].fields["text"] == "Dear"


@pytest.mark.parametrize("verb", ["acknowledge", "decline"])
def test_what_waits_is_acknowledged_or_declined_without_a_token(kind: Kind, verb: str) -> None:
    with Server([answers(HANDOFF)]) as server:
        assert run(kind, server.url, verb, "hof_1").id == "hof_1"
    request = server.requests[0]
    assert (request.method, request.target, request.json) == ("POST", f"/handoffs/hof_1/{verb}", {})


def test_drafts_are_kept_and_found_in_the_packet(kind: Kind) -> None:
    packet = {"handoff": HANDOFF, "packet": {"why": "x"}, "drafts": [{"by": "mia", "fields": {"text": "Dear"}}]}
    with Server([answers(b"", 204), answers(packet)]) as server:
        assert run(kind, server.url, "save_draft", "hof_1", {"text": "Dear"}) is None
        found = run(kind, server.url, "packet", "hof_1")
    assert [(request.method, request.target) for request in server.requests] == [
        ("PUT", "/handoffs/hof_1/draft"),
        ("GET", "/handoffs/hof_1/packet"),
    ]
    assert server.requests[0].json == {"fields": {"text": "Dear"}}
    assert (found.packet["why"], found.drafts[0].by, found.drafts[0].refused) == ("x", "mia", False)


def test_being_there_is_said_and_unsaid(kind: Kind) -> None:
    with Server([answers({"present_until_ms": 7}), answers({"present_until_ms": None})]) as server:
        assert run(kind, server.url, "present") == 7
        assert run(kind, server.url, "present", available=False) is None
    assert [request.json for request in server.requests] == [{"available": True}, {"available": False}]


def test_nothing_waits_is_a_value(kind: Kind) -> None:
    with Server([answers(b"", 204)]) as server:
        assert run(kind, server.url, "claim", "approvals") is None


def test_queues_and_pages_come_typed(kind: Kind) -> None:
    queue = {"name": "approvals", "title": "Approvals", "waiting": 3, "leased": 1, "oldest_opened_at_ms": 7, "new": 1}
    with Server([answers({"queues": [queue]}), answers([queue])]) as server:
        for _ in range(2):
            (view,) = run(kind, server.url, "queues")
            assert (view.name, view.waiting, view.leased, view.oldest_opened_at_ms) == ("approvals", 3, 1, 7)
    with Server([answers({"handoffs": [HANDOFF], "cursor": "c2"})]) as server:
        page = run(kind, server.url, "handoffs", queue="a b", state="waiting", limit=10)
    assert server.requests[0].target == "/handoffs?queue=a+b&state=waiting&limit=10"
    assert ([handoff.id for handoff in page.handoffs], page.cursor) == (["hof_1"], "c2")


def test_a_flood_is_listed_looked_through_answered_and_let_go(kind: Kind) -> None:
    flood = {
        "queue": "approvals",
        "by": "agent",
        "who": "bot",
        "rule_id": "r",
        "leader": "hof_1",
        "members": 46,
        "new": 1,
    }
    group = {"by": "agent", "who": "bot", "rule_id": "r", "leads": True, "leader": "hof_1", "members": 46}
    page = {"handoffs": [HANDOFF | {"group": group}], "cursor": None}
    served = [
        answers({"floods": [flood]}),
        answers(page),
        answers({"done": 46, "left": 0}),
        answers({"done": 1, "left": 0}),
    ]
    with Server(served) as server:
        (found,) = run(kind, server.url, "floods", "approvals")
        (handoff,) = run(kind, server.url, "members", "hof_1", limit=5).handoffs
        given: dict[str, Any] = {"action": "answer", "outcome": "not_needed", "text": "It is paid."}
        dealt = run(kind, server.url, "answer_members", "hof_1", "tok", **given)
        run(kind, server.url, "ungroup", "hof_1", ["hof_2"])
    assert (found.who, found.members, found.leader) == ("bot", 46, "hof_1")
    assert (handoff.group.leads, handoff.group.members) == (True, 46)
    assert (dealt.done, dealt.left) == (46, 0)
    assert [request.target for request in server.requests] == [
        "/floods?queue=approvals",
        "/handoffs/hof_1/members?limit=5",
        "/handoffs/hof_1/members/answer",
        "/handoffs/hof_1/members/ungroup",
    ]
    assert [request.json for request in server.requests[2:]] == [{"token": "tok", **given}, {"members": ["hof_2"]}]


def test_a_list_of_floods_that_is_none_is_refused(kind: Kind) -> None:
    with Server([answers({"floods": 1})]) as server, pytest.raises(HandrailUnreachable, match=r"not a list of floods"):
        run(kind, server.url, "floods")


def test_a_lost_lease_says_who_holds_it(kind: Kind) -> None:
    lost = {"code": "lease_lost", "detail": "lease on hof_1 ended 4200 ms ago", "hint": "ask mia, who holds it now"}
    with Server([answers(lost, 409)]) as server, pytest.raises(HandrailProblem) as caught:
        run(kind, server.url, "renew", "hof_1", "tok")
    assert str(caught.value) == "lease_lost (409): lease on hof_1 ended 4200 ms ago; ask mia, who holds it now"


def test_operators_calls_raise_when_the_service_is_not_there(kind: Kind) -> None:
    fact = r"^no answer from handrail after 1 try: the service answered 500 \(internal\)$"
    with Server([answers({"code": "internal"}, 500)]) as server, pytest.raises(HandrailUnreachable, match=fact):
        run(kind, server.url, "queues")


def test_outcomes_are_reported(kind: Kind) -> None:
    with Server([answers({"outcome_id": "out_1", "repeated": False}, 201)]) as server:
        told = run(kind, server.url, "record_outcome", "csat", handoff_id="hof_1", score=4)
    assert server.requests[0].target == "/outcomes"
    assert json.loads(server.requests[0].body) == {"kind": "csat", "handoff_id": "hof_1", "score": 4}
    assert told["outcome_id"] == "out_1"


def test_an_id_cannot_lead_elsewhere(kind: Kind) -> None:
    with Server([answers(HANDOFF)]) as server:
        run(kind, server.url, "handoff", "../keys?x=1")
        assert server.requests[0].target == "/handoffs/..%2Fkeys%3Fx%3D1"
        for name in ("", ".", ".."):
            with pytest.raises(ValueError, match=r"^an id or a queue's name is never empty$"):
                run(kind, server.url, "handoff", name)
