"""The operations and webhooks pages say what the code does: their tables are held equal, their blocks run."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from standardwebhooks import Webhook

from service.flows import tries, webhooks
from service.flows.webhook_events import EVENTS
from service.store import embedded, server_binary, server_files
from service.store.embedded import start_or_attach

DOCS = Path(__file__).parents[2] / "docs"
OPERATIONS = (DOCS / "operations.md").read_text()
WEBHOOKS = (DOCS / "webhooks.md").read_text()


def test_the_backup_it_shows_can_be_started_from() -> None:
    (script,) = re.findall(r"<<'END'\n(.*?)^END$", OPERATIONS, re.MULTILINE | re.DOTALL)
    with tempfile.TemporaryDirectory(prefix="hr-") as place:
        data_dir, backup = Path(place) / "data", Path(place) / "backup"
        with start_or_attach(data_dir) as running, redis.Redis.from_url(running.url) as server:
            server.set("kept", "yes")
            subprocess.run([sys.executable, "-c", script, str(data_dir), str(backup)], check=True)
            assert server.config_get("auto-aof-rewrite-percentage") == {"auto-aof-rewrite-percentage": "100"}
            server.set("kept", "too late")
        with start_or_attach(backup) as restored, redis.Redis.from_url(restored.url) as server:
            assert server.get("kept") == b"yes"


def test_every_code_of_a_failed_start_has_a_next_step() -> None:
    told = set(re.findall(r"`([a-z_]+)`", OPERATIONS.split("## What it says when it cannot start")[1]))
    sources = "".join(Path(str(module.__file__)).read_text() for module in (embedded, server_binary, server_files))
    # Names of log lines look the same as codes, and stand right after the call that writes them.
    raised = set(re.findall(r'(?<!error\()(?<!warning\()"((?:server|data|socket|disk)_[a-z_]+)"', sources))
    assert raised <= told, raised - told


def test_the_events_are_those_of_the_table() -> None:
    kinds = "|".join(sorted({name.split(".")[0] for name in EVENTS}))
    rows = dict(re.findall(rf"^\| `((?:{kinds})\.[a-z_]+)` \| (.+) \|$", WEBHOOKS, re.MULTILINE))
    assert rows == dict(EVENTS)


def test_the_retries_are_those_of_the_table() -> None:
    names = {5_000: "5 s", 30_000: "30 s", 120_000: "2 min", 600_000: "10 min", 1_800_000: "30 min"}
    words = [names.get(each) or f"{each // 3_600_000} h" for each in tries.RETRY_AFTER_MS]
    assert f"{', '.join(words[:-1])} and {words[-1]} later" in " ".join(WEBHOOKS.split())
    assert f"nine tries in {sum(tries.RETRY_AFTER_MS) / 3_600_000:.1f} hours" in WEBHOOKS
    assert f"at most {webhooks.ENDPOINTS_MAX} webhooks" in WEBHOOKS


def test_the_receiver_it_shows_takes_an_event_once() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", WEBHOOKS, re.DOTALL)
    space: dict[str, object] = {}
    exec(code, space)
    receive = space["receive"]
    assert callable(receive)
    secret = webhooks.new_secret()
    # The first one is a whole event; another shows a field of one.
    body, *_ = re.findall(r"```json\n(.*?)```", WEBHOOKS, re.DOTALL)
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "evt_5f1c0a9be2d34768a0c1d2e3",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_5f1c0a9be2d34768a0c1d2e3", now, body),
    }
    seen: set[str] = set()
    taken = [receive(secret, headers, body.encode(), seen) for _ in range(2)]
    assert taken == ["handrail.handoff.opened", None]
    with pytest.raises(Exception, match="No matching signature found"):
        receive(webhooks.new_secret(), headers, body.encode(), set())
