"""`handrail diff`: what differs between two sets of rules, in rules and not in lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rules.compile import compile_files
from rules.diff import diff as difference_of
from rules.diff_words import as_json as difference_json
from rules.diff_words import lines
from rules.errors import RuleFileInvalid
from rules.model import RuleFiles
from service import rule_files
from service.cli.output import JsonFlag, refuse, say, say_json
from service.cli.service_client import DataDirOption, KeyOption, Service, UrlOption, service_at

NAMED = ("active", "staged")


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two: what it is called, and its rules."""

    name: str
    files: RuleFiles


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
    service: Service | None = None
    if not (_is_path(old) and _is_path(new)):
        service = service_at(url, key, data_dir)
    one, other = _side(old, service), _side(new, service)
    found = difference_of(one.files, other.files)
    if as_json:
        say_json({"old": one.name, "new": other.name, **difference_json(found)})
        return
    say(f"{one.name} → {other.name}")
    for line in lines(found):
        say(line)


def _is_path(name: str) -> bool:
    return name not in NAMED and not name.isdecimal()


def _side(name: str, service: Service | None) -> _Side:
    if service is None or _is_path(name):
        path = Path(name)
        files, problems = compile_files(rule_files.read_directory(path))
        if files is None:
            raise RuleFileInvalid(rule_files.located(problems, path))
        return _Side(name, files)
    number = _number(name, service)
    if number == 0:
        return _Side("the service's own rules", _own(service))
    texts = service.get(f"/rulesets/{number}")["texts"]
    files, problems = compile_files({file: text for file, text in texts.items() if _is_rules(file)})
    if files is None:
        raise RuleFileInvalid(problems)
    return _Side(f"version {number}", files)


def _number(name: str, service: Service) -> int:
    if name.isdecimal():
        return int(name)
    found = service.get("/rulesets?limit=1")[name]
    if found is None:
        refuse("no version is staged", "`handrail history` lists the versions")
    return int(found)


def _own(service: Service) -> RuleFiles:
    """Return the library, when that is what the service decides with by itself."""
    active = service.get("/rulesets/active")
    files, _ = compile_files(rule_files.read_directory(rule_files.LIBRARY))
    if files is None or (active["version"] == 0 and active["hash"] != files.hash):
        refuse(
            "the service decides with rules of its own that are not in this installation",
            "name their directory instead of `active`",
        )
    return files


def _is_rules(name: str) -> bool:
    return not name.endswith(rule_files.TESTS_ENDINGS)
