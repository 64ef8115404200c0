"""`handrail push | history | diff | stage | shadow | approve | activate | rollback`, as a manager types them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.cli_run import BROKEN, RULES, as_json, handrail, rules_in
from tests.walks.served import Served

pytestmark = pytest.mark.walk

TESTS = """\
handrail_tests: 1
cases:
  - name: a lawyer is named
    message: my lawyer will call you
    expect: {escalate: desk}
"""
OWN = "the service's own rules"
WAIT_S = 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("cli-versions"), rules="", work="false") as served:
        yield served


class Manager:
    """Somebody at a terminal: runs commands against the service."""

    def __init__(self, service: Served, key: str | None = None) -> None:
        self.service = service
        self.env = {"HANDRAIL_URL": service.url, "HANDRAIL_DATA_DIR": str(service.data_dir)}
        self.env |= {"HANDRAIL_API_KEY": key} if key else {}

    def says(self, *words: str, code: int = 0) -> list[str]:
        """Run a command, and return what it prints, line by line, without moments, hashes and the width of columns."""
        done = handrail(*words, env=self.env)
        assert done.exit_code == code, done.output
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "NOW", done.stdout)
        return re.sub(r"(?<=\S) {2,}", "  ", re.sub(r"\b[0-9a-f]{12}\b", "HASH", text)).splitlines()

    def refused(self, *words: str, code: int = 2) -> list[str]:
        """Run a command that is refused, and return what it says to stderr."""
        done = handrail(*words, env=self.env)
        assert (done.exit_code, done.stdout) == (code, ""), done.output
        return done.stderr.splitlines()

    def told(self, *words: str) -> Any:
        """Run a command with --json, and return its answer."""
        done = handrail(*words, "--json", env=self.env)
        assert done.exit_code == 0, done.output
        return as_json(done)

    def ask(self, conversation_id: str, message: str) -> Any:
        turn = {"conversation_id": conversation_id, "turn_id": "1", "message": message, "confidence": 0.9}
        return self.service.post("/should-escalate", turn)


def as_somebody(service: Served, name: str) -> Manager:
    made = service.post("/keys", {"name": name, "role": "manager"})
    return Manager(service, made["token"])


def test_a_version_goes_its_way_and_comes_back(service: Served, tmp_path: Path) -> None:
    mia = as_somebody(service, "mia")
    assert mia.says("history") == [
        'no version yet; `handrail push DIR -m "what changed"` makes one',
        f"{OWN} decide: no version is active",
    ]
    mine = rules_in(tmp_path / "mine")
    (mine / "rules.tests.yaml").write_text(TESTS)
    assert mia.says("push", str(mine), "-m", "the first") == [
        "version 1: 5 rules, HASH",
        "  1 test passed",
        "  it decides nothing yet: `handrail diff active 1` shows what it would change,",
        "  `handrail stage 1 --shadow` tries it, `handrail activate 1` lets it decide",
    ]
    assert mia.says("push", str(mine), "-m", "again")[:2] == [
        "these files are version 1 already, pushed by mia NOW",
        "  a version never changes, so it keeps its message: the first",
    ]
    assert mia.says("activate", "1") == [
        "version 1 decides every turn from now on (HASH)",
        f"  `handrail rollback` returns to {OWN}",
    ]
    assert mia.says("activate", "1") == ["version 1 decides already"]
    known = "these files are version 1 already, pushed by mia NOW"
    assert mia.says("push", str(mine), "-m", "the first") == [
        known,
        "  1 test passed",
        "  it is active: it decides every turn",
    ]
    rules_in(mine, RULES.replace("low: 0.5", "low: 0.6").replace("lawyer, abogado", "lawyer, abogado, court"))
    assert mia.says("diff", "active", str(mine)) == [
        f"version 1 → {mine}",
        "only stricter: 2 stricter",
        "",
        "stricter: a person is asked more often, has more say, or is to come sooner",
        "  legal fires more often: the topic legal is found in more texts",
        "  unsure-twice fires more often: low 0.5 → 0.6",
        "",
        "thresholds",
        "  low 0.5 → 0.6: unsure-twice fires more often",
        "",
        "topics",
        "  legal: found in more texts; new phrases: “court”",
    ]
    mia.says("push", str(mine), "-m", "unsure earlier, and courts")
    assert mia.told("diff", "1", "2")["overall"] == "stricter"
    assert mia.says("stage", "2", "--shadow") == [
        "version 2 is in shadow: it judges every turn and decides none",
        "  `handrail shadow 2` shows where it differs, `handrail stage 2 --rollout 10%` goes on",
    ]
    assert mia.says("shadow", "2") == [
        "version 2 is in shadow and has judged no turn yet: none has come since",
    ]
    seen_in_shadow(mia)
    assert mia.says("push", str(mine), "-m", "unsure earlier, and courts")[-1] == (
        "  it is in shadow: `handrail shadow 2` shows where it differs, `handrail activate 2` lets it decide"
    )
    assert mia.says("stage", "2", "--rollout", "10%") == [
        "version 2 decides 10% of the conversations, always the same ones",
        "  raise it with --rollout, let it decide all with `handrail activate 2`, or `handrail rollback`",
    ]
    assert mia.says("history")[1].split()[:4] == ["2", "rollout", "10%", "mia"]
    assert mia.says("push", str(mine), "-m", "unsure earlier, and courts")[-1] == (
        "  it decides 10% of the conversations, and `handrail activate 2` lets it decide all of them"
    )
    assert mia.says("rollback") == [
        "version 2 is taken back: its rollout has ended, and the rules of version 1 decide all"
    ]
    mia.says("activate", "2")
    assert mia.refused("rollback", "--expect", "1") == [
        "error: version 2 would be taken back, not version 1 (`rulesets_moved`)",
        "       look at `handrail history` or GET /rulesets, and decide again",
    ]
    assert mia.says("rollback") == ["version 2 is taken back: the rules of version 1 decide again"]
    assert mia.says("rollback") == [f"version 1 is taken back: {OWN} decide again"]
    assert mia.says("push", str(mine), "-m", "unsure earlier, and courts")[-2:] == [
        "  it decided, and was taken back: `handrail diff active 2` shows what it would change,",
        "  `handrail stage 2 --shadow` tries it, `handrail activate 2` lets it decide",
    ]
    assert mia.refused("rollback") == [
        "error: no version was active before (`nothing_before`)",
        "       activate the version that you want with `handrail activate VERSION`",
    ]
    assert [line.split("mia")[1].strip() for line in mia.says("history", "--steps")[1:4]] == [
        "rolled back version 1  0 decides",
        "rolled back version 2  1 decides",
        "activated version 2  in place of 1",
    ]
    assert mia.says("history") == [
        "version  state  author  pushed  rules  tests  hash  message",
        "      2  rolled back  mia  NOW  5  1 pass  HASH  unsure earlier, and courts",
        "      1  rolled back  mia  NOW  5  1 pass  HASH  the first",
        f"{OWN} decide: no version is active",
    ]


def seen_in_shadow(mia: Manager) -> None:
    """Ask two turns on which version 2 differs once, and read what the command says of it."""
    mia.ask("shadow-1", "hello")
    differing = mia.ask("shadow-2", "see you in court")["decision_id"]
    until = time.monotonic() + WAIT_S
    while mia.told("shadow", "2")["judged"] < 2:
        assert time.monotonic() < until, "the version in shadow judges nothing"
        time.sleep(0.05)
    assert mia.says("shadow", "2") == [
        "version 2 judged 2 turns from NOW to NOW",
        "  as the active version: 0.50 (1 of 2, 95 % 0.09 to 0.91)",
        "  stricter than the active version: 0.50 (1 of 2, 95 % 0.09 to 0.91)",
        "",
        "rules that fired on other turns",
        "rule  more  fewer",
        "legal  1  0",
        "",
        "the latest turns that differ",
        "when  verdict  rules  decision",
        f"NOW  continue → escalate  +legal  {differing}",
        "",
        "go on with `handrail stage 2 --rollout 10%`, or `handrail activate 2`",
    ]


def test_a_second_person_stands_behind_what_asks_for_it(service: Served, tmp_path: Path) -> None:
    ada, ben = as_somebody(service, "ada"), as_somebody(service, "ben")
    mine = rules_in(tmp_path / "mine", RULES.replace("handrail: 1", "handrail: 1\napprovals: 2"))
    number = str(ada.told("push", str(mine), "-m", "two persons")["version"])
    again = ("push", str(mine), "-m", "two persons")
    asked = f"`handrail stage {number} --shadow` tries it, "
    approved = f"`handrail activate {number}` lets it decide"
    assert ada.says(*again)[-1] == f"  {asked}once a second person ran `handrail approve {number}`, {approved}"
    assert ada.refused("activate", number) == [
        f"error: version {number} needs the approval of a second person (`approval_missing`)",
        f"       a manager or admin other than `ada`, who pushed it, approves it with `handrail approve {number}`",
    ]
    assert ada.refused("approve", number) == [
        f"error: version {number} was pushed by `ada`, and nobody approves their own version (`own_approval`)",
        "       another manager or admin approves it, with a key of their own",
    ]
    assert "pushed, needs a second person  ada" in ada.says("history")[1]
    assert ben.says("approve", number) == [
        f"version {number} of ada is approved by ben",
        f"  `handrail activate {number}` lets it decide",
    ]
    assert "pushed, approved by ben  ada" in ada.says("history")[1]
    assert ada.says(*again)[-1] == f"  {asked}{approved}"
    ada.says("activate", number)
    # What would take the place of such rules needs a second person too, whatever it says itself.
    eased = rules_in(tmp_path / "eased", RULES.replace("low: 0.5", "low: 0.51"))
    assert (
        f"once a second person ran `handrail approve {int(number) + 1}`" in ada.says("push", str(eased), "-m", "x")[-1]
    )
    assert "(`approval_missing`)" in ada.refused("activate", str(int(number) + 1))[0]
    # Nor is going back the way around it: what is told is what the service asks for.
    ada.says("rollback")
    assert (
        f"once a second person ran `handrail approve {int(number) + 1}`" in ada.says("push", str(eased), "-m", "x")[-1]
    )
    assert "pushed, needs a second person  ada" in ada.says("history")[1]
    assert "(`approval_missing`)" in ada.refused("activate", str(int(number) + 1))[0]


def test_a_service_on_a_directory_keeps_what_is_pushed_and_advises_no_step(tmp_path: Path) -> None:
    mine = rules_in(tmp_path / "mine")
    with Served(tmp_path, work="false") as service:
        said = Manager(service).says("push", str(mine), "-m", "kept")
        assert said[-2:] == [
            "  it is kept, and decides nothing: this service decides with a directory of rule files (`--rules`)",
            "  edit the files there; without `--rules` versions can be staged and activated",
        ]
        assert "(`file_mode`)" in Manager(service).refused("activate", "1")[0]


def test_a_message_is_one_line_and_forges_no_other(service: Served, tmp_path: Path) -> None:
    mia = as_somebody(service, "mia-2")
    mine = rules_in(tmp_path / "mine", RULES.replace("low: 0.5", "low: 0.52"))
    pushed = mia.told("push", str(mine), "-m", "a\n  9  active  x\r\n\tb")
    assert pushed["message"] == "a 9 active x b"
    rows = [line for line in mia.says("history") if "9 active x" in line]
    assert [row.split()[0] for row in rows] == [str(pushed["version"])]
    assert "holds a character that cannot be shown" in mia.refused("push", str(mine), "-m", "a\x1b[2K")[0]


def test_what_has_errors_or_failing_tests_is_shown_as_check_and_test_show_it(service: Served, tmp_path: Path) -> None:
    mia = as_somebody(service, "eve")
    broken = rules_in(tmp_path / "broken", BROKEN)
    told = mia.refused("push", str(broken), "-m", "broken", code=1)
    assert told[0] == f"{broken}/rules.yaml:5:11: R101: unknown signal `sentimant`"
    assert told[-2:] == [
        "error: the rule files cannot be used",
        "       correct what is shown above; `handrail check` shows it again",
    ]
    failing = rules_in(tmp_path / "failing", RULES + "# failing\n")
    (failing / "rules.tests.yaml").write_text(TESTS.replace("escalate: desk", "hold: desk"))
    told = mia.says("push", str(failing), "-m", "failing", code=1)
    number = re.findall(r"version (\d+)", told[0])[0]
    assert told[1:] == [
        "  1 of 1 tests failed, so it can be neither staged nor activated",
        f"  `handrail test {failing}` shows them",
    ]
    told = mia.refused("activate", number)
    assert told[:5] == [
        f"1 of 1 tests of version {number} fails",
        "  rules.tests.yaml:3: `a lawyer is named`",
        "",
        "rules.tests.yaml:5:13: `a lawyer is named`, turn 1",
        "      expected verdict hold",
    ]
    assert told[-2:] == [
        f"error: 1 of 1 tests of version {number} fails (`tests_failed`)",
        "       mend the rules or the tests and push again; `handrail test` shows the same",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("push", "nowhere", "-m", " "), "error: the message is empty"),
        (("stage", "1"), "error: give one of --shadow, --rollout PERCENT and --withdraw"),
        (("stage", "1", "--rollout", "0%"), "error: `--rollout` is no share from 1% to 100%"),
        (("stage", "99", "--shadow"), "error: there is no version 99 (`version_unknown`)"),
        (("shadow", "99"), "error: there is no version 99 (`version_unknown`)"),
        (("diff", "99", "active"), "error: there is no version 99 (`version_unknown`)"),
        (("diff", "active", "staged"), "error: no version is staged"),
        (("history", "--url", "nowhere"), "error: `--url` is no address of a service"),
        (("history", "--key", "wrong"), "error: no key like this was made, or it was revoked (`key_unknown`)"),
        (("history", "--url", "http://127.0.0.1:1"), "error: no answer from http://127.0.0.1:1: "),
        (("history", "--url", "https://handrail.invalid"), "error: no API key for https://handrail.invalid"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(service: Served, words: tuple[str, ...], said: str) -> None:
    assert Manager(service).refused(*words)[0].startswith(said)


def test_two_directories_need_no_service(tmp_path: Path) -> None:
    one = rules_in(tmp_path / "one")
    other = rules_in(tmp_path / "other", RULES.replace("turn_count >= 4", "turn_count >= 3"))
    done = handrail("diff", str(one), str(other), env={"HANDRAIL_URL": "http://127.0.0.1:1"})
    assert done.stdout.splitlines()[1:] == [
        "only stricter: 1 stricter",
        "",
        "stricter: a person is asked more often, has more say, or is to come sooner",
        "  long-talk fires more often: `turn_count >= 4` → `turn_count >= 3`",
    ]
    assert handrail("diff", str(one), str(one)).stdout.splitlines()[1] == "nothing differs"


def test_what_answers_and_is_no_handrail_is_told(service: Served) -> None:
    # The embedded server's own port answers nothing; a page of another kind is what a proxy would send.
    page = httpx.get(f"{service.url}/docs")
    assert page.headers["content-type"].startswith("text/html")
    manager = Manager(service)
    manager.env["HANDRAIL_URL"] = f"{service.url}/docs?"
    assert manager.refused("history")[0].endswith("and not as Handrail does")


@pytest.mark.parametrize("given", ["one", "0", "-1", "1.5", "9" * 10, "٣"])
@pytest.mark.parametrize("command", ["stage", "approve", "activate", "shadow"])
def test_a_version_is_a_number_and_anything_else_is_told_in_our_own_words(command: str, given: str) -> None:
    told = handrail(command, "--", given)
    assert told.exit_code == 2
    assert f"`{given}` is no version; write its number, as `handrail history` shows it" in " ".join(told.stderr.split())


def test_what_the_service_alone_finds_wrong_is_shown_and_ends_like_a_check(service: Served, tmp_path: Path) -> None:
    mia = as_somebody(service, "zoe")
    wrong = rules_in(tmp_path / "wrong", RULES + "# wrong tests\n")
    (wrong / "rules.tests.yaml").write_text(TESTS.replace("escalate: desk", "escalate: dekc"))
    told = mia.refused("push", str(wrong), "-m", "wrong", code=1)
    assert told[0].startswith("rules.tests.yaml:5:")
    assert told[-2].startswith("error: the test files have 1 error")
