"""One request to a receiver: whatever it does, the answer is a fact, in bounded time, from a checked address."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest

from service.flows.tries import Answer, Request
from service.flows.webhook_targets import Targets, WebhookUrlRefused, allowed, check_url, targets_of
from tests.ports import free_port
from tests.workers.receiver import Receiver
from workers import sender
from workers.sender import Sender, retry_after_ms


async def sent(url: str, targets: Targets = "loopback") -> Answer:
    client = Sender(targets)
    try:
        return await client.send(Request(url, {"webhook-id": "evt_1"}, b"{}"))
    finally:
        await client.close()


async def test_a_2xx_is_taken_and_the_request_arrives_as_it_was_built() -> None:
    with Receiver() as receiver:
        answer = await sent(receiver.url("/ok?from=handrail"))
        assert answer == Answer(200, "answered 200")
        assert answer.taken
        (got,) = receiver.got
        assert (got.path, got.body, got.headers["webhook-id"]) == ("/ok?from=handrail", b"{}", "evt_1")
        assert got.headers["host"] == f"127.0.0.1:{receiver.port}"


async def test_a_name_is_resolved_and_stands_in_the_host_header() -> None:
    with Receiver() as receiver:
        assert (await sent(f"http://localhost:{receiver.port}/ok")).taken
        assert receiver.got[0].headers["host"] == f"localhost:{receiver.port}"


async def test_a_redirect_is_not_followed() -> None:
    with Receiver() as receiver:
        answer = await sent(receiver.url("/redirect"))
        assert (answer.status, answer.taken) == (302, False)
        assert [each.path for each in receiver.got] == ["/redirect"]


async def test_an_endless_answer_is_not_read() -> None:
    with Receiver() as receiver:
        # Reading on would end with the time allowed, and that in another fact.
        assert await sent(receiver.url("/flood")) == Answer(200, "answered 200")


async def test_a_receiver_that_hangs_is_left_after_the_time_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "REQUEST_MS_MAX", 200)
    with Receiver() as receiver:
        assert await sent(receiver.url("/slow")) == Answer(None, "no answer within 200 ms")


async def test_a_connection_that_drops_is_a_fact() -> None:
    with Receiver() as receiver:
        assert await sent(receiver.url("/drop")) == Answer(None, "the connection failed (RemoteProtocolError)")


async def test_a_port_where_nobody_listens_is_a_fact() -> None:
    assert await sent(f"http://127.0.0.1:{free_port()}/") == Answer(None, "the connection failed (ConnectError)")


async def test_a_name_that_does_not_resolve_is_a_fact() -> None:
    assert await sent("https://nobody.invalid/") == Answer(None, "the name of the host does not resolve")


async def test_a_receiver_may_say_when_to_come_back() -> None:
    with Receiver() as receiver:
        assert await sent(receiver.url("/busy/7")) == Answer(429, "answered 429", 7_000)


async def test_a_name_that_leads_into_this_machine_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    # What an attacker's name server would answer once the address has been accepted.
    monkeypatch.setattr(socket, "getaddrinfo", _resolver("127.0.0.1"))
    with Receiver() as receiver:
        refused = await sent(f"https://innocent.example:{receiver.port}/", "public")
        assert refused == Answer(None, "the address lies in a network that webhooks may not call")
        assert receiver.got == []


async def test_plain_http_never_crosses_the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _resolver("93.184.216.34"))
    assert await sent("http://shop.example/", "private") == Answer(
        None, "the address lies in a network that webhooks may not call"
    )


async def test_of_several_addresses_only_an_allowed_one_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _resolver("169.254.169.254", "127.0.0.1"))
    with Receiver() as receiver:
        assert (await sent(f"http://either.example:{receiver.port}/ok", "loopback")).taken


def _resolver(*addresses: str) -> Any:
    return lambda host, port, *_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]


@pytest.mark.parametrize(
    ("address", "public", "loopback", "private"),
    [
        ("93.184.216.34", True, True, True),
        ("2606:2800:220:1::1", True, True, True),
        ("127.0.0.1", False, True, True),
        ("127.9.9.9", False, True, True),
        ("::1", False, True, True),
        ("10.1.2.3", False, False, True),
        ("192.168.0.9", False, False, True),
        ("172.16.0.1", False, False, True),
        ("fd00::1", False, False, True),
        ("169.254.169.254", False, False, False),
        ("fe80::1", False, False, False),
        ("0.0.0.0", False, False, False),
        ("::", False, False, False),
        ("224.0.0.1", False, False, False),
        ("255.255.255.255", False, False, False),
        ("100.64.0.1", False, False, False),
        ("::ffff:127.0.0.1", False, True, True),
        ("::ffff:169.254.169.254", False, False, False),
        ("64:ff9b::a9fe:a9fe", False, False, False),
        ("64:ff9b::7f00:1", False, True, True),
        ("2002:7f00:1::", False, True, True),
    ],
)
def test_each_network_is_opened_by_its_own_setting(address: str, public: bool, loopback: bool, private: bool) -> None:
    found = ipaddress.ip_address(address)
    assert [allowed(found, "public"), allowed(found, "loopback"), allowed(found, "private")] == [
        public,
        loopback,
        private,
    ]


@pytest.mark.parametrize(
    ("url", "targets", "fact"),
    [
        ("https://shop.example/hooks", "public", None),
        ("http://127.0.0.1:9/hook", "loopback", None),
        ("http://localhost:9/hook", "loopback", None),
        ("http://hooks.internal/hook", "private", None),
        ("ftp://shop.example/", "public", "the address is no http:// or https:// address of a host"),
        ("https:///path", "public", "the address is no http:// or https:// address of a host"),
        ("https://shop.example/a b", "public", "the address is no http:// or https:// address of a host"),
        ("https://[::1", "public", "the address is not a URL"),
        ("https://mia:pw@shop.example/", "public", "the address holds a user name or password"),
        ("https://shop.example/" + "x" * 2000, "public", "the address is longer than 2000 bytes"),
        ("http://shop.example/", "public", "an address on the internet is called over https:// only"),
        ("http://93.184.216.34/", "private", "an address on the internet is called over https:// only"),
        ("https://127.0.0.1/", "public", "the address lies in a network that webhooks may not call"),
        ("https://localhost/", "public", "the address lies in a network that webhooks may not call"),
        ("http://10.0.0.1/", "loopback", "the address lies in a network that webhooks may not call"),
        ("https://169.254.169.254/", "private", "the address lies in a network that webhooks may not call"),
    ],
)
def test_an_address_is_kept_or_refused_with_the_fact(url: str, targets: Targets, fact: str | None) -> None:
    if fact is None:
        assert check_url(url, targets) == url
        return
    with pytest.raises(WebhookUrlRefused) as refused:
        check_url(url, targets)
    assert refused.value.detail == fact
    assert refused.value.hint
    assert url not in refused.value.hint


@pytest.mark.parametrize(
    ("setting", "host", "targets"),
    [
        ("auto", "127.0.0.1", "loopback"),
        ("auto", "localhost", "loopback"),
        ("auto", "::1", "loopback"),
        ("auto", "0.0.0.0", "public"),
        ("public", "127.0.0.1", "public"),
        ("private", "0.0.0.0", "private"),
    ],
)
def test_by_default_only_a_loopback_server_calls_loopback(setting: str, host: str, targets: str) -> None:
    assert targets_of(setting, host) == targets


@pytest.mark.parametrize(
    ("value", "date", "wait_ms"),
    [
        ("7", None, 7_000),
        (" 120 ", None, 120_000),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 30_000),
        ("Wed, 21 Oct 2026 07:27:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", None, None),
        ("soon", None, None),
        ("-5", None, None),
        (None, None, None),
    ],
)
def test_a_wait_is_read_in_seconds_or_as_a_date(value: str | None, date: str | None, wait_ms: int | None) -> None:
    assert retry_after_ms(value, date) == wait_ms
