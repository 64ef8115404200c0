"""Descriptions of agents: the rules made of them agree with a plain reading, and every mistake is told in full."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.agents.descriptions import ACTS, LIVE, SHADOW, UNDESCRIBED_ID, AgentDescription, Autonomy, HandOver, Scope
from rules.agents.rules import rule_for_undescribed, rules_of
from rules.compile.rule_files import compile_files
from rules.compile.rules import precedence
from rules.evaluation import reference
from rules.evaluation.evaluate import build, evaluate
from rules.evaluation.explain import fired
from rules.evaluation.near_misses import near_misses
from rules.files.keys import AGENT_KEYS, AUTONOMY_KEYS, HAND_OVER_KEYS, HANDS_OVER_KEYS, MAY_KEYS, TARGET_KEYS
from rules.model import All, Rule, RuleFiles, Span, Then, Topic
from rules.turn import AgentRef, Conversation, ToolCall, TopicScore, Turn
from tests.rules.strategies import NOW_MS, compare, files_of
from tests.rules.test_compile import one_line

SPAN = Span("agents.yaml", 3, 3, 6)
BOT, OTHER = "refund-bot", "other-bot"
TOOLS = ("look", "change", "close")
TOPICS = {
    "refunds": Topic("refunds", phrases=("refund",)),
    "loans": Topic("loans", phrases=("a loan",), inside=frozenset({"message", "reply"})),
    "person": Topic("person", phrases=("a human",), means="asks_for_person"),
}
SOURCES = ("handbook", "blog")
STAGES: tuple[Autonomy, ...] = ("pilot", "limited", "full")


def some(*words: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(words), max_size=2, unique=True).map(tuple)


scopes = st.builds(
    Scope,
    tools=st.none() | some(*TOOLS),
    writes=st.none() | some(*TOOLS),
    amount_usd=st.sampled_from((None, 0, 100)),
    topics=st.none() | some("refunds", "loans"),
    sources=st.none() | some(*SOURCES),
    sources_required=st.booleans(),
    languages=st.none() | st.sampled_from((("en",), ("en", "es"))),
    channels=st.none() | st.just(("chat",)),
)
descriptions = st.builds(
    AgentDescription,
    name=st.just(BOT),
    agent_id=st.sampled_from((BOT, "acme/refund bot")),
    purpose=st.just("x"),
    owner=st.just("y"),
    autonomy=st.sampled_from(STAGES),
    to=st.just("tier1"),
    span=st.just(SPAN),
    versions=st.dictionaries(st.sampled_from(("1", "2")), st.sampled_from(STAGES)),
    may=scopes,
    must_not_tools=some("close"),
    must_not_topics=some("loans"),
    hands_over=st.just(()) | st.just((HandOver("1", "unsure", compare("confidence", "<", 0.5), SPAN),)),
    sample_percent=st.sampled_from((0, 100)),
)
calls = st.builds(
    ToolCall,
    st.sampled_from(TOOLS),
    write=st.sampled_from((True, False, None)),
    amount=st.sampled_from((None, 0, 100, 101)),
    status=st.sampled_from(("proposed", "ok", "error")),
)
turns = st.builds(
    Turn,
    conversation_id=st.just("conv-1"),
    turn_id=st.just("turn"),
    agent=st.builds(
        AgentRef, st.sampled_from((None, BOT, "acme/refund bot", OTHER)), st.sampled_from((None, "1", "2", "3"))
    ),
    channel=st.sampled_from((None, "chat", "voice")),
    locale=st.sampled_from((None, "en-GB", "es", "de")),
    message=st.sampled_from((None, "hello", "a refund", "a loan and a refund", "a human")),
    reply=st.sampled_from((None, "", "hello", "a loan")),
    confidence=st.sampled_from((None, 0.2, 0.9)),
    topics=some("fees").map(lambda names: tuple(map(TopicScore, names))),
    tool_calls=st.lists(calls, max_size=2).map(tuple),
    sources=st.none() | some(*SOURCES),
)
conversations = st.sampled_from((Conversation("conv-1"), Conversation("conv-1", handoffs_count=1)))


def with_rules(description: AgentDescription) -> RuleFiles:
    rules = rules_of(description, TOPICS)
    return replace(files_of(sorted(rules, key=precedence)), topics=TOPICS)


def read_plainly(description: AgentDescription, turn: Turn, conversation: Conversation) -> set[str]:
    """Return the acts of a turn that a person who holds the description beside it would name, with their stage."""
    if turn.agent.id != description.agent_id:
        return set()
    may, named = description.may, set()
    about = {topic.name for topic in turn.topics} | spoken(turn.message, *TOPICS)
    drafted = spoken(turn.reply, "loans")
    for call in turn.tool_calls:
        named |= acts_of_call(description, call)
    if (about | drafted) & set(description.must_not_topics):
        named.add("must-not/topic")
    if may.topics is not None and (about | drafted) - {*may.topics, "person"}:
        named.add("outside-scope/topic")
    if may.languages is not None and turn.locale is not None and turn.locale[:2] not in may.languages:
        named.add("outside-scope/language")
    if may.channels is not None and turn.channel is not None and turn.channel not in may.channels:
        named.add("outside-scope/channel")
    if may.sources is not None and set(turn.sources or ()) - set(may.sources):
        named.add("outside-scope/source")
    if may.sources_required and turn.reply and not turn.sources:
        named.add("outside-scope/no-source")
    if description.hands_over and turn.confidence is not None and turn.confidence < 0.5:
        named.add("hands-over/1")
    stage = description.stage(turn.agent.version)
    if turn.reply and (stage == "pilot" or (stage == "limited" and conversation.handoffs_count == 0)):
        named.add(f"{stage}/reply")
    if any(changes(description, call, stage) for call in turn.tool_calls if call.status == "proposed"):
        named.add(f"{stage}/write")
    return {name for name in named if not name.startswith("full/")}


def spoken(text: str | None, *topics: str) -> set[str]:
    return {name for name in topics if text is not None and TOPICS[name].phrases[0] in text}


def acts_of_call(description: AgentDescription, call: ToolCall) -> set[str]:
    may = description.may
    outside = set()
    if may.tools is not None and call.name not in {*may.tools, *(may.writes or ())}:
        outside.add("outside-scope/tool")
    if may.writes is not None and call.write and call.name not in may.writes:
        outside.add("outside-scope/write")
    if may.amount_usd is not None and call.amount is not None and call.amount > may.amount_usd:
        outside.add("outside-scope/amount")
    if outside and call.status != "proposed":
        outside = {"outside-scope/done"}
    return outside | ({"must-not/tool"} if call.name in description.must_not_tools else set())


def changes(description: AgentDescription, call: ToolCall, stage: Autonomy) -> bool:
    """Return whether a call changes something; in a pilot, whether nobody says that it does not."""
    may = description.may
    if call.write or call.name in (may.writes or ()):
        return True
    known_to_read = call.write is False or (may.writes is not None and call.name in (may.tools or ()))
    return stage == "pilot" and not known_to_read


@settings(max_examples=400, deadline=None)
@given(descriptions, st.lists(turns, min_size=1, max_size=6), conversations)
def test_the_rules_of_a_description_fire_where_a_plain_reading_of_it_says_so(
    description: AgentDescription, many: list[Turn], conversation: Conversation
) -> None:
    ruleset = build(with_rules(description))
    for turn in many:
        found = evaluate(ruleset, turn, conversation, NOW_MS)
        in_sample = description.sample_percent == 100
        expected = {
            f"{BOT}/{name}"
            for name in read_plainly(description, turn, conversation)
            if in_sample or name != "limited/reply"
        }
        assert {rule.id for rule in found.rules} == expected
        plain = reference.evaluate(ruleset, turn, conversation, NOW_MS)
        assert (found.verdict, found.rules, found.shadow) == (plain.verdict, plain.rules, plain.shadow)
        assert all(each.checks for each in fired(ruleset, found))


@given(descriptions)
def test_every_rule_of_a_description_stands_at_its_place_and_asks_for_its_agent(description: AgentDescription) -> None:
    rules = rules_of(description, TOPICS)
    assert len({rule.id for rule in rules}) == len(rules)
    for rule in rules:
        assert rule.id.startswith(f"{BOT}/")
        assert rule.span == SPAN
        assert rule.then.queue == "tier1"
        end = rule.id.removeprefix(f"{BOT}/")
        stage = end.partition("/")[0]
        act = ACTS["hands-over" if end == "hands-over/1" else end if end in ACTS else end.partition("/")[2]]
        assert rule.then.verdict == (act.verdict(stage) if stage in STAGES else act.full)


def test_an_agent_that_nobody_describes_is_every_other_one_and_one_without_a_name() -> None:
    rule = rule_for_undescribed([BOT], Then("hold", "tier1"), SPAN)
    ruleset = build(files_of([rule]))
    held = [
        evaluate(ruleset, Turn("c", "t", AgentRef(name)), Conversation("c"), NOW_MS).verdict
        for name in (BOT, OTHER, None)
    ]
    assert (rule.id, held) == (UNDESCRIBED_ID, ["continue", "hold", "hold"])


def test_that_it_is_an_agents_turn_makes_none_of_its_rules_a_near_miss() -> None:
    description = AgentDescription(BOT, BOT, "x", "y", "full", "tier1", SPAN, may=Scope(channels=("chat",), topics=()))
    near = Rule(
        "near", "x", All((compare("confidence", "<", 0.5), compare("sentiment", "<", 0))), Then("review"), LIVE, SPAN
    )
    files = replace(files_of([*rules_of(description, TOPICS), near]), topics=TOPICS)
    ruleset, new = build(files), Conversation("c")
    turn = Turn("c", "t", AgentRef(BOT), confidence=0.2)
    found = evaluate(ruleset, turn, new, NOW_MS)
    assert found.rules == ()
    assert near_misses(ruleset, found, new, NOW_MS)[0].rule_id == "near"


def test_a_description_in_shadow_puts_all_of_its_rules_there() -> None:
    description = AgentDescription(BOT, BOT, "x", "y", "limited", "tier1", SPAN, may=Scope(tools=("look",)))
    percents = [
        [rule.mode.percent for rule in rules_of(replace(description, mode=mode), TOPICS)] for mode in (LIVE, SHADOW)
    ]
    assert percents == [[100, 100, 100, 10], [0, 0, 0, 0]]


def test_queues_fall_back_from_reviews_to_approvals_to_those_who_take_over() -> None:
    description = AgentDescription(BOT, BOT, "x", "y", "limited", "tier1", SPAN)
    queues = [
        (each.queue("escalate"), each.queue("hold"), each.queue("review"))
        for each in (
            description,
            replace(description, approved_by="approvals"),
            replace(description, reviewed_by="later"),
            replace(description, approved_by="approvals", reviewed_by="later"),
        )
    ]
    assert queues == [
        ("tier1", "tier1", "tier1"),
        ("tier1", "approvals", "approvals"),
        ("tier1", "tier1", "later"),
        ("tier1", "approvals", "later"),
    ]


REFUSED = {case["wrong"]: case for case in yaml.safe_load((Path(__file__).parent / "refused_agents.yaml").read_text())}
SCENE = """handrail: 1
thresholds: {limit_usd: 200, patience: 10m}
topics: {refunds: {phrases: [refund]}}
queues:
  tier1: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: Later.}}, say: {en: One moment.}}
  silent: {answer_within: 15m, on_timeout: {verdict: continue}}
