"""Builds the parts of a serving process and starts them. What the service does is elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated
from urllib.parse import urlsplit

import typer
import uvicorn

from rules.evaluation.evaluate import Ruleset
from rules.files.errors import render
from service import logs, settings, supervise
from service.api import first_keys, following, operators_watch, rule_watch, upkeep
from service.api.application import Handrail, Pages
from service.api.escalation import PATH
from service.api.openapi import LOOPBACK
from service.api.running import Running
from service.api.turn_protocol import turn_protocol
from service.cli.output import note, refuse
from service.clock import now_ms
from service.compiling import settle
from service.console import pages
from service.errors import Refusal
from service.flows import keys
from service.flows.access import open_store
from service.flows.in_force import Following
from service.flows.spool import Spool
from service.keys_file import keys_file
from service.rules_at_start import AtStart, rules_at_start
from service.rules_loss import RulesLoss
from service.settings import Settings
from service.store.embedded import Embedded, start_or_attach
from service.store.server_binary import ServerUnavailable

try:
    import uvloop
except ImportError:  # no wheel for this platform
    NEW_LOOP: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    NEW_LOOP = uvloop.new_event_loop

# Longer than the 60 s after which proxies close an idle connection, so that it is never us who closes under a request.
KEEP_ALIVE_S = 75
# What is under way when a stop is asked for: long polls end at once, a decision takes milliseconds.
STOP_WAIT_S_MAX = 10
# File descriptors are the scarce thing; 2,000 long polls and the agents' own connections stay below.
CONNECTIONS_MAX = 8_192
BACKLOG = 2_048
KEYS_KEPT = "in the store: `handrail keys list` shows them, `handrail keys create` makes one"
NO_KEYS = "none yet, so nobody can ask: `handrail keys create NAME --role agent` makes one"


def create_app(
    given: Settings,
    url: str | None = None,
    ruleset: Ruleset | None = None,
    texts: Mapping[str, str] | None = None,
    loss: RulesLoss | None = None,
) -> Handrail:
    """Return the application; its lifespan opens the store and the rules and closes them again.

    `url` is where the server is when the caller has started it, and `ruleset` what the caller has loaded, of `texts`
    and with the `loss` that was found then: otherwise the lifespan does both. Raises nothing; the lifespan raises
    ServerUnavailable, RuleFileInvalid, RulesUnreadable and the refusals of `open_store`.
    """

    @contextlib.asynccontextmanager
    async def lifespan(application: Handrail) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as open_parts:
            begun = None if ruleset is None else AtStart(ruleset, texts or {}, loss=loss)
            running = await _open(given, url, begun, open_parts)
            application.runs(running)
            settle()
            yield
            running.stopping.set()

    return Handrail(lifespan, Pages(pages.ROUTES, pages.refused))


async def _open(
    given: Settings,
    url: str | None,
    begun: AtStart | None,
    open_parts: contextlib.AsyncExitStack,
) -> Running:
    """Open the store and the rules, start the upkeep, and leave all of it to `open_parts` to end."""
    if begun is None:
        begun = await asyncio.to_thread(rules_at_start, given)
    where = url or given.redis_url
    if where is None:
        embedded = await asyncio.to_thread(start_or_attach, given.data_dir)
        open_parts.callback(embedded.close)
        where = embedded.url
    store = await open_store(where, partitions=given.partitions, durable=given.durable)
    open_parts.push_async_callback(store.close)
    given.data_dir.mkdir(parents=True, exist_ok=True)
    # With a directory of rule files the directory decides, and versions only wait.
    versions = Following(begun.ruleset) if given.rules is None else None
    running = Running(
        settings=given,
        store=store,
        ruleset=begun.ruleset,
        spool=Spool(given.data_dir / "spool"),
        following=versions,
        texts={} if given.rules is None else begun.texts,
        rules_loss=begun.loss,
        rules_from="library" if given.rules is None else str(given.rules),
    )
    if begun.loss is not None:
        rule_watch.tell_of_loss(running, begun.loss)
    if versions is not None:
        await following.prepare(running, versions)
    tasks = _upkeep(running)
    open_parts.push_async_callback(_end, tasks)
    return running


def _upkeep(running: Running) -> list[asyncio.Task[None]]:
    spool, directory = running.spool, running.settings.rules
    works: list[Callable[[], Awaitable[None]]] = []
    if spool is not None:
        works.append(lambda: upkeep.drain_spool(running, spool))
    works.append(lambda: upkeep.look_at_waits(running))
    works.append(lambda: upkeep.drill(running))
    works.append(lambda: upkeep.look_at_budgets(running))
    if directory is not None:
        works.append(lambda: rule_watch.watch_rules(running, directory))
        works.append(lambda: operators_watch.watch_operators(running, directory))
    works.append(lambda: upkeep.look_at_store(running))
    versions = running.following
    if versions is not None:
        works.append(lambda: following.follow(running, versions))
        works.append(lambda: following.judge_in_shadow(running, versions))
    return [asyncio.create_task(upkeep.keep_on(running, work)) for work in works]


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def serve(  # an option each
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for any free one [8321].")] = None,
    rules: Annotated[Path | None, typer.Option(help="Directory of rule files, watched [the shipped library].")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the data live [.handrail].")] = None,
    redis_url: Annotated[str | None, typer.Option(help="Redis or Valkey to use, not the embedded server.")] = None,
    work: Annotated[bool | None, typer.Option(help="Run a worker beside the service [--work].")] = None,
    log_format: Annotated[str | None, typer.Option(help="auto, json or pretty [auto].")] = None,
) -> None:
    """Run the service: rules, store, HTTP, and a worker beside it.

    \b
    handrail serve
    handrail serve --rules my-rules --port 9000
    HANDRAIL_REDIS_URL=redis://redis.internal:6379 handrail serve --no-work
    """
    given = settings.load(
        host=host, port=port, rules=rules, data_dir=data_dir, redis_url=redis_url, work=work, log_format=log_format
    )
    for fact in settings.unknown_variables(os.environ):
        note(f"warning: {fact}")
    lines = logs.configure(given.log_level, given.log_format)
    embedded: Embedded | None = None
    try:
        rules_read = _rules(given)
        listener = _listen(given)
        embedded = _embedded(given)
        with asyncio.Runner(loop_factory=NEW_LOOP) as runner:
            runner.run(_serve(given, listener, embedded.url if embedded else None, rules_read))
    except KeyboardInterrupt:
        note("stopped")
    finally:
        if embedded is not None:
            embedded.close()
        lines.close()


def work(
    data_dir: Annotated[Path | None, typer.Option(help="Data directory of the service [.handrail].")] = None,
    redis_url: Annotated[str | None, typer.Option(help="Redis or Valkey to use, not the embedded server.")] = None,
    log_format: Annotated[str | None, typer.Option(help="auto, json or pretty [auto].")] = None,
) -> None:
    """Run a worker by itself: deadlines, leases, webhooks.

    `handrail serve` runs one beside itself unless told --no-work. More of them share the work; each may end at any
    moment, and what it had begun is done again by another.

    \b
    handrail work
    HANDRAIL_REDIS_URL=redis://redis.internal:6379 handrail work
    """
    given = settings.load(data_dir=data_dir, redis_url=redis_url, log_format=log_format)
    command = supervise.command("work")
    os.execve(command[0], command, supervise.environment(given))  # noqa: S606  # our own interpreter and module


def _rules(given: Settings) -> AtStart:
    """Return the rules to decide with; warnings are told, and errors too where rules that were good before decide."""
    found = rules_at_start(given)
    for problem in found.warnings if given.rules is not None else ():
        note(render(problem))
    for problem in found.unmet:
        note(render(problem))
    if found.unmet:
        note(f"warning: tests in {given.rules} name what no rule file there has; was a file cut off?")
    good_at = _moment(found.good_at_ms or 0)
    if found.refused is not None:
        note(str(found.refused))
        note(f"error: the rule files in {given.rules} cannot be used; those that were good at {good_at} decide")
        note("       correct what is shown above: it is taken up as soon as it is saved")
    if found.loss is not None:
        # Found by this start, it is gone since somewhere after the files before were good; else it is known since when.
        since = _moment(min(found.good_at_ms or 0, found.loss.since_at_ms))
        note(f"warning: {found.loss.lost.said} from {given.rules} since {since}")
        for line in found.loss.lines():
            note(f"         {line}")
    return found


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _listen(given: Settings) -> socket.socket:
    """Return the socket to serve on, bound before anything is started for it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            given.host, given.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Already now, so that a second process cannot take the port while this one starts.
        listener.listen(BACKLOG)
        return listener
    except OSError as taken:
        why = (taken.strerror or "it cannot be used").lower()
        refuse(
            f"cannot listen on {given.host}:{given.port}: {why}",
            "stop what listens there, or choose another with --port or HANDRAIL_PORT",
        )


