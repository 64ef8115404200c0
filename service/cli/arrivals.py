"""`handrail arrivals`: who came to the queues of a running service, as a file that `handrail simulate` reads."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from rules.simulation.arrivals import COLUMNS, Arrival, row_of
from service.cli.kept_arrivals import Kept, kept_arrivals
from service.cli.output import note, progress, refuse, say_all
from service.cli.service_client import DataDirOption, KeyOption, UrlOption, service_at
from service.clock import now_ms

DAY_FIRST = "2026-11-01"


def arrivals(
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="MOMENT", help=f"Who came from then on: {DAY_FIRST}, or {DAY_FIRST}T09:00Z."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="MOMENT", help="Who came before then. Moments are in UTC.")
    ] = None,
    as_lines: Annotated[bool, typer.Option("--jsonl", help="Print a JSON object a line instead of CSV.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print who came to the queues of a running service, as `handrail simulate` reads it.

    When each came, to which queue, in which language, how long until a person answered, and for how long they were busy
    with it; nothing of what anybody wrote, and no ids. It reaches as far back as the service remembers, and says how
    far. docs/simulate.md says what is left out, and how to keep more.

    \b
    Examples:
      handrail arrivals > last-month.csv
      handrail arrivals --from 2026-11-01 --to 2026-12-01 > november.csv
      handrail simulate my-rules november.csv
    """
    from_ms = 0 if since is None else _moment("--from", since)
    began_at_ms = now_ms()
    to_ms = began_at_ms if until is None else _moment("--to", until)
    if to_ms <= from_ms:
        refuse("`--to` is not later than `--from`", f"as --from {DAY_FIRST} --to 2026-12-01")
    service = service_at(url, key, data_dir)
    with progress("reading", None) as bar:
        task = bar.task_ids[0]
        kept = kept_arrivals(service, from_ms, to_ms, began_at_ms, lambda count: bar.update(task, completed=count))
    say_all(_lines(kept.arrivals) if as_lines else _csv(kept.arrivals))
    _tell(kept, from_ms)


def _tell(kept: Kept, from_ms: int) -> None:
    count, whole_from = len(kept.arrivals), _text(kept.whole_from_ms)
    note(f"{count:,} {'arrival' if count == 1 else 'arrivals'}")
    if kept.whole_from_ms > from_ms:
        note(f"the service remembers all who came since {whole_from}; who came before is left out")


def _csv(arrivals: tuple[Arrival, ...]) -> str:
    written = io.StringIO()
    rows = csv.DictWriter(written, list(COLUMNS), lineterminator="\n")
    rows.writeheader()
    for arrival in arrivals:
        row = row_of(arrival)
        rows.writerow(row | {"gave_up": str(row["gave_up"]).lower()})
    return written.getvalue().rstrip("\n")


def _lines(arrivals: tuple[Arrival, ...]) -> str:
    return "\n".join(json.dumps(row_of(arrival), ensure_ascii=False) for arrival in arrivals)


def _moment(option: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        # Without an offset a moment is read as UTC, as everywhere in Handrail.
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        refuse(f"`{option}` is no moment", f"write it as {DAY_FIRST} or {DAY_FIRST}T09:00Z")


def _text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
