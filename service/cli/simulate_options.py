"""The arguments and options of `handrail simulate`, with what its help says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rules.simulation.simulated import RUNS_MAX

RoutingArgument = Annotated[Path, typer.Argument(help="Rule files with the queues: a directory, or one file.")]
ArrivalsArgument = Annotated[
    list[Path],
    typer.Argument(help="Who came: .csv or .jsonl, also .gz; docs/simulate.md says what stands in a row."),
]
OperatorsOption = Annotated[
    str | None,
    typer.Option(
        "--operators",
        metavar="FILE|NUMBER",
        help="Who works: an operators.yaml, or so many people who can do everything. The one beside the rules if "
        "left out.",
    ),
]
AddOption = Annotated[
    list[str] | None,
    typer.Option(
        "--add",
        metavar="PEOPLE",
        help='Compare with so many more, as \'2 {languages: [es], hours: [{days: [mon], from: "09:00", to: '
        '"17:00"}]}\'. May be given again.',
    ),
]
AgainstOption = Annotated[
    str | None, typer.Option("--against", metavar="FILE|NUMBER", help="Compare with these people instead.")
]
QueueOption = Annotated[
    str | None, typer.Option("--queue", help="Where those go who name no queue of the rules; the only one if one.")
]
HandlingOption = Annotated[
    str | None,
    typer.Option("--handling", metavar="TIME", help="How long one takes, where nothing was recorded: 6m."),
]
WarmUpOption = Annotated[
    str, typer.Option("--warm-up", metavar="TIME", help="Do not count those who came in this first time.")
]
RunsOption = Annotated[int, typer.Option("--runs", min=1, max=RUNS_MAX, help="How often to play it, with other draws.")]
PlotOption = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE.svg", help="Draw the waits over the hours of the week.")
]
