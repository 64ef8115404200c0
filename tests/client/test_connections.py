"""The ways to a service: through the proxy of the environment and through TLS, in time and in size on each of them."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from tests.client.drive import KINDS, Kind, run
from tests.client.misbehaving import Act, Server, decides, drips_a_head, promises, zips

pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave none of the proxies of this machine."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_turn_goes_through_the_proxy_of_the_environment(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server([decides()]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//me:pw@"))
        decision = run(kind, "http://handrail.invalid", "should_escalate", conversation_id="c1", message="hi")
    assert decision.reachable
    assert proxy.requests[0].target == "http://handrail.invalid/should-escalate"
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic bWU6cHc="


def test_a_proxy_is_not_asked_for_what_the_environment_excludes(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server([decides()]) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "handrail.invalid")
        options = {"budget_ms": 500}
        decision = run(
            kind, "http://handrail.invalid", "should_escalate", conversation_id="c1", message="hi", options=options
        )
    assert (decision.reachable, proxy.requests) == (False, [])


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("fault", [drips_a_head, promises])
def test_a_proxy_that_never_ends_its_answer_does_not_outlast_the_budget(
    kind: Kind, fault: Act, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server([fault]) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        url, started = f"{scheme}://handrail.invalid", time.monotonic()
        decision = run(kind, url, "should_escalate", conversation_id="c1", message="hi", budget_ms=700)
        took_ms = (time.monotonic() - started) * 1000
    assert (decision.reachable, decision.because) == (False, "time-out")
    assert took_ms < 4_500


def test_an_answer_is_asked_for_as_it_is_and_a_zipped_one_is_never_unpacked(kind: Kind) -> None:
    with Server([zips(50_000_000)]) as server:
        options = {"on_unreachable": "continue", "budget_ms": 20_000}
        tracemalloc.start()
        decision = run(kind, server.url, "should_escalate", conversation_id="c1", message="hi", options=options)
        _, most_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (decision.reachable, decision.because) == (False, "the answer is compressed")
    assert most_bytes < 10_000_000
    assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no `openssl` on PATH, which makes the certificate")
def test_a_turn_goes_through_tls_to_whom_the_environment_trusts(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 1 -subj /CN=localhost"
    subprocess.run(
        [*words.split(), "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True, timeout=30
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Server([decides(say="x" * 200_000)]) as behind, socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_terminate, args=(listener, context, behind), daemon=True).start()
        url, options = f"https://localhost:{listener.getsockname()[1]}", {"try_ms": 20_000, "budget_ms": 20_000}
        fields = {"conversation_id": "c1", "message": "m" * 200_000}
        lost = run(kind, url, "should_escalate", options={"budget_ms": 500}, **fields)
        # `trust_env` reaches the certificates too, and only for addresses that are not the machine's own.
        monkeypatch.setattr("handrail_client.wire.LOOPBACK", frozenset())
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        decision = run(kind, url, "should_escalate", options=options, **fields)
    assert (lost.reachable, lost.because) == (False, "ConnectError")
    assert decision.reachable
    assert len(decision.say) == 200_000
    assert behind.requests[0].json["message"] == fields["message"]


def _terminate(listener: socket.socket, context: ssl.SSLContext, behind: Server) -> None:
    """Take connections in TLS, and pass one request of each on and its answer back."""
    host, _, port = behind.url.removeprefix("http://").partition(":")
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        try:
            with (
                context.wrap_socket(connection, server_side=True) as secured,
                socket.create_connection((host, int(port))) as plain,
            ):
                threading.Thread(target=_pump, args=(plain, secured), daemon=True).start()
                _pump(secured, plain)
        except OSError:
            continue


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
    except OSError:
        return
