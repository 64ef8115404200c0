"""Whoever follows the next steps, one after another, ends with a file that loads: no step teaches another mistake."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import compile_files
from rules.compile.values import legal_name
from rules.files.errors import Problem

FILE = """handrail: 1
thresholds: {low_confidence: 0.55, patience: 10m}
signals: {mood: number, vip: bool, tags: set, plan: text}
customer: {segment: text}
topics:
  refunds: {phrases: [my money back], inside: [message, reply, tool_output]}
rules:
  - id: r
    why: x
    then: continue
    when: WHEN
"""
# No author needs more steps than this for one line.
STEPS_MAX = 5

# What people write, each with what is left in the end; None where the last step is not one that can be copied.
WRONG = [
    # a signal as a key
    *('{sentiment: "< -0.6"}', '{confidence: "<0.5"}', "{confidence: 0.5}", '{confidence: "less than 0.5"}'),
    *("{topics: refunds}", "{topics: [refunds]}", "{tags: [a, b c]}", "{channel: live chat}", "{channel: [a, live b]}"),
    *('{elapsed_ms: "> 5 minutes"}', "{elapsed_ms: 5 minutes}", '{sentiment: "is known"}', '{turn_count: ">= 3"}'),
    *('{tool_call: {amount_usd: "> 100"}}', "{tool_call: {name: issue_refund}}", "{tool_call: {name: [a, b]}}"),
    *("{asks_for_person: true}", "{asks_for_person: yes}", '{sentimant: "< -0.6"}', '{channel: "not in [chat]"}'),
    *('{confidence: "== 0.5"}', '{confidence: "at least 0.5"}', '{channel: "is chat"}', '{topics: "has refunds"}'),
    # names that nobody declares, or cannot
    *("signals.speed > 3", "signals.mood > 3", "signals.mod > 3", "foo.bar > 3"),
    *(
        "signals.ready = true",
        'signals.colour = "dark red"',
        "signals.labels has a",
        "signals.labels in [a, b]",
        "spëed > 3",
        "speed is known",
    ),
    *(
        'topics has "lost card"',
        "topics has crédito",
        'topics has "Lost Card!"',
        "topics has zebra",
        'topics lacks "a b"',
    ),
    *("customer.age > 70", "customer.a.b = x", "customer.vip = true", "customer.langs has es", "customer.age is known"),
    *("confidence < $wenig", "confidence < $größe", "turn_count > $3", "amount_usd_max > $1_000", "sentiment < $a.b"),
    *("count(topics has lost_card) >= 2", "avg(signals.mood) > 3", "count(signals.speed > 3) >= 2"),
    # alone
    *("confidence", "turn_count", "elapsed_ms", "clock.time", "clock.date", "clock.weekday", "clock.hour", "channel"),
    *("sentiment", "asks_for_person", "language", "message_length", "amount_usd_max", "mood", "vip"),
    *("count(confidence) >= 2", "streak(sentiment) >= 2", "count(message_length) >= 2", "count(asks_for_person) >= 2"),
    # in words, or in another language
    *("confidence is low", "channel is chat", "channel is not chat", "channel is live chat", "confidence is null"),
    *("confidence is not null", "confidence is < 0.5", "channel is in [chat, voice]", "channel is not in [chat]"),
    *("confidence is not known", "topics is refunds", "plan is not gold plus", "vip is yes", "vip is not set"),
    *("confidence < 0.5 and turn_count > 3", "confidence > 0.2 and < 0.5", "confidence < 0.5 && turn_count > 3"),
    *(
        "confidence < 0.5 or turn_count > 3 or vip = true",
        "confidence < 0.5 AND turn_count > 3",
        "vip = true || mood > 3",
    ),
    *("channel = live chat and turn_count > 3", "confidence is below 0.5 and turn_count is over 3", "a and b"),
    *("confidence === 0.5", "channel !== chat", "channel == chat", "channel contains chat", "topics contains refunds"),
    *("elapsed_ms > 2 h", "elapsed_ms > 10 min", "elapsed_ms > 1 hour 30 minutes", "elapsed_ms > 10minutes"),
    *("elapsed_ms > 1.5 hours", "elapsed_ms > 500 ms", "since_last_turn_ms >= 2 days", "elapsed_ms > soon"),
    *(
        "confidence < 55",
        "confidence < 55%",
        "confidence < 55 percent",
        "sentiment < -60%",
        "confidence < $low_confidense",
    ),
    *("tools = issue_refund", "tags in [a]", "tags = dark red", "channel in chat", "channel = 5", "channel has chat"),
    *("vip > true", "vip = yes", "plan = live chat", "channel = true", "clock.weekday = monday", "clock.time > 18"),
    *("message contains money", "args.amount > 200", "amount_usd > 200", "confidence between 0.2 and 0.5"),
    *(
        "clock.time between 9:00 and 17:00",
        "channel = “chat”",
        "0.2 < confidence <= 0.5",
        "topic refund",
        "topic refunds",
        "sentimant < -0.5",
        "count(vip = true) > 3 in 10 turns",
    ),
    *("channel in (chat, voice)", "channel not in (chat)", "confidence < (0.5)", "tags within (a, b)"),
    *("confidence = unknown", "vip != unknown", "confidence != null", "avg(sentiment) = unknown", "vip = known"),
    *("clock.date = 12/24/2026", "clock.date >= 24.12.2026", "clock.date = 2026/12/24", "clock.date < 3/4/2026"),
    *("{amount_usd_max > 1,000}", "{amount_usd_max > 1,000,000}", "{tool_call: {amount_usd > 1,000}}"),
]
# Whoever writes these has made up their mind about something that nobody else can know.
LEFT_TO_THE_AUTHOR = {
    *(
        "confidence is low",
        "a and b",
    ),
    *(
        "elapsed_ms > soon",
        "message contains money",
        "args.amount > 200",
        "amount_usd > 200",
    ),
    *(
        "vip > true",
        "channel = [chat, voice]",
        "sentiment < -60%",
        "channel contains chat",
        "channel has chat",
        "disagreements",
    ),
    # Whether the day or the month stands first.
    "clock.date < 3/4/2026",
}


def wrong_with(text: str) -> list[Problem]:
    return [problem for problem in compile_files({"f.yaml": text})[1] if problem.severity == "error"]


def followed(text: str, problem: Problem) -> str | None:
    """Return the file with what the next step says to write, None where it says nothing that can be copied."""
    lines = text.splitlines(keepends=True)
    line, start = lines[problem.span.line - 1], problem.span.column - 1
    end = problem.span.end_column - 1
    step = problem.next_step
    here = re.search(r" and write `([^`]*)` here", step)
    declared = re.match(r"declare it under `(\w+):` as `([^`]*)`", step)
    if declared is not None:
        place = f"{here[1] if here else line[start:end]}"
        lines[problem.span.line - 1] = line[:start] + place.removeprefix("$" * line[:start].endswith("$")) + line[end:]
        return _declared("".join(lines), declared[1], declared[2].replace("[...]", "[some words]"))
    meant = re.match(
        r"(?:did you mean|write|put it into quotes:|put words[^:`]*:|write the comparison[^`]*?) ?`([^`]*)`", step
    )
    if meant is None or "…" in meant[1] or "..." in meant[1] or "NAME" in meant[1] or " or `" in step:
        shown = re.search(r", as (?:in )?`([^`]*)`", step)
        if shown is None or "NAME" in shown[1] or not _is_whole(shown[1]):
            return None
        return text.replace(_when(text), f"{{{shown[1]}}}" if shown[1].startswith(("all", "any")) else shown[1])
    said = meant[1]
    aggregate = re.fullmatch(r"(?:count|streak)\([^()]*\)", said)
    if aggregate is not None:
        return text.replace(_when(text), re.sub(r"\w+\([^()]*\)", said, _when(text), count=1))
    if step.startswith("put words"):
        return text.replace(said.strip('"'), said)
    if _is_whole(said):
        said = f"tool_call: {said}" if "tool_call" in _when(text) else said
        mapped = said.startswith(("all:", "any:", "tool_call:"))
        return text.replace(f"when: {_when(text)}", f"when: {{{said}}}" if mapped else f"when: {said}")
    if re.match(r"(?:not )?(?:in|within) \[", said):
        return text.replace(line, re.sub(r"(?:not )?(?:in|within) .*|=.*", said, line, count=1))
    return "".join([*lines[: problem.span.line - 1], line[:start] + said + line[end:], *lines[problem.span.line :]])


def _when(text: str) -> str:
    found = re.search(r"^    when: (.*)$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def _is_whole(said: str) -> bool:
    return (
        said.startswith(("all:", "any:"))
        or re.match(r"[\w.]+(?:\(.*)? (?:[<>=!]|in|has|lacks|not|is)", said) is not None
    )


def _declared(text: str, key: str, entry: str) -> str:
    if key == "topics":
        return text.replace("topics:\n", f"topics:\n  {entry}\n")
    return text.replace(f"{key}: {{", f"{key}: {{{entry}, ")


@pytest.mark.parametrize("when", [*WRONG, "channel = [chat, voice]"])
def test_whoever_follows_the_next_steps_ends_with_a_rule_that_loads(when: str) -> None:
    text = FILE.replace("WHEN", when)
    told: list[tuple[str, str]] = []
    for _ in range(STEPS_MAX):
        problems = wrong_with(text)
        if not problems:
            break
        told.append((problems[0].code, f"{problems[0].message} -> {problems[0].next_step}"))
        after = followed(text, problems[0])
        if after is None:
            assert when in LEFT_TO_THE_AUTHOR, told
            return
        assert after != text, told
        text = after
    else:
        raise AssertionError(told)
    assert told, "nothing is wrong with it"
    # What is told twice was not mended by what was said of it.
    codes = [code for code, _ in told]
    assert len(set(codes)) == len(codes), told
    assert when not in LEFT_TO_THE_AUTHOR


QUEUE_FILE = """handrail: 1
thresholds: {wait: 5m, low: 0.5}
topics:
  refunds: {phrases: [my money back]}
