"""A queue goes over its budget in a running service: turns are shed, listed by the command, and asked again in calm."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.rules.test_shedding import HEAD, UNSURE
from tests.service.cli_run import as_json, handrail
from tests.waiting import wait_until
from tests.walks.served import Served, turn

pytestmark = pytest.mark.walk

FULL = 15  # handoffs of 6 minutes each: 150% of 60


def test_a_busy_hour(tmp_path: Path) -> None:
    with Served(tmp_path, rules_text=HEAD + UNSURE, work="false") as service:
        env = {"HANDRAIL_URL": service.url, "HANDRAIL_DATA_DIR": str(service.data_dir)}

        def asked(name: str, confidence: float) -> Any:
            return service.post("/should-escalate", turn(name, confidence=confidence), "agent")

        calm = handrail("shed", env=env)
        assert calm.exit_code == 0, calm.output
        assert calm.stdout == (
            "tier1: 0% of 60 minutes over 1h now: 0 spent, 0 open at 6 minutes each (says the rule file)\n\n"
            "nothing was shed\n"
        )
        opened = [asked(f"c{number}", 0.35) for number in range(FULL)]
        assert {each["verdict"] for each in opened} == {"escalate"}

        names = iter(f"d{number}" for number in range(10_000))
        # Half sure: a conversation that opens nothing once it is shed.
        decided: list[Any] = []

        def sheds() -> bool:
            decided.append(asked(next(names), 0.5))
            return "shed" in decided[-1]

        wait_until(sheds)
        first = decided[-1]
        assert (first["verdict"], first["shed"][0]["to"]) == ("continue", "continue")
        listed = handrail("shed", "--queue", "tier1", env=env).stdout
        assert re.search(r"^tier1: \d{3,}% of 60 minutes over 1h now: 0 spent, \d+ open at 6 minutes each", listed)
        row = rf"\d{{3}}% +unsure +escalate -> continue +{first['decision_id']}"
        assert re.search(row, listed), listed
        told = as_json(handrail("shed", "--json", env=env))
        assert told["decisions"][-1]["decision_id"] == first["decision_id"]
        unknown = handrail("shed", "--queue", "desk", env=env)
        assert (unknown.exit_code, unknown.stdout, "queue_unknown" in unknown.stderr) == (2, "", True), unknown.stderr
