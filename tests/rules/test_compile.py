"""Rule files to RuleFiles: what loads, what is told of files that do not, and that no text is too odd for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import compile_files, files_or_raise
from rules.files.errors import PROBLEMS, Problem, RuleFileInvalid, render
from rules.files.grammar import DURATION_MS_MAX
from rules.model import Mode, Need, OnTimeout, Queue, RuleFiles, SignalDeclaration, Step, Then, Topic

EXAMPLE = r"""handrail: 1
thresholds:                      # named numbers; only these can be proposed for change
  low_confidence: 0.55
  refund_limit_usd: 200
topics:
  investment_advice:
    regulated: true              # never shed, never sampled away
    source: FINRA Rule 2111
    phrases: [which fund should i buy, is this a good investment]
    patterns: ['\bguaranteed\s+returns?\b']     # RE2-safe; a pattern that could run away does not load
queues:
  compliance: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: "We will call you back."}},
               needs: [licensed_advisor]}
rules:
  - id: unsure-twice
    why: the agent was unsure two turns in a row
    when: {all: [streak(confidence < $low_confidence) >= 2, channel in [chat, voice]]}
    then: {escalate: tier1, priority: normal, say: {en: "Let me bring in a colleague."}}
  - id: big-refund
    when: {tool_call: {all: [name = issue_refund, amount_usd > $refund_limit_usd, status = proposed]}}
    then: {hold: approvals, answer_within: 5m}
  - id: regulated-advice
    when: {any: [topics has investment_advice, count(topics has investment_advice) over 10 turns >= 2]}
    then: {escalate: compliance, priority: urgent}
    mode: live                   # live | shadow | {rollout: 10%}
"""
QUEUES = """handrail: 1
queues:
  tier1: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: Later.}}, say: {en: One moment.}}
  approvals: {answer_within: 1h, on_timeout: {verdict: deny, say: {en: Not today.}}, say: {en: One moment.}}
