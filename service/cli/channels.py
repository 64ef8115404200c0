"""`handrail channels`: how people are told of handoffs, and whether what they are told arrives."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from rules.files.grammar import duration_ms
from service.cli.output import EXIT_FINDINGS, JsonFlag, refuse, say, say_json, say_table
from service.cli.service_client import DataDirOption, KeyOption, UrlOption, service_at

MAIL_PORTS = {"starttls": 587, "tls": 465, "none": 25}
SECRET_CHARS_MAX = 4_096  # of a file that holds one password or one address

channels = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="""Say how people are told: add, list, test and remove channels.

    Rule files say who is told of what (`notify:` of a queue, `page:` of its ladder); a channel of that name says where
    the message goes. docs/channels.md has all of it.

    \b
    Examples:
      handrail channels add on-call --slack-file slack-address.txt
      handrail channels test on-call
      handrail channels list
    """,
)
SlackOption = Annotated[
    str | None,
    typer.Option("--slack", help="Address of an incoming webhook: Slack, Mattermost, Rocket.Chat.", metavar="URL"),
]
SlackFileOption = Annotated[
    Path | None,
    typer.Option("--slack-file", help="File that holds that address, so that no shell remembers it."),
]
WebhookOption = Annotated[
    str | None, typer.Option("--webhook", help="Id of a webhook; messages are signed as its events are.")
]
MailToOption = Annotated[list[str] | None, typer.Option("--mail-to", help="Mail address; may be given several times.")]
MailFromOption = Annotated[str | None, typer.Option("--mail-from", help="Address that mail comes from.")]
SmtpOption = Annotated[
    str | None, typer.Option("--smtp", help="Mail server, as smtp.example.com or smtp.example.com:2525.")
]
SecurityOption = Annotated[str, typer.Option("--smtp-security", help="starttls, tls, or none inside your own network.")]
SmtpUserOption = Annotated[str | None, typer.Option("--smtp-user", help="Who logs in at the mail server.")]
PasswordFileOption = Annotated[
    Path | None, typer.Option("--smtp-password-file", help="File that holds the password of that login.")
]
LanguageOption = Annotated[str, typer.Option("--language", help="Language of the messages: en or es.")]
GatherOption = Annotated[
    str, typer.Option("--gather", help="How long what comes up is gathered for one message, as 10s; 0s for none.")
]
QuietOption = Annotated[
    str | None, typer.Option("--quiet", help="Hours in which nobody is told, as 22:00-07:00.", metavar="HOURS")
]
TimezoneOption = Annotated[str, typer.Option("--timezone", help="Where these hours are read, as Europe/Madrid.")]
QuietUrgentFlag = Annotated[
    bool, typer.Option("--quiet-urgent", help="In these hours not even what is urgent or regulated is told.")
]
Name = Annotated[str, typer.Argument(help="The channel's name, as rule files say it.", metavar="NAME")]


@channels.command("add")
def add(
    name: Name,
    slack: SlackOption = None,
    slack_file: SlackFileOption = None,
    webhook: WebhookOption = None,
    mail_to: MailToOption = None,
    mail_from: MailFromOption = None,
    smtp: SmtpOption = None,
    smtp_security: SecurityOption = "starttls",
    smtp_user: SmtpUserOption = None,
    smtp_password_file: PasswordFileOption = None,
    language: LanguageOption = "en",
    gather: GatherOption = "10s",
    quiet: QuietOption = None,
    timezone: TimezoneOption = "UTC",
    quiet_urgent: QuietUrgentFlag = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Add a channel, or put another in the place of the one of that name.

    Addresses and passwords are kept by the service and shown to nobody.

    \b
    Examples:
      handrail channels add on-call --slack-file slack-address.txt --quiet 22:00-07:00 --timezone Europe/Madrid
      handrail channels add managers --mail-to ana@shop.example --mail-from handrail@shop.example
          --smtp smtp.shop.example --smtp-user handrail --smtp-password-file smtp-password.txt --language es
      handrail channels add pager --webhook whk_0a1b2c3d4e5f6071
    """
    ways = [given is not None for given in (slack, slack_file, webhook, mail_to)]
    if sum(ways) != 1:
        refuse("a channel has one way to tell people", "give one of --slack, --slack-file, --webhook and --mail-to")
    body: dict[str, Any] = {"name": name, "language": language, "gather_ms": _span_ms(gather)}
    if webhook is not None:
        body |= {"kind": "webhook", "webhook_id": webhook}
    elif mail_to is not None:
        password = None if smtp_password_file is None else _secret(smtp_password_file)
        body |= {"kind": "email", "mail": _mail(mail_to, mail_from, smtp, smtp_security, smtp_user, password)}
    else:
        body |= {"kind": "slack", "url": slack if slack_file is None else _secret(slack_file)}
    if quiet is not None:
        body["quiet"] = {"hours": quiet, "timezone": timezone, "urgent": "hold" if quiet_urgent else "tell"}
    told = service_at(url, key, data_dir).post("/channels", body)
    if as_json:
        say_json(told)
    else:
        say(f"{name} tells {told['leads_to']}; `handrail channels test {name}` tries it")


