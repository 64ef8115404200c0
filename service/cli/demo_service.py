"""A whole Handrail of its own for the demo: the real service process, its worker and its server, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service import settings
from service.cli.opened_store import opened_store
from service.cli.output import refuse
from service.clock import now_ms
from service.flows import keys
from service.keys_file import keys_file
from service.settings import PREFIX

START_WAIT_S_MAX = 30.0  # a start takes a second; a busy machine may take ten
STOP_WAIT_S_MAX = 20.0  # what `serve` itself allows its worker, and a little more
GREETING = "handrail listens on "
ROOT = Path(__file__).resolve().parents[2]
LOG_LINES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class DemoService:
    """A running service: where it listens, an agent's key, and a key for each operator by name."""

    url: str
    agent_key: str
    operator_keys: dict[str, str]
    data_dir: Path
    pid: int


@asynccontextmanager
async def demo_service(
    data_dir: Path | None, rules: Path | None, operators: tuple[str, ...]
) -> AsyncIterator[DemoService]:
    """Start `handrail serve` on a free port, and stop it in the end. A directory that was not given is removed."""
    place = data_dir or Path(tempfile.mkdtemp(prefix="handrail-demo-"))
    place.mkdir(parents=True, exist_ok=True)
    try:
        process = await _start(place, rules)
        try:
            url = await _listening(process, place)
            agent_key = _agent_key(place)
            yield DemoService(url, agent_key, await _operator_keys(place, operators), place, process.pid)
        finally:
            await _stop(process)
    finally:
        if data_dir is None:
            shutil.rmtree(place, ignore_errors=True)


async def _start(place: Path, rules: Path | None) -> asyncio.subprocess.Process:
    # Nothing of the environment's Handrail: a demo must never write into the store of a real one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH"))))
    words = [sys.executable, "-m", "service", "serve", "--port", "0", "--data-dir", str(place)]
    words += ["--log-format", "json", *(["--rules", str(rules)] if rules is not None else [])]
    with (place / "serve.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,
        )


async def _listening(process: asyncio.subprocess.Process, place: Path) -> str:
    assert process.stdout is not None  # noqa: S101  (it was asked for above)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_WAIT_S_MAX):
            while line := (await process.stdout.readline()).decode(errors="replace"):
                if line.startswith(GREETING):
                    return line.removeprefix(GREETING).strip()
    told = (place / "serve.log").read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    refuse("the service did not start", "\n       ".join(told) or "try `handrail serve` to see why")


def _agent_key(place: Path) -> str:
    try:
        told = json.loads(keys_file(place, settings.load(data_dir=place).tenant).read_text())
        return str(told["agent"])
    except (OSError, ValueError, KeyError):
        refuse(f"{place}: no keys.json with an agent's key", "let the demo use a directory of its own")


async def _operator_keys(place: Path, operators: tuple[str, ...]) -> dict[str, str]:
    given = settings.load(data_dir=place)
    own = given.model_copy(update={"redis_url": None})
    async with opened_store(own) as store:
        made = [await keys.create(store, own.tenant, name, "operator", now_ms()) for name in operators]
    return {each.key.name: each.token for each in made}


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_WAIT_S_MAX)
    except TimeoutError:
        process.kill()
        await process.wait()
