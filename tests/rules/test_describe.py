"""The page of a job description: what stands on it, which rules apply to an agent, and that no text becomes markup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.agents.describe import as_json, can_hold, describe
from rules.agents.descriptions import AgentDescription
from rules.agents.page import TARGET_WORDS, TIMEOUT_WORDS, VERDICT_WORDS, page
from rules.agents.pages import Bullets, Page, Paragraph, Section, Table, html, markdown
from rules.agents.rules import rules_of
from rules.compile.rule_files import files_or_raise
from rules.compile.rules import precedence
from rules.evaluation.evaluate import build, evaluate
from rules.files.keys import TARGET_KEYS, TIMEOUT_VERDICTS
from rules.model import VERDICTS, All, Any, Condition, Not
from rules.turn import AgentRef, Conversation, Turn
from tests.rules.strategies import NOW_MS, compare, conditions, conversations, files_of, turns
from tests.rules.test_agents import TOPICS, descriptions

FILES = files_or_raise(
    {
        "rules.yaml": """handrail: 1
agents:
  voucher_bot:
    id: acme/voucher
    title: Vouchers
    purpose: Sends a voucher | to those who *waited*.
    owner: Dana Ruiz
    autonomy: {default: full, versions: {"3": limited}}
    may: {tools: [find_order], writes: [], amount_usd: $limit, sources: [handbook], sources_required: true}
    must_not: {topics: [loans]}
    hands_over: {to: tier1, priority: high, say: {en: I am getting somebody.}, when: [unsure, sentiment < -0.5]}
    approved_by: approvals
    targets: {handling_time: 6m, escalation_rate: 12.5%}
    mode: shadow
thresholds: {limit: 1500, low: 0.4}
topics: {loans: {phrases: [a loan]}}
queues:
  tier1:
    title: First line
    answer_within: 10m
    needs: [spanish]
    on_timeout: {verdict: escalate, queue: night, say: {en: One moment more.}}
    say: {en: A colleague joins us.}
  night: {answer_within: 1h, on_timeout: {verdict: callback, say: {en: We will call.}}, say: {en: One moment.}}
  approvals: {answer_within: 5m, on_timeout: {verdict: deny, say: {en: Not today.}}, say: {en: One moment.}}