@channels.command("list")
def list_all(
    url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None, as_json: JsonFlag = False
) -> None:
    """List the channels: where each leads, what it is owed, and what came of the last message.

    A channel that rule files tell and nobody has added is listed as missing: what it is owed waits for it. One that
    failed is left alone for a while: adding it anew, or a test that arrives, ends that.

    \b
    Example:
      handrail channels list
    """
    told = service_at(url, key, data_dir).get("/channels")
    if as_json:
        say_json(told)
    elif not told["channels"]:
        say("there are no channels; `handrail channels add` adds one")
    else:
        heads = ("name", "kind", "leads to", "quiet", "owed", "messages", "told", "held", "failed", "last try")
        say_table("", heads, [_row(each) for each in told["channels"]])


@channels.command("test")
def try_channel(
    name: Name,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Send a test message and say what was answered; exit code 1 when it was not taken.

    It goes the way of every message, through a worker. Quiet hours do not hold it back.

    \b
    Example:
      handrail channels test on-call
    """
    told = service_at(url, key, data_dir).post(f"/channels/{name}/test")
    if as_json:
        say_json(told)
    elif told["taken"] is None:
        say(f"{name}: {told['fact']}; is `handrail work` running?")
    else:
        say(f"{name}: {'taken' if told['taken'] else 'not taken'}: {told['fact']}")
    if not told["taken"]:
        raise typer.Exit(EXIT_FINDINGS)


@channels.command("remove")
def remove(name: Name, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Forget a channel, with its address and password.

    Rule files that tell it go on owing it: they are to be changed as well.

    \b
    Example:
      handrail channels remove on-call
    """
    service_at(url, key, data_dir).delete(f"/channels/{name}")
    say(f"{name} is no channel any more")


def _mail(
    to: list[str], sender: str | None, smtp: str | None, security: str, user: str | None, password: str | None
) -> dict[str, Any]:
    if sender is None or smtp is None:
        refuse("mail needs a server and a sender", "give --smtp and --mail-from")
    if security not in MAIL_PORTS:
        refuse(f"`--smtp-security` is `{security}`", f"write one of {', '.join(MAIL_PORTS)}")
    host, _, port = smtp.partition(":")
    if port and not port.isdecimal():
        refuse("`--smtp` has no port after the colon", "write it as smtp.example.com:587")
    mail: dict[str, Any] = {"host": host, "port": int(port) if port else MAIL_PORTS[security]}
    return mail | {"security": security, "sender": sender, "to": to, "user": user, "password": password}


def _secret(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")[:SECRET_CHARS_MAX].strip()
    except (OSError, UnicodeDecodeError):
        refuse(f"{path}: cannot be read", "name a file that holds the secret and nothing else")
    if not text:
        refuse(f"{path}: is empty", "name a file that holds the secret and nothing else")
    return text


def _span_ms(text: str) -> int:
    span_ms = duration_ms(text.strip())
    if span_ms is None:
        refuse(f"`--gather` is `{text}`, which is no time", "write it as 10s or 2m")
    return span_ms


def _row(channel: dict[str, Any]) -> tuple[object, ...]:
    quiet = channel["quiet"]
    return (
        channel["name"],
        channel["kind"] or "missing",
        channel["leads_to"] or "add it with `handrail channels add`",
        "" if quiet is None else f"{quiet['hours']} {quiet['timezone']}",
        channel["owed"],
        channel["messages"],
        channel["told"],
        channel["held"],
        channel["failed"] + channel["given_up"],
        _last_try(channel),
    )


def _last_try(channel: dict[str, Any]) -> str:
    """Return what came of the last try, and until when nothing is tried because of it."""
    failures = channel["failures_in_a_row"]
    fact = channel["last_fact"] or ""
    if failures > 1:
        fact = f"{fact}, {failures} times in a row"
    if channel["rests_until_at_ms"] is None:
        return fact
    moment = datetime.fromtimestamp(channel["rests_until_at_ms"] / 1000, UTC).strftime("%H:%M:%S UTC")
    return f"{fact}; left alone until {moment}"
