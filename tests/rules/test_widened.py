"""What a step of a ladder changed is kept with the handoff, and said in a line to whoever reads a message about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.handoff import Handoff, Reason
from rules.model import All, Mode, Need, OnTimeout, Queue, Rule, Span, Step, Then
from rules.moves import advanced, claimed
from rules.routing.operators import People
from rules.routing.routing import open_handoff
from rules.routing.widening import Widening, told
from rules.telling import tell_text
from rules.telling.notices import PAGE
from rules.telling.tell_text import Item, message
from rules.telling.telling import Telling
from rules.turn import Turn

NOW = 1_795_262_400_000  # Saturday, 21 November 2026, 12:00 UTC
MINUTE = 60_000
LADDER = (
    Step(5 * MINUTE, "handoff.widened", needs=(Need("fraud", 3), Need("spanish", 1)), page="on-call"),
    Step(10 * MINUTE, "handoff.widened", needs=(), queues=("tier1", "cards"), any_language=True, priority="high"),
    Step(12 * MINUTE, "handoff.widened", priority="low"),
)
CARDS = Queue(
    "cards", 20 * MINUTE, OnTimeout("callback", {}), (Need("fraud", 5),), own_language=True, ladder=LADDER
)  # fmt: skip
NOBODY = People()


def opened(locale: str | None = "es-MX") -> Handoff:
    rule = Rule("r", "because", All(()), Then("escalate", "cards"), Mode(), Span("f", 1, 1, 2))
    reason = Reason("dec", "t", "escalate", ("r",), NOW)
    return open_handoff("hof", "acme", Turn("c1", "t", locale=locale), reason, rule, {"cards": CARDS})


def later(handoff: Handoff, now_ms: int) -> Handoff:
    while (step := advanced(handoff, now_ms, NOBODY)) is not None:
        handoff = step[0]
    return handoff


def test_each_step_that_acted_says_what_it_changed_and_when_it_was_due() -> None:
    # A worker that comes late changes nothing of it.
    assert later(opened(), NOW + 19 * MINUTE).route.widened == (
        Widening(
            NOW + 5 * MINUTE,
            5 * MINUTE,
            (Need("fraud", 5),),
            (Need("fraud", 3), Need("spanish", 1)),
            paged="on-call",
        ),
        Widening(
            NOW + 10 * MINUTE,
            10 * MINUTE,
            (Need("fraud", 3), Need("spanish", 1)),
            (),
            ("tier1", "cards"),
            ("es",),
            "normal",
            "high",
        ),
        # A priority only rises.
        Widening(NOW + 12 * MINUTE, 12 * MINUTE),
    )


def test_a_warning_and_a_step_that_was_left_out_widen_nothing() -> None:
    queue = replace(CARDS, ladder=(replace(LADDER[0], skip_if_nobody=True),), warn_before_ms=MINUTE)
    handoff = replace(opened(), route=replace(opened().route, steps=(queue.ladder[0],)))
    skipped = advanced(handoff, NOW + 5 * MINUTE, People((), assumed=False))
    assert skipped is not None
    assert (skipped[1], skipped[0].route.widened) == ("handoff.step_skipped", ())


def test_programs_are_told_skills_with_their_levels_and_a_language_only_if_it_is_one() -> None:
    _, second, last = later(opened(), NOW + 19 * MINUTE).route.widened
    assert told(second) == {
        "at_ms": NOW + 10 * MINUTE,
        "after_ms": 10 * MINUTE,
        "needs": {"before": {"fraud": 3, "spanish": 1}, "now": {}},
        "queues_added": ["tier1", "cards"],
        "languages_dropped": ["es"],
        "priority": {"before": "normal", "now": "high"},
        "paged": None,
    }
    assert told(last)["needs"] is None
    assert told(last)["priority"] is None
    # What an agent sends as the locale may be anything, and nothing that it sends goes into an event.
    for locale in ("call me at 555", "margaretandjohn"):
        assert told(later(opened(locale), NOW + 19 * MINUTE).route.widened[1])["languages_dropped"] == []


@pytest.mark.parametrize(
    ("waited_ms", "language", "line"),
    [
        (4 * MINUTE, "en", None),
        (5 * MINUTE, "en", "ladder, after 5m: needs fraud 3, spanish 1 instead of fraud 5 · pages on-call"),
        (
            10 * MINUTE,
            "en",
            "ladder, after 10m: needs no special skill instead of fraud 3, spanish 1"
            " · operators of tier1, cards may take it too · an operator need not speak es any more"
            " · priority high instead of normal",
        ),
        (12 * MINUTE, "en", "ladder, after 12m: changed nothing"),
        (5 * MINUTE, "es", "escalera, tras 5m: requiere fraud 3, spanish 1 en vez de fraud 5 · avisa a on-call"),
        (
            10 * MINUTE,
            "es",
            "escalera, tras 10m: requiere ninguna habilidad especial en vez de fraud 3, spanish 1"
            " · también pueden tomarlo los operadores de tier1, cards · ya no hace falta que el operador hable es"
            " · prioridad alta en vez de normal",
        ),
    ],
)
def test_a_message_says_which_step_acted_last_and_what_it_changed(
    waited_ms: int, language: str, line: str | None
) -> None:
    handoff = later(opened(), NOW + waited_ms)
    telling = Telling("tel", "managers", "hof", "opened", NOW, 1, NOW)
    text = message((Item(handoff, (telling,)),), language, NOW + waited_ms).text
    found = [each for each in text.splitlines() if each.startswith(("ladder", "escalera"))]
    assert found == ([] if line is None else [line])


def test_whoever_is_paged_reads_of_the_step_that_pages_them_and_nobody_of_one_that_somebody_has() -> None:
    handoff = later(opened(), NOW + 12 * MINUTE)
    page = Telling("tel", "on-call", "hof", PAGE, NOW + 5 * MINUTE, 2, NOW)
    assert "ladder, after 5m: " in message((Item(handoff, (page,)),), "en", NOW + 12 * MINUTE).text
    taken = claimed(handoff, "mia", NOW + 12 * MINUTE)
    assert "ladder" not in message((Item(taken, (page,)),), "en", NOW + 12 * MINUTE).text


def test_an_operator_of_the_log_reads_it_in_words() -> None:
    first = later(opened(), NOW + 5 * MINUTE).route.widened[0]
    assert tell_text.widened(told(first)) == (
        "ladder, after 5m: needs fraud 3, spanish 1 instead of fraud 5 · pages on-call"
    )
