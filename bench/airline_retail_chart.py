"""The figures of airline_retail_curve.py as Markdown tables and as an SVG chart. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, PLOT = 640, 420, 60, 24, (540, 330)
LOAD_MAX, LOAD_STEP, RATE_STEP = 0.8, 0.1, 0.2


def tables(found: dict[str, Any]) -> str:
    """Return every figure as Markdown."""
    lines = [
        f"{found['conversations']} conversations in {found['groups']} groups, ruleset `{found['ruleset'][:12]}`",
        "",
        "| rules, each added to those above | bad writes stopped | load | order found out of fold |",
        "|---|---|---|---|",
    ]
    for row in found["curve"]:
        fold = row["out_of_fold"]
        lines.append(f"| + `{row['added']}` | {_rate(row)} | {_load(row)} | {fold['rate']:.2f} at {fold['load']:.2f} |")
    lines += [
        "",
        "| load allowed when choosing | in sample | out of fold: bad writes stopped | out of fold: load |",
        "|---|---|---|---|",
    ]
    for row in found["chosen_out_of_fold"]:
        inside = row["in_sample"]
        lines.append(
            f"| {row['budget']:.2f} | {inside['rate']:.2f} at {inside['load']:.2f} "
            f"| {row['rate']:.2f} ({_span(row['rate_range'])}) | {row['load']:.2f} ({_span(row['load_range'])}) |"
        )
    lines += ["", "| | bad writes stopped | load |", "|---|---|---|"]
    named = {
        **{f"`several_items: {row['several_items']}`": row for row in found["thresholds"]},
        **{f"{name} alone": row for name, row in found["domains"].items()},
        **{f"for comparison: {name}": row for name, row in found["baselines"].items()},
    }
    for name, row in named.items():
        lines.append(
            f"| {name} | {row['stopped']} of {row['bad']} = {row['rate']:.2f} "
            f"| {row['loaded']} of {row['quiet']} = {row['load']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def _rate(row: dict[str, Any]) -> str:
    return f"{row['stopped']} of {row['bad']} = {row['rate']:.2f} ({_span(row['rate_interval'])})"


def _load(row: dict[str, Any]) -> str:
    return f"{row['loaded']} of {row['quiet']} = {row['load']:.2f} ({_span(row['load_interval'])})"


def _span(low_high: Sequence[float]) -> str:
    return f"{low_high[0]:.2f} to {low_high[1]:.2f}"


def chart(found: dict[str, Any]) -> str:
    """Return the curve of the shipped rules, the out-of-fold choice and the two baselines, load to the right."""
    shipped = [(row["load"], row["rate"]) for row in found["curve"]]
    folds = [(row["load"], row["rate"]) for row in found["chosen_out_of_fold"]]
    last = found["curve"][-1]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        ' font-size="12" role="img">',
        "<title>Bad writes stopped against load</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_axes(),
        _box(last["load_interval"], last["rate_interval"]),
        _line(folds, "#888", "6 4"),
        _line([(0.0, 0.0), *shipped], "#0b5cad", ""),
        *(_dot(*at, "#888") for at in folds),
        *(_dot(*at, "#0b5cad") for at in shipped),
        *(_named(row["load"], row["rate"], name) for name, row in found["baselines"].items()),
        _text(LEFT + 215, TOP + 160, "shipped rules, added one by one", "#0b5cad"),
        _text(LEFT + 215, TOP + 178, "rules chosen on other groups, counted out of fold", "#666"),
        _text(LEFT + 215, TOP + 196, "shaded: 95 % interval of the shipped file", "#5b7fa6"),
        _text(LEFT + 215, TOP + 214, "green: at least 0.50 stopped at a load of at most 0.20", "#3c7a3c"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(load: float) -> float:
    return round(LEFT + PLOT[0] * load / LOAD_MAX, 1)


def _y(rate: float) -> float:
    return round(TOP + PLOT[1] * (1 - rate), 1)


def _axes() -> list[str]:
    goal = f'<rect x="{_x(0)}" y="{_y(1)}" width="{_x(0.2) - _x(0)}" height="{_y(0.5) - _y(1)}" fill="#e4f3e4"/>'
    lines = [goal]
    for step in range(round(LOAD_MAX / LOAD_STEP) + 1):
        load = step * LOAD_STEP
        lines.append(f'<path d="M{_x(load)} {_y(0)}V{_y(1)}" stroke="#ddd"/>')
        lines.append(_text(_x(load), _y(0) + 18, f"{load:.1f}", "#333", "middle"))
    for step in range(round(1 / RATE_STEP) + 1):
        rate = step * RATE_STEP
        lines.append(f'<path d="M{_x(0)} {_y(rate)}H{_x(LOAD_MAX)}" stroke="#ddd"/>')
        lines.append(_text(_x(0) - 8, _y(rate) + 4, f"{rate:.1f}", "#333", "end"))
    lines.append(
        _text(_x(LOAD_MAX / 2), _y(0) + 42, "load: conversations stopped that needed nobody", "#333", "middle")
    )
    lines.append(_text(_x(0) + 4, _y(1) - 8, "bad writes stopped in time", "#333"))
    return lines


def _box(loads: Sequence[float], rates: Sequence[float]) -> str:
    return (
        f'<rect x="{_x(loads[0])}" y="{_y(rates[1])}" width="{round(_x(loads[1]) - _x(loads[0]), 1)}"'
        f' height="{round(_y(rates[0]) - _y(rates[1]), 1)}" fill="#0b5cad" fill-opacity="0.12"/>'
    )


def _line(points: Sequence[tuple[float, float]], colour: str, dashes: str) -> str:
    path = "L".join(f"{_x(load)} {_y(rate)}" for load, rate in points)
    return f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>'


def _dot(load: float, rate: float, colour: str) -> str:
    return f'<circle cx="{_x(load)}" cy="{_y(rate)}" r="4" fill="{colour}"/>'


def _named(load: float, rate: float, name: str) -> str:
    # A baseline beyond the right edge is drawn at the edge, and says where it really stands.
    shown = min(load, LOAD_MAX)
    anchor = "end" if shown > LOAD_MAX / 2 else "start"
    away = -10 if anchor == "end" else 10
    label = f"{name}: {rate:.2f} at {load:.2f}"
    return _dot(shown, rate, "#b3541e") + _text(_x(shown) + away, _y(rate) + 16, label, "#b3541e", anchor)


def _text(x: float, y: float, words: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'
