"""How `handrail check` writes what it found: for people, programs, and the hosts that show it beside a change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from rules.files.errors import PROBLEMS, Problem, ProblemSpec, render
from rules.files.problem_json import problem_json
from rules.model import RuleFiles
from service import rule_files
from service.cli.plain_output import plain

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
SARIF_VERSION = "2.1.0"


@dataclass(frozen=True, slots=True)
class Checked:
    """One path that was checked: its rule files, None when they cannot be used, and everything found there.

    `cases` counts the tests that can be read, None where there is no file of them. What lies below this directory is
    called as it is from here, as code hosts and editors ask for it.
    """

    path: Path
    files: RuleFiles | None
    problems: tuple[Problem, ...]
    cases: int | None = None

    @classmethod
    def of(cls, path: Path) -> Checked:
        """Check the rule files of a directory and the tests beside them, or one file. Raises RulesUnreadable."""
        found = rule_files.examine_with_tests(path)
        # A file has hundreds of problems as easily as one, and its name costs more than the rest of each.
        called = cache(_from_here)
        return cls(path, found.files, tuple(problem.renamed(called) for problem in found.problems), found.cases)

    @property
    def errors(self) -> int:
        """Return how many of them keep the files from being used."""
        return sum(problem.severity == "error" for problem in self.problems)

    @property
    def warnings(self) -> int:
        """Return how many of them do not."""
        return len(self.problems) - self.errors


# What was found, whether warnings fail, and how wide the terminal is, None for none; to the whole text.
Format: TypeAlias = Callable[[Sequence[Checked], bool, int | None], str]


def _text(checked: Sequence[Checked], strict: bool, columns: int | None) -> str:
    """Return each problem as a person reads it, and a line for each path."""
    del strict
    lines = [render(problem, columns) for each in checked for problem in each.problems]
    return plain("\n".join([*lines, *map(_summary, checked)]))


def _summary(checked: Checked) -> str:
    files = checked.files
    if files is None:
        facts = [counted(checked.errors, "error"), counted(checked.warnings, "warning")]
        return f"{checked.path}: cannot be used: {', '.join(facts)}"
    facts = [
        counted(len(files.rules), "rule"),
        counted(len(files.topics), "topic"),
        counted(len(files.queues), "queue"),
    ]
    facts += [] if checked.cases is None else [counted(checked.cases, "test")]
    facts += [counted(checked.errors, "error")] if checked.errors else []
    return f"{checked.path}: {', '.join([*facts, counted(checked.warnings, 'warning')])}"


def counted(number: int, word: str) -> str:
    """Return `1 rule`, `2 rules`."""
    return f"{number} {word}" + ("" if number == 1 else "s")


def _json(checked: Sequence[Checked], strict: bool, columns: int | None) -> str:
    """Return one object with everything found."""
    del columns
    errors, warnings = sum(each.errors for each in checked), sum(each.warnings for each in checked)
    value = {
        "ok": errors == 0 and not (strict and warnings),
        "errors": errors,
        "warnings": warnings,
        "rulesets": [
            {
                "path": each.path.as_posix(),
                "hash": None if each.files is None else each.files.hash,
                "rules": None if each.files is None else len(each.files.rules),
                "tests": each.cases,
            }
            for each in checked
        ],
        "problems": [problem_json(problem) for each in checked for problem in each.problems],
    }
    return _dumped(value)


def _dumped(value: object) -> str:
    # People, who read text, need not wait for it to be loaded.
    text: str = import_module("json").dumps(value, ensure_ascii=False, indent=2)
    return text


def _github(checked: Sequence[Checked], strict: bool, columns: int | None) -> str:
    """Return a workflow command for each problem, which GitHub Actions shows at its line, and a line for each path."""
    del strict, columns
    return "\n".join(
        [*(_annotation(problem) for each in checked for problem in each.problems), *map(_summary, checked)]
    )


def _annotation(problem: Problem) -> str:
    span, spec = problem.span, PROBLEMS[problem.code]
    properties = {
        "file": span.file,
        "line": span.line,
        "endLine": span.line,
        "col": span.column,
        "endColumn": span.end_column,
        "title": f"{problem.code}: {spec.title}",
    }
    listed = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{problem.severity} {listed}::{_command_text(f'{problem.message} ({problem.next_step})')}"


# What would end a workflow command, or one of its properties, is written as a percentage.
def _command_text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _command_text(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(checked: Sequence[Checked], strict: bool, columns: int | None) -> str:
    """Return a SARIF log of one run; its rules are the codes that were found."""
    del strict, columns
    problems = [problem for each in checked for problem in each.problems]
    codes = sorted({problem.code for problem in problems})
    driver = {
        "name": "handrail",
        # As in service/command_line.py: only who asks for this format waits for it to be loaded.
        "version": import_module("importlib.metadata").version("handrail"),
        "rules": [_sarif_rule(PROBLEMS[code]) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        # Columns count characters here; the default of SARIF are UTF-16 units.
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(problem, codes.index(problem.code)) for problem in problems],
    }
    return _dumped({"$schema": SARIF_SCHEMA, "version": SARIF_VERSION, "runs": [run]})


def _sarif_rule(spec: ProblemSpec) -> dict[str, object]:
    return {
        "id": spec.code,
        "shortDescription": {"text": spec.title},
        "help": {"text": f"{spec.next_step}; docs/problems.md shows an example"},
        "defaultConfiguration": {"level": spec.severity},
    }


def _sarif_result(problem: Problem, index: int) -> dict[str, object]:
    span = problem.span
    region = {"startLine": span.line, "startColumn": span.column, "endColumn": max(span.end_column, span.column)}
    # The place moves with every line above it; what is said of which file does not.
    same = sha256(f"{problem.code}\0{span.file}\0{problem.message}".encode("utf-8", "replace")).hexdigest()
    return {
        "ruleId": problem.code,
        "ruleIndex": index,
        "level": problem.severity,
        "message": {"text": f"{problem.message}; {problem.next_step}"},
        "locations": [{"physicalLocation": {"artifactLocation": _artifact(span.file), "region": region}}],
        "partialFingerprints": {"handrail/v1": same},
    }


def _artifact(file: str) -> dict[str, object]:
    """Return where a file is: below the root of the sources when it lies below this directory."""
    path = Path(file)
    if path.is_absolute():
        return {"uri": path.as_uri()}
    return {"uri": quote(path.as_posix()), "uriBaseId": "%SRCROOT%"}


def _from_here(file: str) -> str:
    path, here = Path(file).absolute(), Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else file


FORMATS: Mapping[str, Format] = {"text": _text, "json": _json, "github": _github, "sarif": _sarif}
