"""What the service refuses and why, as facts. Exceptions only: no HTTP number, and nothing a customer said.

Every refusal has a stable `code`, a sentence (`str(error)`) and a `hint` that says what to do next. Only names, states
and numbers that the service made itself stand in them: a caller's own input is never told back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

# A hint names some agents; GET /agents lists all.
AGENTS_NAMED_MAX = 10


class Refusal(Exception):
    """Something a caller asked for that cannot be; the subclasses are named after the fact.

    `more` stands beside the sentence in the answer: what is too long for one, as a list of problems.
    """

    code: ClassVar[str] = "refused"
    hint: str = ""
    more: Mapping[str, object] = {}

    def __init__(self, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint or self.hint


class StoreAway(Refusal):
    """The store cannot be reached or cannot answer now; whether a write arrived is unknown."""

    code = "store_away"
    hint = "send the same request again in a moment: whatever was written is answered again, never done twice"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the store is away: {reason}")
        self.reason = reason


class StoreBusy(StoreAway):
    """More calls are on their way to the store than `limit`."""

    code = "too_busy"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} calls are in flight already")
        self.limit = limit


class OthersQuicker(Refusal):
    """Something waits, and each time it was tried somebody else had just taken it."""

    code = "too_busy"
    hint = "ask again in a moment"

    def __init__(self, tries: int) -> None:
        super().__init__(f"others were quicker in each of {tries} tries")
        self.tries = tries


class NotDurable(StoreAway):
    """The write was done, but not confirmed on disk (or on the replicas) within the time allowed."""

    code = "not_durable"

    def __init__(self, waited_ms: int) -> None:
        super().__init__(f"the write was not confirmed durable within {waited_ms} ms")
        self.waited_ms = waited_ms


class ServerUnfit(Refusal):
    """The server at the given address cannot hold Handrail's data as asked."""

    code = "server_unfit"


class PartitionsDiffer(ServerUnfit):
    """The store was made with another number of partitions; opening it with this one would lose sight of its keys."""

    code = "partitions_differ"

    def __init__(self, recorded: int, asked: int) -> None:
        super().__init__(
            f"the store was made with {recorded} partitions, not {asked}",
            f"set HANDRAIL_PARTITIONS={recorded}, or point HANDRAIL_REDIS_URL at an empty server",
        )
        self.recorded = recorded
        self.asked = asked


class ConversationBusy(Refusal):
    """Other turns of the same conversation kept being decided while this one was."""

    code = "conversation_busy"
    hint = "send the turn again; it is decided once, whichever try arrives"

    def __init__(self, tries: int) -> None:
        super().__init__(f"the conversation changed during each of {tries} tries")
        self.tries = tries


class TurnStale(Refusal):
    """A person had the conversation after this turn; what it would say is out of date."""

    code = "turn_stale"
    hint = "drop its reply"

    def __init__(self, turn_index: int, decided_index: int) -> None:
        super().__init__(f"turn_index {turn_index} lies before a handoff that ended at turn_index {decided_index}")
        self.turn_index = turn_index
        self.decided_index = decided_index


class DecisionUnknown(Refusal):
    """No decision with that id is kept here."""

    code = "decision_unknown"
    hint = "check the id; decisions are kept for the retention time only"

    def __init__(self) -> None:
        super().__init__("no such decision")


class ConversationUnknown(Refusal):
    """Nothing of a conversation with that id is kept here."""

    code = "conversation_unknown"
    hint = "check the id; the turns of a conversation are kept for the retention time only"

    def __init__(self) -> None:
        super().__init__("no turn of such a conversation is kept")


class TurnNotKept(Refusal):
    """The decision is kept, but its turn's texts are not: later turns have taken their place."""

    code = "turn_not_kept"
    hint = "a conversation keeps its latest turns only; take a later decision of it"

    def __init__(self) -> None:
        super().__init__("the texts of that turn are no longer kept")


class HandoffUnknown(Refusal):
    """No handoff with that id is kept here."""

    code = "handoff_unknown"
    hint = "check the id; ended handoffs are kept for the retention time only"

    def __init__(self) -> None:
        super().__init__("no such handoff")


class AgentUnknown(Refusal):
    """The active rule files describe no agent of that name."""

    code = "agent_unknown"

    def __init__(self, known: tuple[str, ...]) -> None:
        shown = ", ".join(known[:AGENTS_NAMED_MAX]) or "no agent"
        super().__init__("no such agent", f"the active rule files describe {shown}")
        self.known = known


class QueueUnknown(Refusal):
    """The active rule files declare no queue of that name."""

    code = "queue_unknown"

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__("no such queue", f"the active rule files declare {', '.join(known) or 'no queue'}")
        self.known = known


