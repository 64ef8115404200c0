"""`handrail drill`: sends a marked handoff into a queue, and says whether a person came in time."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from rules.evaluation.wording import span_text
from rules.files.grammar import duration_ms
from service.cli.output import EXIT_FINDINGS, JsonFlag, note, refuse, say, say_json, say_table
from service.cli.service_client import DataDirOption, KeyOption, Service, UrlOption, service_at

LOOK_MS = 500  # how often a running drill is asked after
# A drill ends with its deadline; one that has not by so much later is looked at no more.
GRACE_MS = 15_000
_DAY_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")

drill = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="""See whether a person comes in time: drill a queue, now or on a schedule.

    A drill is a real handoff with no customer behind it. It says so everywhere, waits behind every customer, ends by
    itself, and is left out of every count. docs/drill.md has all of it.

    \b
    Examples:
      handrail drill run --queue tier1 --within 5m
      handrail drill schedule --queue tier1 --every 7d --at 10:00
      handrail drill history
    """,
)
QueueOption = Annotated[
    str | None, typer.Option("--queue", help="The queue to drill; may be left out where there is only one.")
]
WithinOption = Annotated[str, typer.Option("--within", help="How soon somebody must come, as 5m.")]


@drill.command("run")
def run(
    queue: QueueOption = None,
    within: WithinOption = "5m",
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Drill a queue now, wait, and say how long it took; exit code 1 when nobody came in time.

    Somebody comes who claims the handoff or acknowledges it.

    \b
    Example:
      handrail drill run --queue tier1 --within 5m
    """
    within_ms = _span_ms("--within", within)
    service = service_at(url, key, data_dir)
    told = service.post("/drills", {"queue": queue or _only_queue(service), "within_ms": within_ms})
    note(f"{told['handoff_id']} waits in {told['queue']}; somebody has {span_text(within_ms)}")
    ends_s = time.monotonic() + (within_ms + GRACE_MS) / 1000
    while told["result"] is None and time.monotonic() < ends_s:
        time.sleep(LOOK_MS / 1000)
        told = service.get(f"/drills/{told['id']}")
    if as_json:
        say_json(told)
    else:
        say(_sentence(told))
        say_table("", ("step", "after"), [(name, _after(told, at)) for name, at in told["steps"].items()])
    if told["result"] != "passed":
        raise typer.Exit(EXIT_FINDINGS)


@drill.command("schedule")
def schedule(
    queue: QueueOption = None,
    every: Annotated[str, typer.Option("--every", help="How often, as 7d; an hour at least.")] = "7d",
    at: Annotated[str, typer.Option("--at", help="When it is first done, in UTC, as 10:00.")] = "10:00",
    within: WithinOption = "5m",
    remove: Annotated[bool, typer.Option("--remove", help="Drill the queue no more by itself.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Drill a queue on a schedule, kept by the service; `drill.failed` is told when nobody comes.

    \b
    Examples:
      handrail drill schedule --queue tier1 --every 7d --at 10:00 --within 5m
      handrail drill schedule --queue tier1 --remove
    """
    service = service_at(url, key, data_dir)
    name = queue or _only_queue(service)
    if remove:
        service.delete(f"/drills/schedules/{name}")
        if as_json:
            say_json({"queue": name, "next_at_ms": None})
        else:
            say(f"{name} is drilled no more by itself")
        return
    found = _DAY_TIME.fullmatch(at)
    if found is None:
        refuse(f"`--at` is `{at}`, which is no time of day", "write it as 10:00")
    body = {
        "every_ms": _span_ms("--every", every),
        "at_minutes": int(found[1]) * 60 + int(found[2]),
        "within_ms": _span_ms("--within", within),
    }
    told = service.put(f"/drills/schedules/{name}", body)
    if as_json:
        say_json(told)
    else:
        say(f"{name} is drilled every {span_text(told['every_ms'])}, next at {_moment(told['next_at_ms'])}")


@drill.command("history")
def history(
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many drills are shown.")] = 20,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how the latest drills went, and when queues are drilled next; exit code 1 when the latest one failed.

    \b
    Example:
      handrail drill history
    """
    told = service_at(url, key, data_dir).get(f"/drills?limit={limit}")
    if as_json:
        say_json(told)
    else:
        if not told["drills"]:
            say("there were no drills; `handrail drill run` makes one")
        else:
            heads = ("when", "queue", "by", "result", "answered after", "of", "customers waiting")
            say_table("", heads, [_row(each) for each in told["drills"]])
        for each in told["schedules"]:
            say(f"{each['queue']}: every {span_text(each['every_ms'])}, next at {_moment(each['next_at_ms'])}")
    ended = [each for each in told["drills"] if each["result"] is not None]
    if ended and ended[0]["result"] == "failed":
        raise typer.Exit(EXIT_FINDINGS)


def _only_queue(service: Service) -> str:
    names = [each["name"] for each in service.get("/queues")["queues"] if each["declared"]]
    if len(names) != 1:
        refuse("there are several queues", f"name one with --queue: {', '.join(names)}")
    return str(names[0])


def _sentence(told: dict[str, Any]) -> str:
    if told["result"] == "passed":
        return f"passed: somebody came to {told['queue']} after {span_text(_whole_ms(told['answered_ms']))}"
    if told["result"] is None:
        return "no result: the drill has not ended; `handrail drill history` shows it later"
    if told["handoff_id"] is None:
        return f"failed: there is no queue {told['queue']}"
    reasons = []
    if "passed_on" not in told["steps"]:
        reasons.append("no worker told anybody of it: is `handrail work` running?")
    if told["waiting"]:
        reasons.append(f"{told['waiting']} customers waited before it")
    more = f" ({'; '.join(reasons)})" if reasons else ""
    return f"failed: nobody came to {told['queue']} within {span_text(told['within_ms'])}{more}"


def _row(told: dict[str, Any]) -> tuple[object, ...]:
    answered = "" if told["answered_ms"] is None else span_text(_whole_ms(told["answered_ms"]))
    result = told["result"] or "goes on"
    moment = _moment(told["opened_at_ms"])
    return (moment, told["queue"], told["by"], result, answered, span_text(told["within_ms"]), told["waiting"])


def _after(told: dict[str, Any], at_ms: int) -> str:
    return span_text(_whole_ms(max(0, at_ms - told["opened_at_ms"])))


def _whole_ms(span_ms: int) -> int:
    return span_ms // 100 * 100


def _span_ms(option: str, text: str) -> int:
    span_ms = duration_ms(text.strip())
    if span_ms is None:
        refuse(f"`{option}` is `{text}`, which is no time", "write it as 30s, 5m or 7d")
    return span_ms


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
