"""One rule file's text, its nodes, and the problems found at places in it. What the keys mean is not known here."""

from __future__ import annotations

import re
from bisect import bisect_right

import yaml

from rules.files.errors import Problem
from rules.files.nodes import Finding, Node, TextNode, TreeTooLarge, read_nodes
from rules.files.yaml_mistakes import hint_for, mistake_near
from rules.model import Span, Words

# Ten thousand rules take half of this; what is larger was not written by a person.
FILE_CHARACTERS_MAX = 4_000_000
# One broken file must not fill the screen, or hide what is wrong in the others.
SYNTAX_PROBLEMS_MAX = 20
# How far above a broken line the item around it is looked for; a file without items is given up.
ITEM_LINES_MAX = 5_000
# How far before a broken place the bracket that was never closed is looked for.
BRACKET_SOUGHT_MAX = 20_000

# What is repeated of a file in one piece; a line that somebody is to write in its place may be as long.
REPEATED_CHARACTERS_MAX = 400
# What is left of a longer piece: enough to know it again.
REPEATED_LEFT = 60

# What libyaml cannot read; U+FFFD, which stands where bytes were lost already; and the three that end a line for YAML
# but not for an editor, so every place after them would be wrong.
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffc\U00010000-\U0010ffff]")
_BREAK = re.compile(r"\r\n|\r|\n")
_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}
_INDENTED = re.compile(r"( *)[^\s#]")
_LONG = re.compile(rf"`([^`]{{{REPEATED_LEFT}}})[^`]{{{REPEATED_CHARACTERS_MAX - REPEATED_LEFT},}}`")
_NOT_BREAK = re.compile(r"[^\r\n]")
_TAB_INDENTED = re.compile(r" *\t[ \t]*[^\s#]")


