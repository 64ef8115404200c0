"""docs/simulate.md says what is true: its rows are read, its table is the code's own, and so are its numbers."""

from __future__ import annotations

import re
from pathlib import Path

from rules.simulation.arrivals import COLUMNS
from service.cli.arrival_files import arrivals_of
from service.command import COMMANDS
from service.flows.listings import ENDED_KEPT_MS, ENDED_LISTED_MAX
from tests.service.cli_run import handrail, rules_in

PAGE = (Path(__file__).parents[2] / "docs" / "simulate.md").read_text()


def test_the_table_of_fields_is_the_codes_own() -> None:
    table = PAGE[PAGE.index("| field |") :].split("\n\n", maxsplit=1)[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)) == COLUMNS


def test_the_rows_of_the_page_are_read_and_simulated(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```csv\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    came = tmp_path / "came.csv"
    came.write_text(text)
    assert [each.gave_up for each in arrivals_of([came])] == [False, True]
    rules = rules_in(tmp_path / "rules")
    done = handrail("simulate", str(rules), str(came), "--queue", "desk", "--operators", "1", "--runs", "1")
    assert done.exit_code == 0, done.output


def test_it_says_how_far_back_a_service_remembers() -> None:
    words = " ".join(PAGE.split())
    assert f"what ended is known for {ENDED_KEPT_MS // 86_400_000} days" in words
    assert f"of each partition the last {ENDED_LISTED_MAX:,} handoffs" in words


def test_what_is_typed_there_is_known() -> None:
    known = {row.name for rows in COMMANDS.values() for row in rows}
    typed = [line.split() for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
             for line in block.splitlines()]  # fmt: skip
    assert {words[1] for words in typed} == {"arrivals", "simulate"} <= known
