"""How a turn of a test came to its answer: the checks behind what fired, and what an expected rule still lacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rules.cases.case_run import Seen
from rules.cases.probes import Leaf, Truth, probe_of
from rules.cases.values import Expect
from rules.evaluation.call_values import call_values
from rules.evaluation.comparisons import COMPARISONS
from rules.evaluation.evaluate import Evaluation, Ruleset
from rules.evaluation.explain import fired
from rules.evaluation.facts import Facts
from rules.evaluation.near_misses import near_misses
from rules.evaluation.wording import unit_of, value_text
from rules.turn import Value

# How a comparison is marked: it holds, it does not, or what it speaks of is unknown.
MARKS: dict[Truth, str] = {True: "yes", False: "no ", None: "?  "}


def why(ruleset: Ruleset, expect: Expect, seen: Seen) -> tuple[str, ...]:
    """Return lines that tell how a turn was judged, as far as they bear on what was expected."""
    if seen.judged is None:
        return ()
    evaluation = seen.judged.evaluation
    lines = []
    for one in fired(ruleset, evaluation):
        checks = "; ".join(check.sentence for check in one.checks)
        lines.append(f"{one.rule_id} fired{'' if one.live else ' in shadow'}: {checks}")
    lines += [f"shed: {shed.text}" for shed in seen.judged.shed]
    all_fired = {rule.id for rule in (*evaluation.rules, *evaluation.shadow)}
    wanted = (expect.rules or frozenset()) | expect.rules_include | (expect.shadow or frozenset())
    quiet = [number for number, rule in enumerate(ruleset.files.rules) if rule.id in wanted - all_fired]
    for number in quiet:
        lines += _quiet_lines(ruleset, number, evaluation, seen)
    if not wanted and expect.verdict != seen.judged.verdict:
        lines += _near_lines(ruleset, expect, evaluation, seen)
    return tuple(lines)


def _quiet_lines(ruleset: Ruleset, number: int, evaluation: Evaluation, seen: Seen) -> Iterator[str]:
    """Yield each comparison of a rule that stayed quiet, whether it held, and the value that it met."""
    facts = Facts(evaluation.values, evaluation.turn, seen.before, seen.now_ms)
    measured = {text: measure(facts) for text, measure in ruleset.measures[number]}
    values: dict[str, Value] = {**evaluation.values, **measured}
    calls = [call_values(call) for call in evaluation.turn.tool_calls]
    probe = probe_of(ruleset.files.rules[number])
    met = probe.met(values, calls)
    yield f"{probe.rule.id} stayed quiet"
    for leaf in probe.leaves:
        row = met.rows[leaf.number]
        if leaf.block is None:
            yield f"  {MARKS[row[0]]}  {leaf.text}{_actual(leaf, row[0], values)}"
        elif not row:
            yield f"  {MARKS[False]}  tool call with {leaf.text}, but the turn has no tool call"
        else:
            for call, truth in enumerate(row):
                yield f"  {MARKS[truth]}  tool call {call + 1}: {leaf.text}{_actual(leaf, truth, calls[call])}"


def _actual(leaf: Leaf, truth: Truth, values: dict[str, Value]) -> str:
    """Return the value that a comparison met, where that is not plain from its holding."""
    compare = leaf.compare
    if compare is None:
        return "" if truth else ", but one of the calls does, or may"
    value = value_text(values.get(leaf.signal), unit_of(compare.left))
    threshold = f" (${compare.threshold} is {value_text(_scalar(compare.operand), unit_of(compare.left))})"
    named = threshold if compare.threshold else ""
    if truth:
        return f" (it is {value})" if COMPARISONS[compare.operator].group == "order" else ""
    return f"{named}, but it is {value}"


def _scalar(operand: object) -> Value:
    return operand if isinstance(operand, bool | int | float | str) else None


def _near_lines(ruleset: Ruleset, expect: Expect, evaluation: Evaluation, seen: Seen) -> Iterator[str]:
    """Yield the rules that came nearest to the expected verdict, where the case names none."""
    if expect.verdict in ("continue", "held_by_human"):
        return
    for miss in near_misses(ruleset, evaluation, seen.before, seen.now_ms):
        if miss.verdict == expect.verdict:
            yield f"{miss.rule_id} nearly fired, it lacks: {_together([lack.sentence for lack in miss.lacks])}"


def _together(sentences: Sequence[str]) -> str:
    return "; ".join(sentences)
