"""What is told of queues by those who work: that nobody can take what waits there, or that a name is no queue's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rules.compile.names import Names
from rules.compile.operators import compile_operators
from rules.files.errors import Problem
from rules.files.nodes import ListNode, MapNode, TextNode
from rules.files.source import Source, read_source
from rules.model import Need, Queue
from rules.routing.operators import Operator, can_ever_take, may_take
from rules.routing.route import Wanted

_NOBODY = ": nobody serves it"
_NO_ROOM = ": whoever may take it has less `capacity` than any of it weighs"
# What is missing, where it is no skill -> the next step.
_NEXT_STEPS = {
    _NOBODY: "add `{queue}` to the `queues` of an operator",
    _NO_ROOM: "give one of them more `capacity`, or smaller `weights`",
}


def tell_of_operators(texts: Mapping[str, str], names: Names) -> list[Problem]:
    """Note each queue that nobody can serve; return what is wrong with the operators files themselves.

    Where these or the rule files have mistakes, somebody may be missing, so no queue is called unserved.
    """
    if not texts:
        return []
    operators, problems = compile_operators(texts)
    sources = [read_source(name, texts[name]) for name in sorted(texts)]
    torn = bool(names.torn) or any(source.torn for source in sources)
    for source in sources:
        # What the compiler of operators says of the YAML is said already.
        source.problems.clear()
        _tell_of_unknown_queues(source, names)
    if not torn and not any(problem.severity == "error" for problem in problems):
        _tell_of_unserved(operators, names)
    return [*problems, *(problem for source in sources for problem in source.problems)]


def _tell_of_unserved(operators: Sequence[Operator], names: Names) -> None:
    for name, queue in names.queues.items():
        if is_served(queue, operators):
            continue
        source, at = names.places["queue", name]
        why = lacking(operators, queue)
        hint = next((hint for fact, hint in _NEXT_STEPS.items() if why.startswith(fact)), None)
        message = f"no operator can take what waits in the queue `{name}`{why}"
        source.refuse("W226", at, message, hint and hint.format(queue=name))


def is_served(queue: Queue, operators: Sequence[Operator]) -> bool:
    """Return whether somebody can ever take what waits there, at first or after some step of its ladder."""
    return any(can_ever_take(operator, wanted) for operator in operators for wanted in _ways(queue))


def _ways(queue: Queue) -> Iterable[Wanted]:
    """Yield whom a handoff wants at first, and after each step of the ladder; its language is the customer's."""
    queues: tuple[str, ...] = (queue.name,)
    needs: tuple[Need, ...] = queue.needs
    yield Wanted(queues, needs)
    for step in queue.ladder:
        queues, needs = (*queues, *step.queues), needs if step.needs is None else step.needs
        yield Wanted(queues, needs)


def lacking(operators: Sequence[Operator], queue: Queue) -> str:
    """Return what is missing, where it is one thing, to follow `no operator can take what waits there`."""
    if not any(not operator.queues or queue.name in operator.queues for operator in operators):
        return _NOBODY
    for need in queue.needs:
        best = max((operator.skills.get(need.skill, 0) for operator in operators), default=0)
        if best < need.level:
            level = f" at level {need.level}" if best else ""
            return f": nobody has the skill `{need.skill}`{level}"
    if any(may_take(operator, operator.name, wanted) for operator in operators for wanted in _ways(queue)):
        return _NO_ROOM
    return ": nobody has all that it needs" if queue.needs else ""


def _tell_of_unknown_queues(source: Source, names: Names) -> None:
    for node in _queues_named(source):
        if not names.is_declared("queue", node.value.strip()):
            names.refuse_unknown("queue", node.value.strip(), names.declared.get("queue", ()), source, node)


def _queues_named(source: Source) -> Iterator[TextNode]:
    operators = source.root.get("operators") if isinstance(source.root, MapNode) else None
    for operator in operators.items if isinstance(operators, ListNode) else ():
        queues = operator.get("queues") if isinstance(operator, MapNode) else None
        for item in queues.items if isinstance(queues, ListNode) else ():
            if isinstance(item, TextNode) and item.value.strip():
                yield item
