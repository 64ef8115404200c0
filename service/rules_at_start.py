"""The rules that a service starts with: its directory's, those that were good last when these broke, or the library."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from rules.compile.rule_files import compile_files
from rules.evaluation.evaluate import Ruleset, build
from rules.files.errors import Problem, RuleFileInvalid
from service import last_good, rule_files
from service.clock import now_ms
from service.last_good import Kept
from service.rule_files import RulesUnreadable
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class AtStart:
    """Rules to decide with, and the texts they are of. `refused` is what is wrong with the directory when they are not
    its own, but those that were good at `good_at_ms`."""

    ruleset: Ruleset
    texts: Mapping[str, str]
    warnings: tuple[Problem, ...] = ()
    refused: RuleFileInvalid | RulesUnreadable | None = None
    good_at_ms: int | None = None


def rules_at_start(given: Settings) -> AtStart:
    """Return the rules to start with, and keep those of a directory when they are good.

    Raises RuleFileInvalid or RulesUnreadable where the directory cannot be used and nothing of it was kept.
    """
    directory = given.rules or rule_files.LIBRARY
    try:
        texts = rule_files.read_directory(directory)
        files, problems = compile_files(texts)
        problems = rule_files.located(problems, directory)
        if files is None:
            raise RuleFileInvalid(problems)
    except (RuleFileInvalid, RulesUnreadable) as refused:
        kept = None if given.rules is None else last_good.find(given.data_dir, directory)
        return _from_kept(kept, refused)
    if given.rules is not None:
        # A disk that is full must not keep the service from starting with rules that are good.
        with contextlib.suppress(OSError):
            last_good.keep(given.data_dir, directory, texts, now_ms())
    return AtStart(build(files), texts, problems)


def _from_kept(kept: Kept | None, refused: RuleFileInvalid | RulesUnreadable) -> AtStart:
    files = None if kept is None else compile_files(kept.texts)[0]
    if kept is None or files is None:
        raise refused
    return AtStart(build(files), kept.texts, refused=refused, good_at_ms=kept.good_at_ms)
