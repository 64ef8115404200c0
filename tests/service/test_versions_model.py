"""Versions in the store against a plain model: random steps of two people leave both agreeing, whatever is refused."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from service.errors import Refusal
from service.flows import rulesets
from service.flows.access import open_store
from service.flows.ruleset_texts import CompiledVersions
from service.flows.rulesets import Actor, Desk
from service.store import outbox
from tests.service.conftest import RULES

pytestmark = pytest.mark.server

_TENANTS = (f"versions-{number}" for number in itertools.count())
OWN = build(files_or_raise({"own.yaml": RULES}))
COMPILED = CompiledVersions()
PEOPLE = ("mia", "ben")
# Two texts that ask for one person, and two that ask for two.
TEXTS = [{"rules.yaml": f"{RULES}\napprovals: {1 + number % 2}\n# {number}\n"} for number in range(4)]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that somebody asks for."""

    verb: str
    who: str
    which: int
    percent: int


@dataclass(slots=True)
class Model:
    """Versions as they should stand."""

    authors: list[str] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    approved: dict[int, set[str]] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    active: int = 0
    asked: int = 1
    trail: list[int] = field(default_factory=list)
    candidate: tuple[int, str, int] | None = None
    told: list[tuple[str, int]] = field(default_factory=list)

    def take(self, step: Step) -> str:
        """Take a step; return what it is refused for, or empty."""
        number = step.which + 1
        if step.verb == "push":
            return self._push(step)
        if step.verb == "rollback":
            return self._rollback()
        if number > len(self.authors):
            return "version_unknown"
        if step.verb == "approve":
            return self._approve(number, step.who)
        return self._activate(number) if step.verb == "activate" else self._stage(number, step)

    def _push(self, step: Step) -> str:
        if step.which not in self.numbers:
            self.authors.append(step.who)
            number = self.numbers[step.which] = len(self.authors)
            self.asks[number] = 1 + step.which % 2
            self.told.append(("pushed", number))
        return ""

    def _approve(self, number: int, who: str) -> str:
        if self.authors[number - 1] == who:
            return "own_approval"
        if who not in self.approved.setdefault(number, set()):
            self.approved[number].add(who)
            self.told.append(("approved", number))
        return ""

    def _lacks_approval(self, number: int) -> bool:
        return max(self.asks[number], self.asked) > 1 and not self.approved.get(number)

    def _activate(self, number: int) -> str:
        if self.active == number:
            return ""
        if self.candidate is not None and self.candidate[0] != number and self.candidate[1] == "rollout":
            return "version_staged"
        if self._lacks_approval(number):
            return "approval_missing"
        self.trail.append(self.active)
        self.active, self.asked = number, self.asks[number]
        if self.candidate is not None and self.candidate[0] == number:
            self.candidate = None
        self.told.append(("activated", number))
        return ""

    def _stage(self, number: int, step: Step) -> str:
        mode = step.verb
        percent = step.percent if mode == "rollout" else 0
        if mode == "withdrawn" and self.candidate is None:
            return ""
        if self.candidate == (number, mode, percent):
            return ""
        if self.active == number:
            return "version_active"
        if self.candidate is not None and self.candidate[0] != number:
            return "version_staged"
        if mode == "rollout" and self._lacks_approval(number):
            return "approval_missing"
        self.candidate = None if mode == "withdrawn" else (number, mode, percent)
        self.told.append(("withdrawn" if mode == "withdrawn" else "staged", number))
        return ""

    def _rollback(self) -> str:
        if self.candidate is not None and self.candidate[1] == "rollout":
            self.told.append(("rolled_back", self.candidate[0]))
            self.candidate = None
            return ""
        if not self.trail:
            return "nothing_before"
        self.told.append(("rolled_back", self.active))
        self.active = self.trail.pop()
        return ""


async def take(desk: Desk, step: Step) -> str:
    """Take a step on the store; return what it is refused for, or empty."""
    actor, number = Actor(step.who, f"key-{step.who}", 1_800_000_000_000), step.which + 1
    try:
        if step.verb == "push":
            await rulesets.push(desk, TEXTS[step.which], "a push", actor)
        elif step.verb == "rollback":
            await rulesets.rollback(desk, actor)
        elif step.verb == "approve":
            await rulesets.approve(desk, number, actor)
        elif step.verb == "activate":
            await rulesets.activate(desk, number, actor)
        else:
            percent = step.percent if step.verb == "rollout" else 0
            await rulesets.stage(desk, number, step.verb, percent, actor)  # type: ignore[arg-type]  # drawn of the words
    except Refusal as refusal:
        return refusal.code
    return ""


VERBS = ("push", "activate", "activate", "activate", "approve", "approve", "shadow", "rollout", "withdrawn", "rollback")
# In half of the runs every text is there from the beginning and one that asks for two persons decides, so that most
# steps can be taken and the second person matters.
BEGUN = [
    *(Step("push", PEOPLE[number % 2], number, 1) for number in range(4)),
    Step("approve", "mia", 1, 1),
    Step("activate", "ben", 1, 1),
]
steps = st.builds(
    lambda begun, more: [*begun, *more],
    st.sampled_from([[], BEGUN]),
    st.lists(
        st.builds(
            Step, st.sampled_from(VERBS), st.sampled_from(PEOPLE), st.integers(0, 3), st.sampled_from((1, 50, 100))
        ),
        min_size=4,
        max_size=30,
    ),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_every_step_ends_as_the_model_says(server_url: str, taken: list[Step]) -> None:
    asyncio.run(agree(server_url, next(_TENANTS), OWN, taken))


async def agree(url: str, tenant: str, own: Ruleset, taken: list[Step]) -> None:
    store = await open_store(url)
    try:
        desk, model = Desk(store, tenant, own, COMPILED), Model()
        for step in taken:
            assert await take(desk, step) == model.take(step), step
            history = await rulesets.history(desk)
            at = history.stand
            candidate = None if at.candidate is None else (at.candidate, at.mode, at.percent)
            assert (at.active, candidate) == (model.active, model.candidate)
            assert [version.number for version in history.versions] == list(range(len(model.authors), 0, -1))
            assert [version.head.author for version in reversed(history.versions)] == model.authors
        assert [(each.kind, each.version) for each in reversed(history.steps)] == model.told
        # Every step was told, in the order in which it was taken.
        events = await outbox.read(store, store.places(tenant)[0], "test", 200)
        assert [(event.type, event.ruleset_version) for event in events] == [
            (f"ruleset.{kind}", number) for kind, number in model.told
        ]
    finally:
        await store.close()
