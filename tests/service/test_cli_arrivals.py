"""`handrail arrivals` takes a service's own history out, and `handrail simulate` reads it as it is."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from rules.simulation.arrivals import COLUMNS, Arrival, arrivals_in, row_of
from service.cli.arrival_files import arrivals_of
from service.cli.kept_arrivals import FULL_FROM, arrival_of, kept_arrivals
from service.cli.service_client import Service, ServiceRefused
from service.clock import now_ms
from service.flows import deadlines
from service.flows.listings import ENDED_KEPT_MS, ENDED_LISTED_MAX
from service.store.handoffs import ASSIGNMENTS_MAX
from tests.service.api_service import Api, Server, embedded, ruleset, served
from tests.service.cli_run import handrail
from tests.service.listening import listens

pytestmark = pytest.mark.server

HOUR_MS = 3_600_000
NOW_MS = 1_800_000_000_000
RULES = """
handrail: 1
queues:
  tier1:
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: "We will call you."}}
    say: {en: "One moment."}
  tier2:
    answer_within: 15m
    on_timeout: {verdict: deny, say: {en: "Not today."}}
    say: {en: "One moment."}
rules:
  - {id: unsure, why: the agent is unsure, when: confidence < 0.5, then: {escalate: tier1, priority: high}}
  - {id: other, why: the channel is another, when: channel = fax, then: {review: tier2}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("arrivals") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server, ruleset(RULES), partitions=4) as found:
        yield found


async def worked(api: Api, hands_on: str | None = None, **turn: Any) -> str:
    """Return a handoff that a person took, perhaps handed on to be taken again, and ended."""
    handoff_id: str = (await api.ask(**turn)).json()["handoff"]["id"]
    path = f"/handoffs/{handoff_id}"
    token = (await api.post(f"{path}/claim")).json()["lease"]["token"]
    if hands_on is not None:
        answer = await api.post(f"{path}/transfer", {"token": token, "queue": hands_on})
        assert answer.status_code == 200, answer.text
        token = (await api.post(f"{path}/claim")).json()["lease"]["token"]
    answer = await api.post(f"{path}/resolve", {"token": token, "action": "take_over", "outcome": "needed"})
    assert answer.status_code == 200, answer.text
    return handoff_id


async def alone(*words: str) -> tuple[int | None, str, str]:
    """Run a command in a process of its own: the service of the test writes its log to this one's output."""
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(sys.executable, "-m", "service", *words, stdout=pipe, stderr=pipe)
    out, err = await running.communicate()
    return running.returncode, out.decode(), err.decode()


async def test_what_a_service_remembers_is_simulated_as_it_is(api: Api, tmp_path: Path) -> None:
    began_at_ms = now_ms()
    for _ in range(3):
        await worked(api, confidence=0.1, locale="es-MX", message="my card number is 4111 1111 1111 1111")
    await worked(api, confidence=0.1, hands_on="tier2", locale="a,\n=b")
    await api.post("/drills", {"queue": "tier1", "within_ms": 60_000}, "manager")
    await api.ask(confidence=0.1)
    while await deadlines.sweep(api.running.store, api.tenant, now_ms() + HOUR_MS):
        pass
    assert (await api.get("/calls", "manager")).json()["calls"], "the one that nobody took is owed a call"
    await api.ask(channel="fax")

    async with listens(api) as listening:
        words = ("--url", f"http://127.0.0.1:{listening.port}", "--key", api.tokens["manager"])
        code, csv_text, said = await alone("arrivals", *words)
        _, lines, _ = await alone("arrivals", "--jsonl", *words)
        earlier = await alone("arrivals", "--to", "2026-01-01", *words)
        refused = await alone("arrivals", *words[:3], api.tokens["agent"])
    assert code == 0, said
    assert csv_text.splitlines()[0] == ",".join(COLUMNS)
    assert "card" not in csv_text
    assert re.fullmatch(
        r"6 arrivals\nthe service remembers all who came since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC; "
        r"who came before is left out\n",
        said,
    )
    (tmp_path / "came.csv").write_text(csv_text)
    (tmp_path / "came.jsonl").write_text(lines)
    came = arrivals_of([tmp_path / "came.csv"])
    assert came == arrivals_of([tmp_path / "came.jsonl"])
    assert all(began_at_ms <= each.at_ms <= now_ms() for each in came)
    assert [(each.queue, each.kind, each.priority, each.locale) for each in came] == [
        *[("tier1", "escalate", "high", "es-MX")] * 3,
        ("tier1", "escalate", "high", None),
        ("tier1", "escalate", "high", None),
        ("tier2", "review", "normal", None),
    ]
    assert [(each.handling_ms is None, each.waited_ms is None) for each in came] == [
        *[(False, False)] * 4, (True, False), (True, True),
    ]  # fmt: skip
    assert HOUR_MS / 2 < (came[4].waited_ms or 0) <= HOUR_MS + 60_000, "nobody came, and they stayed until the end"

    (tmp_path / "rules.yaml").write_text(RULES)
    files = (str(tmp_path / "rules.yaml"), str(tmp_path / "came.csv"))
    simulated = handrail("simulate", *files, "--operators", "2", "--runs", "1", "--json")
    assert simulated.exit_code == 0, simulated.output
    assert json.loads(simulated.stdout)["people"][0]["runs"][0]["all"]["came"] == 6

    assert earlier[:2] == (0, ",".join(COLUMNS) + "\n")
    assert earlier[2].startswith("0 arrivals\n")
    assert refused == (
        2,
        "",
        "error: this needs a key of role `operator` or `manager` or `admin`, and the key is of role `agent` "
        "(`role_missing`)\n       use a key with a role that `detail` names\n",
    )


