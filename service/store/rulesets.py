"""Versions of a tenant's rules in Redis: their texts, which one is active or staged, every step. Nothing is compiled.

What a version holds is written once. What becomes of it (staged, approved, activated, rolled back) stands apart.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, cast

import orjson

from service.store.codec import dumps
from service.store.keys import Place
from service.store.store import ANSWER_KEPT_MS, Store

# Of one tenant. A team that pushes at every commit needs a year for these; 50 kB compressed each, 50 MB.
VERSIONS_MAX = 1_000
# How many rollbacks in a row lead somewhere. Further back nobody remembers what the rules were.
TRAIL_MAX = 50
STEPS_READ_MAX = 200  # of the 2000 that are kept
# Rule files are words that repeat: level 6 leaves a fifth, and 9 a few bytes less at twice the time.
COMPRESSION = 6

Mode: TypeAlias = Literal["shadow", "rollout", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a version without its texts. `hash` names the ruleset, `digest` all files, tests too.

    `approvals` is how many persons it asks for, `cases` how many tests it has and `failing` how many of them failed
    when it was pushed.
    """

    digest: str
    hash: str
    author: str
    author_key_id: str
    at_ms: int
    message: str
    approvals: int
    rules: int
    files: int
    cases: int
    failing: int


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a tenant's versions stand. `active` is 0 while none was activated, `candidate` None when none is staged.

    `revision` rises with every change. `approvals` is what the active version asks for, or more after a rollback.
    """

    revision: int = 0
    last: int = 0
    active: int = 0
    candidate: int | None = None
    mode: Literal["shadow", "rollout"] | None = None
    percent: int = 0
    approvals: int = 1


@dataclass(frozen=True, slots=True)
class Approval:
    """Who approved a version, and when."""

    key_id: str
    name: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Marks:
    """What became of one version."""

    approvals: tuple[Approval, ...] = ()
    activated_at_ms: int | None = None
    rolled_back_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing somebody did: `kind` is pushed, staged, withdrawn, approved, activated or rolled_back."""

    kind: str
    version: int
    about: str
    actor: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Actor:
    """Who takes a step, and when."""

    name: str
    key_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a script answered: its word, and the numbers that come with it."""

    word: str
    numbers: tuple[int, ...] = ()


def _place(store: Store, tenant: str) -> Place:
    return store.places(tenant)[0]


async def push(store: Store, tenant: str, head: Head, texts: Mapping[str, str], actor: Actor) -> Answer:
    """Keep files as a new version: `pushed` or, where they are one already, `repeated`; the version comes with it."""
    place = _place(store, tenant)
    await store.know(tenant)
    return _answer(
        await store.scripts.run(
            "push_ruleset",
            rulesets=place.rulesets,
            heads=place.ruleset_heads,
            texts=place.ruleset_texts,
            names=place.ruleset_names,
            marks=place.ruleset_marks,
            trail=place.ruleset_trail,
            steps=place.ruleset_steps,
            outbox=place.outbox,
            digest=head.digest,
            head=dumps(asdict(head)),
            files=zlib.compress(dumps(dict(texts)), COMPRESSION),
            versions_max=VERSIONS_MAX,
            tenant=tenant,
            actor=actor.name,
            now_ms=actor.at_ms,
        )
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What an activation or a rollout is held against: approvals asked for, and the revision that was looked at."""

    approvals: int
    own_approvals: int
    revision: int | None


async def stage(
    store: Store, tenant: str, version: int, mode: Mode, percent: int, asked: Asked, actor: Actor
) -> Answer:
    """Make a version the candidate, or take it back. `standing` comes with the other candidate."""
    place = _place(store, tenant)
    return _answer(
        await store.scripts.run(
            "stage_ruleset",
            rulesets=place.rulesets,
            heads=place.ruleset_heads,
            marks=place.ruleset_marks,
            steps=place.ruleset_steps,
            outbox=place.outbox,
            version=version,
            mode=mode,
            percent=percent,
            approvals=asked.approvals,
            own_approvals=asked.own_approvals,
            expected_revision=_or_empty(asked.revision),
            tenant=tenant,
            actor=actor.name,
            now_ms=actor.at_ms,
        )
    )


async def approve(store: Store, tenant: str, version: int, actor: Actor) -> Answer:
    """Put an approval on record."""
    place = _place(store, tenant)
    return _answer(
        await store.scripts.run(
            "approve_ruleset",
            heads=place.ruleset_heads,
            marks=place.ruleset_marks,
            steps=place.ruleset_steps,
            outbox=place.outbox,
            version=version,
            key_id=actor.key_id,
            tenant=tenant,
            actor=actor.name,
            now_ms=actor.at_ms,
        )
    )


