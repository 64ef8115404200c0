"""The picture of a simulation: the mean wait of each hour of the week, a line for each people, on light and on dark."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from statistics import fmean

from rules.files.keys import DAYS
from rules.simulation.simulated import Simulated
from service.cli.output import refuse
from service.cli.simulate_report import Found

# Told apart by lightness and dashes as well: on paper, and by who does not see red and green apart.
COLORS = ("#d1491b", "#0b5fa5", "#2e7d32", "#6a3d9a")
DASHES = ("", "9,4", "3,3", "12,3,3,3")
DARK_COLORS = ("#ff9b73", "#6cb6ff", "#7ddc84", "#c9a6ff")
LIGHT = {
    "background": "#ffffff",
    "plot_background": "#ffffff",
    "foreground": "#333333",
    "foreground_strong": "#111111",
    "foreground_subtle": "#d8dde3",
    "guide_stroke_dasharray": "1,0",
    "major_guide_stroke_dasharray": "1,0",
    "guide_stroke_color": "#e3e6ea",
    "major_guide_stroke_color": "#d0d5da",
    "font_family": "system-ui, sans-serif",
    "label_font_size": 12,
    "major_label_font_size": 12,
    "legend_font_size": 14,
    "opacity": "1",
    "stroke_opacity": "1",
    "stroke_width": "2.5",
    "colors": COLORS,
}
# A reader whose screen is dark is not to be blinded by one picture; the picture has no script that could ask.
DARK = "@media (prefers-color-scheme: dark){{{}}}".format(
    " ".join(
        [
            ".graph > .background, .plot > .background {fill:#16191d !important}",
            "text {fill:#e6e8ea !important}",
            ".axis .line {stroke:#8a929a !important}",
            ".axis .guide.line {stroke:#343a41 !important}",
            *(
                f".color-{number}, .color-{number} rect {{stroke:{color} !important;fill:{color} !important}}"
                for number, color in enumerate(DARK_COLORS)
            ),
            ".nofill {fill:none !important}",
        ]
    )
)


def write_plot(path: Path, found: Found) -> None:
    """Write the picture as SVG; it asks nobody for anything."""
    if path.suffix != ".svg":
        refuse(f"{path}: a plot is an SVG picture", "give it a name that ends in .svg")
    # Nobody who only reads tables should wait for it. It leaves a finder for its maps behind, of a kind that Python
    # warns of at every import after it, and maps are not drawn here. What else it brought must stay: the finder of
    # importlib_metadata takes the standard library's place, and without both no package has a version any more.
    pygal = import_module("pygal")
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
    hours = sorted({hour for runs in found.values() for run in runs for hour in run.hours})
    lines = {name: [_mean_minutes(runs, hour) for hour in hours] for name, runs in found.items()}
    longest = max((wait for line in lines.values() for wait in line if wait is not None), default=0.0)
    chart = pygal.Line(
        title="mean wait in minutes, by hour of the week",
        x_labels=[f"{DAYS[hour // 24]} {hour % 24:02d}:00" for hour in hours],
        x_labels_major=[f"{DAYS[hour // 24]} {hour % 24:02d}:00" for hour in hours if hour % 6 == 0],
        show_minor_x_labels=False,
        x_label_rotation=45,
        show_dots=False,
        legend_at_bottom=True,
        legend_at_bottom_columns=1,
        truncate_legend=-1,
        width=1100,
        height=480,
        # A wait that begins below the picture looks longer than it is.
        range=(0, longest or 1),
        style=pygal.style.Style(**LIGHT),
        css=["file://style.css", "file://graph.css", f"inline:{DARK}"],
        js=[],  # the picture must not ask another server for a script
        disable_xml_declaration=False,
    )
    for (name, waits), dash in zip(lines.items(), itertools.cycle(DASHES), strict=False):
        chart.add(name, waits, stroke_style={"width": 2.5, "dasharray": dash} if dash else {"width": 2.5})
    try:
        path.write_bytes(chart.render())
    except OSError as away:
        refuse(f"{path}: {(away.strerror or 'cannot be written').lower()}", "name a file that can be written")


def _mean_minutes(runs: Sequence[Simulated], hour: int) -> float | None:
    waits = [run.hours[hour].mean_ms for run in runs if hour in run.hours]
    known = [wait for wait in waits if wait is not None]
    return round(fmean(known) / 60_000, 3) if known else None
