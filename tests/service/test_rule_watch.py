"""What an edit of a watched directory takes away is told, also by the process that is started next."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import pytest

from rules.diff.losses import Losses, losses
from rules.model import RuleFiles
from service import last_good, rules_loss, rules_taken, settings
from service.api.rule_watch import take_up
from service.api.running import Running
from service.flows.access import Store
from service.rules_at_start import rules_at_start
from tests.service.api_service import RULES

CUT = RULES[: RULES.index("  - id: fees")]


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """Return what a process holds that was started with the whole rules; the watch never asks its store."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(RULES)
    given = settings.load(data_dir=tmp_path / "data", rules=tmp_path / "rules")
    begun = rules_at_start(given)
    return Running(given, cast(Store, None), begun.ruleset, texts=begun.texts)


async def edited(running: Running, text: str) -> None:
    """Write the file, and let it be taken up."""
    directory = running.settings.rules
    assert directory is not None
    write(directory / "a.yaml", text)
    await take_up(running, directory, {"a.yaml": text})


def write(file: Path, text: str) -> None:
    file.write_text(text)


async def test_a_loss_of_an_edit_is_told_by_the_next_process_until_it_is_back(running: Running) -> None:
    await edited(running, CUT)
    told = running.rules_loss
    assert told is not None
    assert [line.split(":")[0] for line in told.lost.lines()] == ["fees"]
    assert rules_at_start(running.settings).loss == told
    # An edit of something else keeps it as it is.
    await edited(running, CUT.replace("0.5", "0.6"))
    assert rules_at_start(running.settings).loss == running.rules_loss == told
    await edited(running, RULES)
    assert [running.rules_loss, rules_at_start(running.settings).loss] == [None, None]


async def test_what_is_no_news_any_more_is_not_kept(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await edited(running, CUT)
    monkeypatch.setattr(rules_loss, "TOLD_MS", 0)
    await edited(running, CUT.replace("0.5", "0.6"))
    assert running.settings.rules is not None
    kept = last_good.find(running.settings.data_dir, running.settings.rules)
    assert kept is not None
    assert (kept.texts["a.yaml"], kept.before) == (CUT.replace("0.5", "0.6"), None)


async def test_nothing_that_takes_long_is_worked_out_in_the_loop(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def compared(old: RuleFiles, new: RuleFiles) -> Losses:
        threads.append(threading.current_thread())
        return losses(old, new)

    for module in (rules_loss, rules_taken):
        monkeypatch.setattr(module, "losses", compared)
    for text in (CUT, CUT.replace("0.5", "0.6"), RULES):
        await edited(running, text)
    assert threads
    assert threading.main_thread() not in threads
