"""The page of an agent's job description that a manager reads and signs. Values in, a page out."""

from __future__ import annotations

from collections.abc import Iterator

from rules.agents.describe import Described, acts_of, stages_of
from rules.agents.descriptions import ACTS, AUTONOMIES, LIVE, Act, AgentDescription, Autonomy
from rules.agents.pages import Block, Bullets, Page, Paragraph, Section, Table
from rules.compile.conditions import comparisons
from rules.evaluation.explain import condition_text
from rules.evaluation.wording import operand_text, span_text, unit_of
from rules.model import Calls, Condition, OnTimeout, Queue, Rule, Verdict, Words

# verdict -> what it means for the reply or call that it is about
VERDICT_WORDS: dict[Verdict, str] = {
    "continue": "goes out",
    "review": "goes out, a person looks afterwards",
    "hold": "waits for a person",
    "escalate": "a person takes over",
    "held_by_human": "a person has the conversation",
}
TIMEOUT_WORDS = {
    "continue": "the agent goes on",
    "deny": "the held reply or call is refused",
    "answer": "the agent says this in place of its draft",
    "callback": "the customer is told that a person will call",
}
LEFT_FREE = "not limited"
IN_SHADOW = "In shadow: what the description asks for is counted and not done."
NOTHING = "none"
BLANK = "." * 20


def page(described: Described, date: str) -> Page:
    """Return the page that a manager signs; `date` is the day it was printed, as `2026-11-21`."""
    description = described.description
    named = description.title or description.name
    known_as = "" if description.agent_id == description.name else f", which calls itself {description.agent_id}"
    blocks = (
        Paragraph(description.purpose),
        Paragraph(f"Agent {description.name}{known_as}. Owner: {description.owner}."),
        Paragraph(f"Job description of {date}, from ruleset {described.ruleset}."),
        *([] if description.mode == LIVE else [Paragraph(IN_SHADOW)]),
    )
    sections = (
        Section("How much it does alone", (_stages(description),)),
        Section("What it may do", (Table(("it may", "limit"), tuple(_may(description))),)),
        Section("What it must not do", (_must_not(description),)),
        Section("When it hands over", tuple(_hands_over(described))),
        Section("What comes of what it does", (_acts(described),)),
        Section("Rules for every agent that apply to it", tuple(_others(described))),
        Section("The people who answer", tuple(_people(described))),
        Section("What counts as success", (_targets(description),)),
        Section("Signed", (_signatures(description),)),
    )
    return Page(f"Job description: {named}", blocks, sections)


def _stages(description: AgentDescription) -> Table:
    def row(versions: str, stage: Autonomy) -> tuple[str, str, str]:
        sample = f" ({description.sample_percent}%)" if stage == "limited" else ""
        return versions, stage, AUTONOMIES[stage] + sample

    others = "every other version" if description.versions else "every version"
    rows = [row(f"version {version}", stage) for version, stage in description.versions.items()]
    return Table(("version", "stage", "people are"), (*rows, row(others, description.autonomy)))


def _may(description: AgentDescription) -> Iterator[tuple[str, str]]:
    may = description.may
    yield "call these tools", _listed(may.tools)
    yield "change something with these tools", _listed(may.writes)
    amount = LEFT_FREE if may.amount_usd is None else f"{may.amount_usd:,.15g} US dollars"
    yield "move in one call", amount + (f" (threshold {may.amount_threshold})" if may.amount_threshold else "")
    yield "be asked and speak about", _listed(may.topics)
    required = "; it must name one" if may.sources_required else ""
    yield "rest its replies on these sources", _listed(may.sources) + required
    yield "speak these languages", _listed(may.languages)
    yield "speak in these channels", _listed(may.channels)


def _listed(words: tuple[str, ...] | None) -> str:
    return LEFT_FREE if words is None else ", ".join(words) or NOTHING


def _must_not(description: AgentDescription) -> Block:
    items = [f"call {tool}" for tool in description.must_not_tools]
    items += [f"be asked or speak about {topic}" for topic in description.must_not_topics]
    return Bullets(tuple(items)) if items else Paragraph("Nothing besides what is outside of the list above.")


def _hands_over(described: Described) -> Iterator[Block]:
    description = described.description
    queue = next((queue for queue in described.queues if queue.name == description.to), None)
    yield Paragraph(f"To {_queue_name(queue, description.to)}, priority {description.priority}.")
    reasons = [
        f"{one.why or ACTS['hands-over'].why}: {condition_text(one.when)}{_numbers(one.when)}"
        + (f" (rule {one.rule_id})" if one.rule_id else "")
        for one in description.hands_over
    ]
    reasons += _words("It says", description.say)
    if reasons:
        yield Bullets(tuple(reasons))


def _numbers(condition: Condition) -> str:
    """Return what the thresholds of a condition are, as a page has no other place for them."""
    named = {
        compare.threshold: operand_text(compare.operand, unit_of(compare.left))
        for compare, _ in comparisons(condition)
        if compare.threshold is not None
    }
    return f", where {' and '.join(f'{name} is {number}' for name, number in named.items())}" if named else ""


