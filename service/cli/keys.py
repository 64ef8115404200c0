"""`handrail keys`: API keys made, listed and revoked, in the same store as a running service."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from service import settings
from service.cli.opened_store import opened_store
from service.cli.output import JsonFlag, note, refuse, say, say_json, say_table
from service.clock import now_ms
from service.flows import keys as flow
from service.flows.access import Store, holds_store
from service.flows.keys import ROLES, ApiKey, Role

T = TypeVar("T")

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Data directory of the service.  [env: HANDRAIL_DATA_DIR; default: .handrail]"),
]
Tenant = Annotated[str | None, typer.Option("--tenant", help="Tenant of the keys.  [env: HANDRAIL_TENANT]")]

keys = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Make, list and revoke API keys.

    Works beside a running service or without one: on the data directory, or on HANDRAIL_REDIS_URL when that is set.

    \b
    Examples:
      handrail keys create shop-bot --role agent
      handrail keys create mia --role operator
      handrail keys list
      handrail keys revoke key_3f1c
    """,
)


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who uses the key; records show this name.")],
    role: Annotated[str, typer.Option("--role", help=f"One of: {', '.join(ROLES)}.")],
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a key and print its secret, once: only a hash of it is kept.

    \b
    Examples:
      handrail keys create shop-bot --role agent
      KEY=$(handrail keys create ci --role manager --json | jq -r .token)
    """
    if len(name) > flow.NAME_CHARS_MAX or not re.fullmatch(flow.NAME_PATTERN, name):
        refuse(
            f"a name has 1 to {flow.NAME_CHARS_MAX} letters, digits, spaces and `_ . @ -`, a letter or digit first",
            "write who uses the key, as `shop-bot` or `mia`",
        )
    known = next((each for each in ROLES if each == role), None)
    if known is None:
        refuse(f"`--role` is none of {', '.join(ROLES)}", "an agent asks, an operator answers, a manager edits rules")
    missing = _missing(data_dir, tenant)
    made = _with_store(data_dir, tenant, lambda store, owner: flow.create(store, owner, name, _role(known), now_ms()))
    if missing is not None:
        note(f"made a new data directory at {missing}; the key works for `handrail serve --data-dir {missing}`")
    if as_json:
        say_json({**_as_json(made.key), "token": made.token})
        return
    say(made.token)
    note(f"key {made.key.key_id} for {made.key.name} ({made.key.role}); this is the only time its secret is shown")


@keys.command("list")
def list_keys(tenant: Tenant = None, data_dir: DataDir = None, as_json: JsonFlag = False) -> None:
    """List the keys, revoked ones too; secrets are not kept, so none is shown."""
    _existing(data_dir, tenant)
    found = _with_store(data_dir, tenant, flow.list_all)
    if as_json:
        say_json({"keys": [_as_json(key) for key in found]})
        return
    if not found:
        say("no keys yet; `handrail keys create NAME --role agent` makes one")
        return
    rows = [
        (
            key.key_id,
            key.name,
            key.role,
            _moment(key.created_at_ms),
            _moment(key.last_used_at_ms) or "never",
            _state(key),
        )
        for key in found
    ]
    say_table("", ("key", "name", "role", "made", "last used", "state"), rows)


@keys.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="As `handrail keys list` shows it.")],
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: JsonFlag = False,
) -> None:
    """End a key for ever: every running process refuses it within 10 seconds.

    \b
    Examples:
      handrail keys revoke key_3f1c
    """
    _existing(data_dir, tenant)
    key = _with_store(data_dir, tenant, lambda store, owner: flow.revoke(store, owner, key_id, now_ms()))
    if as_json:
        say_json(_as_json(key))
    else:
        say(f"key {key.key_id} of {key.name} is ended; every running process refuses it within 10 seconds")


def _missing(data_dir: Path | None, tenant: str | None) -> Path | None:
    """Return the data directory when no store is in it yet, which is then a new one or a mistyped one."""
    given = settings.load(data_dir=data_dir, tenant=tenant)
    return given.data_dir.absolute() if given.redis_url is None and not holds_store(given.data_dir) else None


def _existing(data_dir: Path | None, tenant: str | None) -> None:
    missing = _missing(data_dir, tenant)
    if missing is not None:
        refuse(
            f"no store is in the data directory {missing}",
            "name the one that `handrail serve` uses, with `--data-dir` or HANDRAIL_DATA_DIR",
        )


def _with_store(data_dir: Path | None, tenant: str | None, work: Callable[[Store, str], Awaitable[T]]) -> T:
    given = settings.load(data_dir=data_dir, tenant=tenant)

    async def run() -> T:
        async with opened_store(given) as store:
            return await work(store, given.tenant)

    return asyncio.run(run())


def _role(word: str) -> Role:
    return next(role for role in ROLES if role == word)


def _state(key: ApiKey) -> str:
    return "works" if key.revoked_at_ms is None else f"revoked {_moment(key.revoked_at_ms)}"


def _moment(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _as_json(key: ApiKey) -> dict[str, object]:
    return {
        "key_id": key.key_id,
        "tenant": key.tenant,
        "name": key.name,
        "role": key.role,
        "created_at_ms": key.created_at_ms,
        "last_used_at_ms": key.last_used_at_ms,
        "revoked_at_ms": key.revoked_at_ms,
    }
