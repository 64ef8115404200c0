"""The operators.yaml beside the rules: what is refused is told until it is mended, and costs nothing until then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rules.compile.operators import compile_operators
from service import rule_files
from service.api import operators_watch
from service.api.running import Running
from service.errors import LimitReached
from service.flows import operators
from tests.service.api_service import RULES, Server, embedded, ruleset, served

pytestmark = pytest.mark.server

WAIT_S = 20
GOOD = "operators: [{name: mia}]\n"
BROKEN = "operators: [{name: mia, skils: [x]}]\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("watch") / "s")


@pytest.fixture
async def running(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(operators_watch, "LOOKED_AT_EVERY_MS", 10)
    async with served(server) as api:
        yield api.running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    return tmp_path / "rules" / "operators.yaml"


@asynccontextmanager
async def watched(running: Running, file: Path) -> AsyncIterator[None]:
    watching = asyncio.create_task(operators_watch.watch_operators(running, file.parent))
    try:
        yield
    finally:
        watching.cancel()


async def until(held: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not held():  # noqa: ASYNC110  # a flag of the watch, which has no event
            await asyncio.sleep(0.01)


async def declared(running: Running, name: str) -> None:
    """Wait until this operator is declared."""
    async with asyncio.timeout(WAIT_S):
        while await operators.declared(running.store, running.settings.tenant, name) is None:  # noqa: ASYNC110  # above
            await asyncio.sleep(0.01)


def write(file: Path, text: str) -> None:
    """Put a text in the place of the file in one step."""
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.replace(file)


def lead_nowhere(file: Path) -> None:
    """Put a link to nothing in the place of the file in one step."""
    beside = file.with_suffix(".new")
    beside.symlink_to("nowhere")
    beside.replace(file)


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("mend", ["put back", "removed"])
async def test_an_edit_that_is_undone_is_told_no_longer(running: Running, file: Path, mend: str) -> None:
    write(file, GOOD)
    async with watched(running, file):
        await declared(running, "mia")
        write(file, BROKEN)
        await until(lambda: running.operators_fault is not None)
        if mend == "removed":
            remove(file)
        else:
            write(file, GOOD)
        await until(lambda: running.operators_fault is None)
        assert not running.metrics.operators_faulty
        # The same mistake is told once more.
        write(file, BROKEN)
        await until(lambda: running.operators_fault is not None)
        assert running.metrics.operators_faulty


async def test_what_cannot_be_read_for_a_while_mends_nothing(
    running: Running, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = looks(monkeypatch)
    write(file, BROKEN)
    async with watched(running, file):
        await until(lambda: running.operators_fault is not None)
        lead_nowhere(file)
        await several(looked)
        assert running.operators_fault is not None


def looks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return where each look of the watch will stand."""
    read, looked = rule_files.read_operators, list[Path]()

    def looking(directory: Path) -> Mapping[str, str]:
        looked.append(directory)
        return read(directory)

    monkeypatch.setattr(rule_files, "read_operators", looking)
    return looked


async def several(looked: list[Path]) -> None:
    before = len(looked)
    await until(lambda: len(looked) > before + 5)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Return where the thread of each compile will stand."""
    threads: list[threading.Thread] = []

    def compiling(texts: Mapping[str, str]) -> Any:
        threads.append(threading.current_thread())
        return compile_operators(texts)

    monkeypatch.setattr(operators_watch, "compile_operators", compiling)
    return threads


async def test_refused_texts_are_read_once_and_beside_the_loop(
    running: Running, file: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[threading.Thread]
) -> None:
    looked = looks(monkeypatch)
    write(file, "operators: [{name: mia, queues: [cards]}]\n")
    async with watched(running, file):
        await until(lambda: running.operators_fault is not None)
        await several(looked)
        assert len(compiled) == 1
        assert threading.main_thread() not in compiled
        # An edit of the rules may mend it, and one that does not is looked at once.
        running.ruleset = ruleset(RULES.replace("later", "afterwards"))
        await until(lambda: len(compiled) == 2)
        await several(looked)
        assert len(compiled) == 2
        running.ruleset = ruleset(RULES.replace("later", "cards"))
        await until(lambda: running.operators_fault is None)
        await declared(running, "mia")
        assert len(compiled) == 3


async def test_what_could_not_be_declared_is_tried_again_as_it_was_read(
    running: Running, file: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[threading.Thread]
) -> None:
    declare, refusing = operators.declare, [True]

    async def declaring(*given: Any, **named: Any) -> None:
        if refusing:
            raise LimitReached("operators", 1)
        await declare(*given, **named)

    monkeypatch.setattr(operators, "declare", declaring)
    looked = looks(monkeypatch)
    write(file, GOOD)
    async with watched(running, file):
        await until(lambda: running.operators_fault is not None)
        await several(looked)
        refusing.clear()
        await until(lambda: running.operators_fault is None)
        await declared(running, "mia")
        assert len(compiled) == 1


async def test_a_file_that_was_emptied_opens_nothing_to_everybody_unless_that_is_said(
    running: Running, file: Path
) -> None:
    write(file, GOOD)
    async with watched(running, file):
        await declared(running, "mia")
        write(file, "operators: []\n")
        await until(lambda: running.operators_fault is not None)
        assert running.operators_fault is not None
        assert running.operators_fault.fact == operators_watch.NOBODY
        store, tenant = running.store, running.settings.tenant
        assert await operators.any_declared(store, tenant)
        # As `handrail operators apply FILE --nobody` says it.
        await operators.declare(store, tenant, (), "boss", 0, replacing=True)
        await until(lambda: running.operators_fault is None)
        assert not await operators.any_declared(store, tenant)
