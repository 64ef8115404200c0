"""docs/console.md says what is true: its addresses, its policy and its numbers are the code's own."""

from __future__ import annotations

import re
from pathlib import Path

from rules.routing.leases import LEASE_WARN_MS
from service.api.identity import ACTIONS
from service.console import markup, pages
from service.flows.moves import RESERVED_MS
from service.store.drafts import DRAFT_KEPT_MS

PAGE = (Path(__file__).parents[2] / "docs" / "console.md").read_text()
ASSETS = Path(markup.__file__).parent / "assets"


def rows(heading: str) -> list[list[str]]:
    (table,) = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


def test_it_names_every_page() -> None:
    told = {row[0].strip("`").removesuffix("?…") for row in rows("address")}
    assert told == {route.path for route in pages.ROUTES if "/static/" not in route.path}


def test_the_policy_is_the_one_that_is_sent() -> None:
    (policy,) = re.findall(r"^```text\n(.*)\n```$", PAGE, re.MULTILINE)
    assert policy == markup.CONTENT_SECURITY_POLICY
    assert markup.HEADERS["referrer-policy"] == "no-referrer"


def test_the_roles_may_do_what_it_says() -> None:
    told = {role.strip(" `"): row[2] for row in rows("role") for role in row[0].split(",")}
    assert set(told) == {"operator", "admin", "manager", "agent"}
    for role, does in told.items():
        assert ("takes" in does) == (role in ACTIONS["work"])
        assert bool(does) == (role in ACTIONS["acknowledge"])


def test_the_numbers_of_the_page_are_the_codes_own() -> None:
    assert (LEASE_WARN_MS, DRAFT_KEPT_MS) == (15_000, 4 * 86_400_000)
    assert "a quarter of a\n  minute before its end" in PAGE
    assert "for four days" in PAGE
    queues = (ASSETS / "queues.js").read_text()
    assert "const PRESENCE_MS = 30_000;" in queues
    assert "const LOOK_MS = 3000;\nconst SELDOM = 4;" in queues
    assert "every twelve seconds, the rest every three" in PAGE
    assert RESERVED_MS == 120_000
    assert "for whoever you name for two minutes" in PAGE
