"""One mail through one server: resolved, checked, called at the very address that was checked, and bounded in time."""

from __future__ import annotations

import asyncio
import socket
import ssl
from email.message import EmailMessage
from email.utils import format_datetime, localtime

import aiosmtplib

from rules.telling.tell_text import Message
from service.flows.channels import Mail
from service.flows.tries import Answer
from service.flows.webhook_targets import Address, Targets
from workers.sender import NotCalled, resolve

MAIL_MS_MAX = 20_000  # the whole talk with a server; one that greets late is common, one that takes longer has hung
CONNECT_MS_MAX = 5_000
TAKEN = 250


class Mailer:
    """Sends mail. Every server is called anew: one mail in minutes is worth no open connection."""

    def __init__(self, targets: Targets, tls: ssl.SSLContext | None = None) -> None:
        self._targets = targets
        self._tls = tls or ssl.create_default_context()

    async def send(self, mail: Mail, message: Message, message_id: str) -> Answer:
        """Send one message and say what came of it; nothing is raised, and no word of the server's is told on."""
        try:
            async with asyncio.timeout(MAIL_MS_MAX / 1000):
                return await self._send(mail, _letter(mail, message, message_id))
        except NotCalled as fact:
            return Answer(None, str(fact))
        except aiosmtplib.SMTPAuthenticationError as error:
            return Answer(error.code, f"answered {error.code} to the login")
        except aiosmtplib.SMTPRecipientsRefused as error:
            code = error.recipients[0].code if error.recipients else 0
            return Answer(code, f"answered {code} to every recipient")
        except aiosmtplib.SMTPResponseException as error:
            return Answer(error.code, f"answered {error.code}")
        except (aiosmtplib.SMTPTimeoutError, TimeoutError):
            return Answer(None, f"no answer within {MAIL_MS_MAX} ms")
        except ssl.SSLError:
            return Answer(None, "the server's certificate or its TLS cannot be used")
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return Answer(None, f"the connection failed ({type(error).__name__})")

    async def _send(self, mail: Mail, letter: EmailMessage) -> Answer:
        address = await resolve(mail.host, mail.port, self._targets, plain=mail.security == "none")
        connection = await _connected(address, mail.port)
        client = aiosmtplib.SMTP(
            # The name is what the certificate must be for; the socket leads to the address that was checked.
            hostname=mail.host,
            sock=connection,
            # Its own address, not its name: to find the name would be a look-up that nothing bounds.
            local_hostname=f"[{connection.getsockname()[0]}]",
            use_tls=mail.security == "tls",
            start_tls=mail.security == "starttls",
            tls_context=self._tls,
            username=mail.user,
            password=mail.password,
            timeout=MAIL_MS_MAX / 1000,
        )
        async with client:
            refused, _ = await client.send_message(letter, sender=mail.sender, recipients=list(mail.to))
        some = f", and refused {len(refused)} of {len(mail.to)} recipients" if refused else ""
        return Answer(TAKEN, f"answered {TAKEN}{some}")


def _letter(mail: Mail, message: Message, message_id: str) -> EmailMessage:
    letter = EmailMessage()
    letter["From"] = mail.sender
    letter["To"] = ", ".join(mail.to)
    letter["Subject"] = message.subject
    letter["Date"] = format_datetime(localtime())
    letter["Message-ID"] = f"<{message_id}@{mail.sender.rpartition('@')[2]}>"
    # No holiday reply comes back to a machine.
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text)
    return letter


async def _connected(address: Address, port: int) -> socket.socket:
    connection = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)
    try:
        connection.setblocking(False)
        async with asyncio.timeout(CONNECT_MS_MAX / 1000):
            await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
    except TimeoutError:
        connection.close()
        raise NotCalled(f"no connection within {CONNECT_MS_MAX} ms") from None
    except BaseException:
        connection.close()
        raise
    return connection
