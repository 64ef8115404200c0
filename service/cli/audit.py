"""`handrail audit`: who did what, and whether anybody has changed the record of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from rules.telling import tell_text
from service import settings
from service.cli.output import EXIT_FINDINGS, JsonFlag, refuse, say, say_json, say_table
from service.flows import audit as flow

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Data directory of the service.  [env: HANDRAIL_DATA_DIR; default: .handrail]"),
]
ENTRIES_SHOWN = 50

audit = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="""Read the audit log, and see whether anybody has changed it.

    Every change of state stands there with its actor: handoffs, versions of rules, operators, API keys. Each line names
    the hash of the one before, so what is changed, dropped or inserted afterwards shows. docs/operations.md says more.

    \b
    Examples:
      handrail audit verify
      handrail audit list --handoff hof_0_81c2a0f2b7d3e4a5
      handrail audit list --actor mia --json
    """,
)


@audit.command("verify")
def verify(data_dir: DataDir = None, as_json: JsonFlag = False) -> None:
    """Follow the chain of hashes from the first line to the last.

    Exit code 1 where it breaks. The last hash also stands in the process log of the worker (`audited`): the same one
    there says that nobody has rewritten the end.

    \b
    Example:
      handrail audit verify || echo "somebody changed the record"
    """
    directory = _directory(data_dir)
    found = flow.verify(directory)
    if as_json:
        broken = found.broken and {"file": found.broken.file, "line": found.broken.line, "fact": found.broken.fact}
        say_json({"ok": broken is None, "entries": found.entries, "last_hash": found.last_hash, "broken": broken})
    elif found.broken is None:
        say(f"{found.entries} entries hold; the last hash is {found.last_hash}")
    else:
        say(f"{directory / found.broken.file}:{found.broken.line}: {found.broken.fact}")
        say(f"the {found.entries} entries before it hold")
    if found.broken is not None:
        raise typer.Exit(EXIT_FINDINGS)


@audit.command("list")
def list_entries(
    handoff: Annotated[str | None, typer.Option("--handoff", help="Only of this handoff.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Only what this one did.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only events that begin so, as `ruleset.`.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, the latest.")] = ENTRIES_SHOWN,
    data_dir: DataDir = None,
    as_json: JsonFlag = False,
) -> None:
    """Show who did what, the latest last.

    \b
    Examples:
      handrail audit list --type ruleset.
      handrail audit list --handoff hof_0_81c2a0f2b7d3e4a5 --json
    """
    found = [
        line
        for line in flow.read(_directory(data_dir))
        if (handoff is None or line.get("handoff_id") == handoff)
        and (actor is None or line.get("actor") == actor)
        and (kind is None or str(line.get("type")).startswith(kind))
    ][-limit:]
    if as_json:
        say_json({"entries": found})
        return
    if not found:
        say("nothing of that kind stands in the audit log")
        return
    say_table("", ("when", "who", "what", "of", "detail"), [_row(line) for line in found])


def _directory(data_dir: Path | None) -> Path:
    directory = settings.load(data_dir=data_dir).data_dir / "audit"
    if not directory.is_dir():
        refuse(f"{directory}: there is no audit log", "name the data directory of the worker with --data-dir")
    return directory


def _row(line: dict[str, Any]) -> tuple[object, ...]:
    moment = datetime.fromtimestamp(line["at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    about = line.get("handoff_id") or line.get("conversation_id") or ""
    version = line.get("ruleset_version")
    return (
        moment,
        line.get("actor"),
        line.get("type"),
        about or (f"version {version}" if version else ""),
        tell_text.widened(line["widened"]) if line.get("widened") else line["detail"],
    )