HANDOFF: dict[str, Any] = {
    "id": "hof_0_1", "drill": False, "kind": "escalate", "state": "resolved", "queue": "tier1", "priority": "high",
    "locale": "en", "opened_at_ms": NOW_MS, "ended_at_ms": NOW_MS + 90_500, "rerouted": False, "call": None,
    "reasons": [{"decision_id": "dec_1"}], "assignments": [{"at_ms": NOW_MS + 30_000}],
}  # fmt: skip
NOWHERE = Service("http://127.0.0.1:1", "no-key")
PROMISED = {"promised_at_ms": NOW_MS, "after": None}


def arrival(**more: Any) -> Arrival:
    given: dict[str, Any] = {"locale": "en", "priority": "high", "handling_ms": 60_500, "waited_ms": 30_000}
    return Arrival(NOW_MS, "tier1", **(given | more))


@pytest.mark.parametrize(
    ("handoff", "found"),
    [
        pytest.param({}, arrival(), id="it was answered, and ended"),
        pytest.param({"state": "leased", "ended_at_ms": None}, arrival(handling_ms=None), id="it is in hand"),
        pytest.param(
            {"state": "waiting", "ended_at_ms": None, "assignments": []},
            arrival(handling_ms=None, waited_ms=None),
            id="it waits",
        ),
        pytest.param(
            {"state": "expired", "assignments": []}, arrival(handling_ms=None, waited_ms=90_500), id="nobody came"
        ),
        pytest.param(
            {"assignments": []}, arrival(handling_ms=0, waited_ms=90_500), id="it was answered with others of a flood"
        ),
        pytest.param({"call": PROMISED}, arrival(waited_ms=None), id="a busy queue promised a call"),
        pytest.param({"call": PROMISED | {"after": "hof_0_0"}}, None, id="the call that is owed after a handoff"),
        pytest.param({"drill": True}, None, id="a drill"),
        pytest.param({"locale": "en\n=cmd()"}, arrival(locale=None), id="a language that is none"),
        pytest.param({"ended_at_ms": NOW_MS + 29_000}, arrival(handling_ms=0), id="a clock was behind"),
        pytest.param(
            {"assignments": [{"at_ms": NOW_MS + 30_000}] * ASSIGNMENTS_MAX, "reasons": []},
            arrival(waited_ms=None),
            id="who had it first is not known any more",
        ),
    ],
)
def test_what_a_handoff_was(handoff: dict[str, Any], found: Arrival | None) -> None:
    assert arrival_of(NOWHERE, HANDOFF | handoff) == found
    if found is not None:
        assert list(arrivals_in(row_of(found))) == [found]


