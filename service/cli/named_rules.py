"""Rules by what a manager calls them: a directory, a version's number, `active`, `staged`. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rules.compile.rule_files import compile_files
from rules.files.errors import RuleFileInvalid
from rules.model import RuleFiles
from service import rule_files
from service.cli.output import refuse
from service.cli.service_client import Service, service_at

NAMED = ("active", "staged")


@dataclass(frozen=True, slots=True)
class Where:
    """The service that knows the versions, asked only where one is named."""

    url: str | None = None
    key: str | None = None
    data_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class NamedRules:
    """Rules and how an output calls them."""

    name: str
    files: RuleFiles


def named_rules(names: Sequence[str], where: Where) -> list[NamedRules]:
    """Return the rules of each name. Raises RuleFileInvalid; directories alone need no service."""
    service = None
    if not all(map(is_path, names)):
        service = service_at(where.url, where.key, where.data_dir)
    return [_named(name, service) for name in names]


def is_path(name: str) -> bool:
    """Return whether a name is that of a directory, and of no version; `ACTIVE` stands in the help, and is one too."""
    called = name in NAMED or (name.lower() in NAMED and not Path(name).exists())
    return not called and not name.isdecimal()


def _named(name: str, service: Service | None) -> NamedRules:
    if service is None or is_path(name):
        path = Path(name)
        files, problems = compile_files(rule_files.read_directory(path))
        if files is None:
            raise RuleFileInvalid(rule_files.located(problems, path))
        return NamedRules(name, files)
    number = version_number(name, service)
    if number == 0:
        return NamedRules("the service's own rules", _own(service))
    texts = service.get(f"/rulesets/{number}")["texts"]
    files, problems = compile_files({file: text for file, text in texts.items() if _is_rules(file)})
    if files is None:
        raise RuleFileInvalid(problems)
    return NamedRules(f"version {number}", files)


def version_number(name: str, service: Service) -> int:
    """Return the number of a version that is called by it, or `active` or `staged`; ends the command without one."""
    if name.isdecimal():
        return int(name)
    found = service.get("/rulesets?limit=1")[name.lower()]
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
