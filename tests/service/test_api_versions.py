"""Versions over HTTP: pushed, tried, approved, activated, taken back, and which rules decide meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rules.evaluation.evaluate import is_in_share
from rules.model import Mode
from service.api.version_answers import (
    DifferenceAnswer,
    HistoryAnswer,
    PushedAnswer,
    RolledBackAnswer,
    ShadowAnswer,
    VersionAnswer,
    VersionTextsAnswer,
)
from service.clock import now_ms
from service.flows import keys
from tests.service.api_service import RULES, Api, Server, embedded, ruleset, served
from tests.service.test_api_openapi import exact

STRICTER = RULES.replace("low_confidence: 0.5", "low_confidence: 0.6")
TWO_PERSONS = RULES.replace("handrail: 1", "handrail: 1\napprovals: 2")
FAILING = """handrail_tests: 1
cases:
  - name: nobody is ever sure enough
    message: hello
    confidence: 0.99
    expect: {verdict: review}
"""
PASSING = """handrail_tests: 1
cases:
  - name: an unsure draft is read afterwards
    message: hello
    confidence: 0.4
    expect: {verdict: review}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("api") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


async def push(api: Api, text: str = STRICTER, message: str = "as tested", role: str = "manager", **files: str) -> Any:
    body = {"files": {"rules.yaml": text, **files}, "message": message}
    answer = await api.post("/rulesets", body, role)
    assert answer.is_success, answer.text
    return answer.json()


async def take(api: Api, path: str, role: str = "manager", **body: Any) -> Any:
    answer = await api.post(f"/rulesets/{path}", body, role)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(api: Api, path: str, role: str = "manager", **body: Any) -> tuple[int, str, str]:
    answer = await api.post(f"/rulesets/{path}", body, role)
    problem = answer.json()
    return answer.status_code, problem["code"], problem["detail"]


async def deciding(api: Api, **fields: Any) -> str:
    return str((await api.ask(**fields)).json()["ruleset"])


async def test_a_version_is_pushed_decides_and_is_taken_back(api: Api) -> None:
    own = await deciding(api)
    assert own == ruleset().hash
    pushed = await push(api, message="unsure a little earlier")
    exact(PushedAnswer, pushed)
    assert (pushed["version"], pushed["state"], pushed["author"]) == (1, "pushed", f"manager-of-{api.tenant}")
    assert pushed["message"] == "unsure a little earlier"
    assert await deciding(api) == own
    active = await take(api, "1/activate")
    exact(VersionAnswer, active)
    assert active["state"] == "active"
    assert await deciding(api) == pushed["hash"] != own
    rolled_back = await take(api, "rollback", expect=1)
    exact(RolledBackAnswer, rolled_back)
    assert rolled_back == {"taken_back": 1, "was": "active", "active": 0}
    assert await deciding(api) == own
    history = (await api.get("/rulesets", "manager")).json()
    exact(HistoryAnswer, history)
    assert [(each["version"], each["state"]) for each in history["versions"]] == [(1, "rolled_back")]
    assert [(step["kind"], step["version"]) for step in history["steps"]] == [
        ("rolled_back", 1),
        ("activated", 1),
        ("pushed", 1),
    ]


async def until(api: Api, version: int, judged: int) -> Any:
    """Return the report on a version in shadow once it has judged so many turns."""
    async with asyncio.timeout(20):
        while True:
            told = (await api.get(f"/rulesets/{version}/shadow", "manager")).json()
            if told["judged"] >= judged:
                return told
            await asyncio.sleep(0.02)


