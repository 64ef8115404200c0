"""Versions of rules as managers see them: the bodies they send, the answers they get. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from rules.diff.differences import Difference, Effect
from rules.diff.words import as_json, lines
from rules.files.problem_json import problem_json
from rules.model import Verdict
from service.api.bodies import Body
from service.api.decision_answers import Shape
from service.flows.rulesets import FILES_MAX, MESSAGE_CHARS_MAX, History, Pushed, RolledBack, State, Version
from service.flows.shadow import Report
from service.rule_files import ENDINGS

FILE_NAME_CHARS_MAX = 200
NUMBER_MAX = 2**53


def _file_name(name: str) -> str:
    parts = name.split("/")
    if not name.endswith(ENDINGS) or not name.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise ValueError("has a file name that is none: write it as `refunds.yaml`, with `/` between folders")
    return name


FileName: TypeAlias = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=FILE_NAME_CHARS_MAX), AfterValidator(_file_name)
]


def _one_line(message: str) -> str:
    """Return a message in one line: each of `handrail history` is a version's."""
    folded = " ".join(message.split())
    if not folded.isprintable():
        raise ValueError("`message` holds a character that cannot be shown: write a sentence")
    return folded


# Who looks for the version to return to reads nothing else.
Message: TypeAlias = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=MESSAGE_CHARS_MAX),
    AfterValidator(_one_line),
]
Revision = Annotated[int, Field(strict=True, ge=0, le=NUMBER_MAX)]


# Shown in /docs, and pushed by a test.
PUSH_EXAMPLE: dict[str, Any] = {
    "files": {
        "refunds.yaml": "handrail: 1\n"
        "queues:\n"
        "  approvals: {answer_within: 5m, on_timeout: {verdict: deny, say: {en: Not now.}}, say: {en: One moment.}}\n"
        "rules:\n"
        "  - id: big-refund\n"
        "    why: a refund above 200 dollars waits for a person\n"
        "    when: {tool_call: {all: [name = issue_refund, amount_usd > 200]}}\n"
        "    then: {hold: approvals}\n",
        "refunds.tests.yaml": "handrail_tests: 1\n"
        "cases:\n"
        "  - name: a large refund is held\n"
        "    tool_calls: [{name: issue_refund, write: true, amount: 480}]\n"
        "    expect: {hold: approvals}\n",
    },
    "message": "refunds above 200 dollars wait for a person",
}
STAGE_EXAMPLE: dict[str, Any] = {"mode": "rollout", "percent": 10, "expect_revision": 7}


class PushBody(Body):
    """Rule files and the tests beside them, by name, and what changed in a sentence."""

    model_config = ConfigDict(json_schema_extra={"examples": [PUSH_EXAMPLE]})

    files: Annotated[dict[FileName, Annotated[str, StringConstraints(strict=True)]], Field(max_length=FILES_MAX)]
    message: Message


class ExpectBody(Body):
    """What a step is held against: the `revision` of GET /rulesets that the caller looked at."""

    expect_revision: Revision | None = None


class StageBody(ExpectBody):
    """How a version is tried: in `shadow`, or deciding for `percent` of the conversations; `withdrawn` ends it."""

    model_config = ConfigDict(json_schema_extra={"examples": [STAGE_EXAMPLE]})

    mode: Literal["shadow", "rollout", "withdrawn"]
    percent: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> StageBody:
        if (self.percent is not None) is not (self.mode == "rollout"):
            raise ValueError("`rollout` needs `percent`, and nothing else has one")
        return self


class RollbackBody(Body):
    """The version that is to be taken back, so that two people do not take back two."""

    expect: Revision | None = None


class ApprovalAnswer(Shape):
    """Who stands behind a version beside its author."""

    name: str
    at_ms: int


class TestsAnswer(Shape):
    """How many tests the version has, and how many failed when it was pushed."""

    cases: int
    failing: int


class VersionAnswer(Shape):
    """A version: what was pushed, by whom, and what became of it. `hash` is what decisions carry as `ruleset`.

    `approvals_needed` is how many persons must stand behind it before it decides: what its own rules say, or what the
    rules say or said that it would take the place of.
    """

    version: int
    state: State
    mode: Literal["shadow", "rollout"] | None
    percent: int | None
    hash: str
    author: str
    at_ms: int
    message: str
    rules: int
    files: int
    tests: TestsAnswer
    approvals_needed: int
    approvals: list[ApprovalAnswer]
    activated_at_ms: int | None


class ProblemAnswer(Shape):
    """A problem of a rule file: where it is, and what to do next."""

    code: str
    severity: Literal["error", "warning"]
    file: str
    line: int
    column: int
    end_column: int
    message: str
    hint: str
    source_line: str


class PushedAnswer(VersionAnswer):
    """The version that the files are now; `repeated` when they were one before."""

    repeated: bool
    warnings: list[ProblemAnswer]


class VersionTextsAnswer(VersionAnswer):
    """A version with its files by name."""

    texts: dict[str, str]


class RuleChangeAnswer(Shape):
    """A rule, topic or queue that differs. `facts` are fragments: `fires more often: low 0.55 → 0.6`."""

    name: str
    kind: Literal["added", "removed", "renamed", "changed"]
    effect: Effect
    facts: list[str]


class RuleEffectAnswer(Shape):
    """What a threshold's move alone does to a rule."""

    rule_id: str
    effect: Effect


class ThresholdAnswer(Shape):
    """A threshold with another value; `said` has it in the unit of the rules that use it."""

    name: str
    old: float
    new: float
    said: str
    rules: list[RuleEffectAnswer]


