"""YAML text to nodes with places: right in every way of writing, and safe whatever the text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile.rule_files import compile_files
from rules.files.errors import render
from rules.files.nodes import DEPTH_MAX, NODES_MAX, ListNode, MapNode, Node, TextNode
from rules.files.source import FILE_CHARACTERS_MAX, SYNTAX_PROBLEMS_MAX, read_source


def plain(node: Node | None) -> object:
    """Return the node as Python's own lists, dicts and texts."""
    if isinstance(node, MapNode):
        return {key.value: plain(value) for key, value in node.pairs}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return None if node is None else node.value


def shown(text: str) -> list[str]:
    return [render(problem) for problem in read_source("f.yaml", text).problems]


def test_a_file_becomes_maps_lists_and_texts() -> None:
    source = read_source("f.yaml", "a: 1\nb: [x, 'it''s', \"\\u00e9\"]\nc:\n- {d: no}\n")
    assert plain(source.root) == {"a": "1", "b": ["x", "it's", "é"], "c": [{"d": "no"}]}
    assert not source.problems
    assert not source.torn


def test_an_empty_file_has_no_nodes_and_no_problem() -> None:
    for text in ("", "\n", "# only a comment\n", "\ufeff", "---\n"):
        source = read_source("f.yaml", text)
        assert plain(source.root) in (None, "")
        assert not source.problems


FLOW_LISTS: dict[str, list[str]] = {
    "streak(a < 1) >= 2, channel in [chat, voice]": ["streak(a < 1) >= 2", "channel in [chat, voice]"],
    'channel in [chat, "live, chat"], b = 1': ['channel in [chat, "live, chat"]', "b = 1"],
    "channel not in [chat, 'a ] b'], b = 1": ["channel not in [chat, 'a ] b']", "b = 1"],
    "x in ['a: b', \"c # d\", 'e {f}']": ["x in ['a: b', \"c # d\", 'e {f}']"],
    "topics has [a, b], x = [y, z], x != [y]": ["topics has [a, b]", "x = [y, z]", "x != [y]"],
    '"x in [a", "b]"': ["x in [a", "b]"],
    '"x in [", "b]", c': ["x in [", "b]", "c"],
    "'it''s in [a, b]', c": ["it's in [a, b]", "c"],
}


@pytest.mark.parametrize("line", FLOW_LISTS)
def test_a_list_inside_a_comparison_does_not_end_the_flow_list_around_it(line: str) -> None:
    source = read_source("f.yaml", f"when: {{all: [{line}]}}\nwhy: in [a, b] we\nsay: 'is in [c, d]' # in [e]\n")
    assert not source.problems
    assert plain(source.root) == {"when": {"all": FLOW_LISTS[line]}, "why": "in [a, b] we", "say": "is in [c, d]"}


def test_private_use_characters_of_the_file_survive_beside_such_a_list() -> None:
    text = "a: [x in [b, c], '\ue000 \ue001']\n"
    assert plain(read_source("f.yaml", text).root) == {"a": ["x in [b, c]", "\ue000 \ue001"]}


