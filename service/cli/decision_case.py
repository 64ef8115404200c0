"""`handrail test --from`: a real decision as a test case, from a running service to stdout."""

from __future__ import annotations

import os
import stat
import sys
from urllib.parse import quote

import typer

from service.cli.output import EXIT_FINDINGS, note, say_json
from service.cli.service_client import Service


def print_case(service: Service, decision_id: str, *, as_json: bool) -> None:
    """Print the decision as a test case; below what stands in the file already, when stdout is appended to one.

    What could not be kept is told beside it. Exit code 1 when the case does not pass as it stands.
    """
    told = service.get(f"/decisions/{quote(decision_id, safe='')}/case")
    if as_json:
        say_json(told)
    else:
        # As it is, not through `say`: every character of the case counts, and it escapes what a terminal would obey.
        typer.echo(told["case"] if _is_appended_to() else told["file"], nl=False)
        for fact in told["notes"]:
            note(f"note: {fact}")
        if not told["passes"]:
            note("note: the case does not pass as it stands; its comments say where")
    if not told["passes"]:
        raise typer.Exit(EXIT_FINDINGS)


def _is_appended_to() -> bool:
    """Return whether stdout is a file that has something in it, as after `>>`: `cases:` stands there already."""
    try:
        there = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(there.st_mode) and there.st_size > 0
