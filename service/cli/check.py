"""`handrail check`: everything that is wrong with rule files, at once, each at its place."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from rules.compile.names import UNKNOWN_CODES
from service.cli.check_formats import FORMATS, Checked
from service.cli.output import EXIT_FINDINGS, JsonFlag, note, refuse, say_all, terminal_columns
from service.rule_files import TESTS_ENDINGS


def check(
    paths: Annotated[list[Path], typer.Argument(help="Directories of rule files, or single files.", metavar="PATH...")],
    written: Annotated[
        str | None, typer.Option("--format", help=f"How to write it: {', '.join(FORMATS)}.", metavar="FORMAT")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail the check too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Find every problem in rule files.

    Each directory is one set of rules: names are known across its files. The tests beside them (*.tests.yaml) are read
    too, and run by `handrail test`. An operators.yaml in the directory says who works: then queues that nobody can
    serve are found too.

    `--format github` writes annotations for GitHub Actions, `--format sarif` a report that code hosts show beside a
    change. Exit code 0 when rules and tests can be used, 1 when they cannot (with --strict also when there are
    warnings), 2 when there is nothing to read.

    \b
    Examples:
      handrail check rules/library
      handrail check --strict my-rules || echo "do not ship"
      handrail check --json my-rules | jq '.problems[].code'
      handrail check --format sarif my-rules > handrail.sarif
    """
    if as_json and written not in (None, "json"):
        refuse(f"--json and --format {written} ask for two things", "write one of the two")
    if written is not None and written not in FORMATS:
        refuse(f"`{written}` is no format", f"write one of {', '.join(FORMATS)}")
    # Nothing is left behind for a collector to find, and looking takes a tenth of the time.
    gc.disable()
    checked = [Checked.of(path) for path in paths]
    if not as_json and written in (None, "text"):
        _tell_of_lone_files(checked)
    say_all(FORMATS["json" if as_json else written or "text"](checked, strict, terminal_columns()))
    if any(each.errors or (strict and each.warnings) for each in checked):
        raise typer.Exit(EXIT_FINDINGS)


def _tell_of_lone_files(checked: list[Checked]) -> None:
    for each in checked:
        alone = each.path.is_file() and not each.path.name.endswith(TESTS_ENDINGS)
        if alone and any(problem.code in UNKNOWN_CODES.values() for problem in each.problems):
            where = f"`handrail check {each.path.parent}`"
            note(f"{each.path} was read alone; names that other files declare count in {where}")
