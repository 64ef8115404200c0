"""What all rule files together say of one agent: its description, and every rule that can hold for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rules.agents.descriptions import ACTS, AUTONOMIES, ID_SEPARATOR, Act, AgentDescription, Autonomy
from rules.evaluation.comparisons import opposite, tester
from rules.evaluation.explain import condition_text
from rules.model import All, Any, CallMatch, Calls, Compare, Condition, Not, OnTimeout, Queue, Rule, RuleFiles


@dataclass(frozen=True, slots=True)
class Described:
    """An agent's description with the rules that apply to it: its own, and those of everybody that can hold for it."""

    description: AgentDescription
    ruleset: str
    own: tuple[Rule, ...]
    others: tuple[Rule, ...]
    queues: tuple[Queue, ...]


def found(files: RuleFiles, wanted: str) -> AgentDescription | None:
    """Return the description of an agent by its name, or by what it sends as `agent.id`."""
    by_id = (each for each in files.agents.values() if each.agent_id == wanted)
    return files.agents.get(wanted) or next(by_id, None)


def describe(files: RuleFiles, description: AgentDescription) -> Described:
    """Return what the files say of an agent that they describe."""
    own_ids = f"{description.name}{ID_SEPARATOR}"
    own = tuple(rule for rule in files.rules if rule.id.startswith(own_ids))
    others = tuple(
        rule for rule in files.rules if ID_SEPARATOR not in rule.id and can_hold(rule.when, description.agent_id)
    )
    return Described(description, files.hash, own, others, _queues(files, (*own, *others)))


def can_hold(condition: Condition, agent_id: str, *, negated: bool = False) -> bool:
    """Return whether the condition can hold on a turn of the agent; only what is said of `agent.id` rules it out."""
    match condition:
        case Compare(left="agent.id"):
            return tester(opposite(condition) if negated else condition)(agent_id)
        case Not(part):
            return can_hold(part, agent_id, negated=not negated)
        case All(parts) | Any(parts):
            each = (can_hold(part, agent_id, negated=negated) for part in parts)
            # De Morgan: under a negation `all` is met by one part, `any` only by every one.
            return all(each) if isinstance(condition, All) is not negated else any(each)
        case CallMatch() | Compare():
            return True


def _queues(files: RuleFiles, rules: Iterable[Rule]) -> tuple[Queue, ...]:
    """Return the queues of the rules, and those that they move on to at a deadline or for a call, in the order of the
    rules."""
    wanted = [rule.then.queue for rule in rules if rule.then.queue is not None]
    wanted += [rule.then.on_timeout.queue for rule in rules if rule.then.on_timeout and rule.then.on_timeout.queue]
    wanted += [rule.then.calls.queue for rule in rules if rule.then.calls is not None and rule.then.calls.queue]
    found: dict[str, Queue] = {}
    while wanted:
        name = wanted.pop(0)
        queue = files.queues.get(name)
        if queue is not None and name not in found:
            found[name] = queue
            wanted += [queue.on_timeout.queue] if queue.on_timeout.queue else []
            wanted += [queue.calls.queue] if queue.calls is not None and queue.calls.queue else []
    return tuple(found.values())


def acts_of(described: Described) -> tuple[Act, ...]:
    """Return the acts that the description speaks of, what an agent does all day included, in the order of ACTS."""
    made = {rule.id.removeprefix(f"{described.description.name}{ID_SEPARATOR}") for rule in described.own}
    return tuple(act for act in ACTS.values() if act.differs or any(_belongs(end, act) for end in made))


def _belongs(end: str, act: Act) -> bool:
    return end == act.name or end.startswith(f"{act.name}{ID_SEPARATOR}")


def as_json(described: Described) -> dict[str, object]:
    """Return the description and its rules as JSON has them, for programs."""
    description = described.description
    may = description.may
    return {
        "agent": description.name,
        "agent_id": description.agent_id,
        "title": description.title,
        "purpose": description.purpose,
        "owner": description.owner,
        "autonomy": description.autonomy,
        "versions": dict(description.versions),
        "people": {stage: people for stage, people in AUTONOMIES.items() if stage in stages_of(description)},
        "sample_percent": description.sample_percent,
        "live_percent": description.mode.percent,
        "may": {
            "tools": _list(may.tools),
            "writes": _list(may.writes),
            "amount_usd": may.amount_usd,
            "topics": _list(may.topics),
            "sources": _list(may.sources),
            "sources_required": may.sources_required,
            "languages": _list(may.languages),
            "channels": _list(may.channels),
        },
        "must_not": {"tools": _list(description.must_not_tools), "topics": _list(description.must_not_topics)},
        "hands_over": {
            "to": description.to,
            "priority": description.priority,
            "say": dict(description.say),
            "when": [
                {"why": one.why, "when": condition_text(one.when), "rule": one.rule_id}
                for one in description.hands_over
            ],
        },
        "approved_by": description.queue("hold"),
        "reviewed_by": description.queue("review"),
        "targets": dict(description.targets),
        "acts": [
            {
                "act": act.name,
                "why": act.why,
                "verdicts": {stage: act.verdict(stage) for stage in stages_of(description)},
            }
            for act in acts_of(described)
        ],
        "rules": [_rule(rule, own=True) for rule in described.own]
        + [_rule(rule, own=False) for rule in described.others],
        "queues": [_queue(queue) for queue in described.queues],
        "ruleset": described.ruleset,
    }


def stages_of(description: AgentDescription) -> tuple[Autonomy, ...]:
    """Return the stages at which some version is, that of all others last."""
    return tuple(dict.fromkeys((*description.versions.values(), description.autonomy)))


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _rule(rule: Rule, *, own: bool) -> dict[str, object]:
    then = rule.then
    return {
        "id": rule.id,
        "own": own,
        "why": rule.why,
        "when": condition_text(rule.when),
        "verdict": then.verdict,
        "queue": then.queue,
        "priority": then.priority,
        "say": dict(then.say),
        "answer_within_ms": then.answer_within_ms,
        "on_timeout": None if then.on_timeout is None else _on_timeout(then.on_timeout),
        "calls": _calls(then.calls),
        "live_percent": rule.mode.percent,
        "regulated": rule.regulated,
    }


def _queue(queue: Queue) -> dict[str, object]:
    return {
        "name": queue.name,
        "title": queue.title,
        "answer_within_ms": queue.answer_within_ms,
        "on_timeout": _on_timeout(queue.on_timeout),
        "calls": _calls(queue.calls),
        "say": dict(queue.say),
    }


def _on_timeout(on_timeout: OnTimeout) -> dict[str, object]:
    return {"verdict": on_timeout.verdict, "queue": on_timeout.queue, "say": dict(on_timeout.say)}


def _calls(calls: Calls | None) -> dict[str, object] | None:
    return None if calls is None else {"within_ms": calls.within_ms, "queue": calls.queue}
