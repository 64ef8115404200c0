"""`handrail init`: the shipped rule files and their tests, copied to where a manager edits them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from service import rule_files
from service.cli.output import refuse, say
from service.rule_files import ENDINGS, SCHEMAS_ENDING


def init(
    directory: Annotated[Path, typer.Argument(help="Where to put them; made if it is not there.", metavar="DIR")],
) -> None:
    """Copy the shipped rule files and their tests into a directory of your own.

    Nothing that is there is written over. Remove the files that you have no use for: each is a matter of its own, and
    `handrail check` tells when another one needs what was removed.

    \b
    Examples:
      handrail init my-rules
      handrail check my-rules && handrail test my-rules && handrail try --rules my-rules
    """
    if directory.exists() and not directory.is_dir():
        refuse(f"{directory} is no directory", "give the name of a new one")
    names = sorted(path.name for path in rule_files.LIBRARY.iterdir() if path.name.endswith((*ENDINGS, SCHEMAS_ENDING)))
    there = [name for name in names if (directory / name).exists()]
    if there:
        refuse(f"{directory} has {there[0]} already", "give the name of a new directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(rule_files.LIBRARY / name, directory / name)
    except OSError as away:
        refuse(f"{directory}: {(away.strerror or 'cannot be written').lower()}", "choose a directory you may write to")
    ruleset = rule_files.load(directory)
    say(f"{directory}: {len(names)} files, {len(ruleset.files.rules)} rules")
    say(f"next: `handrail try --rules {directory}` shows what they decide, `handrail check {directory}` finds mistakes")
