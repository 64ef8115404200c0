"""docs/session.md: a manager's day with rule files, recorded. Every command is run as it stands there.

`make session` (`python -m tests.docs.recorded_session`) writes the page anew; a test runs the session again and holds
the page against it, step by step.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from handrail_client import Handrail
from tests.ports import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "session.md"
RECORDED = ROOT.parent / "shared" / "data" / "tau.dev.jsonl.gz"
BIN = Path(sys.executable).parent
WAIT_S = 60
COMMAND_S = 120
AGENTS_CONVERSATIONS = 40
AGENTS_TURNS = 12

BROKEN = """\
handrail: 1
thresholds:
  late_change_turns: 8
rules:
  - id: late-change
    why: items that are changed so late mostly follow a misunderstanding
    when:
      all:
        - tool_call: {all: [name = modify_pending_order_items, status = proposed]}
        - turn_count >= $late_change_turn
    then: {hold: order_change, priority: hihg}
"""
MENDED = (
    BROKEN.replace("$late_change_turn\n", "$late_change_turns\n")
    .replace("order_change,", "order_changes,")
    .replace("hihg", "high")
)
MOVED = MENDED.replace("late_change_turns: 8", "late_change_turns: 12")
BROKEN_AGAIN = MOVED.replace("turn_count >=", "turn_cuont >=")
WRONG_TEST = """\
handrail_tests: 1
cases:
  - name: a change at the beginning is the agent's own to make
    turns:
      - {message: "The lamp I ordered is too bright, I would like the small one.", expect: continue}
      - {tool_calls: [{name: modify_pending_order_items, args: {item_ids: [lamp]}}], expect: {hold: order_changes}}
"""
RIGHT_TEST = WRONG_TEST.replace("expect: {hold: order_changes}}", "expect: continue}")
TYPED = """\
The lamp I ordered is too bright.
Yes, that order.
Do you have it in another size?
And in another colour?
Is the small one brighter?
How bright is it then?
No, the other one.
Let me think.
/after 2m
Sorry, I was away.
What did we say?
The small one, yes.
/tool modify_pending_order_items item_ids=lamp
Yes!
/save late-changes.tests.yaml "items that are changed after much talk wait for a person"
"""
# Its examples are other people's words, so this page ends before them.
WITHOUT_EXAMPLES = "sed '/^newly stopped for a person: /,$d'"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the manager does: what the page says of it, the files saved before, the commands typed then.

    `before` is what others do meanwhile, and what has to be waited for. `needs_data` steps only run beside the recorded
    conversations of the project's shared folder, which are not in this repository.
    """

    name: str
    about: str
    commands: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    before: Callable[[Desk], None] | None = None
    needs_data: bool = False


@dataclass(slots=True)
class Desk:
    """The manager's folder, and the services that run in it."""

    folder: Path
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HANDRAIL_")}
        path = os.pathsep.join([str(BIN), *os.get_exec_path()])
        return kept | {"PATH": path, "HANDRAIL_URL": self.url, "HANDRAIL_PORT": str(self.port), "COLUMNS": "120"}

    def serve(self, *words: str) -> None:
        """Start the service as the page tells, in place of the one before."""
        self.stop()
        with (self.folder.parent / "serve.log").open("ab") as log:
            command = [str(BIN / "handrail"), "serve", *words]
            self.processes.append(
                subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
            )
        wait_until(lambda: _status(f"{self.url}/readyz") == httpx.codes.OK, WAIT_S)

    def stop(self) -> None:
        """End the service that runs, if one does."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(WAIT_S)
        self.processes.clear()

    def get(self, path: str) -> Any:
        key = self.key("manager")
        answer = httpx.get(self.url + path, headers={"Authorization": f"Bearer {key}"}, timeout=WAIT_S)
        answer.raise_for_status()
        return answer.json()

    def key(self, role: str) -> str:
        found: dict[str, str] = json.loads((self.folder / ".handrail" / "keys.json").read_text())
        return found[role]

    def run(self, command: str) -> str:
        """Run a command as a shell does, and return what is printed, in the order in which it came."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def agents_at_work(desk: Desk) -> None:
    """Be forty customers and their agent: every second one has items changed at the end of a long talk."""
    with Handrail(desk.url, key=desk.key("agent"), on_unreachable="stop") as agent:
        for number in range(AGENTS_CONVERSATIONS):
            for turn in range(1, AGENTS_TURNS + 1):
                change = [{"name": "modify_pending_order_items", "args": {"item_ids": ["lamp"]}}]
                agent.should_escalate(
                    conversation_id=f"chat-{number}",
                    turn_id=str(turn),
                    message=f"About my lamp, part {turn} of the story.",
                    tool_calls=change if turn == AGENTS_TURNS and number % 2 else [],
                )


