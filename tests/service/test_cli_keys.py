"""`handrail keys`: made, listed and revoked in the store that a service would use."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.api.identity import KEY_BELIEVED_MS
from service.store.embedded import start_or_attach
from tests.service.cli_run import as_json, handrail


@pytest.mark.server
def test_a_key_is_made_listed_and_revoked(tmp_path: Path) -> None:
    place = ("--data-dir", str(tmp_path))
    # Held open here, as a running service would, so that each command joins the same server.
    with start_or_attach(tmp_path):
        made = handrail("keys", "create", "shop-bot", "--role", "agent", *place)
        token = made.stdout.strip()
        assert (made.exit_code, made.stdout.count("\n")) == (0, 1)
        assert "shop-bot (agent); this is the only time its secret is shown" in made.stderr
        listed = as_json(handrail("keys", "list", "--json", *place))["keys"]
        assert [(key["name"], key["role"], key["revoked_at_ms"]) for key in listed] == [("shop-bot", "agent", None)]
        table = handrail("keys", "list", *place).stdout
        assert token not in table
        assert [line.split()[-1] for line in table.splitlines()] == ["state", "works"]
        revoked = handrail("keys", "revoke", listed[0]["key_id"], *place)
        assert (revoked.exit_code, revoked.stdout) == (
            0,
            f"key {listed[0]['key_id']} of shop-bot is ended; every running process refuses it within "
            f"{KEY_BELIEVED_MS // 1000} seconds\n",
        )
        assert as_json(handrail("keys", "list", "--json", *place))["keys"][0]["revoked_at_ms"] > 0


@pytest.mark.server
def test_keys_work_without_a_running_service_and_leave_no_server_behind(tmp_path: Path) -> None:
    place = ("--data-dir", str(tmp_path))
    with start_or_attach(tmp_path):
        pass
    assert handrail("keys", "list", *place).stdout.startswith("no keys yet")
    made = handrail("keys", "create", "mia", "--role", "operator", *place)
    assert (made.exit_code, made.stderr.count("\n")) == (0, 1)
    with start_or_attach(tmp_path) as server:
        assert server.started, "the command stopped the server that it had started"
        assert len(as_json(handrail("keys", "list", "--json", *place))["keys"]) == 1


@pytest.mark.server
def test_a_directory_without_a_store_is_told_and_only_a_new_key_makes_one(tmp_path: Path) -> None:
    for words in (("list",), ("revoke", "key_3f1c")):
        mistyped = handrail("keys", *words, env={"HANDRAIL_DATA_DIR": str(tmp_path / "nope")})
        assert (mistyped.exit_code, mistyped.stdout) == (2, "")
        assert mistyped.stderr == (
            f"error: no store is in the data directory {tmp_path / 'nope'}\n"
            "       name the one that `handrail serve` uses, with `--data-dir` or HANDRAIL_DATA_DIR\n"
        )
        assert not (tmp_path / "nope").exists()
    made = handrail("keys", "create", "mia", "--role", "operator", "--data-dir", str(tmp_path / "new"))
    assert made.stderr.splitlines()[0] == (
        f"made a new data directory at {tmp_path / 'new'}; "
        f"the key works for `handrail serve --data-dir {tmp_path / 'new'}`"
    )
    assert len(as_json(handrail("keys", "list", "--json", "--data-dir", str(tmp_path / "new")))["keys"]) == 1


@pytest.mark.server
def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    place = ("--data-dir", str(tmp_path))
    with start_or_attach(tmp_path):
        pass
    unknown = handrail("keys", "revoke", "key_000000000000000000000000", *place)
    assert unknown.exit_code == 2
    assert unknown.stderr.startswith("error: ")
    role = handrail("keys", "create", "x", "--role", "boss", *place)
    assert role.stderr.splitlines()[0] == "error: `--role` is none of agent, operator, manager, admin"


@pytest.mark.parametrize("name", ["", " ", "a\nb", "mia\n", "\x1b[2J", "m" * 65])
def test_a_name_that_no_record_can_show_is_refused(tmp_path: Path, name: str) -> None:
    result = handrail("keys", "create", name, "--role", "agent", "--data-dir", str(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "error: a name has 1 to 64 letters, digits, spaces and `_ . @ -`, a letter or digit first\n"
        "       write who uses the key, as `shop-bot` or `mia`\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [("list",), ("create", "mia", "--role", "operator")])
def test_a_store_that_does_not_answer_is_told_to_who_runs_the_command(words: tuple[str, ...]) -> None:
    result = handrail("keys", *words, env={"HANDRAIL_REDIS_URL": "redis://127.0.0.1:1"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "error: the store is away: the server does not take connections\n"
        "       does a Redis or Valkey answer at HANDRAIL_REDIS_URL? try again once it does\n"
    )


def test_a_setting_that_cannot_be_used_is_a_refusal(tmp_path: Path) -> None:
    result = handrail("keys", "list", "--data-dir", str(tmp_path), env={"HANDRAIL_REDIS_URL": "http://x"})
    assert result.exit_code == 2
    assert result.stderr.startswith("error: HANDRAIL_REDIS_URL: ")
