"""A decision of a running service becomes a test case on the command line, appended to a file, and passes there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.walks.served import Served, turn

pytestmark = pytest.mark.walk


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("walk"), work="false") as served:
        yield served


def handrail(*words: str, into: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-P", "-m", "service", *words]
    if into is None:
        return subprocess.run(command, capture_output=True, timeout=120, check=False)
    with into.open("ab") as file:
        return subprocess.run(command, stdout=file, stderr=subprocess.PIPE, timeout=120, check=False)


def test_decisions_are_appended_to_a_test_file_and_pass(service: Served, tmp_path: Path) -> None:
    first = service.post(
        "/should-escalate", turn("c-1") | {"message": "card 4111 1111 1111 1111, mail a@b.example"}, "agent"
    )
    second = service.post("/should-escalate", turn("c-1", "2", 0.9), "agent")
    assert (first["verdict"], second["verdict"]) == ("escalate", "held_by_human")
    file = tmp_path / "real.tests.yaml"
    shown = ("--url", service.url, "--key", service.keys["manager"])
    for decision in (first, second):
        printed = handrail("test", "--from", decision["decision_id"], *shown, into=file)
        assert (printed.returncode, printed.stderr) == (
            0,
            b"note: personal data was taken out: card, email\n",
        )
    text = file.read_text()
    assert text.count("handrail_tests: 1\ncases:\n") == 1
    assert "4111 1111" not in text
    assert "a@b.example" not in text
    (tmp_path / "walk.yaml").write_text((service.rules / "walk.yaml").read_text())
    run = handrail("test", str(tmp_path))
    assert run.stdout.startswith(b"2 of 2 cases passed, 3 turns, "), run.stdout
    assert run.returncode == 0


def test_a_decision_that_is_not_there_is_told(service: Served) -> None:
    asked = ("test", "--from", "dec_0_00000000000000000000", "--url", service.url, "--key")
    missing = handrail(*asked, service.keys["manager"])
    assert (missing.returncode, missing.stdout) == (2, b"")
    assert missing.stderr.startswith(b"error: no such decision (`decision_unknown`)\n")
    agent = handrail(
        "test", "--from", "dec_0_00000000000000000000", "--url", service.url, "--key", service.keys["agent"]
    )
    assert agent.returncode == 2
    assert b"role_missing" in agent.stderr