"""
QUEUE = "queues:\n  tier1: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: Later.}}, say: {en: Wait.}}\n"
RULE = "rules:\n- {id: r, why: x, when: confidence < 0.5, then: {escalate: tier1}}\n"


def shown(texts: dict[str, str]) -> list[str]:
    return [render(problem) for problem in compile_files(texts)[1]]


def told(text: str) -> list[str]:
    """Return what is said of one file, one line a problem."""
    return [one_line(problem) for problem in compile_files({"f.yaml": text})[1]]


def one_line(problem: Problem) -> str:
    span = problem.span
    return f"{span.line}:{span.column}: {problem.code}: {problem.message} -> {problem.next_step}"


def load(text: str) -> RuleFiles:
    files, problems = compile_files({"f.yaml": text})
    assert files is not None, problems
    return files


def test_the_example_of_the_design_needs_only_its_two_other_queues() -> None:
    assert shown({"example.yaml": EXAMPLE}) == [
        "example.yaml:18:22: R103: unknown queue `tier1`\n"
        '      then: {escalate: tier1, priority: normal, say: {en: "Let me bring in a colleague."}}\n'
        "                       ^ declare it under `queues:` with its `answer_within`, `on_timeout` and `say`",
        "example.yaml:19:9: W207: the rule `big-refund` does not say why\n"
        "      - id: big-refund\n"
        "            ^ add `why:`, which operators read",
        "example.yaml:21:18: R103: unknown queue `approvals`\n"
        "      then: {hold: approvals, answer_within: 5m}\n"
        "                   ^ declare it under `queues:` with its `answer_within`, `on_timeout` and `say`",
        "example.yaml:22:9: W207: the rule `regulated-advice` does not say why\n"
        "      - id: regulated-advice\n"
        "            ^ add `why:`, which operators read",
        "example.yaml:24:22: W206: neither the rule nor the queue `compliance` has words for the customer before the"
        " deadline\n"
        "      then: {escalate: compliance, priority: urgent}\n"
        "                       ^ add `say: {en: …}` to the rule or its queue",
    ]


def test_the_example_of_the_design_loads_with_them() -> None:
    files, problems = compile_files({"example.yaml": EXAMPLE, "queues.yaml": QUEUES})
    assert [problem.code for problem in problems] == ["W207", "W207", "W206"]
    assert files is not None
    assert files.thresholds == {"low_confidence": 0.55, "refund_limit_usd": 200}
    assert files.topics == {
        "investment_advice": Topic(
            "investment_advice",
            regulated=True,
            source="FINRA Rule 2111",
            phrases=("which fund should i buy", "is this a good investment"),
            patterns=(r"\bguaranteed\s+returns?\b",),
        )
    }
    assert files.queues["compliance"] == Queue(
        "compliance", 900_000, OnTimeout("callback", {"en": "We will call you back."}), (Need("licensed_advisor"),)
    )
    assert [(rule.id, rule.why, rule.regulated, rule.span.line) for rule in files.rules] == [
        ("regulated-advice", "regulated advice", True, 22),
        ("unsure-twice", "the agent was unsure two turns in a row", False, 15),
        ("big-refund", "big refund", False, 19),
    ]
    assert [rule.then for rule in files.rules] == [
        Then("escalate", "compliance", "urgent"),
        Then("escalate", "tier1", "normal", say={"en": "Let me bring in a colleague."}),
        Then("hold", "approvals", "normal", answer_within_ms=300_000),
    ]


def test_every_key_of_a_file_reaches_its_value() -> None:
    files = load(
        "handrail: 1\ntimezone: Europe/Madrid\n"
        "thresholds: {low: {value: 0.5, min: 0.3, max: 0.8, why: unsure}, patience: {value: 10m, max: 1h}}\n"
        "signals: {mood: {type: number, why: our model}, tags: set}\ncustomer: {plan: {type: text}}\n"
        "topics:\n  person: {phrases: [a person], unless: [in person], means: asks_for_person, why: x}\n"
        "  fee: {patterns: ['fees?'], inside: [reply]}\n  mine:\n"
        "queues:\n  a: {title: First, answer_within: 1h30m, needs: [es, tax], say: {en: Wait., es-MX: Espere.},\n"
        "      on_timeout: {verdict: escalate, queue: b}}\n"
        "  b: {answer_within: 1d, on_timeout: {verdict: continue}}\n"
        "rules:\n- id: one\n  why: x\n  when: {any: [confidence < $low, elapsed_ms > $patience, mood > 1, tags has t]}"
        "\n  then: {hold: a, priority: high, answer_within: 30s, on_timeout: {verdict: deny, say: {en: No.}},"
        " say: {en: W.}}\n"
        "  mode: {rollout: 10%}\n"
        "- {id: two, why: x, when: {any: [reply_topics has fee, topics has mine, customer.plan = a]}, then: continue}\n"
        "- {id: three, why: x, when: confidence < 0.2, then: {review: b}, mode: shadow}\n"
        "- {id: four, why: x, when: confidence < 0.1, then: {continue: true}, mode: live}\n"
    )
    assert files.timezone == "Europe/Madrid"
    assert files.thresholds == {"low": 0.5, "patience": 600_000}
    assert files.signals == {
        "mood": SignalDeclaration("mood", "number", "our model"),
        "tags": SignalDeclaration("tags", "set"),
        "customer.plan": SignalDeclaration("customer.plan", "text"),
    }
    assert files.topics == {
        "person": Topic("person", phrases=("a person",), unless=("in person",), means="asks_for_person"),
        "fee": Topic("fee", patterns=("fees?",), inside=frozenset({"reply"})),
        "mine": Topic("mine"),
    }
    assert files.queues["a"] == Queue(
        "a",
        5_400_000,
        OnTimeout("escalate", {}, "b"),
        (Need("es"), Need("tax")),
        {"en": "Wait.", "es-MX": "Espere."},
        "First",
    )
    assert [(rule.id, rule.then, rule.mode) for rule in files.rules] == [
        ("one", Then("hold", "a", "high", 30_000, OnTimeout("deny", {"en": "No."}), {"en": "W."}), Mode(10)),
        ("three", Then("review", "b"), Mode(0)),
        ("two", Then("continue"), Mode(100)),
        ("four", Then("continue"), Mode(100)),
    ]


def test_a_queue_says_whom_it_needs_and_how_that_widens() -> None:
    files = load(
        "handrail: 1\nqueues:\n"
        "  cards: {answer_within: 20m, resolve_within: 4h, warn_before: 3m, needs: {fraud: 4, es: 1},\n"
        "    language: customer, same_operator_for: 1m, offer_for: 30s,\n"
        "    on_timeout: {verdict: answer, say: {en: Later.}}, say: {en: Wait.},\n"
        "    ladder: [{after: 15m, page: on-call, priority: urgent, language: any},\n"
        "      {after: 5m, needs: [fraud]}, {after: 10m, queues: [other], skip_if: nobody_available}]}\n"
        "  other: {answer_within: 1m, on_timeout: {verdict: deny, say: {en: No.}}, say: {en: Wait.}}\n"
        "rules:\n- {id: a, why: x, when: turn_count > 1, then: {escalate: cards}}\n"
    )
    assert files.queues["cards"] == Queue(
        "cards",
        1_200_000,
        OnTimeout("answer", {"en": "Later."}),
        (Need("fraud", 4), Need("es", 1)),
        {"en": "Wait."},
        own_language=True,
        same_operator_ms=60_000,
        offer_ms=30_000,
        resolve_within_ms=14_400_000,
        warn_before_ms=180_000,
        ladder=(
            Step(300_000, "handoff.widened", needs=(Need("fraud"),)),
            Step(600_000, "handoff.widened", queues=("other",), skip_if_nobody=True),
            Step(900_000, "handoff.widened", any_language=True, priority="urgent", page="on-call"),
        ),
    )


def test_rules_stand_by_verdict_then_priority_then_as_written() -> None:
    thens = [
        "{review: q, priority: urgent}",
        "{hold: q}",
        "{escalate: q}",
        "{escalate: q, priority: urgent}",
        "continue",
    ]
    rules = "".join(
        f"- {{id: r{number}, why: x, when: turn_count > {number}, then: {then}}}\n"
        for number, then in enumerate(thens * 2)
    )
    files = load(f"handrail: 1\n{QUEUE.replace('tier1', 'q')}rules:\n{rules}")
    assert [rule.id for rule in files.rules] == ["r3", "r8", "r2", "r7", "r1", "r6", "r0", "r5", "r4", "r9"]


REGULATED: dict[str, bool] = {
    "topics has law": True,
    "reply_topics has law": True,
    "{any: [confidence < 0.5, {all: [topics has law]}]}": True,
    "count(topics has law) over 3 turns >= 2": True,
    "{not: topics lacks law}": True,
    "{not: topics has law}": False,
    "topics lacks law": False,
    "topics has other": False,
}


@pytest.mark.parametrize("when", REGULATED)
def test_a_rule_is_regulated_when_it_asks_for_a_regulated_topic(when: str) -> None:
    files = load(
        "handrail: 1\ntopics:\n  law: {regulated: true, source: Act 1, phrases: [a], inside: [message, reply]}\n"
        f"  other: {{phrases: [b]}}\nrules:\n- {{id: r, why: x, when: {when}, then: continue}}\n"
    )
    assert files.rules[0].regulated is REGULATED[when]


def test_the_hash_names_the_texts_and_not_their_order() -> None:
    files = files_or_raise({"a.yaml": EXAMPLE, "b.yaml": QUEUES})
    assert re.fullmatch("[0-9a-f]{64}", files.hash)
    assert files_or_raise({"b.yaml": QUEUES, "a.yaml": EXAMPLE}) == files
    assert files_or_raise({"a.yaml": EXAMPLE + "\n", "b.yaml": QUEUES}).hash != files.hash
    assert files_or_raise({"c.yaml": EXAMPLE, "b.yaml": QUEUES}).hash != files.hash


def test_files_or_raise_raises_with_every_problem() -> None:
    with pytest.raises(RuleFileInvalid) as raised:
        files_or_raise({"f.yaml": "handrail: 1\nrules:\n- {id: r, when: sentimant < 1, then: continue}\n"})
    assert [problem.code for problem in raised.value.problems] == ["W207", "R101"]


REFUSED = {row["wrong"]: row for row in yaml.safe_load(Path(__file__).with_name("refused_files.yaml").read_text())}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_told_in_full(name: str) -> None:
    assert told(REFUSED[name]["file"]) == REFUSED[name]["told"]


def test_every_error_of_every_file_is_told_at_once_and_in_order() -> None:
    texts = {
        "b.yaml": "handrail: 1\nrules:\n- {id: b, why: x, when: sentimant < 1, then: continue}\n",
        "a.yaml": "handrail: 1\nrules:\n- {id: a, why: x, when: confidence < 5, then: continue}\n"
        "- {id: b, why: x, when: chanel = x, then: {hold: q}}\n",
    }
    assert [(problem.span.file, problem.span.line, problem.code) for problem in compile_files(texts)[1]] == [
        ("a.yaml", 3, "R123"),
        ("a.yaml", 4, "R101"),
        ("a.yaml", 4, "R103"),
        ("b.yaml", 3, "R107"),
        ("b.yaml", 3, "R101"),
    ]


def test_a_name_twice_in_two_files_names_the_first_place() -> None:
    assert shown({"a.yaml": "handrail: 1\n" + QUEUE + RULE, "b.yaml": "handrail: 1\n" + QUEUE}) == [
        "b.yaml:3:3: R107: the queue `tier1` is declared twice, first at a.yaml:3\n"
        "      tier1: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: Later.}}, say: {en: Wait.}}\n"
        "      ^ rename one of the two"
    ]


def test_two_time_zones_are_one_too_many() -> None:
    texts = {
        "a.yaml": "handrail: 1\ntimezone: Europe/Madrid\n" + QUEUE + RULE,
        "b.yaml": "handrail: 1\ntimezone: UTC\n",
    }
    assert shown(texts) == [
        "b.yaml:2:11: R107: the time zone is `Europe/Madrid` already, at a.yaml:2\n"
        "      timezone: UTC\n"
        "                ^ keep one time zone for all files"
    ]
    assert load("handrail: 1\ntimezone: UTC\n" + QUEUE + RULE).timezone == "UTC"


def test_approvals_are_one_or_two_and_one_number_for_all_files() -> None:
    assert load("handrail: 1\n" + QUEUE + RULE).approvals == 1
    assert load("handrail: 1\napprovals: 2\n" + QUEUE + RULE).approvals == 2
    texts = {"a.yaml": "handrail: 1\napprovals: 2\n" + QUEUE + RULE, "b.yaml": "handrail: 1\napprovals: 1\n"}
    assert shown(texts) == [
        "b.yaml:2:12: R107: the number of approvals is `2` already, at a.yaml:2\n"
        "      approvals: 1\n"
        "                 ^ keep one number of approvals for all files"
    ]
    assert shown({"a.yaml": "handrail: 1\napprovals: 3\n" + QUEUE + RULE}) == [
        "a.yaml:2:12: R109: `3` is no `approvals`\n      approvals: 3\n                 ^ write one of `1`, `2`"
    ]


def test_a_torn_file_hides_no_mistake_and_invents_none() -> None:
    torn = (
        "handrail: 1\nthresholds: {low: 0.5}\nqueues:\n  tier1: {answer_within: 15m, say: {en: a: b}\n"
        "topics:\n  fee:\n    phrases: ['a fee]\n"
        "rules:\n- {id: a, why: x, when: {all: [confidence < $low, topics has fee, topics has zebra]},"
        " then: {hold: tier1}}\n"
        "- {id: b, why: x, when: sentimant < 1, then: continue}\n"
    )
    assert [line.partition(" -> ")[0] for line in told(torn)] == [
        "4:42: R110: not YAML: did not find expected ',' or '}'",
        "7:15: R110: not YAML: found unexpected end of stream",
        "10:25: R101: unknown signal `sentimant`",
    ]


def test_anchors_save_an_author_from_writing_words_twice() -> None:
    files = load(
        "handrail: 1\n"
        + QUEUE
        + "rules:\n- {id: a, why: x, when: turn_count > 1, then: {hold: tier1, say: &w {en: A.}}}\n"
        "- {id: b, why: x, when: turn_count > 2, then: {hold: tier1, say: *w}}\n"
    )
    assert [rule.then.say for rule in files.rules] == [{"en": "A."}, {"en": "A."}]


def test_a_span_of_time_has_a_longest_one() -> None:
    files = load(f"handrail: 1\n{QUEUE.replace('15m', '365d')}{RULE}")
    assert files.queues["tier1"].answer_within_ms == DURATION_MS_MAX


def test_five_hundred_rules_compile() -> None:
    text = (
        "handrail: 1\nthresholds: {low: 0.5}\n"
        + QUEUE
        + "rules:\n"
        + "".join(
            f"  - id: rule-{number}\n    why: the agent was unsure\n"
            f"    when: {{all: [streak(confidence < $low) >= 2, amount_usd_max > {number}, channel in [a, b]]}}\n"
            f"    then: {{escalate: tier1, priority: high, say: {{en: 'A colleague helps you.'}}}}\n"
            for number in range(500)
        )
    )
    assert len(load(text).rules) == 500


def test_a_thousand_mistakes_are_told_in_time() -> None:
    rules = "".join(
        f"- {{id: r{number}, why: x, when: sentimant{number} < $lo{number}, then: {{hold: teir{number}}}}}\n"
        for number in range(1_000)
    )
    problems = compile_files({"f.yaml": f"handrail: 1\n{QUEUE}rules:\n{rules}"})[1]
    assert len(problems) == 3_000


SEED = EXAMPLE.replace("rules:\n", QUEUES.partition("queues:\n")[2] + "rules:\n", 1)
WORDS = re.findall(r"\w+|\W", SEED)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return the design's example with some of its words and marks left out, doubled or replaced."""
    words = list(WORDS)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(words) - 1))
        change = draw(st.integers(0, 3))
        if change == 0:
            words[at] = ""
        elif change == 1:
            words[at] *= 2
        elif change == 2:
            words[at] = draw(st.sampled_from(WORDS))
        else:
            words[at] = draw(st.text(max_size=3))
    return "".join(words)


