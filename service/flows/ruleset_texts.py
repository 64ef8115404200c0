"""The texts of a version to a Ruleset and what its tests say. Work for a thread: it takes milliseconds, or a second."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from rules.cases import CaseResult, run_cases
from rules.compile import compile_files
from rules.errors import Problem, RuleFileInvalid
from rules.evaluate import Ruleset, build
from service.flows.ruleset_refusals import RulesInvalid
from service.rule_files import TESTS_ENDINGS

# The active version, the staged one, the one before, and what a manager looks at; 2 MB each with 1,000 rules.
COMPILED_KEPT = 6


@dataclass(frozen=True, slots=True)
class Compiled:
    """A version's rules, ready to judge, with the warnings of its files and the results of its tests."""

    ruleset: Ruleset
    warnings: tuple[Problem, ...]
    results: tuple[CaseResult, ...]

    @property
    def failing(self) -> int:
        """Return how many tests fail."""
        return sum(not result.passed for result in self.results)


def rule_texts(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the rule files among the files."""
    return {name: text for name, text in texts.items() if not name.endswith(TESTS_ENDINGS)}


def case_texts(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the test files among the files."""
    return {name: text for name, text in texts.items() if name.endswith(TESTS_ENDINGS)}


def compiled(texts: Mapping[str, str]) -> Compiled:
    """Return the files compiled and tested. Raises RulesInvalid with every problem of rules or tests."""
    files, problems = compile_files(rule_texts(texts))
    if files is None:
        raise RulesInvalid(problems)
    ruleset = build(files)
    try:
        results = run_cases(ruleset, case_texts(texts))
    except RuleFileInvalid as invalid:
        raise RulesInvalid(invalid.problems, "the test files") from None
    return Compiled(ruleset, problems, results)


class CompiledVersions:
    """The versions that a process compiled last, by the digest of their files."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Compiled] = OrderedDict()

    def find(self, digest: str) -> Compiled | None:
        """Return what was compiled of these files."""
        found = self._kept.get(digest)
        if found is not None:
            self._kept.move_to_end(digest)
        return found

    def keep(self, digest: str, made: Compiled) -> Compiled:
        """Keep what was compiled, and let go of what was used the longest ago."""
        self._kept[digest] = made
        if len(self._kept) > COMPILED_KEPT:
            self._kept.popitem(last=False)
        return made
