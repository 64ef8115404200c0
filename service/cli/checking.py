"""The work of `handrail check`: what is wrong is found, written and told. Of words it reads the plainest only.

A check that is asked for in plain words, as editors and hooks do at every save, is run without typer, which takes as
long to load as 500 rules to check. All else, and all that is refused, is left to the command line, which runs it anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rules.compile.names import UNKNOWN_CODES
from service.cli.check_formats import FORMATS, Checked
from service.cli.plain_output import EXIT_FINDINGS, EXIT_FINE, note, say_all, terminal_columns
from service.rule_files import TESTS_ENDINGS


def check_paths(paths: Sequence[Path], written: str, *, strict: bool) -> int:
    """Check each path, print what was found, in a format of FORMATS, and return the exit code.

    Raises RulesUnreadable, with nothing printed yet.
    """
    checked = [Checked.of(path) for path in paths]
    found = FORMATS[written](checked, strict, terminal_columns())
    if written == "text":
        _tell_of_lone_files(checked)
    say_all(found)
    failed = any(each.errors or (strict and each.warnings) for each in checked)
    return EXIT_FINDINGS if failed else EXIT_FINE


def checked_plainly(words: Sequence[str]) -> int | None:
    """Return the exit code of `handrail check` with these words, None where the command line must read them."""
    paths: list[Path] = []
    written, as_json, strict = None, False, False
    rest = iter(words)
    for word in rest:
        if word == "--strict":
            strict = True
        elif word == "--json":
            as_json = True
        elif word == "--format":
            written = next(rest, "")
        elif word.startswith("--format="):
            written = word.removeprefix("--format=")
        elif word and not word.startswith("-"):
            paths.append(Path(word))
        else:
            return None
    written = ("json" if as_json else "text") if written is None else written
    if not paths or written not in FORMATS or (as_json and written != "json"):
        return None
    try:
        return check_paths(paths, written, strict=strict)
    except Exception:
        # The command line runs into it again, and tells of it.
        return None


def _tell_of_lone_files(checked: Sequence[Checked]) -> None:
    for each in checked:
        alone = each.path.is_file() and not each.path.name.endswith(TESTS_ENDINGS)
        if alone and any(problem.code in UNKNOWN_CODES.values() for problem in each.problems):
            where = f"`handrail check {each.path.parent}`"
            note(f"{each.path} was read alone; names that other files declare count in {where}")
