"""What `handrail replay` can be given, as options and as values. Nothing is done here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rules.replay.transcripts import TRUTHS

RulesArgument = Annotated[
    Path,
    typer.Argument(
        help="Directory of rule files, or one file; with --against also a version's number, `active` or `staged`.",
        metavar="RULES",
    ),
]
ConversationsArgument = Annotated[
    list[Path],
    typer.Argument(
        help="Files of recorded conversations (.jsonl, .jsonl.gz, .yaml); with --against also turn logs.",
        metavar="CONVERSATIONS...",
    ),
]
AgainstOption = Annotated[
    str | None,
    typer.Option(
        "--against",
        help="Show what RULES would decide otherwise than these: a directory, a version's number, `active`, `staged`.",
        metavar="ACTIVE",
    ),
]
TruthOption = Annotated[
    str | None,
    typer.Option(
        "--truth",
        help=f"Label that says a person was needed.  [default: `outcome`, else the first of {', '.join(TRUTHS)}]",
    ),
]
PressureOption = Annotated[
    list[str] | None,
    typer.Option(
        "--pressure",
        help="Assume that a queue is this full all the while, as `tier1=150%` of its budget.  [default: none is full]",
        metavar="QUEUE=SHARE",
        show_default=False,
    ),
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Stop after this many conversations.")]
OverHttpOption = Annotated[
    str | None, typer.Option("--over-http", help="Ask a running service instead, at this address.", metavar="URL")
]
AgentKeyOption = Annotated[
    str | None, typer.Option("--key", envvar="HANDRAIL_KEY", help="Agent's API key, with --over-http.")
]
WriteLogOption = Annotated[
    Path | None,
    typer.Option(
        "--write-log",
        help="With --against: keep the conversations as a turn log in this new directory, texts masked.",
        metavar="DIR",
    ),
]
ManagerKeyOption = Annotated[
    str | None,
    typer.Option(
        "--manager-key",
        envvar="HANDRAIL_API_KEY",
        help="Manager's API key, for versions.  [default: the one in keys.json of the data directory]",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Options:
    """How to count: the label that says who needed a person, how many conversations, where to keep a turn log."""

    truth: str | None = None
    limit: int | None = None
    write_log: Path | None = None
    as_json: bool = False
