"""Ask Handrail, on every turn of an agent, whether a person should take over; wait for that person; work the queues."""

from handrail_client.answers import (
    Claimed,
    Dealt,
    Decision,
    Draft,
    FiredRule,
    Flood,
    Group,
    Handoff,
    HandoffPage,
    HumanStretch,
    Lease,
    OnTimeout,
    Packet,
    QueueView,
    Reply,
    Resolution,
    Wait,
    Waiting,
)
from handrail_client.asynchronous import AsyncHandrail
from handrail_client.blocking import Handrail
from handrail_client.exchange import OnUnreachable
from handrail_client.problems import HandrailError, HandrailProblem, HandrailUnreachable
from handrail_client.turn import Agent, Customer, Parent, ToolCall, TopicScore, Turn

__all__ = [
    "Agent",
    "AsyncHandrail",
    "Claimed",
    "Customer",
    "Dealt",
    "Decision",
    "Draft",
    "FiredRule",
    "Flood",
    "Group",
    "Handoff",
    "HandoffPage",
    "Handrail",
    "HandrailError",
    "HandrailProblem",
    "HandrailUnreachable",
    "HumanStretch",
    "Lease",
    "OnTimeout",
    "OnUnreachable",
    "Packet",
    "Parent",
    "QueueView",
    "Reply",
    "Resolution",
    "ToolCall",
    "TopicScore",
    "Turn",
    "Wait",
    "Waiting",
]
