"""`operators.yaml` to the operators it declares, or to every problem in it at once. Text in, values out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import TypeVar

from rules.compile.declarations import read_timezone
from rules.compile.operands import is_language_code, language_hint
from rules.compile.queues import needs_in
from rules.compile.values import read_keys, read_list, read_map, read_text, read_word
from rules.files.errors import Problem
from rules.files.grammar import number_of
from rules.files.keys import ABSENCE_KEYS, DAYS, HOURS_KEYS, OPERATOR_KEYS, OPERATORS_FILE_KEYS
from rules.files.nodes import ListNode, Node, TextNode
from rules.files.source import Source, read_source
from rules.handoff import KINDS, Kind
from rules.model import Span
from rules.routing.operators import Absence, Operator, Shift
from rules.routing.route import language_of

T = TypeVar("T")

# A name is that of an API key, and stands in records, addresses and keys.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
# People of one tenant: a claim reads one of them, an offer all. A house with more has more than one tenant.
OPERATORS_MAX = 2_000
# What one person can have in hand; a larger number is a mistake in the unit.
CAPACITY_MAX = 1_000
# Skills, languages, queues, customers, shifts or absences of one person.
ITEMS_MAX = 1_000

_TIME = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")
_DAY_END_MINUTES = 24 * 60


def compile_operators(texts: Mapping[str, str]) -> tuple[tuple[Operator, ...], tuple[Problem, ...]]:
    """Return the operators of the files, and every problem in them by file, line and column.

    Operators with a mistake are left out; whoever takes the file over refuses it when any problem is an error.
    """
    sources = [read_source(name, texts[name]) for name in sorted(texts)]
    found: dict[str, Operator] = {}
    for source in sources:
        for operator, node in _operators(source):
            if operator.name in found:
                source.refuse("R107", node, f"the operator `{operator.name}` is declared twice")
            found.setdefault(operator.name, operator)
    problems = [problem for source in sources for problem in source.problems]
    return tuple(found.values()), tuple(sorted(problems, key=lambda each: (each.span.file, each.span.line, each.code)))


def _operators(source: Source) -> list[tuple[Operator, Node]]:
    root = source.root
    if root is None and not source.problems:
        source.problems.append(Problem("R106", Span(source.file, 1, 1, 2), "the file has no `operators`", ""))
    if root is None or source.torn:
        return []
    values = read_keys(source, root, OPERATORS_FILE_KEYS, "an operators file")
    if values is None or "operators" not in values:
        return []
    timezone = read_timezone(source, values["timezone"]) if "timezone" in values else None
    items = read_list(source, values["operators"], "`operators`")
    if len(items) > OPERATORS_MAX:
        message = f"{len(items)} operators, the limit is {OPERATORS_MAX}"
        source.refuse("R113", values["operators"], message, "give a part of them a tenant of their own")
    read = ((_operator(source, item, timezone or "UTC"), item) for item in items[:OPERATORS_MAX])
    return [(operator, item) for operator, item in read if operator is not None]


def _operator(source: Source, node: Node, timezone: str) -> Operator | None:
    values = read_keys(source, node, OPERATOR_KEYS, "an operator")
    if values is None or "name" not in values:
        return None
    before = len(source.problems)
    name = read_text(source, values["name"], "`name`")
    if name is not None and NAME.fullmatch(name) is None:
        hint = "write letters, digits, `.`, `_`, `@` and `-`, as `handrail keys create` does"
        source.refuse("R108", values["name"], f"`{name}` cannot be the name of an operator", hint)
    title = read_text(source, values["title"], "`title`") if "title" in values else None
    skills = (
        {need.skill: need.level for need in needs_in(source, values["skills"], "`skills`")}
        if "skills" in values
        else {}
    )
    own_zone = read_timezone(source, values["timezone"]) if "timezone" in values else None
    operator = Operator(
        name=name or "",
        title=title,
        skills=skills,
        languages=_languages(source, values),
        queues=_texts(source, values, "queues"),
        capacity=_whole(source, values["capacity"], "`capacity`", CAPACITY_MAX) if "capacity" in values else None,
        weights=_weights(source, values["weights"]) if "weights" in values else {},
        hours=tuple(_each(source, values.get("hours"), "`hours`", _shift)),
        timezone=own_zone or timezone,
        absences=tuple(_each(source, values.get("absences"), "`absences`", _absence)),
        customers=_texts(source, values, "customers"),
    )
    return operator if len(source.problems) == before and name else None


def _texts(source: Source, values: Mapping[str, Node], key: str) -> tuple[str, ...]:
    if key not in values:
        return ()
    items = _items(source, values[key], f"`{key}`")
    read = (read_text(source, item, f"an item of `{key}`") for item in items)
    return tuple(dict.fromkeys(text for text in read if text is not None))


def _languages(source: Source, values: Mapping[str, Node]) -> tuple[str, ...]:
    """Return the languages that somebody speaks, with or without a region: `es` and `es-MX` are one."""
    spoken = []
    for tag in _texts(source, values, "languages"):
        if is_language_code(language_of(tag)):
            spoken.append(tag)
            continue
        items = values["languages"]
        named = items.items if isinstance(items, ListNode) else [items]
        at = next((item for item in named if isinstance(item, TextNode) and item.value.strip() == tag), items)
        source.refuse("R109", at, f"`{tag}` is no language, so no customer's is ever it", language_hint(tag))
    return tuple(spoken)


def _items(source: Source, node: Node, what: str) -> list[Node]:
    items = read_list(source, node, what)
    if len(items) > ITEMS_MAX:
        source.refuse("R113", node, f"{what} has {len(items)} items, the limit is {ITEMS_MAX}", "take some out")
    return list(items[:ITEMS_MAX])


def _whole(source: Source, node: Node, what: str, most: int) -> int | None:
    number = number_of(node.value) if isinstance(node, TextNode) and node.style is None else None
    if number is None or number != int(number) or not 0 <= number <= most:
        source.refuse("R116", node, f"{what} is no whole number from 0 to {most}", "write a number without quotes")
        return None
    return int(number)


def _weights(source: Source, node: Node) -> dict[Kind, int]:
    weights: dict[Kind, int] = {}
    for key, value in read_map(source, node, "`weights`"):
        if key.value not in KINDS:
            source.refuse("R105", key, f"unknown key `{key.value}` in `weights`", f"known here: {', '.join(KINDS)}")
            continue
        weight = _whole(source, value, f"the weight of a `{key.value}`", CAPACITY_MAX)
        if weight is not None:
            weights[key.value] = weight
    return weights


def _each(source: Source, node: Node | None, what: str, read: Callable[[Source, Node], T | None]) -> list[T]:
    items = [] if node is None else _items(source, node, what)
    return [value for item in items if (value := read(source, item)) is not None]


def _shift(source: Source, node: Node) -> Shift | None:
    values = read_keys(source, node, HOURS_KEYS, "an item of `hours`")
    if values is None or "from" not in values or "to" not in values:
        return None
    days = frozenset(DAYS)
    if "days" in values:
        items = values["days"].items if isinstance(values["days"], ListNode) else [values["days"]]
        words = [read_word(source, item, HOURS_KEYS["days"]) for item in items]
        days = frozenset(word for word in words if word is not None)
    begins, ends = _minutes(source, values["from"], "`from`"), _minutes(source, values["to"], "`to`")
    if begins is None or ends is None:
        return None
    if begins == ends:
        source.refuse("R116", values["to"], "the shift ends when it begins", "write `to: 24:00` for a whole day")
        return None
    return Shift(days, begins, ends)


def _minutes(source: Source, node: Node, what: str) -> int | None:
    found = _TIME.fullmatch(node.value) if isinstance(node, TextNode) else None
    minutes = int(found[1]) * 60 + int(found[2]) if found else _DAY_END_MINUTES + 1
    if minutes > _DAY_END_MINUTES:
        source.refuse("R116", node, f"{what} is no time of day", 'write it as `"09:00"`')
        return None
    return minutes


def _absence(source: Source, node: Node) -> Absence | None:
    values = read_keys(source, node, ABSENCE_KEYS, "an item of `absences`")
    if values is None or "from" not in values:
        return None
    first = _date(source, values["from"], "`from`")
    last = _date(source, values["to"], "`to`") if "to" in values else first
    why = read_text(source, values["why"], "`why`") if "why" in values else None
    if first is None or last is None:
        return None
    if last < first:
        source.refuse("R116", values["to"], f"the absence ends on {last}, before {first}", "swap the two")
        return None
    return Absence(first, last, why)


def _date(source: Source, node: Node, what: str) -> date | None:
    try:
        return date.fromisoformat(node.value if isinstance(node, TextNode) else "")
    except ValueError:
        source.refuse("R116", node, f"{what} is no date", "write it as `2026-12-24`")
        return None
