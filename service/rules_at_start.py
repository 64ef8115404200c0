"""The rules that a service starts with: its directory's, those that were good last when these broke, or the library."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rules.evaluation.evaluate import Ruleset, build
from rules.files.errors import Problem, RuleFileInvalid
from rules.files.files_hash import files_hash
from rules.model import RuleFiles
from service import last_good, rule_files
from service.clock import now_ms
from service.last_good import Kept
from service.rule_files import RulesUnreadable
from service.rules_loss import RulesLoss
from service.rules_taken import apart, taken
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class AtStart:
    """Rules to decide with, and the texts they are of.

    `refused` is what is wrong with the directory when they are not its own, but those that were good at `good_at_ms`.
    `loss` is what they no longer ask for of those; `unmet` is what tests name and no rule file has, where it is not
    known what there was before.
    """

    ruleset: Ruleset
    texts: Mapping[str, str]
    warnings: tuple[Problem, ...] = ()
    refused: RuleFileInvalid | RulesUnreadable | None = None
    good_at_ms: int | None = None
    loss: RulesLoss | None = None
    unmet: tuple[Problem, ...] = ()


def rules_at_start(given: Settings) -> AtStart:
    """Return the rules to start with, and keep those of a directory when they are good.

    What an edit would be refused for keeps a directory from being started with, too. Raises RuleFileInvalid or
    RulesUnreadable where it cannot be used and nothing of it was kept.
    """
    if given.rules is None:
        texts = rule_files.read_directory(rule_files.LIBRARY)
        result = taken(texts, rule_files.LIBRARY, None)
        return AtStart(build(result.files), texts, result.warnings)
    kept = last_good.find(given.data_dir, given.rules)
    before: RuleFiles | None = None
    try:
        found = rule_files.read_with_tests(given.rules)
        texts, _ = apart(found)
        # What is as it was when the service ran last needs no second look.
        same = kept is not None and files_hash(kept.texts) == files_hash(texts)
        before = None if kept is None or same else _usable(kept, given.rules)
        result = taken(texts if same else found, given.rules, before)
    except (RuleFileInvalid, RulesUnreadable) as refused:
        files = before if before is not None or kept is None else _usable(kept, given.rules)
        if kept is None or files is None:
            raise
        return AtStart(build(files), kept.texts, refused=refused, good_at_ms=kept.good_at_ms)
    at_ms = now_ms()
    # A disk that is full must not keep the service from starting with rules that are good.
    with contextlib.suppress(OSError):
        last_good.keep(given.data_dir, given.rules, texts, at_ms)
    loss = None if before is None or not result.lost.count else RulesLoss(at_ms, before, result.lost)
    return AtStart(
        build(result.files),
        texts,
        result.warnings,
        good_at_ms=None if kept is None else kept.good_at_ms,
        loss=loss,
        unmet=result.unmet,
    )


def _usable(kept: Kept, directory: Path) -> RuleFiles | None:
    """Return what was kept, None where this version of Handrail cannot decide with it."""
    try:
        return taken(kept.texts, directory, None).files
    except (RuleFileInvalid, RulesUnreadable):
        return None