rules:
  - {id: unsure, why: it guesses, when: confidence < $low, then: {review: night}, mode: shadow}
  - id: loan
    why: loans are sold by people
    when: topics has loans
    then: {escalate: tier1, priority: urgent, answer_within: 2m, on_timeout: {verdict: callback, say: {en: Soon.}},
           say: {en: Let me fetch our advisor.}}
  - {id: other, why: another agent's, when: 'agent.id = "acme/other"', then: {escalate: tier1}}
  - {id: counted, why: we count this, when: 'agent.id != "acme/other"', then: continue, mode: {rollout: 10%}}
"""
    }
)
DESCRIBED = describe(FILES, FILES.agents["voucher_bot"])


def test_the_page_says_all_that_a_manager_signs() -> None:
    expected = (Path(__file__).parent / "described_page.md").read_text("utf-8")
    assert markdown(page(DESCRIBED, "2026-11-21")) == expected.replace("HASH", FILES.hash)


def test_a_description_without_limits_says_so() -> None:
    bare = replace(FILES.agents["voucher_bot"], must_not_topics=(), targets={}, hands_over=(), say={})
    shown = markdown(page(describe(replace(FILES, rules=()), bare), "2026-11-21"))
    for text in ("Nothing besides what is outside of the list above.", "No figure is named.", "\n\nNone.\n\n"):
        assert text in shown


def test_every_verdict_deadline_and_target_has_its_words() -> None:
    assert set(VERDICT_WORDS) == set(VERDICTS)
    assert {*TIMEOUT_WORDS, "escalate"} == set(TIMEOUT_VERDICTS)
    assert set(TARGET_WORDS) == set(TARGET_KEYS)


def test_json_has_the_rules_of_the_agent_before_those_of_everybody() -> None:
    shown = as_json(DESCRIBED)
    rules = shown["rules"]
    assert isinstance(rules, list)
    assert [rule["id"] for rule in rules if not rule["own"]] == ["loan", "unsure", "counted"]
    assert [rule["own"] for rule in rules] == sorted((rule["own"] for rule in rules), reverse=True)
    assert (shown["agent"], shown["agent_id"], shown["versions"]) == ("voucher_bot", "acme/voucher", {"3": "limited"})
    assert shown["targets"] == {"handling_time": 360_000, "escalation_rate": 0.125}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (compare("agent.id", "=", "a"), True),
        (compare("agent.id", "=", "b"), False),
        (compare("agent.id", "is unknown"), False),
        (Not(compare("agent.id", "=", "a")), False),
        (Not(compare("agent.id", "in", ("b", "c"))), True),
        (All((compare("agent.id", "=", "b"), compare("confidence", "<", 0.5))), False),
        (Any((compare("agent.id", "=", "b"), compare("confidence", "<", 0.5))), True),
        (Not(Any((compare("agent.id", "=", "a"), compare("confidence", "<", 0.5)))), False),
        (Not(All((compare("agent.id", "=", "a"), compare("confidence", "<", 0.5)))), True),
    ],
)
def test_a_rule_applies_unless_what_it_says_of_the_agent_rules_it_out(condition: Condition, holds: bool) -> None:
    assert can_hold(condition, "a") is holds


@settings(max_examples=150, deadline=None)
@given(conditions, turns, conversations)
def test_a_rule_that_fires_on_a_turn_of_an_agent_applies_to_it(
    when: Condition, turn: Turn, conversation: Conversation
) -> None:
    asks = All((when, Any((compare("agent.id", "=", "a"), compare("channel", "=", "chat")))))
    files = files_of([replace(FILES.rules[0], when=asks)])
    ruleset = build(files)
    for agent_id in ("a", "b"):
        sent = replace(turn, agent=AgentRef(agent_id))
        if evaluate(ruleset, sent, conversation, NOW_MS).rules:
            assert can_hold(asks, agent_id)


@settings(max_examples=100, deadline=None)
@given(descriptions)
def test_every_description_has_a_page_in_every_form(description: AgentDescription) -> None:
    rules = sorted(rules_of(description, TOPICS), key=precedence)
    described = describe(replace(files_of(rules), topics=TOPICS), description)
    shown = page(described, "2026-11-21")
    assert len(described.own) == len(rules)
    assert markdown(shown).startswith("# Job description: refund-bot\n")
    assert "<h1>Job description: refund-bot</h1>" in html(shown)
    assert as_json(described)["agent"] == "refund-bot"


HOSTILE = st.text(alphabet="<>&|`*_[]#-+1.)~\\\n\"' ax\x00😀", max_size=12)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_what_a_rule_file_says_is_never_markup(title: str, item: str, cell: str) -> None:
    table = Table((cell,), ((cell,), (item,)))
    shown = Page(title, (Paragraph(item),), (Section(title, (Bullets((item,)), table)),))
    text = html(shown)
    body = text.split("<body>")[1]
    for tag in ("h1", "h2", "p", "ul", "li", "table", "section"):
        assert body.count(f"<{tag}>") == 1
    assert body.count("<td>") == 2
    lines = markdown(shown).split("\n")
    assert sum(line.startswith("# ") for line in lines) == 1
    assert sum(line.startswith("| ") for line in lines) == 3
    assert all(line.replace("\\|", "").count("|") == 2 for line in lines if line.startswith("|"))


def test_markup_in_markdown_is_kept_as_characters() -> None:
    items = ("find_order", "_so_", "*b*", "# no", "1. no", "- no", "a|b", "[x](y)", "<b>", "a\nb")
    shown = markdown(Page("t", (), (Section("s", (Bullets(items),)),)))
    assert shown.split("## s\n\n")[1].splitlines() == [
        "- find_order",
        "- \\_so\\_",
        "- \\*b\\*",
        "- \\# no",
        "- 1\\. no",
        "- \\- no",
        "- a\\|b",
        "- \\[x\\](y)",
        "- \\<b>",
        "- a b",
    ]