def in_shadow(desk: Desk) -> None:
    agents_at_work(desk)
    wait_until(lambda: desk.get("/rulesets/1/shadow")["judged"] >= AGENTS_CONVERSATIONS * AGENTS_TURNS, WAIT_S)


def from_directory(desk: Desk) -> None:
    desk.serve("--rules", "my-rules")


def refused(desk: Desk) -> None:
    wait_until(lambda: "rules" in httpx.get(f"{desk.url}/readyz").json(), WAIT_S)


def accepted(desk: Desk) -> None:
    wait_until(lambda: "rules" not in httpx.get(f"{desk.url}/readyz").json(), WAIT_S)


STEPS: tuple[Step, ...] = (
    Step(
        "a copy of the library",
        "The shipped rules are a beginning. The manager copies them to where they will be edited, and kept in git.",
        ("handrail init my-rules",),
    ),
    Step(
        "a rule of one's own, with mistakes",
        "Changes of what was ordered went wrong too often when they came late in a conversation, so they shall wait "
        "for a person. The first draft is typed in a hurry:",
        ("handrail check my-rules",),
        (("my-rules/late-changes.yaml", BROKEN),),
    ),
    Step(
        "mended by the messages",
        "Every mistake has its place, and what to write instead:",
        ("handrail check my-rules",),
        (("my-rules/late-changes.yaml", MENDED),),
    ),
    Step(
        "replayed on history",
        "Is 8 the right number? `conversations.jsonl.gz` are the 350 recorded conversations of airline and retail "
        "agents that [the airline and retail page](airline-retail.md) is about, with a label that says where a person "
        "was needed. The service runs in another terminal (`handrail serve`), and `active` are the rules that it "
        "decides with. The list of examples that follows is left out here: it quotes customers.",
        (f"handrail replay my-rules conversations.jsonl.gz --against active | {WITHOUT_EXAMPLES}",),
        needs_data=True,
    ),
    Step(
        "the number moved",
        "Two of three would have been stopped for nothing. With 12 it is every second one, and nearly all that were "
        "rightly stopped still are:",
        ("handrail replay my-rules conversations.jsonl.gz --against active | grep -A 1 'of all'",),
        (("my-rules/late-changes.yaml", MOVED),),
        needs_data=True,
    ),
    Step(
        "tried by hand",
        "Now a conversation with the new rules. These lines are typed (they stand in `talk.txt`), and at the end the "
        "conversation is saved as a test:",
        ("handrail try --rules my-rules --at 2026-03-02T09:00 < talk.txt | tail -n 17",),
        (("talk.txt", TYPED),),
    ),
    Step(
        "a test that fails",
        "The other half of a rule is what it leaves alone. The manager writes that test by hand, and expects the wrong "
        "thing; the answer says what came, and why:",
        ("handrail test my-rules/early.tests.yaml",),
        (("my-rules/early.tests.yaml", WRONG_TEST),),
    ),
    Step(
        "all tests pass",
        "A change at the beginning goes on, so that is what the test should say. With it every test of the directory "
        "passes, those of the library too:",
        ("handrail test my-rules",),
        (("my-rules/early.tests.yaml", RIGHT_TEST),),
    ),
    Step(
        "and the whole set on history",
        "What all the rules together would have done with those conversations, leaving out the ones that stay quiet:",
        ("handrail replay my-rules conversations.jsonl.gz | grep -v -e ' quiet ' -e NO_MATCHING_DATA",),
        needs_data=True,
    ),
    Step(
        "pushed",
        "The manager pushes the directory to the service as a version. Nothing decides by it yet:",
        (
            'handrail push my-rules -m "late changes of an order wait for a person"',
            "handrail diff active 1",
        ),
    ),
    Step(
        "in shadow",
        "In shadow the version judges every turn beside the active rules and decides none. Meanwhile the agents talk "
        "with forty customers, of whom twenty have something changed in the end:",
        ("handrail stage 1 --shadow",),
    ),
    Step(
        "what the shadow saw",
        "All of them would have been held, and nothing else would have changed:",
        ("handrail shadow 1 --limit 2",),
        before=in_shadow,
    ),
    Step(
        "for one conversation in ten",
        "Now it decides a tenth of the conversations, always the same ones:",
        ("handrail stage 1 --rollout 10%",),
    ),
    Step(
        "for all",
        "After a quiet day it decides all of them:",
        ("handrail activate 1", "handrail history"),
    ),
    Step(
        "and back",
        "The people at `order_changes` are overrun the next morning. One step takes it back, in every process within a "
        "second; the version stays, and everything that was done is on record:",
        ("handrail rollback", "handrail history --steps"),
    ),
    Step(
        "the other way to run",
        "A small team may not want versions at all. With `handrail serve --rules my-rules` the directory decides, and "
        "every save counts. A broken one does not: the rules before go on, and the service says so to whoever asks.",
        ('curl -s "$HANDRAIL_URL/readyz"',),
        (("my-rules/late-changes.yaml", BROKEN_AGAIN),),
        before=refused,
    ),
    Step(
        "mended while it serves",
        "Saved again without the mistakes, it decides within a second:",
        ('curl -s "$HANDRAIL_URL/readyz"',),
        (("my-rules/late-changes.yaml", MOVED),),
        before=accepted,
    ),
)
SERVED_BEFORE: dict[str, Callable[[Desk], None]] = {
    "replayed on history": Desk.serve,
    "the other way to run": from_directory,
}

