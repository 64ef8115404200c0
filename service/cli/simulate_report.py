"""What a simulation comes to, as tables, as JSON. Nothing is simulated here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

from rules.files.keys import DAYS
from rules.simulation.simulated import Figures, Recording, Simulated
from service.cli.output import say, say_table

Found = Mapping[str, Sequence[Simulated]]
COLUMNS = ("", "people", "came", "answered", "gave up", "missed", "in time", "mean", "half by", "9 of 10 by")
NUMBERS = COLUMNS[2:]


def say_report(recorded: Recording, found: Found, warm_up_ms: int, people: Mapping[str, int]) -> None:
    """Print the tables: all together, by queue and by day of the week, each people below the other."""
    runs = len(next(iter(found.values())))
    days = (recorded.arrivals[-1].at_ms - recorded.arrivals[0].at_ms) / 86_400_000
    left_out = f"; the first {_time(warm_up_ms)} are not counted" if warm_up_ms else ""
    say(f"{len(recorded.arrivals):,} arrivals in {days:.1f} days, played {_times(runs)}{left_out}")
    if recorded.patience.left:
        say("people give up as the recording says: those who did, then; the others drawn from beyond their wait")
    else:
        say("nobody in the recording gave up, so nobody does here")
    say("; ".join(f"{name}: {_persons(count)}" for name, count in people.items()))
    say()
    say_table("", COLUMNS, _rows("all", found, lambda run: run.all), NUMBERS)
    queues = sorted({name for runs_of in found.values() for run in runs_of for name in run.queues})
    if len(queues) > 1:
        say_table("by queue", COLUMNS, _each(queues, found, lambda run: run.queues), NUMBERS)
    seen = {name for runs_of in found.values() for run in runs_of for name in run.weekdays}
    if len(seen) > 1:
        weekdays = [day for day in DAYS if day in seen]
        say_table("by day of the week", COLUMNS, _each(weekdays, found, lambda run: run.weekdays), NUMBERS)
    for name, runs_of in found.items():
        say(f"busy, {name}: {_spread([run.busy for run in runs_of], _percent)} of the time at work")


def _each(names: Iterable[str], found: Found, group: Callable[[Simulated], Mapping[str, Figures]]) -> list[list[str]]:
    return [
        row
        for name in names
        for row in _rows(name, found, lambda run, name=name: group(run).get(name))  # type: ignore[misc]
    ]


def _rows(title: str, found: Found, part: Callable[[Simulated], Figures | None]) -> list[list[str]]:
    rows = []
    for name, runs in found.items():
        figures = [figure for run in runs if (figure := part(run)) is not None]
        if not figures:
            continue
        rows.append(
            [
                title,
                name,
                f"{fmean(one.came for one in figures):,.0f}",
                *(_spread([one.share(what) for one in figures], _percent) for what in ("answered", "left", "missed")),
                _spread([one.share("in_time") for one in figures], _percent),
                *(_spread([getattr(one, what) for one in figures], _time) for what in ("mean_ms", "p50_ms", "p90_ms")),
            ]
        )
        title = ""
    return rows


def _spread(values: Sequence[float | None], text: Callable[[float], str]) -> str:
    """Return the mean and, where runs differ, the lowest and highest; `unknown` where no run has any."""
    known = [value for value in values if value is not None]
    if not known:
        return "unknown"
    low, high = text(min(known)), text(max(known))
    return low if low == high else f"{text(fmean(known))} ({low.removesuffix(' %')} to {high.removesuffix(' %')})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _time(span_ms: float) -> str:
    """Return a time in two parts at most, the seconds whole: `1m 12s`."""
    seconds = round(span_ms / 1000)
    minutes, hours = seconds // 60, seconds // 3600
    if seconds < 60:
        return f"{seconds}s"
    if minutes < 60:
        return f"{minutes}m {seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 48:
        return f"{hours}h {minutes % 60}m" if minutes % 60 else f"{hours}h"
    return f"{hours // 24}d {hours % 24}h"


def _persons(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _times(runs: int) -> str:
    return "once" if runs == 1 else f"{runs} times"


def as_json_object(recorded: Recording, found: Found, warm_up_ms: int) -> dict[str, object]:
    """Return the same as one object: for each people its runs: all, queues, weekdays, who was how busy."""
    return {
        "arrivals": len(recorded.arrivals),
        "from_at_ms": recorded.arrivals[0].at_ms,
        "to_at_ms": recorded.arrivals[-1].at_ms,
        "warm_up_ms": warm_up_ms,
        "people": [{"name": name, "runs": [_run_json(run) for run in runs]} for name, runs in found.items()],
    }


def _run_json(run: Simulated) -> dict[str, object]:
    return {
        "all": _figures_json(run.all),
        "queues": {name: _figures_json(figures) for name, figures in run.queues.items()},
        "weekdays": {name: _figures_json(figures) for name, figures in run.weekdays.items()},
        "busy": None if run.busy is None else round(run.busy, 4),
        "busy_by_operator": {name: round(share, 4) for name, share in run.busy_by_operator.items()},
    }


def _figures_json(figures: Figures) -> dict[str, object]:
    waits = {"mean": figures.mean_ms, "p50": figures.p50_ms, "p90": figures.p90_ms}
    return {
        "came": figures.came,
        "answered": figures.answered,
        "gave_up": figures.left,
        "missed": figures.missed,
        "in_time": figures.in_time,
        "wait_ms": {name: None if value is None else round(value) for name, value in waits.items()},
    }
