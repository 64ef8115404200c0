"""No machine changes a rule: what pushes, stages or activates a version is called where a person asks for it alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from service.api.identity import ACTIONS
from tests.style.test_source import ROOT, modules, name

# What changes the rules in force, in `service.flows.rulesets` and in `service.store.rulesets`.
CHANGES = frozenset({"push", "stage", "approve", "activate", "rollback"})
HOLDERS = ("service.flows.rulesets", "service.store.rulesets")
SCRIPTS = frozenset({f"{verb}_ruleset" for verb in CHANGES})
# The one route that a person with a key of the right role comes through, and the way down from it.
MAY_CHANGE = frozenset({"service/api/versions.py", "service/flows/rulesets.py", "service/store/rulesets.py"})
# Roles that software has: an agent asks, and is asked nothing.
MACHINES = frozenset({"agent"})


def changes_in(tree: ast.Module) -> set[str]:
    """Return the changes of rules that a module could make, by whatever name it imports them."""
    holders: set[str] = set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if f"{node.module}.{alias.name}" in HOLDERS:
                    holders.add(alias.asname or alias.name)
                if node.module in HOLDERS and alias.name in CHANGES | {"*"}:
                    found.add(alias.name)
        elif isinstance(node, ast.Import):
            holders |= {alias.asname or alias.name for alias in node.names if alias.name in HOLDERS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in CHANGES and ast.unparse(node.value) in holders:
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and node.value in SCRIPTS:
            found.add(str(node.value))
    return found


@pytest.mark.parametrize("path", [path for path in modules() if name(path) not in MAY_CHANGE], ids=name)
def test_no_machine_changes_a_rule(path: Path) -> None:
    assert not changes_in(ast.parse(path.read_text()))


@pytest.mark.parametrize(
    "planted",
    [
        "from service.flows import rulesets\nawait_it = rulesets.activate",
        "from service.store import rulesets as kept\nkept.push(store)",
        "from service.flows.rulesets import rollback as back",
        "from service.flows.rulesets import *",
        "import service.flows.rulesets\nservice.flows.rulesets.stage(desk)",
        "store.scripts.run('activate_ruleset')",
    ],
)
def test_a_planted_change_is_seen(planted: str) -> None:
    assert changes_in(ast.parse(planted))


def test_the_way_down_is_still_where_it_is_watched() -> None:
    for path in sorted(MAY_CHANGE):
        tree = ast.parse((ROOT / path).read_text())
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
        assert defined >= CHANGES


def test_no_key_of_a_machine_may_change_them() -> None:
    assert not ACTIONS["govern"] & MACHINES
