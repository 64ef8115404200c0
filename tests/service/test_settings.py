"""Settings come from the command line before the environment, and what cannot be used is told without its value."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import settings
from service.settings import Settings, SettingsInvalid


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("HANDRAIL_"):
            monkeypatch.delenv(name)


def test_what_nobody_sets_is_a_service_on_loopback_with_a_server_and_rules_of_its_own() -> None:
    found = settings.load()
    assert (found.host, found.port, found.data_dir, found.rules) == ("127.0.0.1", 8321, Path(".handrail"), None)
    assert found.embedded
    assert found.work


def test_an_option_weighs_more_than_the_environment_and_none_is_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDRAIL_PORT", "9001")
    monkeypatch.setenv("HANDRAIL_HOST", "0.0.0.0")
    found = settings.load(port=9002, host=None)
    assert (found.port, found.host) == (9002, "0.0.0.0")


def test_an_empty_variable_is_a_variable_that_was_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDRAIL_REDIS_URL", "")
    assert settings.load().embedded


INVALID = {
    "a port is a number in range": (
        {"HANDRAIL_PORT": "70000"},
        "HANDRAIL_PORT: input should be less than or equal to 65535",
    ),
    "an address of the store has a scheme that is known": (
        {"HANDRAIL_REDIS_URL": "http://user:s3cret@redis"},
        "HANDRAIL_REDIS_URL: an address starts with one of `redis://`, `rediss://`, `unix://`, `redis+sentinel://`, "
        "`rediss+sentinel://`, `redis+cluster://`, `rediss+cluster://`",
    ),
    "an address of the store names a host": (
        {"HANDRAIL_REDIS_URL": "redis://"},
        "HANDRAIL_REDIS_URL: an address names a host or, with `unix://`, the path of a socket",
    ),
    "a webhook is called over HTTP": (
        {"HANDRAIL_WEBHOOK_URL": "ftp://s3cret.example"},
        "HANDRAIL_WEBHOOK_URL: an address starts with `https://` (or `http://`) and names a host",
    ),
    "a lease outlives a few heartbeats": (
        {"HANDRAIL_LEASE_MS": "10"},
        "HANDRAIL_LEASE_MS: input should be greater than or equal to 5000",
    ),
    "a tenant is a word in lower case": (
        {"HANDRAIL_TENANT": "S3cret Inc"},
        "HANDRAIL_TENANT: string should match pattern '^[a-z0-9][a-z0-9-]{0,62}$'",
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_what_cannot_be_used_is_told_with_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given, told = INVALID[name]
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsInvalid) as invalid:
        settings.load()
    assert invalid.value.facts == (told,)
    assert "s3cret" not in str(invalid.value).lower()


def test_all_that_cannot_be_used_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDRAIL_PORT", "x")
    monkeypatch.setenv("HANDRAIL_PARTITIONS", "0")
    with pytest.raises(SettingsInvalid) as invalid:
        settings.load()
    assert [fact.partition(":")[0] for fact in invalid.value.facts] == ["HANDRAIL_PORT", "HANDRAIL_PARTITIONS"]


def test_a_variable_that_nothing_reads_is_told_with_the_one_that_was_meant() -> None:
    told = settings.unknown_variables({"HANDRAIL_DATADIR": "x", "HANDRAIL_ZZZ": "x", "HANDRAIL_KEY": "x", "PATH": "x"})
    assert told == (
        "`HANDRAIL_DATADIR` is not a setting; did you mean `HANDRAIL_DATA_DIR`?",
        "`HANDRAIL_ZZZ` is not a setting",
    )


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_a_secret_is_not_shown_when_settings_are() -> None:
    assert "whsec_abc" not in repr(settings.load(webhook_secret="whsec_abc"))
