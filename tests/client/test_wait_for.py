"""Waiting for a person: through quiet polls, outages and restarts, and never longer than asked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import pytest

from handrail_client import HandrailProblem, HandrailUnreachable, Resolution
from tests.client.drive import KINDS, Kind, run
from tests.client.misbehaving import Act, Request, Server, answers, hangs, resets

pytestmark = pytest.mark.parametrize("kind", KINDS)


def handoff(state: str, version: int, resolution: Mapping[str, object] | None = None) -> dict[str, object]:
    return {"handoff_id": "hof_1", "state": state, "version": version, "resolution": resolution}


def query(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}


@pytest.mark.parametrize(
    ("state", "resolution"),
    [
        ("resolved", {"action": "approve", "by": "mia", "at_ms": 5, "outcome": "needed"}),
        ("resolved", {"action": "edit", "by": "mia", "at_ms": 5, "edited": {"reply": "Better."}}),
        ("resolved", {"action": "reject", "by": "mia", "at_ms": 5}),
        ("resolved", {"action": "answer", "by": "mia", "at_ms": 5, "text": "We do."}),
        ("resolved", {"action": "take_over", "by": "mia", "at_ms": 5}),
        ("handed_back", {"action": "hand_back", "by": "mia", "at_ms": 5, "facts": {"id": 1}, "may_retry": True}),
        ("expired", {"action": "timeout", "by": "handrail", "at_ms": 5, "verdict": "deny", "say": "Later."}),
    ],
)
def test_the_end_comes_typed(kind: Kind, state: str, resolution: dict[str, object]) -> None:
    with Server([answers(handoff("waiting", 1)), answers(handoff(state, 2, resolution))]) as server:
        ended: Resolution = run(kind, server.url, "wait_for", "hof_1", 10_000)
    assert {name: getattr(ended, name) for name in resolution} == resolution
    first, second = map(query, server.requests)
    assert ("version" in first, second["version"]) == (False, "1")
    assert 0 < int(first["wait_ms"]) <= 25_000


def test_an_end_without_a_resolution_is_named_after_its_state(kind: Kind) -> None:
    with Server([answers(handoff("expired", 2)), answers(handoff("handed_back", 2))]) as server:
        assert run(kind, server.url, "wait_for", "hof_1", 1_000).action == "timeout"
        assert run(kind, server.url, "wait_for", "hof_1", 1_000).action == "hand_back"


@pytest.mark.parametrize(
    "fault", [resets, answers(b"", 502), answers({"code": "internal"}, 500), answers(b"{}"), answers(b"<html>")]
)
def test_an_outage_is_waited_out(kind: Kind, fault: Act) -> None:
    end = answers(handoff("resolved", 3, {"action": "approve"}))
    with Server([answers(handoff("waiting", 1)), fault, fault, end]) as server:
        assert run(kind, server.url, "wait_for", "hof_1", 10_000).action == "approve"


def test_a_change_is_waited_for_until_it_comes_or_the_time_is_up(kind: Kind) -> None:
    with Server([answers(handoff("leased", 3)), resets, answers(handoff("leased", 4))]) as server:
        assert run(kind, server.url, "changed", "hof_1", 3, 10_000).version == 4
    assert query(server.requests[0])["version"] == "3"
    with Server([answers(handoff("leased", 3))]) as server:
        assert run(kind, server.url, "changed", "hof_1", 3, 300).version == 3
    # What has ended changes no more.
    with Server([answers(handoff("resolved", 3, {"action": "approve"}))]) as server:
        assert run(kind, server.url, "changed", "hof_1", 3, 10_000).ended
        assert len(server.requests) == 1


def test_a_wait_ends_with_none_when_nobody_has_come(kind: Kind) -> None:
    with Server([answers(handoff("waiting", 1))]) as server:
        started = time.monotonic()
        assert run(kind, server.url, "wait_for", "hof_1", 800) is None
        took_ms = (time.monotonic() - started) * 1000
    assert 700 < took_ms < 10_000
    # The service came back at once every time: a client that did not pause would have asked hundreds of times.
    assert len(server.requests) <= 4


def test_a_service_that_is_away_to_the_end_is_not_the_same_as_nobody(kind: Kind) -> None:
    with pytest.raises(HandrailUnreachable):
        run(kind, "http://127.0.0.1:9", "wait_for", "hof_1", 300)


def test_a_handoff_that_nobody_knows_is_a_problem(kind: Kind) -> None:
    unknown = answers({"code": "handoff_unknown", "detail": "no such handoff"}, 404)
    with Server([unknown]) as server, pytest.raises(HandrailProblem) as caught:
        run(kind, server.url, "wait_for", "hof_1", 10_000)
    assert caught.value.code == "handoff_unknown"
    assert len(server.requests) == 1


def test_a_poll_that_is_never_answered_ends_soon_after_its_time(kind: Kind) -> None:
    with Server([hangs]) as server:
        started = time.monotonic()
        with pytest.raises(HandrailUnreachable):
            run(kind, server.url, "wait_for", "hof_1", 200)
        assert time.monotonic() - started < 20


def test_half_an_answer_is_no_end(kind: Kind) -> None:
    with Server(
        [answers(b'{"handoff_id": "hof_1", '), answers(handoff("resolved", 3, {"action": "reject"}))]
    ) as server:
        assert run(kind, server.url, "wait_for", "hof_1", 5_000).action == "reject"
