"""Whether the rule files of a directory may decide: what is certainly a mistake is refused, what they lost is told.

Half of a rule file is mostly a rule file too. So files without any rule are refused, and files that lack what the tests
beside them still name; fewer rules may be meant. Texts in, values out; no file is opened here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rules.cases.case_files import read_beside
from rules.compile.names import UNKNOWN_CODES, declared_in
from rules.compile.rule_files import compile_files
from rules.diff.losses import Losses, losses, names_gone
from rules.files.errors import Problem, RuleFileInvalid
from rules.model import RuleFiles
from service.rule_files import TESTS_ENDINGS, RulesUnreadable, located

# `rules: []` says that no rule is meant, and has no such warning.
NO_RULES = "W209"
# What a test names and no rule file has.
_UNKNOWN = frozenset({*UNKNOWN_CODES.values(), "R170"})


class NamedByTests(RuleFileInvalid):
    """Rule files lack what decided before and what the tests beside them still name; `problems` are the tests'."""


NOTHING_LOST = Losses()


@dataclass(frozen=True, slots=True)
class Taken:
    """Rule files that may decide, their warnings, and what they no longer ask for of those before.

    `unmet` is what tests name and no rule file has, where it is not known what there was before.
    """

    files: RuleFiles
    warnings: tuple[Problem, ...]
    lost: Losses = NOTHING_LOST
    unmet: tuple[Problem, ...] = ()


def apart(texts: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the rule files and the tests among the texts."""
    tests = {name: text for name, text in texts.items() if name.endswith(TESTS_ENDINGS)}
    return {name: text for name, text in texts.items() if name not in tests}, tests


def taken(texts: Mapping[str, str], directory: Path, before: RuleFiles | None) -> Taken:
    """Return the rule files of a directory, which may hold tests, as what decides after `before`.

    Raises RuleFileInvalid with places that an editor can open, and RulesUnreadable where there is no rule.
    """
    rules, tests = apart(texts)
    files, problems = compile_files(rules)
    problems = located(problems, directory)
    if files is None:
        raise RuleFileInvalid(problems)
    if any(problem.code == NO_RULES for problem in problems):
        fact = "no file here holds a rule"
        raise RulesUnreadable(directory, fact, "put the rules there, or write `rules: []` to decide without any")
    if before is None:
        return Taken(files, problems, unmet=located(_unknown(tests, files), directory))
    if names_gone(before, files):
        unknown_before = {(problem.span, problem.message) for problem in _unknown(tests, before)}
        gone = [each for each in _unknown(tests, files) if (each.span, each.message) not in unknown_before]
        if gone:
            raise NamedByTests(located(gone, directory))
    return Taken(files, problems, losses(before, files))


def _unknown(tests: Mapping[str, str], files: RuleFiles) -> list[Problem]:
    """Return what the tests name and the rule files do not have."""
    if not tests:
        return []
    return [problem for problem in read_beside(tests, declared_in(files))[1] if problem.code in _UNKNOWN]
