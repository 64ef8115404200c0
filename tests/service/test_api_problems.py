"""Whatever is wrong has one shape, a next step, the right status, and not a word of what was sent."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service import errors, logs
from service.api import arrival
from service.api.arrival import BODY_BYTES_MAX
from service.api.identity import ACTIONS, KEY_BELIEVED_MS
from service.api.problems import PROBLEMS, of_refusal
from service.api.turn_body import TurnBody
from service.clock import now_ms
from service.flows import keys
from service.logs import Lines
from tests.service.api_service import Api, Server, embedded, served

MARK = "zebra4111qq"
SHAPE = ["code", "detail", "hint", "status", "title", "type"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("api") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


@pytest.fixture
def log(tmp_path: Path) -> Iterator[tuple[Path, Lines]]:
    file = tmp_path / "log"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    lines = logs.configure("debug", "json", descriptor)
    yield file, lines
    lines.close()
    os.close(descriptor)
    structlog.reset_defaults()


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return a problem after looking at everything that all problems have."""
    assert answer.headers["content-type"] == "application/problem+json"
    stated: dict[str, Any] = answer.json()
    assert (answer.status_code, stated["status"], stated["code"]) == (status, status, code), answer.text
    assert sorted(stated) == SHAPE
    assert stated["type"] == f"/problems/{code}"
    assert stated["title"] == PROBLEMS[code].title
    assert stated["detail"]
    assert stated["hint"]
    return stated


LEAST = {"conversation_id": "c", "message": "hello"}
RAW: dict[str, tuple[dict[str, str], bytes, int, str]] = {
    "no type": ({"Content-Type": ""}, b"{}", 415, "body_type"),
    "a form": ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=b", 415, "body_type"),
    "a text": ({"Content-Type": "text/plain"}, b"{}", 415, "body_type"),
    "compressed": ({"Content-Encoding": "gzip"}, gzip.compress(b"0" * 10_000_000), 415, "body_encoded"),
    "no JSON": ({}, b"hello", 400, "body_not_json"),
    "no turn": ({}, b"{}", 422, "body_invalid"),
    "too large": ({}, b" " * (BODY_BYTES_MAX + 1), 413, "body_too_large"),
    "empty": ({}, b"", 400, "body_not_json"),
}


@pytest.mark.parametrize("path", ["/should-escalate", "/outcomes"])
@pytest.mark.parametrize("name", RAW)
async def test_a_body_that_is_not_read(api: Api, name: str, path: str) -> None:
    headers, raw, status, code = RAW[name]
    if path == "/outcomes" and not raw:
        status, code = 422, "body_invalid"  # FastAPI tells a body that is missing from one that is not JSON
    sent = api.bearer("agent") | {"Content-Type": "application/json"} | headers
    problem(await api.client.post(path, content=raw, headers=sent), status, code)


async def test_json_of_another_name_and_with_a_charset_is_json(api: Api) -> None:
    for kind in ("application/json; charset=utf-8", "application/vnd.agent+json", "Application/JSON"):
        sent = api.bearer("agent") | {"Content-Type": kind}
        answer = await api.client.post("/should-escalate", content=json.dumps(LEAST), headers=sent)
        assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/should-escalate", "/outcomes"])
async def test_a_body_in_pieces_is_counted_while_it_comes(api: Api, path: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50 * BODY_BYTES_MAX:
            sent += 65_536
            yield b" " * 65_536

    headers = api.bearer("agent") | {"Content-Type": "application/json"}
    problem(await api.client.post(path, content=endless(), headers=headers), 413, "body_too_large")


async def test_a_body_that_never_comes_to_its_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "BODY_WAIT_MS_MAX", 50)
    import asyncio

    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/should-escalate",
        "headers": [
            (b"authorization", api.bearer("agent")["Authorization"].encode()),
            (b"content-type", b"application/json"),
        ],
    }

    async def receive() -> Any:
        if not sent:
            sent.append("begun")
            return {"type": "http.request", "body": b"{", "more_body": True}
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await api.app(scope, receive, send)
    assert sent[1]["status"] == 408
    assert json.loads(sent[2]["body"])["code"] == "body_slow"


async def test_a_caller_that_hangs_up_is_not_answered(api: Api) -> None:
    for path in ("/should-escalate", "/outcomes"):
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [
                (b"authorization", api.bearer("agent")["Authorization"].encode()),
                (b"content-type", b"application/json"),
            ],
        }

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            raise AssertionError(message)

        await api.app(scope, receive, send)


async def test_an_address_that_is_none(api: Api) -> None:
    for path in ("/", f"/{MARK}", "/should-escalate/", "/handoffs/x/y/z", "/%ff%00"):
        answer = await api.client.get(path, headers=api.bearer("admin"))
        problem(answer, 404, "route_unknown")
        assert MARK not in answer.text


