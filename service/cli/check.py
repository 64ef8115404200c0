"""`handrail check`: everything that is wrong with rule files, at once, each at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rules.compile_names import UNKNOWN_CODES
from rules.errors import render
from rules.problem_json import problem_json
from service import rule_files
from service.cli.output import EXIT_FINDINGS, JsonFlag, note, say, say_json


def check(
    paths: Annotated[list[Path], typer.Argument(help="Directories of rule files, or single files.", metavar="PATH...")],
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail the check too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Find every problem in rule files.

    Each directory is one set of rules: names are known across its files. Test files (*.tests.yaml) are left to
    `handrail test`. Exit code 0 when the rules can be used, 1 when they cannot, 2 when there is nothing to read.

    \b
    Examples:
      handrail check rules/library
      handrail check --strict my-rules || echo "do not ship"
      handrail check --json my-rules | jq '.problems[].code'
    """
    results = [(path, *rule_files.check(path)) for path in paths]
    problems = [problem for _, _, found in results for problem in found]
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    if as_json:
        say_json(
            {
                "ok": errors == 0 and not (strict and warnings),
                "errors": errors,
                "warnings": warnings,
                "rulesets": [
                    {
                        "path": path.as_posix(),
                        "hash": None if ruleset is None else ruleset.hash,
                        "rules": None if ruleset is None else len(ruleset.files.rules),
                    }
                    for path, ruleset, _ in results
                ],
                "problems": [problem_json(problem) for problem in problems],
            }
        )
    else:
        for problem in problems:
            say(render(problem))
        for path, ruleset, found in results:
            if ruleset is not None:
                kinds = f"{len(ruleset.files.rules)} rules, {len(ruleset.files.topics)} topics"
                say(f"{path}: {kinds}, {len(ruleset.files.queues)} queues, {_count(len(found), 'warning')}")
            else:
                bad = sum(problem.severity == "error" for problem in found)
                if path.is_file() and any(problem.code in UNKNOWN_CODES.values() for problem in found):
                    note(
                        f"{path} was read alone; names that other files declare count in `handrail check {path.parent}`"
                    )
                say(f"{path}: cannot be used: {_count(bad, 'error')}, {_count(len(found) - bad, 'warning')}")
    if errors or (strict and warnings):
        raise typer.Exit(EXIT_FINDINGS)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
