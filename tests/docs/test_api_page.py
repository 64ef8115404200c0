"""docs/api.md says what the service does: every address, every code, every limit, and examples that fit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi.routing import APIRoute

from rules.handoff import ACTIONS, FLAGS, OUTCOMES, Action
from rules.model import VERDICTS
from service.api import arrival, bodies, bounded_protocol, handoffs, json_text, turn_body
from service.api.application import ROUTERS
from service.api.decision_answers import DecisionAnswer
from service.api.problems import PROBLEMS
from service.api.turn_body import read_turn
from service.flows.keys import ROLES
from service.main import KEEP_ALIVE_S

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
EXAMPLES = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
UNLISTED = {"/openapi.json", "/docs", "/problems/{code}", "/should-escalate"}  # told in sentences


def test_every_address_there_is_has_its_row() -> None:
    told = set(re.findall(r"`(GET|HEAD|POST|PUT|DELETE) (/[^`?]*)", PAGE))
    routes: set[tuple[str, str]] = set()
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            routes |= {(method, route.path_format) for method in route.methods or ()}
    routes = {(method, path) for method, path in routes if path not in UNLISTED and not path.startswith("/webhooks")}
    assert routes - told == set()
    assert {row for row in told if row[1] not in UNLISTED and not row[1].startswith("/webhooks")} - routes == set()


def test_every_code_has_its_row_and_no_other_does() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(code, str(spec.status), spec.title, spec.hint) for code, spec in PROBLEMS.items()]


LIMITS = {
    f"{arrival.BODY_BYTES_MAX:,} bytes, within {arrival.BODY_WAIT_MS_MAX:,} ms, {json_text.DEPTH_MAX} levels deep",
    f"| {bounded_protocol.HEAD_BYTES_MAX:,} bytes, within {bounded_protocol.HEAD_WAIT_MS_MAX:,} ms from its first byte",
    f"| an idle connection | {KEEP_ALIVE_S} s;",
    f"{turn_body.ID_CHARS_MAX} printable ASCII characters",
    f"{turn_body.TEXT_CHARS_MAX:,} characters each",
    f"{turn_body.NAME_CHARS_MAX} characters",
    f"| values of `signals` and `customer` | {turn_body.VALUE_CHARS_MAX:,} characters",
    f"| `error` of a call | {turn_body.ERROR_CHARS_MAX:,} characters",
    f"| a source | {turn_body.SOURCE_CHARS_MAX:,} characters",
    f"| `topics`, `tool_calls` | {turn_body.TOPICS_MAX} each",
    f"| `sources`, `signals` | {turn_body.SOURCES_MAX} each",
    f"| attributes of `customer` | {turn_body.ATTRIBUTES_MAX} |",
    f"{turn_body.ARGS_VALUES_MAX:,} values, {turn_body.ARGS_CHARS_MAX:,} characters, {turn_body.ARGS_DEPTH_MAX} levels",
    f"({handoffs.WAIT_MS_MAX:,} at most)",
}


@pytest.mark.parametrize("limit", sorted(LIMITS))
def test_a_limit_is_the_one_that_is_held(limit: str) -> None:
    assert limit in PAGE


def test_limits_that_share_a_row_are_the_same() -> None:
    assert turn_body.TOPICS_MAX == turn_body.TOOL_CALLS_MAX
    assert turn_body.SOURCES_MAX == turn_body.SIGNALS_MAX


WORDS = (*VERDICTS, *ACTIONS, *get_args(Action), *OUTCOMES, *FLAGS, *ROLES)


@pytest.mark.parametrize("word", sorted(set(WORDS)))
def test_every_word_that_can_be_said_is_explained(word: str) -> None:
    assert f"`{word}`" in PAGE


def test_the_turn_of_the_page_is_a_turn_with_every_field() -> None:
    turn = read_turn(json.dumps(EXAMPLES[0]).encode())
    assert set(EXAMPLES[0]) == set(turn_body.BODY.json_schema()["properties"])
    assert turn.turn_id == "t-7"


def test_the_answer_of_the_page_has_every_field_and_no_other() -> None:
    def keys(value: Any) -> Any:
        return {name: keys(inner) for name, inner in value.items()} if isinstance(value, dict) else None

    answer = DecisionAnswer.model_validate(EXAMPLES[1])
    shown = answer.model_dump(exclude={"replies", "after_human", "shed"})  # left out where there is nothing
    assert keys(shown) == keys(EXAMPLES[1])


def test_the_verbs_fields_are_told() -> None:
    for verb, body in (
        ("hold", bodies.HoldBody),
        ("transfer", bodies.TransferBody),
        ("reply", bodies.ReplyBody),
        ("resolve", bodies.ResolveBody),
        ("hand-back", bodies.HandBackBody),
        ("renew", bodies.TokenBody),
        ("release", bodies.TokenBody),
    ):
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `POST /handoffs/{{handoff_id}}/{verb}`"))
        told = set(re.findall(r"(\w+)\??[,}]", row.split("|")[2]))
        assert told == set(body.model_fields)
