"""The schemas take every file that the compiler takes, and refuse what is wrong in its structure."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any, cast, get_args

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.cases import keys as case_keys
from rules.cases.case_files import read_case_files
from rules.compile.rule_files import compile_files, files_or_raise
from rules.evaluation.signal_table import CALL_SIGNALS, SIGNALS
from rules.files import keys
from rules.files.grammar import number_of, parse
from rules.files.keys import KeyTable, ValueKind
from rules.files.nodes import ListNode, MapNode, Node, read_nodes
from rules.files.schema import SCHEMAS, schema_text
from rules.files.schema_kinds import COMPARISON_PATTERN, DURATION_PATTERN, KINDS, call_examples, comparison_examples
from tests.rules.test_compile import REFUSED, SEED, mutated
from tests.rules.test_compile_conditions import FINE
from tests.rules.test_compile_conditions import REFUSED as REFUSED_CONDITIONS

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").rglob("*.yaml"))
# Recorded conversations are YAML too, and no rule file.
RECORDED = "conversations.yaml"
SHIPPED = [
    *sorted((ROOT / "rules" / "library").glob("*.yaml")),
    *(path for path in EXAMPLES if path.name != RECORDED),
]
VALIDATORS = {name: jsonschema.Draft202012Validator(schema()) for name, schema in SCHEMAS.items()}


def as_an_editor_reads_it(text: str) -> Any:
    """Return a YAML text as a value of JSON, by the core schema of YAML 1.2; a list in a comparison stays a text."""
    root = read_nodes(text).root
    return None if root is None else plain(root)


def plain(node: Node) -> Any:
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    if isinstance(node, MapNode):
        return {key.value: plain(value) for key, value in node.pairs}
    if node.style is not None:
        return node.value
    if node.value in ("", "~", "null", "Null", "NULL"):
        return None
    if node.value.lower() in ("true", "false"):
        return node.value.lower() == "true"
    number = number_of(node.value)
    return node.value if number is None else number


def wrong(name: str, text: str) -> list[str]:
    """Return what the schema says of a file, one line a fault."""
    found = VALIDATORS[name].iter_errors(as_an_editor_reads_it(text))
    return [f"{'/'.join(map(str, each.absolute_path))}: {each.message[:200]}" for each in found]


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_by_its_own_dialect(name: str) -> None:
    schema = SCHEMAS[name]()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    written = json.dumps(schema)
    names = set(re.findall(r'"#/\$defs/([^"]+)"', written))
    assert names <= cast("dict[str, object]", schema["$defs"]).keys()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_fits(path: Path) -> None:
    name = "tests" if path.name.endswith(".tests.yaml") else "rules"
    assert wrong(name, path.read_text()) == []


def test_there_are_shipped_files() -> None:
    assert len(SHIPPED) > 15


@pytest.mark.parametrize("when", FINE)
def test_every_condition_that_compiles_fits(when: str) -> None:
    assert wrong("rules", f"handrail: 1\nrules:\n- id: r\n  why: x\n  when: {when}\n  then: continue\n") == []


# Codes of what stands in the structure of a file, not in its words, its names or in other files.
STRUCTURAL = {"R105", "R106", "R116", "R130", "R140", "R141", "R150"}


def structural(told: list[str]) -> bool:
    return any(re.search(rf": ({'|'.join(sorted(STRUCTURAL))}): ", fact) for fact in told)


@pytest.mark.parametrize("name", [name for name, row in REFUSED.items() if structural(row["told"])])
def test_what_is_wrong_in_the_structure_is_refused(name: str) -> None:
    text = REFUSED[name]["file"]
    # Where it is no YAML an editor says so without a schema.
    with contextlib.suppress(yaml.YAMLError):
        assert wrong("rules", text) != []


@pytest.mark.parametrize("name", [n for n, row in REFUSED_CONDITIONS.items() if structural(row["told"])])
def test_a_condition_of_the_wrong_shape_is_refused(name: str) -> None:
    when = REFUSED_CONDITIONS[name]["when"]
    assert wrong("rules", f"handrail: 1\nrules:\n- id: r\n  why: x\n  when: {when}\n  then: continue\n") != []


@settings(max_examples=150, deadline=None)
@given(mutated())
def test_what_the_compiler_takes_the_schema_takes(text: str) -> None:
    files, _ = compile_files({"f.yaml": text})
    if files is not None:
        assert wrong("rules", text) == []


def test_the_seed_of_the_mutations_fits() -> None:
    assert wrong("rules", SEED) == []


TESTED = files_or_raise({"f.yaml": "handrail: 1\nrules: [{id: r, why: x, when: confidence < 0.5, then: continue}]\n"})
CASES = """handrail_tests: 1
defaults: {channel: chat, customer: {tier: gold}}
cases:
  - name: one turn
    at: 2026-03-02T09:00Z
    message: hi
    confidence: 0.3
    tool_calls: [{name: pay, args: {n: 1}, amount: 3, status: ok}]
    expect: {verdict: continue, rules: r, topics: [], must_stop: false}
  - name: several
    turns:
      - {message: hi, expect: continue}
      - {after: 5m, message: 7, confidence: , expect: {rules: [r]}}
      - {claim: true}
      - {hand_back: {text: go on, may_retry: true, facts: {a: b}}, expect: {handoff: none}}
      - {timeout: true, expect: callback}
