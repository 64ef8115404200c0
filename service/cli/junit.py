"""Results of tests as JUnit XML, which GitHub, GitLab and Jenkins show. Values in, a file's bytes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from rules.cases.runner import CaseResult, render_case
from rules.files.errors import Problem, render

SUITES = "handrail"
# A test file is a suite, and a reader of reports groups by the class: the file without its ending.
TESTS_SUFFIXES = (".tests.yaml", ".tests.yml")


@dataclass(frozen=True, slots=True)
class TimedResult:
    """One case with how long it took."""

    result: CaseResult
    elapsed_s: float


def junit_xml(timed: Sequence[TimedResult]) -> bytes:
    """Return the report of cases that were run, one suite a file."""
    by_file: dict[str, list[TimedResult]] = {}
    for each in timed:
        by_file.setdefault(each.result.file, []).append(each)
    root = Element("testsuites", _counted(timed, SUITES))
    for file, cases in by_file.items():
        suite = SubElement(root, "testsuite", {**_counted(cases, file), "file": clean(file)})
        for each in cases:
            _add_case(suite, each)
    return _written(root)


def junit_of_problems(problems: Iterable[Problem]) -> bytes:
    """Return the report of files that could not be used: nothing was run, and each problem is an error."""
    found = [problem for problem in problems if problem.severity == "error"]
    counts = {"tests": str(len(found)), "failures": "0", "errors": str(len(found)), "skipped": "0", "time": "0.000"}
    root = Element("testsuites", {"name": SUITES, **counts})
    suite = SubElement(root, "testsuite", {"name": "files that cannot be used", **counts})
    for problem in found:
        span = problem.span
        names = {"classname": class_of(span.file), "name": f"{problem.code} at {span.line}:{span.column}"}
        case = SubElement(suite, "testcase", _clean({**names, "file": span.file, "line": str(span.line), "time": "0"}))
        error = SubElement(case, "error", _clean({"message": problem.message, "type": problem.code}))
        error.text = clean(render(problem))
    return _written(root)


def junit_of_nothing(fact: str) -> bytes:
    """Return the report of a run in which there was nothing to run: one error that says why."""
    counts = {"tests": "1", "failures": "0", "errors": "1", "skipped": "0", "time": "0.000"}
    root = Element("testsuites", {"name": SUITES, **counts})
    suite = SubElement(root, "testsuite", {"name": "nothing was run", **counts})
    case = SubElement(suite, "testcase", {"classname": SUITES, "name": "nothing was run", "time": "0"})
    SubElement(case, "error", _clean({"message": fact, "type": "nothing_run"})).text = clean(fact)
    return _written(root)


def _add_case(suite: Element, timed: TimedResult) -> None:
    result = timed.result
    attributes = {
        "classname": class_of(result.file),
        "name": result.name,
        "file": result.file,
        "line": str(result.span.line),
        "time": f"{timed.elapsed_s:.3f}",
    }
    case = SubElement(suite, "testcase", _clean(attributes))
    if result.failures:
        first = result.failures[0]
        message = f"turn {first.turn}: expected {first.what} {first.expected}, got {first.got}"
        failure = SubElement(case, "failure", _clean({"message": message, "type": "expectation"}))
        failure.text = clean(render_case(result))


def _counted(timed: Sequence[TimedResult], name: str) -> dict[str, str]:
    return {
        "name": clean(name),
        "tests": str(len(timed)),
        "failures": str(sum(not each.result.passed for each in timed)),
        "errors": "0",
        "skipped": "0",
        "time": f"{sum(each.elapsed_s for each in timed):.3f}",
    }


def class_of(file: str) -> str:
    """Return the class that a test file is to a reader of reports: its path with dots, without its ending."""
    path = PurePosixPath(file)
    name = path.name
    for suffix in TESTS_SUFFIXES:
        name = name.removesuffix(suffix)
    parts = [part for part in path.parent.parts if part not in ("/", ".", "..")]
    return ".".join([*parts, name])


def clean(text: str) -> str:
    """Return the text without characters that XML 1.0 cannot carry, not even escaped."""
    return "".join(letter if _is_xml(ord(letter)) else "\ufffd" for letter in text)


def _clean(attributes: dict[str, str]) -> dict[str, str]:
    return {name: clean(value) for name, value in attributes.items()}


def _is_xml(code: int) -> bool:
    return code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


def _written(root: Element) -> bytes:
    indent(root)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"