def _embedded(given: Settings) -> Embedded | None:
    if not given.embedded:
        return None
    try:
        embedded = start_or_attach(given.data_dir)
    except ServerUnavailable as unavailable:
        refuse(unavailable.detail, unavailable.hint)
    embedded.watch()
    return embedded


async def _serve(given: Settings, listener: socket.socket, url: str | None, rules: AtStart) -> None:
    application = create_app(given, url, rules.ruleset, rules.texts, rules.loss)
    async with application.router.lifespan_context(application):
        running: Running = application.state.running
        made: dict[str, str] = {}
        if given.rules is not None:
            unusable = await operators_watch.unusable_at_start(running, given.rules)
            if unusable is not None:
                note(unusable.why)
                refuse(unusable.fact, "mend it: while nobody is declared every operator's key may claim everything")
        if given.embedded and given.host in LOOPBACK:
            made = await first_keys.ensure(running.store, given.data_dir, given.tenant, now_ms())
        keyed = await _keyed(running, given.tenant)
        keeper = supervise.worker(given) if given.work else None
        if keeper is not None:
            keeper.start()
        try:
            greet = partial(_greet, given, listener, running, made, keyed)
            await _Server(application, running, greet).serve([listener])
        finally:
            running.stopping.set()
            if keeper is not None:
                await asyncio.to_thread(keeper.stop)