async def test_a_version_in_shadow_judges_every_turn_and_decides_none(api: Api) -> None:
    pushed = await push(api, STRICTER.replace("- id: fees", "- id: hidden-fees"))
    staged = await take(api, "1/stage", mode="shadow")
    assert (staged["state"], staged["mode"], staged["percent"]) == ("staged", "shadow", None)
    own = ruleset().hash
    unsure = (await api.ask(confidence=0.55)).json()
    assert (unsure["verdict"], unsure["ruleset"]) == ("continue", own)
    assert (await api.ask(confidence=0.9)).json()["ruleset"] == own
    renamed = (await api.ask(message="this hidden fee")).json()
    # A turn that is asked again was judged before.
    again = {"conversation_id": unsure["conversation_id"], "turn_id": "1", "confidence": 0.55}
    assert (await api.ask(**again)).headers["handrail-repeated"] == "true"
    told = await until(api, 1, 3)
    exact(ShadowAnswer, told)
    counts = {name: told[name] for name in ("judged", "agreed", "stricter", "looser", "otherwise", "errors", "skipped")}
    assert counts == {
        "judged": 3, "agreed": 1, "stricter": 1, "looser": 0, "otherwise": 1, "errors": 0, "skipped": 0,
    }  # fmt: skip
    assert told["rules"] == [
        {"rule_id": "fees", "more": 0, "fewer": 1},
        {"rule_id": "hidden-fees", "more": 1, "fewer": 0},
        {"rule_id": "unsure", "more": 1, "fewer": 0},
    ]
    assert [
        (
            each["decision_id"],
            each["result"],
            each["verdict"],
            each["would_be"],
            each["queue"],
            each["more"],
            each["fewer"],
        )
        for each in told["differences"]
    ] == [
        (renamed["decision_id"], "otherwise", "review", "review", "later", ["hidden-fees"], ["fees"]),
        (unsure["decision_id"], "stricter", "continue", "review", "later", ["unsure"], []),
    ]
    assert "hidden fee" not in str(told["differences"])
    metrics = (await api.get("/metrics", "manager")).text
    assert 'handrail_shadow_judged_total{result="stricter"} 1.0' in metrics
    assert "handrail_shadow_errors_total 0.0" in metrics
    assert pushed["hash"] not in str((await api.get("/rulesets/active", "manager")).json())


