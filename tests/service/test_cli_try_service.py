"""`handrail try --url`: what a running service decides by is tried, and looks as the same files in a directory do."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from rules.cases.values import TurnStep
from rules.trial import NOWHERE
from rules.turn import AgentRef, Customer, Parent, ToolCall, TopicScore, Turn
from service.api.draft_bodies import TryBody as Body
from service.api.draft_bodies import TryStepBody, steps_of
from service.cli import trying
from service.cli.service_client import Service
from service.cli.try_bodies import step_body
from service.cli.try_commands import run
from service.cli.try_rules import Mistake, ServiceRules
from service.cli.try_session import Session
from tests.service.cli_run import RULES, handrail, rules_in
from tests.walks.served import Served

pytestmark = pytest.mark.walk

AT = "2026-03-02T09:00"
AT_MS = 1_772_442_000_000
MORE = """\
handrail: 1
signals:
  mood: {type: number, why: x}
  words: {type: set, why: x}
customer:
  region: {type: text, why: x}
queues:
  other: {answer_within: 5m, on_timeout: {verdict: deny, say: {en: "No."}}, say: {en: "Wait."}}
  busy:
    answer_within: 5m
    on_timeout: {verdict: deny, say: {en: "No."}}
    say: {en: "Wait."}
    budget: {minutes: 10, over: 1h}
rules:
  - id: moody
    why: x
    when: {any: [mood > 5, words has gold, customer.region = eu]}
    then: {escalate: busy}
    when_busy: [{over: 100%, then: review}]
