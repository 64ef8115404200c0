"""A few connections that all callers share: calls leave together, answers come in order. No key is known here.

A call on a shared connection costs a fraction of one on a pooled connection, because what many requests send in the
same tick of the loop leaves in one write and their answers arrive in one read. Redis answers a connection strictly in
order, so the oldest waiting call always belongs to the next answer; whatever breaks that order ends the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import deque
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import hiredis

from service.errors import NotDurable, ServerUnfit, StoreAway, StoreBusy

Word: TypeAlias = str | bytes | int | float
Reply: TypeAlias = Any  # bytes, int, None or a list of these: what RESP2 carries

CONNECT_MS_MAX = 1_000  # a server on the same network answers in a millisecond; a longer wait only delays the fallback
CALL_MS_MAX = 3_000  # no script runs longer than milliseconds; past this the connection is taken for dead
IN_FLIGHT_MAX = 4_096  # on a connection; at 100,000 answers a second 40 ms of waiting, and more would only wait longer
BACKOFF_MS_MIN, BACKOFF_MS_MAX = 20, 2_000  # pauses between tries to connect; each is drawn from half to the whole
# Calls that leave as one write, and at once when there are so many: the server works while this process goes on, where
# at the end of a tick both wait for each other by turns. 16 at once claimed in 396 µs each instead of 467 (431 to 481
# with 2, 3, 5 and 7 together); as many turns a second over HTTP as before.
TOGETHER_MAX = 4
# A server that restarts is back within this time, so a call waits for it; afterwards calls fail at once, and turns
# are answered from the rules alone instead of piling up.
PATIENCE_MS = 500
DURABLE_MS_MAX = 2_000  # `appendfsync everysec` flushes once a second; twice that is a disk in trouble

# What a healthy connection says of a server that cannot do its work now.
AWAY_WORDS = frozenset(
    {"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "MISCONF", "OOM", "BUSY"}
)
REFUSED_WORDS = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})
_NOT_YET = object()


class ServerError(Exception):
    """What the server answered instead of a result; `word` is the first of its line, such as NOSCRIPT."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.word = line.split(" ", 1)[0]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: the path of a socket, or a host and a port."""

    path: str | None = None
    host: str = "127.0.0.1"
    port: int = 6379
    username: str | None = None
    password: str | None = None
    db: int = 0


@dataclass(frozen=True, slots=True)
class Barrier:
    """The command that waits until all writes before it are safe, and how many copies its answer must count.

    A server waits for the last write of the same connection only, and a retry that finds its answer writes nothing:
    so `mark` is written first, which comes after whatever anybody wrote before.
    """

    words: tuple[Word, ...]
    copies: int
    mark: tuple[Word, ...]


@dataclass(slots=True)
class _Waiting:
    future: asyncio.Future[Reply]
    due_at_s: float
    durable: bool = False
    barrier: Barrier | None = None
    mark: bool = False


