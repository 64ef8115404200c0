"""docs/floods.md says what is true: its example loads, its limits are the code's own, its commands and routes exist."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi.routing import APIRoute

from rules.compile.flood import MOST_MAX, OVER_MS_MAX
from rules.compile.rule_files import compile_files, files_or_raise
from rules.files.errors import render
from rules.files.keys import FLOOD_KEYS
from rules.model import FloodLimit
from service.api.application import ROUTERS
from service.command import COMMANDS
from service.flows.floods import DEALT_MAX
from service.store.floods import GROUPS_LISTED_MAX

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "floods.md").read_text("utf-8")


def test_the_rules_of_the_page_load_without_a_warning() -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    files, problems = compile_files({"page.yaml": text})
    assert [render(problem) for problem in problems] == []
    assert files is not None
    assert files.queues["tier1"].flood == (
        FloodLimit("customer", 5, 600_000),
        FloodLimit("agent", 20, 600_000),
        FloodLimit("tenant", 200, 600_000),
    )


def test_the_table_and_the_numbers_are_those_that_are_held() -> None:
    rows = re.findall(r"^\| `(\w+)` \| a number in a time \| ([^|]*), as `", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted((spec.name, spec.about.split(", as ")[0]) for spec in FLOOD_KEYS.values())
    assert f"A limit is at most {MOST_MAX} in at most an hour" in PAGE
    assert OVER_MS_MAX == 3_600_000
    assert DEALT_MAX == 1_000
    assert "One request deals with a thousand members" in PAGE
    assert f"up to {GROUPS_LISTED_MAX:,} of each partition" in PAGE


def test_the_librarys_limits_are_the_ones_that_are_told() -> None:
    library = [path for path in (ROOT / "rules" / "library").glob("*.yaml") if not path.name.endswith(".tests.yaml")]
    files = files_or_raise({path.name: path.read_text("utf-8") for path in library})
    held = {
        ", ".join(f"{limit.by}: {limit.most} in {limit.over_ms // 60_000}m" for limit in queue.flood)
        for queue in files.queues.values()
        if queue.flood
    }
    (one,) = held
    for page in ("floods.md", "library.md"):
        assert f"{{{one}}}" in (ROOT / "docs" / page).read_text("utf-8"), page


def test_every_command_and_address_of_the_page_is_there() -> None:
    commands = {row.name for rows in COMMANDS.values() for row in rows}
    assert "handrail floods" in PAGE
    assert set(re.findall(r"`handrail (\w+)", PAGE)) <= commands
    routes = {
        (method, route.path_format)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    told = set(re.findall(r"`(GET|POST) (/[^`?]*)", PAGE))
    assert ("GET", "/floods") in told
    assert told <= routes
