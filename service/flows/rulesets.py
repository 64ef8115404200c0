"""Versions of a tenant's rules: pushed, staged, approved, activated, rolled back, each in one step and on record.

A version is what its author pushed, for ever. Which turns it decides is another matter, and a person's: nothing here
moves by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from rules.cases.runner import CaseResult
from rules.diff.differences import Difference
from rules.diff.files import diff
from rules.evaluation.evaluate import Ruleset
from rules.files.errors import Problem
from rules.files.files_hash import files_hash
from service import rule_files
from service.compiling import aside, beside
from service.errors import ConversationBusy, LimitReached
from service.flows.ruleset_refusals import (
    ApprovalMissing,
    CasesFail,
    NothingBefore,
    OwnApproval,
    RulesetsMoved,
    RulesInvalid,
    VersionActive,
    VersionStaged,
    VersionUnknown,
)
from service.flows.ruleset_texts import Built, CompiledVersions, built, tested
from service.store import rulesets
from service.store.rulesets import Actor as Actor
from service.store.rulesets import Answer, Asked, Head, Marks, Mode, Stand, Step
from service.store.store import Store

# All files of one version. 10,000 rules are 4 MB; what is larger holds data, not rules.
TEXTS_BYTES_MAX = 4_194_304
FILES_MAX = rule_files.FILES_MAX
MESSAGE_CHARS_MAX = 500
HISTORY_MAX = 200  # versions in one answer
# A rollback is thought again when somebody took a step between reading and writing.
TRIES_MAX = 8

State: TypeAlias = Literal["pushed", "staged", "active", "superseded", "rolled_back"]


@dataclass(frozen=True, slots=True)
class Version:
    """A version with its number and what became of it. `approvals_asked` is how many persons must stand behind it."""

    number: int
    head: Head
    state: State
    marks: Marks
    approvals_asked: int
    mode: Literal["shadow", "rollout"] | None = None
    percent: int = 0


@dataclass(frozen=True, slots=True)
class Pushed:
    """A version as it was pushed; `repeated` when the same files were a version before."""

    version: Version
    repeated: bool
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What was taken back, and the version that decides now: 0 are the service's own rules."""

    taken: int
    active: int
    was_rollout: bool


