"""`handrail try`: a conversation typed line by line, what it shows, what it refuses, and the test it leaves behind."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.cli import trying
from service.cli.try_commands import COMMANDS, Command, Done, run
from service.cli.try_rules import DirectoryRules
from service.cli.try_session import Mistake, Session
from tests.service.cli_run import RULES, handrail, rules_in

AT = "2026-03-02T09:00"
DECLARED = RULES + "signals:\n  mood: {type: number, why: x}\ncustomer:\n  region: {type: text, why: x}\n"
MOODY = "  - {id: moody, why: x, when: {any: [mood > 5, customer.region = eu]}, then: {review: desk}}\n"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return rules_in(tmp_path / "rules")


def tried(rules: Path, *lines: str, code: int = 0) -> str:
    result = handrail("try", "--rules", str(rules), "--at", AT, stdin="".join(f"{line}\n" for line in lines))
    assert result.exit_code == code, result.output
    return result.output


def steps(rules: Path, *lines: str) -> list[dict[str, object]]:
    """Return the steps as a program reads them."""
    typed = "".join(f"{line}\n" for line in lines)
    result = handrail("try", "--rules", str(rules), "--at", AT, "--json", stdin=typed)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_conversation_shows_verdict_words_checks_and_what_nearly_fired(rules: Path) -> None:
    assert tried(rules, "# a comment", "", "/confidence 0.52", "hello", "/locale es-MX", "mi abogado", "¿hola?") == (
        "> /confidence 0.52\n"
        "the next turn has confidence 0.52\n"
        "> hello\n"
        "continue\n"
        "no rule fired\n"
        "nearly: unsure-twice (escalate)\n"
        "  streak(confidence < $low) >= 2, but streak(confidence < $low) is 0: 2 below 2; "
        "this turn's confidence is 0.52, 0.02 above the threshold\n"
        "nearly: long-talk (review)\n"
        "  turn_count >= 4, but turn_count is 1: 3 below 4\n"
        "nearly: legal (escalate)\n"
        "  topics has legal, but topics is []\n"
        "\n"
        "> /locale es-MX\n"
        "the customer's locale from now on: es-MX\n"
        "> mi abogado\n"
        "escalate to queue `desk`, priority high; reply and tool calls must wait\n"
        "say: Un momento.\n"
        "\n"
        "legal: escalate, a lawyer was named\n"
        "  because topics has legal\n"
        "    `abogado` in the message, characters 3 to 10\n"
        "nearly: long-talk (review)\n"
        "  turn_count >= 4, but turn_count is 2: 2 below 4\n"
        "nearly: unsure-twice (escalate)\n"
        "  streak(confidence < $low) >= 2, but streak(confidence < $low) is 0: 2 below 2\n"
        "nearly: no-such-signal (review)\n"
        "  sentiment < -0.95, but sentiment is unknown\n"
        "waits in `desk` until Mon 09:15:30, then callback: /hand-back, /resolve or /timeout ends that\n"
        "\n"
        "> ¿hola?\n"
        "held_by_human; reply and tool calls must wait\n"
        "say: Un compañero se está ocupando y le responderá aquí.\n"
        "no rule fired\n"
        "nearly: long-talk (review)\n"
        "  turn_count >= 4, but turn_count is 3: 1 below 4\n"
        "nearly: legal (escalate)\n"
        "  topics has legal, but topics is []\n"
        "nearly: unsure-twice (escalate)\n"
        "  streak(confidence < $low) >= 2, but streak(confidence < $low) is 0: 2 below 2\n"
        "waits in `desk` until Mon 09:15:30, then callback: /hand-back, /resolve or /timeout ends that\n"
        "\n"
    )


def test_the_fence_ends_with_a_hand_back_a_resolve_or_the_deadline(rules: Path) -> None:
    fenced = ("my lawyer", "well?")
    for ended in ("/hand-back", "/resolve 2m", "/after 20m", "/timeout"):
        *_, before, moved, after = steps(rules, *fenced, ended, "thanks")
        assert (before["verdict"], after["verdict"]) == ("held_by_human", "continue"), ended
        # A person who comes leaves nothing open; a deadline that promised a call leaves the call.
        left = moved["handoff"] and (moved["handoff"]["state"], moved["handoff"]["kind"])  # type: ignore[index]  # JSON
        assert left == (("waiting", "review") if ended in ("/after 20m", "/timeout") else None)
    *_, moved, after = steps(rules, *fenced, "/timeout", "thanks")
    assert moved["timed_out"] == {"verdict": "callback", "queue": None, "say": "later"}
    assert "nobody came in time: callback, say: later\nit is Mon 09:15:00\n" in tried(rules, *fenced, "/timeout")
    assert "an operator of `desk` has it" in tried(rules, *fenced, "/claim", "well?")


def test_what_is_set_for_a_turn_counts_once_and_what_is_set_for_all_stays(rules: Path) -> None:
    first, second = steps(rules, "/tool pay write=true amount_usd=300 order=A-1", "pay it", "pay it")
    assert (first["verdict"], second["verdict"]) == ("hold", "continue")
    assert [rule["id"] for rule in first["rules"]] == ["big-write"]  # type: ignore[attr-defined]  # JSON
    first, second = steps(rules, "/confidence 0.2", "a", "/confidence 0.2", "/reply Of course.", "/send")
    assert (first["verdict"], second["verdict"]) == ("continue", "escalate")


def test_undo_takes_back_one_step_and_reset_all_of_them(rules: Path) -> None:
    told = steps(rules, "my lawyer", "well?", "/undo", "/undo", "hello", "/reset", "my lawyer")
    assert [step["verdict"] for step in told] == ["escalate", "held_by_human", "continue", "escalate"]
    assert [step["step"] for step in told] == [1, 2, 1, 1]


def test_declared_signals_and_attributes_are_read_as_they_are_declared(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules", DECLARED.replace("signals:", MOODY + "signals:", 1))
    assert [step["verdict"] for step in steps(rules, "/signal mood 7", "a", "b")] == ["review", "continue"]
    assert [step["verdict"] for step in steps(rules, "/customer region=eu", "a", "b")] == ["review", "review"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/confidnce 0.4", "there is no command /confidnce\n       did you mean `confidence`?"),
        ("/confidence high", "confidence is a number from 0 to 1\n       as /confidence 0.9"),
        ("/confidence 1.5", "confidence is a number from 0 to 1\n       as /confidence 0.9"),
        ("/sentiment -2", "sentiment is a number from -1 to 1\n       as /sentiment 0.4"),
        ("/topic legall", "the rules know no topic `legall`\n       did you mean `legal`?"),
        ("/signal mood 3", "the rules declare no signal `mood`\n       declared signals: none"),
        ("/customer colour=red", "customers have no `colour`\n       known: id, tier"),
        ("/tool", "this needs the name of a tool\n       as /tool issue_refund amount_usd=300 write=true"),
        ("/tool pay amount_usd=lots", "`amount_usd` is a number of dollars\n       as amount_usd=300"),
        ("/tool pay x", "`x` is no `name=value`\n       as /tool issue_refund amount_usd=300 order_id=A-1"),
        ('/tool pay note="x', 'a quote is opened and not closed\n       as /tool pay note="two words"'),
        (
            "/locale spanish",
            "`spanish` is no locale\n       write the tag of a language, as /locale es or /locale es-MX",
        ),
        ("/after soon", "`soon` is no span of time\n       as 90s, 10m, 2h or 3d"),
        ("/at noon", "`noon` is no moment\n       as /at 2026-03-02T22:15"),
        ("/hand-back", "/hand-back cannot be done: no handoff is open"),
        ("/undo", "nothing has happened yet"),
        ("/undo 3", "/undo stands alone\n       type /undo"),
        ("/send", "the turn says nothing\n       type what the customer writes, or /reply or /tool first"),
        ("/save x.yaml", "a file of tests ends in `.tests.yaml`\n       type /save x.tests.yaml"),
        ("/save x.tests.yaml", "there is no turn to save yet\n       type what a customer writes first"),
        ("/packet", "there was no handoff yet, so nobody reads a packet"),
    ],
)
def test_a_line_that_cannot_be_done_ends_a_script_with_its_number_and_what_to_type(
    rules: Path, line: str, told: str
) -> None:
    result = handrail("try", "--rules", str(rules), stdin=f"# first\n{line}\nhello\n")
    assert result.exit_code == 2
    assert result.stderr == f"error: line 2: {told}\n"


def test_a_message_may_begin_with_a_stroke(rules: Path) -> None:
    assert "> //etc/hosts\ncontinue\n" in tried(rules, "//etc/hosts")


def test_a_conversation_is_saved_as_a_test_that_passes_and_a_second_one_below_it(rules: Path) -> None:
    file = rules / "mine.tests.yaml"
    told = tried(
        rules, "my lawyer", '/save mine.tests.yaml "a lawyer is named"', "/undo", "hi", "/save mine.tests.yaml two"
    )
    assert told.count(f"saved as a test that passes: {file}\n") == 2
    assert file.read_text() == (
        "handrail_tests: 1\n"
        "cases:\n"
        "  - name: a lawyer is named\n"
        "    at: 2026-03-02T09:00:00Z\n"
        "    turns:\n"
        '      - {message: my lawyer, expect: {escalate: desk, priority: high, rules: [legal], say: "One moment."}}\n'
        "  - name: two\n"
        "    at: 2026-03-02T09:00:00Z\n"
        "    turns:\n"
        "      - {message: hi, expect: continue}\n"
    )
    assert handrail("test", str(rules)).exit_code == 0
    again = handrail("try", "--rules", str(rules), stdin="hi\n/save mine.tests.yaml two\n")
    assert again.stderr == (
        f"error: line 2: {file} has a case `two` already\n       give another name after the file's\n"
    )


def test_a_test_that_is_saved_where_none_is_run_says_so(rules: Path) -> None:
    away = rules.parent / "away.tests.yaml"
    below = rules / "more" / "mine.tests.yaml"
    told = tried(
        rules, "hi", f"/save {away} one", f"/save {below} two", f"/save {rules}/../rules/three.tests.yaml three"
    )
    assert f"saved as a test that passes: {away}\n" in told
    assert told.count("it lies outside") == 1
    assert f"it lies outside {rules}, so `handrail test {rules}` does not run it\n" in told


def test_a_file_that_cannot_be_added_to_is_left_as_it_was(rules: Path) -> None:
    text = "handrail_tests: 1\ncases:\n- {name: one, message: hi, expect: continue}\ndefaults: {channel: chat}\n"
    (rules / "odd.tests.yaml").write_text(text)
    result = handrail("try", "--rules", str(rules), stdin="hi\n/save odd.tests.yaml two\n")
    assert result.exit_code == 2
    assert "cannot be added to" in result.stderr
    assert (rules / "odd.tests.yaml").read_text() == text


def test_an_edit_of_the_rules_is_taken_over_and_told_and_a_broken_one_is_not(rules: Path) -> None:
    session = Session(DirectoryRules(rules), 1_772_442_000_000)
    run(session, "/confidence 0.6")
    run(session, "hello")
    assert session.reload() is None
    (rules / "rules.yaml").write_text(
        RULES.replace("streak(confidence < $low) >= 2", "confidence < $low").replace("0.5", "0.7")
    )
    reloaded = session.reload()
    assert reloaded is not None
    assert (reloaded.fault, reloaded.changes) == (None, ((1, "continue", "escalate"),))
    (rules / "rules.yaml").write_text(RULES.replace("confidence", "confidense"))
    broken = session.reload()
    assert broken is not None
    assert str(broken.fault).startswith(f"{rules}/rules.yaml:18:18: R101: unknown signal `confidense`")
    # The fence stands as the rules before have it.
    told = run(session, "still there?").told
    assert told is not None
    assert told.found["verdict"] == "held_by_human"


def test_a_conversation_without_end_is_bounded(rules: Path) -> None:
    session = Session(DirectoryRules(rules), 1_772_442_000_000)
    for _ in range(200):
        run(session, "/after 1s")
    with pytest.raises(Mistake, match="a conversation has 200 steps at most"):
        run(session, "hello")


def test_help_shows_every_command_as_it_is_typed(rules: Path) -> None:
    told = tried(rules, "/help", "/help tool")
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {re.escape(command.usage)} +{re.escape(command.about)}$", told, re.MULTILINE), name
        assert command.usage.split()[0] == f"/{name}"
    assert "  /tool issue_refund amount_usd=300\n  a call of the next turn" in told


def test_broken_rules_are_shown_before_anything_is_asked(tmp_path: Path) -> None:
    rules = rules_in(tmp_path / "rules", RULES.replace("confidence <", "confidense <"))
    result = handrail("try", "--rules", str(rules), stdin="hello\n")
    assert result.exit_code == 2
    assert "R101: unknown signal `confidense`" in result.stderr
    assert result.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_at_a_terminal_it_greets_goes_on_after_a_mistake_and_leaves_at_the_end(rules: Path) -> None:
    import pty

    master, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "service", "try", "--rules", str(rules)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | {"TERM": "dumb", "COLUMNS": "200"},
    ) as process:
        os.close(terminal)
        told = b""

        def until(words: bytes) -> None:
            nonlocal told
            while words not in told:
                told += os.read(master, 65_536)

        until(b"> ")
        os.write(master, b"/nonsense\n")
        until(b"there is no command /nonsense; /help shows them")
        told = b""
        os.write(master, b"my lawyer\n")
        until(b"escalate to queue `desk`")
        os.write(master, b"/quit\n")
        assert process.wait(60) == 0
    os.close(master)


def test_init_copies_the_library_and_writes_over_nothing(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    result = handrail("init", str(mine))
    assert result.exit_code == 0
    assert re.match(rf"{mine}: \d+ files, \d+ rules\nnext: ", result.stdout)
    assert handrail("check", str(mine)).exit_code == 0
    assert handrail("test", str(mine)).exit_code == 0
    again = handrail("init", str(mine))
    assert again.exit_code == 2
    assert again.stderr.endswith(" already\n       give the name of a new directory\n")
    (tmp_path / "file").write_text("")
    refused = handrail("init", str(tmp_path / "file"))
    assert refused.stderr == f"error: {tmp_path}/file is no directory\n       give the name of a new one\n"


def test_nothing_that_is_typed_ends_the_session_with_a_traceback(rules: Path, tmp_path: Path) -> None:
    session = Session(DirectoryRules(rules), 0)
    run(session, "my lawyer")
    (rules / "dir.tests.yaml").mkdir()
    (rules / "latin.tests.yaml").write_bytes(b"handrail_tests: 1\n# caf\xe9\ncases:\n")
    (tmp_path / "file").touch()
    for line, fact in (
        ("/save dir.tests.yaml x", "dir.tests.yaml cannot be read: Is a directory"),
        ("/save latin.tests.yaml x", "latin.tests.yaml cannot be read: it is not UTF-8"),
        ("/save /proc/q/x.tests.yaml x", "/proc/q/x.tests.yaml cannot be written: "),
        (
            f"/save {tmp_path}/file/x.tests.yaml x",
            "x.tests.yaml cannot be (read: Not a directory|written: File exists)",
        ),
        (f"/save {'x' * 300}.tests.yaml x", "cannot be (read|written): File name too long"),
        ("/save \0.tests.yaml x", "cannot be (read|written): .*null"),
        ("/at 9999-12-31T23:59", "between the years 1970 and 2200"),
        ("/at 1600-01-01", "between the years 1970 and 2200"),
        ("/at 0001-01-01T00:00+14:00", "0001-01-01T00:00.14:00` is no moment|between the years"),
        ("/pressure desk 9999999999999999999999%", ""),
        ("/tool x note='", "a quote is opened"),
    ):
        before = (session.case, session.played)
        with pytest.raises(Mistake) as refused:
            run(session, line)
        assert re.search(fact, refused.value.fact), (line, refused.value.fact)
        assert (session.case, session.played) == before
    run(session, "/at 2199-12-31T23:00")
    with pytest.raises(Mistake, match="between the years 1970 and 2200"):
        run(session, "/after 3d")
    assert run(session, "/save good.tests.yaml x").line.startswith("saved as a test that passes")
    (rules / "dir.tests.yaml").rmdir()
    (rules / "latin.tests.yaml").unlink()
    tested = handrail("test", str(rules))
    assert tested.exit_code == 0, tested.output


def test_a_test_is_added_behind_what_stands_there_byte_by_byte(rules: Path) -> None:
    session = Session(DirectoryRules(rules), 0)
    run(session, "my lawyer")
    run(session, "/save good.tests.yaml one")
    path = rules / "good.tests.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
    before = path.read_bytes()
    run(session, "/save good.tests.yaml two")
    assert path.read_bytes().startswith(before + b"\n")
    assert path.read_text(encoding="utf-8").count("  - name: ") == 2


def test_a_fault_of_one_line_is_told_and_the_next_line_goes_on(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(session: Session, given: str) -> Done:
        raise RuntimeError("who could know")

    monkeypatch.setitem(COMMANDS, "broken", Command("/broken", "fails", broken))
    lines = iter(["my lawyer", "/broken", "x" * 100_001, "/undo"])

    def typed_line(prompt: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    shown: list[str] = []
    monkeypatch.setattr(trying, "say", lambda text="", **_: shown.append(text))
    monkeypatch.setattr(trying, "note", shown.append)
    monkeypatch.setattr("builtins.input", typed_line)
    monkeypatch.setattr("sys.stdin", _Terminal())
    trying.try_rules(str(rules))
    told = "that could not be done (RuntimeError: who could know); the conversation is kept, /save writes it down"
    assert told in shown
    assert "a line of more than 100000 characters; a message has 32,768 at most" in shown
    assert "taken back; 0 steps left" in shown
    monkeypatch.undo()
    monkeypatch.setitem(COMMANDS, "broken", Command("/broken", "fails", broken))
    piped = handrail("try", "--rules", str(rules), stdin="my lawyer\n/broken\n")
    assert piped.exit_code == 2
    assert "error: line 2: that could not be done (RuntimeError: who could know)" in piped.output


def test_a_handoff_that_is_sent_on_waits_there_and_is_saved_so(rules: Path) -> None:
    queue = "{answer_within: 5m, on_timeout: {verdict: deny, say: {en: No.}}, say: {en: Wait.}}"
    (rules / "more.yaml").write_text(f"handrail: 1\nqueues: {{other: {queue}}}\n", encoding="utf-8")
    session, other = Session(DirectoryRules(rules), 0), "other"
    run(session, "my lawyer")
    for line, fact in (("/transfer nowhere", "no queue `nowhere`"), ("/transfer", "no queue ``")):
        with pytest.raises(Mistake, match=fact):
            run(session, line)
    told = run(session, f"/transfer {other}").told
    assert told is not None
    assert (told.found["handoff"]["queue"], told.found["handoff"]["state"]) == (other, "waiting")
    run(session, "/save sent.tests.yaml x")
    assert f"transfer: {other}" in (rules / "sent.tests.yaml").read_text(encoding="utf-8")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
