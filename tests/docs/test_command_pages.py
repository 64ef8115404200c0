"""docs/commands.md, docs/replay.md and docs/packet.md say what is true: each table is held against the code's own."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import yaml

from rules.packet.packet import PACKET_BYTES_MAX, ContextPacket
from rules.packet.packet_lint import FINDINGS
from rules.packet.packet_size import CUT_ORDER
from rules.replay.conversations import Scores
from rules.replay.scorecards import Rate
from rules.replay.transcripts import SYNTHETIC_TURN_MS, TRUTHS, read
from service.cli.check_formats import FORMATS
from service.cli.output import EXIT_FINDINGS, EXIT_FINE, EXIT_USAGE
from service.command import COMMANDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text()


def first_column(text: str, heading: str) -> list[str]:
    """Return the names in backticks of the first column of the table with that heading."""
    table = text[text.index(f"| {heading} |") :].split("\n\n", maxsplit=1)[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_field_of_a_packet_is_on_its_page() -> None:
    fields = [field.name for field in dataclasses.fields(ContextPacket)]
    assert sorted(first_column(page("packet.md"), "field")) == sorted([*fields, "masks"])


def test_the_order_of_cutting_is_the_one_on_the_page() -> None:
    steps = re.findall(r"^\d+\. ([^(;\n]+?) ?(?:\(.*|;.*)?$", page("packet.md"), re.MULTILINE)
    assert [step.removesuffix(" two") for step in steps] == list(CUT_ORDER)
    assert f"{PACKET_BYTES_MAX:,} bytes" in page("packet.md")


def test_every_finding_is_on_the_page_in_the_same_words() -> None:
    rows = dict(
        re.findall(r"^\| `(\w+)` \| (.+) \|$", page("packet.md")[page("packet.md").index("| code |") :], re.MULTILINE)
    )
    assert rows == FINDINGS


def test_every_rate_of_a_replay_is_on_its_page() -> None:
    rates = [field.name for field in dataclasses.fields(Scores) if field.type in (Rate, "Rate")]
    assert sorted(first_column(page("replay.md"), "figure")) == sorted(rates)
    assert ", ".join(f"`{name}`" for name in TRUTHS[:2]) + f" and `{TRUTHS[2]}`" in " ".join(page("replay.md").split())
    assert f"{SYNTHETIC_TURN_MS // 1000} s a turn" in page("replay.md")


def test_the_row_on_the_page_is_read_as_the_page_says() -> None:
    found = re.search(r"```yaml\n(.+?)```", page("replay.md"), re.DOTALL)
    assert found
    recorded = read(yaml.safe_load(found.group(1))[0])
    first, second = (each.turn for each in recorded.turns)
    assert (first.message, first.confidence, first.sentiment) == ("The laptop arrived broken.", 0.9, -0.4)
    assert [(call.name, call.status, call.error) for call in second.tool_calls] == [
        ("get_order", "error", "Error: not found"),
        ("refund", "proposed", None),
    ]
    assert (recorded.truth.needed(), recorded.truth.bad_write_index) == (True, 3)


def test_every_command_is_on_its_page_and_no_other() -> None:
    known = {row.name for rows in COMMANDS.values() for row in rows}
    named = {words.split()[1] for words in first_column(page("commands.md"), "command")}
    assert named == known


def test_the_exit_codes_are_the_ones_on_the_page() -> None:
    codes = re.findall(r"^\| (\d) \|", page("commands.md"), re.MULTILINE)
    assert [int(code) for code in codes] == [EXIT_FINE, EXIT_FINDINGS, EXIT_USAGE]


def test_the_formats_of_a_check_are_the_ones_on_its_page() -> None:
    assert first_column(page("problems.md"), "`--format`") == list(FORMATS)


def test_what_a_page_tells_to_install_is_a_folder_of_this_tree() -> None:
    pages = [ROOT / "README.md", ROOT / "client" / "README.md", *DOCS.glob("*.md")]
    told = re.findall(r"^\s*pip install (\S+)", "\n".join(each.read_text() for each in pages), re.MULTILINE)
    assert told
    # A name would be looked for in a package registry, where anybody may have taken it.
    assert [word for word in told if not (ROOT / word / "pyproject.toml").is_file()] == []
