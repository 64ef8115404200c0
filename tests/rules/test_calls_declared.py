"""`calls` in rule files: what is read, what is refused, what differs, and what people and simulations see of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.agents.describe import describe
from rules.agents.page import page
from rules.agents.pages import markdown
from rules.compile.rule_files import compile_files, files_or_raise
from rules.diff.files import diff
from rules.diff.words import lines
from rules.files.errors import render
from rules.handoff import NO_DEADLINE_AT_MS, Call, Handoff, Reason, Resolution
from rules.model import Calls, Need, OnTimeout, Queue, Then
from rules.moves import advanced, missed, rerouted, transferred
from rules.routing.calls import as_call, call_owed
from rules.routing.operators import Operator, People
from rules.routing.route import Route, due_by
from rules.routing.routing import join, open_handoff
from rules.simulation.simulation import Coming, play, rule_for
from rules.telling.tell_text import Item, message
from rules.telling.telling import Telling
from rules.turn import Turn

NOW = 1_800_000_000_000
MINUTE, HOUR = 60_000, 3_600_000
BASE = """\
handrail: 1
queues:
  tier1:
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: We will call you.}}
    say: {en: One moment.}
    calls: {queue: callbacks, within: 4h}
  callbacks:
    answer_within: 8h
    on_timeout: {verdict: deny, say: {en: Nobody is there.}}
    say: {en: One moment.}
rules:
  - id: unsure
    why: the agent is unsure
    when: confidence < 0.5
    then: {escalate: tier1}
