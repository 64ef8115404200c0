"""Channels for managers: how people are told, whether they can be, and what they are owed. Secrets never come out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import Field, SecretStr, StringConstraints

from rules.files.keys import DAYS
from rules.telling.notices import Quiet, hours_of
from service.api.bodies import Body
from service.api.decision_answers import Shape
from service.api.routes import NAME_CHARS_MAX, Call, answered, called, problems_documented
from service.clock import now_ms
from service.flows import channels
from service.flows.channels import ADDRESSES_MAX, GATHER_MS_DEFAULT, GATHER_MS_MAX, Channel, ChannelUnfit, Mail, Seen
from service.flows.webhook_targets import URL_BYTES_MAX, targets_of

router = APIRouter(prefix="/channels", tags=["managers"])
Channelling = Annotated[Call, called("channel")]
ChannelName = Annotated[str, Path(max_length=NAME_CHARS_MAX, description="as GET /channels says")]
Line = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255)]


class MailBody(Body):
    """How mail goes out. `security`: `starttls` (port 587), `tls` (465), or `none` inside your own network."""

    host: Line
    port: Annotated[int, Field(strict=True, ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: Line
    to: Annotated[list[Line], Field(min_length=1, max_length=ADDRESSES_MAX)]
    user: Line | None = None
    password: SecretStr | None = None


class QuietBody(Body):
    """Hours in which the channel is told nothing; what is urgent or regulated is, unless `urgent` says `hold`."""

    hours: Annotated[str, StringConstraints(strict=True, max_length=16)]
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(default_factory=lambda: list(DAYS))  # type: ignore[arg-type]  # DAYS are these very words
    timezone: Line = "UTC"
    urgent: Literal["tell", "hold"] = "tell"


class ChannelBody(Body):
    """A channel: its `kind`, and with it `url` (slack), `mail` (email) or `webhook_id` (webhook)."""

    name: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=NAME_CHARS_MAX)]
    kind: Literal["slack", "email", "webhook"]
    url: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=URL_BYTES_MAX)] | None = None
    mail: MailBody | None = None
    webhook_id: Line | None = None
    language: Annotated[str, StringConstraints(strict=True, max_length=8)] = "en"
    gather_ms: Annotated[int, Field(strict=True, ge=0, le=GATHER_MS_MAX)] = GATHER_MS_DEFAULT
    quiet: QuietBody | None = None


class ChannelAnswer(Shape):
    """A channel without its secrets. `kind` is null for one that rule files tell and nobody has added.

    `leads_to` is masked; `last_fact` says what came of the last try. `held` counts what quiet hours kept back.
    `rests_until_at_ms`: until when it is left alone after it failed; null when it is not.
    """

    name: str
    kind: str | None
    leads_to: str
    language: str
    gather_ms: int
    quiet: dict[str, Any] | None
    owed: int
    messages: int
    told: int
    held: int
    failed: int
    given_up: int
    failures_in_a_row: int
    last_fact: str | None
    last_try_at_ms: int | None
    rests_until_at_ms: int | None


class ChannelsAnswer(Shape):
    """The tenant's channels, by name."""

    channels: list[ChannelAnswer]


class TestAnswer(Shape):
    """What came of a test message. `taken` is null when no worker took it up in time: is `handrail work` running?"""

    taken: bool | None
    fact: str


@router.get("", summary="How people are told", responses={200: {"model": ChannelsAnswer}, **problems_documented()})
async def list_all(call: Channelling) -> Response:
    """Without secrets; with what each is owed, and how the last try went."""
    found = await channels.seen(call.running.store, call.caller.tenant)
    return answered({"channels": [_channel(each) for each in found]})


@router.post(
    "",
    summary="Add a channel, or replace the one of its name",
    status_code=201,
    responses={
        201: {"model": ChannelAnswer},
        **problems_documented(
            "body_invalid", "channel_unfit", "webhook_url_refused", "webhook_unknown", "limit_reached"
        ),
    },
)
async def add(body: ChannelBody, call: Channelling) -> Response:
    """What it was owed stays owed. Its address and password are shown to nobody from here on."""
    running, tenant = call.running, call.caller.tenant
    targets = targets_of(running.settings.webhook_targets, running.settings.host)
    made = await channels.add(running.store, tenant, _made(body), targets, now_ms(), call.caller.name)
    found = await channels.seen(running.store, tenant)
    return answered(_channel(next(each for each in found if each.name == made.name)), 201)


@router.delete("/{name}", summary="Remove a channel", status_code=204, responses=problems_documented("channel_unknown"))
async def remove(name: ChannelName, call: Channelling) -> Response:
    """Rule files that tell it go on owing it: `handrail channels list` shows what nobody takes."""
    await channels.remove(call.running.store, call.caller.tenant, name, now_ms(), call.caller.name)
    return Response(status_code=204)


@router.post(
    "/{name}/test",
    summary="Send a test message",
    responses={200: {"model": TestAnswer}, **problems_documented("channel_unknown")},
)
async def test(name: ChannelName, call: Channelling) -> Response:
    """Through a worker, as every message; answered when it has been taken or refused. Quiet hours do not hold it."""
    result = await channels.test(call.running.store, call.caller.tenant, name, now_ms())
    if result is None:
        return answered({"taken": None, "fact": "no worker took it up in time"})
    return answered({"taken": result[0], "fact": result[1]})


def _made(body: ChannelBody) -> Channel:
    mail = body.mail
    password = mail.password.get_secret_value() if mail is not None and mail.password is not None else None
    return Channel(
        body.name,
        body.kind,
        now_ms(),
        body.language,
        body.gather_ms,
        None if body.quiet is None else _quiet(body.quiet),
        body.url,
        None
        if mail is None
        else Mail(mail.host, mail.port, mail.security, mail.sender, tuple(mail.to), mail.user, password),
        body.webhook_id,
    )


def _quiet(body: QuietBody) -> Quiet:
    hours = hours_of(body.hours)
    if hours is None:
        raise ChannelUnfit("`quiet` has no hours of a day", "write them as `22:00-07:00`")
    return Quiet(*hours, tuple(body.days), body.timezone, urgent_too=body.urgent == "hold")


def _channel(seen: Seen) -> dict[str, Any]:
    channel, counts = seen.channel, seen.fares.counts
    quiet = channel.quiet if channel is not None else None
    rests_until_at_ms = seen.rests_until_at_ms
    return {
        "name": seen.name,
        "kind": None if channel is None else channel.kind,
        "leads_to": "" if channel is None else channels.shown_target(channel),
        "language": "en" if channel is None else channel.language,
        "gather_ms": GATHER_MS_DEFAULT if channel is None else channel.gather_ms,
        "quiet": None if quiet is None else _quiet_answer(quiet),
        "owed": seen.owed,
        **{name: counts.get(name, 0) for name in ("messages", "told", "held", "failed", "given_up")},
        "failures_in_a_row": seen.fares.failures,
        "last_fact": seen.fares.fact,
        "last_try_at_ms": seen.fares.fact_at_ms,
        "rests_until_at_ms": None if (rests_until_at_ms or 0) <= now_ms() else rests_until_at_ms,
    }


def _quiet_answer(quiet: Quiet) -> dict[str, Any]:
    hours = "-".join(f"{each // 60:02}:{each % 60:02}" for each in (quiet.from_minutes, quiet.to_minutes))
    urgent = "hold" if quiet.urgent_too else "tell"
    return {"hours": hours, "days": list(quiet.days), "timezone": quiet.timezone, "urgent": urgent}