async def test_a_method_that_is_not_for_this_address(api: Api) -> None:
    answer = await api.client.get("/should-escalate", headers=api.bearer("agent"))
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    problem(await api.client.delete("/queues", headers=api.bearer("agent")), 405, "method_not_allowed")


KEYS: dict[str, tuple[dict[str, str], str]] = {
    "no header": ({}, "key_missing"),
    "another scheme": ({"Authorization": f"Basic {MARK}"}, "key_missing"),
    "no key": ({"Authorization": "Bearer "}, "key_missing"),
    "a key beyond all keys": ({"Authorization": "Bearer " + "x" * 5_000}, "key_missing"),
    "a key of nobody": ({"Authorization": f"Bearer {MARK}"}, "key_unknown"),
    "a key that is nearly one": ({"Authorization": f"Bearer hr_agent_{'x' * 43}"}, "key_unknown"),
}


@pytest.mark.parametrize("name", KEYS)
async def test_without_a_key_there_is_no_answer(api: Api, name: str) -> None:
    headers, code = KEYS[name]
    for method, path in (("POST", "/should-escalate"), ("GET", "/queues"), ("POST", "/queues/tier1/claim")):
        answer = await api.client.request(method, path, headers=headers)
        problem(answer, 401, code)
        assert answer.headers["www-authenticate"] == 'Bearer realm="handrail"'
        assert MARK not in answer.text


# The last two on loopback only; schemas are no secret, and an editor has no key.
OPEN = {"/livez", "/readyz", "/schema/rules.json", "/schema/tests.json", "/openapi.json", "/docs"}


SIGNED = "/open/{handoff_id}"  # its signature stands in for a key, and opens less


async def test_nothing_but_health_and_the_schemas_is_open(api: Api) -> None:
    asked = 0
    for path, operations in api.app.openapi()["paths"].items():
        for method in operations:
            if path in OPEN or path == SIGNED:
                continue
            address = path.replace("{", "").replace("}", "")
            problem(await api.client.request(method, address), 401, "key_missing")
            asked += 1
    assert asked > 20
    for path in sorted(OPEN):
        assert (await api.client.get(path)).status_code == 200
    forged = await api.client.get("/open/hof_0_0000000000000000", params={"tenant": "t", "exp": 9**9, "sig": "00"})
    problem(forged, 403, "link_invalid")
    problem(await api.client.get("/metrics"), 401, "key_missing")
    problem(await api.client.get("/problems/internal"), 401, "key_missing")


async def test_away_from_loopback_the_description_needs_a_key_too(server: Server) -> None:
    async with served(server, host="0.0.0.0") as api:
        for path in ("/openapi.json", "/docs"):
            problem(await api.client.get(path), 401, "key_missing")
            assert (await api.get(path)).status_code == 200


# role -> requests it may make; every other role is refused with the roles that may
ALLOWED = {
    ("POST", "/should-escalate"): "agent admin",
    ("GET", "/decisions/x"): "agent operator manager admin",
    ("GET", "/handoffs/x"): "agent operator manager admin",
    ("POST", "/outcomes"): "agent operator manager admin",
    ("GET", "/handoffs"): "operator manager admin",
    ("GET", "/queues"): "operator manager admin",
    ("POST", "/queues/tier1/claim"): "operator admin",
    ("POST", "/handoffs/x/claim"): "operator admin",
    ("GET", "/rulesets/active"): "manager admin",
    ("GET", "/metrics"): "manager admin",
    ("GET", "/keys"): "admin",
    ("DELETE", "/keys/x"): "admin",
}


@pytest.mark.parametrize("request_line", ALLOWED)
async def test_a_role_may_do_what_it_is_for(api: Api, request_line: tuple[str, str]) -> None:
    method, path = request_line
    for role in keys.ROLES:
        headers = api.bearer(role)
        answer = await api.client.request(method, path, headers=headers, json=LEAST if method == "POST" else None)
        if role in ALLOWED[request_line].split():
            assert answer.status_code not in (401, 403)
        else:
            detail = problem(answer, 403, "role_missing")["detail"]
            assert detail.endswith(f"and the key is of role `{role}`")


def test_every_action_is_for_an_admin_too() -> None:
    assert all("admin" in roles for roles in ACTIONS.values())


