"""Agents that hand work to agents over HTTP: one record, whatever comes late or is wrong, and where it broke."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rules.cases.runner import render_case, run_cases
from service.cli.chain import lines_of
from tests.service.api_service import RULES, Api, Server, embedded, ruleset, served

CHAIN_RULES = """
  - id: agents-differ
    why: two agents do not agree
    when: agents_disagree = true
    then: {hold: approvals}
  - id: passed-around
    why: passed around
    when: handovers_count >= 4
    then: {review: later}
"""
NAMES = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("api") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server, ruleset(RULES + CHAIN_RULES.lstrip("\n"))) as found:
        yield found


def refund(amount: float, **args: object) -> list[dict[str, Any]]:
    given = {"order_id": "A-100", "reason": f"about {amount}", **args}
    return [{"name": "issue_refund", "args": given, "write": True, "amount": amount}]


def turns(name: str) -> list[dict[str, Any]]:
    """Triage hands to billing, and billing to refunds, who comes to another amount."""
    return [
        {"turn_id": "1", "agent": {"id": "triage"}, "message": "I want my money back"},
        {"turn_id": "2", "agent": {"id": "billing"}, "parent": {"agent": "triage"}, "tool_calls": refund(80)},
        {
            "turn_id": "3",
            "agent": {"id": "billing"},
            "parent": {"agent": "triage"},
            "tool_calls": [{"name": "find_order", "status": "error", "error": "timed out"}],
        },
        {
            "turn_id": "4",
            "agent": {"id": "refunds"},
            "parent": {"agent": "billing", "turn_id": "3"},
            "tool_calls": refund(120),
        },
    ]


async def sent(api: Api, name: str, *given: dict[str, Any]) -> list[dict[str, Any]]:
    answers = [await api.ask(conversation_id=name, **({"message": None} | each)) for each in given]
    assert [answer.status_code for answer in answers] == [200] * len(given), [answer.text for answer in answers]
    return [answer.json() for answer in answers]


async def chain(api: Api, name: str, role: str = "operator") -> dict[str, Any]:
    answer = await api.get(f"/conversations/{name}/chain", role)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_two_amounts_of_two_agents_are_seen_by_a_rule_with_who_said_what(api: Api) -> None:
    *calm, held = await sent(api, "c-amounts", *turns("c-amounts"))
    assert [decision["verdict"] for decision in calm] == ["continue"] * 3
    assert held["verdict"] == "hold"
    assert held["rules"] == [
        {
            "id": "agents-differ",
            "why": "two agents do not agree",
            "because": [
                "agents_disagree = true: issue_refund.amount_usd is 80 for billing (turn 2) and 120 for refunds"
            ],
        }
    ]


async def test_the_chain_is_one_record_that_says_where_it_broke(api: Api) -> None:
    *_, held = await sent(api, "c-record", *turns("c-record"))
    told = await chain(api, "c-record")
    assert [(each["agent"], each["under"], each["depth"]) for each in told["stations"]] == [
        ("triage", None, 0),
        ("billing", 0, 1),
        ("refunds", 1, 2),
    ]
    assert (told["agents"], told["handovers"], told["returns"]) == (["triage", "billing", "refunds"], 2, 0)
    assert [turn["tool_errors"] for turn in told["stations"][1]["turns"]] == [[], ["find_order"]]
    broke = told["broke"]
    assert (broke["agent"], broke["turn_id"], broke["verdict"]) == ("refunds", "4", "hold")
    assert broke["path"] == ["triage", "billing", "refunds"]
    assert broke["decision_id"] == held["decision_id"]
    assert broke["handoff_id"] == held["handoff"]["id"]
    assert [rule["id"] for rule in broke["rules"]] == ["agents-differ"]
    (disagreement,) = told["disagreements"]
    assert (disagreement["kind"], disagreement["name"]) == ("amount", "issue_refund.amount_usd")
    assert (disagreement["earlier"]["value"], disagreement["later"]["value"]) == (80, 120)
    assert "\n".join(lines_of(told)).splitlines()[2:13] == [
        "triage",
        "│   turn 1: continue",
        "└─ billing",
        "   │   turn 2: continue",
        "   │   turn 3: continue, failed: find_order",
        "   └─ refunds",
        "          turn 4: hold  <- broke here",
        "",
        "broke at refunds in turn 4: hold (triage > billing > refunds)",
        "  agents-differ: two agents do not agree",
        "    agents_disagree = true: issue_refund.amount_usd is 80 for billing (turn 2) and 120 for refunds",
    ]


async def test_the_packet_shows_the_chain_and_none_where_one_agent_had_it_all(api: Api) -> None:
    *_, held = await sent(api, "c-packet", *turns("c-packet"))
    packet = (await api.get(f"/handoffs/{held['handoff']['id']}/packet", "operator")).json()["packet"]
    assert [(each["agent"], each["under"], each["turns"]) for each in packet["chain"]["stations"]] == [
        ("triage", None, 1),
        ("billing", 0, 2),
        ("refunds", 1, 1),
    ]
    assert packet["chain"]["stations"][1]["tool_errors"] == ["find_order: 1"]
    assert packet["chain"]["broke"] == {
        "station": 2,
        "agent": "refunds",
        "turn_id": "4",
        "verdict": "hold",
        "rule_ids": ["agents-differ"],
        "path": ["triage", "billing", "refunds"],
    }
    assert packet["chain"]["disagreements"] == [
        "issue_refund.amount_usd is 80 for billing (turn 2) and 120 for refunds"
    ]
    alone = await api.escalated(agent={"id": "triage"})
    packet = (await api.get(f"/handoffs/{alone['handoff']['id']}/packet", "operator")).json()["packet"]
    assert packet["chain"] is None


async def test_turns_that_come_in_another_order_make_the_same_record(api: Api) -> None:
    records = []
    for order in itertools.permutations(range(4)):
        name = f"c-order-{next(NAMES)}"
        indexed = [{**turn, "turn_index": number} for number, turn in enumerate(turns(name))]
        await sent(api, name, *(indexed[number] for number in order))
        told = await chain(api, name)
        stations = [
            {**station, "verdicts": None, "turns": [turn["turn_id"] for turn in station["turns"]]}
            for station in told["stations"]
        ]
        records.append((stations, told["disagreements"], told["handovers"], told["odd"]))
    assert all(record == records[0] for record in records)


ODD: dict[str, tuple[dict[str, Any], list[tuple[Any, Any]], list[str]]] = {
    "an agent that sent no turn": ({"agent": "ghost"}, [("a", None), ("ghost", None), ("b", 1)], []),
    "a turn that nobody has seen": (
        {"turn_id": "nowhere"},
        [("a", None), (None, None), ("b", 1)],
        ["unknown_turn"],
    ),
    "the agent itself": ({"agent": "b"}, [("a", None), ("b", None)], ["self"]),
    "the turn itself": ({"agent": "a", "turn_id": "2"}, [("a", None), ("b", 0)], ["self"]),
    "nobody at all": ({}, [("a", None), ("b", None)], []),
    "another conversation": (
        {"agent": "a", "conversation_id": "c-elsewhere"},
        [("a", None), ("a", None), ("b", 1)],
        [],
    ),
}


@pytest.mark.parametrize("parent", ODD)
async def test_a_parent_that_cannot_be_followed_costs_no_turn_its_answer(api: Api, parent: str) -> None:
    given, stations, odd = ODD[parent]
    name = f"c-odd-{next(NAMES)}"
    await sent(
        api,
        name,
        {"turn_id": "1", "agent": {"id": "a"}, "message": "hello"},
        {"turn_id": "2", "agent": {"id": "b"}, "parent": given, "reply": "x"},
    )
    told = await chain(api, name)
    assert [(each["agent"], each["under"]) for each in told["stations"]] == stations
    assert [each["kind"] for each in told["odd"]] == odd


async def test_two_turns_that_name_each_other_are_no_circle(api: Api) -> None:
    await sent(
        api,
        "c-circle",
        {"turn_id": "1", "agent": {"id": "a"}, "parent": {"turn_id": "2"}, "reply": "x"},
        {"turn_id": "2", "agent": {"id": "b"}, "parent": {"turn_id": "1"}, "reply": "x"},
    )
    told = await chain(api, "c-circle")
    assert sorted(each["agent"] or "" for each in told["stations"]) == ["a", "b"]
    assert [each["kind"] for each in told["odd"]] == ["loop"]


async def test_a_parent_that_comes_late_takes_its_place(api: Api) -> None:
    child = {"turn_id": "2", "agent": {"id": "b"}, "parent": {"turn_id": "1"}, "reply": "x"}
    await sent(api, "c-late", child)
    assert [each["kind"] for each in (await chain(api, "c-late"))["odd"]] == ["unknown_turn"]
    await sent(api, "c-late", {"turn_id": "1", "agent": {"id": "a"}, "message": "hello"})
    told = await chain(api, "c-late")
    assert [(each["agent"], each["under"]) for each in told["stations"]] == [("a", None), ("b", 0)]
    assert told["odd"] == []


async def test_an_id_with_a_slash_has_a_chain_too(api: Api) -> None:
    await sent(api, "shop/1/c", {"turn_id": "1", "agent": {"id": "a"}, "message": "hello"})
    assert (await chain(api, "shop%2F1%2Fc"))["conversation_id"] == "shop/1/c"


async def test_a_long_chain_is_read_to_its_limit_and_says_what_is_gone(api: Api) -> None:
    first = {"turn_id": "0", "agent": {"id": "agent-0"}, "message": "hello"}
    await sent(api, "c-long", first)
    for number in range(1, 70):
        parent = {"agent": f"agent-{number - 1}"}
        turn = {"turn_id": str(number), "agent": {"id": f"agent-{number}"}, "parent": parent, "reply": "x"}
        (decision,) = await sent(api, "c-long", turn)
    assert [rule["id"] for rule in decision["rules"]] == ["passed-around"]
    told = await chain(api, "c-long")
    assert (told["turns_before"], len(told["stations"])) == (10, 61)
    packet = (await api.get(f"/handoffs/{decision['handoff']['id']}/packet", "operator")).json()["packet"]
    assert len(packet["chain"]["stations"]) <= 17


async def test_a_parent_out_of_bounds_is_refused_as_every_other_field_is(api: Api) -> None:
    answer = await api.ask(parent={"agent": "x" * 129, "turn_id": "no space"})
    assert (answer.status_code, answer.json()["code"]) == (422, "body_invalid")


async def test_a_turn_without_a_parent_goes_on_in_its_chain(api: Api) -> None:
    *_, last = turns("c-goes-on")
    await sent(api, "c-goes-on", *turns("c-goes-on")[:2])
    (decision,) = await sent(api, "c-goes-on", {**last, "parent": None})
    assert decision["rules"][0]["id"] == "agents-differ"


async def test_what_a_person_has_settled_is_no_disagreement_any_more(api: Api) -> None:
    *_, held = await sent(api, "c-settled", *turns("c-settled"))
    claimed = (await api.post(f"/handoffs/{held['handoff']['id']}/claim")).json()
    body = {"token": claimed["lease"]["token"], "facts": {"amount": 120}}
    assert (await api.post(f"/handoffs/{held['handoff']['id']}/hand-back", body)).status_code == 200
    again = {**turns("c-settled")[-1], "turn_id": "5"}
    (decision,) = await sent(api, "c-settled", again)
    assert decision["verdict"] == "continue"


async def test_a_conversation_that_was_handed_over_tells_where_it_came_from(api: Api) -> None:
    await sent(api, "c-front", {"turn_id": "1", "agent": {"id": "front"}, "message": "hello"})
    over = {"agent": "front", "conversation_id": "c-front", "turn_id": "1"}
    await sent(api, "c-back", {"turn_id": "1", "agent": {"id": "back"}, "parent": over, "reply": "x"})
    told = await chain(api, "c-back")
    assert told["came_from"] == ["c-front"]
    assert [(each["agent"], each["conversation_id"], each["under"]) for each in told["stations"]] == [
        ("front", "c-front", None),
        ("back", None, 0),
    ]


async def test_a_chain_is_told_to_its_own_tenant_only(api: Api, server: Server) -> None:
    await sent(api, "c-mine", *turns("c-mine"))
    async with served(server) as other:
        answer = await other.get("/conversations/c-mine/chain", "admin")
    assert (answer.status_code, answer.json()["code"]) == (404, "conversation_unknown")


async def test_a_decision_of_a_chain_becomes_a_case_that_passes(api: Api) -> None:
    first, *rest = turns("c-case")
    asks = {**first, "message": "let me talk to a human"}
    (asked,) = await sent(api, "c-case", asks)
    claimed = (await api.post(f"/handoffs/{asked['handoff']['id']}/claim")).json()
    await api.post(f"/handoffs/{asked['handoff']['id']}/hand-back", {"token": claimed["lease"]["token"]})
    by_turn = [{**each, "parent": {"turn_id": parent}} for each, parent in zip(rest, ("1", "1", "3"), strict=True)]
    *_, held = await sent(api, "c-case", *by_turn)
    assert held["verdict"] == "hold"
    told = (await api.get(f"/decisions/{held['decision_id']}/case", "manager")).json()
    assert told["passes"], told["file"]
    (result,) = run_cases(ruleset(RULES + CHAIN_RULES.lstrip("\n")), {"from.tests.yaml": told["file"]})
    assert result.passed, render_case(result)
    assert "turn_id: turn-1" in told["file"]