class Source:
    """One rule file being read: its nodes, and every problem found in it so far.

    `torn` is true when parts of the file could not be read, so a name that is missing may well have been declared.
    """

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text.removeprefix("\ufeff")
        self.problems: list[Problem] = []
        self.torn = False
        self.root: Node | None = None
        self.escapes: tuple[Finding, ...] = ()  # control characters in its texts, which only a test has a use for
        self.said: list[tuple[Node, Words]] = []  # all words to say, each with its place
        self.suggestions = 0  # how many near names were looked for; that is slow, so it has a limit
        self._lines: list[str] | None = None
        self._starts: list[int] | None = None

    def span(self, node: Node, start: int = 0, end: int | None = None) -> Span:
        """Return the place of a node, or of the characters `start:end` of a text node's value."""
        if not isinstance(node, TextNode):
            return Span(self.file, node.line, node.column, node.column + 1)
        last = len(node.value) if end is None else end
        added = node.end - node.start - len(node.value)
        if node.in_one_line and (added == 0 or (added == 2 and node.style in ("'", '"'))):
            column = node.column + start + added // 2
            return Span(self.file, node.line, column, column + max(1, last - start))
        if start == 0 and end is None:
            return Span(self.file, node.line, node.column, node.column + 1)
        places = self._written_places(node)
        line, column = self.place(places[min(start, len(places) - 1)])
        last_line, last_column = self.place(places[min(max(start + 1, last), len(places)) - 1])
        return Span(self.file, line, column, last_column + 1 if last_line == line else column + 1)

    def refuse(
        self, code: str, node: Node, message: str, hint: str | None = None, start: int = 0, end: int | None = None
    ) -> None:
        """Note a problem at the node, or at the characters `start:end` of a text node's value."""
        self.refuse_at(code, self.span(node, start, end), message, hint)

    def refuse_again(self, node: Node, message: str, before: Source, at: Node) -> None:
        """Note that what stands at the node stood at another place before, perhaps in another file."""
        first = before.span(at)
        message = f"{message}, first at {first.file}:{first.line}"
        span = self.span(node)
        self.problems.append(Problem("R107", span, message, self.line_text(span.line), first=first))

    def refuse_at(self, code: str, span: Span, message: str, hint: str | None = None) -> None:
        """Note a problem at a place that was computed before."""
        hint = None if hint is None else _shortened(hint)
        self.problems.append(Problem(code, span, _shortened(message), self.line_text(span.line), hint))

    def refuse_offset(self, code: str, offset: int, message: str, hint: str | None = None) -> None:
        """Note a problem at an offset into the text."""
        line, column = self.place(offset)
        self.refuse_at(code, Span(self.file, line, column, column + 1), message, hint)

    def line_text(self, line: int) -> str:
        """Return the text of a line, counted from 1; empty past the end."""
        if self._lines is None:
            self._lines = _BREAK.split(self.text)
        return self._lines[line - 1] if 0 < line <= len(self._lines) else ""

    def place(self, index: int) -> tuple[int, int]:
        """Return line and column, both from 1, of an offset into the text."""
        if self._starts is None:
            self._starts = [0, *(found.end() for found in _BREAK.finditer(self.text))]
        line = bisect_right(self._starts, index)
        return line, index - self._starts[line - 1] + 1

    def _written_places(self, node: TextNode) -> list[int]:
        """Return, for each character of the value, the offset into the file where it is written; never empty.

        Only needed where the two differ: escapes, doubled quotes, folded lines, block texts. Characters that are not
        white space stand in the file in the same order, so the two are walked side by side.
        """
        text, at, stop = self.text, node.start, node.end
        if node.style in ("|", ">"):
            # The header, `|` or `>-` with perhaps a comment, ends with its line.
            header = _BREAK.search(text, at)
            at = header.end() if header else stop
        elif node.style is not None:
            at += 1
        places: list[int] = []
        for character in node.value:
            if not character.isspace():
                while at < stop and text[at].isspace():
                    at += 1
            if node.style == '"' and text[at : at + 1] == "\\":
                while _BREAK.match(text, at + 1):
                    at = self._after_continuation(at)
                places.append(at)
                at += _ESCAPE_LENGTHS.get(text[at + 1 : at + 2], 2) if text[at : at + 1] == "\\" else 1
                continue
            places.append(at)
            if node.style == "'" and character == "'":
                at += 2
            elif not character.isspace() or (text[at : at + 1].isspace() and not _BREAK.match(text, at)):
                at += 1
        return places or [node.start]

    def _after_continuation(self, at: int) -> int:
        """Return the offset after a backslash at a line's end, the break and the next line's indentation."""
        at += 1
        while at < len(self.text) and self.text[at].isspace():
            at += 1
        return at


def _shortened(said: str) -> str:
    """Return the text with what it repeats of the file in bounds; the source line stands below it anyway."""
    return _LONG.sub(r"`\1…`", said) if len(said) > REPEATED_CHARACTERS_MAX else said


def read_source(file: str, text: str) -> Source:
    """Return the file's nodes, or as much of them as can be read, together with what is wrong with its YAML."""
    source = Source(file, text)
    if len(text) > FILE_CHARACTERS_MAX:
        source.refuse_offset("R113", 0, f"the file has {len(text)} characters, the limit is {FILE_CHARACTERS_MAX}")
        source.torn = True
        return source
    if _refuse_unreadable(source):
        source.torn = True
        return source
    readable: str | None = source.text
    for _ in range(SYNTAX_PROBLEMS_MAX):
        if readable is None:
            break
        try:
            tree = read_nodes(readable)
        except yaml.MarkedYAMLError as error:
            source.torn = True
            readable = _without_item(source, readable, _refuse_syntax(source, error))
        except TreeTooLarge as too_large:
            source.torn = True
            source.refuse_offset("R113", too_large.offset, str(too_large))
            break
        else:
            source.root, source.escapes = tree.root, tree.escapes
            for finding in tree.findings:
                source.refuse_offset(*finding)
            source.torn = source.torn or tree.is_torn
            break
    return source