async def test_keys_are_made_shown_once_and_revoked_at_once(api: Api) -> None:
    made = await api.post("/keys", {"name": "night shift", "role": "agent"}, "admin")
    assert made.status_code == 201
    key = made.json()
    token = {"Authorization": f"Bearer {key.pop('token')}"}
    assert (await api.client.get("/decisions/x", headers=token)).status_code == 404
    listed = (await api.get("/keys", "admin")).json()["keys"]
    (shown,) = [row for row in listed if row["key_id"] == key["key_id"]]
    assert sorted(shown) == sorted(key)
    revoked = await api.client.delete(f"/keys/{key['key_id']}", headers=api.bearer("admin"))
    assert (revoked.status_code, revoked.json()["revoked_at_ms"] > 0) == (200, True)
    problem(await api.client.get("/decisions/x", headers=token), 401, "key_unknown")
    problem(await api.client.delete("/keys/none", headers=api.bearer("admin")), 404, "key_id_unknown")
    body = await api.post("/keys", {"name": "", "role": "king"}, "admin")
    assert problem(body, 422, "body_invalid")["detail"] == (
        "`name` must have at least 1 characters; `role` must be one of `agent`, `operator`, `manager` or `admin`"
    )


async def test_a_key_is_asked_for_again_when_it_was_believed_long_enough(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await api.ask()).status_code == 200
    found = await keys.find(api.running.store, api.tokens["agent"], now_ms())
    assert found is not None
    await keys.revoke(api.running.store, api.tenant, found.key_id, now_ms())
    assert (await api.ask()).status_code == 200  # revoked elsewhere, believed here for a moment
    later = now_ms() + KEY_BELIEVED_MS
    monkeypatch.setattr("service.api.escalation.now_ms", lambda: later)
    problem(await api.ask(), 401, "key_unknown")


def test_every_fact_of_the_flows_has_a_row() -> None:
    facts = [errors.Refusal]
    for fact in facts:
        facts += fact.__subclasses__()
    assert {fact.code for fact in facts} <= set(PROBLEMS)


def test_a_fact_without_a_row_is_still_told() -> None:
    class Strange(errors.Refusal):
        code = "strange"

    refused = of_refusal(Strange("the moon is full", "wait"))
    assert (refused.code, refused.detail, refused.hint) == ("refused", "the moon is full", "wait")


async def test_every_code_is_explained_at_its_address(api: Api) -> None:
    for code, spec in PROBLEMS.items():
        answer = await api.get(f"/problems/{code}")
        assert answer.json() == {"code": code, "status": spec.status, "title": spec.title, "hint": spec.hint}
    problem(await api.get("/problems/none"), 404, "route_unknown")


def test_the_page_of_the_api_has_every_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    rows = {line.split("|")[1].strip().strip("`"): line for line in page.splitlines() if line.startswith("| `")}
    for code, spec in PROBLEMS.items():
        assert code in rows, code
        assert f"| {spec.status} |" in rows[code]


async def test_what_breaks_inside_is_told_without_a_detail_and_logged_by_place(
    server: Server, log: tuple[Path, Lines], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise ValueError(MARK)

    async with served(server) as api:
        monkeypatch.setattr("service.api.escalation.decide", broken)
        monkeypatch.setattr("service.flows.handoffs.queues", broken)
        for answer in (await api.ask(), await api.get("/queues", "operator")):
            stated = problem(answer, 500, "internal")
            assert stated["detail"] == "the request could not be finished"
    file, lines = log
    lines.flush()
    text = file.read_text()
    assert text.count("ValueError") == 2
    assert "test_api_problems.py" in text
    assert MARK not in text


async def test_no_word_of_a_customer_is_in_a_log_line_or_a_problem(server: Server, log: tuple[Path, Lines]) -> None:
    whole = {
        "conversation_id": f"c-{MARK}",
        "turn_id": f"t-{MARK}",
        "agent": {"id": MARK, "version": MARK, "prompt_version": MARK},
        "channel": MARK,
        "locale": MARK,
        "customer": {"id": MARK, "tier": MARK, MARK: MARK},
        "message": f"{MARK} let me talk to a human",
        "reply": MARK,
        "confidence": 0.1,
        "topics": [{"name": MARK, "score": 0.5}],
        "sentiment": 0,
        "tool_calls": [{"name": MARK, "args": {MARK: MARK}, "status": "error", "error": MARK}],
        "sources": [MARK],
        "signals": {MARK: MARK},
        "parent": {"agent": MARK, "conversation_id": MARK},
        "turn_index": 1,
    }
    async with served(server) as api:
        decided = await api.ask(**whole)
        assert decided.json()["verdict"] == "escalate"
        handoff_id = decided.json()["handoff"]["id"]
        await api.ask(**whole | {"turn_id": "2"})
        claimed = (await api.post(f"/handoffs/{handoff_id}/claim")).json()
        token = claimed["lease"]["token"]
        await api.post(f"/handoffs/{handoff_id}/reply", {"token": token, "text": MARK})
        answers = []
        for name in whole:
            # In place of each field what it may not be, with the mark inside.
            for wrong in ({MARK: MARK}, [MARK], MARK * 5_000):
                answers.append(await api.ask(**whole | {name: wrong, "turn_id": None}))
        answers.append(await api.ask(**whole | {MARK + " is my name": MARK}))
        answers.append(await api.post(f"/handoffs/{handoff_id}/resolve", {"token": token, "action": MARK, MARK: MARK}))
        answers.append(await api.post(f"/handoffs/{handoff_id}/renew", {"token": MARK}))
        answers.append(await api.post(f"/queues/{MARK}/claim"))
        answers.append(await api.get(f"/handoffs/{MARK}", "agent", wait_ms=MARK, version=MARK))
        answers.append(await api.get("/handoffs", "operator", queue=MARK, cursor=MARK, state=MARK, limit=MARK))
        answers.append(await api.post("/outcomes", {"kind": MARK, "conversation_id": MARK}))
        answers.append(await api.post("/keys", {"name": MARK + "\n", "role": MARK}, "admin"))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) > 40
    for answer in refused:
        assert answer.status_code < 500
        # A field's own name may be told when it reads like one; no value ever is.
        assert MARK not in answer.text.replace(f".{MARK}", "").replace(f"`{MARK}`", ""), answer.text
    file, lines = log
    lines.flush()
    text = file.read_text()
    assert text.count("\n") >= len(answers)
    assert MARK not in text


