"""`handrail check` as typer reads it: its words and its help. The work is in checking.py."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from service.cli.check_formats import FORMATS
from service.cli.checking import check_paths
from service.cli.output import JsonFlag, refuse


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
    raise typer.Exit(check_paths(paths, "json" if as_json else written or "text", strict=strict))
