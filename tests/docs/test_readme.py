"""README.md does what it says: every block runs, in order, against a service started as it tells to start it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port

pytestmark = pytest.mark.walk

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
START_S = STOP_S = 120


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


class Started:
    """A service started as README tells, in a folder of its own with an empty home."""

    def __init__(self, folder: Path) -> None:
        self.port = str(free_port())
        self.folder = folder
        home = folder / "home"
        home.mkdir()
        (folder / "rules").mkdir()
        shutil.copytree(ROOT / "rules" / "library", folder / "rules" / "library")
        # Where `make run` puts the command; nothing else leads there, as on a machine that never saw it.
        (folder / ".venv").mkdir()
        (folder / ".venv" / "bin").symlink_to(BIN)
        path = os.pathsep.join(each for each in os.get_exec_path() if not Path(each, "handrail").exists())
        self.environment = {"HOME": str(home), "PATH": path, "HANDRAIL_PORT": self.port}
        self.log = (folder / "serve.log").open("w")
        self.process = subprocess.Popen(
            [BIN / "handrail", "serve"], cwd=folder, env=self.environment, stdout=self.log, stderr=self.log
        )

    def wait_until_ready(self) -> None:
        for _ in range(START_S * 10):
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            assert self.process.poll() is None, (self.folder / "serve.log").read_text()
            time.sleep(0.1)
        pytest.fail((self.folder / "serve.log").read_text())

    def here(self, text: str) -> str:
        return text.replace("127.0.0.1:8321", f"127.0.0.1:{self.port}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=STOP_S) == 0, (self.folder / "serve.log").read_text()
        self.log.close()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    service = Started(tmp_path_factory.mktemp("readme"))
    try:
        service.wait_until_ready()
        yield service
    finally:
        if service.process.poll() is None:
            service.stop()


def shape_is_within(shown: object, real: object) -> bool:
    """Return whether every field README shows is in the real answer, and every value it spells out is equal."""
    if isinstance(shown, dict):
        return isinstance(real, dict) and all(k in real and shape_is_within(v, real[k]) for k, v in shown.items())
    if isinstance(shown, list):
        return isinstance(real, list) and bool(real) and all(shape_is_within(shown[0], item) for item in real)
    if isinstance(shown, str) and shown.endswith("…"):
        return isinstance(real, str) and real.startswith(shown[:-1])
    return shown == real


def documents(text: str) -> list[dict[str, object]]:
    """Return the JSON documents of an output one after the other; curl puts nothing between them."""
    found = []
    text = text.strip()
    while text:
        document, end = json.JSONDecoder().raw_decode(text)
        found.append(document)
        text = text[end:].strip()
    return found


def test_the_command_it_starts_with_is_what_the_makefile_runs() -> None:
    assert blocks("console") == ["$ make run\n"]
    # The tests themselves may have been started by make, which speaks up when it is called again.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    ran = subprocess.run(["make", "-n", "run"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    recipe = ran.stdout
    assert recipe.splitlines()[-1] == ".venv/bin/handrail serve"


def test_every_shell_block_runs_and_the_answer_has_the_shape_shown(started: Started) -> None:
    script = "set -euo pipefail\n" + "\necho; echo ==== block\n".join(started.here(block) for block in blocks("bash"))
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=started.folder,
        env=started.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    outputs = ran.stdout.split("==== block\n")
    (shown,) = blocks("json")
    decision = json.loads(outputs[0])
    assert shape_is_within(json.loads(shown), decision), decision
    resolved = documents(outputs[1])[-1]
    assert resolved["state"] == "resolved", resolved


def test_the_agent_s_code_runs(started: Started) -> None:
    keys = json.loads((started.folder / ".handrail" / "keys.json").read_text())
    (code,) = blocks("python")
    names: dict[str, object] = {"AGENT_KEY": keys["agent"]}
    exec(started.here(code), names)
    assert names["reply"] == "On its way."


def test_every_link_leads_to_a_file() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_every_page_is_reached_from_here() -> None:
    reached, ahead = set[Path](), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        links = re.findall(r"\]\(([^)#\s]+\.md)", page.read_text())
        found = {(page.parent / link).resolve() for link in links if "://" not in link}
        new = {each for each in found if each.exists()} - reached
        reached |= new
        ahead += new
    assert not [page.name for page in sorted((ROOT / "docs").glob("*.md")) if page.resolve() not in reached]


def test_the_map_names_folders_that_exist() -> None:
    folders = re.findall(r"^\| `([\w/]+)/` \|", README, re.MULTILINE)
    assert folders
    assert not [folder for folder in folders if not (ROOT / folder).is_dir()]
