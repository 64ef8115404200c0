"""Rule file texts to RuleFiles, or to every problem in them at once. Text in, values out; no file is opened here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TypeVar

from rules.compile.agents import Described, read_agents, read_undescribed
from rules.compile.declarations import (
    read_approvals,
    read_customer,
    read_signals,
    read_thresholds,
    read_timezone,
    read_topics,
)
from rules.compile.names import Declared, Names, declared_in
from rules.compile.notify import in_timezone, read_channels, refuse_unknown_channels
from rules.compile.queues import read_queues, refuse_unknown_moves, refuse_wrong_moves
from rules.compile.rules import precedence, read_rules
from rules.compile.units import tell_of_units
from rules.compile.values import read_keys
from rules.files.errors import Problem, RuleFileInvalid
from rules.files.files_hash import files_hash
from rules.files.keys import FILE_KEYS, VERSION
from rules.files.nodes import ListNode, MapNode, Node, TextNode
from rules.files.source import Source, read_source
from rules.findings.calls import tell_of_calls
from rules.findings.languages import read_languages, tell_of_languages
from rules.findings.rules import tell_of_hand_overs, tell_of_rules
from rules.findings.topics import tell_of_regulated
from rules.model import Rule, RuleFiles, Span

T = TypeVar("T")

# What each key of a file declares, in the order in which one may need the other.
_DECLARING: tuple[tuple[str, Callable[[Source, Node, Names], None]], ...] = (
    ("thresholds", read_thresholds),
    ("signals", read_signals),
    ("customer", read_customer),
    ("topics", read_topics),
    ("channels", read_channels),
    ("queues", read_queues),
)


# What these miss may stand in the part of a torn file that could not be read.
_ABSENCE_CODES: frozenset[str] = frozenset({"R115", "W209"})


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came of rule files: None where they have errors, every problem, and what they declare all the same."""

    files: RuleFiles | None
    problems: tuple[Problem, ...]
    declared: Declared


def compile_files(
    texts: Mapping[str, str], operators: Mapping[str, str] | None = None
) -> tuple[RuleFiles | None, tuple[Problem, ...]]:
    """Return the rule files of one directory and every problem in them, as `compiled` does."""
    found = compiled(texts, operators)
    return found.files, found.problems


def compiled(texts: Mapping[str, str], operators: Mapping[str, str] | None = None) -> Compiled:
    """Return the rule files of one directory and every problem in them, by file, line and column.

    `texts` holds each file's text by its name. The files are None when any problem is an error; warnings may
    accompany files that load. The same texts give the same answer, whatever their order. Nothing is raised.
    `operators` holds the operators files beside them by name: with any, queues that nobody can serve are told too.
    """
    if not texts:
        return Compiled(None, (Problem("R117", Span("rules", 1, 1, 2), "there is no rule file", ""),), Declared())
    sources = [read_source(name, texts[name]) for name in sorted(texts)]
    for source in sources:
        for finding in source.escapes:
            source.refuse_offset(*finding)
    names = Names(torn=tuple(source.text for source in sources if source.torn))
    read = [(source, _file_keys(source)) for source in sources]
    timezone = _one_of_all(read, "timezone", "time zone", read_timezone) or "UTC"
    approvals = _one_of_all(read, "approvals", "number of approvals", read_approvals) or 1
    for key, declare in _DECLARING:
        for source, values in read:
            if key in values:
                declare(source, values[key], names)
    refuse_wrong_moves(names)
    refuse_unknown_channels(names)
    names.queues.update(in_timezone(names.queues, timezone))
    rules: list[Rule] = []
    for source, values in read:
        if "rules" in values:
            rules += read_rules(source, values["rules"], names)
    refuse_unknown_moves(names)
    rules.sort(key=precedence)
    tell_of_calls(rules, names, {source.file: source for source in sources})
    tell_of_rules(rules, names, {source.file: source for source in sources})
    described = _described(read, names, rules)
    rules = sorted([*rules, *described.made], key=precedence)
    tell_of_hand_overs(described.agents.values(), names, {source.file: source for source in sources})
    tell_of_regulated(rules, names)
    tell_of_languages(sources, _one_of_all(read, "languages", "list of languages", read_languages))
    tell_of_units(names)
    names.refuse_silent()
    names.refuse_unused()
    # The rules may all be in a file of which nothing could be read.
    unread = any(source.torn or not isinstance(source.root, MapNode) for source in sources)
    some = names.declared.get("agent") or any(isinstance(values.get("rules"), ListNode) for _, values in read)
    if not some and not unread:
        sources[0].refuse_at("W209", Span(sources[0].file, 1, 1, 2), "no file holds a rule")
    problems = _sorted(sources, _told_of_operators(operators, names) if operators else [])
    if any(problem.severity == "error" for problem in problems):
        return Compiled(None, problems, names.declared_names(timezone))
    files = _rule_files(texts, names, rules)
    files = replace(files, timezone=timezone, approvals=approvals, agents=described.agents)
    return Compiled(files, problems, declared_in(files))


