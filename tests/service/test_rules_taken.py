"""What file mode takes and what it refuses of rule files that can be read: the same at the start as at an edit."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.compile.rule_files import files_or_raise
from rules.files.errors import RuleFileInvalid
from rules.model import RuleFiles
from service import last_good, settings
from service.clock import now_ms
from service.rule_files import RulesUnreadable
from service.rules_at_start import AtStart, rules_at_start
from service.rules_loss import LINES_LOGGED_MAX, TOLD_MS, after
from service.rules_taken import NamedByTests, taken
from tests.service.api_service import RULES

NOW = 1_800_000_000_000
UNSURE = """  - id: unsure
    why: the agent is unsure
    when: confidence < $low_confidence
    then: {review: later}
"""
CUT = RULES[: RULES.index(UNSURE)]
TESTS = """handrail_tests: 1
cases:
  - {name: an unsure agent, confidence: 0.1, message: hi, expect: {rules: [unsure]}}
"""
HERE = Path("rules")
GONE = "rules/a.tests.yaml:3:76: R170: unknown rule `unsure`"


def of(text: str) -> RuleFiles:
    return files_or_raise({"a.yaml": text})


@pytest.fixture
def whole() -> RuleFiles:
    return of(RULES)


@pytest.mark.parametrize("text", ["handrail: 1\n", "handrail: 1\nrules:\n", RULES[: RULES.index("rules:")]])
@pytest.mark.parametrize("known", [True, False])
def test_files_without_any_rule_are_refused_whatever_decided_before(whole: RuleFiles, text: str, known: bool) -> None:
    with pytest.raises(RulesUnreadable) as refused:
        taken({"a.yaml": text}, HERE, whole if known else None)
    assert str(refused.value) == (
        "rules: no file here holds a rule; put the rules there, or write `rules: []` to decide without any"
    )


def test_no_rule_is_taken_where_it_is_written_out(whole: RuleFiles) -> None:
    found = taken({"a.yaml": "handrail: 1\nrules: []\n"}, HERE, whole)
    assert found.files.rules == ()
    assert found.lost.said == "4 rules that asked for a person are gone"


def test_a_cut_file_is_refused_while_the_tests_beside_it_name_what_is_gone(whole: RuleFiles) -> None:
    with pytest.raises(NamedByTests) as refused:
        taken({"a.yaml": CUT, "a.tests.yaml": TESTS}, HERE, whole)
    assert str(refused.value).splitlines()[0] == GONE
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize("tests", [{}, {"a.tests.yaml": TESTS.replace("rules: [unsure]", "verdict: continue")}])
def test_a_cut_file_is_taken_and_told_where_no_test_names_what_is_gone(whole: RuleFiles, tests: dict[str, str]) -> None:
    found = taken({"a.yaml": CUT, **tests}, HERE, whole)
    assert next(iter(found.lost.lines())) == (
        "unsure: removed: it asked for a review in later when `confidence < $low_confidence`"
    )


@pytest.mark.parametrize(
    "tests",
    [
        # Written before its rule, or never mended.
        TESTS.replace("[unsure]", "[not-yet]"),
        # Nothing of it speaks of the rules.
        "handrail_tests: 1\ncases: [\n",
        TESTS.replace("expect:", "expects:"),
    ],
)
def test_what_tests_had_wrong_before_keeps_no_edit_from_deciding(whole: RuleFiles, tests: str) -> None:
    assert taken({"a.yaml": CUT, "a.tests.yaml": tests}, HERE, whole).lost.count
    assert not taken({"a.yaml": RULES, "a.tests.yaml": tests}, HERE, whole).lost.count


def test_a_rule_with_another_name_waits_for_its_tests(whole: RuleFiles) -> None:
    renamed = RULES.replace("id: unsure", "id: not-sure")
    with pytest.raises(NamedByTests):
        taken({"a.yaml": renamed, "a.tests.yaml": TESTS}, HERE, whole)
    mended = TESTS.replace("[unsure]", "[not-sure]")
    assert not taken({"a.yaml": renamed, "a.tests.yaml": mended}, HERE, whole).lost.count


def test_what_is_broken_is_told_at_a_place_that_an_editor_can_open(whole: RuleFiles) -> None:
    with pytest.raises(RuleFileInvalid) as refused:
        taken({"a.yaml": RULES.replace("confidence <", "confidense <"), "a.tests.yaml": TESTS}, HERE, whole)
    assert str(refused.value).startswith("rules/a.yaml:")
    assert not isinstance(refused.value, NamedByTests)


def test_a_loss_stands_until_it_is_put_back_or_a_day_is_over(whole: RuleFiles) -> None:
    cut, less = of(CUT), of(RULES.replace(UNSURE, "").replace("  low_confidence: 0.5\n", ""))
    told = after(None, whole, less, NOW)
    assert told is not None
    assert (told.since_at_ms, told.lost.count) == (NOW, 1)
    # Another edit neither puts it back nor is told as a second loss; a second loss is told with the first.
    other = after(told, less, of(RULES.replace(UNSURE, "").replace("0.5\n", "0.6\n")), NOW + 1)
    assert other == told
    both = after(told, less, cut, NOW + 2)
    assert both is not None
    assert (both.since_at_ms, both.lost.count) == (NOW + 2, 2)
    assert after(both, cut, whole, NOW + 3) is None
    assert (told.told_at(NOW + TOLD_MS - 1), told.told_at(NOW + TOLD_MS)) == (True, False)
    # What was lost the day before is as it is now.
    assert after(told, less, less, NOW + TOLD_MS) is None
    assert after(None, cut, whole, NOW) is None


def test_more_losses_than_one_reads_are_counted() -> None:
    head = RULES[: RULES.index("rules:")] + "rules:\n"
    rule = "  - {{id: r{0}, why: w, when: turn_count > {0}, then: {{escalate: tier1}}}}\n"
    many, one = (of(head + "".join(rule.format(n) for n in range(count))) for count in (LINES_LOGGED_MAX + 4, 1))
    told = after(None, many, one, NOW)
    assert told is not None
    lines = told.lines(LINES_LOGGED_MAX)
    assert (len(lines), lines[-1]) == (LINES_LOGGED_MAX + 1, "and 3 more")
    assert len(told.lines()) == LINES_LOGGED_MAX + 3


class Directory:
    """A directory of rules, and the data of the service that decides with it."""

    def __init__(self, folder: Path) -> None:
        self.rules = folder / "rules"
        self.rules.mkdir()
        self.data = folder / "data"

    def start(self, text: str | None = None, tests: str | None = None) -> AtStart:
        if text is not None:
            (self.rules / "a.yaml").write_text(text)
        if tests is not None:
            (self.rules / "a.tests.yaml").write_text(tests)
        return rules_at_start(settings.load(data_dir=self.data, rules=self.rules))


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def test_a_start_without_any_rule_is_refused_or_decides_with_what_was_good(directory: Directory) -> None:
    with pytest.raises(RulesUnreadable) as refused:
        directory.start("handrail: 1\n")
    assert refused.value.fact == "no file here holds a rule"
    assert directory.start(RULES).refused is None
    begun = directory.start("handrail: 1\n")
    assert isinstance(begun.refused, RulesUnreadable)
    assert begun.texts == {"a.yaml": RULES}


def test_a_start_with_a_cut_file_whose_tests_name_what_is_gone_decides_with_what_was_good(
    directory: Directory,
) -> None:
    assert directory.start(RULES, TESTS).loss is None
    begun = directory.start(CUT)
    assert isinstance(begun.refused, NamedByTests)
    assert (begun.texts, begun.loss, begun.unmet) == ({"a.yaml": RULES}, None, ())
    # What was kept is still what was good.
    assert directory.start().refused is not None
    mended = directory.start(CUT, TESTS.replace("rules: [unsure]", "verdict: continue"))
    assert mended.refused is None
    assert mended.loss is not None
    assert next(iter(mended.loss.lost.lines())).startswith("unsure: removed")
    again = directory.start()
    assert (again.refused, again.loss) == (None, mended.loss)


def test_a_first_start_knows_of_no_loss_and_tells_what_tests_miss(directory: Directory) -> None:
    begun = directory.start(CUT, TESTS)
    assert (begun.refused, begun.loss, begun.texts) == (None, None, {"a.yaml": CUT})
    assert [problem.code for problem in begun.unmet] == ["R170"]
    assert directory.start().unmet == ()


def test_what_was_kept_without_any_rule_decides_nothing(directory: Directory) -> None:
    last_good.keep(directory.data, directory.rules, {"a.yaml": "handrail: 1\n"}, NOW)
    with pytest.raises(RulesUnreadable):
        directory.start("handrail: 1\n# edited\n")


SECOND = """  - {id: second, why: w, when: turn_count > 3, then: {escalate: tier1}}
"""
FEWER = RULES.replace(UNSURE, "")


def news(begun: AtStart) -> list[str]:
    return [] if begun.loss is None else [line.split(":")[0] for line in begun.loss.lost.lines()]


def test_what_an_edit_took_away_is_told_over_starts_until_it_is_back(directory: Directory) -> None:
    directory.start(RULES + SECOND)
    first = directory.start(FEWER + SECOND)
    assert first.loss is not None
    assert news(first) == ["unsure"]
    for _ in range(3):
        again = directory.start()
        assert again.loss == first.loss
        assert again.loss.texts == {"a.yaml": RULES + SECOND}
    # A second loss is told with the first, whichever start it is that finds it.
    both = directory.start(FEWER)
    assert both.loss is not None
    assert sorted(news(both)) == ["second", "unsure"]
    assert directory.start().loss == both.loss
    assert news(directory.start(FEWER + SECOND)) == ["unsure"]
    # A broken edit puts nothing back.
    assert news(directory.start("handrail: 1\n")) == ["unsure"]
    assert directory.start(RULES + SECOND).loss is None
    assert directory.start().loss is None
    kept = last_good.find(directory.data, directory.rules)
    assert kept is not None
    assert kept.before is None


def kept_with(directory: Directory, text: str, since_at_ms: int) -> None:
    """Keep the cut file as good, and this text as what decided until then."""
    before = last_good.Before({"a.yaml": text}, since_at_ms)
    last_good.keep(directory.data, directory.rules, {"a.yaml": FEWER}, now_ms(), before)


def test_a_start_tells_of_a_loss_for_the_rest_of_its_day(directory: Directory) -> None:
    # An hour is left of it; and what a clock that was set back says is of today.
    for since_at_ms, told in (
        (now_ms() - TOLD_MS + 3_600_000, True),
        (now_ms() - TOLD_MS, False),
        (2 * now_ms(), True),
    ):
        kept_with(directory, RULES, since_at_ms)
        begun = directory.start(FEWER)
        assert news(begun) == (["unsure"] if told else [])
        assert begun.loss is None or begun.loss.since_at_ms <= now_ms()
        kept = last_good.find(directory.data, directory.rules)
        assert kept is not None
        assert (kept.before is not None) is told


def test_files_before_that_this_version_cannot_read_are_told_of_no_more(directory: Directory) -> None:
    kept_with(directory, "handrail: 2\n", now_ms())
    begun = directory.start(FEWER)
    assert (begun.refused, begun.loss) == (None, None)
