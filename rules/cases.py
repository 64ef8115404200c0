"""Runs the conversations of test files against a ruleset, with a clock of their own, and counts what they cover."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from rules.case_files import Case, EndStep, Expect, TurnStep, read_case_files
from rules.decision import FiredRule
from rules.errors import RuleFileInvalid
from rules.evaluate import Evaluation, Ruleset, evaluate
from rules.explain import condition_text, fired
from rules.facts import Facts
from rules.history import cut, remember
from rules.model import Aggregate, All, Any, CallMatch, Compare, Condition, Not, Rule, Span, Verdict
from rules.say import of_rule
from rules.turn import Conversation, Value
from rules.wording import aggregate_text, unit_of, value_text


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that was not met. `turn` counts the steps of the case from 1.

    `why` holds lines that tell how it came: the checks behind what fired, and the values that an expected rule met.
    """

    turn: int
    span: Span
    what: str
    expected: str
    got: str
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of one case. `seen` holds for each rule that fired the comparisons that made it, by their text."""

    file: str
    name: str
    span: Span
    turns: int
    failures: tuple[Failure, ...]
    seen: Mapping[str, frozenset[str]]

    @property
    def passed(self) -> bool:
        """Return whether every expectation was met."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class RuleCoverage:
    """How often tests made a rule fire, and which of its comparisons never helped to."""

    rule_id: str
    span: Span
    cases: int
    unseen: tuple[str, ...]


@dataclass(slots=True)
class _Run:
    """Where a case stands: its clock, its conversation, and the handoff that is open."""

    now_ms: int
    conversation: Conversation
    handoff_open: bool = False
    fenced: bool = False
    seen: dict[str, set[str]] = field(default_factory=dict)


def run_cases(ruleset: Ruleset, texts: Mapping[str, str]) -> tuple[CaseResult, ...]:
    """Return the result of every case in the test files. Raises RuleFileInvalid when a test file has a mistake."""
    cases, problems = read_case_files(texts, ruleset.files)
    if any(problem.severity == "error" for problem in problems):
        raise RuleFileInvalid(problems)
    return tuple(run_case(ruleset, case) for case in cases)


def run_case(ruleset: Ruleset, case: Case) -> CaseResult:
    """Return what came of one case; it is run to its end, whatever fails on the way."""
    run = _Run(case.at_ms, Conversation(case.conversation_id))
    failures: list[Failure] = []
    for number, step in enumerate(case.steps, start=1):
        run.now_ms += step.after_ms
        failures += _end(run, step, number) if isinstance(step, EndStep) else _turn(ruleset, run, step, number)
    seen = {rule_id: frozenset(texts) for rule_id, texts in run.seen.items()}
    turns = sum(isinstance(step, TurnStep) for step in case.steps)
    return CaseResult(case.file, case.name, case.span, turns, tuple(failures), seen)


def coverage(ruleset: Ruleset, results: Iterable[CaseResult]) -> tuple[RuleCoverage, ...]:
    """Return how far the cases reach, rule by rule in order of precedence."""
    all_seen = [result.seen for result in results]
    covered = []
    for rule in ruleset.files.rules:
        seen = [of_case[rule.id] for of_case in all_seen if rule.id in of_case]
        together = frozenset[str]().union(*seen)
        unseen = tuple(text for text in dict.fromkeys(_leaves(rule.when, negated=False)) if text not in together)
        covered.append(RuleCoverage(rule.id, rule.span, len(seen), unseen))
    return tuple(covered)


def render_failure(result: CaseResult, failure: Failure) -> str:
    """Return a failure as a person reads it: place, case and turn; what was expected, what came, and why."""
    span = failure.span
    lines = [
        f"{span.file}:{span.line}:{span.column}: `{result.name}`, turn {failure.turn}",
        f"      expected {failure.what} {failure.expected}",
        f"      got      {failure.what} {failure.got}",
        *(f"        {line}" for line in failure.why),
    ]
    return "\n".join(lines)


def _end(run: _Run, step: EndStep, number: int) -> list[Failure]:
    """End the open handoff: what came before it never counts again."""
    if not run.handoff_open:
        return [Failure(number, step.span, "an open handoff", f"to {step.end}", "none is open")]
    run.handoff_open = run.fenced = False
    ended = replace(run.conversation, handoffs_count=run.conversation.handoffs_count + 1, last_handoff_at_ms=run.now_ms)
    run.conversation = cut(ended, run.now_ms)
    return []


def _turn(ruleset: Ruleset, run: _Run, step: TurnStep, number: int) -> list[Failure]:
    before = run.conversation
    evaluation = evaluate(ruleset, step.turn, before, run.now_ms)
    because = fired(ruleset, evaluation)
    for rule in because:
        run.seen.setdefault(rule.rule_id, set()).update(check.text for check in rule.checks)
    verdict: Verdict = "held_by_human" if run.fenced else evaluation.verdict
    run.handoff_open = run.handoff_open or verdict not in ("continue", "held_by_human")
    run.fenced = run.fenced or verdict == "escalate"
    run.conversation = remember(before, evaluation.record)
    if step.expect is None:
        return []
    unmet = _unmet(ruleset, step.expect, evaluation, verdict)
    if not unmet:
        return []
    why = (*_fired_lines(because), *_quiet_lines(ruleset, step.expect, evaluation, before, run.now_ms))
    return [Failure(number, step.expect.span, what, wanted, got, why) for what, wanted, got in unmet]


