"""Mail goes out with and without TLS, to the address that was checked, and what a server says becomes one fact."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from rules.telling.tell_text import Message
from service.flows.channels import Mail
from service.flows.tries import Answer
from service.flows.webhook_targets import Targets
from tests.workers.mail_server import PASSWORD, USER, MailServer, certificate
from workers.mailer import Mailer

HELLO = Message("[Handrail] fraud (high): espera a una persona", "motivo: alguien más usa la tarjeta\nhttps://x/open/1")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def plain() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def mail(port: int, **more: object) -> Mail:
    given = {"security": "none", "sender": "handrail@shop.example", "to": ("ana@shop.example",)} | more
    return Mail("localhost", port, **given)  # type: ignore[arg-type]  # each test names what it changes


async def sent(asked: Mail, targets: Targets = "loopback", tls: ssl.SSLContext | None = None) -> Answer:
    return await Mailer(targets, tls).send(asked, HELLO, "tell_1")


async def test_a_mail_arrives_with_its_words_and_is_no_invitation_to_answer(plain: MailServer) -> None:
    assert await sent(mail(plain.port, to=("ana@shop.example", "ben@shop.example"))) == Answer(250, "answered 250")
    ((to, letter),) = plain.got
    assert to == ("ana@shop.example", "ben@shop.example")
    assert (letter["Subject"], letter["From"]) == (HELLO.subject, "handrail@shop.example")
    assert (letter["Auto-Submitted"], letter["Message-ID"]) == ("auto-generated", "<tell_1@shop.example>")
    body = letter.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().split() == HELLO.text.split()


# The server does not see the TLS that lies around it, and warns of a login without.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "tls"])
async def test_a_login_goes_over_tls(both: tuple[ssl.SSLContext, ssl.SSLContext], implicit: bool) -> None:
    server_side, client_side = both
    with MailServer(server_side, implicit=implicit, login=True) as server:
        asked = mail(server.port, security="tls" if implicit else "starttls", user=USER, password=PASSWORD)
        assert await sent(asked, tls=client_side) == Answer(250, "answered 250")
        wrong = mail(server.port, security="tls" if implicit else "starttls", user=USER, password="wrong")
        assert await sent(wrong, tls=client_side) == Answer(535, "answered 535 to the login")
        assert len(server.got) == 1


async def test_a_certificate_that_nobody_vouches_for_is_not_believed(
    both: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    with MailServer(both[0], login=True) as server:
        answer = await sent(mail(server.port, security="starttls", user=USER, password=PASSWORD))
        assert (answer.taken, answer.status, server.got) == (False, None, [])
        assert PASSWORD not in answer.fact


async def test_without_starttls_nothing_is_sent(plain: MailServer) -> None:
    answer = await sent(mail(plain.port, security="starttls", user=USER, password=PASSWORD))
    assert (answer.taken, plain.got) == (False, [])


async def test_what_a_server_refuses_is_a_number_and_not_its_words(plain: MailServer) -> None:
    plain.refuses = {"ben@shop.example"}
    some = mail(plain.port, to=("ana@shop.example", "ben@shop.example"))
    assert await sent(some) == Answer(250, "answered 250, and refused 1 of 2 recipients")
    assert await sent(mail(plain.port, to=("ben@shop.example",))) == Answer(550, "answered 550 to every recipient")
    plain.script = ["451 try again <script>"]
    assert await sent(mail(plain.port)) == Answer(451, "answered 451")


@pytest.mark.parametrize(
    ("host", "targets"),
    [("localhost", "public"), ("127.0.0.1", "public"), ("10.0.0.1", "loopback"), ("169.254.169.254", "private")],
)
async def test_a_server_where_channels_may_not_lead_is_not_called(
    plain: MailServer, host: str, targets: Targets
) -> None:
    answer = await Mailer(targets).send(
        Mail(host, plain.port, "none", "a@shop.example", ("b@shop.example",)), HELLO, "tell_1"
    )
    assert answer == Answer(None, "the address lies in a network that webhooks may not call")
    assert plain.got == []


async def test_a_server_that_is_not_there_is_a_fact() -> None:
    with MailServer() as server:
        port = server.port
    assert await sent(mail(port)) == Answer(None, "the connection failed (ConnectionRefusedError)")
