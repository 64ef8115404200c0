"""Where a handoff may go, from what Redis keeps of it. What was always so is left out there, and is so again here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from rules.handoff import Reroute
from rules.model import Need, OnTimeout, Step
from rules.routing.route import CallPlan, Route
from rules.routing.widening import Widening
from rules.telling.notices import Notice, Quiet, Tier

Json = dict[str, Any]


def reroute_in(raw: bytes | None) -> Reroute | None:
    """Return where a handoff moves when nobody came, None for nowhere."""
    if not raw:
        return None
    fields = orjson.loads(raw)
    on_timeout, route = OnTimeout(**fields["on_timeout"]), route_in(fields["route"])
    return Reroute(fields["queue"], fields["answer_within_ms"], on_timeout, route)


def route_in(route: Json) -> Route:
    """Return a route of the JSON that `dumps` made of it, in full or of what is not as always."""
    lists = {name: tuple(map(read, route[name])) for name, read in LISTS.items() if name in route}
    plan = route.get("calls")
    return Route(**{**route, **lists, "calls": None if plan is None else _plan_in(plan)})


def _plan_in(plan: Json) -> CallPlan:
    route = plan["route"]
    return CallPlan(**{**plan, "route": None if route is None else route_in(route)})


def quiet_in(quiet: Json | None) -> Quiet | None:
    """Return quiet hours of the JSON that `dumps` made of them."""
    return None if quiet is None else Quiet(**{**quiet, "days": tuple(quiet["days"])})


def _notice_in(notice: Json) -> Notice:
    then = None if notice["then"] is None else Tier(**notice["then"])
    return Notice(**{**notice, "on": tuple(notice["on"]), "then": then, "quiet": quiet_in(notice["quiet"])})


def _step_in(step: Json) -> Step:
    needs = None if step["needs"] is None else _needs_in(step["needs"])
    return Step(**{**step, "needs": needs, "queues": tuple(step["queues"])})


def _needs_in(needs: Sequence[Json]) -> tuple[Need, ...]:
    return tuple(Need(**need) for need in needs)


def _widening_in(widening: Json) -> Widening:
    needs, before = widening["needs"], widening["needs_before"]
    return Widening(
        **{
            **widening,
            "needs": None if needs is None else _needs_in(needs),
            "needs_before": None if before is None else _needs_in(before),
            "queues": tuple(widening["queues"]),
            "languages_dropped": tuple(widening["languages_dropped"]),
        }
    )


# The lists of a Route, with how each of their members is read.
LISTS: Mapping[str, Callable[[Any], object]] = {
    "needs": lambda need: Need(**need),
    "languages": str,
    "also": str,
    "passed_by": str,
    "steps": _step_in,
    "notices": _notice_in,
    "widened": _widening_in,
}