@dataclass(frozen=True, slots=True)
class History:
    """Versions, latest first, with where they stand and what was done last."""

    stand: Stand
    versions: tuple[Version, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Desk:
    """Where versions are worked on: the store, a tenant, the service's own rules, and what was compiled before."""

    store: Store
    tenant: str
    own: Ruleset
    compiled: CompiledVersions


async def push(desk: Desk, texts: Mapping[str, str], message: str, actor: Actor) -> Pushed:
    """Keep files as a version, the one they are already if they are one.

    Raises RulesInvalid with every problem, LimitReached. Failing tests are told and kept: what fails cannot be staged.
    """
    if sum(len(name) + len(text.encode("utf-8", "surrogatepass")) for name, text in texts.items()) > TEXTS_BYTES_MAX:
        raise LimitReached("bytes of all files of a version", TEXTS_BYTES_MAX, "push the rule files alone")
    if len(texts) > FILES_MAX:
        raise LimitReached("files of a version", FILES_MAX, "push the directory that has only the rules")
    digest = files_hash(texts)
    made = await _built(desk, digest, texts)
    results = await _results(desk, digest, made.ruleset, texts)
    files = made.ruleset.files
    head = Head(
        digest=digest,
        hash=files.hash,
        author=actor.name,
        author_key_id=actor.key_id,
        at_ms=actor.at_ms,
        message=message,
        approvals=files.approvals,
        rules=len(files.rules),
        files=len(texts),
        cases=len(results),
        failing=sum(not result.passed for result in results),
    )
    answer = await rulesets.push(desk.store, desk.tenant, head, texts, actor)
    version = await get(desk, answer.numbers[0])
    return Pushed(version, answer.word == "repeated", made.warnings)


async def stage(
    desk: Desk, number: int, mode: Mode, percent: int, actor: Actor, revision: int | None = None
) -> Version:
    """Put a version into shadow or rollout, or withdraw it. A rollout decides turns, so it asks for approval too.

    Raises VersionUnknown, VersionActive, VersionStaged, CasesFail, ApprovalMissing, RulesetsMoved.
    """
    head = await _head(desk, number)
    if mode != "withdrawn":
        await _fit(desk, number, head)
    asked = Asked(head.approvals, desk.own.files.approvals, revision)
    answer = await rulesets.stage(desk.store, desk.tenant, number, mode, percent, asked, actor)
    _refuse(answer, number, head)
    return await get(desk, number)


async def approve(desk: Desk, number: int, actor: Actor) -> Version:
    """Stand behind somebody else's version; twice is once. Raises VersionUnknown, OwnApproval."""
    head = await _head(desk, number)
    if actor.key_id == head.author_key_id or actor.name == head.author:
        raise OwnApproval(number, head.author)
    _refuse(await rulesets.approve(desk.store, desk.tenant, number, actor), number, head)
    return await get(desk, number)


async def activate(desk: Desk, number: int, actor: Actor, revision: int | None = None) -> Version:
    """Let a version decide every turn from now on; what is active already stays so.

    Raises VersionUnknown, CasesFail, RulesInvalid, ApprovalMissing, VersionStaged, RulesetsMoved.
    """
    head = await _head(desk, number)
    await _fit(desk, number, head)
    asked = Asked(head.approvals, desk.own.files.approvals, revision)
    answer = await rulesets.activate(desk.store, desk.tenant, number, asked, actor)
    _refuse(answer, number, head)
    return await get(desk, number)


async def rollback(desk: Desk, actor: Actor, expected: int | None = None, request_id: str | None = None) -> RolledBack:
    """Take back the last step that decides turns: end a rollout or, without one, return to the version before.

    `expected` is the version to take back. Raises RulesetsMoved when it is another, NothingBefore, and RulesInvalid
    when the version before cannot be compiled by this software.
    """
    request = f"rollback:{request_id or secrets.token_hex(8)}"
    for _ in range(TRIES_MAX):
        at = await rulesets.stand(desk.store, desk.tenant)
        if at.mode != "rollout":
            before = await rulesets.trail(desk.store, desk.tenant)
            # Whoever comes again after a lost answer is answered by the script, whatever has moved since.
            if before and before[0]:
                await _ruleset(desk, before[0])
        answer = await rulesets.rollback(desk.store, desk.tenant, expected, at.revision, request, actor)
        if answer.word == "nothing":
            raise NothingBefore
        if answer.word != "moved":
            taken, now = answer.numbers
            return RolledBack(taken, now, answer.word == "withdrawn")
        if expected is not None and answer.numbers[0] != expected:
            raise RulesetsMoved(f"version {answer.numbers[0]} would be taken back, not version {expected}")
    raise ConversationBusy(TRIES_MAX)


async def get(desk: Desk, number: int) -> Version:
    """Return a version and what became of it. Raises VersionUnknown."""
    at, found, marks = await asyncio.gather(
        rulesets.stand(desk.store, desk.tenant),
        rulesets.heads(desk.store, desk.tenant, [number]),
        rulesets.marks(desk.store, desk.tenant, [number]),
    )
    if number not in found:
        raise VersionUnknown(number)
    return _version(desk, number, found[number], marks[number], at)


async def texts_of(desk: Desk, number: int) -> dict[str, str]:
    """Return a version's files by name. Raises VersionUnknown."""
    found = await rulesets.texts(desk.store, desk.tenant, number)
    if found is None:
        raise VersionUnknown(number)
    return found


async def history(desk: Desk, before: int | None = None, limit: int = HISTORY_MAX) -> History:
    """Return the latest versions, those below `before` when it is given, and the latest steps."""
    at = await rulesets.stand(desk.store, desk.tenant)
    newest = at.last if before is None else min(at.last, before - 1)
    numbers = list(range(newest, max(0, newest - min(limit, HISTORY_MAX)), -1))
    # What decides is always shown, however long ago it was pushed.
    more = [each for each in (at.active, at.candidate) if each and each not in numbers and before is None]
    found, marks, steps = await asyncio.gather(
        rulesets.heads(desk.store, desk.tenant, [*numbers, *more]),
        rulesets.marks(desk.store, desk.tenant, [*numbers, *more]),
        rulesets.steps(desk.store, desk.tenant, limit),
    )
    versions = tuple(_version(desk, number, head, marks[number], at) for number, head in found.items())
    return History(at, versions, steps)


async def difference(desk: Desk, old: int, new: int) -> Difference:
    """Return what differs between two versions, in rules; version 0 are the service's own rules."""
    one, other = [(await ruleset_of(desk, number)).files for number in (old, new)]
    return await aside(lambda: diff(one, other))


async def named(desk: Desk, name: str) -> int:
    """Return the number of a version that is named by it, or as `active` or `staged`. Raises VersionUnknown."""
    if name.isdecimal():
        return int(name)
    at = await rulesets.stand(desk.store, desk.tenant)
    if name == "active":
        return at.active
    if at.candidate is None:
        raise VersionUnknown(None)
    return at.candidate


async def compile_ahead(desk: Desk) -> None:
    """Compile the version that was pushed last, so that its activation is a swap. What is wrong is told then."""
    at = await rulesets.stand(desk.store, desk.tenant)
    with contextlib.suppress(VersionUnknown, RulesInvalid):
        await _ruleset(desk, at.last)


async def ruleset_of(desk: Desk, number: int) -> Ruleset:
    """Return the rules of a version, compiled; version 0 are the service's own. Raises VersionUnknown, RulesInvalid."""
    return desk.own if number == 0 else await _ruleset(desk, number)


async def _ruleset(desk: Desk, number: int) -> Ruleset:
    head = await _head(desk, number)
    found = desk.compiled.built.find(head.digest)
    return (found or await _built(desk, head.digest, await texts_of(desk, number))).ruleset


async def _fit(desk: Desk, number: int, head: Head) -> None:
    """Raise CasesFail unless every test of the version passes with this software."""
    results = desk.compiled.results.find(head.digest)
    if results is None:
        texts = await texts_of(desk, number)
        results = await _results(desk, head.digest, (await _built(desk, head.digest, texts)).ruleset, texts)
    if any(not result.passed for result in results):
        raise CasesFail(number, results)


async def _built(desk: Desk, digest: str, texts: Mapping[str, str]) -> Built:
    """Return the rules of the files, compiled once however many ask for them at the same time."""
    found = desk.compiled.built.find(digest)
    if found is not None:
        return found
    under_way = desk.compiled.under_way
    if digest not in under_way:
        under_way[digest] = asyncio.create_task(beside(lambda: built(texts)))
        under_way[digest].add_done_callback(lambda _: under_way.pop(digest))
    return desk.compiled.built.keep(digest, await asyncio.shield(under_way[digest]))


async def _results(desk: Desk, digest: str, ruleset: Ruleset, texts: Mapping[str, str]) -> tuple[CaseResult, ...]:
    found = desk.compiled.results.find(digest)
    # Not with the compiler's lock held: rules that are to decide must not wait for somebody's tests.
    return (
        found if found is not None else desk.compiled.results.keep(digest, await aside(lambda: tested(ruleset, texts)))
    )


async def _head(desk: Desk, number: int) -> Head:
    found = await rulesets.heads(desk.store, desk.tenant, [number])
    if number not in found:
        raise VersionUnknown(number)
    return found[number]


def _refuse(answer: Answer, number: int, head: Head) -> None:
    """Raise what a script refused; return when the step was taken."""
    match answer.word:
        case "unknown":
            raise VersionUnknown(number)
        case "active":
            raise VersionActive(number)
        case "standing":
            raise VersionStaged(answer.numbers[0])
        case "unapproved":
            raise ApprovalMissing(number, head.author)
        case "moved":
            raise RulesetsMoved("what is active or staged has changed since it was looked at")


def _version(desk: Desk, number: int, head: Head, marks: Marks, at: Stand) -> Version:
    # As activate_ruleset.lua asks: by the version itself, by what is active or was, and by the service's own rules.
    own = desk.own.files.approvals if at.active == 0 else 1
    version = Version(number, head, "pushed", marks, max(head.approvals, at.approvals, own))
    if number == at.active:
        return replace(version, state="active")
    if number == at.candidate:
        return replace(version, state="staged", mode=at.mode, percent=at.percent)
    if marks.rolled_back_at_ms is not None:
        return replace(version, state="rolled_back")
    return replace(version, state="superseded") if marks.activated_at_ms is not None else version
