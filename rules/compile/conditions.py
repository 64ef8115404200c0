"""A rule's `when` to a Condition, and the comparisons in it that can never hold together."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from rules.compile.comparisons import read_comparison, sample, use_all
from rules.compile.names import Names
from rules.compile.values import after_comma, cut_number, did_you_mean, is_empty, nearest, one_of
from rules.evaluation.comparisons import aggregate_key, opposite, tester
from rules.evaluation.signal_table import CALL_SIGNALS, SignalSpec
from rules.files.grammar import MEANT_OPERATORS
from rules.files.keys import CONDITION_KEYS
from rules.files.meant import MEANT_KEYS, line_meant, whole
from rules.files.nodes import ListNode, MapNode, Node, TextNode
from rules.files.source import Source
from rules.model import Aggregate, All, Any, CallMatch, Compare, Condition, Not
from rules.turn import Value

# Nobody reads a condition deeper than three or four; the evaluator's own stack bears ten times this.
CONDITION_DEPTH_MAX = 16
# Comparing each with each stays quick; an `all` with more comparisons of one signal is not checked for contradictions.
CONTRADICTIONS_MAX = 64

# What an author wrote beside a signal's name is repeated when it is no longer than this.
ON_ONE_LINE_MAX = 80

_SIGN = re.compile(r"[<>=!≤≥≠]+")
_HOW = "write a comparison, or one of `all`, `any`, `not`, `tool_call`"


def read_condition(source: Source, node: Node, names: Names) -> Condition | None:
    """Return the condition, None when any part of it is wrong; all of its parts are read either way."""
    condition = _read(source, node, names, in_call=False, depth=1)
    if condition is not None:
        _refuse_contradictions(source, condition, names, in_call=False)
    return condition


def comparisons(condition: Condition, negated: bool = False) -> Iterator[tuple[Compare, bool]]:
    """Return every comparison of a condition, those of its aggregates too, and whether it stands under a `not`."""
    if isinstance(condition, Compare):
        yield condition, negated
        if isinstance(condition.left, Aggregate) and isinstance(condition.left.of, Compare):
            yield condition.left.of, negated
    elif isinstance(condition, Not):
        yield from comparisons(condition.part, not negated)
    elif isinstance(condition, CallMatch):
        yield from comparisons(condition.condition, negated)
    else:
        for part in condition.parts:
            yield from comparisons(part, negated)


def _read(source: Source, node: Node, names: Names, in_call: bool, depth: int) -> Condition | None:
    if depth > CONDITION_DEPTH_MAX:
        source.refuse("R132", node, f"nested more than {CONDITION_DEPTH_MAX} deep")
        return None
    if is_empty(node):
        source.refuse("R130", node, "nothing is compared here", _HOW)
        return None
    if isinstance(node, TextNode):
        return read_comparison(source, node, names, in_call)
    if isinstance(node, ListNode):
        source.refuse("R130", node, "a list says neither `all` nor `any`", "write `all:` or `any:` before the list")
        for item in node.items:
            _read(source, item, names, in_call, depth + 1)
        return None
    return _read_key(source, node, names, in_call, depth)


def _read_key(source: Source, node: MapNode, names: Names, in_call: bool, depth: int) -> Condition | None:
    for number, (key, value) in enumerate(node.pairs):
        if key.value not in CONDITION_KEYS:
            alone = [each for each, nothing in node.pairs if is_empty(nothing)]
            whole = cut_number(alone, number + 1) if number + 1 < len(alone) else None
            if whole is not None:
                hint = f"write `{whole}`, without the comma and without `{{` and `}}`"
                source.refuse("R130", key, f"`{key.value}` stands in braces, and its number ends at a comma", hint)
            else:
                _refuse_key(source, key, value, names)
            return None
    if len(node.pairs) != 1:
        written = ", ".join(f"`{key.value}`" for key, _ in node.pairs) or "nothing"
        hint = "write each as an item of one `all:` or `any:`" if node.pairs else _HOW
        source.refuse("R130", node, f"one condition is expected, {written} stands here", hint)
        for key, value in node.pairs:
            _read_pair(source, key, value, names, in_call, depth)
        return None
    return _read_pair(source, *node.pairs[0], names, in_call, depth)


def _read_pair(source: Source, key: TextNode, value: Node, names: Names, in_call: bool, depth: int) -> Condition | None:
    if key.value == "not":
        part = _read(source, value, names, in_call, depth + 1)
        return None if part is None else Not(part)
    if key.value == "tool_call":
        if in_call:
            source.refuse("R130", key, "a `tool_call` inside of a `tool_call`", "write two under an `all:` outside")
            return None
        part = _read(source, value, names, True, depth + 1)
        return None if part is None else CallMatch(part, source.span(key))
    return _read_parts(source, key, value, names, in_call, depth)


def _read_parts(
    source: Source, key: TextNode, value: Node, names: Names, in_call: bool, depth: int
) -> Condition | None:
    if not isinstance(value, ListNode) or not value.items:
        fact = f"`{key.value}` has no parts" if is_empty(value) else f"`{key.value}` is not a list of conditions"
        if isinstance(value, ListNode):
            fact = f"`{key.value}` has no parts"
        source.refuse("R130", key, fact, f"write `{key.value}: [...]` with at least one comparison")
        return None
    parts: list[Condition | None] = []
    for number, item in enumerate(value.items):
        cut = cut_number(value.items, number)
        if cut is not None:
            if cut and isinstance(item, TextNode):
                source.refuse("R120", item, *after_comma(item, cut))
            parts.append(None)
        else:
            parts.append(_read(source, item, names, in_call, depth + 1))
    whole = tuple(part for part in parts if part is not None)
    if len(whole) < len(parts):
        return None
    return All(whole) if key.value == "all" else Any(whole)


def _refuse_key(source: Source, key: TextNode, value: Node, names: Names) -> None:
    for part in (key, *(value.items if isinstance(value, ListNode) else [value])):
        if isinstance(part, TextNode):
            use_all(part.value, names)
    if is_empty(value):
        source.refuse("R130", key, f"`{key.value}` stands in braces", "write the comparison without `{` and `}`")
    elif key.value in names.signals or key.value in CALL_SIGNALS:
        spec = names.signals.get(key.value) or CALL_SIGNALS[key.value]
        message = f"`{key.value}` is a signal, not a key of conditions"
        source.refuse("R130", key, message, _on_one_line(spec, value))
    else:
        known = list(CONDITION_KEYS)
        hint = did_you_mean(source, key.value, known)
        if key.value in MEANT_KEYS and MEANT_KEYS[key.value] in known:
            hint = f"write `{MEANT_KEYS[key.value]}`"
        near = nearest(source, key.value, names.signals) if hint is None else None
        if near is not None:
            names.use("signal", near)
        hint = hint or (_on_one_line(names.signals[near], value) if near is not None else one_of(known))
        source.refuse("R105", key, f"unknown key `{key.value}` in a condition", hint)


def _on_one_line(spec: SignalSpec, value: Node) -> str:
    line = _line(spec, value)
    if line is None:
        return f"write the comparison on one line, as `{spec.name} {sample(spec)}`"
    return f"write the comparison on one line: `{line}`"


def _line(spec: SignalSpec, value: Node) -> str | None:
    """Return the comparison that a signal and what stands under it as under a key make; None when they make none."""
    equal = "has" if spec.type == "set" else "="
    if isinstance(value, ListNode):
        items = [item.value.strip() for item in value.items if isinstance(item, TextNode)]
        lines = [whole(f"{spec.name} has {item}") or whole(f'{spec.name} has "{item}"') for item in items]
        if spec.type == "set" and all(lines):
            return lines[0] if len(lines) == 1 else f"any: [{', '.join(filter(None, lines))}]" if lines else None
        quoted = [item if whole(f"{spec.name} = {item}") else f'"{item}"' for item in items]
        return whole(f"{spec.name} in [{', '.join(quoted)}]") if items else None
    written = value.value.strip() if isinstance(value, TextNode) else ""
    sign = _SIGN.match(written)
    if sign is not None:
        written = f"{MEANT_OPERATORS.get(sign[0], sign[0])} {written[sign.end() :].strip()}"
    if not written or len(written) > ON_ONE_LINE_MAX or "\n" in written:
        return None
    for line in (f"{spec.name} {written}", f"{spec.name} {equal} {written}"):
        meant = whole(line) or (line_meant(line) or "").removeprefix("write `").removesuffix("`")
        if meant:
            return meant
    return whole(f'{spec.name} {equal} "{written}"') if sign is None else None


def _refuse_contradictions(source: Source, condition: Condition, names: Names, in_call: bool) -> None:
    """Note the comparisons of an `all` that no value can meet together, at the one that closes the last gap."""
    if isinstance(condition, Not):
        _refuse_contradictions(source, condition.part, names, in_call)
    elif isinstance(condition, CallMatch):
        _refuse_contradictions(source, condition.condition, names, True)
    elif isinstance(condition, Any):
        for part in condition.parts:
            _refuse_contradictions(source, part, names, in_call)
    elif isinstance(condition, All):
        together: dict[object, list[Compare]] = {}
        for compare in _all_of(condition, lambda part: _refuse_contradictions(source, part, names, in_call)):
            left = compare.left
            key = aggregate_key(left) if isinstance(left, Aggregate) else left
            together.setdefault(key, []).append(compare)
        for compares in together.values():
            if 1 < len(compares) <= CONTRADICTIONS_MAX:
                _refuse_group(source, compares, _is_whole(compares[0], names, in_call))


def _all_of(condition: All, other: Callable[[Condition], None]) -> Iterator[Compare]:
    """Return the comparisons that must all hold, through nested `all`s; everything else goes to `other`."""
    for part in condition.parts:
        if isinstance(part, Compare):
            yield part
        elif isinstance(part, Not) and isinstance(part.part, Compare):
            yield replace(opposite(part.part), text=f"not {part.part.text}")
        elif isinstance(part, All):
            yield from _all_of(part, other)
        else:
            other(part)


def _is_whole(compare: Compare, names: Names, in_call: bool) -> bool:
    """Return whether the left side only takes whole numbers."""
    if isinstance(compare.left, Aggregate):
        return compare.left.function in ("count", "streak")
    spec = (CALL_SIGNALS if in_call else names.signals).get(compare.left)
    return spec is not None and spec.unit in ("count", "characters", "ms", "hour", "minutes", "day")


def _refuse_group(source: Source, compares: list[Compare], whole: bool) -> None:
    tests = [tester(compare) for compare in compares]
    candidates = list(_candidates(compares, whole))
    for count in range(2, len(compares) + 1):
        if any(all(test(value) for test in tests[:count]) for value in candidates):
            continue
        last = compares[count - 1]
        others = [
            earlier
            for earlier, test in zip(compares[: count - 1], tests, strict=False)
            if not any(test(value) and tests[count - 1](value) for value in candidates)
        ]
        against = others[0] if others else compares[0]
        line = f" in line {against.span.line}" if against.span.line != last.span.line else ""
        message = f"`{last.text}` never holds together with `{against.text}`{line}"
        source.refuse_at("R131", last.span, message)
        return


def _candidates(compares: Iterable[Compare], whole: bool) -> Iterator[Value]:
    """Return values of every kind that these comparisons can tell apart, the unknown one too."""
    operands = [operand for compare in compares for operand in _operands(compare)]
    numbers = sorted(
        {number for number in operands if isinstance(number, (int, float)) and not isinstance(number, bool)}
    )
    yield None
    yield from (True, False)
    yield from operands
    # A text that no file can write, and so none of the operands.
    yield "\0"
    for number in numbers[:1] + numbers[-1:]:
        # Far enough to be another number, however large this one is.
        yield from (number - max(1, abs(number)), number + max(1, abs(number)))
    for low, high in pairwise(numbers):
        yield from (math.floor(low) + 1, math.ceil(high) - 1) if whole else (low / 2 + high / 2,)
    words = sorted({word for word in operands if isinstance(word, str)})
    yield frozenset[str]()
    yield frozenset(words)
    wanted = {str(compare.operand) for compare in compares if compare.operator == "has"}
    yield frozenset(wanted)
    # Where any set meets several comparisons, the largest one does that none of them forbids.
    largest = {"\0", *words}
    for compare in compares:
        if compare.operator == "lacks":
            largest.discard(str(compare.operand))
        elif compare.operator == "within":
            largest.intersection_update(map(str, _operands(compare)))
        yield frozenset(largest)


def _operands(compare: Compare) -> tuple[Value, ...]:
    return compare.operand if isinstance(compare.operand, tuple) else (compare.operand,)