class MoveIllegal(Refusal):
    """The handoff is in a state from which this verb may not start; `legal` are the verbs that may."""

    code = "move_illegal"

    def __init__(self, verb: str, state: str, legal: tuple[str, ...] = ()) -> None:
        # As people say them: `hand_back` is a name in code, and the route is `hand-back`.
        may = ", ".join(legal).replace("_", " ")
        hint = f"from `{state}` it may {may}" if legal else "a handoff that ended stays ended"
        super().__init__(f"cannot {verb.replace('_', ' ')} a handoff that is `{state}`", hint)
        self.verb = verb
        self.state = state
        self.legal = legal


class NotOffered(MoveIllegal):
    """The handoff waits, and is kept for nobody, so nobody can decline it."""

    def __init__(self, handoff_id: str) -> None:
        hint = "there is nothing to decline; claim it if you want it"
        Refusal.__init__(self, f"{handoff_id} is not offered to you", hint)
        self.verb, self.state, self.legal = "decline", "waiting", ()


class AnswerUnfit(MoveIllegal):
    """The handoff is in hand, and of a kind that does not take this answer; `legal` are those that it takes.

    Each kind may be handed back, which is a move of its own.
    """

    def __init__(self, verb: str, named: str, legal: tuple[str, ...]) -> None:
        *most, last = (f"`{action}`" for action in legal if action != "hand_back")
        takes = f"answer it with {', '.join(most)} or {last}, or hand it back"
        if verb == "reply":
            fact, takes = f"nobody passes on a reply to {named}", f"speak to the customer yourself; then {takes}"
        else:
            fact = f"that is no answer to {named}"
        Refusal.__init__(self, fact, takes)
        self.verb, self.legal = verb, legal


class AlreadyClaimed(Refusal):
    """Somebody else holds the handoff, or it is reserved for somebody else, until the given moment."""

    code = "already_claimed"

    def __init__(
        self, handoff_id: str, holder: str, until_at_ms: int, *, reserved: bool = False, own: bool = False
    ) -> None:
        how = "is reserved for" if reserved else "is held by"
        hint = "it is yours: claim it with `again` to go on here" if own else f"ask {holder}, or claim another"
        super().__init__(f"{handoff_id} {how} {holder}", hint)
        self.handoff_id = handoff_id
        self.holder = holder
        self.until_at_ms = until_at_ms
        self.reserved = reserved


class OperatorUnknown(Refusal):
    """No operator of that name is declared, or there is none at all."""

    code = "operator_unknown"

    def __init__(self, fact: str = "no operator of that name is declared") -> None:
        super().__init__(fact, "`GET /operators` shows who is")


class CapacityReached(Refusal):
    """The operator has as much in hand as was declared for them."""

    code = "capacity_reached"

    def __init__(self, in_hand: int, capacity: int) -> None:
        super().__init__(
            f"you have {in_hand} of {capacity} in hand", "finish or release something, or ask for a higher capacity"
        )
        self.in_hand = in_hand
        self.capacity = capacity


class LeaseLost(Refusal):
    """The token is not, or no longer, the one that holds the handoff."""

    code = "lease_lost"

    def __init__(self, handoff_id: str, holder: str | None, ended_ms_ago: int | None) -> None:
        when = f" {ended_ms_ago} ms ago" if ended_ms_ago is not None else ""
        hint = f"claim it again or ask {holder}, who holds it now" if holder else "claim it again; nobody holds it now"
        super().__init__(f"lease on {handoff_id} ended{when}", hint)
        self.handoff_id = handoff_id
        self.holder = holder
        self.ended_ms_ago = ended_ms_ago


class DraftUnseen(Refusal):
    """The operator lets a draft out, and another one was held since they claimed the handoff."""

    code = "draft_unseen"
    hint = "release the handoff and claim it again: the packet then shows the later draft"

    def __init__(self) -> None:
        super().__init__("another draft was held since the claim")


class NoGroup(Refusal):
    """The handoff is part of no flood's group."""

    code = "no_group"
    hint = "GET /floods lists the groups, and the handoff that stands for each"

    def __init__(self) -> None:
        super().__init__("the handoff is part of no group")


class RequestReused(Refusal):
    """A request names itself as one that was done before, and is another one."""

    code = "request_reused"
    hint = "nothing was done: send it with an `Idempotency-Key` of its own"

    def __init__(self) -> None:
        super().__init__("the `Idempotency-Key` was sent before, with something else")


class LimitReached(Refusal):
    """A list with a named limit is full."""

    code = "limit_reached"

    def __init__(self, what: str, limit: int, hint: str = "") -> None:
        super().__init__(f"{what}: the limit is {limit}", hint)
        self.what = what
        self.limit = limit


class KeyUnknown(Refusal):
    """The tenant has no API key with that id."""

    code = "key_id_unknown"
    hint = "list the keys to see their ids"

    def __init__(self) -> None:
        super().__init__("no such API key")


class CursorInvalid(Refusal):
    """The cursor of a list is not one that the service gave out."""

    code = "cursor_invalid"
    hint = "start again without `cursor`"

    def __init__(self) -> None:
        super().__init__("the cursor is not one of ours")