"""
QUEUE_CALLS = "    calls: {queue: callbacks, within: 4h}\n"
RULE = "then: {escalate: tier1"


def told(text: str) -> list[str]:
    return [render(problem) for problem in compile_files({"a.yaml": text})[1]]


def differs(old: str, new: str) -> list[str]:
    first, *others = lines(diff(files_or_raise({"a.yaml": old}), files_or_raise({"a.yaml": new})))
    return [first, *(line.strip() for line in others if line.startswith("  "))]


def test_a_queue_and_a_rule_say_whose_work_a_call_is_and_by_when() -> None:
    files = files_or_raise({"a.yaml": BASE.replace(RULE, f"{RULE}, calls: {{within: 90m}}")})
    assert told(BASE) == []
    assert files.queues["tier1"].calls == Calls(4 * HOUR, "callbacks")
    assert files.queues["callbacks"].calls is None
    assert files.rules[0].then.calls == Calls(90 * MINUTE)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param(
            "queue: callbacks,",
            "queue: calbacks,",
            "a.yaml:7:20: R103: unknown queue `calbacks`\n"
            "      calls: {queue: calbacks, within: 4h}\n"
            "                     ^ did you mean `callbacks`?",
            id="a queue that does not exist, with the nearest name",
        ),
        pytest.param(
            ", within: 4h}",
            "}",
            "a.yaml:7:12: R106: `calls` has no `within`\n"
            "      calls: {queue: callbacks}\n"
            "             ^ add `within:`, how long after the promise the call must have been made",
            id="no time by which they are due",
        ),
        pytest.param(
            "within: 4h",
            "within: soon",
            "a.yaml:7:39: R123: `within` is `soon`, which is no time\n"
            "      calls: {queue: callbacks, within: soon}\n"
            "                                        ^ write a number with its unit, `90s` `15m` `2h` or `3d`, "
            "a year at most",
            id="a time that is none",
        ),
        pytest.param(
            "verdict: callback",
            "verdict: deny",
            "a.yaml:3:3: W214: the queue `tier1` says what becomes of calls, and promises none\n"
            "      tier1:\n"
            "      ^ write `on_timeout: {verdict: callback}`, or remove `calls:`",
            id="a queue that denies",
        ),
        pytest.param(
            "then: {escalate: tier1}",
            "then: {escalate: tier1, on_timeout: {verdict: deny, say: {en: No.}}, calls: {within: 1h}}",
            "a.yaml:13:9: W214: the rule `unsure` says what becomes of calls, and promises none\n"
            "      - id: unsure\n"
            "            ^ write `on_timeout: {verdict: callback}`, or remove `calls:`",
            id="a rule that denies",
        ),
        pytest.param(
            "then: {escalate: tier1}",
            "then: {review: tier1, calls: {within: 1h}}",
            "a.yaml:13:9: W214: the rule `unsure` says what becomes of calls, and promises none\n"
            "      - id: unsure\n"
            "            ^ write `on_timeout: {verdict: callback}`, or remove `calls:`",
            id="a review, of which the customer never hears",
        ),
        pytest.param(
            "then: {escalate: tier1}",
            "then: {escalate: tier1, on_timeout: {verdict: escalate, queue: calbacks}}",
            "a.yaml:16:68: R103: unknown queue `calbacks`\n"
            "      then: {escalate: tier1, on_timeout: {verdict: escalate, queue: calbacks}}\n"
            "                                                                     ^ did you mean `callbacks`?",
            id="a rule's own end that leads nowhere",
        ),
    ],
)
def test_what_cannot_be_or_says_nothing_is_told(old: str, new: str, said: str) -> None:
    assert BASE.count(old) == 1
    found = told(BASE.replace(old, new))
    # Where the name is misspelt nothing uses the other one.
    assert [each for each in found if "W203" not in each] == [said]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("verdict: callback", "verdict: deny"),
        ("on_timeout: {verdict: callback, say: {en: We will call you.}}", "on_timeout: {verdict: continue}"),
    ],
)
def test_calls_are_not_for_nothing_where_a_rule_or_a_budget_promises_one(old: str, new: str) -> None:
    silent = BASE.replace(old, new)
    own_end = silent.replace(RULE, f"{RULE}, on_timeout: {{verdict: callback, say: {{en: x}}}}")
    budget = silent.replace(QUEUE_CALLS, f"{QUEUE_CALLS}    budget: {{minutes: 60, over: 1h, minutes_each: 6}}\n")
    budget = budget.rstrip() + "\n    when_busy: [{over: 100%, then: callback, say: {en: We will call.}}]\n"
    # Who was let down in `night` and here as well is called back.
    moved = BASE.replace("verdict: callback, ", "verdict: escalate, queue: callbacks, ")
    moved = moved.replace(
        "  callbacks:\n",
        "  night:\n    answer_within: 5m\n    on_timeout: {verdict: escalate, queue: tier1, say: {en: x}}\n"
        "    say: {en: y}\n  callbacks:\n",
    )
    moved += "  - {id: night, why: x, when: channel = night, then: {escalate: night}}\n"
    for text in (own_end, budget, moved):
        assert told(text) == []
    # A queue that only moves on promises nothing: the other one does.
    (only,) = told(BASE.replace("verdict: callback", "verdict: escalate, queue: callbacks"))
    assert "W214: the queue `tier1` says what becomes of calls" in only


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "within: 4h",
            "within: 2h",
            ["only stricter: 1 stricter", "tier1: promised calls are due within 2h instead of within 4h"],
        ),
        (
            "within: 4h",
            "within: 1d",
            ["only looser: 1 looser", "tier1: promised calls are due within 1d instead of within 4h"],
        ),
        (
            "queue: callbacks, within",
            "within",
            [
                "changed, and neither only stricter nor only looser: 1 changed",
                "tier1: promised calls wait where they were promised instead of in callbacks",
            ],
        ),
        (
            QUEUE_CALLS,
            "",
            [
                "changed, and neither only stricter nor only looser: 1 changed",
                "tier1: promised calls are due at no time instead of within 4h; "
                "promised calls wait where they were promised instead of in callbacks",
            ],
        ),
        (
            "then: {escalate: tier1}",
            "then: {escalate: tier1, calls: {queue: callbacks, within: 1h}}",
            ["only stricter: 1 stricter", "unsure: promised calls are due within 1h instead of within 4h"],
        ),
    ],
)
def test_a_difference_in_calls_is_told_as_stricter_or_looser(old: str, new: str, said: list[str]) -> None:
    assert differs(BASE, BASE.replace(old, new)) == said


def opened(files_text: str = BASE, at_ms: int = NOW, **then: object) -> Handoff:
    files = files_or_raise({"a.yaml": files_text})
    reason = Reason("dec", "t1", "escalate", ("unsure",), at_ms)
    return open_handoff("hof", "acme", Turn("c1", "t1", locale="en"), reason, files.rules[0], files.queues)


def test_what_the_rule_files_said_at_its_opening_holds_for_it() -> None:
    handoff = opened()
    ended = missed(handoff, NOW + 15 * MINUTE)
    owed = call_owed(handoff, ended)
    due_at_ms = NOW + 15 * MINUTE + 4 * HOUR
    assert owed == Call(NOW + 15 * MINUTE, "We will call you.", "hof", due_at_ms)
    call = as_call(handoff, owed, "call", NOW + 15 * MINUTE)
    assert (call.queue, call.expires_at_ms, call.route.resolve_by_ms) == ("callbacks", NO_DEADLINE_AT_MS, due_at_ms)
    # Whatever ends it without a word to the customer, it is due when it was.
    again = as_call(call, owed, "again", NOW + 10 * HOUR)
    assert (again.queue, again.route.resolve_by_ms, again.route.steps) == ("callbacks", due_at_ms, ())


@given(
    within_ms=st.integers(1, 48 * HOUR),
    warn_ms=st.none() | st.integers(1, 48 * HOUR),
    looks=st.lists(st.integers(0, 60 * HOUR), max_size=6).map(sorted),
)
def test_a_call_is_warned_of_at_most_once_and_missed_once_and_never_ends(
    within_ms: int, warn_ms: int | None, looks: list[int]
) -> None:
    calls = Queue("callbacks", HOUR, OnTimeout("deny", {}), warn_before_ms=warn_ms)
    line = Queue("line", HOUR, OnTimeout("callback", {}), calls=Calls(within_ms, "callbacks"))
    reason = Reason("dec", "t1", "escalate", ("r",), NOW)
    top = rule_for("line", "escalate", Then("escalate", "line"))
    queues = {"line": line, "callbacks": calls}
    handoff = open_handoff("hof", "acme", Turn("c1", "t1"), reason, top, queues)
    at_ms = NOW + HOUR
    owed = call_owed(handoff, missed(handoff, at_ms))
    assert owed is not None
    call, events = as_call(handoff, owed, "call", at_ms), []
    for look_ms in looks:
        while (step := advanced(call, at_ms + look_ms, People())) is not None:
            call = step[0]
            events.append(step[1])
    expected = []
    if warn_ms is not None and warn_ms < within_ms and looks and looks[-1] >= within_ms - warn_ms:
        expected.append("handoff.resolve_near")
    if looks and looks[-1] >= within_ms:
        expected.append("handoff.resolve_missed")
    assert events == expected
    assert call.expires_at_ms == NO_DEADLINE_AT_MS
    assert call.priority == ("urgent" if "handoff.resolve_missed" in events else "normal")


def test_what_joins_a_call_keeps_its_time_and_a_call_brings_its_own_to_a_review() -> None:
    call = as_call(opened(), Call(NOW, "x", "hof", NOW + HOUR), "call", NOW)
    asked = opened(at_ms=NOW + MINUTE)
    taken = join(call, asked)
    assert (taken.kind, taken.queue, taken.route.resolve_by_ms, taken.route.calls) == (
        "escalate", "tier1", NOW + HOUR, call.route.calls,
    )  # fmt: skip
    review = opened(BASE.replace(RULE, "then: {review: callbacks").replace(QUEUE_CALLS, ""))
    both = join(review, call)
    assert (both.kind, both.expires_at_ms, both.call) == ("review", NO_DEADLINE_AT_MS, call.call)
    assert (both.route.resolve_by_ms, both.route.calls) == (NOW + HOUR, call.route.calls)
    # Who moves on in the queue of somebody else's promise keeps their own.
    moved = transferred(taken, Queue("other", HOUR, OnTimeout("deny", {})), HOUR, None, 0, NOW + 2 * MINUTE)
    assert (moved.route.resolve_by_ms, moved.route.calls) == (NOW + HOUR, call.route.calls)


def test_what_is_due_sooner_stays_so_and_what_is_over_is_told_no_second_time() -> None:
    route = due_by(Route(since_at_ms=NOW), NOW + HOUR, NOW)
    assert due_by(route, NOW + 2 * HOUR, NOW) == route
    sooner = due_by(route, NOW + MINUTE, NOW)
    assert (sooner.resolve_by_ms, [step.after_ms for step in sooner.steps]) == (NOW + MINUTE, [MINUTE])
    assert due_by(Route(since_at_ms=NOW), NOW - 1, NOW) == Route(since_at_ms=NOW, resolve_by_ms=NOW - 1)
    assert due_by(route, None, NOW) == route


def test_a_rule_that_moves_on_takes_its_own_calls_along() -> None:
    text = BASE.replace(
        RULE, f"{RULE}, on_timeout: {{verdict: escalate, queue: late, say: {{en: x}}}}, calls: {{within: 1h}}"
    ).replace("  callbacks:\n", "  late:\n    answer_within: 5m\n    on_timeout: {verdict: callback, say: {en: z}}\n"
              "    say: {en: y}\n    calls: {queue: callbacks, within: 3h}\n  callbacks:\n")  # fmt: skip
    handoff = opened(text)
    moved = rerouted(handoff, NOW + 15 * MINUTE)
    assert moved is not None
    owed = call_owed(moved, missed(moved, NOW + 20 * MINUTE))
    assert owed is not None
    assert owed.due_at_ms == NOW + 20 * MINUTE + HOUR
    assert as_call(moved, owed, "call", NOW + 20 * MINUTE).queue == "late"


@pytest.mark.parametrize(
    ("language", "later_ms", "line"),
    [
        ("en", HOUR, "waits since 08:00 UTC (1h) · a call was promised, due 12:00 UTC (3h left)"),
        ("en", 5 * HOUR, "waits since 08:00 UTC (5h) · a call was promised, due 12:00 UTC (1h over)"),
        ("es", HOUR, "espera desde 08:00 UTC (1h) · se prometió una llamada, para las 12:00 UTC (quedan 3h)"),
    ],
)
def test_a_message_says_by_when_the_call_is_due(language: str, later_ms: int, line: str) -> None:
    call = as_call(opened(), Call(NOW, "x", "hof", NOW + 4 * HOUR), "call", NOW)
    telling = Telling("tel", "team-leads", "call", "opened", NOW, 1, NOW)
    assert line in message((Item(call, (telling,)),), language, NOW + later_ms).text.splitlines()


def test_a_job_description_says_who_calls_and_when() -> None:
    text = BASE + (
        "agents:\n  bot:\n    purpose: answers questions\n    owner: Ana\n    autonomy: full\n"
        "    hands_over: {to: tier1, when: [unsure]}\n"
    )
    files = files_or_raise({"a.yaml": text})
    described = describe(files, files.agents["bot"])
    shown = markdown(page(described, "2026-11-21"))
    assert "tier1: a promised call is made within 4h by the people of callbacks" in shown.replace("\\", "")
    assert "callbacks" in {queue.name for queue in described.queues}, "their queue stands among the people"


def test_simulated_people_make_the_calls_that_are_theirs() -> None:
    callers = Queue("callbacks", HOUR, OnTimeout("deny", {}), needs=(Need("telephone"),))
    line = Queue(
        "line", 5 * MINUTE, OnTimeout("callback", {"en": "x"}), needs=(Need("chat"),), calls=Calls(HOUR, "callbacks")
    )
    rule = rule_for("line", "escalate", Then("escalate", "line"))
    coming = [Coming(NOW + number, "line", MINUTE, rule=rule) for number in range(3)]
    only = Operator("kim", skills={"telephone": 1}, queues=("callbacks",))
    played = play({"line": line, "callbacks": callers}, [only], coming)
    assert [(each.ending, each.operator) for each in played.passed] == [("missed", "kim")] * 3
    after = [each.called_after_ms for each in played.passed]
    assert all(one is not None and other is not None and one < other for one, other in pairwise(after))
    # Without the key nobody can make them, as they wait for who can chat.
    plain = Queue("line", 5 * MINUTE, OnTimeout("callback", {"en": "x"}), needs=(Need("chat"),))
    assert [each.operator for each in play({"line": plain, "callbacks": callers}, [only], coming).passed] == [None] * 3


def test_a_call_that_is_due_at_no_time_is_as_it_was() -> None:
    handoff = opened(BASE.replace(QUEUE_CALLS, ""))
    owed = call_owed(handoff, Resolution("timeout", "handrail", NOW + HOUR, verdict="callback", say="x"))
    assert owed == Call(NOW + HOUR, "x", "hof")
    call = as_call(handoff, owed, "call", NOW + HOUR)
    assert (call.queue, call.route.resolve_by_ms, call.route.steps) == ("tier1", None, ())
