"""The rules that `handrail try` asks: a directory that may be edited meanwhile, or those of a running service."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rules.cases.case_files import read_case_files
from rules.cases.runner import run_cases
from rules.cases.values import Case
from rules.compile.rule_files import compile_files
from rules.evaluation.evaluate import build
from rules.files.errors import RuleFileInvalid, render
from rules.trial import Wanted, trial_json
from service import rule_files
from service.cli.service_client import Service, ServiceRefused, ServiceSilent
from service.cli.try_bodies import step_body
from service.rule_edits import LOOK_EVERY_MS, Edits
from service.rule_files import RulesUnreadable

# POST /rulesets/test reads files by their names, and takes no path of this machine for one.
_NAME_CHARS = re.compile(r"[^A-Za-z0-9._-]")


class Mistake(Exception):
    """What was typed cannot be done: a fact, and what to type instead."""

    def __init__(self, fact: str, hint: str = "") -> None:
        super().__init__(fact)
        self.fact = fact
        self.hint = hint


@dataclass(frozen=True, slots=True)
class News:
    """Other rules than before: `fault` says why they cannot be used, else `what` has come."""

    what: str = ""
    fault: str | None = None


class TriedRules(Protocol):
    """Rules that conversations are tried with."""

    @property
    def title(self) -> str:
        """Return how they are called."""

    @property
    def root(self) -> Path:
        """Return where a file of tests is written that is named without a folder."""

    def play(self, case: Case, wanted: Wanted) -> Mapping[str, Any]:
        """Return what comes of a conversation, as `rules.trial.trial_json` has it; raises Mistake."""

    def news(self) -> News | None:
        """Return whether there are other rules since the last look, and take them over where they can be used."""

    def case_names(self, text: str) -> frozenset[str]:
        """Return the names of the cases that a file of tests has, as far as they can be read."""

    def passes(self, file: str, text: str, case_name: str) -> bool:
        """Return whether a case of a file of tests passes; raises Mistake with what is wrong with the file."""


class DirectoryRules:
    """The rule files of a directory, which may be edited meanwhile. Raises as `rule_files.load` does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ruleset = rule_files.load(directory)
        self._edits = Edits(directory, self._ruleset.hash)

    @property
    def title(self) -> str:
        """Return the directory as it was named."""
        return str(self.directory)

    @property
    def root(self) -> Path:
        """Return the directory, or the one that a single file lies in."""
        return self.directory if self.directory.is_dir() else self.directory.parent

    def play(self, case: Case, wanted: Wanted) -> Mapping[str, Any]:
        """Return what comes of a conversation."""
        return trial_json(self._ruleset, case, wanted)

    def news(self) -> News | None:
        """Return whether the files were edited, once they hold still."""
        found = self._edits.look()
        while found is None and self._edits.moving:
            time.sleep(LOOK_EVERY_MS / 1000)
            found = self._edits.look()
        if found is None:
            return None
        if isinstance(found, RulesUnreadable):
            return News(fault=str(found))
        files, problems = compile_files(found)
        if files is None:
            errors = (problem for problem in problems if problem.severity == "error")
            return News(fault="\n".join(map(render, rule_files.located(errors, self.directory))))
        self._ruleset = build(files)
        return News("the rule files were edited")

    def case_names(self, text: str) -> frozenset[str]:
        """Return the names of the cases that are without a mistake."""
        cases, _ = read_case_files({"tests": text}, self._ruleset.files)
        return frozenset(case.name for case in cases)

    def passes(self, file: str, text: str, case_name: str) -> bool:
        """Return whether the case passes."""
        try:
            results = run_cases(self._ruleset, {file: text})
        except RuleFileInvalid as invalid:
            raise Mistake(render(invalid.problems[0])) from None
        return any(result.name == case_name and result.passed for result in results)


class ServiceRules:
    """The rules of a running service: those that decide there now, or a version. Nothing is decided or stored there."""

    def __init__(self, service: Service, version: int | None = None) -> None:
        self._service = service
        self._rules: dict[str, Any] = {} if version is None else {"version": version}
        told = self._post("try", {"steps": [], **self._rules})
        self._decides: tuple[int, str] = told["version"], told["hash"]

    @property
    def title(self) -> str:
        """Return the service's address and its version."""
        return f"{self._service.url}, {self._version}"

    @property
    def root(self) -> Path:
        """Return this directory: the service's own is on another machine."""
        return Path()

    @property
    def _version(self) -> str:
        return f"version {self._decides[0]}" if self._decides[0] else "the service's own rules"

    def play(self, case: Case, wanted: Wanted) -> Mapping[str, Any]:
        """Return what comes of a conversation as the service answers it."""
        asked = {"names": wanted.names, "signals": wanted.signals, "packet": wanted.packet}
        body = {
            "at_ms": case.at_ms,
            "conversation_id": case.conversation_id,
            "steps": [step_body(step) for step in case.steps],
            "case_name": wanted.case_name,
            **asked,
            **self._rules,
        }
        told: Mapping[str, Any] = self._asked("try", body)
        return told

    def news(self) -> News | None:
        """Return whether other rules decide there since the last look; a version stays as it is."""
        if self._rules:
            return None
        try:
            told = self._asked("try", {"steps": []})
        except Mistake:
            # A line that needs the service says so itself.
            return None
        decides = told["version"], told["hash"]
        if decides == self._decides:
            return None
        self._decides = decides
        return News(f"other rules decide there now, {self._version}")

    def case_names(self, text: str) -> frozenset[str]:
        """Return the names of the cases, none where a case has a mistake."""
        try:
            told = self._post("test", {"tests": {"mine.tests.yaml": text}, **self._rules})
        except ServiceRefused as refused:
            if refused.problem_code == "rules_invalid":
                return frozenset()
            raise _mistake(refused) from None
        return frozenset(case["name"] for case in told["cases"])

    def passes(self, file: str, text: str, case_name: str) -> bool:
        """Return whether the case passes on the service."""
        name = _NAME_CHARS.sub("-", file)
        try:
            told = self._post("test", {"tests": {name: text}, **self._rules})
        except ServiceRefused as refused:
            if refused.problem_code != "rules_invalid":
                raise _mistake(refused) from None
            raise Mistake(str(refused.body.get("rendered", refused.detail))) from None
        return any(case["name"] == case_name and case["passed"] for case in told["cases"])

    def _asked(self, what: str, body: object) -> Any:
        """Return what is answered; raises Mistake, as a conversation is somebody's work and outlives a refusal."""
        try:
            return self._post(what, body)
        except (ServiceRefused, ServiceSilent) as refused:
            raise _mistake(refused) from None

    def _post(self, what: str, body: object) -> Any:
        return self._service.post(f"/rulesets/{what}", body)


def _mistake(refused: ServiceRefused | ServiceSilent) -> Mistake:
    return Mistake(refused.detail, refused.hint)