def _told_of_operators(operators: Mapping[str, str], names: Names) -> list[Problem]:
    # Few directories say who works, and only for them people and handoffs are loaded.
    told: list[Problem] = import_module("rules.findings.queues").tell_of_operators(operators, names)
    return told


def files_or_raise(texts: Mapping[str, str]) -> RuleFiles:
    """Return the rule files of one directory. Raises RuleFileInvalid with every problem, warnings included."""
    files, problems = compile_files(texts)
    if files is None:
        raise RuleFileInvalid(problems)
    return files


def _file_keys(source: Source) -> dict[str, Node]:
    """Return the values under the file's top-level keys."""
    start = Span(source.file, 1, 1, 2)
    if source.root is None:
        source.refuse_at("R115", start, "the file is empty")
        return {}
    if not isinstance(source.root, MapNode):
        source.refuse("R115", source.root, "the file is not a map of keys")
        return {}
    version = source.root.get("handrail")
    if version is None and source.root.get("handrail_tests") is not None:
        name = re.sub(r"(\.?tests?)?\.ya?ml$", "", source.file.rpartition("/")[2])
        message = "the file holds tests, and its name does not end in `.tests.yaml`"
        source.refuse_at("R115", start, message, f"rename it to `{name}.tests.yaml`")
        # It holds nothing of a rule file, so nothing of one is missed in it.
        source.root = None
        return {}
    if version is None:
        source.refuse_at("R115", start, "the file does not begin with `handrail: 1`")
    elif not (isinstance(version, TextNode) and version.value == VERSION):
        shown = f"`{version.value}`" if isinstance(version, TextNode) else "this"
        source.refuse("R115", version, f"{shown} is no version of the language", "write `handrail: 1`")
    known = {name: spec for name, spec in FILE_KEYS.items() if name != "handrail"}
    others = MapNode([pair for pair in source.root.pairs if pair[0].value != "handrail"], *source.root[1:])
    return read_keys(source, others, known, "a rule file") or {}


def _one_of_all(
    read: list[tuple[Source, dict[str, Node]]], key: str, what: str, reader: Callable[[Source, Node], T | None]
) -> T | None:
    """Return the one value that the files have under a key, None when none has one."""
    first: tuple[Source, Node, T] | None = None
    for source, values in read:
        if key not in values:
            continue
        value = reader(source, values[key])
        if value is not None and first is None:
            first = (source, values[key], value)
        elif value is not None and first is not None and value != first[2]:
            message = f"the {what} is `{first[2]}` already, at {first[0].file}:{first[1].line}"
            source.refuse("R107", values[key], message, f"keep one {what} for all files")
    return first[2] if first else None


def _described(read: list[tuple[Source, dict[str, Node]]], names: Names, rules: list[Rule]) -> Described:
    """Return what all files say of agents, whose descriptions may name any of the rules that are written out."""
    described = Described({rule.id: rule for rule in rules})
    for key, add in (("agents", read_agents), ("undescribed_agents", read_undescribed)):
        for source, values in read:
            if key in values:
                add(source, values[key], names, described)
    return described


def _sorted(sources: list[Source], beside: list[Problem]) -> tuple[Problem, ...]:
    problems = beside + [
        problem
        for source in sources
        for problem in source.problems
        if not (source.torn and problem.code in _ABSENCE_CODES)
    ]
    return tuple(sorted(problems, key=lambda each: (each.span.file, each.span.line, each.span.column, each.code)))


def _rule_files(texts: Mapping[str, str], names: Names, rules: list[Rule]) -> RuleFiles:
    return RuleFiles(
        hash=files_hash(texts),
        thresholds={name: threshold.value for name, threshold in names.thresholds.items()},
        topics=names.topics,
        queues=names.queues,
        signals=names.declarations,
        rules=tuple(rules),
        budgets={name: queue.budget for name, queue in names.queues.items() if queue.budget is not None},
    )