queues:
  desk:
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: Later.}}
    say: {en: Wait.}
rules:
  - id: r
    why: x
    when: {any: [elapsed_ms > $wait, confidence < $low, topics has refunds]}
    then: {escalate: desk, priority: high}
    mode: live
"""
# What stands in the file, and what people write instead of it.
WRONG_VALUES = {
    "wait: 5m": ["2 hours", "2 h", '"2h"', "10 min", "'5 minutes'", "1h and 5m", "90 sec"],
    "low: 0.5": ['"0.55"', "'1'", "55%", "'55%'", "$1"],
    "answer_within: 15m": ["15", "2 hours", "15 min", "1.5 hours", "1 hour 30 min", "90 seconds", "0.5", "10minutes"],
    "mode: live": ["{rollout: 0.1}", "{rollout: 10.4%}", "{rollout: 0.25}", "shadwo", "liv"],
    "priority: high": ["hihg", "urgnt"],
    "id: r": ["very unsure", "Überweisung zu hoch", "unsure!", "a.b.c"],
}


@pytest.mark.parametrize(
    ("stands", "wrong"), [(key, value) for key, values in WRONG_VALUES.items() for value in values]
)
def test_a_value_that_is_mended_as_told_loads(stands: str, wrong: str) -> None:
    name = stands.partition(":")[0]
    text = QUEUE_FILE.replace(stands, f"{name}: {wrong}", 1)
    problems = wrong_with(text)
    assert len(problems) == 1
    meant = re.search(r"(?:write|did you mean) `([^`]*)`", problems[0].next_step)
    assert meant is not None, problems[0].next_step
    written = f"{{rollout: {meant[1]}}}" if "rollout" in wrong else meant[1]
    assert wrong_with(QUEUE_FILE.replace(stands, f"{name}: {written}", 1)) == []


RULES = """handrail: 1
queues:
  tier_1: {answer_within: 15m, on_timeout: {verdict: deny, say: {en: Later.}}, say: {en: Wait.}}
