"""docs/replay.md shows what the shipped library does today with the recorded agent runs, where they are at hand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TAU = Path(os.environ.get("HANDRAIL_SHARED_DATA", ROOT.parent / "shared" / "data")) / "tau.dev.jsonl.gz"
# These change with the machine, and with every edit that leaves the figures as they are.
PASSING = re.compile(r" \(ruleset \w+\)|; [\d,]+ turns a second")


def figures(text: str) -> list[str]:
    return [" ".join(PASSING.sub("", line).split()) for line in text.splitlines() if line.strip()]


@pytest.mark.skipif(not TAU.exists(), reason="the recorded agent runs are not on this machine")
def test_the_page_shows_what_the_library_does_today() -> None:
    words = [sys.executable, "-m", "service", "replay", "rules/library", str(TAU)]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    page = (ROOT / "docs" / "replay.md").read_text()
    shown = re.search(r"\$ handrail replay rules/library tau\.dev\.jsonl\.gz\n(.+?)\n```", page, re.DOTALL)
    assert shown is not None
    left_out = {status: len(re.findall(rf" {status} ", run.stdout)) for status in ("quiet", "NO_MATCHING_DATA")}
    told = [line for line in figures(run.stdout) if not re.search(r" (quiet|NO_MATCHING_DATA) ", line)]
    assert figures(shown[1]) == told
    counts = re.search(r"other rules, (\d+) were quiet and (\d+) had no\s+matching data", page)
    assert counts is not None
    assert [int(count) for count in counts.groups()] == list(left_out.values())
