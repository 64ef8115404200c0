"""The first keys of a data directory: told and working together, wherever a first start was cut off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.api import first_keys
from service.flows import keys
from service.flows.access import ServerUnavailable, Store
from service.flows.keys import ROLES

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
