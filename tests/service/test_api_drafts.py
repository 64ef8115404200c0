"""Rule files that nobody decides by yet: checked, tested and tried over HTTP, bounded whatever is sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rules.cases.case_files import STEPS_MAX
from service.api import workbench
from service.api.draft_bodies import CheckedAnswer, RanCasesAnswer, TriedAnswer
from service.api.drafts import CHECK_EXAMPLE, TEST_EXAMPLE, TRY_EXAMPLE
from service.api.problems import Refused
from service.api.workbench import Workbench
from service.rule_work import Asked
from tests.service.api_service import RULES, Api, Server, embedded, served
from tests.service.test_api_openapi import exact

FILES = {"rules.yaml": RULES}
# Half a megabyte that takes a minute: hundreds of patterns with long gaps, and rules that ask for them.
SLOW = {
    "rules.yaml": RULES.replace(
        "  fees:",
        "  slow:\n    patterns:\n"
        + "".join(f"      - 'w{n}.{{1,150}}x.{{1,150}}y{n}'\n" for n in range(9000))
        + "  fees:",
    )
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("api") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


async def post(api: Api, path: str, body: Any, role: str = "manager") -> Any:
    answer = await api.post(f"/rulesets/{path}", body, role)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()


async def refused(api: Api, path: str, body: Any, role: str = "manager") -> tuple[int, str, str]:
    answer = await api.post(f"/rulesets/{path}", body, role)
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, told["code"], told["detail"]


async def test_the_examples_are_answered_as_the_schema_says(api: Api) -> None:
    paths = api.app.openapi()["paths"]
    for path, example, model in (
        ("check", CHECK_EXAMPLE, CheckedAnswer),
        ("test", TEST_EXAMPLE, RanCasesAnswer),
        ("try", TRY_EXAMPLE, TriedAnswer),
    ):
        shown = paths[f"/rulesets/{path}"]["post"]["requestBody"]["content"]["application/json"]
        assert shown["example"] == example
        exact(model, await post(api, path, example))


async def test_a_check_tells_every_problem_at_its_place_and_as_a_person_reads_it(api: Api) -> None:
    found = await post(api, "check", {"files": {"a.yaml": RULES.replace("confidence <", "confidense <")}})
    assert (found["ok"], found["errors"], found["hash"], found["rules"]) == (False, 1, None, None)
    (problem,) = (each for each in found["problems"] if each["severity"] == "error")
    assert problem == {
        "code": "R101",
        "severity": "error",
        "file": "a.yaml",
        "line": 29,
        "column": 11,
        "end_column": 21,
        "message": "unknown signal `confidense`",
        "hint": "did you mean `confidence`?",
        "source_line": "    when: confidense < $low_confidence",
    }
    assert "a.yaml:29:11: R101: unknown signal `confidense`\n" in found["rendered"]
    good = await post(api, "check", {"files": {"test.yaml": RULES}})
    assert (good["ok"], good["rules"], good["hash"]) == (True, 5, api.running.ruleset.hash)


async def test_a_check_reads_the_tests_among_the_files_and_runs_none(api: Api) -> None:
    tests = "handrail_tests: 1\ncases:\n  - {name: n, message: x, expect: {escalate: teir1}}\n"
    found = await post(api, "check", {"files": {**FILES, "a.tests.yaml": tests}})
    assert (found["ok"], found["errors"], found["rules"]) == (False, 1, 5)
    assert "a.tests.yaml:3:46: R103: unknown queue `teir1`" in found["rendered"]
    fails = tests.replace("escalate: teir1", "escalate: tier1")
    assert (await post(api, "check", {"files": {**FILES, "a.tests.yaml": fails}}))["ok"]


async def test_no_file_at_all_is_checked_as_that_and_nothing_that_ran_is_nothing_that_passed(api: Api) -> None:
    found = await post(api, "check", {"files": {}})
    assert (found["ok"], [each["code"] for each in found["problems"]]) == (False, ["R117"])
    for what in ("test", "try"):
        body: dict[str, object] = {"files": {}, **({"steps": []} if what == "try" else {})}
        assert await refused(api, what, body) == (422, "rules_invalid", "the files have 1 error")
    untested = await post(api, "test", {"files": FILES})
    assert (untested["ok"], untested["passed"], untested["failed"]) == (False, 0, 0)


async def test_more_problems_than_anybody_reads_are_counted_and_errors_come_first(api: Api) -> None:
    many = RULES + "".join(f"  - {{id: bad-{n}, when: nonsense{n} > 1, then: {{review: later}}}}\n" for n in range(300))
    found = await post(api, "check", {"files": {"a.yaml": many}})
    assert len(found["problems"]) == 200
    assert found["problems_total"] == found["errors"] + found["warnings"] > 500
    assert {problem["severity"] for problem in found["problems"]} == {"error"}


async def test_tests_are_run_and_a_failing_one_tells_why(api: Api) -> None:
    tests = (
        "handrail_tests: 1\ncases:\n"
        "  - {name: good, message: x, confidence: 0.4, expect: {review: later}}\n"
        "  - {name: bad, message: x, confidence: 0.6, expect: {review: later}}\n"
    )
    found = await post(api, "test", {"files": {**FILES, "a.tests.yaml": tests}, "coverage": True})
    assert (found["ok"], found["passed"], found["failed"]) == (False, 1, 1)
    assert [case["passed"] for case in found["cases"]] == [True, False]
    first = found["cases"][1]["failures"][0]
    assert (first["what"], first["expected"], first["got"]) == ("verdict", "review", "continue")
    assert {each["rule_id"] for each in found["coverage"]} >= {"unsure", "big-refund"}
    broken = await refused(api, "test", {"files": {**FILES, "a.tests.yaml": "handrail_tests: 1\ncases: [{}]\n"}})
    assert broken == (422, "rules_invalid", "the files have 1 error")


async def test_a_handoff_is_sent_on_put_back_and_lapses_as_at_a_terminal(api: Api) -> None:
    steps = [
        {"turn": {"message": "let me talk to a human"}},
        {"move": "transfer", "queue": "nowhere"},
        {"move": "transfer", "queue": "later"},
        {"move": "claim"},
        {"move": "lapse"},
        {"move": "hand_back", "after_ms": 0},
    ]
    played = (await post(api, "try", {"files": FILES, "steps": steps}))["steps"]
    assert [step["refused"] for step in played] == [None, "the rules have no queue of that name", *[None] * 4]
    assert [step["handoff"] and (step["handoff"]["queue"], step["handoff"]["state"]) for step in played] == [
        ("tier1", "waiting"),
        ("tier1", "waiting"),
        ("later", "waiting"),
        ("later", "leased"),
        ("later", "waiting"),
        None,
    ]


async def test_names_signals_packet_and_a_test_case_are_told_where_they_are_asked_for(api: Api) -> None:
    steps = [{"turn": {"message": "let me talk to a human", "confidence": 0.9}}]
    wanted = {"names": True, "signals": True, "packet": True, "case_name": "a person is asked for"}
    told = await post(api, "try", {"files": FILES, "at_ms": 1_795_000_000_000, "steps": steps, **wanted})
    exact(TriedAnswer, told)
    assert told["version"] is None
    assert told["names"]["rules"] == 5
    assert {"tier1", "later"} <= set(told["names"]["queues"])
    assert (told["signals"]["confidence"], told["signals"]["sentiment"]) == (0.9, None)
    assert told["packet"]["queue"] == "tier1"
    tests = f"handrail_tests: 1\ncases:\n{told['case']}"
    ran = await post(api, "test", {"files": {**FILES, "a.tests.yaml": tests}})
    assert [(case["name"], case["passed"]) for case in ran["cases"]] == [("a person is asked for", True)]
    nothing = await post(api, "try", {"files": FILES, "steps": [], **wanted})
    assert (nothing["steps"], nothing["signals"], nothing["packet"]) == ([], None, None)
    unasked = await post(api, "try", {"files": FILES, "steps": steps})
    assert [unasked[key] for key in wanted if key != "case_name"] + [unasked["case"]] == [None] * 4


async def test_a_version_that_decides_nothing_is_checked_tested_and_tried_by_its_number(api: Api) -> None:
    tests = "handrail_tests: 1\ncases:\n  - {name: a guess, message: x, confidence: 0.4, expect: {review: later}}\n"
    files = {"rules.yaml": RULES.replace("id: unsure", "id: guessing"), "a.tests.yaml": tests}
    pushed = await api.post("/rulesets", {"files": files, "message": "x"}, "manager")
    number = pushed.json()["version"]
    assert (await post(api, "check", {"version": number}))["hash"] == pushed.json()["hash"]
    assert (await post(api, "test", {"version": number}))["passed"] == 1
    body = {"version": number, "steps": [{"turn": {"message": "x", "confidence": 0.4}}]}
    told = await post(api, "try", body)
    assert (told["version"], told["steps"][0]["rules"][0]["id"]) == (number, "guessing")
    own = await post(api, "try", {**body, "version": 0})
    assert (own["version"], own["hash"] == told["hash"]) == (0, False)
    in_force = await post(api, "try", {"steps": body["steps"]})
    assert (in_force["version"], in_force["hash"]) == (0, own["hash"])


async def test_a_conversation_is_played_step_by_step(api: Api) -> None:
    steps = [
        {"turn": {"message": "hi", "confidence": 0.51}},
        {"turn": {"message": "let me talk to a human", "locale": "es-MX"}},
        {"turn": {"message": "hello?"}, "after_ms": 60_000},
        {"after_ms": 900_000},
        {"turn": {"message": "thanks"}},
    ]
    found = await post(api, "try", {"files": FILES, "at_ms": 1_795_000_000_000, "steps": steps})
    played = found["steps"]
    assert [step["verdict"] for step in played] == ["continue", "escalate", "held_by_human", None, "continue"]
    assert played[0]["nearest"][0]["lacks"][0]["distance"] == "0.01 above the threshold"
    assert (played[1]["queue"], played[1]["say"]) == ("tier1", "Un momento, viene un colega.")
    assert played[3]["timed_out"] == {"verdict": "callback", "queue": None, "say": "Le llamaremos."}
    assert [step["at_ms"] - 1_795_000_000_000 for step in played] == [0, 30_000, 90_000, 990_000, 1_020_000]
    none_open = await post(api, "try", {"files": FILES, "steps": [{"move": "hand_back"}]})
    assert none_open["steps"][0]["refused"] == "no handoff is open"


async def test_without_files_the_rules_in_force_are_meant(api: Api, server: Server, tmp_path: Path) -> None:
    assert (await post(api, "check", {}))["rules"] > 50
    pushed = await api.post("/rulesets", {"files": FILES, "message": "x"}, "manager")
    await api.post(f"/rulesets/{pushed.json()['version']}/activate", {}, "manager")
    active = (await api.get("/rulesets/active", "manager")).json()
    checked = await post(api, "check", {})
    assert (checked["hash"], checked["rules"]) == (active["hash"], 5)
    tried = await post(api, "try", {"steps": [{"turn": {"message": "x", "confidence": 0.4}}]})
    assert (tried["hash"], tried["steps"][0]["verdict"]) == (active["hash"], "review")
    tests = {"new.tests.yaml": "handrail_tests: 1\ncases:\n  - {name: one, message: x, expect: continue}\n"}
    assert (await post(api, "test", {"tests": tests}))["passed"] == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("check", {"files": {"a.txt": "x"}}, 422, "body_invalid"),
        ("check", {"files": {"../a.yaml": "x"}}, 422, "body_invalid"),
        ("check", {"files": {"a.yaml": 3}}, 422, "body_invalid"),
        ("check", {"filez": {}}, 422, "body_invalid"),
        ("check", {"files": {f"a{n}.yaml": "" for n in range(1001)}}, 422, "body_invalid"),
        ("test", {"tests": {"a.yaml": "x"}}, 422, "body_invalid"),
        ("try", {"files": FILES}, 422, "body_invalid"),
        ("try", {"files": FILES, "steps": [{"move": "transfer"}]}, 422, "body_invalid"),
        ("try", {"files": FILES, "steps": [{"move": "claim", "queue": "tier1"}]}, 422, "body_invalid"),
        ("try", {"files": FILES, "steps": [], "case_name": ""}, 422, "body_invalid"),
        ("try", {"files": FILES, "version": 1, "steps": []}, 422, "body_invalid"),
        ("try", {"version": -1, "steps": []}, 422, "body_invalid"),
        ("try", {"version": 99, "steps": []}, 404, "version_unknown"),
        ("check", {"version": 99}, 404, "version_unknown"),
        ("test", {"version": 99}, 404, "version_unknown"),
        ("try", {"files": FILES, "steps": [{}]}, 422, "body_invalid"),
        ("try", {"files": FILES, "steps": [{"turn": {"message": "x"}, "move": "claim"}]}, 422, "body_invalid"),
        ("try", {"files": FILES, "steps": [{"turn": {"confidence": 0.4}}]}, 422, "body_invalid"),
        ("try", {"files": FILES, "steps": [{"turn": {"message": "x", "confidence": 4}}]}, 422, "body_invalid"),
        ("try", {"files": FILES, "steps": [{"after_ms": 5}] * (STEPS_MAX + 1)}, 422, "body_invalid"),
        ("try", {"files": {"a.yaml": "["}, "steps": [{"after_ms": 5}]}, 422, "rules_invalid"),
    ],
)
async def test_what_does_not_fit_is_refused(api: Api, path: str, body: Any, status: int, code: str) -> None:
    assert (await refused(api, path, body))[:2] == (status, code)


async def test_only_managers_and_admins_may_ask(api: Api) -> None:
    for path in ("check", "test", "try"):
        for role in ("agent", "operator"):
            assert (await refused(api, path, {}, role))[:2] == (403, "role_missing")


async def test_what_takes_too_long_is_ended_and_turns_are_answered_meanwhile(api: Api) -> None:
    bench = api.running.workbench = Workbench(work_ms_max=1_500)
    try:
        await post(api, "check", {"files": FILES})
        first_pid = bench.pid
        asked = asyncio.create_task(refused(api, "try", {"files": SLOW, "steps": [{"after_ms": 5}]}))
        answered = 0
        while not asked.done():
            assert (await api.ask()).status_code == httpx.codes.OK
            answered += 1
        detail = "the files took longer than 1500 ms to work through"
        assert await asked == (422, "work_too_much", detail)
        assert answered > 10
        assert (await post(api, "check", {"files": FILES}))["ok"]
        assert bench.pid != first_pid
    finally:
        await bench.close()


async def test_the_process_that_is_killed_is_replaced_and_the_one_that_is_idle_ends() -> None:
    bench = Workbench(idle_ms_max=200)
    try:
        assert (await bench.ask(Asked("check", FILES))).code is None
        pid = bench.pid
        assert pid is not None
        os.kill(pid, 9)
        with contextlib.suppress(Refused):
            await bench.ask(Asked("check", FILES))
        assert (await bench.ask(Asked("check", FILES))).code is None
        assert bench.pid not in (None, pid)
        await until(lambda: bench.pid is None)
    finally:
        await bench.close()


async def test_nobody_waits_in_a_line_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbench, "WAITING_MAX", 2)
    bench = Workbench()
    try:
        asked = [asyncio.create_task(bench.ask(Asked("check", FILES))) for _ in range(4)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert [getattr(result, "code", None) for result in results] == [None, None, "too_busy", "too_busy"]
    finally:
        await bench.close()


async def test_whoever_is_gone_leaves_no_answer_for_the_next() -> None:
    bench = Workbench()
    try:
        gone = asyncio.create_task(bench.ask(Asked("try", SLOW)))
        await until(lambda: bench.pid is not None)
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        told = await bench.ask(Asked("check", {"a.yaml": "handrail: 2\n"}))
        assert b"R115" in told.body
    finally:
        await bench.close()


async def test_secrets_of_the_service_are_not_known_to_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDRAIL_WEBHOOK_SECRET", "whsec_c2VjcmV0")
    bench = Workbench()
    try:
        await bench.ask(Asked("check", FILES))
        with open(f"/proc/{bench.pid}/environ", "rb") as environment:  # noqa: ASYNC230  # memory, not a disk
            assert b"HANDRAIL" not in environment.read()
    finally:
        await bench.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # a process has no event
            await asyncio.sleep(0.02)