async def test_one_turn_is_one_line_with_its_ids(server: Server, log: tuple[Path, Lines]) -> None:
    async with served(server) as api:
        headers = {
            "X-Request-Id": "req-1",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        }
        turn = {"conversation_id": "c", "turn_id": "1", "message": "talk to a human"}
        answer = (await api.post("/should-escalate", turn, "agent", headers)).json()
    file, lines = log
    lines.flush()
    (line,) = [found for row in file.read_text().splitlines() if (found := json.loads(row))["event"] == "decided"]
    took_us = line.pop("took_us")
    assert 0 < took_us < 10_000_000
    assert line.pop("at_ms") > 0
    assert line == {
        "event": "decided",
        "level": "info",
        "request_id": "req-1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "tenant": api.tenant,
        "decision_id": answer["decision_id"],
        "verdict": "escalate",
        "rule_ids": ["asks-for-a-person"],
        "handoff_id": answer["handoff"]["id"],
        "ruleset": answer["ruleset"][:12],
        "repeated": False,
        "degraded": False,
    }


async def test_metrics_count_what_was_answered_and_measure_what_waits(api: Api) -> None:
    await api.escalated()
    await api.ask(conversation_id="c-metrics", turn_id="1")
    await api.ask(conversation_id="c-metrics", turn_id="1")
    await api.ask(message=5)
    answer = await api.get("/metrics", "manager")
    rows = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert rows['handrail_decisions_total{verdict="escalate"}'] == "1.0"
    assert rows['handrail_decisions_total{verdict="continue"}'] == "1.0"
    assert rows["handrail_decisions_repeated_total"] == "1.0"
    assert rows['handrail_rule_fires_total{rule_id="asks-for-a-person"}'] == "1.0"
    assert rows["handrail_decision_seconds_count"] == "3.0"
    assert rows['handrail_problems_total{code="body_invalid"}'] == "1.0"
    assert rows[f'handrail_queue_waiting{{queue="tier1",tenant="{api.tenant}"}}'] == "1.0"
    assert rows["handrail_store_up"] == "1.0"


async def test_the_rules_that_decide_are_shown_to_managers(api: Api) -> None:
    answer = (await api.get("/rulesets/active", "manager")).json()
    assert answer["hash"] == api.running.ruleset.files.hash
    assert answer["files"] == [{"name": "test.yaml", "rules": 5}]
    assert answer["thresholds"] == {"low_confidence": 0.5, "refund_limit_usd": 200.0}
    assert {rule["id"]: (rule["verdict"], rule["percent"]) for rule in answer["rules"]} == {
        "asks-for-a-person": ("escalate", 100),
        "risky-in-shadow": ("escalate", 0),
        "big-refund": ("hold", 100),
        "unsure": ("review", 100),
        "fees": ("review", 100),
    }


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(MARK)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=15
)
FIELDS = st.sampled_from([field.name for field in dataclasses.fields(TurnBody)])


@given(fields=st.dictionaries(FIELDS, VALUES), cut=st.integers(0, 5), raw=st.binary(max_size=20))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_body_comes_the_answer_is_a_decision_or_a_problem(
    api: Api, fields: dict[str, Any], cut: int, raw: bytes
) -> None:
    body = json.dumps(LEAST | fields).encode()
    body = body[: len(body) - cut] + raw if cut else body
    headers = api.bearer("agent") | {"Content-Type": "application/json"}
    answer = await api.client.post("/should-escalate", content=body, headers=headers)
    assert answer.status_code in (200, 400, 422)
    if answer.status_code != 200:
        assert sorted(answer.json()) == SHAPE
        assert MARK not in answer.text