def packed_words(words: tuple[Word, ...]) -> bytes:
    """Return a command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub knows tuples of one word only
    return packed


def fact(error: Exception) -> Exception:
    """Return what an error line of the server means to a caller."""
    line = str(error)
    word = line.split(" ", 1)[0]
    if word in AWAY_WORDS:
        return StoreAway(f"the server says {word}")
    if word in REFUSED_WORDS:
        return ServerUnfit(f"the server says {word}", "check the user and the password in the address")
    return ServerError(line)


class Wire(asyncio.Protocol):
    """One connection, from made to lost. Never used again after it broke."""

    def __init__(self, loop: asyncio.AbstractEventLoop, barrier: Barrier | None) -> None:
        self._loop = loop
        self._barrier = barrier
        self._reader = hiredis.Reader(notEnoughData=_NOT_YET)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[_Waiting] = deque()
        self._outgoing: list[tuple[bytes, _Waiting]] = []
        self._held: list[tuple[asyncio.Future[Reply], Reply]] = []
        self._flush_planned = False
        self._barrier_out = False
        self._retired = False
        self._watch: asyncio.TimerHandle | None = None
        self.lost: StoreAway | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio calls this."""
        self._transport = cast(asyncio.Transport, transport)

    @property
    def full(self) -> bool:
        """Return whether no further call is taken before an answer has come."""
        return len(self._waiting) + len(self._outgoing) >= IN_FLIGHT_MAX

    @property
    def unsent(self) -> int:
        """Return how many calls leave at the end of this tick."""
        return len(self._outgoing)

    def send(self, packed: bytes, durable: bool = False) -> asyncio.Future[Reply]:
        """Queue a packed command for the end of this tick at the latest, and return its answer to come."""
        if self.lost is not None:
            raise StoreAway(self.lost.reason)
        if self.full:
            raise StoreBusy(IN_FLIGHT_MAX)
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._outgoing.append((packed, _Waiting(future, 0.0, durable and self._barrier is not None)))
        if self._barrier is None and len(self._outgoing) >= TOGETHER_MAX:
            self._flush()  # with a barrier it would be one wait for the disk more
        elif not self._flush_planned and not self._barrier_out:
            self._flush_planned = True
            self._loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        self._flush_planned = False
        if self.lost is not None or self._transport is None or not self._outgoing:
            return
        due_at_s = self._loop.time() + CALL_MS_MAX / 1000
        parts = []
        for packed, waiting in self._outgoing:
            waiting.due_at_s = due_at_s
            self._waiting.append(waiting)
            parts.append(packed)
        if self._barrier is not None and any(waiting.durable for _, waiting in self._outgoing):
            # One wait for the disk covers all writes of this tick; until it is answered nothing more is sent, because
            # the server would keep it back all the same and its time-out would already run.
            parts += [packed_words(self._barrier.mark), packed_words(self._barrier.words)]
            self._waiting.append(_Waiting(self._loop.create_future(), due_at_s, mark=True))
            self._waiting.append(_Waiting(self._loop.create_future(), due_at_s, barrier=self._barrier))
            self._barrier_out = True
        self._outgoing.clear()
        self._transport.write(b"".join(parts))
        if self._watch is None:
            self._watch = self._loop.call_at(due_at_s, self._look)

    def _look(self) -> None:
        """End the connection when the oldest call has waited too long; else look again when it would have."""
        self._watch = None
        if not self._waiting:
            return
        if self._waiting[0].due_at_s <= self._loop.time():
            self.abort(StoreAway(f"no answer within {CALL_MS_MAX} ms"))
        else:
            self._watch = self._loop.call_at(self._waiting[0].due_at_s, self._look)

    def data_received(self, data: bytes) -> None:
        """Give every complete answer to the oldest waiting call; asyncio calls this."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _NOT_YET:
                self._answer(reply)
        except (hiredis.ProtocolError, IndexError):
            # An answer that nobody waits for, or bytes that are none: whose answer comes next is not known any more.
            self.abort(StoreAway("the server's answers cannot be read"))
        if self._retired:
            self.retire()

    def retire(self) -> None:
        """End the connection with the last answer that it owes; nothing may be sent on it any more."""
        self._retired = True
        if not self._waiting and not self._outgoing:
            self.abort(StoreAway("retired"))

    def _answer(self, reply: Reply) -> None:
        waiting = self._waiting.popleft()
        future = waiting.future
        if waiting.barrier is not None:
            self._release(reply, waiting.barrier.copies)
        elif future.done() or waiting.mark:
            return  # the caller has gone; its answer is taken off the wire all the same
        elif isinstance(reply, hiredis.ReplyError):
            future.set_exception(fact(reply))
        elif waiting.durable:
            self._held.append((future, reply))
        else:
            future.set_result(reply)

    def _release(self, reply: Reply, copies: int) -> None:
        """Let go the answers that waited for the disk."""
        counted = reply[0] if isinstance(reply, list) else reply
        safe = isinstance(counted, int) and counted >= copies
        for future, answer in self._held:
            if future.done():
                continue
            if safe:
                future.set_result(answer)
            else:
                future.set_exception(NotDurable(DURABLE_MS_MAX))
        self._held.clear()
        self._barrier_out = False
        if self._outgoing:
            self._flush()

    def abort(self, why: StoreAway) -> None:
        """Break the connection now and tell every waiting call why."""
        self._lose(why)
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every waiting call; asyncio calls this."""
        self._lose(StoreAway("the connection broke"))

    def _lose(self, why: StoreAway) -> None:
        if self.lost is not None:
            return
        self.lost = why
        if self._watch is not None:
            self._watch.cancel()
        waiting = [w.future for w in self._waiting if w.barrier is None and not w.mark] + [
            w.future for _, w in self._outgoing
        ]
        waiting += [future for future, _ in self._held]
        self._waiting.clear()
        self._outgoing.clear()
        self._held.clear()
        for future in waiting:
            if not future.done():
                # One exception each: a shared one would gather the tracebacks of all who raise it.
                future.set_exception(StoreAway(why.reason))


