"""The arrows of the design hold, and the tool that holds them does see a wrong import."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# file, the import planted there
WRONG_IMPORTS = {
    "the rules know nothing of the service": ("rules/say.py", "import service.clock"),
    "the rules know no framework": ("rules/say.py", "import pydantic"),
    "the store does not know the flows": ("service/store/keys.py", "import service.flows.decide"),
    "the edge reaches the store only through flows": ("service/api/problems.py", "import service.store.keys"),
    "the console reaches the store only through flows": ("service/console/pages.py", "import service.store.keys"),
    "the console does not know the API": ("service/console/pages.py", "import service.api.problems"),
    "the API does not know the console": ("service/api/opening.py", "import service.console.pages"),
    "the workers reach the store only through flows": ("workers/expire.py", "import service.store.keys"),
    "only the store speaks Redis": ("service/flows/decide.py", "import redis"),
    "the SDK imports nothing of the service": ("client/handrail_client/__init__.py", "import rules.turn"),
}


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": f"{tree}:{tree / 'client'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("tree")
    for folder in ("rules", "service", "workers", "client"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def test_the_tree_as_it_stands_keeps_the_arrows(tree: Path) -> None:
    result = lint_imports(tree)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", WRONG_IMPORTS)
def test_a_planted_wrong_import_is_caught(tree: Path, name: str) -> None:
    file, statement = WRONG_IMPORTS[name]
    module = tree / file
    original = module.read_text()
    module.write_text(f"{original}\n{statement}\n")
    try:
        result = lint_imports(tree)
    finally:
        module.write_text(original)
    assert result.returncode == 1, result.stdout
    assert "BROKEN" in result.stdout
