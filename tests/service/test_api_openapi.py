"""/openapi.json describes every route, and its examples are answered by the running service as it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from service.api.decision_answers import DecisionAnswer, ExplainedAnswer
from service.api.handoff_answers import ClaimedAnswer, HandoffAnswer, HandoffPageAnswer, QueuesAnswer
from service.api.openapi import DECISION_EXAMPLE
from service.api.rulesets import RulesetAnswer
from tests.service.api_service import Api, Server, embedded, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("api") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


def exact(model: Any, value: Any) -> None:
    """Hold an answer against its schema: nothing missing, nothing more, nothing coerced."""
    # What may be left out and is, as a rule's `reason_code`, stands nowhere; what must be there is validated.
    assert model.model_validate(value, strict=False).model_dump(mode="json", exclude_unset=True) == value


async def test_the_examples_of_a_turn_are_answered_as_the_schema_says(api: Api) -> None:
    described = (await api.get("/openapi.json")).json()
    operation = described["paths"]["/should-escalate"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert len(examples) == 3
    for example in examples.values():
        answer = await api.post("/should-escalate", example["value"], "agent")
        assert answer.status_code == 200, answer.text
        exact(DecisionAnswer, answer.json())
    shown = operation["responses"]["200"]["content"]["application/json"]
    assert shown["schema"] == {"$ref": "#/components/schemas/DecisionAnswer"}
    assert shown["example"] == DECISION_EXAMPLE
    exact(DecisionAnswer, shown["example"])


async def test_every_reference_leads_somewhere(api: Api) -> None:
    described = api.app.openapi()
    schemas = described["components"]["schemas"]

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    found = set(references(described))
    assert found
    assert {reference.removeprefix("#/components/schemas/") for reference in found} <= set(schemas)


async def test_every_operation_says_what_it_is_for_and_which_problems_it_has(api: Api) -> None:
    for path, operations in api.app.openapi()["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["tags"], where
            if path not in ("/livez", "/readyz", "/open/{handoff_id}") and not path.startswith("/schema/"):
                assert operation["security"], where
                assert {"401", "403", "503"} <= set(operation["responses"]), where
            for status, response in operation["responses"].items():
                if status[0] in "45" and "content" in response:
                    assert list(response["content"]) == ["application/problem+json"], where
    assert "HTTPValidationError" not in str(api.app.openapi())


async def test_a_turns_schema_names_its_limits_and_takes_attributes_by_their_name(api: Api) -> None:
    schemas = api.app.openapi()["components"]["schemas"]
    turn = schemas["Turn"]
    assert turn["required"] == ["conversation_id"]
    assert turn["additionalProperties"] is False
    assert turn["properties"]["conversation_id"]["maxLength"] == 128
    customer = schemas["CustomerBody"]
    assert sorted(customer["properties"]) == ["id", "tier"]
    kinds = [kind["type"] for kind in customer["additionalProperties"]["anyOf"]]
    assert kinds == ["boolean", "integer", "number", "string", "null"]
    call = schemas["ToolCallBody"]["properties"]
    assert {"type": "null"} in call["args"]["anyOf"]
    assert {"type": "null"} in call["status"]["anyOf"]


async def test_what_is_answered_fits_its_schema(api: Api) -> None:
    decision = await api.escalated(reply="We give 20.")
    exact(ExplainedAnswer, (await api.get(f"/decisions/{decision['decision_id']}")).json())
    handoff = decision["handoff"]["id"]
    exact(HandoffAnswer, (await api.get(f"/handoffs/{handoff}")).json())
    exact(HandoffPageAnswer, (await api.get("/handoffs", "operator")).json())
    exact(QueuesAnswer, (await api.get("/queues", "operator")).json())
    exact(RulesetAnswer, (await api.get("/rulesets/active", "manager")).json())
    claimed = (await api.post(f"/handoffs/{handoff}/claim")).json()
    exact(ClaimedAnswer, claimed)
    token = claimed["lease"]["token"]
    await api.post(f"/handoffs/{handoff}/reply", {"token": token, "text": "hello"})
    body = {"token": token, "action": "edit", "outcome": "needed", "edited": {"reply": "x"}}
    exact(HandoffAnswer, (await api.post(f"/handoffs/{handoff}/resolve", body)).json())
