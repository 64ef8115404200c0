"""The problems a rule file can have, as one table, and how one is shown. Nothing is looked for here."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from rules.model import Span

Severity: TypeAlias = Literal["error", "warning"]

# A terminal's width and a half: a longer source line is cut around the caret.
SOURCE_WIDTH_MAX = 120
_INDENT = " " * 6


@dataclass(frozen=True, slots=True)
class ProblemSpec:
    """One row of the table: what is wrong, a line that shows it, and what to do when the place has no better advice."""

    code: str
    severity: Severity
    title: str
    example: str
    next_step: str


def _table(*rows: tuple[str, str, str, str]) -> dict[str, ProblemSpec]:
    return {
        code: ProblemSpec(code, "warning" if code.startswith("W") else "error", title, example, next_step)
        for code, title, example, next_step in rows
    }


# R10x names, R11x the text and its YAML, R12x comparisons, R13x whole conditions, R14x queues and what happens there,
# R15x topics, R16x everything else of a rule, R17x test files, R18x agents; W2xx load all the same.
PROBLEMS: dict[str, ProblemSpec] = _table(
    ("R101", "unknown signal", "when: sentimant < -0.6", "write a signal of docs/rules.md or declare it"),
    ("R102", "unknown topic", "when: topics has refnds", "declare it under `topics:`"),
    ("R103", "unknown queue", "then: {escalate: tier9}", "declare it under `queues:`"),
    ("R104", "unknown threshold", "when: confidence < $low", "declare it under `thresholds:`"),
    ("R105", "unknown key", "wen: confidence < 0.5", "remove it or write a key that is known here"),
    ("R106", "a key is missing", "- why: no id", "add it"),
    ("R107", "a name is declared twice", "- id: unsure", "rename one of the two"),
    ("R108", "a name that cannot be used", "- id: very unsure", "write letters, digits, `-` and `_`, a letter first"),
    ("R109", "unknown word", "then: {escalate: tier1, priority: soon}", "write one of the known words"),
    ("R110", "not YAML", "when: [confidence < 0.5", "correct the syntax here or in the line above"),
    ("R111", "a character that cannot be read", "why: caf\\x00", "save the file as UTF-8 text"),
    ("R112", "a tab in the indentation", "\\twhen: confidence < 0.5", "indent with spaces"),
    ("R113", "larger or deeper than a rule file may be", "when: [[[[[[", "split the file"),
    ("R114", "YAML that rule files do not use", "when: !!str x", "write it out as plain text, lists and keys"),
    ("R115", "no `handrail: 1`", "rules: []", "begin the file with `handrail: 1`"),
    ("R116", "the wrong kind of value", "rules: unsure", "write it as docs/rules.md shows"),
    ("R117", "no rule file, or one that cannot be read", "", "put at least one .yaml file into the directory"),
    (
        "R120",
        "a comparison that cannot be read",
        "when: confidence is low",
        "write a signal, an operator and an operand, as `confidence < 0.5`",
    ),
    ("R121", "the comparison does not fit the signal", "when: channel < chat", "write a comparison that fits"),
    ("R122", "the operand does not fit the signal", "when: confidence < chat", "write an operand of the signal's type"),
    ("R123", "the operand has the wrong unit or range", "when: confidence < 55", "write it in the signal's unit"),
    ("R124", "an aggregate that cannot be computed", "when: avg(channel) < 2", "aggregate what each turn records"),
    (
        "R125",
        "a window that cannot be looked back over",
        "when: count(confidence < 0.5) over 90 turns >= 2",
        "shorten it",
    ),
    (
        "R130",
        "a condition of the wrong shape",
        "when: {all: []}",
        "write a comparison, or `all`, `any`, `not`, `tool_call`",
    ),
    ("R131", "a condition that can never hold", "all: [confidence < 0.2, confidence > 0.8]", "correct one of the two"),
    ("R132", "a condition nested too deep", "when: {not: {not: {not: …}}}", "split the rule in two"),
    ("R133", "a rule that never fires", "all: [topics has a, not: topics has a]", "correct or remove one of the two"),
    ("R140", "a queue without a deadline", "tier1: {on_timeout: {verdict: callback}}", "add `answer_within: 15m`"),
    (
        "R141",
        "a queue that does not say what happens at the deadline",
        "tier1: {answer_within: 5m}",
        "add `on_timeout:`",
    ),
    (
        "R142",
        "nothing to say to the customer",
        "then: {escalate: tier1}",
        "add `say: {en: …}` to the rule or its queue",
    ),
    (
        "R143",
        "a deadline that leads nowhere",
        "on_timeout: {verdict: escalate}",
        "add `queue:` with another queue's name",
    ),
    ("R145", "unknown channel", "page: oncal", "add it to the list `channels:`"),
    ("R146", "a budget that cannot be", "budget: {minutes: 0, over: 1h}", "write minutes above 0, and at most a day"),
    ("R147", "a rule that must never be shed", "priority: urgent … when_busy: […]", "remove `when_busy`"),
    ("R148", "a step that sheds nothing", "when_busy: [{over: 100%}]", "add `thresholds:` or `then:`"),
    ("R149", "a flood guard that cannot be", "flood: {agent: 20}", "write a number and a time, as `20 in 10m`"),
    ("R150", "a regulated topic without a source", "advice: {regulated: true}", "add `source:` with the law or rule"),
    ("R151", "a pattern that is refused", "patterns: ['(?=x)']", "correct it as RE2 reads patterns"),
    ("R152", "a phrase without a word", "phrases: ['  ']", "write a word or remove it"),
    ("R160", "a rollout that is no percentage", "mode: {rollout: 110%}", "write a whole number from 0% to 100%"),
    ("R161", "a threshold outside its own limits", "low: {value: 2, max: 1}", "correct the value or the limit"),
    ("R170", "a test names an unknown rule", "expect: {rules: [unsur]}", "write the id of a rule"),
    ("R171", "a moment that cannot be read", "at: monday", "write it as `2026-03-02T09:00Z`"),
    ("R172", "a test that expects nothing", "- {name: asks, message: hi}", "add `expect:`"),
    ("R180", "an agent that may do what it must not", "must_not: {tools: [refund]}", "remove it from one of the two"),
    ("R181", "a share that is no percentage", "targets: {resolution_rate: 0.7}", "write it as `70%`"),
    ("R182", "a description names an unknown rule", "hands_over: {to: tier1, when: [unsur]}", "write the id of a rule"),
    (
        "R183",
        "a setting for undescribed agents where none is described",
        "undescribed_agents: {hold: tier1}",
        "describe an agent under `agents:`, or write `allow`",
    ),
    ("W201", "a threshold that no rule uses", "low_confidence: 0.55", "remove it or use it as `$name`"),
    ("W202", "a topic that no rule asks for", "refunds: {phrases: [refund]}", "ask for it or remove it"),
    ("W203", "a queue that no rule uses", "tier2: {…}", "name it in a rule's `then:` or remove it"),
    ("W204", "a declared signal that no rule uses", "mood: {type: number}", "use it in a rule or remove it"),
    ("W205", "a condition that always holds", "when: confidence >= 0", "remove it or correct the number"),
    ("W206", "silence until the deadline", "then: {escalate: tier1}", "add `say: {en: …}` to the rule or its queue"),
    ("W207", "a rule without a reason", "- id: unsure", "add `why:`, which operators read"),
    ("W208", "the same phrase or pattern twice", "phrases: [refund, Refund]", "remove one of the two"),
    ("W209", "no rules", "handrail: 1", "add `rules:`"),
    (
        "W210",
        "a regulated matter that goes on unanswered",
        "on_timeout: {verdict: continue}",
        "write `callback` or `deny`",
    ),
    ("W211", "a very short time", "when: elapsed_ms > 90", "write the unit, as in `90s`"),
    ("W212", "silence at the deadline", "on_timeout: {verdict: callback}", "add `say: {en: …}` to the `on_timeout`"),
    (
        "W213",
        "a time that is never reached",
        "ladder: [{after: 20m, priority: high}]",
        "write a time before the deadline",
    ),
    (
        "W214",
        "calls that nobody promises",
        "calls: {queue: callbacks, within: 4h}",
        "write `on_timeout: {verdict: callback}`, or remove `calls:`",
    ),
    (
        "W215",
        "a threshold that stands for two things",
        "since_last_turn_ms > $limit_usd",
        "declare a threshold for each of the two",
    ),
    (
        "W216",
        "a signal that no topic feeds",
        "when: asks_for_person = true",
        "write `means:` at a topic with the words for it",
    ),
    ("W220", "a rule that always fires", "when: turn_count >= 1", "correct the condition, or remove the rule"),
    (
        "W221",
        "a rule that decides nothing",
        "when: confidence < 0.3",
        "make it stronger than the rule before it, or remove it",
    ),
    ("W222", "a phrase inside of another", "phrases: [refund, my refund]", "remove the longer one"),
    ("W223", "a phrase that is always taken back", "unless: [no refund]", "remove it, or correct `unless`"),
    ("W224", "words missing in a language", "say: {en: One moment.}", "add them, or declare `languages:`"),
    (
        "W225",
        "a regulated topic that asks for nobody",
        "advice: {regulated: true}",
        "ask for it in a rule with a queue",
    ),
    ("W226", "a queue that nobody can serve", "needs: [spanish]", "give an operator the skill, or ask for less"),
    (
        "W227",
        "a pattern that is never found",
        "patterns: ['\\\\p{Lu}+']",
        "write it as texts are read: small letters, single spaces",
    ),
    (
        "W228",
        "quotes of a word processor",
        "phrases: [“my money back”]",
        "write straight quotes, or none",
    ),
    ("W230", "a description that limits nothing", "autonomy: full", "say under `may:` or `must_not:` what it may do"),
    ("W231", "a test sends what is nearly a topic", "topics: [refnds]", "write a topic that a rule file declares"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong at one place. `hint` is the next step for this very place; the table's stands in for None.

    `first` is another place that the message ends with, as `a.yaml:3`.
    """

    code: str
    span: Span
    message: str
    source_line: str
    hint: str | None = None
    first: Span | None = None

    def renamed(self, name: Callable[[str], str]) -> Problem:
        """Return the problem with every file in it called as `name` says."""
        span = replace(self.span, file=name(self.span.file))
        if self.first is None:
            return replace(self, span=span)
        first = replace(self.first, file=name(self.first.file))
        message = self.message.removesuffix(f"{self.first.file}:{self.first.line}") + f"{first.file}:{first.line}"
        return replace(self, span=span, message=message, first=first)

    @property
    def severity(self) -> Severity:
        """Return whether the files load all the same."""
        return PROBLEMS[self.code].severity

    @property
    def next_step(self) -> str:
        """Return what the author can do about it."""
        return self.hint or PROBLEMS[self.code].next_step


