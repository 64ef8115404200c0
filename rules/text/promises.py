"""What an agent has promised a customer, found sentence by sentence with own patterns. English and Spanish."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

PromiseKind: TypeAlias = Literal["action", "deadline", "outcome"]
SENTENCE_CHARS_MAX = 240  # a promise is a sentence; what runs on longer is cut

_SENTENCE = re.compile(r"[^.!?\n]{1,600}(?:[.!?](?=\d)[^.!?\n]{1,600}){0,4}[.!?]?")

# Who commits: `I'll`, `we will`, `I'm going to`, `we have`, `voy a`, `le enviaremos`.
_WILL = r"(?:i['’]?ll|i\s+will|we['’]?ll|we\s+will|i['’]?m\s+going\s+to|we['’]?re\s+going\s+to|i\s+am\s+going\s+to)"
_DOES = (
    r"(?:refund|credit|reimburse|compensate|cancel|waive|replace|send|ship|issue|process|arrange|schedule|book|upgrade|"
    r"extend|reopen|escalate|notify|call|email|contact|transfer|remove|reverse|apply|approve|cover|pay|return|restore|"
    r"deliver|follow\s+up|get\s+back|expedite|reship|unlock|close|update|change|fix|resolve|make\s+sure|ensure)"
)
_ADVERBS = r"(?:\s+(?:also|now|then|personally|gladly|immediately|certainly|definitely|be|have|get))*"
_ACTION = re.compile(
    rf"\b{_WILL}{_ADVERBS}\s+{_DOES}\w*\b|"
    r"\b(?:voy|vamos)\s+a\s+(?:reembolsar|devolver|cancelar|enviar|llamar|tramitar|procesar|abonar|reponer|cambiar)\w*\b|"
    r"\b(?:l[eo]s?|te|se)\s+(?:reembolsaremos|devolveremos|enviaremos|llamaremos|abonaremos|contactaremos|repondremos)\b",
    re.IGNORECASE,
)
_OUTCOME = re.compile(
    r"\byou(?:['’]?ll|\s+will|['’]?re\s+going\s+to|\s+are\s+going\s+to)\s+(?:receive|get|be\s+(?:refunded|credited|charged\s+nothing|"
    r"reimbursed|compensated|contacted))\b|\b(?:your|the|a|this|full)(?:\s+full)?\s+(?:refund|credit|replacement|payment|order|claim)(?:\s+of\s+\S{1,16})?"
    r"\s+will\s+(?:be|arrive)\b|\bwill\s+be\s+(?:refunded|credited|reimbursed)\b|\b(?:i|we)\s+(?:can\s+)?(?:guarantee|promise|assure\s+you)\b|\byou\s+have\s+my\s+word\b|"
    r"\b(?:usted\s+)?recibir[áa]s?\b|\ble\s+garantizo\b|\bse\s+lo\s+(?:garantizo|prometo)\b",
    re.IGNORECASE,
)
_SPAN = r"(?:(?:a|one|two|three|four|five|six|seven|ten|\d{1,3})(?:\s*(?:-|–|to|or)\s*\d{1,3})?)"
_DEADLINE = re.compile(
    rf"\b(?:within|in)\s+(?:the\s+next\s+)?{_SPAN}\s+(?:(?:business|working|calendar)\s+)?(?:minute|hour|day|week|month)s?\b|"
    r"\bby\s+(?:tomorrow|tonight|monday|tuesday|wednesday|thursday|friday|saturday|sunday|the\s+end\s+of|end\s+of|\d)|"
    r"\b(?:today|tomorrow|tonight)\b|\bright\s+away\b|\bimmediately\b|\ben\s+(?:un\s+plazo\s+de\s+)?\d{1,3}\s+(?:minutos|horas|d[ií]as|"
    r"semanas)\b|\bantes\s+d(?:e|el)\s+(?:ma[ñn]ana|lunes|martes|mi[ée]rcoles|jueves|viernes|s[áa]bado|domingo|\d)",
    re.IGNORECASE,
)
_COMMITS = re.compile(
    rf"\b{_WILL}\b|\byou(?:['’]?ll|\s+will)\b|\bwill\s+(?:be|arrive|reach|receive)\b|\b\w+aremos\b|\b\w+eremos\b|\b\w+ar[áa]n?\b|\bvoy\s+a\b",
    re.IGNORECASE,
)
# A sentence that only offers, asks or waits for the customer binds nobody yet.
_OFFER = re.compile(
    r"^\W*(?:if|once|after|when|should|please\s+confirm|to\s+proceed|would\s+you|do\s+you|can\s+you|could\s+you|si|cuando|una\s+vez)\b|"
    r"\b(?:would|could)\s+(?:be|like)\b|\bmay\s+be\s+able\b",
    re.IGNORECASE,
)
_REFUSES = re.compile(r"\b(?:won['’]t|will\s+not|cannot|can['’]t|unable|not\s+able)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Promise:
    """A sentence in which the agent commits itself. `start` and `end` are offsets into the reply.

    `deadline` names a time, `action` something the agent will do, `outcome` something the customer will get; where
    several are true the first of these three counts. `conditional` promises still wait for something.
    """

    kind: PromiseKind
    start: int
    end: int
    conditional: bool


def find(reply: str) -> tuple[Promise, ...]:
    """Return the promises in an agent's reply, in the order of the text."""
    promises = []
    for found in _SENTENCE.finditer(reply):
        sentence = found.group()
        stripped = sentence.strip(" \t-*•·")
        kind = _kind(sentence)
        if kind is None or stripped.endswith("?") or _REFUSES.search(sentence):
            continue
        start = found.start() + sentence.find(stripped)
        end = start + min(len(stripped), SENTENCE_CHARS_MAX)
        promises.append(Promise(kind, start, end, conditional=bool(_OFFER.search(stripped))))
    return tuple(promises)


def _kind(sentence: str) -> PromiseKind | None:
    if _DEADLINE.search(sentence) and _COMMITS.search(sentence):
        return "deadline"
    if _ACTION.search(sentence):
        return "action"
    return "outcome" if _OUTCOME.search(sentence) else None
