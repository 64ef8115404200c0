"""The name of every key in Redis, with its why. Names only: nothing is read or written here.

All keys of one conversation, its handoffs and the queues they wait in carry the hash tag `{tenant:partition}`, so that
a cluster keeps them on one shard and one script may touch them all. What concerns the whole store (API keys, tenants,
the number of partitions) carries the tag `{control}`.
"""

from __future__ import annotations

import re
from binascii import crc_hqx
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

PREFIX = "hr:"
SCHEMA = 1  # raised when a key changes its shape; a server with a higher one is refused

# One channel for all handoffs: a process subscribes once, however many agents wait on it, and a message is 60 bytes.
MOVED_CHANNEL = "hr:moved"
# One channel for the rulesets of all tenants: a message is the tenant's name, and comes a few times a day.
RULESETS_CHANNEL = "hr:rulesets"
CONSUMERS = "handrail"  # the one group that reads the outbox

MARK = "hr:{control}:mark"  # STRING as in a partition, for what concerns the whole store
STORE = "hr:{control}:store"  # HASH schema, partitions: what this server was made with
LINK_KEY = "hr:{control}:link_key"  # STRING that signs links in messages; made by whoever needs it first
TENANTS = "hr:{control}:tenants"  # SET of tenants: workers have no other way to know whose partitions to sweep

