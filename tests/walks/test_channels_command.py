"""`handrail channels` as its user types it, against a real service with real workers."""

from __future__ import annotations

from pathlib import Path

import pytest
from standardwebhooks import Webhook

from service.cli.channels import _last_try
from tests.service.cli_run import handrail
from tests.walks.served import Served, turn
from tests.walks.test_telling import RULES
from tests.workers.mail_server import MailServer
from tests.workers.receiver import Receiver

pytestmark = [pytest.mark.server, pytest.mark.walk]


def test_a_manager_adds_tries_lists_and_removes(tmp_path: Path) -> None:
    address = tmp_path / "address.txt"
    with Receiver() as room, MailServer() as post, Served(tmp_path, rules_text=RULES) as served:
        where = ("--url", served.url, "--key", served.keys["manager"])
        address.write_text(room.url("/ok/secret") + "\n")
        added = handrail("channels", "add", "on-call", "--slack-file", str(address), "--gather", "0s", *where)
        leads = f"http://127.0.0.1:{room.port}/…"
        assert added.stdout.strip() == f"on-call tells {leads}; `handrail channels test on-call` tries it"
        mail = ("--mail-to", "ana@shop.example", "--mail-from", "h@shop.example", "--language", "es")
        smtp = ("--smtp", f"localhost:{post.port}", "--smtp-security", "none", "--quiet", "22:00-07:00")
        assert handrail("channels", "add", "mail", *mail, *smtp, *where).exit_code == 0
        tried = handrail("channels", "test", "on-call", *where)
        assert (tried.exit_code, tried.stdout.strip()) == (0, "on-call: taken: answered 200")
        told = handrail("channels", "test", "mail", *where).stdout.splitlines()
        # The receiver of this test logs into the same stream where logs were set up before.
        assert told[-1] == "mail: taken: answered 250"
        assert post.got[0][1]["Subject"].endswith("Esto es una prueba del canal mail. Nadie espera.")
        address.write_text(room.url("/status/404"))
        handrail("channels", "add", "gone", "--slack-file", str(address), *where)
        refused = handrail("channels", "test", "gone", *where)
        assert (refused.exit_code, refused.stdout.strip()) == (1, "gone: not taken: answered 404")
        listed = handrail("channels", "list", *where)
        assert listed.exit_code == 0
        assert "secret" not in listed.stdout
        assert handrail("channels", "remove", "gone", *where).stdout.strip() == "gone is no channel any more"
        assert handrail("channels", "remove", "gone", *where).exit_code == 2
        hook = served.post("/webhooks", {"url": room.url("/ok/hook"), "events": ["webhook.*"]})
        assert handrail("channels", "add", "on-call", "--webhook", hook["id"], "--gather", "0s", *where).exit_code == 0
        served.post("/should-escalate", turn("chat-1"), "agent")
        (got,) = [
            each
            for each in room.wait_for(lambda all_got: any("hook" in g.path for g in all_got))
            if "hook" in each.path
        ]
        body = Webhook(hook["secret"]).verify(got.body, got.headers)
        assert (body["type"], body["data"]["count"]) == ("handrail.channel.message", 1)
        told = body["data"]["handoffs"][0]
        assert (told["queue"], told["why"], told["occasion"]) == ("tier1", "the agent is unsure", "opened")
        assert told["link"].startswith(f"{served.url}/open/{told['handoff_id']}?tenant=default&exp=")


@pytest.mark.parametrize(
    ("fact", "failures", "rests_until_at_ms", "said"),
    [
        (None, 0, None, ""),
        ("answered 200", 0, None, "answered 200"),
        ("answered 500", 3, None, "answered 500, 3 times in a row"),
        ("answered 429", 1, 1_795_263_300_000, "answered 429; left alone until 12:15:00 UTC"),
        ("answered 500", 7, 1_795_263_300_000, "answered 500, 7 times in a row; left alone until 12:15:00 UTC"),
    ],
)
def test_the_list_says_what_came_of_the_last_try_and_until_when_nothing_is_tried(
    fact: str | None, failures: int, rests_until_at_ms: int | None, said: str
) -> None:
    told = {"last_fact": fact, "failures_in_a_row": failures, "rests_until_at_ms": rests_until_at_ms}
    assert _last_try(told) == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "x"), "a channel has one way to tell people"),
        (("add", "x", "--slack", "http://a", "--webhook", "b"), "a channel has one way to tell people"),
        (("add", "x", "--mail-to", "a@b.c"), "mail needs a server and a sender"),
        (("add", "x", "--slack", "http://a", "--gather", "soon"), "`--gather` is `soon`, which is no time"),
        (("add", "x", "--slack-file", "/nowhere/at/all"), "/nowhere/at/all: cannot be read"),
    ],
)
def test_what_cannot_be_is_said_before_anybody_is_asked(words: tuple[str, ...], said: str) -> None:
    told = handrail("channels", *words, "--key", "k")
    assert told.exit_code == 2
    assert said in told.stderr