class Planted:
    """Something of a ruleset that raises when it is used."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *_: object) -> Any:
        raise self.error


async def test_a_rule_in_shadow_of_the_active_rules_that_raises_fails_no_turn_and_is_counted_and_told(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    await push(api)
    await take(api, "1/activate")
    following = api.running.following
    assert following is not None
    found = following.met[api.tenant]
    in_shadow = [replace(rule, mode=Mode(0)) if rule.id == "unsure" else rule for rule in found.active.files.rules]
    measures = [
        (("planted", Planted(ZeroDivisionError("a customer's words"))),) if rule.id == "unsure" else measures
        for rule, measures in zip(found.active.files.rules, found.active.measures, strict=True)
    ]
    faulty = replace(found.active, files=replace(found.active.files, rules=tuple(in_shadow)), measures=tuple(measures))
    following.met[api.tenant] = replace(found, active=faulty)
    answer = await api.ask(confidence=0.4)
    assert (answer.status_code, answer.json()["verdict"]) == (200, "continue")
    told = next(line for line in capsys.readouterr().out.splitlines() if "rule in shadow raised" in line)
    assert "unsure" in told
    assert "ZeroDivisionError" in told
    assert "customer's words" not in told
    assert 'handrail_rule_shadow_errors_total{rule_id="unsure"} 1.0' in (await api.get("/metrics", "manager")).text


async def test_a_version_in_shadow_that_raises_is_counted_and_told_and_no_answer_feels_it(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    await push(api)
    await take(api, "1/stage", mode="shadow")
    following = api.running.following
    assert following is not None
    found = following.met[api.tenant]
    assert found.candidate is not None
    good = found.candidate.ruleset
    number = next(place for place, rule in enumerate(good.files.rules) if rule.id == "unsure")
    measures = list(good.measures)
    measures[number] = (("planted", Planted(ZeroDivisionError("a customer's words"))),)
    faulty = replace(good, measures=tuple(measures))
    following.met[api.tenant] = replace(found, candidate=replace(found.candidate, ruleset=faulty))
    before = await api.ask(confidence=0.4)
    assert (before.status_code, before.json()["verdict"]) == (200, "review")
    await api.ask(confidence=0.9)
    told = await until(api, 1, 2)
    assert (told["judged"], told["agreed"], told["errors"]) == (2, 1, 1)
    assert told["error_kinds"] == [{"error": "ZeroDivisionError", "rule_id": "unsure", "count": 1}]
    assert "handrail_shadow_errors_total 1.0" in (await api.get("/metrics", "manager")).text
    nothing: Any = None
    broken = replace(good, matcher=nothing)
    following.met[api.tenant] = replace(found, candidate=replace(found.candidate, ruleset=broken))
    assert (await api.ask(confidence=0.9)).json()["verdict"] == "continue"
    told = await until(api, 1, 3)
    assert {(each["rule_id"], each["count"]) for each in told["error_kinds"]} == {("unsure", 1), (None, 1)}
    assert "customer's words" not in str(told)


async def test_a_rollout_decides_the_same_share_for_ever_and_raising_it_only_adds(api: Api) -> None:
    pushed = await push(api)
    names = [f"rolled-{number}" for number in range(40)]
    shares: list[set[str]] = []
    for percent in (10, 40, 100):
        await take(api, "1/stage", mode="rollout", percent=percent)
        decided = {name: await deciding(api, conversation_id=name, turn_id=str(percent)) for name in names}
        shares.append({name for name, by in decided.items() if by == pushed["hash"]})
        assert shares[-1] == {name for name in names if is_in_share(api.tenant, name, percent)}
    assert shares[0] < shares[1] < shares[2] == set(names)
    back = await take(api, "rollback")
    assert back == {"taken_back": 1, "was": "rollout", "active": 0}
    assert await deciding(api, conversation_id=names[0], turn_id="last") == ruleset().hash
    # What was decided in the rollout stays decided so.
    assert await deciding(api, conversation_id=names[0], turn_id="100") == pushed["hash"]


async def test_a_rollout_shows_its_queues_to_operators(api: Api) -> None:
    text = RULES.replace(
        "  later:", "  new-desk: {answer_within: 3d, on_timeout: {verdict: continue}, say: {en: Hm.}}\n  later:"
    )
    await push(
        api,
        text.replace(
            "when: confidence < $low_confidence\n    then: {review: later}",
            "when: confidence < $low_confidence\n    then: {review: new-desk}",
        ),
    )
    await take(api, "1/stage", mode="rollout", percent=100)
    assert (await api.ask(confidence=0.1)).json()["handoff"]["queue"] == "new-desk"
    queues = {each["name"]: each for each in (await api.get("/queues", "operator")).json()["queues"]}
    assert (queues["new-desk"]["waiting"], queues["new-desk"]["declared"]) == (1, True)
    assert (await api.post("/queues/new-desk/claim")).status_code == 200


async def test_the_same_files_are_one_version_and_tests_belong_to_them(api: Api) -> None:
    first = await push(api, message="first")
    again = await push(api, message="again")
    assert (again["version"], again["repeated"], again["message"]) == (1, True, "first")
    other = await push(api, message="with tests", **{"rules.tests.yaml": PASSING})
    assert (other["version"], other["hash"], other["tests"]) == (2, first["hash"], {"cases": 1, "failing": 0})
    told = (await api.get("/rulesets/2", "manager")).json()
    exact(VersionTextsAnswer, told)
    assert told["texts"] == {"rules.yaml": STRICTER, "rules.tests.yaml": PASSING}


async def test_files_that_do_not_compile_are_refused_with_every_problem(api: Api) -> None:
    text = RULES.replace("confidence < $low_confidence", "confidense < $low").replace(
        "topics has fees", "topics has fee"
    )
    answer = await api.post("/rulesets", {"files": {"a/rules.yaml": text}, "message": "x"}, "manager")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "rules_invalid")
    assert {each["code"] for each in problem["problems"] if each["severity"] == "error"} == {"R101", "R102", "R104"}
    assert {each["file"] for each in problem["problems"]} == {"a/rules.yaml"}
    assert "did you mean `confidence`?" in problem["rendered"]
    answer = await api.post(
        "/rulesets", {"files": {"r.yaml": RULES, "r.tests.yaml": "cases: 1"}, "message": "x"}, "manager"
    )
    assert answer.json()["detail"].startswith("the test files have ")
    assert (await api.get("/rulesets", "manager")).json()["versions"] == []


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"files": {}, "message": "x"}, "the files have 1 error"),
        (
            {"files": {"../x.yaml": RULES}, "message": "x"},
            "has a file name that is none: write it as `refunds.yaml`, with `/` between folders",
        ),
        (
            {"files": {"x.txt": RULES}, "message": "x"},
            "has a file name that is none: write it as `refunds.yaml`, with `/` between folders",
        ),
        ({"files": {"x.yaml": 1}, "message": "x"}, "must be"),
        ({"message": "no files"}, "`files` is required"),
        ({"files": {"x.yaml": RULES}}, "`message` is required"),
        ({"files": {"x.yaml": RULES}, "message": "  "}, "`message`"),
        ({"files": {"x.yaml": RULES}, "message": "a\x1b[2K"}, "`message` holds a character that cannot be shown"),
        ({"files": {"x.yaml": RULES}, "message": "a\u202eb"}, "`message` holds a character that cannot be shown"),
        ({"files": {"x.yaml": RULES}, "message": "x" * 501}, "`message` is longer than 500"),
    ],
)
async def test_a_push_that_does_not_fit_is_told_why(api: Api, body: Any, detail: str) -> None:
    answer = await api.post("/rulesets", body, "manager")
    assert answer.status_code == 422
    assert detail in answer.json()["detail"]


async def test_failing_tests_keep_a_version_from_every_turn(api: Api) -> None:
    pushed = await push(api, **{"rules.tests.yaml": FAILING})
    assert pushed["tests"] == {"cases": 1, "failing": 1}
    for path, body in (("1/activate", {}), ("1/stage", {"mode": "shadow"})):
        answer = await api.post(f"/rulesets/{path}", body, "manager")
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "tests_failed")
        assert problem["detail"] == "1 of 1 tests of version 1 fails"
        assert [(each["case"], each["expected"], each["got"]) for each in problem["failures"]] == [
            ("nobody is ever sure enough", "review", "continue")
        ]
        assert problem["rendered"].startswith("1 of 1 tests of version 1 fails\n  rules.tests.yaml:")


async def test_what_led_to_a_failing_case_is_told_once_however_much_of_it_fails(api: Api) -> None:
    expect = "expect: {hold: approvals, priority: high, must_stop: true}"
    cases = [f"  - {{name: case {number}, message: x, confidence: 0.1, {expect}}}\n" for number in range(12)]
    tests = "handrail_tests: 1\ncases:\n" + "".join(cases)
    await push(api, **{"rules.tests.yaml": tests})
    problem = (await api.post("/rulesets/1/activate", {}, "manager")).json()
    summary, first, *others = problem["rendered"].split("\n\n")
    assert summary.splitlines()[0] == "12 of 12 tests of version 1 fail"
    assert (len(summary.splitlines()), summary.splitlines()[-1]) == (12, "  and 2 more")
    assert first.splitlines()[0].endswith("`case 0`, turn 1")
    assert first.count("expected") == 4
    assert first.count("unsure fired: ") == 1
    assert len(others) == 11


async def test_two_persons_stand_behind_a_version_where_the_rules_ask_for_it(api: Api) -> None:
    ben = (await keys.create(api.running.store, api.tenant, "ben", "manager", now_ms())).token
    api.tokens["ben"] = ben
    mia = f"manager-of-{api.tenant}"
    await push(api, TWO_PERSONS)
    assert await refused(api, "1/activate") == (
        409,
        "approval_missing",
        "version 1 needs the approval of a second person",
    )
    # A rollout decides turns as well; a shadow does not.
    assert (await refused(api, "1/stage", mode="rollout", percent=1))[1] == "approval_missing"
    await take(api, "1/stage", mode="shadow")
    assert await refused(api, "1/approve") == (
        409,
        "own_approval",
        f"version 1 was pushed by `{mia}`, and nobody approves their own version",
    )
    approved = await take(api, "1/approve", "ben")
    assert [each["name"] for each in approved["approvals"]] == ["ben"]
    assert len((await take(api, "1/approve", "ben"))["approvals"]) == 1
    await take(api, "1/activate")
    # The active version asks for two, so one that asks for one cannot let itself in.
    await push(api, STRICTER, role="ben")
    assert (await refused(api, "2/activate", "ben"))[1] == "approval_missing"
    # Nor is going back the way around it.
    await take(api, "rollback")
    assert (await refused(api, "2/activate", "ben"))[1] == "approval_missing"
    assert (await api.get("/rulesets/2", "manager")).json()["approvals_needed"] == 2
    await take(api, "2/approve", "manager")
    await take(api, "2/activate", "ben")
    await push(api, RULES + "# one person again\n")
    assert (await take(api, "3/activate"))["state"] == "active"


async def test_going_back_to_a_version_that_asks_for_two_persons_asks_for_two_again(api: Api) -> None:
    api.tokens["ben"] = (await keys.create(api.running.store, api.tenant, "ben", "manager", now_ms())).token
    await push(api, TWO_PERSONS)
    await take(api, "1/approve", "ben")
    await take(api, "1/activate")
    await push(api, STRICTER)
    await take(api, "2/approve", "ben")
    await take(api, "2/activate")
    assert (await take(api, "rollback"))["active"] == 1
    await push(api, RULES + "# one person alone\n")
    assert (await refused(api, "3/activate"))[1] == "approval_missing"
    assert (await api.get("/rulesets/3", "manager")).json()["approvals_needed"] == 2


async def test_one_version_is_staged_at_a_time(api: Api) -> None:
    await push(api)
    await push(api, RULES + "# two\n")
    await take(api, "1/stage", mode="rollout", percent=5)
    staged = (409, "version_staged", "version 1 is staged")
    assert await refused(api, "2/stage", mode="shadow") == staged
    assert await refused(api, "2/activate") == staged
    await take(api, "1/stage", mode="shadow")
    assert (await take(api, "2/activate"))["state"] == "active"
    assert await refused(api, "2/stage", mode="shadow") == (409, "version_active", "version 2 is active already")
    assert (await take(api, "1/stage", mode="withdrawn"))["state"] == "pushed"
    history = (await api.get("/rulesets", "manager")).json()
    assert [(step["kind"], step["version"], step["about"]) for step in history["steps"][:5]] == [
        ("withdrawn", 1, "withdrawn"),
        ("activated", 2, "in place of 0"),
        ("staged", 1, "shadow"),
        ("staged", 1, "rollout 5%"),
        ("pushed", 2, ""),
    ]


async def test_a_step_that_somebody_else_took_meanwhile_is_told(api: Api) -> None:
    for number in range(1, 4):
        await push(api, RULES + f"# {number}\n")
    revision = (await api.get("/rulesets", "manager")).json()["revision"]
    both = await asyncio.gather(
        *(api.post(f"/rulesets/{n}/activate", {"expect_revision": revision}, "manager") for n in (1, 2))
    )
    assert sorted(answer.status_code for answer in both) == [200, 409]
    assert {answer.json().get("code") for answer in both} == {None, "rulesets_moved"}
    await take(api, "3/activate")
    both = await asyncio.gather(*(api.post("/rulesets/rollback", {"expect": 3}, "manager") for _ in range(2)))
    assert sorted(answer.status_code for answer in both) == [200, 409]
    one_before = next(answer.json()["active"] for answer in both if answer.status_code == 200)
    assert one_before in (1, 2)
    # Once more leads one further back, and then there is nothing.
    assert (await take(api, "rollback"))["active"] == 0
    assert await refused(api, "rollback") == (409, "nothing_before", "no version was active before")


async def test_a_rollback_that_is_sent_twice_is_done_once(api: Api) -> None:
    for number in (1, 2):
        await push(api, RULES + f"# {number}\n")
        await take(api, f"{number}/activate")
    headers = {"Idempotency-Key": "back-1"}
    first, second = [await api.post("/rulesets/rollback", {}, "manager", headers) for _ in range(2)]
    assert first.json() == second.json() == {"taken_back": 2, "was": "active", "active": 1}


async def test_the_examples_of_the_documentation_do_what_they_say(api: Api) -> None:
    schemas = (await api.get("/openapi.json")).json()["components"]["schemas"]
    (pushed,), (staged,) = schemas["PushBody"]["examples"], schemas["StageBody"]["examples"]
    answer = await api.post("/rulesets", pushed, "manager")
    assert (answer.status_code, answer.json()["tests"]) == (201, {"cases": 1, "failing": 0})
    assert answer.json()["warnings"] == []
    told = await take(api, "1/stage", **{**staged, "expect_revision": 0})
    assert (told["mode"], told["percent"]) == ("rollout", staged["percent"])


async def test_agents_and_operators_do_not_govern(api: Api) -> None:
    for role in ("agent", "operator"):
        assert (await api.post("/rulesets", {"files": {"r.yaml": RULES}, "message": "x"}, role)).status_code == 403
        assert (await api.get("/rulesets", role)).status_code == 403
    await push(api, role="admin")
    for path in ("9/activate", "9/approve"):
        assert await refused(api, path) == (404, "version_unknown", "there is no version 9")
    assert (await api.get("/rulesets/9", "manager")).status_code == 404
    assert (await api.get("/rulesets/9/shadow", "manager")).status_code == 404


async def test_versions_are_told_apart_in_rules(api: Api) -> None:
    await push(api)
    await take(api, "1/activate")
    told = (await api.get("/rulesets/0/diff/active", "manager")).json()
    exact(DifferenceAnswer, told)
    assert (told["old"], told["new"], told["overall"]) == (0, 1, "stricter")
    assert told["rules"] == [
        {
            "name": "unsure",
            "kind": "changed",
            "effect": "stricter",
            "facts": ["fires more often: low_confidence 0.5 → 0.6"],
        }
    ]
    assert (await api.get("/rulesets/1/diff/staged", "manager")).json()["detail"] == "no version is staged"
    assert (await api.get("/rulesets/1/diff/mine", "manager")).status_code == 422


async def test_a_tenant_does_not_see_anothers_versions(server: Server, api: Api) -> None:
    await push(api)
    await take(api, "1/activate")
    async with served(server) as other:
        assert (await other.get("/rulesets", "manager")).json()["versions"] == []
        assert await deciding(other) == ruleset().hash


async def test_a_directory_decides_and_versions_only_wait(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test.yaml").write_text(RULES)
    monkeypatch.setenv("HANDRAIL_RULES", str(tmp_path))
    async with served(server) as api:
        await push(api)
        for path in ("1/activate", "rollback"):
            assert (await refused(api, path))[1] == "file_mode"
        assert (await refused(api, "1/stage", mode="shadow"))[1] == "file_mode"
        history = (await api.get("/rulesets", "manager")).json()
        assert (history["mode"], history["active"]) == ("file", 0)
        assert await deciding(api) == ruleset().hash
