"""File mode in whole processes under load: every edit decides in each of them, and no request ever fails."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from rules.files.files_hash import files_hash
from service import rule_files
from service.last_good import file_of
from tests.waiting import wait_until
from tests.walks.served import RULES, Served

pytestmark = [
    pytest.mark.walk,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
AGENTS = 3  # callers of each process, each with a connection of its own
SEEN_S = 60  # a second is what is promised and measured (bench/file_mode.py); here only that it comes
BROKEN = RULES.replace("confidence < 0.5", "confidense < 0.5")


# Both rules stand behind each other: a file that is cut between them is a rule file.
CUT = RULES[: RULES.index("  - id: lost")]
TESTS = """handrail_tests: 1
cases:
  - {name: lost, confidence: 0.01, message: hi, expect: {rules: [lost]}}
"""


def at(limit: float) -> str:
    """Return the rules with another limit, so that another ruleset decides."""
    return RULES.replace("confidence < 0.5", f"confidence < {limit}")


class Load:
    """Agents that never pause, and what they were answered."""

    def __init__(self, services: list[Served]) -> None:
        self.services = services
        self.statuses: Counter[int | str] = Counter()
        self.rulesets: list[set[str]] = [set() for _ in services]
        self._over = asyncio.Event()
        self._numbers = itertools.count()

    async def __aenter__(self) -> Load:
        self._tasks = [
            asyncio.create_task(self._agent(served, seen))
            for served, seen in zip(self.services, self.rulesets, strict=True)
            for _ in range(AGENTS)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def decided_everywhere(self, ruleset: str) -> None:
        """Wait until agents of every process were answered by this set: what was on its way is from before it."""
        await asyncio.to_thread(wait_until, lambda: all(ruleset in seen for seen in self.rulesets), SEEN_S)

    async def _agent(self, served: Served, seen: set[str]) -> None:
        headers = {"Authorization": f"Bearer {served.keys['agent']}"}
        async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=SEEN_S) as client:
            while not self._over.is_set():
                body = {"conversation_id": f"c-{next(self._numbers)}", "turn_id": "1", "message": "hi", "confidence": 1}
                try:
                    answer = await client.post("/should-escalate", json=body)
                except httpx.TransportError as error:
                    self.statuses[type(error).__name__] += 1
                    continue
                self.statuses[answer.status_code] += 1
                seen.add(answer.json()["ruleset"])


def told(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = served.get("/rulesets/active", "manager")
    return found


def decides(services: list[Served], rules: Path) -> str:
    """Wait until every process decides with what the directory holds, and return the hash of that."""
    wanted = files_hash(rule_files.read_directory(rules))
    for served in services:

        def is_there(served: Served = served) -> bool:
            found = told(served)
            return bool(found["hash"] == wanted and found["fault"] is None)

        wait_until(is_there, SEEN_S)
    return wanted


def refuses(services: list[Served]) -> list[dict[str, Any]]:
    """Wait until every process says that it refuses an edit, and return what managers are told."""
    for served in services:
        wait_until(lambda served=served: told(served)["fault"] is not None, SEEN_S)  # type: ignore[misc]  # bound now
    return [told(served) for served in services]


def put(file: Path, text: str) -> None:
    """Save as most editors do: a new file that takes the place of the old one, and nobody sees half of it."""
    beside = file.with_suffix(".swp")
    beside.write_text(text)
    os.replace(beside, file)


async def test_edits_under_load_decide_in_every_process_and_no_request_fails(folder: Path) -> None:
    with Served(folder, work="false") as first, Served(folder, work="false") as second:
        services, rules = [first, second], first.rules
        file = rules / "walk.yaml"
        good = [await asyncio.to_thread(decides, services, rules)]
        async with Load(services) as load:
            for limit in (0.4, 0.41, 0.42):
                file.write_text(at(limit))
                good.append(await asyncio.to_thread(decides, services, rules))

            put(file, BROKEN)
            for found in await asyncio.to_thread(refuses, services):
                assert found["hash"] == good[-1]
                assert (found["problems_total"], found["problems"][0]["code"]) == (1, "R101")
                assert (found["problems"][0]["line"], found["problems"][0]["file"]) == (15, f"{rules}/walk.yaml")
            put(file, at(0.43))
            good.append(await asyncio.to_thread(decides, services, rules))

            # A save that is caught half-way, and ends later: what was read in between is broken.
            with file.open("w") as half:
                half.write(at(0.44)[: RULES.index("queues:") + 40])
                half.flush()
                assert {found["hash"] for found in await asyncio.to_thread(refuses, services)} == {good[-1]}
                half.write(at(0.44)[RULES.index("queues:") + 40 :])
            good.append(await asyncio.to_thread(decides, services, rules))

            # A checkout that rewrites many files, one after the other.
            for number in range(30):
                (rules / f"more{number}.yaml").write_text(f"handrail: 1\nthresholds: {{unused_{number}: 1}}\n")
            good.append(await asyncio.to_thread(decides, services, rules))

            # At once: what is left of a directory that goes file by file is rules too.
            rules.rename(folder / "gone")
            for found in await asyncio.to_thread(refuses, services):
                assert found["hash"] == good[-1]
                assert found["fault"] == f"{rules}: no such directory; name a directory of rule files"
            rules.mkdir()
            put(file, at(0.45))
            good.append(await asyncio.to_thread(decides, services, rules))
            await load.decided_everywhere(good[-1])
        assert set(load.statuses) == {200}, load.statuses
        for seen in load.rulesets:
            assert seen <= set(good)  # no turn was decided by anything else


def metric(served: Served, name: str) -> float:
    headers = {"Authorization": f"Bearer {served.keys['manager']}"}
    lines = httpx.get(f"{served.url}/metrics", headers=headers, timeout=SEEN_S).text.splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(name)))


async def test_a_cut_file_never_decides_while_its_tests_name_what_is_gone(folder: Path) -> None:
    with Served(folder, work="false") as first, Served(folder, work="false") as second:
        services, rules = [first, second], first.rules
        file, tests = rules / "walk.yaml", rules / "walk.tests.yaml"
        tests.write_text(TESTS)
        whole = decides(services, rules)
        async with Load(services) as load:
            put(file, CUT)
            for found in await asyncio.to_thread(refuses, services):
                assert found["hash"] == whole
                assert [each["code"] for each in found["problems"]] == ["R170"]
                assert found["problems"][0]["file"] == f"{rules}/walk.tests.yaml"
            # As much of it as declares no rule any more, whatever tests say.
            put(file, RULES[: RULES.index("rules:")])
            for served in services:
                fault = f"{rules}: no file here holds a rule"
                wait_until(lambda served=served, fault=fault: fault in told(served)["fault"], SEEN_S)  # type: ignore[misc]  # bound now
                assert told(served)["hash"] == whole
            put(file, RULES)
            assert await asyncio.to_thread(decides, services, rules) == whole
            # Meant: whoever takes a rule away takes it out of its tests, in whatever order.
            put(file, CUT)
            await asyncio.to_thread(refuses, services)
            put(tests, TESTS.replace("rules: [lost]", "verdict: continue"))
            less = await asyncio.to_thread(decides, services, rules)
            await load.decided_everywhere(less)
        assert set(load.statuses) == {200}, load.statuses
        for seen in load.rulesets:
            assert seen == {whole, less}


def test_rules_that_are_gone_are_told_everywhere_until_they_are_back(folder: Path) -> None:
    gone = ["lost: removed: it escalated to brief when `confidence < 0.1`"]
    with Served(folder, work="false") as served:
        file = served.rules / "walk.yaml"
        assert (told(served)["lost"], told(served)["lost_since_at_ms"]) == ([], None)
        put(file, CUT)
        decides([served], served.rules)
        found = told(served)
        assert found["lost"] == gone
        assert httpx.get(f"{served.url}/readyz", timeout=SEEN_S).json() == {
            "status": "ready",
            "rules": {
                "status": "fewer",
                "since_at_ms": found["lost_since_at_ms"],
                "fact": "1 rule that asked for a person is gone",
                "problems": [],
            },
        }
        assert (metric(served, "handrail_rules_lost"), metric(served, "handrail_rules_faulty")) == (1, 0)
        # An edit that has nothing to do with it does not make it forgotten.
        put(file, CUT + "# and more\n")
        decides([served], served.rules)
        assert told(served)["lost"] == gone
        put(file, RULES)
        decides([served], served.rules)
        assert (told(served)["lost"], metric(served, "handrail_rules_lost")) == ([], 0)
        assert httpx.get(f"{served.url}/readyz", timeout=SEEN_S).json() == {"status": "ready"}
        # They are kept for the next start a moment after they decide.
        kept = file_of(served.data_dir, served.rules)
        wait_until(lambda: "id: lost" in kept.read_text())
        served.stop()
        log = served.log.read_text()
        assert "rules active, and they ask for less than those before" in log
        assert gone[0] in log
        # The same is said where it happened while nobody looked.
        file.write_text(CUT)
        served.restart()
        served.wait_until_ready()
        assert told(served)["lost"] == gone
        served.stop()
        log = served.log.read_text()
        assert f"warning: 1 rule that asked for a person is gone from {served.rules} since " in log
        assert f"         {gone[0]}" in log


def test_what_is_wrong_is_told_in_readyz_metrics_and_log_until_it_is_mended(folder: Path) -> None:
    with Served(folder, work="false") as served:
        file = served.rules / "walk.yaml"

        assert httpx.get(f"{served.url}/readyz", timeout=SEEN_S).json() == {"status": "ready"}
        assert metric(served, "handrail_rules_faulty") == 0
        put(file, BROKEN)
        (found,) = refuses([served])
        answer = httpx.get(f"{served.url}/readyz", timeout=SEEN_S)
        assert answer.status_code == httpx.codes.OK
        assert answer.json() == {
            "status": "ready",
            "rules": {
                "status": "refused",
                "since_at_ms": found["fault_since_at_ms"],
                "fact": "the rule files have 1 error",
                "problems": [f"{file}:15:18: R101: unknown signal"],
            },
        }
        assert (metric(served, "handrail_rules_faulty"), metric(served, "handrail_rules_refused_total")) == (1, 1)
        # Another broken edit is the same trouble, begun at the same time.
        put(file, BROKEN + "rulez: []\n")
        wait_until(lambda: bool(told(served)["problems_total"] == 2), SEEN_S)
        assert told(served)["fault_since_at_ms"] == found["fault_since_at_ms"]
        put(file, RULES)
        decides([served], served.rules)
        assert httpx.get(f"{served.url}/readyz", timeout=SEEN_S).json() == {"status": "ready"}
        assert (metric(served, "handrail_rules_faulty"), metric(served, "handrail_rules_refused_total")) == (0, 2)
        served.stop()
        log = served.log.read_text()
        assert f"{file}:15:18: R101: unknown signal `confidense`" in log
        assert "rules mended, the same as before" in log
