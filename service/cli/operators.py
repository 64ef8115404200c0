"""`handrail operators`: who takes handoffs, what they can do, and who is there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from rules.compile.operators import compile_operators
from rules.files.errors import render
from service import rule_files
from service.cli.output import EXIT_FINDINGS, JsonFlag, note, refuse, say, say_json, say_table
from service.cli.service_client import DataDirOption, KeyOption, UrlOption, service_at
from service.rule_files import OPERATORS_NAMES

operators = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="""Declare who takes handoffs, and see who is there.

    An operators.yaml names people with their skills, languages, queues, hours and capacity; docs/operators.md has every
    key. While nobody is declared, every operator's key may claim everything.

    \b
    Examples:
      handrail operators apply my-rules/operators.yaml
      handrail operators list
      handrail operators remove mia
    """,
)


@operators.command("apply")
def apply(
    path: Annotated[Path, typer.Argument(help="An operators.yaml, or the directory that has one.", metavar="FILE")],
    check: Annotated[bool, typer.Option("--check", help="Only look for mistakes; no service is asked.")] = False,
    nobody: Annotated[bool, typer.Option("--nobody", help="Take a file that names nobody: all may claim all.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Declare everybody of a file; whoever is not in it is not declared any more.

    What somebody has in hand they keep. Exit code 1 when the file has mistakes, and nothing is changed then.

    \b
    Examples:
      handrail operators apply my-rules
      handrail operators apply --check operators.yaml
    """
    file = _file(path)
    texts = {file.as_posix(): rule_files.read_text(file)}
    found, problems = compile_operators(texts)
    for problem in problems:
        note(render(problem))
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(EXIT_FINDINGS)
    if not found and not nobody:
        refuse(
            f"{file} names nobody, and while nobody is declared every operator's key may claim everything",
            "name who takes handoffs, or say --nobody where that is meant",
        )
    if check:
        if as_json:
            say_json({"operators": [operator.name for operator in found]})
        else:
            say(f"{file}: {_people(len(found))}")
        return
    told = service_at(url, key, data_dir).put("/operators", {"text": next(iter(texts.values()))})
    for warning in told.get("warnings", ()):
        note(f"warning: {warning}")
    if as_json:
        say_json(told)
    elif not told["declared"]:
        say("nobody is declared, so every operator's key may claim everything")
    else:
        say(f"{_people(told['declared'])} declared; `handrail operators list` shows who is there")


@operators.command("list")
def list_all(
    url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None, as_json: JsonFlag = False
) -> None:
    """List everybody: what they can do, what they have in hand, and why nothing is offered to them.

    \b
    Example:
      handrail operators list
    """
    told = service_at(url, key, data_dir).get("/operators")
    if as_json:
        say_json(told)
        return
    if not told["operators"]:
        say("nobody is declared, so every operator may claim everything; `handrail operators apply FILE` declares them")
        return
    say_table(
        "",
        ("name", "now", "in hand", "skills", "languages", "queues", "last claim"),
        [_row(each) for each in told["operators"]],
    )


@operators.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Whose, as `handrail operators list` shows it.")],
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Forget what is declared of one operator.

    What they have in hand they keep; `handrail keys revoke` ends their key.

    \b
    Example:
      handrail operators remove mia
    """
    service_at(url, key, data_dir).delete(f"/operators/{name}")
    say(f"{name} is no longer declared")


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = next((path / name for name in OPERATORS_NAMES if (path / name).is_file()), None)
    if found is None:
        refuse(f"{path}: no {OPERATORS_NAMES[0]} here", "name the file, or the directory that has it")
    return found


def _row(operator: dict[str, Any]) -> tuple[object, ...]:
    capacity = "" if operator["capacity"] is None else f" of {operator['capacity']}"
    skills = (name if level == 1 else f"{name} {level}" for name, level in sorted(operator["skills"].items()))
    at_ms = operator["last_claim_at_ms"]
    claimed = "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        operator["name"],
        "available" if operator["available"] else operator["why_not"],
        f"{operator['load']}{capacity}",
        ", ".join(skills),
        ", ".join(operator["languages"]) or "all",
        ", ".join(operator["queues"]) or "all",
        claimed,
    )


def _people(count: int) -> str:
    return "1 operator" if count == 1 else f"{count} operators"