def test_the_first_decision_says_where_one_came_to_that_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def get(_self: Service, path: str) -> dict[str, Any]:
        asked.append(path)
        if path == "/decisions/dec_1":
            return {"queue": "desk"}
        raise ServiceRefused(404, "decision_unknown", "no such decision", "", {})

    monkeypatch.setattr(Service, "get", get)

    def queue_of(**more: Any) -> str | None:
        found = arrival_of(NOWHERE, HANDOFF | more)
        return None if found is None else found.queue

    assert queue_of() == "tier1"
    assert asked == []
    assert queue_of(rerouted=True) == queue_of(assignments=[{"at_ms": NOW_MS}] * 2) == "desk"
    assert queue_of(state="expired") == "desk"
    assert queue_of(rerouted=True, reasons=[{"decision_id": "dec_2"}]) == "tier1", "decisions are forgotten too"


def test_who_came_before_a_full_list_begins_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those the service has only the slow ones left."""
    step_ms = 60_000

    def ended(partition: int, number: int) -> dict[str, Any]:
        # Each third was slow, and came before the list begins.
        at_ms = NOW_MS - number * step_ms
        opened = at_ms - (ENDED_LISTED_MAX * step_ms if number % 3 == 0 else 1_000)
        more = {"id": f"hof_{partition:x}_{number}", "opened_at_ms": opened, "ended_at_ms": at_ms}
        return HANDOFF | more | {"assignments": [{"at_ms": at_ms}]}

    lists = {"resolved": [ended(10, number) for number in range(FULL_FROM)] + [ended(11, 20_000)]}
    lists["resolved"].sort(key=lambda each: -each["ended_at_ms"])

    asked: list[str] = []

    def get(_self: Service, path: str) -> dict[str, Any]:
        asked.append(path)
        query = parse_qs(urlsplit(path).query)
        rows, first = lists.get(query.get("state", [""])[0], []), int(query.get("cursor", ["0"])[0])
        last = first + int(query["limit"][0])
        return {"handoffs": rows[first:last], "cursor": str(last) if last < len(rows) else None}

    monkeypatch.setattr(Service, "get", get)
    heard: list[int] = []
    kept = kept_arrivals(NOWHERE, 0, NOW_MS, NOW_MS, heard.append)
    assert kept.whole_from_ms == NOW_MS - (FULL_FROM - 1) * step_ms
    assert heard[-1] == FULL_FROM + 1
    assert len(kept.arrivals) == sum(1 for number in range(FULL_FROM - 1) if number % 3)
    assert list(kept.arrivals) == sorted(kept.arrivals, key=lambda each: each.at_ms)

    asked.clear()
    late = kept_arrivals(NOWHERE, NOW_MS - 10 * step_ms, NOW_MS - 5 * step_ms, NOW_MS, heard.append)
    assert late.whole_from_ms == NOW_MS - 10 * step_ms
    assert len(late.arrivals) == 3
    assert len(asked) == 4, "one page of the open, and of each end: what ended before is not asked for"
    lists.clear()
    assert kept_arrivals(NOWHERE, 0, NOW_MS, NOW_MS).whole_from_ms == NOW_MS - ENDED_KEPT_MS


def test_the_list_of_the_ended_is_cut_where_the_command_thinks() -> None:
    lua = (Path(__file__).parents[2] / "service" / "store" / "lua" / "parts" / "ending.lua").read_text()
    assert f"redis.call('ZREMRANGEBYRANK', ended, 0, -{ENDED_LISTED_MAX + 1})" in lua


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--from", "yesterday"),
            "error: `--from` is no moment\n       write it as 2026-11-01 or 2026-11-01T09:00Z\n",
        ),
        (
            ("--from", "2026-11-02", "--to", "2026-11-02T00:00Z"),
            "error: `--to` is not later than `--from`\n       as --from 2026-11-01 --to 2026-12-01\n",
        ),
    ],
)
def test_moments_that_are_none_are_refused(words: tuple[str, ...], said: str) -> None:
    done = handrail("arrivals", *words)
    assert (done.exit_code, done.stderr) == (2, said)