def _refuse_unreadable(source: Source) -> bool:
    """Note every character that no YAML text may hold; return whether there was one."""
    found = None
    for count, found in enumerate(_UNREADABLE.finditer(source.text)):
        if count == SYNTAX_PROBLEMS_MAX:
            break
        code = ord(found[0])
        # How Python keeps a byte that is not UTF-8 when it is told to go on (surrogateescape).
        if 0xDC80 <= code <= 0xDCFF:
            message = f"the byte 0x{code - 0xDC00:02x} is not UTF-8"
        else:
            message = f"the character U+{code:04X} cannot stand in a rule file"
        source.refuse_offset("R111", found.start(), message)
    return found is not None


def _refuse_syntax(source: Source, error: yaml.MarkedYAMLError) -> int:
    """Note what is wrong with the YAML; return the offset of the item to leave out before reading on."""
    problem = str(error.problem or "cannot be read")
    mark, opened = error.problem_mark, error.context_mark
    index = min(mark.index if mark else 0, len(source.text))
    line, _ = source.place(index)
    if _TAB_INDENTED.match(source.line_text(line)):
        tab = source.line_text(line).index("\t")
        source.refuse_at("R112", Span(source.file, line, tab + 1, tab + 2), "a tab in the indentation")
        return index
    if source.text[index : index + 1] == "\t":
        source.refuse_offset("R112", index, "a tab where only a space can stand", "write a space")
        return index
    mistake = mistake_near(source.line_text, *source.place(index))
    if mistake is not None:
        span = Span(source.file, mistake.line, mistake.column, mistake.column + 1)
        source.refuse_at("R110", span, f"not YAML: {mistake.fact}", mistake.hint)
        return index
    # A quote or a bracket that was never closed is found far below; where it opens is what helps.
    context = str(error.context)
    if opened is not None and "quoted scalar" in context:
        index = min(opened.index, len(source.text))
    elif "flow" in context:
        bracket = _open_bracket(source.text, index)
        index = bracket if bracket is not None and source.place(bracket)[0] != line else index
    source.refuse_offset("R110", index, f"not YAML: {problem}", hint_for(problem))
    return index


def _open_bracket(text: str, offset: int) -> int | None:
    """Return the offset of the last bracket before `offset` that was not closed; brackets in quotes count too."""
    closed = 0
    for at in range(offset - 1, max(-1, offset - BRACKET_SOUGHT_MAX), -1):
        if text[at] in "]}":
            closed += 1
        elif text[at] in "[{":
            if closed == 0:
                return at
            closed -= 1
    return None


def _without_item(source: Source, text: str, offset: int) -> str | None:
    """Return the text with the rule, queue or other item around the offset blanked out; None when none is left.

    So one broken rule does not keep the problems of all the others from being told.
    """
    starts = [0, *(found.end() for found in _BREAK.finditer(text))]
    first = _item_line(text, starts, source.place(offset)[0] - 1)
    if first is None:
        return None
    indent = _indent(text, starts[first]) or 0
    last = first + 1
    while last < len(starts):
        following = _indent(text, starts[last])
        if following is not None and following <= indent:
            break
        last += 1
    end = starts[last] if last < len(starts) else len(text)
    blank = _NOT_BREAK.sub(" ", text[starts[first] : end])
    return text[: starts[first]] + blank + text[end:]


def _item_line(text: str, starts: list[int], line: int) -> int | None:
    """Return the line where the outermost item around `line` begins, below its top-level key; lines count from 0."""
    item, item_indent = None, None
    for above in range(line, max(-1, line - ITEM_LINES_MAX), -1):
        indent = _indent(text, starts[above])
        if indent is None:
            continue
        if indent == 0 and text[starts[above]] != "-":
            return above if item is None else item
        if item_indent is None or indent < item_indent:
            item, item_indent = above, indent
    return item


def _indent(text: str, start: int) -> int | None:
    """Return the number of spaces before a line's first word, None when it has none or begins with a tab."""
    found = _INDENTED.match(text, start)
    return None if found is None else len(found[1])
