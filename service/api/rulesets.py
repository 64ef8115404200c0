"""`GET /rulesets/active`: which rules decide now, for managers."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Response

from rules.files.problem_json import problem_json
from rules.model import Priority, Rule, Verdict
from service.api.decision_answers import Shape
from service.api.routes import Call, answered, called, problems_documented
from service.api.rules_fault import PROBLEMS_TOLD_MAX
from service.api.version_answers import ProblemAnswer
from service.clock import now_ms

router = APIRouter(tags=["managers"])


class RuleAnswer(Shape):
    """One rule as it is written, and where. `percent` of the conversations have it live: 0 is shadow."""

    id: str
    why: str
    verdict: Verdict
    queue: str | None
    priority: Priority
    percent: int
    regulated: bool
    file: str
    line: int


class RuleFileAnswer(Shape):
    """A file that has rules, and how many."""

    name: str
    rules: int


class RulesetAnswer(Shape):
    """The active ruleset. `fault` tells that an edit was refused and these rules go on deciding.

    `version` is 0 where the service's own rules decide; `staged` is the version that is tried beside it. For rules from
    a directory, `fault_since_at_ms` is when the first of the broken edits was refused, `problems` what is wrong (the
    first ones of `problems_total`). `lost` is what edits of the directory took away within a day and nobody put back:
    rules that asked for a person, regulated topics; `lost_since_at_ms` is when some of it went last.
    """

    hash: str
    version: int
    staged: int | None
    source: str
    fault: str | None
    fault_since_at_ms: int | None
    problems: list[ProblemAnswer]
    problems_total: int
    lost: list[str]
    lost_since_at_ms: int | None
    files: list[RuleFileAnswer]
    thresholds: dict[str, float]
    topics: list[str]
    queues: list[str]
    rules: list[RuleAnswer]


@router.get(
    "/rulesets/active",
    summary="The rules that decide now",
    responses={200: {"model": RulesetAnswer}, **problems_documented()},
)
async def active(call: Annotated[Call, called("oversee")]) -> Response:
    """In order of precedence: the first of those that fire gives the queue, the priority and the words."""
    running = call.running
    version, staged, ruleset, faulty = 0, None, running.ruleset, running.rules_fault
    if running.following is not None:
        found = await running.following.meet(running.store, call.caller.tenant)
        version, ruleset, staged = found.version, found.active, found.at.candidate
        faulty = running.versions_refused.get(call.caller.tenant)
    files, loss = ruleset.files, running.loss_at(now_ms())
    counts = Counter(rule.span.file for rule in files.rules)
    return answered(
        {
            "hash": files.hash,
            "version": version,
            "staged": staged,
            "source": f"version {version}" if version else running.rules_from,
            "fault": None if faulty is None else faulty.why,
            "fault_since_at_ms": None if faulty is None else faulty.since_at_ms,
            "problems": [] if faulty is None else [problem_json(each) for each in faulty.problems[:PROBLEMS_TOLD_MAX]],
            "problems_total": 0 if faulty is None else len(faulty.problems),
            "lost": [] if loss is None else loss.lines(),
            "lost_since_at_ms": None if loss is None else loss.since_at_ms,
            "files": [{"name": name, "rules": counts[name]} for name in sorted(counts)],
            "thresholds": files.thresholds,
            "topics": sorted(files.topics),
            "queues": sorted(files.queues),
            "rules": [_rule(rule) for rule in files.rules],
        }
    )


def _rule(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "why": rule.why,
        "verdict": rule.then.verdict,
        "queue": rule.then.queue,
        "priority": rule.then.priority,
        "percent": rule.mode.percent,
        "regulated": rule.regulated,
        "file": rule.span.file,
        "line": rule.span.line,
    }
