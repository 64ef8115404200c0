"""The Dockerfile names only paths, commands and users that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, arguments) pairs with continued lines joined and comments dropped."""
    text = (ROOT / "Dockerfile").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text)
    pairs = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(pair[0].upper(), pair[1]) for pair in pairs]


def copied() -> list[str]:
    sources: list[str] = []
    for instruction, arguments in instructions():
        words = shlex.split(arguments)
        if instruction == "COPY" and not words[0].startswith("--from"):
            sources += words[:-1]
    return sources


def test_every_path_it_copies_is_in_the_tree_and_let_through_by_dockerignore() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied()
    for source in copied():
        assert (ROOT / source).exists(), source
        assert source in let_through, f"{source} is kept out by .dockerignore"


def test_everything_the_wheel_needs_is_copied() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    packages = re.search(r"^packages = \[(.*)\]", pyproject, re.MULTILINE)
    assert packages
    needed = set(re.findall(r'"(\w+)"', packages.group(1))) | {"README.md", "LICENSE", "client", "constraints.txt"}
    assert needed <= set(copied())


def test_it_does_not_run_as_root_and_starts_the_command_that_the_wheel_installs() -> None:
    last = dict(instructions())
    assert last["USER"] == "handrail"
    assert last["ENTRYPOINT"] == '["handrail"]'
    assert '\nhandrail = "service.command:run"' in (ROOT / "pyproject.toml").read_text()


def test_its_three_commands_exist() -> None:
    from service.command import COMMANDS

    named = set(re.findall(r"docker run IMAGE (\w+)", (ROOT / "Dockerfile").read_text()))
    assert named == {"serve", "work"}
    assert named <= {row.name for rows in COMMANDS.values() for row in rows}


def test_what_it_sets_are_settings_that_exist() -> None:
    from service.settings import Settings

    prefix = "HANDRAIL_"
    set_here = re.findall(rf"\b{prefix}(\w+)=", (ROOT / "Dockerfile").read_text())
    assert set_here
    assert {word.lower() for word in set_here} <= set(Settings.model_fields)


def test_the_page_for_operators_runs_it_as_it_is() -> None:
    from service.command import COMMANDS
    from service.settings import Settings

    page = (ROOT / "docs" / "operations.md").read_text().partition("\n## In a container\n")[2].partition("\n## ")[0]
    last = dict(instructions())
    port = Settings.model_fields["port"].default
    assert last["EXPOSE"] == str(port)
    assert f" -p 127.0.0.1:{port}:{port} " in page
    assert f" -v handrail-data:{last['VOLUME']} " in page
    (uid,) = re.findall(r"useradd .*?--uid (\d+)", last["RUN"])
    assert f"user {uid} " in page
    named = set(re.findall(r"docker exec (?:-e \S+ )?handrail handrail (\w+)", page))
    assert named == {"keys", "calls"}
    assert named <= {row.name for rows in COMMANDS.values() for row in rows}
