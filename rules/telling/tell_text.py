"""What a message to people says, in their language: enough to decide whether to come, and no word of a customer's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rules.evaluation.wording import span_text
from rules.handoff import Handoff, deadline
from rules.marks import is_drill
from rules.model import PRIORITIES
from rules.routing.route import language_of
from rules.routing.widening import Widening
from rules.routing.widening import told as widening_told
from rules.telling.notices import PAGE
from rules.telling.telling import TEST, Telling
from rules.telling.widened_text import widened_text

# As many as are read on a telephone before somebody opens the list; the rest are counted.
SHOWN_MAX = 10
WHY_CHARS_MAX = 200
LANGUAGES: tuple[str, ...] = ("en", "es")

# What is said of a handoff that several things happened to: the first of them.
_STRONGEST: tuple[str, ...] = (
    *(TEST, "expired", "resolve_missed", PAGE, "deadline_near", "resolve_near", "returned", "opened"),
)
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "opened": "waits for a person",
        "returned": "waits again: whoever had it is gone",
        "deadline_near": "still waits, and its deadline is near",
        PAGE: "still waits, and nobody has come",
        "resolve_near": "is not resolved yet, and its time is nearly over",
        "resolve_missed": "was not resolved in time",
        "expired": "nobody came in time",
        TEST: "This is a test of the channel {channel}. Nobody waits.",
        "many": "{count} handoffs: {priorities}",
        "more": "… and {count} more",
        "why": "why: {why}",
        "times": "waits since {since} ({waited}) · deadline {deadline} ({left})",
        "times_undated": "waits since {since} ({waited}) · no deadline, a call was promised",
        "times_due": "waits since {since} ({waited}) · a call was promised, due {deadline} ({left})",
        "left": "{span} left",
        "over": "{span} over",
        "language": "the customer speaks {language}",
        "again": "told before: {times}",
        "flood": "it stands for a flood: {count} more like it {whose}",
        "customer": "from one customer",
        "agent": "from agent {who}",
        "tenant": "from everywhere",
        "held": "{count} came up in the quiet hours",
        "urgent": "urgent",
        "high": "high",
        "normal": "normal",
        "low": "low",
        "drill": "FIRE DRILL, no customer waits: ",
    },
    "es": {
        "opened": "espera a una persona",
        "returned": "vuelve a esperar: quien lo tenía ya no está",
        "deadline_near": "sigue esperando y su plazo está por terminar",
        PAGE: "sigue esperando y no ha venido nadie",
        "resolve_near": "aún no está resuelto y su tiempo está por terminar",
        "resolve_missed": "no se resolvió a tiempo",
        "expired": "nadie vino a tiempo",
        TEST: "Esto es una prueba del canal {channel}. Nadie espera.",
        "many": "{count} traspasos: {priorities}",
        "more": "… y {count} más",
        "why": "motivo: {why}",
        "times": "espera desde {since} ({waited}) · plazo {deadline} ({left})",
        "times_undated": "espera desde {since} ({waited}) · sin plazo, se prometió una llamada",
        "times_due": "espera desde {since} ({waited}) · se prometió una llamada, para las {deadline} ({left})",
        "left": "quedan {span}",
        "over": "hace {span}",
        "language": "el cliente habla {language}",
        "again": "avisado antes: {times}",
        "flood": "representa una avalancha: {count} más como este {whose}",
        "customer": "de un mismo cliente",
        "agent": "del agente {who}",
        "tenant": "de todas partes",
        "held": "{count} llegaron en las horas de silencio",
        "urgent": "urgente",
        "high": "alta",
        "normal": "normal",
        "low": "baja",
        "drill": "SIMULACRO, no espera ningún cliente: ",
    },
}


@dataclass(frozen=True, slots=True)
class Item:
    """One handoff in a message: everything that is told of it, the rule's reason, and the link that opens it.

    `members` is how many more like it wait behind it, where it stands for a flood.
    """

    handoff: Handoff
    tellings: tuple[Telling, ...]
    why: str = ""
    link: str | None = None
    members: int = 0

    @property
    def occasion(self) -> str:
        """Return the strongest of what happened to it."""
        return min((telling.occasion for telling in self.tellings), key=_STRONGEST.index)


@dataclass(frozen=True, slots=True)
class Message:
    """One message: a subject for mail, the text for everybody."""

    subject: str
    text: str


def gathered(told: Iterable[tuple[Telling, Handoff]]) -> tuple[Item, ...]:
    """Return one item a handoff, the most urgent first."""
    by_handoff: dict[str, list[Telling]] = {}
    handoffs: dict[str, Handoff] = {}
    for telling, handoff in told:
        by_handoff.setdefault(handoff.handoff_id, []).append(telling)
        handoffs[handoff.handoff_id] = handoff
    items = (Item(handoffs[each], tuple(tellings)) for each, tellings in by_handoff.items())
    return tuple(sorted(items, key=_urgency))


def _urgency(item: Item) -> tuple[int, int, str]:
    handoff = item.handoff
    return -PRIORITIES.index(handoff.priority), handoff.score_ms, handoff.handoff_id


def message(items: Sequence[Item], language: str, now_ms: int) -> Message:
    """Return what is said of them; only the first SHOWN_MAX have `why` and `link`, and only those are shown."""
    words = _WORDS[language]
    shown = items[:SHOWN_MAX]
    lines = [line for item in shown for line in (*_lines(item, words, language, now_ms), "")]
    if len(items) > len(shown):
        lines += [words["more"].format(count=len(items) - len(shown)), ""]
    held = sum(any(telling.held for telling in item.tellings) for item in items)
    if held:
        lines.insert(0, words["held"].format(count=held) + "\n")
    if len(items) == 1:
        subject = _headline(items[0], words)
    else:
        subject = words["many"].format(count=len(items), priorities=_priorities(items, words))
        lines.insert(0, subject + "\n")
    return Message(f"[Handrail] {subject}", "\n".join(lines).strip())


def trial_message(channel: str, language: str) -> Message:
    """Return what is said when somebody tries a channel."""
    text = _WORDS[language][TEST].format(channel=channel)
    return Message(f"[Handrail] {text}", text)


def widened(told: Mapping[str, object]) -> str:
    """Return in English what a step of a ladder changed, from what programs are told of it."""
    return widened_text(told, "en", _WORDS["en"], plain)


def _headline(item: Item, words: Mapping[str, str]) -> str:
    handoff = item.handoff
    mark = words["drill"] if is_drill(handoff.conversation_id) else ""
    return f"{mark}{plain(handoff.queue)} ({words[handoff.priority]}): {words[item.occasion]}"


def _priorities(items: Sequence[Item], words: Mapping[str, str]) -> str:
    counts = Counter(item.handoff.priority for item in items)
    return ", ".join(f"{counts[each]} {words[each]}" for each in reversed(PRIORITIES) if counts[each])


def _lines(item: Item, words: Mapping[str, str], language: str, now_ms: int) -> Iterable[str]:
    handoff = item.handoff
    yield _headline(item, words)
    if item.why:
        yield words["why"].format(why=plain(item.why))
    due_at_ms = None if handoff.call is None else handoff.call.due_at_ms
    ends_at_ms, dated = deadline(handoff.expires_at_ms), "times"
    if ends_at_ms is None:
        ends_at_ms, dated = due_at_ms or handoff.expires_at_ms, "times_undated" if due_at_ms is None else "times_due"
    left_ms = ends_at_ms - now_ms
    yield words[dated].format(
        since=_moment(handoff.opened_at_ms),
        waited=span_text(_whole(max(0, now_ms - handoff.opened_at_ms))),
        deadline=_moment(ends_at_ms),
        left=words["left" if left_ms >= 0 else "over"].format(span=span_text(_whole(abs(left_ms)))),
    )
    widening = _widening(item)
    if widening is not None:
        yield widened_text(widening_told(widening), language, words, plain)
    if handoff.group is not None and item.members:
        whose = words[handoff.group.by].format(who=plain(handoff.group.who))
        yield words["flood"].format(count=item.members, whose=whose)
    more = []
    if handoff.locale and language_of(handoff.locale).isalpha():
        more.append(words["language"].format(language=plain(language_of(handoff.locale))))
    times = max(telling.times for telling in item.tellings)
    if times:
        more.append(words["again"].format(times=times))
    if more:
        yield " · ".join(more)
    yield item.link or handoff.handoff_id


def _widening(item: Item) -> Widening | None:
    """Return the step of the ladder that paged this channel, or else the last that acted while it waits."""
    handoff = item.handoff
    if handoff.state != "waiting" or not handoff.route.widened:
        return None
    paged = {telling.channel for telling in item.tellings if telling.occasion == PAGE}
    paging = (widening for widening in reversed(handoff.route.widened) if widening.paged in paged)
    return next(paging, handoff.route.widened[-1])


def _whole(span_ms: int) -> int:
    return span_ms // 1000 * 1000


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M UTC")


def plain(text: str) -> str:
    """Return a text of the rule files in one line without marks that a chat service would act upon."""
    flat = " ".join(text.split())[:WHY_CHARS_MAX]
    return "".join(c for c in flat.replace("<", "‹").replace(">", "›").replace("@", "(at)") if c.isprintable())
