"""`handrail diff`: what differs between two sets of rules, in rules and not in lines."""

from __future__ import annotations

from typing import Annotated

import typer

from rules.diff.files import diff as difference_of
from rules.diff.words import as_json as difference_json
from rules.diff.words import lines
from service.cli.named_rules import Where, named_rules
from service.cli.output import JsonFlag, say, say_json
from service.cli.service_client import DataDirOption, KeyOption, UrlOption


def diff(
    old: Annotated[str, typer.Argument(help="A directory, a version's number, `active` or `staged`.", metavar="OLD")],
    new: Annotated[str, typer.Argument(help="The same, to be held against it.", metavar="NEW")],
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what differs between two sets of rules: what got stricter, what looser, which thresholds moved.

    Either side is a directory of rule files (or one file), the number of a version, `active` for the version that
    decides, or `staged` for the one that is tried. Two directories need no service. What is called stricter or looser
    is proved for all turns; where it cannot be, it is told as changed.

    \b
    Examples:
      handrail diff rules-before rules-now
      handrail diff active my-rules
      handrail diff 3 4
    """
    one, other = named_rules([old, new], Where(url, key, data_dir))
    found = difference_of(one.files, other.files)
    if as_json:
        say_json({"old": one.name, "new": other.name, **difference_json(found)})
        return
    say(f"{one.name} → {other.name}")
    for line in lines(found):
        say(line)