topics: {refunds: {phrases: [a]}, advice: {phrases: [b]}}
rules:
  - id: one
    why: x
    when: topics within [refunds, advice]
    then: {review: tier_1}
  - id: two
    why: y
    when: clock.weekday in [sat, sun]
    then: {review: tier_1}
"""
# What is written in place of what stands there, and all the errors that it brings with their next steps.
WRONG_LINES: dict[tuple[str, str], list[str]] = {
    ("  - id: two", "  -id: two"): ["R110: not YAML: a `-` with no space behind it begins no item -> write `- id:`"],
    ("  - id: two", "    id: two"): [
        "R107: the key `id` is written twice, first in line 6"
        " -> write `- id:` where another item begins, or keep one of the two"
    ],
    ("  - id: two\n    why: y", "  - id: two, why: y"): [
        "R110: not YAML: a second key stands in the line"
        " -> write each key on a line of its own, or put the whole text into quotes"
    ],
    ("    why: y", "\xa0 \xa0 why: y"): [
        "R110: not YAML: the indentation holds the character U+00A0, which is no space for YAML"
        " -> indent with ordinary spaces"
    ],
    ("[sat, sun]", "[saturday, sunday]"): [
        "R109: `clock.weekday` is never `saturday` -> did you mean `sat`?",
        "R109: `clock.weekday` is never `sunday` -> did you mean `sun`?",
    ],
    ("[refunds, advice]", "[refnds, advce]"): [
        "R102: unknown topic `refnds` -> did you mean `refunds`?",
        "R102: unknown topic `advce` -> did you mean `advice`?",
    ],
    # Both are told to write what then is the same.
    ("  tier_1: ", "  tier 1: "): ["R108: `tier 1` cannot be a name -> write `tier_1`, here and where it is named"],
    ("queues:\n  tier_1: ", "queues:\n  Tier 1!: "): [
        "R108: `Tier 1!` cannot be a name -> write `tier_1`, here and where it is named"
    ],
    ("handrail: 1\n", "handrail_tests: 1\n"): [
        "R115: the file holds tests, and its name does not end in `.tests.yaml` -> rename it to `f.tests.yaml`"
    ],
    ("clock.weekday in [sat, sun]", "{all: [turn_count > 1, amount_usd_max > 1,000,000]}"): [
        "R120: `000` stands alone, for a comma ends what is before it"
        " -> write `amount_usd_max > 1000000` without the comma"
    ],
}


@pytest.mark.parametrize(("right", "wrong"), WRONG_LINES)
def test_a_line_that_is_written_as_told_is_the_right_one(right: str, wrong: str) -> None:
    assert wrong_with(RULES) == []
    problems = wrong_with(RULES.replace(right, wrong))
    said = [f"{problem.code}: {problem.message} -> {problem.next_step}" for problem in problems]
    assert said == WRONG_LINES[right, wrong]


def test_a_name_near_one_that_cannot_be_a_name_is_told_the_one_to_write() -> None:
    text = RULES.replace("  tier_1: ", "  tier 1: ").replace("review: tier_1", "review: tier1", 1)
    assert [problem.next_step for problem in wrong_with(text)] == [
        "write `tier_1`, here and where it is named",
        "did you mean `tier_1`?",
    ]
    assert wrong_with(text.replace("tier 1", "tier_1").replace("tier1", "tier_1")) == []


@pytest.mark.parametrize("wrong", ["-5", "0 minutes", "9999999", "soon", "1e3"])
def test_what_cannot_be_a_time_with_a_unit_either_is_told_how_times_are_written(wrong: str) -> None:
    problems = wrong_with(QUEUE_FILE.replace("answer_within: 15m", f"answer_within: {wrong}"))
    hint = "write a number with its unit, `90s` `15m` `2h` or `3d`, a year at most"
    assert [problem.next_step for problem in problems] == [hint]


@given(st.text(max_size=90))
def test_a_legal_name_is_one(text: str) -> None:
    name = legal_name(text)
    assert name is None or wrong_with(QUEUE_FILE.replace("id: r", f"id: {name}")) == []


_PIECES = st.sampled_from(
    [
        *(
            "confidence",
            "signals.mood",
            "topics",
            "channel",
            "sentimant",
            "elapsed_ms",
            "is",
            "not",
            "less than",
            "and",
        ),
        *(
            "or",
            "0.5",
            "55%",
            "2 hours",
            "[chat]",
            '"lost card"',
            "has",
            "in",
            "=",
            "<",
            "==",
            ">",
            "$low",
            "$zz",
            "chat",
        ),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECES, min_size=1, max_size=6).map(" ".join))
def test_what_is_mended_as_told_is_not_told_again_in_the_same_words(line: str) -> None:
    if "," in line or line.startswith(("[", '"', "=")):
        return
    text = FILE.replace("WHEN", line)
    for problem in wrong_with(text)[:1]:
        after = followed(text, problem)
        again = wrong_with(after) if after is not None else []
        assert problem.message not in [each.message for each in again if each.span == problem.span]


SIX = """handrail: 1
thresholds: {low: 0.5}
signals: {mood: number, calm: bool}
customer: {segment: text}
topics: {refunds: {phrases: [a]}}
queues:
  desk: {answer_within: 15m, on_timeout: {verdict: deny, say: {en: Later.}}, say: {en: Wait.}}
