"""Nothing changes the state of a handoff, a key, an operator or a version and is not told: what is told is audited."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from service.flows.webhook_events import AUDITED, EVENTS, wanted
from service.store import keys, outbox
from service.store.scripts import LUA, Script, library
from service.store.webhooks import Endpoint
from tests.service.api_service import Api, Server, embedded, served

SERVICE = Path(__file__).parents[2] / "service"
TELLS = re.compile(r"^(?!local function|--).*\b(?:tell|told_operators|told_ruleset)\(|'XADD'", re.MULTILINE)
NAMED = re.compile(
    rf"""["']((?:{"|".join(sorted({name.split(".")[0] for name in (*EVENTS, *AUDITED)}))})\.(?!yaml\b)[a-z_]+)["']"""
)
# What a script tells under a name that it puts together.
PUT_TOGETHER = {
    "'drill.' ..": ("drill.passed", "drill.failed"),
    "told_operators(": ("operators.declared", "operators.removed"),
    "told_ruleset(": tuple(name for name in EVENTS if name.startswith("ruleset.")),
}
COMMAND = re.compile(r"redis\.call\('([A-Z]+)'")
READS = frozenset(
    {"EXISTS", "GET", "HEXISTS", "HGET", "HGETALL", "HKEYS", "HLEN", "HMGET", "LLEN", "LRANGE", "SCARD", "SISMEMBER"}
    | {"SMEMBERS", "TIME", "XLEN", "ZCARD", "ZCOUNT", "ZRANGE", "ZRANGEBYSCORE", "ZRANK", "ZSCORE", "ZMSCORE"}
)
# The scripts that write and tell nothing, and why nobody misses it in the audit log.
UNTOLD: Mapping[str, str] = {
    "commit_turn": "no handoff is touched, and the Decision itself is the record",
    "create_key": "the flow tells it before, as the key lies where no tenant's outbox is",
    "revoke_key": "the flow tells it before, as the key lies where no tenant's outbox is",
    "leases_due": "notes an outage, of which no handoff is told: that a lease is spared says what a renewal would",
    "note_claim": "tells what a claim is about to do, before it does it",
    "keep_packet": "keeps what was worked out ahead of a claim; who claims is told",
    "keep_room": "lasts for seconds and gives nobody anything: the claim or the offer that comes of it is told",
    "open_store": "remembers what the server was made with, once",
    "owe_deliveries": "keeps the books of what was told",
    "owe_tellings": "keeps the books of what was told",
    "record_shadow": "counts what would have been decided",
    "redeliver": "keeps the books of what was told",
    "renew": "says only that the holder is still there",
    "save_draft": "is nobody's answer before it is sent",
    "settle_delivery": "keeps the books of what was told",
    "settle_tellings": "keeps the books of what was told",
    "take_deliveries": "keeps the books of what was told",
    "take_tellings": "keeps the books of what was told",
    "wake_channel": "keeps the books of what was told",
    "work_due": "notes that the store can be asked, and nothing of a handoff",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("audited") / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


def own_text(script: Script) -> str:
    """Return a script without the parts that it may use: using one is calling it."""
    text = (LUA / f"{script.name}.lua").read_text()
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))


@pytest.mark.parametrize("script", library().values(), ids=lambda script: script.name)
def test_a_script_tells_what_it_changes_or_its_reason_stands_here(script: Script) -> None:
    writes = bool(set(COMMAND.findall(script.source)) - READS)
    assert bool(TELLS.search(own_text(script))) is (writes and script.name not in UNTOLD)


def test_no_reason_is_left_of_a_script_that_is_gone() -> None:
    assert set(UNTOLD) <= set(library())


def test_what_is_told_has_its_row_in_the_table_of_events_and_every_row_is_told() -> None:
    texts = [path.read_text() for path in sorted(LUA.rglob("*.lua"))]
    rules = SERVICE.parent / "rules"
    for folder in (SERVICE / "flows", SERVICE / "store", rules):
        # The table itself tells nothing.
        texts += [path.read_text() for path in sorted(folder.rglob("*.py")) if path.name != "webhook_events.py"]
    told = {name for text in texts for name in NAMED.findall(text)}
    told |= {name for mark, names in PUT_TOGETHER.items() if any(mark in text for text in texts) for name in names}
    assert told | {"webhook.test"} == {*EVENTS, *AUDITED}


async def removed(api: Api, path: str, role: str) -> int:
    return (await api.client.delete(path, headers=api.bearer(role))).status_code


async def test_where_events_go_is_audited_with_its_actor_and_told_to_no_endpoint(api: Api) -> None:
    hook = (await api.post("/webhooks", {"url": "https://shop.example/hooks/s3cret"}, "admin")).json()
    await api.post(f"/webhooks/{hook['id']}/secret", {}, "admin")
    await api.post(f"/webhooks/{hook['id']}/enable", {}, "admin")
    slack = {"name": "shift", "kind": "slack", "url": "https://hooks.slack.example/services/T0/B0/s3cret"}
    assert (await api.post("/channels", slack, "manager")).status_code == 201
    assert await removed(api, "/channels/shift", "manager") == 204
    assert await removed(api, f"/webhooks/{hook['id']}", "admin") == 204
    store = api.running.store
    told = await outbox.read(store, keys.place(api.tenant, 0), "test", 100)
    assert [(each.type, each.actor.split("-of-")[0]) for each in told if each.type in AUDITED] == [
        ("webhook.added", "admin"),
        ("webhook.secret_renewed", "admin"),
        ("webhook.enabled", "admin"),
        ("channel.added", "manager"),
        ("channel.removed", "manager"),
        ("webhook.removed", "admin"),
    ]
    assert "s3cret" not in str(told)
    everything = Endpoint("whk_1", "https://shop.example", ("*",), "whsec_", 1)
    assert not any(wanted(everything, kind) for kind in AUDITED)


async def test_what_is_not_there_is_not_told_as_removed(api: Api) -> None:
    assert await removed(api, "/channels/nobody", "manager") == 404
    assert await removed(api, "/webhooks/whk_nobody", "admin") == 404
    told = await outbox.read(api.running.store, keys.place(api.tenant, 0), "test", 100)
    assert not [each for each in told if each.type in AUDITED]
