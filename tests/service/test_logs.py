"""Log lines are JSON, in order, never in the way, and never quote what went wrong in a customer's words."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from service import logs
from service.logs import LINES_WAITING_MAX, Lines

Read = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Read]:
    """Configure logging into a file, and undo it; calling the value gives the lines written so far."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    file = tmp_path / "log"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    lines = logs.configure("info", "json", descriptor)

    def read() -> list[dict[str, Any]]:
        lines.flush()
        return [json.loads(line) for line in file.read_text().splitlines()]

    yield read
    lines.close()
    os.close(descriptor)
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


def test_a_line_is_one_json_object_with_its_level_and_moment(written: Read) -> None:
    structlog.get_logger("any").info("decided", verdict="hold", rule_ids=["a"])
    (line,) = written()
    assert line.pop("at_ms") > 1_700_000_000_000
    assert line == {"event": "decided", "level": "info", "verdict": "hold", "rule_ids": ["a"]}


def test_lines_below_the_level_are_not_written_and_the_order_is_kept(written: Read) -> None:
    log = structlog.get_logger()
    log.debug("no")
    for number in range(100):
        log.info("line", number=number)
    assert [line["number"] for line in written()] == list(range(100))


def test_what_libraries_log_becomes_one_of_our_lines(written: Read) -> None:
    logging.getLogger("uvicorn.error").warning("lost %s", "a connection")
    (line,) = written()
    assert (line["event"], line["source"], line["level"]) == ("lost a connection", "uvicorn.error", "warning")


def test_an_exception_is_told_by_kind_and_place_and_not_in_its_own_words(written: Read) -> None:
    try:
        raise ValueError("I am Erika Mustermann and my card is 4111 1111 1111 1111")
    except ValueError:
        logging.getLogger("any").exception("failed")
    (line,) = written()
    assert line["error"] == "ValueError"
    assert line["frames"][-1].startswith("tests/service/test_logs.py:")
    assert "Mustermann" not in json.dumps(line)


def test_a_reader_that_stalls_costs_lines_and_not_decisions_and_the_loss_is_told() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, True)
    lines = Lines(writing)
    try:
        for _ in range(LINES_WAITING_MAX + 50_000):
            lines.add(b'{"x": "' + b"y" * 100 + b'"}')
        # Nobody has read a byte so far, and yet every `add` came back.
        received = b""
        while b"log lines dropped" not in received:
            received = received[-200:] + os.read(reading, 1_000_000)
            lines.add(b"{}")
    finally:
        os.close(reading)
        lines.close()
        os.close(writing)
    told = next(line for line in received.splitlines() if b"dropped" in line)
    assert json.loads(told)["lines"] > 0


def test_a_closed_log_does_not_stop_the_service() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    lines = Lines(writing)
    lines.add(b"{}")
    lines.close()
    os.close(writing)