rules:
- id: unsure
  why: x
  when: {all: [topics has refunds, amount_usd_max > $limit_usd, since_last_turn_ms > $patience]}
  then: {review: silent}
- {id: many, why: x, when: turn_count > 30, then: {review: tier1}}
"""


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_with_a_description_is_told_in_full(name: str) -> None:
    case = REFUSED[name]
    problems = compile_files({"scene.yaml": SCENE, "agents.yaml": case["file"]})[1]
    assert [one_line(problem) for problem in problems if problem.span.file == "agents.yaml"] == case["told"]
    assert [one_line(problem) for problem in problems if problem.span.file != "agents.yaml"] == []


KEYS = st.sampled_from(
    sorted({*AGENT_KEYS, *MAY_KEYS, *HANDS_OVER_KEYS, *HAND_OVER_KEYS, *AUTONOMY_KEYS, *TARGET_KEYS})
)
WORDS = st.sampled_from(
    ["full", "tier1", "[]", "~", "''", "$limit_usd", "10%", "confidence < 0.5", "[refunds]", "unsure"]
)
SHAPES = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(KEYS, inner, max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"
        ),
    ),
    max_leaves=8,
)
WHOLE = {
    "purpose": "x",
    "owner": "y",
    "autonomy": "{default: limited, versions: {'3': pilot}}",
    "may": "{tools: [look], writes: [], amount_usd: $limit_usd, topics: [refunds], languages: [en]}",
    "must_not": "{tools: [close]}",
    "hands_over": "{to: tier1, when: [unsure, confidence < 0.4]}",
    "targets": "{resolution_rate: 70%, handling_time: 6m}",
}


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, SHAPES, max_size=3), SHAPES)
def test_no_shape_of_a_description_makes_the_compiler_raise(odd: dict[str, str], undescribed: str) -> None:
    agent = ", ".join(f"{key}: {value}" for key, value in {**WHOLE, **odd}.items())
    text = f"handrail: 1\nagents: {{a: {{{agent}}}}}\nundescribed_agents: {undescribed}\n"
    files, problems = compile_files({"scene.yaml": SCENE, "agents.yaml": text})
    assert (files is None) is any(problem.severity == "error" for problem in problems)
    if files is not None:
        assert set(files.agents) == {"a"}
        build(files)