INTRODUCTION = """\
# A session

A manager takes the shipped rules, adds one, proves it, and lets it decide step by step, without an engineer. Everything
below was recorded by running it: `make session` writes this page anew, and a test runs the session again and holds the
page against it (times, ids and speeds apart).
"""


def record(folder: Path, *, with_data: bool) -> Iterator[tuple[Step, str]]:
    """Run the session in a folder and yield each step with its block of the page, empty where its data are not here."""
    desk = Desk(folder / "work", free_port())
    desk.folder.mkdir()
    if with_data:
        (desk.folder / "conversations.jsonl.gz").symlink_to(RECORDED)
    try:
        for step in STEPS:
            begin = SERVED_BEFORE.get(step.name)
            if begin is not None:
                begin(desk)
            shown = []
            for name, text in step.files:
                (desk.folder / name).write_text(text)
                kind = "text" if name.endswith(".txt") else "yaml"
                shown.append(f"```{kind}\n# {name}\n{text}```\n")
            if step.before is not None:
                step.before(desk)
            if step.needs_data and not with_data:
                yield step, ""
                continue
            for command in step.commands:
                shown.append(f"```console\n$ {command}\n{desk.run(command).rstrip()}\n```\n")
            yield step, "\n".join(shown)
    finally:
        desk.stop()


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder whose path is short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="hr-") as place:
        yield Path(place)


CHANGING: tuple[tuple[str, str], ...] = (
    (r"\b(dec|hof)_[0-9a-f]_?[0-9a-f]+", r"\1_…"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?( UTC)?", "‹moment›"),
    (r'"(since_)?at_ms":\d+', r'"\1at_ms":‹moment›'),
    (r"\b[0-9a-f]{12,64}\b", "‹hash›"),
    (r"\b[\d,.]+ (turns a second|ms\b)", r"‹speed› \1"),
    # How large the library is today is no part of the story; what it decides is.
    (r"\b\d+ (files|rules|topics|queues|tests passed)", r"‹count› \1"),
    (r"\b\d+ of \d+ cases passed, \d+ turns", "‹count› cases passed"),
    (r"\b\d+ +\d+ pass\b", "‹count› pass"),
)


def without_what_changes(text: str) -> str:
    """Return the text with times, ids, hashes and speeds replaced, and spaces folded: columns are as wide as these."""
    for pattern, instead in CHANGING:
        text = re.sub(pattern, instead, text)
    return re.sub(r"  +", "  ", text)


def page(blocks: list[tuple[Step, str]]) -> str:
    parts = [INTRODUCTION]
    for number, (step, block) in enumerate(blocks, start=1):
        parts.append(f"## {number}. {step.name[0].upper()}{step.name[1:]}\n\n{wrapped(step.about)}\n\n{block}")
    return "\n".join(parts)


def wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False))


def _status(url: str) -> int:
    try:
        return httpx.get(url).status_code
    except httpx.TransportError:
        return 0


def main() -> None:
    """Write the page; the recorded conversations have to be there."""
    assert RECORDED.exists(), f"{RECORDED} is not here: the page would lack a step"
    with folder() as place:
        PAGE.write_text(page(list(record(place, with_data=True))))


if __name__ == "__main__":
    main()
