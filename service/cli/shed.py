"""`handrail shed`: what people were not asked, because a queue was over its budget."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

import typer

from service.cli.output import JsonFlag, say, say_json, say_table
from service.cli.service_client import DataDirOption, KeyOption, UrlOption, service_at


def shed(
    queue: Annotated[str | None, typer.Option("--queue", help="Only of this queue.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="At most so many.")] = 100,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List what was shed: decisions that asked people for less, as a queue was over its budget.

    Latest first, with the rule, what it asked for, what became of it, and how full the queue was. docs/budget.md says
    how a budget is declared.

    \b
    Examples:
      handrail shed
      handrail shed --queue tier1 --limit 20
    """
    asked = {"limit": str(limit)} | ({} if queue is None else {"queue": queue})
    told = service_at(url, key, data_dir).get(f"/shed?{urlencode(asked)}")
    if as_json:
        say_json(told)
        return
    rows = [
        (
            datetime.fromtimestamp(each["decided_at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            one["queue"],
            f"{one['pressure_percent']}%",
            one["rule"],
            f"{one['from']} -> {one['to']}",
            each["decision_id"],
        )
        for each in told["decisions"]
        for one in each["shed"]
    ]
    if not rows:
        say("nothing was shed")
        return
    say_table("Shed", ("when (UTC)", "queue", "pressure", "rule", "what", "decision"), rows)
