"""YAML text to a tree of nodes that know their place. What the keys mean is not known here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import yaml

# Counted as if every alias were written out, so a few lines of aliases cannot stand for millions of nodes.
NODES_MAX = 500_000
# A rule file needs about twenty levels; the YAML library's own recursion ends the process at about twenty thousand.
DEPTH_MAX = 64

# A list inside a comparison, `channel in [chat, voice]`: its brackets and commas would end a YAML flow list around it.
_LIST_OPERAND = re.compile(r"""(?:\b(?:in|within|has|lacks) +|[=<>] *)\[(?:[^\[\]{}\n"'#]|"[^"\n]*"|'[^'\n]*')*\]""")
# What nobody sees in a text, but line breaks and tabs; and how an escape in double quotes is written.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPED = {"0": "\0", "a": "\a", "b": "\b", "v": "\v", "f": "\f", "e": "\x1b", "N": "\x85"}
# Where a quoted YAML text may begin in a line.
_QUOTE_OPENS = re.compile(r"""(?:^|[\[{,:?-])[ ]*(["'])""", re.MULTILINE)
# How far before a list the quote around it is looked for; longer lines are not written by people.
QUOTE_SOUGHT_MAX = 2_000
# What means something to YAML and may stand in such a list, and what stands in for it while YAML is read.
_MARKS = "[]{},#:"
_PRIVATE_USE = range(0xE000, 0xF8FF)
_FIRST_FREE = [chr(code) for code in _PRIVATE_USE[: len(_MARKS)]]


class TextNode(NamedTuple):
    """A text, number or word. `start` and `end` are offsets into the file, quotes included; `style` is the quote."""

    value: str
    style: str | None
    start: int
    end: int
    line: int
    column: int
    in_one_line: bool = True


class ListNode(NamedTuple):
    """A list of nodes, `- a` below each other or `[a, b]`."""

    items: list[Node]
    start: int
    line: int
    column: int


class MapNode(NamedTuple):
    """Keys and their values, in the order of the file; keys are always text."""

    pairs: list[tuple[TextNode, Node]]
    start: int
    line: int
    column: int

    def get(self, name: str) -> Node | None:
        """Return the value of that key, None when the key is not there."""
        for key, value in self.pairs:
            if key.value == name:
                return value
        return None


Node: TypeAlias = TextNode | ListNode | MapNode


class Finding(NamedTuple):
    """Something that the nodes cannot carry: the problem's code, the offset into the text, the fact, the next step."""

    code: str
    offset: int
    message: str
    hint: str | None = None


class TreeTooLarge(Exception):
    """The text goes past a limit at `offset`; nothing after it was read."""

    def __init__(self, offset: int, message: str) -> None:
        self.offset = offset
        super().__init__(message)


@dataclass(slots=True)
class _Open:
    """A list or map whose end has not come yet, with the key that waits for its value."""

    node: ListNode | MapNode
    anchor: str | None
    nodes_before: int
    key: TextNode | None = None
    key_expected: bool = True


@dataclass(frozen=True, slots=True)
class Tree:
    """The root, None for an empty text, and what was found on the way.

    `escapes` are the control characters of quoted texts, the first of each: a rule file has no use for them.
    `is_torn` says that an item was taken for more keys of the one above it, so it is read nowhere.
    """

    root: Node | None
    findings: tuple[Finding, ...]
    escapes: tuple[Finding, ...] = ()
    is_torn: bool = False


def read_nodes(text: str) -> Tree:
    """Return the tree of one YAML document.

    Raises yaml.MarkedYAMLError where the text is not YAML and TreeTooLarge past a limit. The library's events are
    taken one by one, because its own composer recurses without a limit and its C stack ends the process.
    """
    builder = _Builder(*_mask_lists(text))
    for event in yaml.parse(builder.text, Loader=yaml.CSafeLoader):
        builder.take(event)
        if builder.finished:
            break
    return Tree(builder.root, tuple(builder.findings), tuple(builder.escapes), builder.is_torn)


def _mask_lists(text: str) -> tuple[str, dict[int, int] | None]:
    """Return the text with the marks of lists inside comparisons replaced, and the table that brings them back.

    One character for one, so every place stays right; every text of the tree is translated back, so a replacement
    that was not needed, in a comment say, does no harm.
    """
    if not _LIST_OPERAND.search(text):
        return text, None
    free = _FIRST_FREE
    if not text.isascii():
        free = [chr(code) for code in _PRIVATE_USE if chr(code) not in text][: len(_MARKS)]
    if len(free) < len(_MARKS):
        return text, None
    masks = str.maketrans(_MARKS, "".join(free))
    masked = _LIST_OPERAND.sub(lambda found: found[0] if _is_quoted(found) else found[0].translate(masks), text)
    return masked, str.maketrans("".join(free), _MARKS)


def _is_quoted(found: re.Match[str]) -> bool:
    """Return whether what was found stands inside a quoted YAML text that begins in the same line."""
    nearest = max(0, found.start() - QUOTE_SOUGHT_MAX)
    text, at = found.string, max(nearest, found.string.rfind("\n", nearest, found.start()) + 1)
    while (opened := _QUOTE_OPENS.search(text, at, found.start())) is not None:
        closed = text.find(opened[1], opened.end())
        if closed < 0 or closed > found.start():
            return True
        at = closed + 1
    return False


def _stands_for(escape: str) -> str:
    """Return the character that a double-quoted text has for what stands after a backslash."""
    return chr(int(escape[1:], 16)) if escape[0] in "xuU" and len(escape) > 1 else _ESCAPED.get(escape, "")


# The stubs call every mark of an event optional; the events of a parsed text always carry theirs.
_Event: TypeAlias = Any


class _Builder:
    """Takes the events of one document in order and hangs nodes into each other."""

    def __init__(self, text: str, unmask: dict[int, int] | None) -> None:
        self.text = text
        self.root: Node | None = None
        self.findings: list[Finding] = []
        self.escapes: list[Finding] = []
        self.finished = False
        self.is_torn = False
        self._unmask = unmask
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._nodes = 0
        self._documents = 0

    def take(self, event: _Event) -> None:
        """Take the next event."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._take_text(event)
        elif kind is yaml.MappingStartEvent:
            mark = event.start_mark
            self._begin(MapNode([], mark.index, mark.line + 1, mark.column + 1), event)
        elif kind is yaml.SequenceStartEvent:
            mark = event.start_mark
            self._begin(ListNode([], mark.index, mark.line + 1, mark.column + 1), event)
        elif kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
            self._end()
        elif kind is yaml.AliasEvent:
            self._take_alias(event)
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                self._find("R114", event, "a second document begins here", "put it into a file of its own")
                self.finished = True

    def _take_text(self, event: _Event) -> None:
        start, end = event.start_mark, event.end_mark
        value: str = event.value
        if self._unmask is not None and not value.isascii():
            value = value.translate(self._unmask)
        # A plain text has no style; libyaml says "" where nothing is written at all.
        style = event.style if event.style in ("'", '"', "|", ">") else None
        line = start.line
        node = TextNode(value, style, start.index, end.index, line + 1, start.column + 1, line == end.line)
        self._count(event)
        # Only an escape in double quotes brings one in: as they are they cannot stand in a file at all.
        if style == '"' and (control := _CONTROL.search(value)) is not None:
            self._find_escape(start.index, control[0])
        if event.tag is not None:
            self._find("R114", event, f"the tag `{event.tag}` is not used in rule files")
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, 1)
        self._hang(node)

    def _begin(self, node: ListNode | MapNode, event: _Event) -> None:
        self._count(event)
        if len(self._open) >= DEPTH_MAX:
            raise TreeTooLarge(node.start, f"nested more than {DEPTH_MAX} deep")
        if event.tag is not None:
            self._find("R114", event, f"the tag `{event.tag}` is not used in rule files")
        self._open.append(_Open(node, event.anchor, self._nodes - 1))

    def _end(self) -> None:
        ended = self._open.pop()
        if isinstance(ended.node, MapNode):
            self._find_repeated_keys(ended.node, bool(self._open) and isinstance(self._open[-1].node, ListNode))
        if ended.anchor is not None:
            self._anchors[ended.anchor] = (ended.node, self._nodes - ended.nodes_before)
        self._hang(ended.node)

    def _take_alias(self, event: _Event) -> None:
        node, size = self._anchors.get(event.anchor, (None, 0))
        self._nodes += size
        self._count(event)
        if node is None:
            self._find("R114", event, f"`*{event.anchor}` names nothing above it", f"write `&{event.anchor}` before it")
            mark = event.start_mark
            node = TextNode("", None, mark.index, mark.index, mark.line + 1, mark.column + 1)
        self._hang(node)

    def _hang(self, node: Node) -> None:
        """Put a finished node where it belongs."""
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node, ListNode):
            parent.node.items.append(node)
        elif parent.key_expected:
            if not isinstance(node, TextNode):
                self.findings.append(Finding("R114", node.start, "a key is a list or a map", "write a key of text"))
                node = TextNode("", None, node.start, node.start, node.line, node.column)
            parent.key, parent.key_expected = node, False
        else:
            assert parent.key is not None  # noqa: S101 - a value follows its key in every event stream
            parent.node.pairs.append((parent.key, node))
            parent.key_expected = True

    def _find_repeated_keys(self, node: MapNode, is_item: bool) -> None:
        first_lines: dict[str, int] = {}
        if len({key.value for key, _ in node.pairs}) == len(node.pairs):
            return
        first = node.pairs[0][0]
        for key, _ in node.pairs:
            if key.value in first_lines and is_item and key.value == first.value and key.line > first.line:
                # All that stands below is another item, whose keys were told as repeated one by one.
                message = f"the key `{key.value}` is written twice, first in line {first.line}"
                hint = f"write `- {key.value}:` where another item begins, or keep one of the two"
                self.findings.append(Finding("R107", key.start, message, hint))
                self.is_torn = True
                return
            if key.value in first_lines:
                message = f"the key `{key.value}` is written twice, first in line {first_lines[key.value]}"
                self.findings.append(Finding("R107", key.start, message, "keep one of the two"))
            first_lines.setdefault(key.value, key.line)

    def _find_escape(self, start: int, control: str) -> None:
        """Note the first escape of the quoted text at `start` that stands for a control character."""
        escape = next(found for found in _ESCAPE.finditer(self.text, start + 1) if _stands_for(found[1]) == control)
        message = f"`{escape[0]}` in double quotes stands for the control character U+{ord(control):04X}"
        hint = "use single quotes, where a backslash is only a backslash"
        self.escapes.append(Finding("R111", escape.start(), message, hint))

    def _count(self, event: _Event) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise TreeTooLarge(event.start_mark.index, f"more than {NODES_MAX} values, aliases written out")

    def _find(self, code: str, event: _Event, message: str, hint: str | None = None) -> None:
        self.findings.append(Finding(code, event.start_mark.index, message, hint))