rules:
- id: r
  why: x
  when: {all: [confidence < $low, mood > 3, calm = true, customer.segment = a, topics has refunds]}
  then: {escalate: desk}
"""
MISSPELT = {
    "$low": "$lwo",
    "mood >": "modo >",
    "calm = true": "{calm: true}",
    "customer.segment =": "customer.segmnt =",
    "has refunds": "has refnds",
    "escalate: desk": "escalate: deks",
}


@settings(max_examples=30, deadline=None)
@given(st.sets(st.sampled_from(sorted(MISSPELT)), min_size=1))
def test_a_name_that_is_misspelt_where_it_is_used_is_not_told_to_be_unused_as_well(spelt: set[str]) -> None:
    text = SIX
    for right in spelt:
        text = text.replace(right, MISSPELT[right], 1)
    problems = compile_files({"f.yaml": text})[1]
    assert [problem.message for problem in problems if problem.severity == "warning"] == []
    assert len(problems) == len(spelt)


@pytest.mark.parametrize("say", ["Wait.", f"{{en: {'a' * 2001}}}", "{english: Wait.}", "{en: [Wait.]}", "{}"])
def test_words_with_a_mistake_in_them_are_not_told_to_be_missing_as_well(say: str) -> None:
    problems = compile_files({"f.yaml": SIX.replace("say: {en: Wait.}", f"say: {say}")})[1]
    assert [problem.severity for problem in problems] == ["error"]
