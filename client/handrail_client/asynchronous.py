"""The asynchronous client: it sends and sleeps; what to send and what answers mean is decided in `exchange`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack

import httpx

from handrail_client import calls, exchange
from handrail_client.answers import (
    Chain,
    Claimed,
    Dealt,
    Decision,
    Flood,
    Handoff,
    HandoffPage,
    Packet,
    QueueView,
    Resolution,
)
from handrail_client.calls import Answer
from handrail_client.exchange import Failure, OnUnreachable, Pause, Send, Steps
from handrail_client.turn import Turn, TurnFields
from handrail_client.wire import (
    BUDGET_MS,
    TRY_MS,
    URL,
    Body,
    Deadline,
    Options,
    checked_unreachable,
    checked_url,
    headers_of,
    request_of,
    through_proxy,
    turn_of,
)

T = TypeVar("T")


class AsyncHandrail:
    """Handrail, for agents and operators. Use one for many conversations, within one event loop.

    `on_unreachable` declares what `should_escalate` answers when the service gives no usable answer in `budget_ms`:
    `stop` (the reply is kept back and `unreachable_say` is what to say), `continue`, or `raise`.
    """

    def __init__(
        self,
        url: str = URL,
        key: str | None = None,
        *,
        on_unreachable: OnUnreachable = "stop",
        unreachable_say: str | None = None,
        budget_ms: float = BUDGET_MS,
        try_ms: float = TRY_MS,
    ) -> None:
        declared = checked_unreachable(on_unreachable)
        self._options = Options(checked_url(url), budget_ms, try_ms, declared, unreachable_say)
        self._http = httpx.AsyncClient(headers=headers_of(key), trust_env=through_proxy(url))

    def __repr__(self) -> str:
        return f"AsyncHandrail({self._options.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def should_escalate(
        self,
        turn: Turn | None = None,
        *,
        on_unreachable: OnUnreachable | None = None,
        budget_ms: float | None = None,
        **fields: Unpack[TurnFields],
    ) -> Decision:
        """Return whether this turn may go out; give a Turn, or its fields as keyword arguments.

        Raises HandrailProblem when the service refuses the turn itself (a wrong key, a stale turn), ValueError when
        a field is wrong.
        """
        declared = self._options.declared(on_unreachable)
        budget = self._options.budget(budget_ms)
        return await self._run(exchange.decide(turn_of(turn, fields), budget, declared, self._options.unreachable_say))

    async def wait_for(self, handoff_id: str, timeout_ms: float) -> Resolution | None:
        """Wait until the handoff has ended and return how; None when it has not within `timeout_ms`."""
        return await self._run(exchange.wait_for(handoff_id, timeout_ms, self._options.operator_budget()))

    async def changed(self, handoff_id: str, version: int, timeout_ms: float) -> Handoff:
        """Wait until the handoff's version is another than `version` and return it; as it is when the time is up."""
        return await self._run(exchange.changed(handoff_id, version, timeout_ms, self._options.operator_budget()))

    async def handoff(self, handoff_id: str) -> Handoff:
        """Return the handoff as it stands."""
        return await self._run(self._fetch(calls.handoff(handoff_id)))

    async def decision(self, decision_id: str) -> dict[str, Any]:
        """Return a stored decision with everything behind it."""
        return await self._run(self._fetch(calls.decision(decision_id)))

    async def chain(self, conversation_id: str) -> Chain:
        """Return which agents had the work of a conversation, and at whom it broke."""
        return await self._run(self._fetch(calls.chain(conversation_id)))

    async def queues(self) -> tuple[QueueView, ...]:
        """Return the queues and what waits in each."""
        return await self._run(self._fetch(calls.queues()))

    async def handoffs(
        self, queue: str | None = None, state: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> HandoffPage:
        """Return a page of handoffs."""
        return await self._run(self._fetch(calls.handoffs(queue, state, cursor, limit)))

    async def floods(self, queue: str | None = None) -> tuple[Flood, ...]:
        """Return the floods: of the same over and over one handoff stands in the queue, the others wait behind it."""
        return await self._run(self._fetch(calls.floods(queue)))

    async def members(self, handoff_id: str, limit: int | None = None) -> HandoffPage:
        """Return those who wait behind the handoff that stands for a flood."""
        return await self._run(self._fetch(calls.members(handoff_id, limit)))

    async def answer_members(
        self,
        handoff_id: str,
        token: str,
        *,
        action: Literal["answer", "reject"],
        outcome: Literal["needed", "not_needed", "too_late", "unclear"],
        text: str | None = None,
        root_cause: str | None = None,
    ) -> Dealt:
        """Answer all members of a flood at once, with the token of the handoff that stands for it."""
        fields = {"action": action, "outcome": outcome, "text": text, "root_cause": root_cause}
        return await self._run(self._fetch(calls.answer_members(handoff_id, token, fields)))

    async def ungroup(self, handoff_id: str, members: Sequence[str] = ()) -> Dealt:
        """Let these members of a flood wait as ones of their own, or all of them."""
        return await self._run(self._fetch(calls.ungroup(handoff_id, members)))

    async def present(self, available: bool = True) -> int | None:
        """Say that you are there to take work, or not; until when that is believed (Unix ms). Again every 30 s."""
        return await self._run(self._fetch(calls.presence(available)))

    async def claim(self, queue: str | None = None) -> Claimed | None:
        """Claim what is most urgent in the queue, or of all that you can do; None when nothing waits."""
        return await self._run(self._fetch(calls.claim_next(queue)))

    async def claim_handoff(self, handoff_id: str) -> Claimed:
        """Claim this handoff."""
        return await self._run(self._fetch(calls.claim_one(handoff_id)))

    async def acknowledge(self, handoff_id: str) -> Handoff:
        """Say that you know of it and come: nobody is told of it any more."""
        return await self._run(self._fetch(calls.without_a_lease(handoff_id, "acknowledge")))

    async def decline(self, handoff_id: str) -> Handoff:
        """Let what is offered to you go to the next at once."""
        return await self._run(self._fetch(calls.without_a_lease(handoff_id, "decline")))

    async def packet(self, handoff_id: str) -> Packet:
        """Return what the handoff is about at this moment, with what was said since the claim, and the drafts."""
        return await self._run(self._fetch(calls.packet(handoff_id)))

    async def save_draft(self, handoff_id: str, fields: Mapping[str, Any]) -> None:
        """Keep what you are writing; no fields throw it away. It needs no lease."""
        await self._run(self._fetch(calls.save_draft(handoff_id, fields)))

    async def renew(self, handoff_id: str, token: str) -> Handoff:
        """Keep the lease for its full length from now."""
        return await self._run(self._move(handoff_id, "renew", token))

    async def resume(self, handoff_id: str, token: str) -> Handoff:
        """Go on with a handoff that was held; its lease counts again."""
        return await self._run(self._move(handoff_id, "resume", token))

    async def hold(self, handoff_id: str, token: str, *, until_at_ms: int, reason: str | None = None) -> Handoff:
        """Keep the handoff without heartbeat until a moment (Unix ms), at most a day away."""
        return await self._run(self._move(handoff_id, "hold", token, reason=reason, until_at_ms=until_at_ms))

    async def release(self, handoff_id: str, token: str) -> Handoff:
        """Put the handoff back into its queue, as urgent as it was."""
        return await self._run(self._move(handoff_id, "release", token))

    async def transfer(
        self, handoff_id: str, token: str, *, queue: str | None = None, operator: str | None = None
    ) -> Handoff:
        """Give the handoff to another queue, or to an operator by name."""
        return await self._run(self._move(handoff_id, "transfer", token, queue=queue, operator=operator))

    async def reply(self, handoff_id: str, token: str, text: str) -> Handoff:
        """Say something to the customer."""
        return await self._run(self._move(handoff_id, "reply", token, text=text))

    async def resolve(  # noqa: PLR0913  (one keyword a field of the contract)
        self,
        handoff_id: str,
        token: str,
        *,
        action: Literal["approve", "edit", "reject", "answer", "take_over"],
        outcome: Literal["needed", "not_needed", "too_late", "unclear"],
        text: str | None = None,
        edited: Mapping[str, Any] | None = None,
        root_cause: str | None = None,
        flags: tuple[str, ...] = (),
    ) -> Handoff:
        """End the handoff with an answer for the waiting agent, and say whether a person was needed."""
        fields = {"action": action, "outcome": outcome, "text": text, "edited": edited, "root_cause": root_cause}
        return await self._run(self._move(handoff_id, "resolve", token, **fields, flags=flags))

    async def hand_back(
        self,
        handoff_id: str,
        token: str,
        *,
        facts: Mapping[str, Any] | None = None,
        edited: Mapping[str, Any] | None = None,
        may_retry: bool | None = None,
        text: str | None = None,
        outcome: Literal["needed", "not_needed", "too_late", "unclear"] | None = None,
    ) -> Handoff:
        """Give the conversation back to the agent, with what was learned and what to do instead (`edited`)."""
        fields = {"facts": facts, "edited": edited, "may_retry": may_retry, "text": text, "outcome": outcome}
        return await self._run(self._move(handoff_id, "hand-back", token, **fields))

    async def record_outcome(
        self,
        kind: Literal["reopened", "csat", "complaint", "resolved_without_person"],
        *,
        conversation_id: str | None = None,
        handoff_id: str | None = None,
        score: float | None = None,
        at_ms: int | None = None,
    ) -> dict[str, Any]:
        """Report what became known later of a conversation or a handoff; `score` is what a CSAT question gave."""
        about = {"conversation_id": conversation_id, "handoff_id": handoff_id}
        return await self._run(self._fetch(calls.outcome({"kind": kind, **about, "score": score, "at_ms": at_ms})))

    def _fetch(self, call: calls.Call[T]) -> Steps[T]:
        return exchange.fetch(call, self._options.operator_budget())

    def _move(self, handoff_id: str, verb: str, token: str, **fields: object) -> Steps[Handoff]:
        return self._fetch(calls.move(handoff_id, verb, token, fields))

    async def _run(self, steps: Steps[T]) -> T:
        came: Answer | Failure | None = None
        try:
            while True:
                step = steps.send(came)
                came = None
                if isinstance(step, Pause):
                    await asyncio.sleep(step.ms / 1000)
                else:
                    came = await self._send(step)
        except StopIteration as done:
            value: T = done.value
            return value

    async def _send(self, step: Send) -> Answer | Failure:
        deadline = Deadline(step.timeout_ms)
        body = Body(deadline)
        try:
            async with asyncio.timeout(step.timeout_ms / 1000):
                request = request_of(self._http, self._options.url, step.call, deadline)
                response = await self._http.send(request, stream=True)
                try:
                    if failure := body.begin(response):
                        return failure
                    async for part in response.aiter_raw():
                        if failure := body.add(part):
                            return failure
                finally:
                    await response.aclose()
        except (httpx.HTTPError, TimeoutError) as error:
            return body.broken_off(error)
        return body.answer()
