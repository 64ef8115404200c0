"""How one rule differs from what it was: when it fires, what it asks for, what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rules.agents.descriptions import ACTS, AUTONOMIES, ID_SEPARATOR
from rules.diff.busy import busy_facts
from rules.diff.conditions import Grounds, compares_in, condition_moved, said_of, thresholds_in
from rules.diff.declared import calls_facts, within
from rules.diff.differences import EFFECT_OF, Change, Direction, Effect, Fact, effect_of, sooner
from rules.diff.promises import end_facts, words_facts
from rules.evaluation.explain import condition_text
from rules.evaluation.wording import unit_of, value_text
from rules.findings.entailment import Reasoning
from rules.model import PRIORITIES, VERDICTS, Calls, OnTimeout, Rule, RuleFiles, Topic, Verdict

CONDITION_CHARS_MAX = 160
_FIRES: Mapping[Direction, str] = {
    "more": "fires more often",
    "less": "fires less often",
    "changed": "fires on other turns",
}
_FOUND: Mapping[Direction, str] = {"more": "in more texts", "less": "in fewer texts", "changed": "in other texts"}
_DOES: Mapping[Verdict, str] = {
    "continue": "only counts",
    "review": "asks for a review in",
    "hold": "holds for",
    "escalate": "escalates to",
}
_DID: Mapping[Verdict, str] = {
    "continue": "only counted",
    "review": "asked for a review in",
    "hold": "held for",
    "escalate": "escalated to",
}


@dataclass(frozen=True, slots=True)
class Context:
    """Both sets of files, what can be proved of their conditions, and what these rest on."""

    old: RuleFiles
    new: RuleFiles
    reasoning: Reasoning
    ground: Grounds

    def moved(self) -> dict[str, tuple[float, float]]:
        """Return the thresholds that both have, with other values."""
        one, other = self.old.thresholds, self.new.thresholds
        return {name: (one[name], other[name]) for name in one if name in other and one[name] != other[name]}


def change(old: Rule, new: Rule, context: Context) -> Change | None:
    """Return how a rule differs from the one of the same name, None when it does not."""
    found = [*_firing(old, new, context), *_asked(old, new, context), *_shed(old, new), *_words(old, new)]
    if not found:
        return None
    return Change(new.id, "changed", effect_of(found), tuple(fact.text for fact in found))


def _firing(old: Rule, new: Rule, context: Context) -> Iterable[Fact]:
    moved = condition_moved(old.when, new.when, context.reasoning, context.ground)
    said = said_of(old.when, new.when)
    if moved != "same":
        because = "; ".join([*_because(old, new, context), *said]) or "what it rests on has changed"
        # A rule that is not live, or asks for nobody, is only counted.
        live = (new.mode.percent or old.mode.percent) and (_asks(old) or _asks(new))
        effect = EFFECT_OF[moved] if live else "words"
        yield Fact(f"{_FIRES[moved]}: {because}", effect)
    elif said:
        yield Fact(f"is written in another way: {'; '.join(said)}", "words")
    if old.mode != new.mode:
        effect = "stricter" if new.mode.percent > old.mode.percent else "looser"
        yield Fact(f"{_mode(old)} → {_mode(new)}", effect if _asks(old) or _asks(new) else "words")


def _because(old: Rule, new: Rule, context: Context) -> Iterable[str]:
    """Yield the thresholds and topics that moved under the rule."""
    used = thresholds_in(old.when) & thresholds_in(new.when)
    for name, (before, after) in context.moved().items():
        if name in used:
            yield threshold_text(name, before, after, (old, new))
    asked = {str(compare.operand) for compare in compares_in(new.when) if compare.left in ("topics", "reply_topics")}
    person = any(compare.left == "asks_for_person" for compare in compares_in(new.when))
    for name, moved in context.ground.topics.items():
        means = [files.topics.get(name, Topic("")).means is not None for files in (context.old, context.new)]
        if moved != "same" and (name in asked or (person and any(means))):
            yield f"the topic {name} is found {_FOUND[moved]}"
        elif person and means[0] is not means[1]:
            yield f"the topic {name} {'also means' if means[1] else 'no longer means'} that a person is asked for"


def _asked(old: Rule, new: Rule, context: Context) -> Iterable[Fact]:
    """Yield what differs in what the rule asks for."""
    one, other = old.then, new.then
    if one.verdict != other.verdict:
        stronger = VERDICTS.index(other.verdict) > VERDICTS.index(one.verdict)
        yield Fact(f"{one.verdict} → {other.verdict}", "stricter" if stronger else "looser")
    if one.queue and other.queue and one.queue != other.queue:
        yield Fact(f"hands over to {other.queue} instead of {one.queue}", "changed")
    if one.priority != other.priority:
        higher = PRIORITIES.index(other.priority) > PRIORITIES.index(one.priority)
        yield Fact(f"priority {one.priority} → {other.priority}", "stricter" if higher else "looser")
    # Its own deadline and end alone: those of a queue are told with the queue.
    if one.answer_within_ms != other.answer_within_ms:
        yield within(_deadline(old, context.old), _deadline(new, context.new))
    if one.on_timeout != other.on_timeout:
        yield from _end_facts(_end(old, context.old), _end(new, context.new))
    # Its own, too; one that has none any more goes by its queue's.
    if one.calls != other.calls:
        yield from calls_facts(_calls(old, context.old), _calls(new, context.new))
    if old.regulated != new.regulated:
        yield Fact(f"is {'' if new.regulated else 'no longer '}about something regulated", sooner(new.regulated))


def _shed(old: Rule, new: Rule) -> Iterable[Fact]:
    """Yield what differs in what the rule gives up while its queue is over its budget."""
    live = old.mode.percent and new.mode.percent
    yield from (fact if live else Fact(fact.text, "words") for fact in busy_facts(old, new))


def _words(old: Rule, new: Rule) -> Iterable[Fact]:
    if old.why != new.why:
        yield Fact(f"another reason: {new.why}", "words")
    if old.then.say != new.then.say:
        yield from words_facts("words to the customer", old.then.say, new.then.say)
    if old.then.reason_code != new.then.reason_code:
        yield Fact(f"reason code {old.then.reason_code or 'none'} → {new.then.reason_code or 'none'}", "words")


def come(rule: Rule) -> Change:
    """Return what a rule that was not there before brings."""
    effect: Effect = "stricter" if _asks(rule) and rule.mode.percent else "words"
    return Change(rule.id, "added", effect, (f"new: {_said(_DOES, rule)} when `{_clipped(rule)}`",))


def gone(rule: Rule) -> Change:
    """Return what goes with a rule."""
    effect: Effect = "looser" if _asks(rule) and rule.mode.percent else "words"
    return Change(rule.id, "removed", effect, (f"removed: it {_said(_DID, rule)} when `{_clipped(rule)}`",))


def _asks(rule: Rule) -> bool:
    return rule.then.verdict != "continue"


def _said(words: Mapping[Verdict, str], rule: Rule) -> str:
    live = "" if rule.mode.percent == 100 else f", {_mode(rule)},"
    return f"{words[rule.then.verdict]} {rule.then.queue or ''}".strip() + live


def _mode(rule: Rule) -> str:
    percent = rule.mode.percent
    return "live" if percent == 100 else "in shadow" if percent == 0 else f"live for {percent}% of the conversations"


def _clipped(rule: Rule) -> str:
    text = condition_text(rule.when)
    return text if len(text) <= CONDITION_CHARS_MAX else text[: CONDITION_CHARS_MAX - 1] + "…"


def renamed(before: Mapping[str, Rule], after: Mapping[str, Rule]) -> dict[str, str]:
    """Return rules that only have another name, old to new. A rollout goes by the name, so it is another one then."""
    fresh: dict[str, list[Rule]] = {}
    for name, rule in after.items():
        if name not in before and rule.mode.percent in (0, 100):
            fresh.setdefault(condition_text(rule.when), []).append(rule)
    found: dict[str, str] = {}
    # Without one that is new no condition is written out: whoever takes rules away may take thousands.
    for rule in before.values() if fresh else ():
        if rule.id in after:
            continue
        same = fresh.get(condition_text(rule.when), [])
        match = next((other for other in same if _alike(rule, other)), None)
        if match is not None:
            same.remove(match)
            found[rule.id] = match.id
    return found


def restaged(before: Mapping[str, Rule], after: Mapping[str, Rule]) -> dict[str, str]:
    """Return rules that an agent's stage has, and that another stage has in their place, old to new.

    A share of the conversations goes by the rule's name: where it would be another one, nothing stands in its place.
    """
    found: dict[str, str] = {}
    fresh = {_act(name): name for name in after if name not in before and _act(name) is not None}
    for name, rule in before.items():
        new = fresh.get(_act(name)) if name not in after and _act(name) is not None else None
        if new is None or new in found.values():
            continue
        percents = rule.mode.percent, after[new].mode.percent
        if 100 in percents or 0 in percents:
            found[name] = new
    return found


def _act(rule_id: str) -> tuple[str, str] | None:
    """Return whose rule it is and about what, of a rule that one stage of an agent has."""
    for stage in AUTONOMIES:
        agent, found, act = rule_id.rpartition(f"{ID_SEPARATOR}{stage}{ID_SEPARATOR}")
        if found and act in ACTS:
            return agent, act
    return None


def restage(old: Rule, new: Rule, context: Context) -> Change:
    """Return how the rule of one stage differs from the one that stands in its place at another."""
    told = change(old, new, context)
    facts = (f"stands in place of {old.id}", *(told.facts if told else ()))
    return Change(new.id, "changed", told.effect if told else "words", facts)


def _alike(one: Rule, other: Rule) -> bool:
    """Return whether two rules with one condition ask for the same."""
    facts = [(rule.then, rule.mode, rule.regulated, rule.when_busy) for rule in (one, other)]
    return facts[0] == facts[1]


def _deadline(rule: Rule, files: RuleFiles) -> int | None:
    queue = files.queues.get(rule.then.queue or "")
    return rule.then.answer_within_ms or (queue.answer_within_ms if queue else None)


def _end(rule: Rule, files: RuleFiles) -> OnTimeout | None:
    queue = files.queues.get(rule.then.queue or "")
    return rule.then.on_timeout or (queue.on_timeout if queue else None)


def _end_facts(old: OnTimeout | None, new: OnTimeout | None) -> Iterable[Fact]:
    if old == new:
        yield Fact("its end when nobody comes is written in another place", "words")
    yield from end_facts(old, new)


def _calls(rule: Rule, files: RuleFiles) -> Calls | None:
    queue = files.queues.get(rule.then.queue or "")
    return rule.then.calls or (queue.calls if queue else None)


def threshold_text(name: str, old: float, new: float, users: Iterable[Rule]) -> str:
    """Return a threshold's move in the unit in which the rules use it."""
    compares = (compare for rule in users for compare in compares_in(rule.when) if compare.threshold == name)
    unit = next((unit_of(compare.left) for compare in compares), None)
    return f"{name} {value_text(old, unit)} → {value_text(new, unit)}"
