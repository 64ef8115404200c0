"""`GET /agents`: what the active rules say that each agent may do, for managers and operators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.service.api_service import RULES, Api, Server, embedded, ruleset, served

AGENTS = """
agents:
  refund-bot:
    id: acme/refunds
    title: Refunds
    purpose: Gives money back.
    owner: Dana Ruiz
    autonomy: {default: full, versions: {"3": pilot}}
    may: {tools: [look_up], amount_usd: $refund_limit_usd}
    hands_over: {to: tier1, when: [unsure]}
    approved_by: approvals
    targets: {escalation_rate: 15%}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("api") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server, ruleset(RULES + AGENTS)) as found:
        yield found


@pytest.mark.parametrize("role", ["manager", "operator", "admin"])
async def test_the_agents_are_listed(api: Api, role: str) -> None:
    answer = await api.get("/agents", role)
    assert answer.status_code == 200
    assert len(answer.json()["ruleset"]) == 64
    assert answer.json()["agents"] == [
        {
            "agent": "refund-bot",
            "agent_id": "acme/refunds",
            "title": "Refunds",
            "purpose": "Gives money back.",
            "owner": "Dana Ruiz",
            "autonomy": "full",
            "versions": {"3": "pilot"},
        }
    ]


async def test_an_agent_is_described_with_the_rules_that_apply_to_it(api: Api) -> None:
    described = (await api.get("/agents/refund-bot", "manager")).json()
    assert described["may"]["amount_usd"] == 200
    assert described["targets"] == {"escalation_rate": 0.15}
    assert described["acts"][-1] == {
        "act": "reply",
        "why": "the agent has drafted a reply",
        "verdicts": {"pilot": "hold", "full": "continue"},
    }
    rules = {rule["id"]: rule for rule in described["rules"]}
    assert rules["refund-bot/hands-over/unsure"]["when"] == 'agent.id = "acme/refunds" and confidence < $low_confidence'
    assert [rule_id for rule_id, rule in rules.items() if not rule["own"]] == [
        "asks-for-a-person",
        "risky-in-shadow",
        "big-refund",
        "unsure",
        "fees",
    ]
    assert {queue["name"] for queue in described["queues"]} == {"tier1", "approvals", "later"}


async def test_an_unknown_agent_is_told_with_those_that_are_known(api: Api) -> None:
    answer = await api.get("/agents/refund", "manager")
    assert (answer.status_code, answer.json()["code"]) == (404, "agent_unknown")
    assert answer.json()["hint"] == "the active rule files describe refund-bot"


async def test_an_agent_does_not_read_descriptions(api: Api) -> None:
    assert (await api.get("/agents", "agent")).status_code == 403


async def test_a_held_pilot_turn_is_answered_with_the_rule_of_its_description(api: Api) -> None:
    answer = await api.post(
        "/should-escalate",
        {"conversation_id": "c-1", "agent": {"id": "acme/refunds", "version": "3"}, "reply": "Hello."},
        "agent",
    )
    decision = answer.json()
    assert (decision["verdict"], decision["say"]) == ("hold", "I have to ask.")
    assert [rule["id"] for rule in decision["rules"]] == ["refund-bot/pilot/reply"]


STAGED = AGENTS.replace(
    '{default: full, versions: {"3": pilot}}', '{default: full, versions: {"1": pilot, "2": limited}}'
).replace("tools: [look_up]", "tools: [look_up], writes: [pay_back]")
STAGES = {
    "an ordinary change": ({"name": "pay_back", "amount": 20, "write": True}, ("hold", "review", "continue")),
    "a look": ({"name": "look_up", "write": False}, ("continue", "continue", "continue")),
    "a change above the limit": ({"name": "pay_back", "amount": 201, "write": True}, ("hold", "hold", "hold")),
    "a tool of somebody else": ({"name": "close_account"}, ("hold", "hold", "hold")),
}


@pytest.mark.parametrize("act", list(STAGES))
async def test_the_same_act_is_held_looked_at_or_let_go_by_the_stage_of_the_version(server: Server, act: str) -> None:
    call, wanted = STAGES[act]
    async with served(server, ruleset(RULES + STAGED)) as api:
        verdicts = []
        for version in ("1", "2", "3"):
            body = {
                "conversation_id": f"stage-{version}-{list(STAGES).index(act)}",
                "agent": {"id": "acme/refunds", "version": version},
                "tool_calls": [call],
            }
            verdicts.append((await api.post("/should-escalate", body, "agent")).json()["verdict"])
    assert tuple(verdicts) == wanted
