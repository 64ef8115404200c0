"""Rule files from a directory: reading and bounding them; what they mean is found out in `rules`."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rules.compile.names import UNKNOWN_CODES, UNUSED_CODES, Declared
from rules.compile.rule_files import Compiled, compile_files, compiled
from rules.files.errors import Problem, RuleFileInvalid
from rules.model import RuleFiles, Span

if TYPE_CHECKING:
    from rules.evaluation.evaluate import Ruleset

# The rule files that ship with Handrail, in the installed package as in the checkout.
LIBRARY = Path(__file__).resolve().parent.parent / "rules" / "library"
ENDINGS = (".yaml", ".yml")
TESTS_ENDINGS = (".tests.yaml", ".tests.yml")
# Who works, beside the rule files: read to find queues that nobody can serve, and no rule file itself.
OPERATORS_NAMES = ("operators.yaml", "operators.yml")
# 10,000 rules of 400 bytes in one file are 4 MB; anything larger is not a rule file someone wrote.
FILE_BYTES_MAX = 8_388_608
# What an editor completes and checks by lies beside the files that name it.
SCHEMAS_ENDING = ".schema.json"
# A directory of rules is read by people; past this count the wrong directory was named.
FILES_MAX = 1_000
# Of all files together: 40,000 rules, which take ten seconds to compile. More is data, not rules.
DIRECTORY_BYTES_MAX = 16_777_216
# What is told of something missing that a file which could not be read may hold.
_ABSENCE_CODES = frozenset({*UNKNOWN_CODES.values(), *UNUSED_CODES.values(), "W209", "W225"})


class RulesUnreadable(Exception):
    """Rule files that cannot be read at all, or hold no rule: `path` says which, `fact` why, `hint` what to do."""

    def __init__(self, path: Path, fact: str, hint: str) -> None:
        super().__init__(f"{path}: {fact}; {hint}")
        self.path = path
        self.fact = fact
        self.hint = hint


def read_directory(path: Path) -> dict[str, str]:
    """Return the text of every rule file below `path` by its name, `/` between folders, in the order of the names.

    `path` may also be one rule file. Test files, other endings and everything whose name starts with a dot are left
    out: a mounted ConfigMap keeps its older copies in such folders. Raises RulesUnreadable, also when there is none.
    """
    texts = _read(path, _rule_files(path))
    if not texts:
        raise RulesUnreadable(
            path, "no rule files here", "a rule file ends in `.yaml`; name the directory that has them"
        )
    return texts


def read_tests(path: Path) -> dict[str, str]:
    """Return the text of every `*.tests.yaml` below `path` by its name; empty when there are none."""
    return _read(path, _test_files(path))


def read_with_tests(path: Path) -> dict[str, str]:
    """Return what `read_directory` does, and the tests beside them; tests that cannot be read are left out."""
    texts = read_directory(path)
    if not path.is_file():
        with contextlib.suppress(RulesUnreadable):
            texts |= _read(path, _test_files(path), lambda _: None)
    return texts


def read_text(path: Path) -> str:
    """Return the text of one file, bounded as all of them are; raises RulesUnreadable."""
    return _bytes(path).decode("utf-8-sig", errors="surrogateescape")


def read_operators(path: Path) -> dict[str, str]:
    """Return the text of each file below `path` that says who works, by its name; mostly there is none.

    A rule file that is read alone lacks the queues of its neighbours, so nobody is held against it.
    """
    return {} if path.is_file() else _read(path, [file for file in _files(path) if file.name in OPERATORS_NAMES])


def examine(path: Path) -> tuple[RuleFiles | None, tuple[Problem, ...]]:
    """Return the rule files of a directory, None when they have errors, and every problem with its path from here.

    What can be told of them by the operators file beside them is told too, and nothing is made ready to judge turns.
    A file among others that cannot be read is one problem more; names that it may hold are not told as missing.
    """
    found = _compiled(path)
    return found.files, found.problems


@dataclass(frozen=True, slots=True)
class Examined:
    """Rule files, None where they have errors, everything found in them and in the tests beside them, and how many
    `cases` of those could be read; None where there is no file of tests."""

    files: RuleFiles | None
    problems: tuple[Problem, ...]
    cases: int | None


def examine_with_tests(path: Path) -> Examined:
    """Return what `examine` does, and what is wrong with the tests beside the rule files; none of them is run.

    `path` may also be one file of tests: then the rule files of its directory say what there is, and of them only
    errors are told.
    """
    alone = path.is_file() and path.name.endswith(TESTS_ENDINGS)
    found = _compiled(path.parent if alone else path)
    problems = tuple(each for each in found.problems if not alone or each.severity == "error")
    listed = [file for file in _files(path, lambda _: None) if file.name.endswith(TESTS_ENDINGS)]
    if not listed:
        return Examined(found.files, problems, None)
    away: list[RulesUnreadable] = []
    texts = _read(path, listed, away.append)
    # Only who has tests waits for their language to be loaded.
    cases, told = import_module("rules.cases.case_files").read_beside(texts, found.declared)
    listed_problems = sorted([*problems, *located(told, path), *map(_unread, away)], key=_place)
    return Examined(found.files, tuple(listed_problems), len(cases))


def _compiled(path: Path) -> Compiled:
    if not path.is_dir():
        found = compiled(read_directory(path), read_operators(path))
        return replace(found, problems=located(found.problems, path))
    away: list[RulesUnreadable] = []
    listed = _files(path, away.append)
    texts = _read(path, [file for file in listed if _is_rule_file(file.name)], away.append)
    operators = _read(path, [file for file in listed if file.name in OPERATORS_NAMES], away.append)
    if not away:
        found = compiled(texts or read_directory(path), operators)
        return replace(found, problems=located(found.problems, path))
    problems = compiled(texts, operators).problems if texts else ()
    told = [
        each for each in problems if each.code not in _ABSENCE_CODES or (each.hint or "").startswith("did you mean")
    ]
    listed_problems = sorted([*located(told, path), *map(_unread, away)], key=_place)
    return Compiled(None, tuple(listed_problems), Declared(mistakes=True, torn=True))


def _unread(unreadable: RulesUnreadable) -> Problem:
    return Problem("R117", Span(unreadable.path.as_posix(), 1, 1, 2), unreadable.fact, "", unreadable.hint)


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.span.file, problem.span.line, problem.span.column


def check(path: Path) -> tuple[Ruleset | None, tuple[Problem, ...]]:
    """Return the ruleset of a directory, None when it has errors, and every problem with its path from here."""
    files, problems = compile_files(read_directory(path))
    # What judges turns is loaded for those who judge some.
    ruleset = None if files is None else import_module("rules.evaluation.evaluate").build(files)
    return ruleset, located(problems, path)


def load(path: Path) -> Ruleset:
    """Return the ruleset of a directory. Raises RuleFileInvalid with all problems, or RulesUnreadable."""
    ruleset, problems = check(path)
    if ruleset is None:
        raise RuleFileInvalid(problems)
    return ruleset


def located(problems: Iterable[Problem], path: Path) -> tuple[Problem, ...]:
    """Return the problems with the directory before each file's name, so that an editor can open the place."""
    root = path.parent if path.is_file() else path
    return tuple(each.renamed(lambda file: (root / file).as_posix()) for each in problems)