async def _keyed(running: Running, tenant: str) -> bool:
    """Return whether anybody can ask; a store that does not say is no reason to say that nobody can."""
    try:
        return any(key.revoked_at_ms is None for key in await keys.list_all(running.store, tenant))
    except Refusal:
        return True


class _Server(uvicorn.Server):
    """uvicorn, with a word when it listens and one to the long polls when it is told to stop."""

    def __init__(self, application: Handrail, running: Running, greet: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=turn_protocol(PATH, application.answer_turn, application.refuse_unread),
                lifespan="off",  # entered around the server, so that what it raises is told as a fact
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,  # who called is told by the key, and no answer depends on the address
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_WAIT_S_MAX,
                limit_concurrency=CONNECTIONS_MAX,
                backlog=BACKLOG,
            )
        )
        self._running = running
        self._greet = greet

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._greet()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order on SIGINT and SIGTERM, however often they come: what is left to do then is bounded.

        Cut off by an impatient second one, the server and the worker would stay behind.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more connections, and let what is under way end."""
        asyncio.get_running_loop().call_soon_threadsafe(self._running.stopping.set)
        super().handle_exit(sig, frame)


def _greet(given: Settings, listener: socket.socket, running: Running, made: dict[str, str], keyed: bool) -> None:
    """Print where the service is, what it decides with, and how to ask it; `keyed` is whether anybody can."""
    host = f"[{given.host}]" if ":" in given.host else given.host
    address = f"http://{host}:{listener.getsockname()[1]}"
    version = None if running.following is None else running.following.met.get(given.tenant)
    files = running.ruleset.files if version is None else version.active.files
    source = f"version {version.version}" if version is not None and version.version else running.rules_from
    where = "the embedded server in " + str(given.data_dir) if given.embedded else _without_password(given.redis_url)
    typer.echo(f"handrail listens on {address}")
    typer.echo(f"  console {address}/console")
    typer.echo(f"  rules   {source}: {len(files.rules)} rules, {files.hash[:12]}")
    typer.echo(f"  store   {where}")
    typer.echo(f"  worker  {'beside this process' if given.work else 'none here; run `handrail work`'}")
    if not made:
        typer.echo(f"  keys    {KEYS_KEPT if keyed else NO_KEYS}")
        return
    typer.echo(f"  keys    {keys_file(given.data_dir, given.tenant)}")
    for role, token in made.items():
        typer.echo(f"          {role:<9} {token}")
    body = json.dumps({"conversation_id": "try-1", "turn_id": "1", "message": "Can I talk to a real person, please?"})
    typer.echo("\nask it whether a person should take this turn:\n")
    typer.echo(
        f"curl -s {address}/should-escalate -H 'Authorization: Bearer {made['agent']}' "
        f"-H 'Content-Type: application/json' -d '{body}'\n"
    )


def _without_password(url: str | None) -> str:
    parts = urlsplit(url or "")
    place = parts.hostname or parts.path
    return f"{parts.scheme}://{place}" + (f":{parts.port}" if parts.port else "")