class RuleFileInvalid(Exception):
    """The rule files cannot be used; `problems` holds everything found, warnings included."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(render(problem) for problem in problems))


def render(problem: Problem, columns: int | None = None) -> str:
    """Return the problem as a person reads it: place, code, fact; the source line; a caret and the next step.

    `columns` is how wide the terminal is, None for what is no terminal: a line that it folds would move the caret.
    """
    span = problem.span
    fact = f"{_plain(span.file)}:{span.line}:{span.column}: {problem.code}: {_plain(problem.message)}"
    # Less than half of the usual width shows nothing; the two characters are those that stand for what is cut off.
    width = SOURCE_WIDTH_MAX if columns is None else max(SOURCE_WIDTH_MAX // 2, columns - len(_INDENT) - 2)
    shown, before = _excerpt(problem.source_line, span.column, min(width, SOURCE_WIDTH_MAX))
    caret, next_step = " " * _width(before) + "^", _plain(problem.next_step)
    if columns is not None and len(_INDENT) + len(caret) + 1 + _width(next_step) > columns:
        caret += f"\n{_INDENT}"
    lines = [fact, *([f"{_INDENT}{shown}"] if shown else []), f"{_INDENT}{caret} {next_step}"]
    return "\n".join(lines)


def _excerpt(line: str, column: int, width: int) -> tuple[str, str]:
    """Return the source line without its indentation, cut when long, and the part of it before the column."""
    lead = len(line) - len(line.lstrip())
    text, at = _plain(line.strip()), max(0, column - 1 - lead)
    if len(text) > width:
        first = max(0, min(at - width // 2, len(text) - width))
        rest = len(text) - first - width
        text = ("…" if first else "") + text[first : first + width] + ("…" if rest > 0 else "")
        at = at - first + (1 if first else 0)
    return text, text[:at].ljust(at)


def _plain(text: str) -> str:
    """Return the text with every character that would move or hide others replaced by `�`, one for one."""
    text = text.replace("\t", " ")
    return text if text.isprintable() else "".join(each if each.isprintable() else "�" for each in text)


def _width(text: str) -> int:
    """Return how many columns of a terminal the text takes, so that the caret stands under its character."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
