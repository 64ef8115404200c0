"""`handrail floods`: of what people are spared the five hundredth, and which handoff stands for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

import typer

from service.cli.output import JsonFlag, say, say_json
from service.cli.service_client import DataDirOption, KeyOption, UrlOption, service_at

_FROM = {"customer": "customer {who}", "agent": "agent {who}", "tenant": "everywhere"}


def floods(
    queue: Annotated[str | None, typer.Option("--queue", help="Only of this queue.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List floods: the same over and over, for which one handoff stands in the queue.

    Those of most members first. Whoever claims the one that stands for them can answer all, or let them go.
    docs/floods.md says how a limit is declared.

    \b
    Examples:
      handrail floods
      handrail floods --queue tier1
    """
    asked = "" if queue is None else f"?{urlencode({'queue': queue})}"
    told = service_at(url, key, data_dir).get(f"/floods{asked}")
    if as_json:
        say_json(told)
        return
    if not told["floods"]:
        say("no flood")
    for each in told["floods"]:
        since = datetime.fromtimestamp(each["since_at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        whose = _FROM[each["by"]].format(who=each["who"])
        say(f"{each['queue']}: {each['members']} like this from {whose} since {since} ({each['rule_id']})")
        say(f"  {each['leader'] or 'the next one is about to'} stand{'s' if each['leader'] else ''} for them")