class Multiplexed:
    """A server behind connections that are used by turns, and made again, all of them, when one breaks.

    A server that syncs its file before it answers reads 16 kB of a connection, some seven turns, and syncs before it
    looks there again. With several it reads of each, and one sync is for all. Order holds on each by itself. What is
    called in one tick of the loop leaves by up to TOGETHER_MAX on one of them: one write here and one read there.
    """

    def __init__(self, address: Address, barrier: Barrier | None = None, connections: int = 1) -> None:
        self._address = address
        self._barrier = barrier
        self._connections = connections
        self._wires: tuple[Wire, ...] = ()
        self._turns: Iterator[Wire] = iter(())
        self._turn: Wire | None = None
        self._connecting: asyncio.Task[tuple[Wire, ...]] | None = None
        self._failures = 0
        self._next_try_at_s = 0.0
        self._patient_until_s = 0.0
        self._closed = False

    def call(self, *words: Word, durable: bool = False) -> Awaitable[Reply]:
        """Send one command and return its answer to come; raise StoreAway, StoreBusy, NotDurable or ServerError."""
        wire = self._turn
        if wire is None or not 0 < wire.unsent < TOGETHER_MAX:
            wire = self._turn = next(self._turns, None)
        if wire is None or wire.lost is not None or wire.full:
            return self._call_later(words, durable)
        # The future itself: a coroutine around it would only be one more to wake.
        return wire.send(packed_words(words), durable)

    async def _call_later(self, words: tuple[Word, ...], durable: bool) -> Reply:
        wire = await self._connected()
        return await wire.send(packed_words(words), durable)

    async def close(self) -> None:
        """Break the connection and refuse every further call."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError, StoreAway, ServerUnfit):
                await self._connecting
        for wire in self._wires:
            wire.abort(StoreAway("closed"))
        # The loop closes the socket in its next turn; whoever closes the loop right after would leave it open.
        await asyncio.sleep(0)

    def _live(self) -> Wire | None:
        """Return the next connection; None when there is none, or one broke and the others are not to be trusted."""
        return None if any(wire.lost is not None for wire in self._wires) else next(self._turns, None)

    async def _connected(self) -> Wire:
        loop = asyncio.get_running_loop()
        wire = self._live()
        if wire is not None:
            return wire
        if self._wires:
            for left in self._wires:
                left.retire()
            self._wires, self._turns, self._turn = (), iter(()), None
            self._patient_until_s = loop.time() + PATIENCE_MS / 1000
        while True:
            if self._closed:
                raise StoreAway("closed")
            pause_s = self._next_try_at_s - loop.time()
            if self._connecting is None and pause_s > 0:
                if self._next_try_at_s > self._patient_until_s:
                    raise StoreAway("the last try to connect failed")
                await asyncio.sleep(pause_s)
                continue
            try:
                return await self._one_try(loop)
            except StoreAway:
                if loop.time() >= self._patient_until_s:
                    raise

    async def _one_try(self, loop: asyncio.AbstractEventLoop) -> Wire:
        """Join the try that is under way, or begin one: a thousand callers make one connection."""
        wire = self._live()
        if wire is not None:
            return wire
        if self._connecting is None:
            self._connecting = loop.create_task(self._connect(loop))
            self._connecting.add_done_callback(self._tried)
        # A caller that gives up must not take the connection from those who still wait for it.
        return (await asyncio.shield(self._connecting))[0]

    def _tried(self, task: asyncio.Task[tuple[Wire, ...]]) -> None:
        self._connecting = None
        if task.cancelled():
            return
        if task.exception() is None:
            self._wires = task.result()
            self._turns = itertools.cycle(self._wires)
            self._failures = 0
            return
        self._failures += 1
        pause_ms = min(BACKOFF_MS_MIN * 2 ** min(self._failures, 10), BACKOFF_MS_MAX)
        self._next_try_at_s = task.get_loop().time() + pause_ms * random.uniform(0.5, 1.0) / 1000

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> tuple[Wire, ...]:
        where = self._address
        made: list[Wire] = []

        def wire() -> Wire:
            made.append(Wire(loop, self._barrier))
            return made[-1]

        try:
            async with asyncio.timeout(CONNECT_MS_MAX / 1000):
                for _ in range(self._connections):
                    if where.path is not None:
                        await loop.create_unix_connection(wire, where.path)
                    else:
                        await loop.create_connection(wire, where.host, where.port)
                    await self._greet(made[-1])
        except (OSError, TimeoutError) as error:
            _give_up(made, "no greeting")
            raise StoreAway("the server does not take connections") from error
        except BaseException:
            _give_up(made, "the greeting failed")
            raise
        return tuple(made)

    async def _greet(self, wire: Wire) -> None:
        greetings: list[tuple[Word, ...]] = []
        if self._address.password is not None:
            user = (self._address.username,) if self._address.username else ()
            greetings.append(("AUTH", *user, self._address.password))
        if self._address.db:
            greetings.append(("SELECT", self._address.db))
        greetings += [("CLIENT", "SETNAME", "handrail"), ("PING",)]
        await asyncio.gather(*(wire.send(packed_words(words)) for words in greetings))


def _give_up(wires: list[Wire], why: str) -> None:
    for wire in wires:
        wire.abort(StoreAway(why))