"""
LINES = (
    *("/confidence 0.52", "hello", "/signals", "/topic legal", "what?", "/locale es-MX", "mi abogado", "¿hola?"),
    *("/transfer other", "/claim", "/release", "/claim", "/lapse", "/packet", "/hand-back 2m", "thanks"),
    *("/signal mood 7", "/sentiment -0.2", "a", "/hand-back", "/signal words gold,red", "b", "/hand-back"),
    *("/customer region=eu tier=gold id=c-1", "c", "/resolve", "/pressure busy 150%", "d", "/agent bot 4.2"),
    *("/channel voice", "/after 20m", "/undo", "/tool pay write=true amount_usd=300 order=A-1 n=3", "/source faq"),
    *("/reply Of course.", "/send", "/timeout", "e", "/reset", "my lawyer", "/timeout", "thanks", "/help tool"),
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("cli-try"), rules="", work="false") as served:
        yield served


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (rules_in(tmp_path / "rules") / "more.yaml").write_text(MORE)
    return tmp_path / "rules"


def env(service: Served) -> dict[str, str]:
    return {"HANDRAIL_DATA_DIR": str(service.data_dir)}


def pushed(service: Served, rules: Path, message: str = "x") -> int:
    texts = {path.name: path.read_text() for path in rules.glob("*.yaml")}
    number = service.post("/rulesets", {"files": texts, "message": message})["version"]
    return int(number)


def opened(service: Served, version: int | None = None) -> Session:
    keys = json.loads((service.data_dir / "keys.json").read_text())
    return Session(ServiceRules(Service(service.url, keys["manager"]), version), AT_MS)


def test_every_command_shows_the_same_as_with_a_directory(service: Served, rules: Path) -> None:
    number = pushed(service, rules)
    typed = "".join(f"{line}\n" for line in LINES)
    for options in (("--at", AT), ("--at", AT, "--json"), ("--at", AT, "--conversation", "c-7")):
        here = handrail("try", "--rules", str(rules), *options, stdin=typed)
        there = handrail("try", "--url", service.url, "--rules", str(number), *options, stdin=typed, env=env(service))
        assert here.exit_code == there.exit_code == 0, there.output
        assert there.stdout == here.stdout
        assert "moody asked for escalate" in here.stdout or '"to": "review"' in here.stdout


def test_what_is_active_is_tried_and_an_activation_is_told(service: Served, rules: Path) -> None:
    number = pushed(service, rules, "first")
    service.post(f"/rulesets/{number}/activate", {})
    session = opened(service)
    assert session.rules.title == f"{service.url}, version {number}"
    assert session.names.rules == 6
    run(session, "/confidence 0.6")
    run(session, "hello")
    assert session.reload() is None
    changed = RULES.replace("streak(confidence < $low) >= 2", "confidence < $low").replace("0.5", "0.7")
    (rules / "rules.yaml").write_text(changed)
    following = pushed(service, rules, "second")
    assert session.reload() is None
    service.post(f"/rulesets/{following}/activate", {})
    reloaded = session.reload()
    assert reloaded is not None
    assert reloaded.what == f"other rules decide there now, version {following}"
    assert reloaded.changes == ((1, "continue", "escalate"),)
    # A version that was named stays the one that is tried.
    assert opened(service, number).rules.title == f"{service.url}, version {number}"
    typed = "hello\n"
    named = handrail("try", "--rules", "active", stdin=typed, env=env(service) | {"HANDRAIL_URL": service.url})
    assert named.exit_code == 0, named.output
    for back in (following, number):
        service.post("/rulesets/rollback", {"expect": back})
    own = opened(service)
    assert own.rules.title == f"{service.url}, the service's own rules"
    assert own.names.rules > 50


def test_a_conversation_is_saved_here_and_passes_there(
    service: Served, rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(service, pushed(service, rules))
    monkeypatch.chdir(tmp_path)
    run(session, "my lawyer")
    run(session, "/transfer other")
    assert run(session, "/save mine.tests.yaml one").line == "saved as a test that passes: mine.tests.yaml"
    run(session, "/save mine.tests.yaml two")
    (rules / "mine.tests.yaml").write_bytes((tmp_path / "mine.tests.yaml").read_bytes())
    tested = handrail("test", str(rules))
    assert tested.exit_code == 0, tested.output
    with pytest.raises(Mistake) as refused:
        run(session, "/save mine.tests.yaml one")
    assert refused.value.fact == "mine.tests.yaml has a case `one` already"
    text = "handrail_tests: 1\ncases:\n- {name: one, message: hi, expect: continue}\ndefaults: {channel: chat}\n"
    (tmp_path / "odd.tests.yaml").write_text(text)
    with pytest.raises(Mistake) as refused:
        run(session, "/save odd.tests.yaml two")
    assert refused.value.fact.startswith("odd.tests.yaml cannot be added to: odd.tests.yaml:5:3: R110: not YAML")
    assert (tmp_path / "odd.tests.yaml").read_text() == text


def test_what_the_service_refuses_is_told_and_the_conversation_is_kept(service: Served, rules: Path) -> None:
    session = opened(service, pushed(service, rules))
    run(session, "my lawyer")
    before = (session.case, session.played)
    for line, fact in (
        ("x" * 33_000, "is longer than 32768 characters"),
        ("/after 400d", "is no span of time"),
        ("/transfer nowhere", "the rules have no queue `nowhere`"),
    ):
        with pytest.raises(Mistake, match=fact):
            run(session, line)
        assert (session.case, session.played) == before
    gone = Session(_Gone(session), AT_MS)
    with pytest.raises(Mistake, match=r"no answer from http://127\.0\.0\.1:9"):
        run(gone, "hello")
    assert gone.reload() is None


class _Gone(ServiceRules):
    """The rules of a service that went away after the conversation had begun."""

    def __init__(self, session: Session) -> None:
        assert isinstance(session.rules, ServiceRules)
        self._left = 1
        self._there = session.rules
        self._rules, self._decides = {}, (1, "")
        self._service = Service("http://127.0.0.1:9", "hr_key")

    def _post(self, what: str, body: object) -> object:
        self._left -= 1
        return self._there._post(what, body) if self._left >= 0 else super()._post(what, body)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ("--url", "http://127.0.0.1:9", "--rules", "my-rules", "--key", "k"),
            "error: --rules my-rules is a directory, and --url a service\n"
            "       leave out one, or name a version with --rules\n",
        ),
        (
            ("--url", "http://127.0.0.1:9", "--key", "k"),
            "error: no answer from http://127.0.0.1:9: [Errno 111] Connection refused\n"
            "       is `handrail serve` running there? name another address with --url or HANDRAIL_URL\n",
        ),
        (("--url", "https://example.com"), "error: no API key for https://example.com\n"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_anything_is_asked(options: tuple[str, ...], told: str) -> None:
    result = handrail("try", *options, stdin="hello\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(told)


def test_no_such_version_and_none_staged_are_told(service: Served) -> None:
    for name, told in (("99", "there is no version 99 (`version_unknown`)"), ("staged", "no version is staged")):
        result = handrail("try", "--url", service.url, "--rules", name, stdin="hello\n", env=env(service))
        assert (result.exit_code, result.stdout) == (2, "")
        assert told in result.stderr


def test_at_a_terminal_it_says_what_is_tried(service: Served, rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = pushed(service, rules)
    shown: list[str] = []
    monkeypatch.setattr(trying, "say", lambda text="", **_: shown.append(text))
    monkeypatch.setattr("builtins.input", lambda _: "/quit")
    monkeypatch.setattr("sys.stdin", _Terminal())
    monkeypatch.setenv("HANDRAIL_DATA_DIR", str(service.data_dir))
    trying.try_rules(str(number), url=service.url)
    assert shown == [f"{service.url}, version {number}: 6 rules. Type what a customer writes; /help shows the rest."]


def test_a_turn_says_the_same_after_its_way_through_a_body() -> None:
    turn = Turn(
        conversation_id="c",
        turn_id="turn-1",
        agent=AgentRef("bot", "4", "p"),
        channel="chat",
        locale="es",
        customer=Customer("c-1", "gold", {"region": "eu", "age": 41}),
        message="hi",
        reply="hello",
        confidence=0.5,
        topics=(TopicScore("a"), TopicScore("b", 0.5)),
        sentiment=-0.5,
        tool_calls=(ToolCall("pay", {"n": 1}, True, 3.5, "error", "no", "out"), ToolCall("look")),
        sources=(),
        signals={"mood": 3, "words": frozenset({"x", "y"})},
        parent=Parent("triage", "c-0", "turn-9"),
    )
    body = step_body(TurnStep(NOWHERE, 5, turn, pressures={"desk": 120}))
    (read,) = steps_of(Body(steps=[TryStepBody.model_validate_json(json.dumps(body))]))
    assert isinstance(read, TurnStep)
    assert (read.after_ms, read.pressures) == (5, {"desk": 120})
    left_out = {"conversation_id", "turn_id"}
    for field in fields(Turn):
        if field.name not in left_out:
            assert getattr(read.turn, field.name) == getattr(turn, field.name), field.name


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
