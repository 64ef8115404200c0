"""The Lua scripts: read, checked against their own headers, called by name. What they mean stands in each header.

A header is a contract that callers rely on, so it is held equal to the body when the store is opened: every KEYS[i]
and ARGV[i] used is declared and the reverse, and so are the words a script returns. A script that disagrees with its
header does not run at all.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any, TypeAlias

from service.errors import StoreAway
from service.store.connection import Link
from service.store.multiplexed import Reply, ServerError, Word

Argument: TypeAlias = Word | Sequence[Word]

LUA = Path(__file__).parent / "lua"
# A tuple, made once: thirty arguments a turn are looked at, and `str | bytes | …` would be built anew for each.
ONE_WORD = (str, bytes, int, float)
# One more try when an answer is lost, if the header allows it. More tries are the caller's to make.
REPEAT_PAUSE_MS = 50

_DECLARED = re.compile(r"^-- (KEYS|ARGV)\[(\d+)(\.\.)?\] (\w+)", re.MULTILINE)
_USED = re.compile(r"\b(KEYS|ARGV)\[(\d+)\]")
_REST_USED = re.compile(r"#(KEYS|ARGV)\b|\bunpack\((KEYS|ARGV), (\d+)\)")
_RETURN_LINE = re.compile(r"^-- RETURN ([a-z_| ]+)$", re.MULTILINE)
_RETURNED = re.compile(r"(?:return|refused =) \{\s*'([a-z_]+)'")
_USES = re.compile(r"^-- USES ([a-z_, ]+)$", re.MULTILINE)
_AGAIN = re.compile(r"^-- AGAIN (safe|never): \S", re.MULTILINE)


class ScriptHeaderWrong(Exception):
    """A script's header and body disagree; `facts` holds every disagreement."""

    def __init__(self, name: str, facts: tuple[str, ...]) -> None:
        super().__init__(f"{name}.lua: {'; '.join(facts)}")
        self.facts = facts


@dataclass(frozen=True, slots=True)
class Script:
    """One script as its header describes it: the last of `keys` or `arguments` may stand for all that follow."""

    name: str
    source: str
    sha: str
    keys: tuple[str, ...]
    arguments: tuple[str, ...]
    rest: frozenset[str]
    words: frozenset[str]
    again: bool


class Scripts:
    """The scripts on one link."""

    def __init__(self, link: Link, library: Mapping[str, Script]) -> None:
        self._link = link
        self._library = library

    def run(self, name: str, /, **values: Argument) -> Coroutine[Any, Any, list[Reply]]:
        """Run a script with its keys and arguments by name, and return its word and what comes with it.

        It is answered only when what it wrote is as durable as the store was asked to be.
        """
        return self._call(self._library[name], values, durable=True)

    def read(self, name: str, /, **values: Argument) -> Coroutine[Any, Any, list[Reply]]:
        """Run a script that writes nothing, so that nothing has to be waited for."""
        return self._call(self._library[name], values, durable=False)

    async def _call(self, script: Script, values: Mapping[str, Argument], durable: bool) -> list[Reply]:
        if len(values) != len(script.keys) + len(script.arguments):
            raise TypeError(f"{script.name}: given {sorted(set(values) - {*script.keys, *script.arguments})} too much")
        keys = _flat(script, script.keys, values)
        command = (script.sha, len(keys), *keys, *_flat(script, script.arguments, values))
        # Every turn comes through here, and each coroutine between it and its answer has to be woken by itself: so what
        # goes well stands here, and what does not stands below.
        try:
            answer: list[Reply] = await self._link.call("EVALSHA", *command, durable=durable)
        except ServerError as error:
            if error.word != "NOSCRIPT":
                raise
            return await self._again(script, command, durable)
        except StoreAway:
            if not script.again:
                raise
            return await self._once_more(script, command, durable)
        return answer

    async def _again(self, script: Script, command: tuple[Word, ...], durable: bool) -> list[Reply]:
        try:
            return await self._taught(script, command, durable)
        except StoreAway:
            if not script.again:
                raise
            return await self._once_more(script, command, durable)

    async def _once_more(self, script: Script, command: tuple[Word, ...], durable: bool) -> list[Reply]:
        await asyncio.sleep(REPEAT_PAUSE_MS / 1000)
        return await self._taught(script, command, durable)

    async def _taught(self, script: Script, command: tuple[Word, ...], durable: bool) -> list[Reply]:
        try:
            answer: list[Reply] = await self._link.call("EVALSHA", *command, durable=durable)
        except ServerError as error:
            if error.word != "NOSCRIPT":
                raise
            # It has not run at all, so it may always be sent again; EVAL leaves it in the cache of that very node.
            answer = await self._link.call("EVAL", script.source, *command[1:], durable=durable)
        return answer


