"""The SDK against the real service: docs/sdk.md runs from top to bottom, and a person's answer reaches the agent."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from handrail_client import Handrail, HandrailProblem, Resolution
from tests.ports import free_port

pytestmark = pytest.mark.walk

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sdk.md").read_text("utf-8")
START_S = STOP_S = 120


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Service:
    url: str
    keys: dict[str, str]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("sdk")
    (folder / "rules").mkdir()
    (folder / "rules" / "sdk.yaml").write_text(blocks("yaml")[0], "utf-8")
    port = free_port()
    environment = {
        **os.environ,
        "HANDRAIL_PORT": str(port),
        "HANDRAIL_DATA_DIR": str(folder / "data"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", "from service.command import run; run()", "serve", "--no-work", "--rules", "rules"]
    log = (folder / "serve.log").open("w+")
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        ends_at = time.monotonic() + START_S
        while not _ready(url):
            assert process.poll() is None, (folder / "serve.log").read_text()
            assert time.monotonic() < ends_at, (folder / "serve.log").read_text()
            time.sleep(0.1)
        yield Service(url, json.loads((folder / "data" / "keys.json").read_text()))
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=STOP_S) == 0, (folder / "serve.log").read_text()
        log.close()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_the_page_runs_from_top_to_bottom(service: Service) -> None:
    names: dict[str, object] = {"AGENT_KEY": service.keys["agent"], "OPERATOR_KEY": service.keys["operator"]}
    examples = blocks("python")
    assert len(examples) >= 6
    for example in examples:
        exec(compile(example.replace("http://127.0.0.1:8321", service.url), "docs/sdk.md", "exec"), names)
    for name in ("handrail", "operator", "lost"):
        client = names[name]
        assert isinstance(client, Handrail)
        client.close()


def test_an_agent_that_waits_is_woken_by_the_answer(service: Service) -> None:
    with (
        Handrail(service.url, service.keys["agent"]) as agent,
        Handrail(service.url, service.keys["operator"]) as person,
    ):
        decision = agent.should_escalate(conversation_id="wake", message="I want to talk to a person")
        assert decision.reachable
        assert decision.handoff is not None
        handoff_id = decision.handoff.id
        answers: list[Resolution | None] = []
        waiting = threading.Thread(target=lambda: answers.append(agent.wait_for(handoff_id, 30_000)))
        waiting.start()
        claimed = person.claim_handoff(handoff_id)
        token = claimed.lease.token
        held = person.hold(handoff_id, token, until_at_ms=int(time.time() * 1000) + 60_000, reason="asks the shop")
        assert held.state == "held"
        renewed = person.resume(handoff_id, token)
        assert (renewed.state, renewed.holder) == ("leased", claimed.handoff.holder)
        assert [reply.text for reply in person.reply(handoff_id, token, "Hello, this is Mia.").replies] == [
            "Hello, this is Mia."
        ]
        assert agent.should_escalate(conversation_id="wake", message="Hello?").verdict == "held_by_human"
        ended = person.resolve(handoff_id, token, action="answer", outcome="needed", text="It ships on Monday.")
        assert ended.ended
        # Sooner than it would have come back by itself.
        waiting.join(timeout=20)
    (resolution,) = answers
    assert resolution is not None
    assert (resolution.action, resolution.text, resolution.outcome) == ("answer", "It ships on Monday.", "needed")


def test_what_is_handed_back_reaches_the_agent(service: Service) -> None:
    with (
        Handrail(service.url, service.keys["agent"]) as agent,
        Handrail(service.url, service.keys["operator"]) as person,
    ):
        decision = agent.should_escalate(conversation_id="back", message="I want to talk to a person")
        assert decision.handoff is not None
        claimed = person.claim_handoff(decision.handoff.id)
        released = person.release(decision.handoff.id, claimed.lease.token)
        assert released.state == "waiting"
        with pytest.raises(HandrailProblem) as caught:
            person.renew(decision.handoff.id, claimed.lease.token)
        assert caught.value.code == "lease_lost"
        token = person.claim_handoff(decision.handoff.id).lease.token
        person.hand_back(decision.handoff.id, token, facts={"ships": "Monday"}, may_retry=True)
        resolution = agent.wait_for(decision.handoff.id, 5_000)
        assert resolution is not None
        assert (resolution.action, resolution.facts, resolution.may_retry) == ("hand_back", {"ships": "Monday"}, True)


def test_the_same_turn_gets_the_same_decision(service: Service) -> None:
    with Handrail(service.url, service.keys["agent"]) as agent:
        first = agent.should_escalate(conversation_id="same", turn_id="t1", message="I want to talk to a person")
        again = agent.should_escalate(conversation_id="same", turn_id="t1", message="something else")
        assert agent.decision(first.decision_id or "")["decision_id"] == first.decision_id
    assert (first.decision_id, first.verdict) == (again.decision_id, again.verdict)


def test_a_wrong_key_is_a_problem_and_not_an_outage(service: Service) -> None:
    with Handrail(service.url, "hr_agent_wrong") as agent, pytest.raises(HandrailProblem) as caught:
        agent.should_escalate(conversation_id="c", message="hi")
    assert (caught.value.status, caught.value.code) == (401, "key_unknown")


def test_a_chain_of_agents_is_told(service: Service) -> None:
    with Handrail(service.url, service.keys["agent"]) as agent:
        agent.should_escalate(conversation_id="chain", turn_id="1", agent={"id": "front"}, message="hello")
        parent = {"agent": "front", "turn_id": "1"}
        asked = agent.should_escalate(
            conversation_id="chain",
            turn_id="2",
            agent={"id": "back"},
            parent=parent,
            message="I want to talk to a person",
        )
        chain = agent.chain("chain")
        with pytest.raises(HandrailProblem) as caught:
            agent.chain("no-such-conversation")
    assert caught.value.code == "conversation_unknown"
    assert [(station.agent, station.under) for station in chain.stations] == [("front", None), ("back", 0)]
    assert chain.broke is not None
    assert asked.handoff is not None
    assert (chain.broke.agent, chain.broke.turn_id, chain.broke.handoff_id) == ("back", "2", asked.handoff.id)
    assert chain.handovers == 1
