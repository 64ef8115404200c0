"""What was expected of a step against what came of it: the differences, and how they came. Nothing is run here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

from rules.cases.case_run import Run, Seen, packet_of
from rules.cases.packets import unmet_of_packet
from rules.cases.values import Expect, HandoffExpect, MoveStep, TurnStep
from rules.evaluation.wording import span_text
from rules.handoff import Handoff, deadline
from rules.thinking import Judged
from rules.turn import Value

# Words that differ between two sentences: past these a person reads both anyway.
DIFFERENCES_SHOWN_MAX = 4


@dataclass(frozen=True, slots=True)
class Unmet:
    """One expectation that was not met. `difference` says in words what is missing or too much, empty where plain."""

    what: str
    expected: str
    got: str
    difference: str = ""


def unmet(run: Run, step: TurnStep | MoveStep, seen: Seen) -> list[Unmet]:
    """Return every expectation of the step that is not met."""
    expect = step.expect
    found: list[Unmet] = []
    if seen.refused is not None and isinstance(step, MoveStep):
        found.append(Unmet(f"the step `{step.move}`", "to be made", f"refused: {seen.refused}"))
    if expect is None:
        return found
    if isinstance(step, TurnStep):
        found += _of_turn(expect, seen)
    elif seen.refused is None:
        found += _of_move(expect, seen)
    found += _of_handoff(expect, seen)
    if expect.packet is not None:
        packet = packet_of(run)
        if packet is None:
            found.append(Unmet("packet", "one to read", "none: no handoff was opened"))
        else:
            found += [Unmet(*each) for each in unmet_of_packet(expect.packet, packet)]
    return found


def _of_turn(expect: Expect, seen: Seen) -> list[Unmet]:
    judged, decision = seen.judged, seen.decision
    if judged is None or decision is None:
        return []
    top = judged.evaluation.top
    then = top.then if top else None
    live = frozenset(rule.id for rule in judged.evaluation.rules)
    shadow = frozenset(rule.id for rule in judged.evaluation.shadow)
    topics = _topics(judged)
    all_fired = live | shadow
    return [
        *_same("verdict", expect.verdict, decision.verdict),
        *_same("queue", expect.queue, then and then.queue),
        *_same("priority", expect.priority, then and then.priority),
        *_same("must_stop", expect.must_stop, decision.must_stop),
        *_said(expect, decision.say),
        *_same("reason code", expect.reason_code, then and then.reason_code),
        *_exactly("rules", expect.rules, live),
        *_among("rules with", expect.rules_include, live),
        *_without("rules", expect.rules_exclude, all_fired),
        *_exactly("shadow rules", expect.shadow, shadow),
        *_among("topics with", expect.topics, topics),
    ]


def _of_move(expect: Expect, seen: Seen) -> list[Unmet]:
    """Return what is unmet of a step that is no turn: what a deadline led to, and what the agent is given to say."""
    fallen, handoff = seen.fell_due, seen.handoff
    resolution = handoff.resolution if handoff is not None else None
    verdict = queue = None
    if fallen is not None:
        verdict = resolution.verdict if resolution is not None else "escalate"
        queue = fallen.queue if resolution is None else None
    said = None if resolution is None else resolution.say or resolution.text
    return [
        *_same("verdict", expect.verdict, verdict),
        *_same("queue", expect.queue, queue),
        *_said(expect, said),
    ]


def _of_handoff(expect: Expect, seen: Seen) -> list[Unmet]:
    handoff = seen.open_handoff
    expires_at_ms = None if handoff is None else deadline(handoff.expires_at_ms)
    left_ms = None if expires_at_ms is None else expires_at_ms - seen.now_ms
    found = [
        *_same("on_timeout", expect.on_timeout, handoff and handoff.on_timeout.verdict),
    ]
    if expect.deadline_ms is not None and expect.deadline_ms != left_ms:
        found.append(Unmet("deadline in", _span(expect.deadline_ms), _span(left_ms)))
    return found + (_handoff(expect.handoff, seen) if expect.handoff is not None else [])


def _handoff(expect: HandoffExpect, seen: Seen) -> list[Unmet]:
    if expect.none:
        standing = seen.open_handoff
        return [] if standing is None else [Unmet("handoff", "none", f"one that is `{standing.state}`")]
    handoff = seen.handoff
    if handoff is None:
        return [Unmet("handoff", "one", "none: none was opened")]
    reasons = _reasons(handoff)
    return [
        *_same("handoff's state", expect.state, handoff.state),
        *_same("handoff's kind", expect.kind, handoff.kind),
        *_same("handoff's queue", expect.queue, handoff.queue),
        *_same("handoff's priority", expect.priority, handoff.priority),
        *_exactly("handoff's reasons", expect.reasons, reasons),
        *_among("handoff's reasons with", expect.reasons_include, reasons),
    ]


def _reasons(handoff: Handoff) -> frozenset[str]:
    return frozenset(rule_id for reason in handoff.reasons for rule_id in reason.rule_ids)


def _said(expect: Expect, said: str | None) -> list[Unmet]:
    found = []
    if expect.say is not None and expect.say != said:
        found.append(Unmet("words", expect.say, said or "none", _words_differ(expect.say, said)))
    missing = [text for text in expect.say_includes if text not in (said or "")]
    if missing:
        found.append(Unmet("words with", "; ".join(missing), said or "none"))
    return found


def _topics(judged: Judged) -> frozenset[str]:
    values = judged.evaluation.values
    return _names(values.get("topics")) | _names(values.get("reply_topics")) | _names(values.get("output_topics"))


def _names(value: Value) -> frozenset[str]:
    return value if isinstance(value, frozenset) else frozenset()


def _same(what: str, wanted: object, got: object) -> list[Unmet]:
    return [] if wanted is None or wanted == got else [Unmet(what, _shown(wanted), _shown(got))]


def _exactly(what: str, wanted: frozenset[str] | None, got: frozenset[str]) -> list[Unmet]:
    if wanted is None or wanted == got:
        return []
    missing, surplus = _shown(wanted - got), _shown(got - wanted)
    parts = [f"{missing} missing"] if wanted - got else []
    parts += [f"{surplus} not expected"] if got - wanted else []
    # Where one side is empty the two lines above say it already.
    return [Unmet(what, _shown(wanted), _shown(got), "; ".join(parts) if wanted and got else "")]


def _among(what: str, wanted: frozenset[str], got: frozenset[str]) -> list[Unmet]:
    if wanted <= got:
        return []
    return [Unmet(what, _shown(wanted), _shown(got), f"{_shown(wanted - got)} missing" if wanted & got else "")]


def _without(what: str, unwanted: frozenset[str], got: frozenset[str]) -> list[Unmet]:
    return [] if not unwanted & got else [Unmet(what, f"without {_shown(unwanted)}", _shown(got))]


def _words_differ(wanted: str, got: str | None) -> str:
    """Return where two sentences differ, word by word; empty when they have too little in common to compare."""
    if got is None:
        return ""
    left, right = wanted.split(), got.split()
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    if left == right:
        return "white space"
    if matcher.ratio() < 0.4:
        return ""
    parts = [
        _edited(" ".join(left[first:last]), " ".join(right[start:end]))
        for kind, first, last, start, end in matcher.get_opcodes()
        if kind != "equal"
    ]
    return "; ".join(parts[:DIFFERENCES_SHOWN_MAX]) + ("; …" if len(parts) > DIFFERENCES_SHOWN_MAX else "")


def _edited(wanted: str, got: str) -> str:
    if not wanted:
        return f"`{got}` not expected"
    return f"`{wanted}` missing" if not got else f"`{got}` instead of `{wanted}`"


def _span(span_ms: int | None) -> str:
    return "none" if span_ms is None else span_text(span_ms)


def _shown(value: object) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(sorted(map(str, value))) or "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value)