def _flat(script: Script, names: tuple[str, ...], values: Mapping[str, Argument]) -> list[Word]:
    words: list[Word] = []
    for name in names:
        value = values[name]
        if not isinstance(value, ONE_WORD):
            if name not in script.rest:
                raise TypeError(f"{script.name}: `{name}` is one word, not a list")
            words.extend(value)
        else:
            words.append(value)
    return words


@cache
def library() -> Mapping[str, Script]:
    """Return every script in the folder; raises ScriptHeaderWrong."""
    parts = {path.stem: path.read_text() for path in sorted((LUA / "parts").glob("*.lua"))}
    return {path.stem: parse(path.stem, path.read_text(), parts) for path in sorted(LUA.glob("*.lua"))}


def parse(name: str, text: str, parts: Mapping[str, str]) -> Script:
    """Return a script with the parts it uses before it; raises ScriptHeaderWrong with everything that disagrees."""
    facts: list[str] = []
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    declared: dict[str, list[str]] = {"KEYS": [], "ARGV": []}
    rest: dict[str, str] = {}
    for kind, place, dots, word in _DECLARED.findall(text):
        if int(place) != len(declared[kind]) + 1 or kind in rest:
            facts.append(f"{kind}[{place}] `{word}` is out of order")
        declared[kind].append(word)
        if dots:
            rest[kind] = word
    facts += _differences(code, declared, rest)
    used_parts = tuple(part.strip() for line in _USES.findall(text) for part in line.split(","))
    facts += [f"uses `{part}`, which is no part" for part in used_parts if part not in parts]
    used_text = "\n".join(parts[part] for part in used_parts if part in parts)
    said = {word for line in _RETURN_LINE.findall(text) for word in re.findall(r"[a-z_]+", line)}
    returned = set(_RETURNED.findall(code)) | set(_RETURNED.findall(used_text))
    facts += [f"returns `{word}`, which RETURN does not name" for word in sorted(returned - said)]
    facts += [f"never returns `{word}`" for word in sorted(said - returned)]
    again = _AGAIN.search(text)
    if again is None:
        facts.append("AGAIN does not say whether it may be sent twice")
    if "-- WHY A SCRIPT: " not in text:
        facts.append("WHY A SCRIPT is missing")
    if facts or again is None:
        raise ScriptHeaderWrong(name, tuple(facts))
    source = f"{used_text}\n{code}".strip() + "\n"
    keys, arguments = tuple(declared["KEYS"]), tuple(declared["ARGV"])
    digest = sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, source, digest, keys, arguments, frozenset(rest.values()), frozenset(said), again[1] == "safe")


def _differences(code: str, declared: Mapping[str, list[str]], rest: Mapping[str, str]) -> list[str]:
    facts = []
    used = {(kind, int(place)) for kind, place in _USED.findall(code)}
    rest_used = {first or second for first, second, _ in _REST_USED.findall(code)}
    for kind, names in declared.items():
        single = len(names) - (kind in rest)
        facts += [f"{kind}[{n}] is not declared" for k, n in sorted(used) if k == kind and n > single]
        facts += [f"{kind}[{n + 1}] `{names[n]}` is never used" for n in range(single) if (kind, n + 1) not in used]
        if (kind in rest) != (kind in rest_used):
            facts.append(f"{kind}: the list at the end is not both declared and used")
    return facts
