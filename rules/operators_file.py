"""`operators.yaml` to the people it names, as far as a check of queues needs them. Further keys are left alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rules.compile_names import Names
from rules.compile_values import is_empty, read_list, read_text
from rules.grammar import number_of
from rules.model import Need, Queue
from rules.nodes import MapNode, Node, TextNode
from rules.source import Source, read_source


@dataclass(frozen=True, slots=True)
class Listed:
    """An operator of the file: the level of each skill, and the queues they serve, none for all of them."""

    name: str
    skills: Mapping[str, float]
    queues: frozenset[str]


def read_operators(texts: Mapping[str, str], names: Names) -> tuple[list[Listed], list[Source]]:
    """Return the operators of the files, and the files with every problem found in them."""
    sources = [read_source(name, texts[name]) for name in sorted(texts)]
    listed = [operator for source in sources for operator in _operators(source, names)]
    return listed, sources


def tell_of_queues(operators: Sequence[Listed], names: Names) -> None:
    """Note each queue whose handoffs nobody can take, neither at once nor later on its ladder."""
    for name, queue in names.queues.items():
        if any(_can_take(operator, queues, needs) for operator in operators for queues, needs in _ways(queue)):
            continue
        source, at = names.places["queue", name]
        source.refuse("W226", at, f"no operator can take what waits in the queue `{name}`{_lacking(operators, queue)}")


def _ways(queue: Queue) -> Iterable[tuple[frozenset[str], tuple[Need, ...]]]:
    """Yield the queues and needs that a handoff has at first, and after each step of the ladder."""
    queues, needs = frozenset({queue.name}), queue.needs
    yield queues, needs
    for step in queue.ladder:
        queues, needs = queues | set(step.queues), needs if step.needs is None else step.needs
        yield queues, needs


def _can_take(operator: Listed, queues: frozenset[str], needs: tuple[Need, ...]) -> bool:
    serves = not operator.queues or not operator.queues.isdisjoint(queues)
    return serves and all(operator.skills.get(need.skill, 0) >= need.level for need in needs)


def _lacking(operators: Sequence[Listed], queue: Queue) -> str:
    """Return what is missing, where it is one thing."""
    if not any(not operator.queues or queue.name in operator.queues for operator in operators):
        return ": nobody serves it"
    for need in queue.needs:
        best = max((operator.skills.get(need.skill, 0) for operator in operators), default=0)
        if best < need.level:
            level = f" at level {need.level}" if best else ""
            return f": nobody has the skill `{need.skill}`{level}"
    return ": nobody has all that it needs" if queue.needs else ""


def _operators(source: Source, names: Names) -> list[Listed]:
    root = source.root
    if root is None or source.torn:
        return []
    node = root.get("operators") if isinstance(root, MapNode) else None
    if node is None:
        source.refuse("R106", root, "the file has no `operators`", "write `operators:` and below it `- name: …`")
        return []
    items = read_list(source, node, "`operators`")
    return [operator for item in items if (operator := _operator(source, item, names)) is not None]


def _operator(source: Source, node: Node, names: Names) -> Listed | None:
    if not isinstance(node, MapNode):
        source.refuse("R116", node, "an operator is not a map of keys", "write `name:`, `skills:` and `queues:`")
        return None
    name = next((value for key in ("id", "name") if (value := node.get(key)) is not None), None)
    if name is None:
        source.refuse("R106", node, "an operator has no `name`", "add `name:`, that of the operator's API key")
        return None
    read = read_text(source, name, "`name`")
    skills, queues = node.get("skills"), node.get("queues")
    return Listed(
        read or "",
        {} if skills is None else _skills(source, skills),
        frozenset() if queues is None else _queues(source, queues, names),
    )


def _skills(source: Source, node: Node) -> dict[str, float]:
    """Return the level of each skill: `{spanish: 3}`, or `[spanish]` for level 1."""
    if not isinstance(node, MapNode):
        words = [read_text(source, item, "a skill") for item in read_list(source, node, "`skills`")]
        return {word: 1 for word in words if word is not None}
    levels: dict[str, float] = {}
    for key, value in node.pairs:
        level = number_of(value.value) if isinstance(value, TextNode) else None
        if level is None and not is_empty(value):
            source.refuse("R116", value, f"the level of `{key.value}` is not a number", f"write `{key.value}: 1`")
        levels[key.value] = 1 if level is None else level
    return levels


def _queues(source: Source, node: Node, names: Names) -> frozenset[str]:
    read = [(item, read_text(source, item, "a queue")) for item in read_list(source, node, "`queues`")]
    for item, name in read:
        if name is not None and not names.is_declared("queue", name):
            names.refuse_unknown("queue", name, names.declared.get("queue", ()), source, item)
    return frozenset(name for _, name in read if name is not None)