# how a text is written -> the part looked for, and line and column where it stands in the file
WRITTEN: dict[str, tuple[str, int, int]] = {
    "a: one two": ("two", 1, 8),
    "a:   one two   # three": ("two", 1, 10),
    "a: 'one two'": ("two", 1, 9),
    "a: 'it''s two'": ("two", 1, 11),
    'a: "one two"': ("two", 1, 9),
    'a: "\\u00e9\\"\\\\ two"': ("two", 1, 16),
    'a: "\\x41\\U0001F600 two"': ("two", 1, 20),
    "a: é😀 two": ("two", 1, 7),
    "a: one\n   two": ("two", 2, 4),
    "{a: one\ntwo}": ("two", 2, 1),
    "a: 'one\n\n   two'": ("two", 3, 4),
    'a: "one \\\n  \\\n   two"': ("two", 3, 4),
    "a: |\n   one\n   two\n": ("two", 3, 4),
    "a: |-  # why\n   one\n\n   two\n": ("two", 4, 4),
    "a: >\n   one\n   two\n": ("two", 3, 4),
    "a: |2\n    one\n    two\n": ("two", 3, 5),
    "x: 1\r\na: one two\r\n": ("two", 2, 8),
    "x: 1\ra: one two\r": ("two", 2, 8),
    "a: one  two": ("two", 1, 9),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_part_of_a_text_has_its_place_however_the_text_is_written(text: str) -> None:
    source = read_source("f.yaml", text)
    assert isinstance(source.root, MapNode)
    node = source.root.get("a")
    assert isinstance(node, TextNode)
    part, line, column = WRITTEN[text]
    start = node.value.index(part)
    span = source.span(node, start, start + len(part))
    assert (span.line, span.column, span.end_column) == (line, column, column + len(part))


@settings(deadline=None)
@given(
    st.text(
        alphabet=st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co", "Zl", "Zp"], exclude_characters="\ufeff")
    ),
    st.sampled_from(['"', "'"]),
)
def test_every_character_of_a_quoted_text_has_its_place(value: str, quote: str) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"') if quote == '"' else value.replace("'", "''")
    source = read_source("f.yaml", f"a: {quote}{escaped}{quote}\n")
    assert isinstance(source.root, MapNode)
    node = source.root.get("a")
    assert isinstance(node, TextNode)
    assert node.value == value
    for at, character in enumerate(value):
        span = source.span(node, at, at + 1)
        written = source.line_text(1)[span.column - 1 :]
        assert written.startswith(character) or written[:2] in ("\\\\", '\\"', "''")


def test_an_alias_stands_for_what_it_names() -> None:
    source = read_source("f.yaml", "a: &words {en: hello}\nb: *words\n")
    assert plain(source.root) == {"a": {"en": "hello"}, "b": {"en": "hello"}}
    assert not source.problems


# text -> everything that is said of it
REFUSED: dict[str, list[str]] = {
    "a: [b\nc: d\n": [
        "f.yaml:1:4: R110: not YAML: did not find expected ',' or ']'\n"
        "      a: [b\n"
        "         ^ close the list with `]`, or put the text before this place into quotes"
    ],
    "a: b: c\n": [
        "f.yaml:1:5: R110: not YAML: mapping values are not allowed in this context\n"
        "      a: b: c\n"
        "          ^ put the whole text into quotes, it holds `: `"
    ],
    'a: "never closed\nb: c\n': [
        "f.yaml:1:4: R110: not YAML: found unexpected end of stream\n"
        '      a: "never closed\n'
        "         ^ close the quote that is opened here"
    ],
    "a: @b\n": [
        "f.yaml:1:4: R110: not YAML: found character that cannot start any token\n"
        "      a: @b\n"
        "         ^ put the text into quotes, it begins with a character that YAML keeps for itself"
    ],
    'a: "\\d"\n': [
        "f.yaml:1:4: R110: not YAML: found unknown escape character\n"
        '      a: "\\d"\n'
        "         ^ use single quotes, where a backslash is only a backslash"
    ],
    "a:\n\tb: c\n": ["f.yaml:2:1: R112: a tab in the indentation\n      b: c\n      ^ indent with spaces"],
    "a: caf\udce9\n": [
        "f.yaml:1:7: R111: the byte 0xe9 is not UTF-8\n      a: caf�\n            ^ save the file as UTF-8 text"
    ],
    "a: b\x00c\n": [
        "f.yaml:1:5: R111: the character U+0000 cannot stand in a rule file\n"
        "      a: b�c\n"
        "          ^ save the file as UTF-8 text"
    ],
    "a: b\u2028c\n": [
        "f.yaml:1:5: R111: the character U+2028 cannot stand in a rule file\n"
        "      a: b�c\n"
        "          ^ save the file as UTF-8 text"
    ],
    "a: 1\nb: 2\na: 3\n": [
        "f.yaml:3:1: R107: the key `a` is written twice, first in line 1\n      a: 3\n      ^ keep one of the two"
    ],
    "a: !!python/object:os.system x\n": [
        "f.yaml:1:4: R114: the tag `tag:yaml.org,2002:python/object:os.system` is not used in rule files\n"
        "      a: !!python/object:os.system x\n"
        "         ^ write it out as plain text, lists and keys"
    ],
    "a: 1\n---\nb: 2\n": [
        "f.yaml:2:1: R114: a second document begins here\n      ---\n      ^ put it into a file of its own"
    ],
    "? [a, b]\n: c\n": ["f.yaml:1:3: R114: a key is a list or a map\n      ? [a, b]\n        ^ write a key of text"],
    "a: *b\n": ["f.yaml:1:4: R114: `*b` names nothing above it\n      a: *b\n         ^ write `&b` before it"],
    "&a [*a]\n": ["f.yaml:1:5: R114: `*a` names nothing above it\n      &a [*a]\n          ^ write `&a` before it"],
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_plain_yaml_is_told_at_its_place(text: str) -> None:
    assert shown(text) == REFUSED[text]


def test_a_broken_item_is_left_out_and_everything_else_is_read() -> None:
    text = "queues:\n  a: {x: 1\n  b: {y: 2}\nrules:\n- id: one\n  why: @\n- id: two\n  why: [\n- id: three\n"
    source = read_source("f.yaml", text)
    assert [(problem.span.line, problem.code) for problem in source.problems] == [(2, "R110"), (6, "R110"), (8, "R110")]
    assert source.torn
    assert plain(source.root) == {"queues": {"b": {"y": "2"}}, "rules": [{"id": "three"}]}


def test_one_broken_file_says_a_limited_number_of_problems() -> None:
    assert len(shown("rules:\n" + "- id: @\n" * 100)) == SYNTAX_PROBLEMS_MAX
    assert len(shown("\x00" * 100)) == SYNTAX_PROBLEMS_MAX


HOSTILE: dict[str, tuple[str, str]] = {
    "flow lists without end": ("[" * 200_000, f"nested more than {DEPTH_MAX} deep"),
    "flow maps without end": ("{a: " * 200_000, f"nested more than {DEPTH_MAX} deep"),
    "lists in lists": ("- " * 100_000, f"nested more than {DEPTH_MAX} deep"),
    "keys in keys": ("? " * 100_000, f"nested more than {DEPTH_MAX} deep"),
    "maps in maps": ("".join(" " * depth + "a:\n" for depth in range(1_500)), f"nested more than {DEPTH_MAX} deep"),
    "aliases of aliases": (
        "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(
            f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
            for before, name in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        f"more than {NODES_MAX} values, aliases written out",
    ),
    "too many values": ("- a\n" * (NODES_MAX + 1), f"more than {NODES_MAX} values, aliases written out"),
    "too many characters": (
        "#" * (FILE_CHARACTERS_MAX + 1),
        f"the file has {FILE_CHARACTERS_MAX + 1} characters, the limit is {FILE_CHARACTERS_MAX}",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_problem_and_not_the_end_of_the_process(name: str) -> None:
    text, message = HOSTILE[name]
    source = read_source("f.yaml", text)
    # Reading stops at the limit; the slowest of these stop after half a million values.
    assert [problem.message for problem in source.problems] == [message]
    assert {problem.code for problem in source.problems} == {"R113"}
    assert source.torn


@pytest.mark.parametrize(
    "text", ["a: [" + "x in [a], " * 50_000 + "]", "a: [" + "'x in [', " * 50_000 + "]", "= " * 500_000]
)
def test_a_line_without_end_is_read_in_time(text: str) -> None:
    assert not read_source("f.yaml", text).problems


@pytest.mark.parametrize("text", ['"' * 100_000, "a: 'x\n" * 20_000, "- [\n" * 20_000, "a: {b\n" * 20_000])
def test_a_file_broken_everywhere_is_given_up_in_time(text: str) -> None:
    assert 1 <= len(read_source("f.yaml", text).problems) <= SYNTAX_PROBLEMS_MAX


MARKS = st.one_of(
    st.sampled_from(["a", "b: ", "- ", "|\n", ">\n", "&a ", "*a", "? ", "---\n", "...\n", ": ", "in [a, b]", "\r\n"]),
    st.sampled_from(["é", "😀", "\x85", "\ufeff", "\0", "\ud800", "\ue000", "\n", "  ", "\n  ", "\t"]),
    st.sampled_from("[]{},'\"\\#!%@`"),
)


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(MARKS).map("".join)))
def test_no_text_makes_reading_raise_and_every_problem_has_a_place_in_the_file(text: str) -> None:
    source = read_source("f.yaml", text)
    for problem in source.problems:
        assert problem.span.line >= 1
        assert 1 <= problem.span.column <= len(problem.source_line) + 1
        assert render(problem)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("handrail: 1\nrules:\n  -\tid: r\n    why: x\n", 3, 4),
        ("handrail: 1\nrules:\n  - id: r\n    when:\n      any:\n        -\tconfidence < 0.5\n", 6, 10),
        ("handrail: 1\nlanguages:\n  - en\n  - \tes\n", 4, 5),
    ],
)
def test_a_tab_behind_a_dash_is_told_as_one(text: str, line: int, column: int) -> None:
    told = [(each.code, each.span.line, each.span.column, each.next_step) for each in read_source("f", text).problems]
    assert told == [("R112", line, column, "write a space")]
    assert read_source("f", text.replace("\t", " ")).problems == []


@pytest.mark.parametrize(
    "when", ["confidence < {}", "{} < 3", "confidence {} 3", "topics has {}", "tools = {}", "confidence < ${}"]
)
def test_a_word_of_thousands_of_letters_is_not_repeated_whole(when: str) -> None:
    text = f"handrail: 1\nrules:\n  - {{id: r, why: x, then: continue, when: '{when.format('x' * 3_000)}'}}\n"
    problems = compile_files({"f.yaml": text})[1]
    assert problems
    assert all(len(problem.message) + len(problem.next_step) < 600 for problem in problems)
    assert any("x…`" in problem.message + problem.next_step for problem in problems)
