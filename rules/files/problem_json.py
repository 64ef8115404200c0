"""A problem of a rule file as programs read it: one shape for the command, the service and whoever shows it."""

from __future__ import annotations

from rules.files.errors import Problem

# Enough to show the place. A file may be one line of a megabyte, and has as many problems as it likes.
SOURCE_LINE_CHARS_MAX = 400
# Bytes that are no text stand in a source line as halves of characters, which no JSON can carry.
_HALVES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def problem_json(problem: Problem) -> dict[str, object]:
    """Return place, code, fact and next step as a JSON object. Lines and columns count from 1."""
    span = problem.span
    return {
        "code": problem.code,
        "severity": problem.severity,
        "file": span.file.translate(_HALVES),
        "line": span.line,
        "column": span.column,
        "end_column": span.end_column,
        "message": problem.message.translate(_HALVES),
        "hint": problem.next_step.translate(_HALVES),
        "source_line": problem.source_line[:SOURCE_LINE_CHARS_MAX].translate(_HALVES),
    }
