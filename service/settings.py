"""What can be set from outside, read once at start. One table of fields; nothing else reads the environment."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "HANDRAIL_"
# What `serve` tells of the keys that it made itself, beside the data.
KEYS_FILE = "keys.json"
REDIS_SCHEMES = (
    *("redis", "rediss", "unix"),
    *("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"),
)
# Read by the agents' SDK and by commands that speak to a running service, never by the service itself.
CLIENT_VARIABLES = frozenset({"HANDRAIL_URL", "HANDRAIL_KEY", "HANDRAIL_API_KEY"})
# More partitions than this only cost: a claim asks every partition that has work.
PARTITIONS_MAX = 1_024
# A lease shorter than a few heartbeats would end under an operator who types.
LEASE_MS_MIN, LEASE_MS_MAX = 5_000, 3_600_000


class SettingsInvalid(Exception):
    """Settings that cannot be used; `facts` holds one line a setting, without the value that was given."""

    def __init__(self, facts: tuple[str, ...]) -> None:
        super().__init__("\n".join(facts))
        self.facts = facts


def _redis_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in REDIS_SCHEMES:
        raise ValueError(f"an address starts with one of {', '.join(f'`{scheme}://`' for scheme in REDIS_SCHEMES)}")
    if not (parts.hostname or parts.path):
        raise ValueError("an address names a host or, with `unix://`, the path of a socket")
    return url


def _webhook_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address starts with `https://` (or `http://`) and names a host")
    return url


RedisUrl = Annotated[str, AfterValidator(_redis_url)]
WebhookUrl = Annotated[str, AfterValidator(_webhook_url)]


class Settings(BaseSettings):
    """Every setting of the service and its workers; the variable is the field's name in capitals after `HANDRAIL_`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8321, ge=0, le=65_535, description="Port to listen on; 0 takes any free one.")
    data_dir: Path = Field(Path(".handrail"), description="Where the embedded server, keys.json and the spool live.")
    rules: Path | None = Field(None, description="Directory of rule files; the shipped library when not set.")
    redis_url: RedisUrl | None = Field(None, description="Redis >= 7 or Valkey >= 7.2 to use, not the embedded server.")
    rq_url: RedisUrl | None = Field(None, description="Redis for the workers' jobs, where `redis_url` is a cluster.")
    partitions: int = Field(1, ge=1, le=PARTITIONS_MAX, description="Hash slots that conversations are spread over.")
    durable: Literal["default", "strict", "replicated"] = Field(
        "default",
        description="What an answer waits for: `strict` for the disk of a remote server (WAITAOF), `replicated` for a "
        "replica that may take its place (WAIT).",
    )
    lease_ms: int = Field(60_000, ge=LEASE_MS_MIN, le=LEASE_MS_MAX, description="How long a claim lasts unrenewed.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["auto", "json", "pretty"] = Field("auto", description="`auto` is pretty on a terminal only.")
    tenant: str = Field(
        "default", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Tenant of the keys that `serve` makes by itself."
    )
    webhook_url: WebhookUrl | None = Field(None, description="Where events are delivered; nowhere when not set.")
    webhook_secret: SecretStr | None = Field(None, description="`whsec_…` key that signs the events.")
    webhook_targets: Literal["auto", "public", "loopback", "private"] = Field(
        "auto", description="Networks that webhooks may call; `auto` adds loopback where `host` is loopback."
    )
    console_url: WebhookUrl | None = Field(
        None, description="What links in messages begin with; this service's own address where that is loopback."
    )
    work: bool = Field(True, description="Whether `serve` runs a supervised worker beside itself.")

    @property
    def embedded(self) -> bool:
        """Return whether the server that Handrail starts itself is used."""
        return self.redis_url is None


def load(**given: object) -> Settings:
    """Return the settings from the environment, with what was given on the command line before it.

    Options that are None were not given. Raises SettingsInvalid with every setting at fault at once.
    """
    known = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**known)  # type: ignore[arg-type]  # pydantic checks the values at run time
    except ValidationError as invalid:
        raise SettingsInvalid(tuple(_fact(error["loc"], error["msg"]) for error in invalid.errors())) from None


def unknown_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return one line for each `HANDRAIL_` variable that nothing reads, with the nearest one that is read."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | CLIENT_VARIABLES
    return tuple(_unknown(name, known) for name in sorted(environment) if name.startswith(PREFIX) and name not in known)


def _unknown(name: str, known: Iterable[str]) -> str:
    words = sorted(known_name.removeprefix(PREFIX) for known_name in known)
    near = difflib.get_close_matches(name.removeprefix(PREFIX), words, n=1)
    return f"`{name}` is not a setting" + (f"; did you mean `{PREFIX}{near[0]}`?" if near else "")


def _fact(loc: tuple[int | str, ...], message: str) -> str:
    name = PREFIX + str(loc[0]).upper() if loc else "settings"
    return f"{name}: {message.removeprefix('Value error, ').lower()}"
