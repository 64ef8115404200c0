"""What thresholds are compared with: what means two things is told, a very short time where it is declared."""

from __future__ import annotations

import pytest

from rules.compile.rule_files import compile_files

FILE = """handrail: 1
thresholds: {{{thresholds}}}
queues:
  desk: {{answer_within: 15m, on_timeout: {{verdict: deny, say: {{en: Later.}}}}, say: {{en: Hi.}}}}
rules:
- {{id: r, why: x, when: {when}, then: {{review: desk}}}}
"""


def told(thresholds: str, when: str, more: str = "") -> list[str]:
    text = FILE.format(thresholds=thresholds, when=when) + more
    return [
        f"{problem.span.line}:{problem.span.column}: {problem.code}: {problem.message} -> {problem.next_step}"
        for problem in compile_files({"f.yaml": text})[1]
    ]


SHORT = "2:{}: W211: `10` means 10 ms, as `patience` is compared with `since_last_turn_ms` -> write `10s`"
TOLD = {
    ("patience: 10", "since_last_turn_ms > $patience"): [SHORT.format(24)],
    ("patience: {value: 10, min: 5, why: silence}", "since_last_turn_ms > $patience"): [
        SHORT.format(32) + ", and its limits as times too"
    ],
    ("limit_usd: 200", "elapsed_ms > $limit_usd"): [
        "6:38: W215: `elapsed_ms` is a time, and the threshold `limit_usd` an amount of US dollars"
        " -> compare it with a threshold of its own"
    ],
    ("wait_ms: 5000", "{any: [elapsed_ms > $wait_ms, amount_usd_max > $wait_ms]}"): [
        "6:72: W215: `amount_usd_max` is an amount of US dollars, and the threshold `wait_ms` a time"
        " -> compare it with a threshold of its own"
    ],
    ("low: 0.5", "{any: [confidence < $low, {tool_call: amount_usd > $low}]}"): [
        "6:76: W215: the threshold `low` is compared with `confidence`, a share from 0 to 1, and with `amount_usd`,"
        " an amount of US dollars -> declare a threshold for each of the two"
    ],
    # Told once: which of the two the number is meant for, nobody knows.
    ("few: 3", "{any: [turn_count > $few, elapsed_ms > $few]}"): [
        "6:64: W215: the threshold `few` is compared with `turn_count`, a count, and with `elapsed_ms`, a time"
        " -> declare a threshold for each of the two"
    ],
}


@pytest.mark.parametrize(("thresholds", "when"), TOLD)
def test_a_threshold_that_slips_past_its_unit_is_told(thresholds: str, when: str) -> None:
    assert told(thresholds, when) == TOLD[thresholds, when]


@pytest.mark.parametrize(
    ("thresholds", "when"),
    [
        ("patience: 10s", "since_last_turn_ms > $patience"),
        ("patience_ms: 500", "since_last_turn_ms > $patience_ms"),
        ("patience: 5000", "since_last_turn_ms > $patience"),
        ("low: 0.5", "{any: [confidence < $low, sentiment < $low, min(confidence) < $low]}"),
        ("few: 3", "{any: [turn_count > $few, count(confidence < 0.5) >= $few]}"),
        ("limit_usd: 200", "{any: [amount_usd_max > $limit_usd, {tool_call: amount_usd > $limit_usd}]}"),
        ("limit: 200", "{any: [amount_usd_max > $limit, {tool_call: args.amount > $limit}]}"),
    ],
)
def test_a_threshold_of_one_unit_is_left_alone(thresholds: str, when: str) -> None:
    assert told(thresholds, when) == []


def test_the_limit_of_an_agent_is_an_amount() -> None:
    agent = (
        "agents:\n  bot: {purpose: x, owner: Dana, autonomy: full, hands_over: {to: desk}, may: {amount_usd: $low}}\n"
    )
    assert told("low: 0.5", "confidence < $low", agent) == [
        "8:92: W215: the threshold `low` is compared with `confidence`, a share from 0 to 1, and with `amount_usd`,"
        " an amount of US dollars -> declare a threshold for each of the two"
    ]