async def activate(store: Store, tenant: str, version: int, asked: Asked, actor: Actor) -> Answer:
    """Let a version decide from now on."""
    place = _place(store, tenant)
    return _answer(
        await store.scripts.run(
            "activate_ruleset",
            rulesets=place.rulesets,
            heads=place.ruleset_heads,
            marks=place.ruleset_marks,
            trail=place.ruleset_trail,
            steps=place.ruleset_steps,
            outbox=place.outbox,
            version=version,
            approvals=asked.approvals,
            own_approvals=asked.own_approvals,
            expected_revision=_or_empty(asked.revision),
            trail_max=TRAIL_MAX,
            tenant=tenant,
            actor=actor.name,
            now_ms=actor.at_ms,
        )
    )


async def rollback(
    store: Store, tenant: str, expected: int | None, revision: int | None, request_id: str, actor: Actor
) -> Answer:
    """Take back the last step that decides turns; what is taken back and what decides now come with the answer."""
    place = _place(store, tenant)
    word, *rest = await store.scripts.run(
        "rollback_ruleset",
        rulesets=place.rulesets,
        marks=place.ruleset_marks,
        trail=place.ruleset_trail,
        steps=place.ruleset_steps,
        outbox=place.outbox,
        request=place.request(request_id),
        expected=_or_empty(expected),
        expected_revision=_or_empty(revision),
        answer_kept_ms=ANSWER_KEPT_MS,
        tenant=tenant,
        actor=actor.name,
        now_ms=actor.at_ms,
    )
    if word == b"repeated":
        taken, now, in_rollout = orjson.loads(rest[0])
        return Answer("withdrawn" if in_rollout else "rolled_back", (int(taken), int(now)))
    return _answer([word, *rest])


async def revision(store: Store, tenant: str) -> int:
    """Return the revision alone: what every process asks for once a second."""
    return int(await store.link.call("HGET", _place(store, tenant).rulesets, "revision") or 0)


async def stand(store: Store, tenant: str) -> Stand:
    """Return where the versions stand."""
    flat = await store.link.call("HGETALL", _place(store, tenant).rulesets)
    told = _fields(flat)
    mode = told.get("mode")
    return Stand(
        revision=int(told.get("revision", 0)),
        last=int(told.get("last", 0)),
        active=int(told.get("active", 0)),
        candidate=int(told["candidate"]) if "candidate" in told else None,
        mode=cast(Literal["shadow", "rollout"], mode.decode()) if mode else None,
        percent=int(told.get("percent", 0)),
        approvals=int(told.get("approvals", 1)),
    )


async def heads(store: Store, tenant: str, versions: Sequence[int]) -> dict[int, Head]:
    """Return those of the versions that are kept."""
    if not versions:
        return {}
    found = await store.link.call("HMGET", _place(store, tenant).ruleset_heads, *versions)
    return {version: Head(**orjson.loads(raw)) for version, raw in zip(versions, found, strict=True) if raw is not None}


async def texts(store: Store, tenant: str, version: int) -> dict[str, str] | None:
    """Return a version's files by name, None when there is no such version."""
    raw = await store.link.call("HGET", _place(store, tenant).ruleset_texts, version)
    if raw is None:
        return None
    found: dict[str, str] = orjson.loads(zlib.decompress(raw))
    return found


async def marks(store: Store, tenant: str, versions: Sequence[int]) -> dict[int, Marks]:
    """Return what became of each of the versions."""
    if not versions:
        return {}
    names = [f"{mark}:{version}" for version in versions for mark in ("approved", "activated", "rolled_back")]
    found = await store.link.call("HMGET", _place(store, tenant).ruleset_marks, *names)
    return {
        version: Marks(_approvals(found[3 * place]), _moment(found[3 * place + 1]), _moment(found[3 * place + 2]))
        for place, version in enumerate(versions)
    }


async def trail(store: Store, tenant: str) -> tuple[int, ...]:
    """Return the versions that were active before, latest first: where rollbacks lead."""
    found = await store.link.call("LRANGE", _place(store, tenant).ruleset_trail, 0, -1)
    return tuple(int(version) for version in reversed(found))


async def steps(store: Store, tenant: str, limit: int) -> tuple[Step, ...]:
    """Return the latest steps, latest first."""
    found = await store.link.call("LRANGE", _place(store, tenant).ruleset_steps, -min(limit, STEPS_READ_MAX), -1)
    return tuple(_step(orjson.loads(raw)) for raw in reversed(found))


def _step(told: dict[str, Any]) -> Step:
    return Step(told["kind"], int(told["version"]), told["about"], told["actor"], int(told["at_ms"]))


def _approvals(raw: bytes | None) -> tuple[Approval, ...]:
    rows = [row.split("\t") for row in raw.decode().splitlines()] if raw else []
    return tuple(Approval(key_id, name, int(at_ms)) for key_id, name, at_ms in rows)


def _moment(raw: bytes | None) -> int | None:
    return int(raw) if raw else None


def _or_empty(number: int | None) -> str:
    return "" if number is None else str(number)


def _answer(told: list[Any]) -> Answer:
    return Answer(told[0].decode(), tuple(int(number) for number in told[1:]))


def _fields(flat: list[bytes]) -> dict[str, bytes]:
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