def _acts(described: Described) -> Table:
    """Return what the description limits, with the verdict at each of the agent's stages."""
    description = described.description
    stages = stages_of(description)
    rows = ((act.why, *(_verdict(description, act, stage) for stage in stages)) for act in acts_of(described))
    return Table(("what happens", *stages), tuple(rows))


def _verdict(description: AgentDescription, act: Act, stage: Autonomy) -> str:
    verdict = act.verdict(stage)
    if verdict == "continue":
        return VERDICT_WORDS[verdict]
    share = (
        f" in {description.sample_percent}% of the conversations" if act.name == "reply" and stage == "limited" else ""
    )
    return f"{VERDICT_WORDS[verdict]}{share} ({description.queue(verdict)})"


def _others(described: Described) -> Iterator[Block]:
    rows = [
        (VERDICT_WORDS[rule.then.verdict], rule.why, rule.then.queue or "", _priority(rule), rule.id)
        for rule in described.others
    ]
    if not rows:
        yield Paragraph("None.")
        return
    yield Table(("what happens", "when", "queue", "priority", "rule"), tuple(rows))
    own = [line for rule in described.others for line in _own_words(rule)]
    if own:
        yield Bullets(tuple(own))


def _priority(rule: Rule) -> str:
    percent = rule.mode.percent
    live = "" if percent == 100 else "in shadow" if percent == 0 else f"{percent}% live"
    return ", ".join(filter(None, ("" if rule.then.queue is None else rule.then.priority, live)))


def _own_words(rule: Rule) -> Iterator[str]:
    """Yield what a rule says and promises otherwise than its queue."""
    then = rule.then
    yield from _words(f"{rule.id} says", then.say)
    if then.answer_within_ms is not None:
        yield f"{rule.id} is answered within {span_text(then.answer_within_ms)}"
    if then.on_timeout is not None:
        yield from _timeout(rule.id, then.on_timeout)
    yield from _calls(rule.id, then.calls)


def _people(described: Described) -> Iterator[Block]:
    if not described.queues:
        yield Paragraph("None.")
        return
    rows = tuple(
        (
            _queue_name(queue, queue.name),
            ", ".join(need.skill for need in queue.needs),
            span_text(queue.answer_within_ms),
            _when_nobody_came(queue.on_timeout),
        )
        for queue in described.queues
    )
    yield Table(("queue", "skills", "answers within", "when nobody came by then"), rows)
    said = [line for queue in described.queues for line in _queue_words(queue)]
    if said:
        yield Bullets(tuple(said))


def _queue_words(queue: Queue) -> Iterator[str]:
    yield from _words(f"{queue.name} says", queue.say)
    yield from _words(f"{queue.name} says at the deadline", queue.on_timeout.say)
    yield from _calls(queue.name, queue.calls)


def _calls(name: str, calls: Calls | None) -> Iterator[str]:
    if calls is not None:
        where = "" if calls.queue is None else f" by the people of {calls.queue}"
        yield f"{name}: a promised call is made within {span_text(calls.within_ms)}{where}"


def _timeout(name: str, on_timeout: OnTimeout) -> Iterator[str]:
    yield f"{name}, when nobody came: {_when_nobody_came(on_timeout)}"
    yield from _words(f"{name} says at the deadline", on_timeout.say)


def _when_nobody_came(on_timeout: OnTimeout) -> str:
    if on_timeout.verdict == "escalate":
        return f"it moves on to {on_timeout.queue}"
    return TIMEOUT_WORDS[on_timeout.verdict]


def _queue_name(queue: Queue | None, name: str) -> str:
    return f"{queue.title} ({name})" if queue is not None and queue.title else name


def _words(name: str, words: Words) -> Iterator[str]:
    for language, text in words.items():
        yield f"{name} ({language}): “{text}”"


# target -> its name on the page, and whether it is a floor
TARGET_WORDS: dict[str, tuple[str, bool]] = {
    "resolution_rate": ("conversations solved without a person", True),
    "escalation_rate": ("conversations that a person took over", False),
    "csat": ("the customers' average score", True),
    "handling_time": ("how long a conversation takes", False),
}


def _targets(description: AgentDescription) -> Block:
    if not description.targets:
        return Paragraph("No figure is named.")
    rows = []
    for name, (about, floor) in TARGET_WORDS.items():
        if name in description.targets:
            rows.append((about, f"at {'least' if floor else 'most'} {target_text(name, description.targets[name])}"))
    return Table(("figure", "target"), tuple(rows))


def target_text(name: str, value: float) -> str:
    """Return a target as its rule file writes it."""
    if name == "handling_time":
        return span_text(value)
    return f"{value:g}" if name == "csat" else f"{value * 100:g}%"


def _signatures(description: AgentDescription) -> Table:
    rows = ((description.owner, BLANK, BLANK), (BLANK, BLANK, BLANK))
    return Table(("name", "signature", "date"), rows)
