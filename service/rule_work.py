"""Rule files that somebody is still writing: checked, tested, tried, in a process of its own that may be killed.

Whoever may edit rules may also paste ten thousand of them, and no thread of a serving process can be stopped. Here a
question comes in on standard input and its answer goes out on standard output, one after the other, until it ends.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal, TypeAlias

import orjson

from rules.cases.case_files import read_beside
from rules.cases.case_json import case_json, coverage_json, totals_json
from rules.cases.coverage import Watch, coverage_of
from rules.cases.runner import read_cases, run_case
from rules.cases.values import Case
from rules.compile.rule_files import compile_files, compiled
from rules.evaluation.evaluate import Ruleset, build
from rules.files.errors import Problem, RuleFileInvalid, render
from rules.files.problem_json import problem_json
from rules.trial import STEPS_ALONE, Wanted, trial, trial_json
from service.rule_files import OPERATORS_NAMES, TESTS_ENDINGS

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

Kind: TypeAlias = Literal["check", "test", "try"]

# 10,000 rules take 200 MB. A pattern or a list that asks for more than this ends its own question, and nobody else's.
MEMORY_BYTES_MAX = 2_147_483_648
# Below the turns that are being answered beside it.
NICENESS = 10
# A page that is tried line by line sends the same files each time.
COMPILED_KEPT = 4
PROBLEMS_TOLD_MAX = 200
CASES_MAX = 2_000
# Length of what follows, as four bytes.
FRAME = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question about files by name: rule files, the tests beside them, and who works with them.

    `version` is the one that a trial's files are, as its answer names it.
    """

    kind: Kind
    texts: Mapping[str, str]
    case: Case | None = None
    coverage: bool = False
    wanted: Wanted = STEPS_ALONE
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The answer as JSON. `code` names the problem that it is instead, None for an answer."""

    code: str | None
    body: bytes


class Work:
    """Answers questions, and remembers the rules that were compiled last."""

    def __init__(self) -> None:
        self._compiled: OrderedDict[tuple[tuple[str, str], ...], Ruleset] = OrderedDict()

    def answer(self, asked: Asked) -> Told:
        """Return the answer, or the problem that there is none."""
        try:
            return self._answer(asked)
        except RuleFileInvalid as invalid:
            return _refused("rules_invalid", _count(invalid.problems), _told(invalid.problems))
        except MemoryError:
            return _refused("work_too_much", f"the files need more than {MEMORY_BYTES_MAX} bytes of memory", {})

    def _answer(self, asked: Asked) -> Told:
        texts = asked.texts
        tests = {name: text for name, text in texts.items() if name.endswith(TESTS_ENDINGS)}
        operators = {name: text for name, text in texts.items() if name.rpartition("/")[2] in OPERATORS_NAMES}
        rules = {name: text for name, text in texts.items() if name not in tests and name not in operators}
        if asked.kind == "check":
            return _checked(rules, operators, tests)
        ruleset = self._ruleset(rules)
        if asked.kind == "test":
            return _tested(ruleset, tests, watch=asked.coverage)
        case = trial("", 0) if asked.case is None else asked.case
        return _done({"version": asked.version, **trial_json(ruleset, case, asked.wanted)})

    def _ruleset(self, texts: Mapping[str, str]) -> Ruleset:
        key = tuple(sorted(texts.items()))
        found = self._compiled.get(key)
        if found is None:
            files, problems = compile_files(texts)
            if files is None:
                raise RuleFileInvalid(problems)
            found = self._compiled[key] = build(files)
        self._compiled.move_to_end(key)
        if len(self._compiled) > COMPILED_KEPT:
            self._compiled.popitem(last=False)
        return found


def _checked(rules: Mapping[str, str], operators: Mapping[str, str], tests: Mapping[str, str]) -> Told:
    found = compiled(rules, operators)
    files, problems = found.files, (*found.problems, *read_beside(tests, found.declared)[1])
    errors = sum(problem.severity == "error" for problem in problems)
    return _done(
        {
            "ok": not errors,
            "errors": errors,
            "warnings": len(problems) - errors,
            "hash": None if files is None else files.hash,
            "rules": None if files is None else len(files.rules),
            **_told(problems),
        }
    )


def _tested(ruleset: Ruleset, tests: Mapping[str, str], *, watch: bool) -> Told:
    cases = read_cases(ruleset, tests)
    if len(cases) > CASES_MAX:
        return _refused("work_too_much", f"there are {len(cases)} cases, the limit is {CASES_MAX}", {})
    looking = Watch(ruleset, all_rules=watch)
    results = [run_case(ruleset, case, looking) for case in cases]
    passed = sum(result.passed for result in results)
    covered = coverage_of(ruleset, [(result.name, result.span, result.reached) for result in results])
    return _done(
        {
            # As the command has it: where nothing ran, nothing passed.
            "ok": 0 < passed == len(results),
            "hash": ruleset.hash,
            "passed": passed,
            "failed": len(results) - passed,
            "cases": [case_json(result) for result in results],
            "coverage": coverage_json(covered, watched=watch) if watch else None,
            "totals": totals_json(covered) if watch else None,
        }
    )


def _told(problems: tuple[Problem, ...]) -> dict[str, object]:
    """Return the problems as programs and as people read them, errors first where there are too many."""
    told = problems
    if len(problems) > PROBLEMS_TOLD_MAX:
        told = tuple(sorted(problems, key=lambda problem: problem.severity == "warning"))[:PROBLEMS_TOLD_MAX]
    return {
        "problems": [problem_json(problem) for problem in told],
        "problems_total": len(problems),
        "rendered": "\n".join(map(render, told)).encode("utf-8", "replace").decode(),
    }


def _count(problems: tuple[Problem, ...]) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    return "the files have 1 error" if errors == 1 else f"the files have {errors} errors"


def _done(value: object) -> Told:
    return Told(None, orjson.dumps(value))


def _refused(code: str, detail: str, more: Mapping[str, object]) -> Told:
    return Told(code, orjson.dumps({"detail": detail, **more}))


def write(pipe: BinaryIO, value: object) -> None:
    """Put one value on a pipe."""
    data = pickle.dumps(value)
    pipe.write(FRAME.pack(len(data)) + data)
    pipe.flush()


def read(pipe: BinaryIO) -> object:
    """Take one value from a pipe; raises EOFError when the other side is gone."""
    head = pipe.read(FRAME.size)
    if len(head) < FRAME.size:
        raise EOFError
    # Only the process that has started this one writes here.
    return pickle.loads(pipe.read(FRAME.unpack(head)[0]))  # noqa: S301  # see above


def main() -> None:
    """Answer until whoever asks is gone."""
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
        os.nice(NICENESS)
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    work = Work()
    while True:
        try:
            asked = read(sys.stdin.buffer)
        except EOFError:
            return
        if isinstance(asked, Asked):
            write(answers, work.answer(asked))
