"""What customers, agents and operators write is in no log, no audit file and no error reply, whatever becomes of it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.waiting import wait_until
from tests.walks.served import Served, turn

pytestmark = pytest.mark.walk

THEIRS = "Xylophagous-7731"


def bodies_that_are_refused() -> list[bytes]:
    whole = f'{{"conversation_id": "c", "turn_id": "1", "message": "{THEIRS}", '
    return [
        whole.encode(),  # cut in half
        (whole + f'"I am {THEIRS}": 1}}').encode(),  # a word alone may be a field's name, and is shown
        (whole + f'"confidence": "{THEIRS}"}}').encode(),
        (whole + f'"message": "{THEIRS}"}}').encode(),  # twice
        (whole + f'"customer": {{"id": ["{THEIRS}"]}}}}').encode(),
        whole.encode() + b"\xff\xfe",
    ]


def test_nothing_that_anybody_wrote_is_told_where_it_does_not_belong(tmp_path: Path) -> None:
    with Served(tmp_path) as served:

        def post(path: str, role: str, body: object) -> httpx.Response:
            return httpx.post(served.url + path, json=body, headers={"Authorization": f"Bearer {served.keys[role]}"})

        said = {
            "message": f"I am {THEIRS}",
            "reply": f"Dear {THEIRS}",
            "tool_calls": [
                {"name": "find_order", "args": {"name": THEIRS}, "status": "error", "error": THEIRS, "output": THEIRS}
            ],
            "customer": {"id": THEIRS, "street": THEIRS},
        }
        asked = post("/should-escalate", "agent", turn("c") | said)
        assert asked.status_code == httpx.codes.OK, asked.text
        handoff_id = asked.json()["handoff"]["id"]
        assert THEIRS in served_packet(served, handoff_id)
        headers = {"Authorization": f"Bearer {served.keys['agent']}", "Content-Type": "application/json"}
        for body in bodies_that_are_refused():
            refused = httpx.post(f"{served.url}/should-escalate", content=body, headers=headers)
            assert refused.is_client_error, refused.text
            assert THEIRS not in refused.text
        post("/should-escalate", "agent", turn("c", "2") | {"message": f"{THEIRS}?"})

        claimed = post("/queues/tier1/claim", "operator", {}).json()
        token = claimed["lease"]["token"]
        verb = f"/handoffs/{handoff_id}"
        assert post(f"{verb}/reply", "operator", {"token": token, "text": f"Hello {THEIRS}"}).is_success
        stale = post(f"{verb}/reply", "operator", {"token": "0", "text": f"Hello {THEIRS}"})
        assert stale.is_client_error
        assert THEIRS not in stale.text
        answer = {"token": token, "action": "answer", "text": f"{THEIRS}, it is on its way.", "outcome": "needed"}
        assert post(f"{verb}/resolve", "operator", answer).is_success

        def audited() -> str:
            return "".join(path.read_text() for path in (served.data_dir / "audit").glob("*") if path.is_file())

        wait_until(lambda: "handoff.resolved" in audited())
        assert THEIRS not in audited()
    log = served.log.read_text()
    assert handoff_id in log
    assert THEIRS not in log


def served_packet(served: Served, handoff_id: str) -> str:
    headers = {"Authorization": f"Bearer {served.keys['operator']}"}
    return httpx.get(f"{served.url}/handoffs/{handoff_id}/packet", headers=headers).text
