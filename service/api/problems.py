"""Every problem the service answers with: code, status, title, next step, in one table. No input is ever in one.

Facts that the flows raise are translated here and nowhere else; what they say is worded by `service.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from service.errors import Refusal

MEDIA_TYPE = "application/problem+json"
# A client that waits this long after a store's failure neither hammers it nor keeps a customer waiting.
RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class ProblemSpec:
    """What one code means: its HTTP status, a title that never changes, and what the caller does next."""

    status: int
    title: str
    hint: str


class Refused(Exception):
    """A request that cannot be answered as asked; `detail` is one sentence, `hint` replaces the table's when given."""

    def __init__(
        self, code: str, detail: str, hint: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.hint = hint
        self.headers: Mapping[str, str] = headers or {}
        # What stands beside the sentence, where a sentence is too short: the problems of rule files.
        self.more: Mapping[str, object] = {}


PROBLEMS: dict[str, ProblemSpec] = {
    # What is asked
    "request_malformed": ProblemSpec(400, "not a request", "send HTTP/1.1 without TLS, and let a library write it"),
    "head_too_large": ProblemSpec(
        431, "the head is too large", "send fewer and shorter headers; what is long belongs in the body"
    ),
    "head_slow": ProblemSpec(408, "the head did not arrive", "send the request again on a better connection"),
    "body_invalid": ProblemSpec(
        422, "the body does not fit", "mend the fields named in `detail`; /docs shows each one"
    ),
    "body_not_json": ProblemSpec(400, "the body is not JSON", "send one JSON object in UTF-8, without NaN or Infinity"),
    "body_too_large": ProblemSpec(
        413, "the body is too large", "shorten `message`, `reply`, `args`; push fewer or smaller files"
    ),
    "body_slow": ProblemSpec(408, "the body did not arrive", "send the request again on a better connection"),
    "body_encoded": ProblemSpec(415, "compressed bodies are not read", "send the body without `Content-Encoding`"),
    "body_type": ProblemSpec(415, "the body is not of a type that is read", "send `Content-Type: application/json`"),
    "query_invalid": ProblemSpec(422, "the query does not fit", "mend the parameters named in `detail`"),
    "route_unknown": ProblemSpec(404, "no such address", "see /docs for the addresses there are"),
    "method_not_allowed": ProblemSpec(405, "not with this method", "use a method that the `Allow` header names"),
    "work_too_much": ProblemSpec(422, "the files ask for too much work", "send fewer, or use `handrail` at a terminal"),
    # Who asks
    "key_missing": ProblemSpec(
        401, "an API key is needed", "send `Authorization: Bearer` and a key; `handrail keys` makes one"
    ),
    "key_unknown": ProblemSpec(
        401, "the API key is not known", "check the key, or make a new one with `handrail keys create`"
    ),
    "role_missing": ProblemSpec(403, "the API key may not do this", "use a key with a role that `detail` names"),
    # What is there; from here to the end of the table the codes are those of `service.errors`, which words them too
    "conversation_unknown": ProblemSpec(
        404, "no turn of such a conversation is kept", "check the id; turns are kept for a limited time"
    ),
    "decision_unknown": ProblemSpec(404, "no such decision", "check the id; decisions are kept for a limited time"),
    "turn_not_kept": ProblemSpec(404, "the turn's texts are no longer kept", "take a later decision"),
    "handoff_unknown": ProblemSpec(404, "no such handoff", "check the id, or list the open ones with GET /handoffs"),
    "queue_unknown": ProblemSpec(404, "no such queue", "GET /queues lists the queues of the active rules"),
    "agent_unknown": ProblemSpec(404, "no such agent", "GET /agents lists those that the active rules describe"),
    "key_id_unknown": ProblemSpec(404, "no such API key", "GET /keys lists the keys of this tenant"),
    "webhook_unknown": ProblemSpec(404, "no such webhook", "GET /webhooks lists the webhooks of this tenant"),
    "dead_letter_unknown": ProblemSpec(404, "no such dead letter", "GET /webhooks/dead-letters lists them"),
    "webhook_url_refused": ProblemSpec(422, "the address may not be called", "give an https:// address"),
    "webhook_secret_unfit": ProblemSpec(422, "the secret cannot be used", "leave it out and one is made"),
    "events_unknown": ProblemSpec(422, "no such events", "GET /webhooks/events lists them"),
    "channel_unknown": ProblemSpec(404, "no such channel", "GET /channels lists the channels of this tenant"),
    "channel_unfit": ProblemSpec(422, "the channel cannot be as asked for", "mend what `detail` names"),
    "drill_unknown": ProblemSpec(404, "no such drill", "GET /drills lists the drills of this tenant"),
    "link_invalid": ProblemSpec(403, "the link was not signed here", "open it as it stands in the message"),
    "link_expired": ProblemSpec(410, "the link is too old", "look for the handoff in the list of open ones"),
    "cursor_invalid": ProblemSpec(422, "the cursor is not one of ours", "start again without `cursor`"),
    "operator_unknown": ProblemSpec(404, "no such operator", "GET /operators lists those who are declared"),
    "version_unknown": ProblemSpec(404, "no such version", "GET /rulesets lists the versions of this tenant"),
    "rules_invalid": ProblemSpec(422, "the rule files have errors", "mend what `problems` and `rendered` show"),
    # What is possible now
    "lease_lost": ProblemSpec(409, "the lease is lost", "claim the handoff again, or ask its holder"),
    "capacity_reached": ProblemSpec(409, "as much in hand as declared", "finish or release something first"),
    "already_claimed": ProblemSpec(409, "somebody else has it", "claim the next one, or ask its holder"),
    "move_illegal": ProblemSpec(409, "not in this state", "read the handoff again to see what is possible now"),
    "no_group": ProblemSpec(409, "the handoff is part of no group", "look for groups with GET /floods"),
    "draft_unseen": ProblemSpec(409, "a later draft is not seen", "release the handoff, claim it again, and read it"),
    "request_reused": ProblemSpec(422, "the key of another request", "use an `Idempotency-Key` of its own"),
    "turn_stale": ProblemSpec(409, "the turn is stale", "drop its reply: a person has had the conversation since"),
    "conversation_busy": ProblemSpec(409, "the conversation is busy", "send the turn again"),
    "tests_failed": ProblemSpec(409, "tests of the rule files fail", "mend the rules or the tests, and push again"),
    "version_staged": ProblemSpec(409, "another version is staged", "activate or withdraw that one first"),
    "version_active": ProblemSpec(409, "the version is active already", "stage another version"),
    "rulesets_moved": ProblemSpec(409, "somebody else was quicker", "look at GET /rulesets, and decide again"),
    "approval_missing": ProblemSpec(409, "a second person must approve", "POST /rulesets/{version}/approve by another"),
    "own_approval": ProblemSpec(409, "nobody approves their own version", "ask another manager to approve it"),
    "nothing_before": ProblemSpec(409, "there is no version to go back to", "activate the version that you want"),
    "file_mode": ProblemSpec(409, "the rules come from a directory", "edit the files, or serve without `--rules`"),
    "limit_reached": ProblemSpec(409, "a limit is reached", "make room first"),
    "refused": ProblemSpec(409, "not possible", "read `detail`"),
    # What is wrong with us
    "internal": ProblemSpec(
        500, "something went wrong here", "try again; the log has the reason under this request id"
    ),
    "store_away": ProblemSpec(503, "the store is away", "send the same request again after `Retry-After` seconds"),
    "too_busy": ProblemSpec(503, "too much at once", "send the same request again after `Retry-After` seconds"),
    "not_durable": ProblemSpec(503, "not confirmed on disk", "send the same request again: nothing is done twice"),
    "server_unfit": ProblemSpec(503, "the store does not fit", "ask who runs this service"),
    "partitions_differ": ProblemSpec(503, "the store does not fit", "ask who runs this service"),
}


def of_refusal(refusal: Refusal) -> Refused:
    """Return the problem that states what a flow refused; a code without a row of its own reads as `refused`."""
    code = refusal.code if refusal.code in PROBLEMS else "refused"
    refused = Refused(code, refusal.detail, refusal.hint or None)
    refused.more = refusal.more
    return refused


@dataclass(frozen=True, slots=True)
class Answer:
    """A problem ready to be sent: status, header pairs and the encoded body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def answer(refused: Refused) -> Answer:
    """Return what is sent for this problem: RFC 9457, one shape for all."""
    spec = PROBLEMS[refused.code]
    body = orjson.dumps(
        {
            "type": f"/problems/{refused.code}",
            "title": spec.title,
            "status": spec.status,
            "code": refused.code,
            "detail": refused.detail,
            "hint": refused.hint or spec.hint,
            **refused.more,
        }
    )
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in refused.headers.items()]
    if spec.status == 503 and "Retry-After" not in refused.headers:
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    if spec.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="handrail"'))
    return Answer(spec.status, tuple(headers), body)
