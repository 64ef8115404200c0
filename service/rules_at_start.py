"""The rules that a service starts with: its directory's, those that were good last when these broke, or the library."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rules.diff.losses import losses
from rules.evaluation.evaluate import Ruleset, build
from rules.files.errors import Problem, RuleFileInvalid
from rules.files.files_hash import files_hash
from rules.model import RuleFiles
from service import last_good, rule_files, rules_loss
from service.clock import now_ms
from service.last_good import Kept
from service.rule_files import RulesUnreadable
from service.rules_loss import TOLD_MS, RulesLoss
from service.rules_taken import apart, taken
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class AtStart:
    """Rules to decide with, and the texts they are of.

    `refused` is what is wrong with the directory when they are not its own, but those that were good at `good_at_ms`.
    `loss` is what they no longer ask for of those before; `unmet` is what tests name and no rule file has, where it is
    not known what there was before.
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
    at_ms = now_ms()
    try:
        found = rule_files.read_with_tests(given.rules)
        texts, _ = apart(found)
        # What is as it was when the service ran last needs no second look.
        same = kept is not None and files_hash(kept.texts) == files_hash(texts)
        before = None if kept is None or same else _usable(kept.texts, given.rules)
        result = taken(texts if same else found, given.rules, before)
    except (RuleFileInvalid, RulesUnreadable) as refused:
        files = before if before is not None or kept is None else _usable(kept.texts, given.rules)
        if kept is None or files is None:
            raise
        loss = _standing(kept, given.rules, files, at_ms)
        return AtStart(build(files), kept.texts, refused=refused, good_at_ms=kept.good_at_ms, loss=loss)
    loss = None if kept is None else _standing(kept, given.rules, before or result.files, at_ms)
    if kept is not None and before is not None:
        loss = rules_loss.after(loss, before, result.files, at_ms, kept.texts)
    # A disk that is full must not keep the service from starting with rules that are good.
    with contextlib.suppress(OSError):
        to_keep = None if loss is None else loss.to_keep(at_ms)
        last_good.keep(given.data_dir, given.rules, texts, at_ms, to_keep)
    return AtStart(
        build(result.files),
        texts,
        result.warnings,
        good_at_ms=None if kept is None else kept.good_at_ms,
        loss=loss,
        unmet=result.unmet,
    )


def _standing(kept: Kept, directory: Path, files: RuleFiles, at_ms: int) -> RulesLoss | None:
    """Return what was told of the files that decided last; None when it is no news any more, or all is there again."""
    if kept.before is None:
        return None
    # Who has set the clock back is not told for longer than a day.
    since_at_ms = min(kept.before.since_at_ms, at_ms)
    if at_ms - since_at_ms >= TOLD_MS:
        return None
    old = _usable(kept.before.texts, directory)
    lost = None if old is None else losses(old, files)
    return RulesLoss(since_at_ms, old, lost, kept.before.texts) if old is not None and lost and lost.count else None


def _usable(texts: Mapping[str, str], directory: Path) -> RuleFiles | None:
    """Return what was kept, None where this version of Handrail cannot decide with it."""
    try:
        return taken(texts, directory, None).files
    except (RuleFileInvalid, RulesUnreadable):
        return None