"""
WORDS = re.findall(r"\w+|\W", CASES)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_the_reader_of_test_files_takes_the_schema_takes(data: st.DataObject) -> None:
    words = list(WORDS)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(words) - 1))
        words[at] = data.draw(st.sampled_from(["", words[at] * 2, *WORDS[:40]]))
    text = "".join(words)
    if not read_case_files({"f.tests.yaml": text}, TESTED)[1]:
        assert wrong("tests", text) == []


def test_the_seed_of_the_test_files_is_read_and_fits() -> None:
    assert read_case_files({"f.tests.yaml": CASES}, TESTED)[1] == ()
    assert wrong("tests", CASES) == []


WRONG_TESTS = [
    "handrail_tests: 1\n",
    "handrail_tests: 2\ncases: [{name: a, message: hi, expect: continue}]\n",
    "handrail_tests: 1\ncases: []\n",
    "handrail_tests: 1\ncases: [{message: hi, expect: continue}]\n",
    "handrail_tests: 1\ncases: [{name: a, message: hi, expect: maybe}]\n",
    "handrail_tests: 1\ncases: [{name: a, message: hi, expect: {}}]\n",
    "handrail_tests: 1\ncases: [{name: a, mesage: hi, expect: continue}]\n",
    "handrail_tests: 1\ncases: [{name: a, turns: [{message: hi, claim: true}]}]\n",
    "handrail_tests: 1\ncases: [{name: a, turns: [{claim: false}]}]\n",
    "handrail_tests: 1\ncases: [{name: a, message: hi, confidence: high, expect: continue}]\n",
    "handrail_tests: 1\ncases: [{name: a, message: hi, after: 5, expect: continue}]\n",
]


@pytest.mark.parametrize("text", WRONG_TESTS)
def test_a_test_file_of_the_wrong_structure_is_refused(text: str) -> None:
    assert read_case_files({"f.tests.yaml": text}, TESTED)[1] != ()
    assert wrong("tests", text) != []


# Tables of files that are no rule files.
ELSEWHERE = ("OPERATORS_FILE_KEYS", "OPERATOR_KEYS", "HOURS_KEYS", "ABSENCE_KEYS")


def tables_of(module: object) -> list[KeyTable]:
    tables = {name: table for name, table in vars(module).items() if name.endswith("_KEYS") and isinstance(table, dict)}
    return [table for name, table in tables.items() if name not in ELSEWHERE]


@pytest.mark.parametrize(("name", "module"), [("rules", keys), ("tests", case_keys)])
def test_every_key_of_the_tables_is_in_its_schema_and_explained(name: str, module: object) -> None:
    schema = SCHEMAS[name]()
    explained = set(
        re.findall(r'"([\w-]+)": \{"description": "((?:[^"\\]|\\.)*)"', json.dumps(schema, ensure_ascii=False))
    )
    tables = tables_of(module)
    assert len(tables) > 8
    for table in tables:
        for spec in table.values():
            if name == "tests" or spec.name not in keys.CONDITION_KEYS:
                assert (spec.name, json.dumps(spec.about, ensure_ascii=False)[1:-1]) in explained


def test_every_kind_of_value_is_defined() -> None:
    defined = cast("dict[str, object]", SCHEMAS["rules"]()["$defs"])
    by_key = {"word", "words of", "map", "list", "true or map"}
    assert {kind.replace(" ", "_") for kind in get_args(ValueKind)} - {
        kind.replace(" ", "_") for kind in by_key
    } <= defined.keys()
    assert set(KINDS) <= set(get_args(ValueKind))


@pytest.mark.parametrize("comparison", [*comparison_examples(), *call_examples()])
def test_what_an_editor_offers_is_a_comparison(comparison: str) -> None:
    assert parse(comparison)
    assert re.search(COMPARISON_PATTERN, comparison)


def test_an_editor_offers_every_signal() -> None:
    assert {example.split()[0] for example in comparison_examples()} >= SIGNALS.keys()
    assert {example.split()[0] for example in call_examples()} >= CALL_SIGNALS.keys()


@pytest.mark.parametrize("written", ["90s", "1h30m", "1.5h", " 3d ", "500ms", "2w"])
def test_a_time_fits_its_pattern(written: str) -> None:
    assert re.search(DURATION_PATTERN, written)


@pytest.mark.parametrize("written", ["90", "s", "5 m", "1y", "-5m", "5m!"])
def test_no_time_does_not(written: str) -> None:
    assert not re.search(DURATION_PATTERN, written)


LIBRARY = ROOT / "rules" / "library"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_beside_the_library_is_the_codes_own(name: str) -> None:
    """When this fails: `handrail schema NAME > rules/library/NAME.schema.json`."""
    assert (LIBRARY / f"{name}.schema.json").read_text() == schema_text(name) + "\n"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_names_its_schema(path: Path) -> None:
    kind = "tests" if path.name.endswith(".tests.yaml") else "rules"
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text())
    assert named is not None
    assert (path.parent / named[1]).resolve() == LIBRARY / f"{kind}.schema.json"


SCALARS_FILE = """handrail: 1
topics:
  a: {source: $0, why: $1, phrases: [my card, $2], patterns: ['\\bfee', $3], unless: [$4]}
queues:
  q: {title: $5, answer_within: 15m, on_timeout: {verdict: callback, say: {en: $6}}, say: {en: $7}, needs: [$8]}
thresholds: {t: {value: 5, why: $9}}
rules:
  - {id: $10, why: $11, when: {any: [topics has a, turn_count > $t]}, then: {escalate: q, reason_code: $12}}
"""
SCALARS = [
    "true",
    "False",
    "5",
    "0.5",
    "-3",
    "null",
    "Null",
    "NULL",
    "~",
    "no",
    "1e3",
    "2026-01-01",
    "'true'",
    '""',
    "''",
]


@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize("slot", range(13))
def test_where_a_text_stands_the_schema_takes_the_scalars_that_check_takes(slot: int, scalar: str) -> None:
    words = {number: "words" for number in range(13)} | {slot: scalar}
    text = re.sub(r"\$(\d+)", lambda found: words[int(found[1])], SCALARS_FILE)
    refused = any(problem.severity == "error" for problem in compile_files({"f.yaml": text})[1])
    # What a text of no characters lacks only the compiler can say.
    assert bool(wrong("rules", text)) is refused or (refused and scalar in ('""', "''"))
