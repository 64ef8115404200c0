"""What a fire drill is: a handoff that nobody needs, marked by its conversation's id. Nothing is opened or stored here.

The mark is in the id because the id is in everything that is made of a conversation: decision, handoff, event, packet,
message, audit entry. Whatever counts asks `is_drill` and leaves it out; no record has to remember to carry a flag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

from rules.compile.rule_files import files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.marks import DRILL_MARK as DRILL_MARK
from rules.marks import is_drill as is_drill
from rules.model import OnTimeout, Queue
from rules.turn import AgentRef, Turn

AGENT_ID = "handrail-drill"
RULE_ID = "fire-drill"
TURN_ID = "drill"
MESSAGE = "This is a fire drill. No customer waits: claim it, and resolve it with any answer."
# What it asks is an answer by a person; a drill of a minute finds nobody who is fetching a coffee, one of more than a
# day measures nothing.
WITHIN_MS_MIN, WITHIN_MS_MAX = 1_000, 86_400_000
EVERY_MS_MIN, EVERY_MS_MAX = 3_600_000, 92 * 86_400_000
DAY_MS = 86_400_000

_RULES = f"""
handrail: 1
queues:
  drilled:
    answer_within: 5m
    on_timeout: {{verdict: deny, say: {{en: "{MESSAGE}"}}}}
    say: {{en: "{MESSAGE}"}}
rules:
  - id: {RULE_ID}
    why: this is a fire drill; no customer waits
    when: channel = {AGENT_ID}
    then: {{escalate: drilled}}
"""
_PROMISE = OnTimeout("deny", {"en": MESSAGE})


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a queue is drilled: at `first_at_ms` and then every `every_ms`; somebody has `within_ms` to come."""

    queue: str
    every_ms: int
    first_at_ms: int
    within_ms: int


def rules_of(ruleset: Ruleset, queue: str, within_ms: int) -> Ruleset:
    """Return rules that ask for a drill in a queue which is as it is declared, with whom it needs and whom it tells.

    It ends by itself: it leads to no other queue, promises nobody anything, and becomes no more urgent. A ladder still
    widens it and pages people, as that is half of what a drill is to find out.
    """
    made = files_or_raise({"drill.yaml": _RULES})
    (rule,) = made.rules
    declared = ruleset.files.queues[queue]
    ladder = tuple(replace(step, priority=None) for step in declared.ladder)
    drilled = replace(
        declared, ladder=ladder, on_timeout=_PROMISE, resolve_within_ms=None, same_operator_ms=None, warn_before_ms=None
    )
    # Queues that the ladder adds are looked up by their names only.
    queues: Mapping[str, Queue] = {**ruleset.files.queues, queue: drilled}
    asking = replace(rule, then=replace(rule.then, queue=queue, answer_within_ms=within_ms, on_timeout=_PROMISE))
    return build(replace(made, hash=ruleset.hash, queues=queues, rules=(asking,)))


def turn_of(drill_id: str) -> Turn:
    """Return the turn that opens a drill: one a drill, so that asked twice it is opened once."""
    return Turn(conversation_id=drill_id, turn_id=TURN_ID, agent=AgentRef(AGENT_ID), channel=AGENT_ID, message=MESSAGE)


def slot_at_ms(schedule: Schedule, now_ms: int) -> int | None:
    """Return when the latest drill of a schedule was due, None before its first.

    Only the latest: after a night without the service one drill is caught up with, not eight.
    """
    if now_ms < schedule.first_at_ms:
        return None
    return now_ms - (now_ms - schedule.first_at_ms) % schedule.every_ms


def next_at_ms(schedule: Schedule, now_ms: int) -> int:
    """Return when the next drill of a schedule is due."""
    slot = slot_at_ms(schedule, now_ms)
    return schedule.first_at_ms if slot is None else slot + schedule.every_ms


def scheduled_id(tenant: str, schedule: Schedule, at_ms: int) -> str:
    """Return the id of the drill that is due at a moment: every process that looks gives it the same name."""
    about = f"{tenant}\0{schedule.queue}\0{schedule.every_ms}\0{at_ms}"
    return DRILL_MARK + blake2b(about.encode(), digest_size=8).hexdigest()


def first_at_ms(minutes_of_day: int, now_ms: int) -> int:
    """Return the next moment at which it is that minute of the day in UTC."""
    today_ms = now_ms - now_ms % DAY_MS + minutes_of_day * 60_000
    return today_ms if today_ms > now_ms else today_ms + DAY_MS