def _unmet(ruleset: Ruleset, expect: Expect, evaluation: Evaluation, verdict: Verdict) -> list[tuple[str, str, str]]:
    """Return every expectation that is not met: what of, what was expected, what came."""
    then = evaluation.top.then if evaluation.top else None
    live = frozenset(rule.id for rule in evaluation.rules)
    shadow = frozenset(rule.id for rule in evaluation.shadow)
    topics = _names(evaluation.values.get("topics")) | _names(evaluation.values.get("reply_topics"))
    said = _said(ruleset, evaluation) if expect.say else None
    code = then and then.reason_code
    asked: list[tuple[str, object, object, bool]] = [
        ("verdict", expect.verdict, verdict, expect.verdict == verdict),
        ("queue", expect.queue, then and then.queue, then is not None and expect.queue == then.queue),
        ("priority", expect.priority, then and then.priority, then is not None and expect.priority == then.priority),
        ("words", expect.say, said, expect.say == said),
        ("reason code", expect.reason_code, code, code == expect.reason_code),
        ("rules", expect.rules, live, expect.rules == live),
        ("rules with", expect.rules_include or None, live, expect.rules_include <= live),
        ("rules without", expect.rules_exclude or None, live | shadow, not expect.rules_exclude & (live | shadow)),
        ("shadow rules", expect.shadow, shadow, expect.shadow == shadow),
        ("topics with", expect.topics or None, topics, expect.topics <= topics),
    ]
    return [(what, _shown(wanted), _shown(got)) for what, wanted, got, met in asked if wanted is not None and not met]


def _said(ruleset: Ruleset, evaluation: Evaluation) -> str | None:
    """Return what the agent says under the first rule, in the customer's language."""
    if evaluation.top is None:
        return None
    then = evaluation.top.then
    queue = ruleset.files.queues.get(then.queue or "")
    return of_rule(then, queue, evaluation.turn.locale)


def _names(value: Value) -> frozenset[str]:
    return value if isinstance(value, frozenset) else frozenset()


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    return "none" if value is None else str(value)


def _fired_lines(because: Iterable[FiredRule]) -> Iterable[str]:
    for rule in because:
        checks = "; ".join(check.sentence for check in rule.checks)
        yield f"{rule.rule_id} fired{'' if rule.live else ' in shadow'}: {checks}"


def _quiet_lines(
    ruleset: Ruleset, expect: Expect, evaluation: Evaluation, before: Conversation, now_ms: int
) -> Iterable[str]:
    """Yield, for each expected rule that stayed quiet, what its comparisons met."""
    fired_ids = {rule.id for rule in (*evaluation.rules, *evaluation.shadow)}
    wanted = (expect.rules or frozenset()) | expect.rules_include | (expect.shadow or frozenset())
    facts = Facts(evaluation.values, evaluation.turn, before, now_ms)
    for number, rule in enumerate(ruleset.files.rules):
        if rule.id in wanted and rule.id not in fired_ids:
            measured = {text: measure(facts) for text, measure in ruleset.measures[number]}
            yield f"{rule.id} stayed quiet: " + "; ".join(_met(rule, {**evaluation.values, **measured}))


def _met(rule: Rule, values: Mapping[str, Value]) -> Iterable[str]:
    """Yield each comparison of a rule with the value that it met."""
    for compare in _compares(rule.when):
        left = compare.left
        name = aggregate_text(left) if isinstance(left, Aggregate) else left
        yield f"{compare.text} met {value_text(values.get(name), unit_of(left))}"
    for match in _matches(rule.when):
        yield f"no tool call met `{condition_text(match.condition)}`"


def _compares(condition: Condition) -> Iterable[Compare]:
    if isinstance(condition, Compare):
        yield condition
    elif isinstance(condition, Not):
        yield from _compares(condition.part)
    elif isinstance(condition, All | Any):
        for part in condition.parts:
            yield from _compares(part)


def _matches(condition: Condition) -> Iterable[CallMatch]:
    if isinstance(condition, CallMatch):
        yield condition
    elif isinstance(condition, All | Any):
        for part in condition.parts:
            yield from _matches(part)


def _leaves(condition: Condition, *, negated: bool) -> Iterable[str]:
    """Yield the text of every check that a condition can rest on, as rules/explain.py words it."""
    if isinstance(condition, Compare):
        yield f"not {condition.text}" if negated else condition.text
    elif isinstance(condition, Not):
        yield from _leaves(condition.part, negated=not negated)
    elif isinstance(condition, CallMatch):
        if negated:
            yield f"not tool_call: {condition_text(condition.condition)}"
        else:
            yield from _leaves(condition.condition, negated=False)
    else:
        for part in condition.parts:
            yield from _leaves(part, negated=negated)
