"""Rule files that were refused while the rules before go on deciding: since when, why, and how much of it is told."""

from __future__ import annotations

from dataclasses import dataclass

from rules.files.errors import PROBLEMS, Problem, render

# In a log line and in /readyz: the first ones are mostly the cause of the others, and `handrail check` shows all.
PROBLEMS_LOGGED_MAX = 5
# In an answer for a page that lists them.
PROBLEMS_TOLD_MAX = 200


@dataclass(frozen=True, slots=True)
class RulesFault:
    """Why the rule files cannot be used. `problems` holds the errors; empty where the files could not even be read.

    `since_at_ms` is when the first of the edits in a row was refused. `files_hash` names the rule files that are wrong
    whatever lies beside them; None where another file may mend them.
    """

    since_at_ms: int
    fact: str
    problems: tuple[Problem, ...] = ()
    files_hash: str | None = None

    @property
    def why(self) -> str:
        """Return the first problems as a person reads them, or why the files cannot be read."""
        if not self.problems:
            return self.fact
        return "\n".join(render(problem) for problem in self.problems[:PROBLEMS_LOGGED_MAX])

    @property
    def places(self) -> list[str]:
        """Return the first problems for everybody to see: place, code and what it means, with no word of the files."""
        return [
            f"{span.file}:{span.line}:{span.column}: {problem.code}: {PROBLEMS[problem.code].title}"
            for problem in self.problems[:PROBLEMS_LOGGED_MAX]
            for span in (problem.span,)
        ]


def of_problems(since_at_ms: int, problems: tuple[Problem, ...], files_hash: str | None = None) -> RulesFault:
    """Return the fault that the errors among the problems are."""
    errors = tuple(problem for problem in problems if problem.severity == "error")
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    return RulesFault(since_at_ms, f"the rule files have {count}", errors, files_hash)


def of_tests(since_at_ms: int, problems: tuple[Problem, ...]) -> RulesFault:
    """Return the fault of rule files that lack what the tests beside them name."""
    places = "1 place" if len(problems) == 1 else f"{len(problems)} places"
    return RulesFault(
        since_at_ms, f"something is gone that the tests beside the rule files name, in {places}", problems
    )
