"""The first keys of a data directory: told and working together, wherever a first start was cut off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from service.api import first_keys
from service.cli.service_client import service_at
from service.flows import keys
from service.flows.access import ServerUnavailable, Store
from service.flows.keys import ROLES
from service.keys_file import keys_file
from service.store import keys as store_keys
from service.store import outbox

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000


class Killed(BaseException):
    """The process is gone."""


async def works(store: Store, told: dict[str, str]) -> bool:
    found = [await keys.find(store, token, NOW) for token in told.values()]
    return len(found) == len(ROLES) and all(found)


@pytest.mark.parametrize("kept", range(len(ROLES) + 1))
async def test_a_first_start_that_was_cut_off_is_brought_to_its_end(
    store: Store, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    keep, before = keys.keep, iter(range(kept))

    async def keep_some(store: Store, tenant: str, name: str, role: keys.Role, token: str, now_ms: int) -> keys.Created:
        if next(before, None) is None:
            raise Killed
        return await keep(store, tenant, name, role, token, now_ms)

    with monkeypatch.context() as patched:
        patched.setattr(keys, "keep", keep_some)
        if kept < len(ROLES):
            with pytest.raises(Killed):
                await first_keys.ensure(store, tmp_path, tenant, NOW)
        else:
            await first_keys.ensure(store, tmp_path, tenant, NOW)
    told = await first_keys.ensure(store, tmp_path, tenant, NOW)
    assert await works(store, told)
    assert json.loads((tmp_path / "keys.json").read_text()) == told
    assert len(await keys.list_all(store, tenant)) == len(ROLES)


async def test_no_key_works_before_the_file_tells_it(store: Store, tenant: str, tmp_path: Path) -> None:
    (tmp_path / "keys.json").mkdir()
    with pytest.raises(ServerUnavailable, match=r"keys\.json cannot be written \(Is a directory\)"):
        await first_keys.ensure(store, tmp_path, tenant, NOW)
    assert await keys.list_all(store, tenant) == ()
    (tmp_path / "keys.json").rmdir()
    assert await works(store, await first_keys.ensure(store, tmp_path, tenant, NOW))


@pytest.mark.parametrize("torn", ["", "{", '{"agent": "hr_agent_x"}', "[]"])
async def test_a_file_that_tells_no_whole_set_is_made_anew_while_no_key_is_kept(
    store: Store, tenant: str, tmp_path: Path, torn: str
) -> None:
    (tmp_path / "keys.json").write_text(torn)
    assert await works(store, await first_keys.ensure(store, tmp_path, tenant, NOW))
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


async def test_keys_that_somebody_ended_or_made_are_left_as_they_are(store: Store, tenant: str, tmp_path: Path) -> None:
    told = await first_keys.ensure(store, tmp_path, tenant, NOW)
    await keys.revoke(store, tenant, keys.key_id(told["admin"]), NOW)
    await first_keys.ensure(store, tmp_path, tenant, NOW)
    assert await keys.find(store, told["admin"], NOW) is None
    # A file of another data directory opens nothing here.
    strange = {role: keys.new_token(role) for role in ROLES}
    (tmp_path / "keys.json").write_text(json.dumps(strange))
    await first_keys.ensure(store, tmp_path, tenant, NOW)
    assert [await keys.find(store, token, NOW) for token in strange.values()] == [None] * len(ROLES)


async def test_without_the_file_nothing_is_told_of_keys_that_are_kept(
    store: Store, tenant: str, tmp_path: Path
) -> None:
    await first_keys.ensure(store, tmp_path, tenant, NOW)
    (tmp_path / "keys.json").unlink()
    assert await first_keys.ensure(store, tmp_path, tenant, NOW) == {}
    assert len(await keys.list_all(store, tenant)) == len(ROLES)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def keys_told(store: Store, tenant: str) -> int:
    """Return how many keys the audit log says were made for the tenant since it was asked last."""
    events = await outbox.read(store, store.places(tenant)[0], "test", 100)
    await outbox.ack(store, store.places(tenant)[0], [event.entry_id for event in events])
    return [event.type for event in events if event.tenant == tenant].count("key.created")


async def test_another_tenant_gets_keys_of_its_own_and_takes_none_away(
    store: Store, tenant: str, tmp_path: Path
) -> None:
    other, first = f"{tenant}-other", await first_keys.ensure(store, tmp_path, tenant, NOW)
    told = await first_keys.ensure(store, tmp_path, other, NOW)
    assert not set(told.values()) & set(first.values())
    assert await works(store, told)
    assert {await keys.owner(store, token) for token in told.values()} == {other}
    assert len(await keys.list_all(store, other)) == len(ROLES)
    # Both are told the same again, each its own.
    for name, made in ((tenant, first), (other, told)):
        assert await first_keys.ensure(store, tmp_path, name, NOW) == made
        assert json.loads(keys_file(tmp_path, name).read_text()) == made
        assert keys_file(tmp_path, name).stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "keys.json").read_text()) == first
    assert await keys_told(store, tenant) == len(ROLES)
    assert await keys_told(store, other) == len(ROLES)
    assert names(tmp_path) == {"keys.json", "keys.lock", f"keys-{other}.json"}


async def test_another_tenant_is_told_nothing_where_it_has_keys_and_no_file(
    store: Store, tenant: str, tmp_path: Path
) -> None:
    other = f"{tenant}-other"
    await first_keys.ensure(store, tmp_path, tenant, NOW)
    await keys.create(store, other, "mia", "admin", NOW)
    assert await first_keys.ensure(store, tmp_path, other, NOW) == {}
    assert len(await keys.list_all(store, other)) == 1


async def test_a_start_of_another_tenant_leaves_one_that_was_cut_off_as_it_is(
    store: Store, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> keys.Created:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(keys, "keep", killed)
        with pytest.raises(Killed):
            await first_keys.ensure(store, tmp_path, tenant, NOW)
    begun = json.loads((tmp_path / "keys.json").read_text())
    told = await first_keys.ensure(store, tmp_path, f"{tenant}-other", NOW)
    assert not set(told.values()) & set(begun.values())
    assert await works(store, told)
    assert [await keys.find(store, token, NOW) for token in begun.values()] == [None] * len(ROLES)
    assert await first_keys.ensure(store, tmp_path, tenant, NOW) == begun
    assert await works(store, begun)


async def test_a_start_that_was_cut_off_before_it_told_its_keys_makes_others(
    store: Store, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = first_keys._write
    lost: dict[str, str] = {role: keys.new_token(role) for role in ROLES}

    def cut_off(path: Path, made: Mapping[str, object]) -> None:
        if path.name == "keys.json":
            raise Killed
        write(path, made)

    write(tmp_path / "keys.json", lost)
    with monkeypatch.context() as patched:
        patched.setattr(first_keys, "_write", cut_off)
        with pytest.raises(Killed):
            await first_keys.ensure(store, tmp_path, tenant, NOW)
    assert await works(store, await first_keys.ensure(store, tmp_path, tenant, NOW))
    assert [await keys.find(store, token, NOW) for token in lost.values()] == [None] * len(ROLES)


async def test_what_was_revoked_opens_nothing_once_the_store_was_emptied(
    store: Store, tenant: str, tmp_path: Path
) -> None:
    old = await first_keys.ensure(store, tmp_path, tenant, NOW)
    await keys.revoke(store, tenant, keys.key_id(old["admin"]), NOW)
    gone = [store_keys.api_key(keys.key_id(token)) for token in old.values()]
    for name in (store_keys.api_keys(tenant), *gone):
        await store.link.call("DEL", name)
    told = await first_keys.ensure(store, tmp_path, tenant, NOW)
    assert await works(store, told)
    assert [await keys.find(store, token, NOW) for token in old.values()] == [None] * len(ROLES)
    # Nobody else's, so the file may be written anew.
    assert json.loads((tmp_path / "keys.json").read_text()) == told


@pytest.mark.parametrize("mark", ["", "[]", '{"tenant": 1}', '{"tenant": "t", "key_ids": 1}', "[" * 200_000])
async def test_what_somebody_else_wrote_beside_the_file_keeps_nothing(
    store: Store, tenant: str, tmp_path: Path, mark: str
) -> None:
    strange = {role: keys.new_token(role) for role in ROLES}
    (tmp_path / "keys.json").write_text(json.dumps(strange))
    (tmp_path / "keys.unkept").write_text(mark)
    assert await works(store, await first_keys.ensure(store, tmp_path, tenant, NOW))
    assert [await keys.find(store, token, NOW) for token in strange.values()] == [None] * len(ROLES)
    assert not (tmp_path / "keys.unkept").exists()


async def test_a_command_shows_the_key_of_its_tenant(
    store: Store, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = f"{tenant}-other"
    for name in (tenant, other):
        told = await first_keys.ensure(store, tmp_path, name, NOW)
        monkeypatch.setenv("HANDRAIL_TENANT", name)
        assert service_at(None, None, tmp_path).key == told["manager"]
