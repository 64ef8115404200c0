"""A simulation gives each handoff to the same person at the same moment as the real store does."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.routing.operators import Operator
from rules.simulation.simulation import Coming, play
from rules.turn import Turn
from service.flows import handoffs
from service.flows.access import Store
from service.flows.decide import decide
from service.flows.handoffs import Claimed, Claiming, Lease, Resolving

pytestmark = pytest.mark.server

START = 1_800_000_000_000
SECOND, MINUTE = 1_000, 60_000
QUEUES, PRIORITIES = ("cards", "loans"), ("low", "normal", "urgent")
RULES = """
handrail: 1
signals: {go: {type: text}}
queues:
  cards:
    answer_within: 2h
    on_timeout: {verdict: callback, say: {en: "We call back."}}
    say: {en: "One moment."}
    needs: {fraud: 2}
    language: customer
    ladder:
      - {after: 2m, needs: {fraud: 1}}
      - {after: 4m, needs: [], queues: [loans], language: any, priority: urgent}
  loans:
    answer_within: 3m
    on_timeout: {verdict: escalate, queue: cards}
    say: {en: "One moment."}
rules:
""" + "".join(
    f"  - {{id: {queue}-{priority}, why: said, when: go = {queue}-{priority},"
    f" then: {{escalate: {queue}, priority: {priority}}}}}\n"
    for queue in QUEUES
    for priority in PRIORITIES
)
PEOPLE = (
    Operator("ana", skills={"fraud": 3}, languages=("es",), queues=("cards",)),
    Operator("ben", skills={"fraud": 1}, languages=("en",)),
    Operator("cho", queues=("loans",), capacity=2),
)


@dataclass(slots=True)
class House:
    """The people of the real store, and who is to do what next: ends of work, steps of ladders, arrivals."""

    store: Store
    ruleset: Ruleset
    tenant: str
    arrivals: list[Coming]
    events: list[tuple[int, int, int, str]] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    leases: dict[int, tuple[str, Lease]] = field(default_factory=dict)
    taken: dict[int, tuple[str, int]] = field(default_factory=dict)
    load: dict[str, int] = field(default_factory=lambda: {each.name: 0 for each in PEOPLE})
    idle_since_ms: dict[str, int] = field(default_factory=lambda: {each.name: START for each in PEOPLE})

    async def run(self) -> None:
        for place, each in enumerate(self.arrivals):
            heapq.heappush(self.events, (each.at_ms, 2, place, ""))
        while self.events:
            now_ms, what, place, name = heapq.heappop(self.events)
            if what == 0:
                await handoffs.resolve(
                    self.store, self.tenant, self.leases[place][1], Resolving("take_over", "needed"), now_ms
                )
                self.load[name] -= 1
                self.idle_since_ms[name] = now_ms
                await self.claim(name, now_ms)
                continue
            if what == 2:
                await self.come(place, now_ms)
            for partition in range(self.store.partitions):
                await handoffs.expire_due(self.store, self.tenant, partition, now_ms)
            for person in sorted(PEOPLE, key=self.busyness):
                await self.claim(person.name, now_ms)

    def busyness(self, each: Operator) -> tuple[float, int, str]:
        return self.load[each.name] / (each.capacity or 1), self.idle_since_ms[each.name], each.name

    async def come(self, place: int, now_ms: int) -> None:
        each = self.arrivals[place]
        assert each.rule is not None
        go = f"{each.queue}-{each.rule.then.priority}"
        turn = Turn(f"conversation-{place}", "1", locale=each.locale, signals={"go": go})
        decided = await decide(self.store, self.ruleset, self.tenant, turn, now_ms)
        assert decided.decision.handoff_id is not None
        self.names[decided.decision.handoff_id] = place
        # What a ladder or a deadline does next is done at its moment, as a worker does it.
        for minutes in (2, 3, 4, 5, 6, 7):
            heapq.heappush(self.events, (now_ms + minutes * MINUTE, 1, place, ""))

    async def claim(self, name: str, now_ms: int) -> None:
        declared = next(each for each in PEOPLE if each.name == name)
        while self.load[name] < (declared.capacity or 1):
            claiming = Claiming(name, 10 * 3_600_000, declared=declared)
            claimed = await handoffs.claim_next(self.store, self.ruleset, self.tenant, None, claiming, now_ms)
            if not isinstance(claimed, Claimed):
                return
            call = claimed.handoff.call
            place = self.names[claimed.handoff.handoff_id if call is None else call.after or ""]
            self.load[name] += 1
            self.leases[place] = (name, Lease(claimed.handoff.handoff_id, claimed.token))
            self.taken[place] = (name, now_ms)
            heapq.heappush(self.events, (now_ms + self.arrivals[place].handling_ms, 0, place, name))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cards_within", ["2h", "3m"])
async def test_the_same_person_takes_the_same_handoff_at_the_same_moment(
    store: Store, tenant: str, seed: int, cards_within: str
) -> None:
    chance = random.Random(seed)
    rules = RULES.replace("answer_within: 2h", f"answer_within: {cards_within}")
    ruleset = build(files_or_raise({"house.yaml": rules}))
    by_id = {rule.id: rule for rule in ruleset.files.rules}
    # Moments that no two things share: what is done first of two at once is nobody's promise.
    moments = sorted(chance.sample(range(1, 1_200_000, 7), 40))
    arrivals = []
    for at_ms in moments:
        queue, priority = chance.choice(QUEUES), chance.choice(PRIORITIES)
        rule, span_ms = by_id[f"{queue}-{priority}"], chance.randrange(10 * SECOND, 3 * MINUTE)
        arrivals.append(Coming(START + at_ms, queue, span_ms, rule=rule, locale=chance.choice(("es-MX", "en", None))))
    house = House(store, ruleset, tenant, arrivals)
    await house.run()
    played = play(ruleset.files.queues, PEOPLE, arrivals)
    simulated = {
        place: (each.operator, each.coming.at_ms + each.waited_ms + (each.called_after_ms or 0))
        for place, each in enumerate(played.passed)
        if each.operator is not None
    }
    assert simulated == house.taken
    assert len(simulated) > 20
    assert any(each.waited_ms > 2 * MINUTE for each in played.passed)
    # Whom nobody answered in time was promised a call, and was called.
    assert any(each.called_after_ms is not None for each in played.passed) == (cards_within == "3m")
