"""`handrail simulate`: recorded arrivals against queues and people, on a virtual clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from rules.compile.operators import OPERATORS_MAX, compile_operators
from rules.files.errors import render
from rules.files.grammar import duration_ms
from rules.findings.queues import is_served, lacking
from rules.model import LEVEL_MAX, Need, Queue
from rules.routing.operators import Operator
from rules.simulation.simulated import ArrivalsUnfit, Recording, Simulated, recording, simulate
from service import rule_files
from service.cli.arrival_files import arrivals_of
from service.cli.output import EXIT_FINDINGS, JsonFlag, note, progress, refuse, say_json
from service.cli.simulate_options import (
    AddOption,
    AgainstOption,
    ArrivalsArgument,
    HandlingOption,
    OperatorsOption,
    PlotOption,
    QueueOption,
    RoutingArgument,
    RunsOption,
    WarmUpOption,
)
from service.cli.simulate_plot import write_plot
from service.cli.simulate_report import as_json_object, say_report

# A bar that moved with each of thirty thousand arrivals would take longer than they do.
TOLD_EVERY = 500


@dataclass(frozen=True, slots=True)
class Scenario:
    """Some people, by a name that stands above their column."""

    name: str
    operators: tuple[Operator, ...]


def simulate_command(
    routing: RoutingArgument,
    arrivals: ArrivalsArgument,
    operators: OperatorsOption = None,
    add: AddOption = None,
    against: AgainstOption = None,
    queue: QueueOption = None,
    handling: HandlingOption = None,
    warm_up: WarmUpOption = "1h",
    runs: RunsOption = 5,
    plot: PlotOption = None,
    as_json: JsonFlag = False,
) -> None:
    """See what other people, hours or queues would have made of recorded arrivals.

    Recorded arrivals are played against the queues of rule files and the people of an operators.yaml, by the code that
    routes real handoffs: waits, deadlines met, who gave up, how busy people were. What the recording lacks is drawn
    from it, so each figure comes with its lowest and highest over the runs.

    \b
    Examples:
      handrail simulate my-rules last-month.csv
      handrail simulate my-rules last-month.csv --operators 12 --against 14
      handrail simulate my-rules last-month.csv --add '2 {languages: [es]}' --plot waits.svg
    """
    began_s = time.monotonic()
    files, problems = rule_files.examine(routing)
    if files is None:
        for problem in problems:
            note(render(problem))
        raise typer.Exit(EXIT_FINDINGS)
    if not files.queues:
        refuse(f"{routing}: no queues here", "name the directory of the rule files")
    scenarios = _scenarios(routing, files.queues, operators, add or [], against)
    recorded = _recording(arrivals, files.queues, queue, handling)
    _tell_of_unserved(recorded, files.queues, scenarios)
    warm_up_ms = _span("--warm-up", warm_up)
    if warm_up_ms >= recorded.arrivals[-1].at_ms - recorded.arrivals[0].at_ms:
        warm_up_ms = 0
        note(f"the arrivals span less than the warm-up of {warm_up}: all of them are counted")
    found = _play(recorded, files.queues, files.timezone, scenarios, runs, warm_up_ms)
    if plot is not None:
        write_plot(plot, found)
    if as_json:
        say_json(as_json_object(recorded, found, warm_up_ms))
    else:
        say_report(recorded, found, warm_up_ms, {each.name: len(each.operators) for each in scenarios})
    note(f"{time.monotonic() - began_s:.1f} s" + (f"; the plot is in {plot}" if plot else ""))


def _play(
    recorded: Recording,
    queues: Mapping[str, Queue],
    timezone: str,
    scenarios: list[Scenario],
    runs: int,
    warm_up_ms: int,
) -> dict[str, list[Simulated]]:
    found: dict[str, list[Simulated]] = {}
    total = len(scenarios) * runs * len(recorded.arrivals)
    with progress("simulating", total) as bar:
        done = 0
        task = bar.task_ids[0]

        def told(come: int) -> None:
            if come % TOLD_EVERY == 0:
                bar.update(task, completed=done + come)

        for scenario in scenarios:
            found[scenario.name] = []
            for seed in range(1, runs + 1):
                found[scenario.name].append(
                    simulate(recorded, queues, scenario.operators, seed, warm_up_ms, timezone, told)
                )
                done += len(recorded.arrivals)
    return found


def _recording(paths: list[Path], queues: Mapping[str, Queue], queue: str | None, handling: str | None) -> Recording:
    if queue is not None and queue not in queues:
        refuse(f"there is no queue `{queue}`", f"there are {', '.join(queues)}")
    otherwise = queue or (next(iter(queues)) if len(queues) == 1 else None)
    try:
        span_ms = None if handling is None else _span("--handling", handling)
        return recording(arrivals_of(paths), queues, otherwise, span_ms)
    except ArrivalsUnfit as unfit:
        refuse(unfit.fact, unfit.hint)


def _span(option: str, text: str) -> int:
    span_ms = duration_ms(text)
    if span_ms is None:
        refuse(f"`{option}` is no time", "write it as 90s, 10m or 1h30m")
    return span_ms


def _tell_of_unserved(recorded: Recording, queues: Mapping[str, Queue], scenarios: list[Scenario]) -> None:
    """Say where nobody can take what came: a column of zeros would look like a busy house."""
    came_to = tuple(dict.fromkeys(recorded.queue_names))
    for scenario in scenarios:
        for name in came_to:
            if not is_served(queues[name], scenario.operators):
                why = lacking(scenario.operators, queues[name])
                note(f"warning: {scenario.name}: no operator can take what waits in the queue `{name}`{why}")
        more = scenario.operators[len(scenarios[0].operators) :] if scenario.name == "added" else ()
        if more and not any(is_served(queues[name], more) for name in came_to):
            note("warning: added: the people of --add can take nothing of what came; give them `skills` in the braces")


def _scenarios(
    routing: Path, queues: Mapping[str, Queue], operators: str | None, add: list[str], against: str | None
) -> list[Scenario]:
    now = Scenario("now", _people(operators, queues) if operators is not None else _beside(routing))
    found = [now]
    if against is not None:
        found.append(Scenario("against", _people(against, queues)))
    if add:
        more = [one for number, text in enumerate(add, start=1) for one in _added(text, number)]
        found.append(Scenario("added", (*now.operators, *more)))
    return found


def _beside(routing: Path) -> tuple[Operator, ...]:
    texts = rule_files.read_operators(routing)
    if not texts:
        refuse(
            f"{routing}: no {rule_files.OPERATORS_NAMES[0]} here, so nobody works",
            "name one with --operators, or so many people who can do everything, as --operators 12",
        )
    return _compiled(texts)


def _people(said: str, queues: Mapping[str, Queue]) -> tuple[Operator, ...]:
    if said.isascii() and said.isdecimal():
        count = int(said)
        if not 0 < count <= OPERATORS_MAX:
            refuse(f"{count} operators", f"name 1 to {OPERATORS_MAX}")
        skills = {need.skill: LEVEL_MAX for queue in queues.values() for need in _needs(queue)}
        return tuple(Operator(f"operator-{number}", skills=skills) for number in range(1, count + 1))
    return _compiled({said: rule_files.read_text(Path(said))})


def _needs(queue: Queue) -> Iterator[Need]:
    """Yield what the queue asks for, at first and after each step of its ladder."""
    yield from queue.needs
    for step in queue.ladder:
        yield from step.needs or ()


def _added(text: str, number: int) -> list[Operator]:
    """Return the people of `2 {languages: [es]}`: how many, and the keys of an operators.yaml without a name."""
    count, _, keys = text.strip().partition(" ")
    if not (count.isascii() and count.isdecimal() and 0 < int(count) <= OPERATORS_MAX):
        refuse(f"`--add {text}` does not begin with a number", "write it as --add '2 {languages: [es]}'")
    keys = keys.strip() or "{}"
    if not (keys.startswith("{") and keys.endswith("}")):
        refuse(f"`--add {text}` has no keys in braces after its number", "write it as --add '2 {languages: [es]}'")
    inner = keys[1:-1].strip()
    one = f"operators: [{{name: added-{number}{', ' if inner else ''}{inner}}}]\n"
    (operator,) = _compiled({f"--add {number}": one})
    return [replace(operator, name=f"added-{number}-{each}") for each in range(1, int(count) + 1)]


def _compiled(texts: dict[str, str]) -> tuple[Operator, ...]:
    found, problems = compile_operators(texts)
    for problem in problems:
        note(render(problem))
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(EXIT_FINDINGS)
    if not found:
        refuse(f"{next(iter(texts))}: nobody works here", "docs/operators.md shows an operators.yaml")
    return found
