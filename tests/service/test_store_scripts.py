"""A script's header is its contract: what disagrees with the body is found before anything runs."""

from __future__ import annotations

import re

import pytest

from service.errors import StoreAway
from service.flows.access import Store
from service.store.keys import MOVED_CHANNEL, RULESETS_CHANNEL
from service.store.multiplexed import Reply, Word
from service.store.scripts import LUA, ScriptHeaderWrong, Scripts, library, parse

GOOD = """-- Put one under a name.
-- KEYS[1] name  STRING
-- ARGV[1] value
-- ARGV[2..] more  whatever comes
-- RETURN done | full
-- AGAIN safe: the second time changes nothing
-- WHY A SCRIPT: for the test.
if #ARGV > 5 then return {'full'} end
redis.call('SET', KEYS[1], ARGV[1])
return {'done'}
"""


def test_a_good_header_names_every_key_argument_and_word() -> None:
    script = parse("good", GOOD, {})
    assert (script.keys, script.arguments, script.rest) == (("name",), ("value", "more"), frozenset({"more"}))
    assert (script.words, script.again) == (frozenset({"done", "full"}), True)
    assert not re.search(r"^--", script.source, re.MULTILINE)


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("-- KEYS[1] name  STRING\n", "", "KEYS[1] is not declared"),
        ("-- KEYS[1] name", "-- KEYS[1] name  STRING\n-- KEYS[2] other", "KEYS[2] `other` is never used"),
        ("-- KEYS[1] name", "-- KEYS[2] name", "KEYS[2] `name` is out of order"),
        ("ARGV[1])", "ARGV[1], ARGV[2])", "ARGV[2] is not declared"),
        ("-- ARGV[2..] more  whatever comes\n", "", "ARGV: the list at the end is not both declared and used"),
        ("#ARGV > 5", "5 > 6", "ARGV: the list at the end is not both declared and used"),
        ("done | full", "done", "returns `full`, which RETURN does not name"),
        ("done | full", "done | full | lost", "never returns `lost`"),
        ("-- AGAIN safe: the second time changes nothing\n", "", "AGAIN does not say whether it may be sent twice"),
        (
            "-- AGAIN safe: the second time changes nothing",
            "-- AGAIN safe:",
            "AGAIN does not say whether it may be sent twice",
        ),
        ("-- WHY A SCRIPT: for the test.\n", "", "WHY A SCRIPT is missing"),
        ("-- WHY", "-- USES nothing\n-- WHY", "uses `nothing`, which is no part"),
    ],
)
def test_a_header_that_disagrees_with_its_body_does_not_load(old: str, new: str, fact: str) -> None:
    assert old in GOOD
    with pytest.raises(ScriptHeaderWrong) as wrong:
        parse("good", GOOD.replace(old, new, 1), {})
    assert fact in wrong.value.facts


def test_every_script_of_the_store_agrees_with_its_header() -> None:
    assert set(library()) == {path.stem for path in LUA.glob("*.lua")}


@pytest.mark.parametrize("path", sorted((LUA / "parts").glob("*.lua")), ids=lambda path: path.stem)
def test_a_shared_part_touches_only_what_it_is_given(path: object) -> None:
    text = (LUA / "parts" / getattr(path, "name")).read_text()  # noqa: B009  # a Path, for pytest's ids
    assert "KEYS" not in text
    assert "ARGV" not in text


def test_every_key_a_script_touches_is_in_keys() -> None:
    """A first argument of redis.call is KEYS[n] or a name that was given KEYS[n]; a cluster relies on it."""
    given = {"handoff", "leases", "waiting", "deadlines", "conversation", "turns", "open", "outbox", "key", "steps"}
    given |= {"class", "classes", "loads", "due", "channels", "rests", "group", "counted"}
    given |= {"calls", "ended", "call", "queues", "beats"}
    for name, script in library().items():
        for first in re.findall(r"redis\.call\('(?!PUBLISH)[A-Z]+', ([^,)]+)", script.source):
            assert first.startswith("KEYS[") or first in given, f"{name}: {first}"


def test_a_channel_is_one_word_in_lua_and_python() -> None:
    assert f"redis.call('PUBLISH', '{MOVED_CHANNEL}'" in (LUA / "parts" / "tell.lua").read_text()
    assert f"redis.call('PUBLISH', '{RULESETS_CHANNEL}'" in (LUA / "parts" / "told_ruleset.lua").read_text()


class Answering:
    """A link that answers from a list, and remembers what it was asked."""

    def __init__(self, *answers: Reply) -> None:
        self.answers = list(answers)
        self.asked: list[Word] = []

    async def call(self, *words: Word, durable: bool = False) -> Reply:
        self.asked.append(words[0])
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        pass


async def test_a_lost_answer_is_asked_for_again_only_where_the_header_allows_it() -> None:
    safe = parse("safe", GOOD, {})
    never = parse("never", GOOD.replace("AGAIN safe", "AGAIN never"), {})
    link = Answering(StoreAway("gone"), [b"done"])
    assert await Scripts(link, {"safe": safe}).run("safe", name="n", value="v", more=[]) == [b"done"]
    assert link.asked == ["EVALSHA", "EVALSHA"]
    link = Answering(StoreAway("gone"), [b"done"])
    with pytest.raises(StoreAway):
        await Scripts(link, {"never": never}).run("never", name="n", value="v", more=[])
    assert link.asked == ["EVALSHA"]


async def test_what_is_missing_or_too_much_is_refused_before_it_is_sent() -> None:
    link = Answering()
    scripts = Scripts(link, {"good": parse("good", GOOD, {})})
    for values in ({"name": "n", "value": "v"}, {"name": "n", "value": "v", "more": [], "other": 1}):
        with pytest.raises(TypeError):
            await scripts.run("good", **values)
    with pytest.raises(TypeError):
        await scripts.run("good", name="n", value=["v"], more=[])
    assert link.asked == []


@pytest.mark.server
async def test_a_server_that_forgot_the_scripts_is_given_them_again(store: Store) -> None:
    await store.link.call("SCRIPT", "FLUSH")
    word, *_ = await store.scripts.run("revoke_key", key="hr:{control}:key:none", tenant="t", now_ms=1)
    assert word == b"unknown"
