"""`handrail calls`: what customers were promised and nobody has done yet, and what became of the promises."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from service.cli.output import JsonFlag, say, say_json, say_table
from service.cli.service_client import DataDirOption, KeyOption, UrlOption, service_at
from service.clock import now_ms

PAGE_MAX = 100
LIMIT_MAX = 1_000_000


def calls(
    queue: Annotated[str | None, typer.Option("--queue", help="Only of this queue.")] = None,
    done: Annotated[bool, typer.Option("--done", help="Those that a person ended lately.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="At most so many.")] = 100,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List calls that customers were promised and that nobody has made, the longest promised first.

    With `--done` those that a person ended lately, latest first, with who it was and how it went. `due` is by when
    `calls:` of the rule files wants it made. docs/budget.md says when a call is promised and what ends it.

    \b
    Examples:
      handrail calls
      handrail calls --queue tier1 --done
    """
    asked = {"queue": queue, "done": str(done).lower()}
    told = service_at(url, key, data_dir).pages("/calls", "calls", asked, limit, PAGE_MAX)
    if as_json:
        say_json(told)
        return
    if not told["calls"]:
        say("no call was ended lately" if done else "no call is owed")
        return
    if done:
        rows = [
            (_moment(each["promised_at_ms"]), _due(each, each["ended_at_ms"]), _moment(each["ended_at_ms"]),
             each["queue"], each["ended_by"] or "", each["outcome"] or "", each["handoff_id"])
            for each in told["calls"]
        ]  # fmt: skip
        heads = ("promised (UTC)", "due", "ended", "queue", "by", "outcome", "handoff")
        say_table("Calls that were ended", heads, rows)
    else:
        rows = [
            (_moment(each["promised_at_ms"]), _due(each, now_ms()), each["queue"], each["priority"],
             each["holder"] or "nobody yet", each["say"] or "", each["handoff_id"])
            for each in told["calls"]
        ]  # fmt: skip
        heads = ("promised (UTC)", "due", "queue", "priority", "has it", "words", "handoff")
        say_table("Calls that are owed", heads, rows)
    if told["cursor"] is not None:
        say("there are more; `--limit` shows them")


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _due(call: Mapping[str, Any], at_ms: int) -> str:
    """Return by when a call had to be made, and whether that was over by then; nothing where nobody said so."""
    due_at_ms: int | None = call.get("due_at_ms")
    if due_at_ms is None:
        return ""
    return f"{_moment(due_at_ms)}{' (over)' if due_at_ms < at_ms else ''}"
