"""What a process decides with while versions move in the store, are unfit for it, or cannot be read at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import build
from rules.files.files_hash import files_hash
from service.errors import LimitReached, StoreAway
from service.flows import rulesets as flow
from service.flows.access import Store, hear_of_rulesets, open_store
from service.flows.in_force import Following
from service.flows.rulesets import Actor
from service.store import rulesets as kept
from service.store.rulesets import Asked, Head
from tests.service.conftest import RULES, Server

pytestmark = pytest.mark.server

NOW = 1_800_000_000_000
MIA = Actor("mia", "key-mia", NOW)
OWN = build(files_or_raise({"own.yaml": RULES}))
OTHER = {"rules.yaml": RULES + "# another\n"}


@pytest.fixture
async def store(own_server: Server) -> AsyncIterator[Store]:
    opened = await open_store(own_server.url)
    yield opened
    await opened.close()


async def active(store: Store, tenant: str, texts: dict[str, str]) -> int:
    """Push and activate a version; return its number."""
    desk = Following(OWN).desk(store, tenant)
    pushed = await flow.push(desk, texts, "", MIA)
    await flow.activate(desk, pushed.version.number, MIA)
    return pushed.version.number


async def accepted_elsewhere(store: Store, tenant: str, text: str) -> int:
    """Activate what this software cannot compile, as newer software would have it; return its number."""
    head = Head("d" * 64, "f" * 64, "mia", "key-mia", NOW, "newer", 1, 1, 1, 0, 0)
    pushed = await kept.push(store, tenant, head, {"rules.yaml": text}, MIA)
    await kept.activate(store, tenant, pushed.numbers[0], Asked(1, 1, None), MIA)
    return pushed.numbers[0]


async def test_while_the_store_is_away_the_last_rules_go_on_deciding(store: Store, own_server: Server) -> None:
    following = Following(OWN)
    number = await active(store, "a", OTHER)
    assert (await following.meet(store, "a")).version == number
    # Who pushed it has tested it: a process that only decides by it does not.
    assert following.compiled.results.find(files_hash(OTHER)) is None
    own_server.kill()
    with pytest.raises(StoreAway):
        await following.look_around(store)
    assert following.met["a"].version == number
    # Of a tenant that was never met nothing is known: the own rules, and only for this moment.
    assert (await following.meet(store, "b")).active is OWN
    assert "b" not in following.met
    own_server.start()
    async with asyncio.timeout(20):
        while True:
            try:
                assert await following.look_around(store) == ()
                return
            except StoreAway:
                await asyncio.sleep(0.02)


async def test_a_version_that_this_process_cannot_use_leaves_the_one_before_deciding(store: Store) -> None:
    following = Following(OWN)
    good = await active(store, "a", OTHER)
    await following.prepare(store)
    ruleset = following.met["a"].active
    newer = await accepted_elsewhere(store, "a", RULES + "squadrons: [1]\n")
    await active(store, "z", OTHER)
    await following.meet(store, "z")
    assert await following.look_around(store) == ("a",)
    found = following.met["a"]
    assert (found.version, found.active, found.at.active) == (good, ruleset, newer)
    assert found.unfit is not None
    assert found.unfit.fact == f"version {newer}: the files have 1 error"
    assert [problem.code for problem in found.unfit.problems if problem.severity == "error"] == ["R105"]
    # It is looked at once, not once a second.
    assert await following.look_around(store) == ()
    await flow.rollback(following.desk(store, "a"), MIA)
    assert await following.look_around(store) == ("a",)
    assert (following.met["a"].version, following.met["a"].unfit) == (good, None)


async def test_what_was_pushed_last_is_compiled_ahead_and_only_once(store: Store) -> None:
    following = Following(OWN)
    await following.prepare(store)
    # Nothing was pushed, so there is nothing to do.
    await following.look_ahead(store, "a")
    await flow.push(Following(OWN).desk(store, "a"), OTHER, "", MIA)
    await asyncio.gather(*(following.look_ahead(store, "a") for _ in range(3)))
    compiled = following.compiled.built.find(files_hash(OTHER))
    assert compiled is not None
    assert following.compiled.under_way == {}
    await flow.activate(following.desk(store, "a"), 1, MIA)
    assert (await following.meet(store, "a")).active is compiled.ruleset
    # What cannot be compiled is told when it shall decide, not before.
    await accepted_elsewhere(store, "b", "handrail: 2\n")
    await following.look_ahead(store, "b")


async def test_a_process_that_starts_with_an_unfit_version_decides_with_its_own_rules(store: Store) -> None:
    await accepted_elsewhere(store, "a", "handrail: 2\n")
    following = Following(OWN)
    await following.prepare(store)
    assert (following.met["a"].version, following.met["a"].active) == (0, OWN)
    assert following.met["a"].unfit is not None


async def test_what_one_process_does_the_others_hear(store: Store, own_server: Server) -> None:
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    listening = asyncio.create_task(hear_of_rulesets(store, heard.put_nowait))
    async with asyncio.timeout(20):
        # The subscription stands: whatever was said before may have been missed.
        assert await heard.get() is None
        await active(store, "a", OTHER)
        assert [await heard.get(), await heard.get()] == ["a", "a"]
        own_server.kill()
        own_server.start()
        assert await heard.get() is None
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening


async def test_the_oldest_versions_go_and_never_one_that_decides_or_is_next_in_a_rollback(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "VERSIONS_MAX", 4)
    desk = Following(OWN).desk(store, "a")
    for number in range(1, 3):
        await flow.push(desk, {"rules.yaml": f"{RULES}# {number}\n"}, "", MIA)
        await flow.activate(desk, number, MIA)
    for number in range(3, 9):
        await flow.push(desk, {"rules.yaml": f"{RULES}# {number}\n"}, "", MIA)
    history = await flow.history(desk)
    assert [version.number for version in history.versions] == [8, 7, 2, 1]
    assert await kept.texts(store, "a", 5) is None
    # What went is a new version when it comes again.
    again = await flow.push(desk, {"rules.yaml": f"{RULES}# 5\n"}, "", MIA)
    assert (again.version.number, again.repeated) == (9, False)


async def test_a_version_has_limits(store: Store) -> None:
    desk = Following(OWN).desk(store, "a")
    with pytest.raises(LimitReached, match="bytes of all files of a version: the limit is 4194304"):
        await flow.push(desk, {"rules.yaml": RULES + "#" * flow.TEXTS_BYTES_MAX}, "", MIA)
    with pytest.raises(LimitReached, match="files of a version: the limit is 1000"):
        await flow.push(desk, {f"{number}.yaml": "handrail: 1\n" for number in range(1_001)}, "", MIA)
    cases = "".join(f"  - {{name: c{number}, message: hi, expect: {{verdict: continue}}}}\n" for number in range(2_001))
    with pytest.raises(LimitReached, match="tests of a version: the limit is 2000"):
        await flow.push(desk, {"rules.yaml": RULES, "r.tests.yaml": "handrail_tests: 1\ncases:\n" + cases}, "", MIA)
    note = "handrail: 1\n#" + "." * 500_000
    large = {"rules.yaml": RULES, **{f"{number}.yaml": note for number in range(8)}}
    assert (await flow.push(desk, large, "", MIA)).version.number == 1
    assert await flow.texts_of(desk, 1) == large
