"""What a machine can hold of CONTRIBUTING.md, read from the source as git tracks it."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE_FOLDERS = ("rules", "service", "workers", "client")

# Hard limits; CONTRIBUTING.md asks for 300 and 40, and a table or a parser may need more room than that.
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
NAMES_THAT_SAY_NOTHING = re.compile(r"(^|/)(utils?|helpers?|common|misc|base|manager|service)\.py$")
UNITLESS = re.compile(r"(timeout|ttl|lease|deadline|interval|delay|backoff)$", re.IGNORECASE)


@cache
def tracked() -> tuple[Path, ...]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(ROOT / line for line in listed.splitlines() if (ROOT / line).is_file())


def modules() -> list[Path]:
    return [p for p in tracked() if p.suffix == ".py" and p.relative_to(ROOT).parts[0] in CODE_FOLDERS]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_module_says_what_it_holds_and_stays_one_thing(path: Path) -> None:
    source = path.read_text()
    tree = ast.parse(source)
    docstring = ast.get_docstring(tree)
    assert docstring or not source.strip(), "a module opens with a sentence"
    assert not NAMES_THAT_SAY_NOTHING.search(name(path)), "a module is named after what it holds"
    assert len(source.splitlines()) <= MODULE_LINES_MAX
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", [p for p in modules() if name(p).startswith("rules/")], ids=name)
def test_the_rules_never_look_at_the_clock_at_chance_or_at_files(path: Path) -> None:
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    forbidden = {"time", "random", "secrets", "os", "io", "pathlib", "socket", "asyncio", "logging", "subprocess"}
    assert not {module.split(".")[0] for module in imported} & forbidden


def numbers_named(tree: ast.Module) -> list[str]:
    """Return the names of our own that a number is bound to; keywords of other libraries' calls are theirs to name."""
    names = []
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        value = getattr(node, "value", None)
        if isinstance(value, ast.Constant) and type(value.value) in (int, float):
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_span_of_time_carries_its_unit(path: Path) -> None:
    bare = [bound for bound in numbers_named(ast.parse(path.read_text())) if UNITLESS.search(bound)]
    assert not bare, f"{bare}: end the name in its unit (_ms, _s)"


def test_a_span_without_its_unit_is_seen() -> None:
    assert UNITLESS.search(numbers_named(ast.parse("abort_timeout = 60"))[0])


def test_the_tree_names_no_registry_and_no_path_of_one_machine() -> None:
    address = re.compile(rb"https?://[\w.-]*(pypi|pythonhosted|npmjs|deb\.debian)\.|/(root|home/\w+)/")
    guilty = [name(p) for p in tracked() if p.stat().st_size < 2_000_000 and address.search(p.read_bytes())]
    assert not guilty


def test_every_dependency_has_its_reason() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    block = pyproject[pyproject.index("dependencies = [") : pyproject.index("[project.optional-dependencies]")]
    packages = set(re.findall(r'^\s+"([\w-]+)', block, re.MULTILINE))
    decisions = (ROOT / "DECISIONS.md").read_text()
    assert packages
    assert not {package for package in packages if f"`{package}`" not in decisions}


@pytest.mark.parametrize("path", modules(), ids=name)
def test_no_module_handles_a_group_by_parts(path: Path) -> None:
    # Before Python 3.11.4, which Debian 12 has, what `except*` raises comes out in a group again: a refusal became a
    # traceback there.
    assert not [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.TryStar)]