@dataclass(frozen=True, slots=True)
class Stamp:
    """How the rule files of a directory look from outside; another one when a file came, went or was written to.

    `files` holds name, inode, size, time of writing and time of change (ns) of each. `changed_at_ms` is the latest
    change of all, as the file system's clock has it.
    """

    files: tuple[tuple[str, int, int, int, int], ...]
    changed_at_ms: int

    def shrank_from(self, before: Stamp) -> bool:
        """Return whether a file of that time is smaller now, or gone."""
        sizes = {name: size for name, _, size, *_ in self.files}
        return any(sizes.get(name, -1) < size for name, _, size, *_ in before.files)


def stamp(path: Path, *, with_tests: bool = False) -> Stamp:
    """Return how the rule files look now, and the tests beside them. Raises RulesUnreadable where there are none."""
    found = []
    for file in _files(path):
        if not (_is_rule_file(file.name) or (with_tests and file.name.endswith(TESTS_ENDINGS))):
            continue
        try:
            state = file.stat()
        except OSError as away:
            # Gone since the directory was listed, or a link to nowhere.
            found.append((file.as_posix(), 0, -(away.errno or 1), 0, 0))
            continue
        # A file that a rename puts in the place of another may have its size and its time of writing; the time of
        # change tells also of a file that was made readable.
        found.append((file.as_posix(), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
    return Stamp(tuple(found), max((changed_ns for *_, changed_ns in found), default=0) // 1_000_000)


def _raise(unreadable: RulesUnreadable) -> None:
    raise unreadable


def _read(path: Path, files: list[Path], note: Callable[[RulesUnreadable], None] = _raise) -> dict[str, str]:
    root = path.parent if path.is_file() else path
    texts: dict[str, str] = {}
    bytes_left = DIRECTORY_BYTES_MAX
    for file in files:
        try:
            data = _bytes(file)
        except RulesUnreadable as unreadable:
            note(unreadable)
            continue
        bytes_left -= len(data)
        if bytes_left < 0:
            raise RulesUnreadable(path, f"more than {DIRECTORY_BYTES_MAX} bytes", "name the directory of the rules")
        # A byte that is no text is a problem at its place, so that it does not hide what is wrong elsewhere.
        texts[file.relative_to(root).as_posix()] = data.decode("utf-8-sig", errors="surrogateescape")
    return texts


def _bytes(file: Path) -> bytes:
    try:
        state = file.stat()
        if not stat.S_ISREG(state.st_mode):
            # To read from a pipe would wait for somebody who writes to it.
            raise RulesUnreadable(file, "not a regular file", "remove it, or give it another ending")
        if state.st_size > FILE_BYTES_MAX:
            raise RulesUnreadable(file, f"{state.st_size} bytes, more than {FILE_BYTES_MAX}", "split the file")
        return file.read_bytes()
    except OSError as away:
        raise RulesUnreadable(file, _reason(away), _remedy(file, away)) from None


def _remedy(path: Path, away: OSError) -> str:
    """Return what to do about a file or directory that the system does not give."""
    if path.is_symlink() and away.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return "the link leads to nothing: correct it, or remove it"
    if away.errno == errno.ENOENT:
        return "check the path; where it is right, the file went away while it was read: try again"
    kind = "directory" if path.is_dir() else "file"
    return f"make the {kind} readable for this user, or remove it"


def _rule_files(path: Path) -> list[Path]:
    return [file for file in _files(path) if _is_rule_file(file.name)]


def _is_rule_file(name: str) -> bool:
    return name.endswith(ENDINGS) and not name.endswith(TESTS_ENDINGS) and name not in OPERATORS_NAMES


def _test_files(path: Path) -> list[Path]:
    return [file for file in _files(path) if file.name.endswith(TESTS_ENDINGS)]


def _files(path: Path, note: Callable[[RulesUnreadable], None] = _raise) -> list[Path]:
    """Return every YAML file below `path` in the order of the names, or `path` itself when it is a file."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        missing = "file" if path.suffix in ENDINGS else "directory"
        raise RulesUnreadable(path, f"no such {missing}", "name a directory of rule files")
    found: list[Path] = []
    for folder, folders, names in os.walk(path, onerror=lambda away: note(_unreadable(away))):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if name.endswith(ENDINGS) and not name.startswith(".")]
        if len(found) > FILES_MAX:
            raise RulesUnreadable(path, f"more than {FILES_MAX} files", "name the directory that has only the rules")
    return sorted(found, key=lambda file: file.relative_to(path).as_posix())


def _unreadable(away: OSError) -> RulesUnreadable:
    path = Path(away.filename)
    return RulesUnreadable(path, _reason(away), _remedy(path, away))


def _reason(away: OSError) -> str:
    return (away.strerror or "cannot be read").lower()
