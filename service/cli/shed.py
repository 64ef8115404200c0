"""`handrail shed`: what people were not asked, because a queue was over its budget."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from rules.evaluation.wording import span_text
from service.cli.output import JsonFlag, say, say_json, say_table
from service.cli.service_client import DataDirOption, KeyOption, UrlOption, service_at

PAGE_MAX = 1_000
LIMIT_MAX = 1_000_000


def shed(
    queue: Annotated[str | None, typer.Option("--queue", help="Only of this queue.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="At most so many.")] = 100,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List what was shed: decisions that asked people for less, as a queue was over its budget.

    How full each queue with a budget is now, and then what was shed, latest first: the rule, what it asked for, what
    became of it, and how full the queue was. docs/budget.md says how a budget is declared.

    \b
    Examples:
      handrail shed
      handrail shed --queue tier1 --limit 20
    """
    service = service_at(url, key, data_dir)
    told = service.pages("/shed", "decisions", {"queue": queue}, limit, PAGE_MAX)
    if as_json:
        say_json(told)
        return
    queues = [each for each in service.get("/queues")["queues"] if queue in (None, each["name"])]
    budgets = [each for each in queues if each["budget"] is not None]
    for each in budgets:
        say(_budget_text(each["name"], each["budget"]))
    if not budgets:
        say("no queue has a budget" if queue is None else f"`{queue}` has no budget")
    say()
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
    if told["cursor"] is not None:
        say("earlier ones are not shown; `--limit` shows more")


def _budget_text(queue: str, budget: Mapping[str, Any]) -> str:
    """Return how full a queue is now, and what that is made of."""
    pressure, each = budget["pressure_percent"], budget["minutes_each"]
    full = "unknown" if pressure is None else f"{pressure}%"
    seen = f"{budget['observed']} seen" if budget["observed"] else "the rule file" if each is not None else "nobody yet"
    takes = f"{'?' if each is None else f'{each:.3g}'} minutes each (says {seen})"
    return (
        f"{queue}: {full} of {budget['minutes']:g} minutes over {span_text(budget['over_ms'])} now: "
        f"{budget['spent_minutes']:.3g} spent, {budget['open']} open at {takes}"
    )
