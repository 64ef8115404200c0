"""What is refused of versions of rules, and why, as facts. Exceptions only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rules.cases.runner import CaseResult, Failure, failure_lines
from rules.files.errors import Problem, render
from rules.files.problem_json import problem_json
from service.errors import Refusal

# An answer with more would be read by nobody; the first ones are mostly the cause of the others.
PROBLEMS_TOLD_MAX = 200
FAILURES_TOLD_MAX = 50
# Before what is told of each: past these their names are a wall of their own.
CASES_NAMED_MAX = 10


class VersionUnknown(Refusal):
    """The tenant has no version of that number, or it was so old that its texts are gone."""

    code = "version_unknown"
    hint = "`handrail history` and GET /rulesets list the versions"

    def __init__(self, version: int | None) -> None:
        super().__init__("no version is staged" if version is None else f"there is no version {version}")
        self.version = version


class RulesInvalid(Refusal):
    """Rule files do not compile; every problem stands in `more`, as a list and as a person reads it."""

    code = "rules_invalid"
    hint = "mend what `problems` and `rendered` show; `handrail check` shows the same"

    def __init__(self, problems: tuple[Problem, ...], what: str = "the files") -> None:
        errors = sum(problem.severity == "error" for problem in problems)
        super().__init__(f"{what} have {errors} {'error' if errors == 1 else 'errors'}")
        self.problems = problems
        told = problems[:PROBLEMS_TOLD_MAX]
        self.more = {
            "problems": [problem_json(problem) for problem in told],
            "problems_total": len(problems),
            "rendered": "\n".join(render(problem) for problem in told),
        }


class CasesFail(Refusal):
    """Tests beside the rule files fail, so these rules do not do what their author said they do."""

    code = "tests_failed"
    hint = "mend the rules or the tests and push again; `handrail test` shows the same"

    def __init__(self, version: int, results: Iterable[CaseResult]) -> None:
        every = tuple(results)
        failed = [result for result in every if not result.passed]
        fail = "fails" if len(failed) == 1 else "fail"
        said = f"{len(failed)} of {len(every)} tests of version {version} {fail}"
        super().__init__(said)
        shown = [(result, failure) for result in failed for failure in result.failures][:FAILURES_TOLD_MAX]
        self.more = {
            "failures": [
                {
                    "file": failure.span.file,
                    "line": failure.span.line,
                    "case": result.name,
                    "turn": failure.turn,
                    "what": failure.what,
                    "expected": failure.expected,
                    "got": failure.got,
                }
                for result, failure in shown
            ],
            "rendered": "\n\n".join([_summary(said, failed), *_explained(shown)]),
        }


def _summary(said: str, failed: Sequence[CaseResult]) -> str:
    named = [f"  {result.file}:{result.span.line}: `{result.name}`" for result in failed[:CASES_NAMED_MAX]]
    more = [f"  and {len(failed) - CASES_NAMED_MAX} more"] if len(failed) > CASES_NAMED_MAX else []
    return "\n".join([said, *named, *more])


def _explained(shown: Sequence[tuple[CaseResult, Failure]]) -> Iterable[str]:
    """Yield what failed in each case at once: what led to it is told once, however many expectations it missed."""
    for _, pairs in groupby(shown, key=lambda pair: id(pair[0])):
        of_case = list(pairs)
        yield "\n".join(text for _, text in failure_lines(of_case[0][0], [failure for _, failure in of_case]))


class VersionStaged(Refusal):
    """Another version is staged, and one at a time is judged beside the active one."""

    code = "version_staged"

    def __init__(self, version: int) -> None:
        super().__init__(
            f"version {version} is staged",
            f"activate it, or withdraw it with `handrail stage {version} --withdraw`",
        )
        self.version = version


class VersionActive(Refusal):
    """The version decides already, so there is nothing to stage."""

    code = "version_active"
    hint = "stage another version; `handrail history` lists them"

    def __init__(self, version: int) -> None:
        super().__init__(f"version {version} is active already")
        self.version = version


class RulesetsMoved(Refusal):
    """Somebody changed what is active or staged since the caller looked."""

    code = "rulesets_moved"
    hint = "look at `handrail history` or GET /rulesets, and decide again"

    def __init__(self, fact: str) -> None:
        super().__init__(fact)


class ApprovalMissing(Refusal):
    """The version, or the one that is active, asks for two persons, and only its author stands behind it."""

    code = "approval_missing"

    def __init__(self, version: int, author: str) -> None:
        super().__init__(
            f"version {version} needs the approval of a second person",
            f"a manager or admin other than `{author}`, who pushed it, approves it with `handrail approve {version}`",
        )
        self.version = version
        self.author = author


class OwnApproval(Refusal):
    """Whoever pushed a version approves it."""

    code = "own_approval"

    def __init__(self, version: int, author: str) -> None:
        super().__init__(
            f"version {version} was pushed by `{author}`, and nobody approves their own version",
            "another manager or admin approves it, with a key of their own",
        )
        self.version = version


class NothingBefore(Refusal):
    """No version was active before the present one."""

    code = "nothing_before"
    hint = "activate the version that you want with `handrail activate VERSION`"

    def __init__(self) -> None:
        super().__init__("no version was active before")


class FileMode(Refusal):
    """The service decides with a directory of rule files, so versions are kept but never decide."""

    code = "file_mode"
    hint = "edit the files there, or start the service without `--rules` to decide with versions"

    def __init__(self) -> None:
        super().__init__("this service takes its rules from a directory")
