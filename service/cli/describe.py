"""`handrail describe`: an agent's job description as a page that a manager signs."""

from __future__ import annotations

import difflib
import re
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from datetime import date as date_of_calendar
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rules.agents.describe import as_json, describe, found
from rules.agents.descriptions import ID_SEPARATOR, AgentDescription
from rules.agents.page import page
from rules.agents.pages import Block, Bullets, Page, Paragraph, Table, html, markdown
from rules.model import Rule, RuleFiles
from service import rule_files
from service.cli.output import JsonFlag, note, plain, refuse, say, say_json, say_table, terminal_columns
from service.clock import now_ms

# How wide running text is set where the window is wider: longer lines are hard to read.
TEXT_COLUMNS = 100
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Format(StrEnum):
    """How the page is written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"


def describe_agent(
    agent: Annotated[
        str | None, typer.Argument(help="Name of an agent, or what it sends as `agent.id`.", metavar="AGENT")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="Directory of rule files.  [default: the library]")
    ] = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="How to write the page.  [default: text, in a pipe markdown]")
    ] = None,
    date: Annotated[
        str | None, typer.Option("--date", help="Day to put on the page.  [default: today]", metavar="YYYY-MM-DD")
    ] = None,
    as_json_flag: JsonFlag = False,
) -> None:
    """Print an agent's job description as a page that a manager signs.

    What it may do and what not, when it hands over, what comes of its acts at its stage, every rule that applies to
    it with the people who answer and what they promise, and its targets. Without AGENT, all agents are listed.

    \b
    Examples:
      handrail describe --rules my-rules
      handrail describe refund-bot --rules my-rules
      handrail describe refund-bot --rules my-rules > refund-bot.md
      handrail describe refund-bot --rules my-rules --format html > refund-bot.html
    """
    directory = rules or rule_files.LIBRARY
    files = rule_files.load(directory).files
    if agent is None:
        _list(files, directory, as_json_flag=as_json_flag)
        return
    described = describe(files, _find(files, agent, directory))
    day = _day(date)
    if as_json_flag:
        say_json(as_json(described))
        return
    _FORMATS[form or (Format.TEXT if sys.stdout.isatty() else Format.MARKDOWN)](page(described, day))


def _day(given: str | None) -> str:
    """Return the day to put on the page, or end the command for one that no calendar has."""
    if given is None:
        return datetime.fromtimestamp(now_ms() / 1000, UTC).date().isoformat()
    try:
        # Weeks and days without hyphens are ISO 8601 too, and not what a page shows.
        known = _DATE.fullmatch(given) is not None and date_of_calendar.fromisoformat(given)
    except ValueError:
        known = False
    if not known:
        refuse(f"`{given}` is no day", "write it as 2026-11-21")
    return given


def _list(files: RuleFiles, directory: Path, *, as_json_flag: bool) -> None:
    rows = [
        (each.name, each.title or "", each.owner, _stages(each), sum(map(_belongs(each), files.rules)))
        for each in files.agents.values()
    ]
    if as_json_flag:
        columns = ("agent", "title", "owner", "autonomy", "rules")
        say_json({"ruleset": files.hash, "agents": [dict(zip(columns, row, strict=True)) for row in rows]})
    elif rows:
        say_table("agents", ("agent", "title", "owner", "autonomy", "rules"), rows, numbers=("rules",))
    else:
        note(f"{directory}: no agent is described; write `agents:` as docs/agents.md shows")


def _belongs(agent: AgentDescription) -> Callable[[Rule], bool]:
    return lambda rule: rule.id.startswith(f"{agent.name}{ID_SEPARATOR}")


def _stages(agent: AgentDescription) -> str:
    versions = [f"version {version} {stage}" for version, stage in agent.versions.items()]
    return ", ".join([agent.autonomy, *versions])


def _find(files: RuleFiles, wanted: str, directory: Path) -> AgentDescription:
    """Return the description of that agent, or end the command with the nearest name."""
    description = found(files, wanted)
    if description is not None:
        return description
    if not files.agents:
        refuse(f"{directory}: no agent is described", "write `agents:` as docs/agents.md shows")
    near = difflib.get_close_matches(wanted, [*files.agents, *(each.agent_id for each in files.agents.values())], n=1)
    hint = f"did you mean `{near[0]}`?" if near else "`handrail describe` lists those that are described"
    refuse(f"no agent is called `{wanted}`", hint)


def _say_page(shown: Page) -> None:
    say(shown.title, style="bold")
    for block in shown.blocks:
        _say_block(block)
    for section in shown.sections:
        say()
        say(section.title, style="bold")
        for block in section.blocks:
            _say_block(block)


def _say_block(block: Block) -> None:
    width = min(TEXT_COLUMNS, terminal_columns() or TEXT_COLUMNS)
    match block:
        case Paragraph(text):
            say(textwrap.fill(text, width))
        case Bullets(items):
            for item in items:
                say(textwrap.fill(item, width, initial_indent="- ", subsequent_indent="  "))
        case Table(columns, rows):
            say_table("", columns, rows)


_FORMATS: dict[Format, Callable[[Page], None]] = {
    Format.TEXT: _say_page,
    Format.MARKDOWN: lambda shown: typer.echo(plain(markdown(shown)), nl=False),
    Format.HTML: lambda shown: typer.echo(plain(html(shown)), nl=False),
}