DECISION_ID = re.compile(r"dec_([0-9a-f]{1,4})_[0-9a-f]{20}")
HANDOFF_ID = re.compile(r"hof_([0-9a-f]{1,4})_[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Place:
    """One partition of one tenant: everything that a single script may touch together."""

    tenant: str
    partition: int
    tag: str

    def conversation(self, conversation_id: str) -> str:
        """HASH version, counts, the open handoff, where history was cut. Every commit checks its version."""
        return f"{self.tag}conversation:{conversation_id}"

    def turns(self, conversation_id: str) -> str:
        """ZSET turn record -> order: what aggregates read. Removed when a handoff ends, so nothing counts twice."""
        return f"{self.tag}turns:{conversation_id}"

    def transcript(self, conversation_id: str) -> str:
        """ZSET turn's texts -> order: what an operator reads. It outlives a hand-back, unlike `turns`."""
        return f"{self.tag}transcript:{conversation_id}"

    def outcomes(self, conversation_id: str) -> str:
        """LIST of what became known later. One a conversation: a handoff's outcomes are read with its conversation."""
        return f"{self.tag}outcomes:{conversation_id}"

    def decision(self, decision_id: str) -> str:
        """STRING the stored answer of one turn. A key of its own, so that a retry costs one GET and it can expire."""
        return f"{self.tag}decision:{decision_id}"

    def handoff(self, handoff_id: str) -> str:
        """HASH one handoff. Open ones never expire; ended ones do."""
        return f"{self.tag}handoff:{handoff_id}"

    def alias(self, handoff_id: str) -> str:
        """STRING the handoff that one opened while the store was away has joined: its id was already told."""
        return f"{self.tag}alias:{handoff_id}"

    def packet(self, handoff_id: str) -> str:
        """STRING the packet built ahead, with the version it was built from. Lost or stale, it is built again."""
        return f"{self.tag}packet:{handoff_id}"

    def drafts(self, handoff_id: str) -> str:
        """HASH operator -> what they were writing. Apart from the handoff, as it outlives a lease and wakes nobody."""
        return f"{self.tag}drafts:{handoff_id}"

    def waiting(self, queue: str) -> str:
        """ZSET handoff_id -> score_ms of all that wait in a queue: positions and counts are read from it."""
        return f"{self.tag}waiting:{queue}"

    def waiting_in(self, wanted: str) -> str:
        """ZSET handoff_id -> score_ms of those that wait in one class: the lowest that an operator may take is the
        first of one of the classes open to them, however many wait."""
        return f"{self.classes_prefix}{wanted}"

    def group(self, in_class: str) -> str:
        """HASH who stands for a flood's group, since when, and how many were ever in it; its members are a class."""
        return f"{self.tag}group:{in_class}"

    def counted(self, in_class: str) -> str:
        """ZSET handoff_id -> when it opened, of the latest ones alike: whether they come as fast as a flood."""
        return f"{self.tag}counted:{in_class}"

    def open(self, queue: str) -> str:
        """ZSET handoff_id -> score_ms of all open ones, waiting or taken: lists and counts read it."""
        return f"{self.tag}open:{queue}"

    def request(self, request_id: str) -> str:
        """STRING what a request was answered. A retry whose first answer got lost must not run twice."""
        return f"{self.tag}request:{request_id}"

    def waits(self, queue: str) -> str:
        """LIST of how long the latest handoffs of a queue waited, latest first: what estimates are made of."""
        return f"{self.tag}waits:{queue}"

    def handled(self, queue: str) -> str:
        """ZSET how long it was in hand, and its id -> when it ended, of the latest: how long one takes."""
        return f"{self.tag}handled:{queue}"

    def spent(self, queue: str, hour: int) -> str:
        """HASH minute -> milliseconds in hand of those that ended in it: what a queue took of people's time. A key an
        hour, so that a sum over a day is kept however many end, and what is older expires."""
        return f"{self.tag}spent:{queue}:{hour}"

    @property
    def shed(self) -> str:
        """ZSET decision_id -> when it was made, of decisions that asked people for less: the listing."""
        return f"{self.tag}shed"

    @property
    def calls(self) -> str:
        """ZSET handoff_id -> when the call was promised that it owes a customer. Nothing is ever cut off it: a handoff
        leaves it with its end, and another one stands for what is owed still."""
        return f"{self.tag}calls"

    @property
    def ended(self) -> str:
        """ZSET handoff_id -> when it ended, of the latest ones: the listing of those that are over."""
        return f"{self.tag}ended"

    @property
    def mark(self) -> str:
        """STRING, always empty: written so that a wait for the disk has something to wait for."""
        return f"{self.tag}mark"

    @property
    def queues(self) -> str:
        """SET of queues that ever held a handoff here: a queue dropped from the rule files may still hold some."""
        return f"{self.tag}queues"

    @property
    def operators(self) -> str:
        """HASH name -> what is declared of an operator; of the tenant's first partition only."""
        return f"{self.tag}operators"

    @property
    def present(self) -> str:
        """ZSET operator -> until when they are believed to be there: a heartbeat moves it on, silence lets it pass."""
        return f"{self.tag}present"

    @property
    def claimed_at(self) -> str:
        """HASH operator -> when they last got a handoff here: of two as free, the longer idle is offered one."""
        return f"{self.tag}claimed_at"

    @property
    def classes_prefix(self) -> str:
        """What the keys of classes begin with."""
        return f"{self.tag}class:"

    @property
    def classes(self) -> str:
        """ZSET class -> score_ms of its most urgent one; only classes in which somebody waits are in it."""
        return f"{self.tag}classes"

    @property
    def loads(self) -> str:
        """HASH operator -> weight of what they have in hand here. A claim must know it in the step that adds to it."""
        return f"{self.tag}loads"

    def room(self, operator: str, kind: str) -> str:
        """HASH of the claims, or offers, that are under way to an operator, in the one partition that is theirs for it.
        What they hold lies in every partition: without this two steps at once could each take the last place."""
        return f"{self.tag}room:{kind}:{operator}"

    def noted(self, operator: str) -> str:
        """STRING what an operator has in hand at most, by partition, as their last claim noted beside their room."""
        return f"{self.tag}noted:{operator}"

    def tried(self, request_id: str) -> str:
        """STRING the partition in which a claim was about to take something: there lies the answer, if there is one."""
        return f"{self.tag}tried:{request_id}"

    @property
    def leases(self) -> str:
        """ZSET handoff_id -> when its lease ends. Its own ZSET, as RQ's timers come up to a second late."""
        return f"{self.tag}leases"

    @property
    def beats(self) -> str:
        """HASH when this partition could last be asked, and from when until when it could not. For leases that end
        meanwhile, so it is there only while somebody has one."""
        return f"{self.tag}beats"

    @property
    def lateness(self) -> str:
        """HASH upper bound in ms -> how many timers were so late: counted where all workers can."""
        return f"{self.tag}lateness"

    @property
    def deadlines(self) -> str:
        """ZSET handoff_id -> when time next changes it: its deadline, a step of its ladder, the end of an offer.
        Among them the classes of groups that nobody stands for any more."""
        return f"{self.tag}deadlines"

    @property
    def outbox(self) -> str:
        """STREAM of what is to be told. Written by the same script as the change, so nothing is done and not told."""
        return f"{self.tag}outbox"

    @property
    def deliveries(self) -> str:
        """HASH delivery_id -> one event owed to one webhook. Beside the outbox: a cluster keeps both together."""
        return f"{self.tag}deliveries"

    @property
    def deliveries_due(self) -> str:
        """ZSET delivery_id -> when it is tried next. The one place that says so: RQ only carries the nudge."""
        return f"{self.tag}deliveries_due"

    @property
    def dead_letters(self) -> str:
        """HASH delivery_id -> what was given up. Kept to be seen and sent again."""
        return f"{self.tag}dead_letters"

    @property
    def dead_letters_at(self) -> str:
        """ZSET delivery_id -> when it was given up: the listing, and which go first past the limit."""
        return f"{self.tag}dead_letters_at"

    # What people are owed lies in the tenant's first partition too: a burst in all of them is one message.

    @property
    def tellings(self) -> str:
        """HASH telling_id -> who is owed what. A plan only: whether it still holds is asked of the handoff."""
        return f"{self.tag}tellings"

    @property
    def telling_channels(self) -> str:
        """ZSET channel -> when it is next looked at: the one number that the scheduler asks for."""
        return f"{self.tag}telling_channels"

    @property
    def telling_rests(self) -> str:
        """HASH channel -> until when it is with a worker (`ms`), or left alone after it failed (`rest ms`)."""
        return f"{self.tag}telling_rests"

    def tellings_due(self, channel: str) -> str:
        """ZSET telling_id -> when one channel is to be told. A key a channel: what one is owed holds up no other."""
        return f"{self.tag}tellings_due:{channel}"

    # Drills are the tenant's, and the outbox that tells of them lies in its first partition.

    def drill(self, drill_id: str) -> str:
        """HASH one fire drill: when each step of its path was reached, and its result. It expires."""
        return f"{self.tag}drill:{drill_id}"

    @property
    def drills(self) -> str:
        """ZSET drill_id -> when it was opened: the history."""
        return f"{self.tag}drills"

    @property
    def drills_last(self) -> str:
        """HASH queue -> its last drill that ended: kept apart, as the history drops a weekly one behind hourly ones."""
        return f"{self.tag}drills_last"

    @property
    def drill_schedules(self) -> str:
        """HASH queue -> when it is drilled."""
        return f"{self.tag}drill_schedules"

    # A tenant has one set of versions of its rules. They lie in its first partition: the outbox there tells of them.

    @property
    def rulesets(self) -> str:
        """HASH which version is active, which one is staged and how, and the revision that every step raises."""
        return f"{self.tag}rulesets"

    @property
    def ruleset_heads(self) -> str:
        """HASH version -> who pushed it, when, with which words. Apart from the texts, so that a list reads little."""
        return f"{self.tag}ruleset_heads"

    @property
    def ruleset_texts(self) -> str:
        """HASH version -> its files, compressed. Written once and never again."""
        return f"{self.tag}ruleset_texts"

    @property
    def ruleset_names(self) -> str:
        """HASH digest of the files -> version: the same texts are the same version, however often they are pushed."""
        return f"{self.tag}ruleset_names"

    @property
    def ruleset_marks(self) -> str:
        """HASH what became of each version: who approved it, when it was activated or rolled back."""
        return f"{self.tag}ruleset_marks"

    @property
    def ruleset_trail(self) -> str:
        """LIST of the versions that were active before, latest last: where a rollback leads."""
        return f"{self.tag}ruleset_trail"

    @property
    def ruleset_steps(self) -> str:
        """LIST of every step with its actor, oldest first: what `history` tells."""
        return f"{self.tag}ruleset_steps"

    def ruleset_shadow(self, version: int) -> str:
        """HASH of what a version in shadow would have decided, counted. A key of its own, so that it can expire."""
        return f"{self.tag}ruleset_shadow:{version}"

    def ruleset_differences(self, version: int) -> str:
        """LIST of the latest turns that a version in shadow would have decided otherwise, latest first."""
        return f"{self.tag}ruleset_differences:{version}"

    def ruleset_written(self, version: int, write_id: str) -> str:
        """STRING, always empty: that a write to the two above was done. A cluster's client sends some a second time."""
        return f"{self.tag}ruleset_written:{version}:{write_id}"


@lru_cache(maxsize=65_536)  # tenants times partitions of a large installation; a Place is 200 bytes
def place(tenant: str, partition: int) -> Place:
    """Return the keys of one partition of a tenant."""
    return Place(tenant, partition, f"{PREFIX}{{{tenant}:{partition:x}}}:")


def partition_of(conversation_id: str, partitions: int) -> int:
    """Return where a conversation lives: CRC16 as Redis Cluster counts it. `partitions` is fixed for ever."""
    return crc_hqx(conversation_id.encode(), 0) % partitions


def decision_id(tenant: str, partition: int, conversation_id: str, turn_id: str) -> str:
    """Return the id of the one decision of a turn: derived, so that a retry finds it without an index."""
    digest = blake2b(f"{tenant}\0{conversation_id}\0{turn_id}".encode(), digest_size=10).hexdigest()
    return f"dec_{partition:x}_{digest}"


def handoff_id(partition: int, random_hex: str) -> str:
    """Return the id of a new handoff: `random_hex` are 16 digits; the partition in it saves an index."""
    return f"hof_{partition:x}_{random_hex}"


def partition_in(pattern: re.Pattern[str], identity: str, partitions: int) -> int | None:
    """Return the partition that an id names, None when it is no id of this store."""
    match = pattern.fullmatch(identity)
    partition = int(match[1], 16) if match else partitions
    return partition if partition < partitions else None


def keeper(tenant: str, customer_id: str) -> str:
    """STRING the operator who had this customer last. A tag of its own, as a customer has many conversations."""
    return f"{PREFIX}{{{tenant}:customer:{customer_id}}}:keeper"


def api_key(key_id: str) -> str:
    """HASH one API key. Its id is the head of the secret's hash, so one read finds it and the secret is not stored."""
    return f"hr:{{control}}:key:{key_id}"


def api_keys(tenant: str) -> str:
    """ZSET key_id -> created_at_ms: the listing of a tenant."""
    return f"hr:{{control}}:keys:{tenant}"


def webhooks(tenant: str) -> str:
    """HASH of a tenant's endpoints and how each fares. One key, so that a worker reads them all in one trip."""
    return f"hr:{{control}}:webhooks:{tenant}"


def channels(tenant: str) -> str:
    """HASH of a tenant's channels and how each fares. One key, so that a worker reads them all in one trip."""
    return f"hr:{{control}}:channels:{tenant}"
