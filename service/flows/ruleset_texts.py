"""The texts of a version to a Ruleset, and to what its tests say. Work for a thread: milliseconds, or a second."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from rules.cases.runner import CaseResult, read_cases, run_case
from rules.compile.rule_files import compile_files
from rules.evaluation.evaluate import Ruleset, build
from rules.files.errors import Problem, RuleFileInvalid
from service.errors import LimitReached
from service.flows.ruleset_refusals import RulesInvalid
from service.rule_files import OPERATORS_NAMES, TESTS_ENDINGS

T = TypeVar("T")

# The active version, the staged one, the one before, and what a manager looks at; 2 MB each with 1,000 rules.
COMPILED_KEPT = 6
# Of one version; the library has 300 and takes a second.
CASES_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Built:
    """A version's rules, ready to judge, with the warnings of its files."""

    ruleset: Ruleset
    warnings: tuple[Problem, ...]


def rule_texts(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the rule files among the files: neither tests nor who works."""
    return {
        name: text
        for name, text in texts.items()
        if not name.endswith(TESTS_ENDINGS) and name.rpartition("/")[2] not in OPERATORS_NAMES
    }


def built(texts: Mapping[str, str]) -> Built:
    """Return the rules of the files. Raises RulesInvalid with every problem."""
    files, problems = compile_files(rule_texts(texts))
    if files is None:
        raise RulesInvalid(problems)
    return Built(build(files), problems)


def tested(ruleset: Ruleset, texts: Mapping[str, str]) -> tuple[CaseResult, ...]:
    """Return the result of every case in the test files. Raises RulesInvalid, and LimitReached before any is run."""
    try:
        cases = read_cases(ruleset, {name: text for name, text in texts.items() if name.endswith(TESTS_ENDINGS)})
    except RuleFileInvalid as invalid:
        raise RulesInvalid(invalid.problems, "the test files") from None
    if len(cases) > CASES_MAX:
        raise LimitReached("tests of a version", CASES_MAX, "keep the others with `handrail test` in CI")
    return tuple(run_case(ruleset, case) for case in cases)


class Kept(Generic[T]):
    """What was made of files last, by the digest of the files."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, T] = OrderedDict()

    def find(self, digest: str) -> T | None:
        """Return what was made of these files."""
        found = self._kept.get(digest)
        if found is not None:
            self._kept.move_to_end(digest)
        return found

    def keep(self, digest: str, made: T) -> T:
        """Keep what was made, and let go of what was used the longest ago."""
        self._kept[digest] = made
        if len(self._kept) > COMPILED_KEPT:
            self._kept.popitem(last=False)
        return made


class CompiledVersions:
    """The versions that a process compiled and tested last. A process that only decides by one never tests it."""

    def __init__(self) -> None:
        self.built: Kept[Built] = Kept()
        self.under_way: dict[str, asyncio.Task[Built]] = {}
        self.results: Kept[tuple[CaseResult, ...]] = Kept()
