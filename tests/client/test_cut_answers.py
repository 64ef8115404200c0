"""Answers of which only the beginning came: a stop in it is kept, and nothing else of it is believed."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from tests.client.drive import KINDS, Kind, run
from tests.client.misbehaving import Server, cuts, decides

pytestmark = pytest.mark.parametrize("kind", KINDS)
CONTINUE: dict[str, Any] = {"on_unreachable": "continue", "budget_ms": 20_000}
STOP: dict[str, Any] = {"verdict": "escalate", "must_stop": True, "say": "Wait."}


@pytest.mark.parametrize("ending", ["whole", "closed", "silent"])
@pytest.mark.parametrize("declared", ["continue", "raise"])
def test_a_stop_in_the_part_that_came_is_a_stop(
    kind: Kind, ending: Literal["whole", "closed", "silent"], declared: str
) -> None:
    with Server([cuts('"say": "Wait."', ending, **STOP)]) as server:
        options = CONTINUE | {"on_unreachable": declared}
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", options=options)
    assert (decision.verdict, decision.must_stop, decision.say, decision.reachable) == ("escalate", True, "Wait.", True)
    assert (decision.decision_id, decision.tries) == ("dec_0_1", 1)
    assert decision.because == "the answer could not be read in full"


def test_a_stop_is_read_as_soon_as_it_stands_there(kind: Kind) -> None:
    with Server([cuts('"must_stop": true', "closed", **STOP)]) as server:
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", options=CONTINUE)
    assert (decision.verdict, decision.must_stop, decision.say) == ("escalate", True, None)


@pytest.mark.parametrize(
    ("until", "more"),
    [
        pytest.param('"must_stop": tru', STOP, id="the word itself is cut"),
        pytest.param('"must_stop": true', STOP | {"turn_id": "another"}, id="it is about another turn"),
        pytest.param('must_stop\\": true', {"say": 'a "must_stop": true, b'}, id="it stands in a text"),
        pytest.param('"must_stop": true', {"rules": [{"must_stop": True}]}, id="it is said of something else"),
        pytest.param('"must_stop": false', {}, id="it says none"),
    ],
)
def test_nothing_else_in_a_part_decides_and_the_turn_is_asked_again(
    kind: Kind, until: str, more: dict[str, Any]
) -> None:
    with Server([cuts(until, "closed", **more), decides()]) as server:
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", options=CONTINUE)
    assert (decision.must_stop, decision.reachable, decision.tries) == (False, True, 2)