class DifferenceAnswer(Shape):
    """What differs between two versions, in rules. `rendered` is all of it as a person reads it.

    `stricter`: a person is asked on more turns, has more say, or is to come sooner; `looser`: the other way round;
    `words`: no turn is decided otherwise. Each of the first two is proved for all turns; else it is `changed`.
    """

    old: int
    new: int
    overall: Literal["same", "words", "stricter", "looser", "changed", "mixed"]
    summary: dict[Effect, int]
    rules: list[RuleChangeAnswer]
    thresholds: list[ThresholdAnswer]
    topics: list[RuleChangeAnswer]
    queues: list[RuleChangeAnswer]
    others: list[str]
    rendered: str


class VersionStepAnswer(Shape):
    """One step that somebody took."""

    kind: Literal["pushed", "staged", "withdrawn", "approved", "activated", "rolled_back"]
    version: int
    about: str
    actor: str
    at_ms: int


class HistoryAnswer(Shape):
    """Versions and steps, latest first. `active` is 0 while the service's own rules decide."""

    mode: Literal["managed", "file"]
    revision: int
    active: int
    staged: int | None
    versions: list[VersionAnswer]
    steps: list[VersionStepAnswer]


class ShadowRuleAnswer(Shape):
    """A rule, and on how many turns more or fewer it would have fired."""

    rule_id: str
    more: int
    fewer: int


class ShadowErrorAnswer(Shape):
    """A kind of fault, the rule that it was in when that is known, and how often it came."""

    error: str
    rule_id: str | None
    count: int


class ShadowDifferenceAnswer(Shape):
    """A turn that the version would have decided otherwise. `queue` is where it would have handed over."""

    decision_id: str
    conversation_id: str
    at_ms: int
    result: Literal["stricter", "looser", "otherwise"]
    verdict: Verdict
    would_be: Verdict
    queue: str | None
    more: list[str]
    fewer: list[str]


class ShadowAnswer(Shape):
    """What a version in shadow would have decided.

    `agreed`, `stricter`, `looser`, `otherwise` (the same verdict by other rules) and `errors` make up `judged`. Turns
    that came faster than they could be judged are `skipped`.
    """

    version: int
    judged: int
    agreed: int
    stricter: int
    looser: int
    otherwise: int
    errors: int
    skipped: int
    since_at_ms: int | None
    until_at_ms: int | None
    rules: list[ShadowRuleAnswer]
    error_kinds: list[ShadowErrorAnswer]
    differences: list[ShadowDifferenceAnswer]


class RolledBackAnswer(Shape):
    """What was taken back, and which version decides now: 0 are the service's own rules."""

    taken_back: int
    was: Literal["rollout", "active"]
    active: int


def version_answer(version: Version) -> dict[str, Any]:
    """Return a version as it is shown."""
    head, marks = version.head, version.marks
    return {
        "version": version.number,
        "state": version.state,
        "mode": version.mode,
        "percent": version.percent if version.mode == "rollout" else None,
        "hash": head.hash,
        "author": head.author,
        "at_ms": head.at_ms,
        "message": head.message,
        "rules": head.rules,
        "files": head.files,
        "tests": {"cases": head.cases, "failing": head.failing},
        "approvals_needed": version.approvals_asked,
        "approvals": [{"name": each.name, "at_ms": each.at_ms} for each in marks.approvals],
        "activated_at_ms": marks.activated_at_ms,
    }


def pushed_answer(pushed: Pushed) -> dict[str, Any]:
    """Return what came of a push."""
    warnings = [problem_json(problem) for problem in pushed.warnings]
    return {**version_answer(pushed.version), "repeated": pushed.repeated, "warnings": warnings}


def texts_answer(version: Version, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return a version with its files."""
    return {**version_answer(version), "texts": dict(texts)}


def difference_answer(old: int, new: int, difference: Difference) -> dict[str, Any]:
    """Return what differs between two versions."""
    return {"old": old, "new": new, **as_json(difference), "rendered": "\n".join(lines(difference))}


def history_answer(history: History, *, managed: bool) -> dict[str, Any]:
    """Return versions and steps, and where they stand."""
    at = history.stand
    return {
        "mode": "managed" if managed else "file",
        "revision": at.revision,
        "active": at.active,
        "staged": at.candidate,
        "versions": [version_answer(version) for version in history.versions],
        "steps": [
            {
                "kind": step.kind,
                "version": step.version,
                "about": step.about,
                "actor": step.actor,
                "at_ms": step.at_ms,
            }
            for step in history.steps
        ],
    }


def shadow_answer(report: Report) -> dict[str, Any]:
    """Return what a version in shadow would have decided."""
    counts = ("version", "judged", "agreed", "stricter", "looser", "otherwise", "errors", "skipped")
    return {
        **{name: getattr(report, name) for name in (*counts, "since_at_ms", "until_at_ms")},
        "rules": [{"rule_id": rule_id, "more": more, "fewer": fewer} for rule_id, more, fewer in report.rules],
        "error_kinds": [
            {"error": error, "rule_id": rule_id, "count": count} for error, rule_id, count in report.error_kinds
        ],
        "differences": [
            {
                "decision_id": each.decision_id,
                "conversation_id": each.conversation_id,
                "at_ms": each.at_ms,
                "result": each.word,
                "verdict": each.verdict,
                "would_be": each.would_be,
                "queue": each.queue,
                "more": list(each.more),
                "fewer": list(each.fewer),
            }
            for each in report.differences
        ],
    }


def rolled_back_answer(rolled_back: RolledBack) -> dict[str, Any]:
    """Return what a rollback did."""
    return {
        "taken_back": rolled_back.taken,
        "was": "rollout" if rolled_back.was_rollout else "active",
        "active": rolled_back.active,
    }