def holds_together(texts: dict[str, str]) -> None:
    files, problems = compile_files(texts)
    assert (files, problems) == compile_files(dict(reversed(texts.items())))
    assert (files is None) is any(PROBLEMS[problem.code].severity == "error" for problem in problems)
    for problem in problems:
        assert problem.code in render(problem)
        assert problem.span.file in texts or not texts
        assert 1 <= problem.span.column < problem.span.end_column
        assert problem.span.column <= len(problem.source_line) + 1
        assert problem.message
        assert not problem.message.endswith(".")


def test_the_seed_of_the_mutations_loads() -> None:
    assert compile_files({"f.yaml": SEED})[0] is not None


@given(mutated())
@settings(max_examples=300, deadline=None)
def test_no_mutation_of_a_good_file_makes_the_compiler_raise(text: str) -> None:
    holds_together({"f.yaml": text})


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.text(), max_size=3))
def test_no_text_makes_the_compiler_raise(texts: dict[str, str]) -> None:
    holds_together(texts)


KEYS = st.sampled_from(
    ["handrail", "rules", "id", "why", "when", "then", "mode", "all", "any", "not", "tool_call", "hold", "say", "en"]
)
ODD = st.recursive(
    st.one_of(KEYS, st.sampled_from(["1", "''", "~", "confidence < 0.5", "$", "'[x]'", "10m", "{}", "[]", "10%"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(KEYS, inner, max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"
        ),
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(KEYS, ODD, max_size=6))
def test_no_shape_of_nodes_makes_the_compiler_raise(pairs: dict[str, str]) -> None:
    holds_together({"f.yaml": "".join(f"{key}: {value}\n" for key, value in pairs.items())})
