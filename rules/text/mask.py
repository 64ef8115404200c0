"""Personal data in a text: where it stands, and the text without it. Patterns and checksums only, no model.

Names, street addresses and order numbers stay: an operator needs them, and no pattern tells them from other words.
Every pattern repeats a bounded number of times, or ends with what it repeats, so the work grows with the length of the
text and nothing else.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mask:
    """Personal data that was taken out: its kind, and where it stood in the original text, end exclusive."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without its personal data. `masks` is in the order of the text; `shown` is what stands there now."""

    text: str
    masks: tuple[Mask, ...]
    shown: tuple[str, ...] = ()

    def place(self, offset: int) -> int:
        """Return where an offset into the original text lies in `text`; inside a mask it is the mask's start."""
        shift = 0
        for mask, shown in zip(self.masks, self.shown, strict=True):
            if offset < mask.start:
                break
            if offset < mask.end:
                return mask.start + shift
            shift += len(shown) - (mask.end - mask.start)
        return offset + shift

    def placed(self) -> Iterator[tuple[Mask, int, int]]:
        """Yield each mask with the span of `text` that stands for it now."""
        shift = 0
        for mask, shown in zip(self.masks, self.shown, strict=True):
            yield mask, mask.start + shift, mask.start + shift + len(shown)
            shift += len(shown) - (mask.end - mask.start)

    def cover(self, start: int, end: int) -> Span:
        """Return where a span of the original text lies in `text`, with every mask that it touches whole."""
        last = next((item for item in self.masks if item.start < end < item.end), None)
        return self.place(start), self.place(end if last is None else last.end)


# Something that looks like a number but is somebody's order, not somebody.
_NOT_PERSONAL = re.compile(
    r"(?:order|item|product|reservation|booking|confirmation|invoice|tracking|ticket|case|claim|policy|sku|model|part|"
    r"serial|flight|version|build|pedido|reserva|factura|art[ií]culo|p[oó]liza|siniestro|reference|ref)"
    r"(?:\s{0,2}(?:id|ids|number|numbers|no|nr|code|#|n[uú]mero))?[\s:.#=is]{0,6}$",
    re.IGNORECASE,
)
_CONTEXT_CHARS = 40  # how far before a number the words that explain it are looked for
_PHONE_CONTEXT = re.compile(
    r"(?:phone|telephone|mobile|cell|call\s{1,2}me|reach\s{1,2}me|text\s{1,2}me|whatsapp|tel|ll[aá]m[ea]\w{0,4}|"
    r"tel[eé]fono|m[oó]vil|celular)(?:_?number)?\b[^\d\n]{0,25}$",
    re.IGNORECASE,
)
_CARD_CONTEXT = re.compile(
    r"\b(?:(?:credit|debit)?_?card(?:_?number)?|visa|mastercard|amex|debit|tarjeta)\b[^\d\n]{0,20}$", re.IGNORECASE
)
_SSN_CONTEXT = re.compile(r"(?:\bssn\b|social[\s_]{1,2}security|\bsocial\b)[^\d\n]{0,25}$", re.IGNORECASE)

_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_DIGITS = re.compile(r"(?<![\w.,-])\+?\(?\d(?:[ .()/-]{0,2}\d){6,18}(?![\w-])")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}([ -])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])")
_NANP = re.compile(r"(?:\+?1[-. ]{0,2})?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-. ])[2-9]\d{2}[-. ]\d{4}")
_TRUNK = re.compile(r"(?:00[1-9]\d{0,2}|0[1-9])[\d ().-]{0,6}(?:[ -]\d{2,5}){2,5}")
_IBAN_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9])")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
_IPV6 = re.compile(r"(?<![\w:])[0-9A-Fa-f:]{2,39}(?![\w:])")
_VERSION = re.compile(r"(?:version|release|build|firmware|update|\bv)[\s:.]{0,3}$", re.IGNORECASE)
_DNI = re.compile(r"(?<![\w-])[XYZxyz]?\d{7,8}-?[A-Za-z](?![\w-])")
_CODE = r"(?:[\s_]{0,2}(?:number|no|nr|num|#|n[uú]mero)\.?)?[\"']?(?:\s{0,2}(?:is|es|:|=|#)){0,2}\s{0,3}[\"']?"
_PASSPORT = re.compile(
    r"\b(?:passport|pasaporte|driver'?s?[\s_]{1,2}licen[cs]e|driving[\s_]{1,2}licen[cs]e|national[\s_]{1,2}insurance|nino)"
    + _CODE
    + r"((?=[A-Za-z]{0,10}\d)[A-Za-z0-9]{6,15})\b",
    re.IGNORECASE,
)
_ACCOUNT = re.compile(
    r"\b(?:account|acct|routing|sort\s{1,2}code|cuenta)" + _CODE + r"(\d(?:[ -]?\d){5,16})\b", re.IGNORECASE
)
_SECRET = re.compile(
    r"\b(?:password|passcode|pass\s?phrase|pin|cvv2?|cvc2?|security[\s_]{1,2}code|otp|contrase[nñ]a|clave|"
    r"one[- _]time[\s_]{1,2}(?:code|password)|verification[\s_]{1,2}code)(?:[\s_]{0,2}(?:code|number))?"
    r"[\"']?(?:\s{0,2}(?:is|es|:|=|was)){1,2}\s{0,3}[\"'`]?"
    r"((?=[^\s\d]{0,32}\d)[^\s\"'`]{3,64}?)(?=[\"'`.,;}\]]{0,3}(?:\s|$))",
    re.IGNORECASE,
)
# What opens a session, a reset or an account for whoever has the address; a fragment is one too. The value is read to
# its end, however long: nothing follows it here, so no character is read twice, and half a secret would be left.
_URL_SECRET = re.compile(
    r"[?&;#](?:(?:access|api|auth|client|csrf|id|refresh|reset|session|x-amz|x-goog)[_-]?)?"
    r"(?:token|key|code|jwt|secret|signature|sig|sid|session(?:[_-]?id)?|password|passwd|pwd|otp|auth|ticket)"
    r"=([^\s&#;\"'`<>]+)",
    re.IGNORECASE,
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|ene|abr|ago|dic)[a-zñ]{0,9}"  # English and Spanish
_BIRTH = re.compile(
    r"\b(?:born|d\.?o\.?b|date[\s_]{1,2}of[\s_]{1,2}birth|birth[\s_]?date|birthday|nacid[oa]|nac[ií]|"
    r"nacimiento)\b[^\d\n]{0,20}?"
    r"(\d{1,2}[/. -]\d{1,2}[/. -]\d{2,4}|\d{4}[/.-]\d{1,2}[/.-]\d{1,2}|"
    + _MONTH
    + r"\s{1,2}\d{1,2}(?:st|nd|rd|th)?,?\s{1,2}\d{4}|\d{1,2}(?:st|nd|rd|th)?\s{1,2}(?:de\s{1,2}|of\s{1,2})?"
    + _MONTH
    + r",?\s{1,2}(?:de\s{1,2}|del\s{1,2})?\d{4})",
    re.IGNORECASE,
)

# How long an IBAN of each country is (ISO 13616 registry, the countries in SEPA and a few beside).
_IBAN_LENGTHS = {
    **{"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21},
    **{"CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18},
    **{"FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23},
    **{"IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27},
    **{"MD": 24, "ME": 22, "MK": 19, "MT": 31, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29},
    **{"RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29, "XK": 20},
}
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"  # by the number modulo 23


def luhn(digits: str) -> bool:
    """Return whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban_valid(compact: str) -> bool:
    """Return whether an IBAN without spaces has its country's length and the right check digits (ISO 7064, mod 97)."""
    upper = compact.upper()
    if len(upper) != _IBAN_LENGTHS.get(upper[:2]) or not upper.isascii() or not upper.isalnum():
        return False
    return int("".join(str(int(letter, 36)) for letter in upper[4:] + upper[:4])) % 97 == 1


def _before(text: str, start: int) -> str:
    return text[max(0, start - _CONTEXT_CHARS) : start]


def _emails(text: str) -> Iterator[Span]:
    if "@" not in text:
        return
    for found in _EMAIL.finditer(text):
        yield found.start(), found.start() + len(found.group().rstrip(".-_"))


def _ibans(text: str) -> Iterator[Span]:
    for found in _IBAN_START.finditer(text):
        length = _IBAN_LENGTHS.get(found.group()[:2].upper())
        if length is None:
            continue
        at, compact = found.start(), ""
        while at < len(text) and len(compact) < length:
            if text[at].isalnum():
                compact += text[at]
            elif text[at] not in " -" or not text[at - 1].isalnum():
                break
            at += 1
        if iban_valid(compact) and not (at < len(text) and text[at].isalnum()):
            yield found.start(), at


def _cards(text: str) -> Iterator[Span]:
    """Thirteen to nineteen digits of a known issuer range with a right check digit, or after a word for a card.

    The word stands in for the check digit: a mistyped card number is still most of a card number.
    """
    for found in _DIGITS.finditer(text):
        digits = _only_digits(found.group())
        if not 13 <= len(digits) <= 19:
            continue
        checked = digits[0] in "23456" and luhn(digits) and len(set(digits)) > 1
        if checked or _CARD_CONTEXT.search(_before(text, found.start())):
            yield found.span()


def _ssns(text: str) -> Iterator[Span]:
    for found in _SSN.finditer(text):
        if not _NOT_PERSONAL.search(_before(text, found.start())):
            yield found.span()
    for found in _DIGITS.finditer(text):
        if len(_only_digits(found.group())) == 9 and _SSN_CONTEXT.search(_before(text, found.start())):
            yield found.span()


def _phones(text: str) -> Iterator[Span]:
    """A number with a plus, in a shape that people give phone numbers, or after words that announce one."""
    for found in _DIGITS.finditer(text):
        raw, before = found.group(), _before(text, found.start())
        count = len(_only_digits(raw))
        if not 7 <= count <= 15 or _NOT_PERSONAL.search(before):
            continue
        shaped = (raw.startswith("+") and count >= 8) or _NANP.fullmatch(raw) or (count >= 9 and _TRUNK.fullmatch(raw))
        if shaped or (_PHONE_CONTEXT.search(before) and not _is_date(raw)):
            yield found.span()


def _ips(text: str) -> Iterator[Span]:
    for found in _IPV4.finditer(text):
        parts = found.group().split(".")
        if all(int(part) <= 255 and (part == "0" or part[0] != "0") for part in parts) and not _VERSION.search(
            _before(text, found.start())
        ):
            yield found.span()
    if text.count(":") < 2:
        return
    for found in _IPV6.finditer(text):
        raw = found.group()
        if (raw.count(":") == 7 or ("::" in raw and any(letter.isalnum() for letter in raw))) and _is_ip(raw):
            yield found.span()


def _national_ids(text: str) -> Iterator[Span]:
    """Spanish DNI and NIE, which carry a check letter."""
    for found in _DNI.finditer(text):
        raw = found.group().upper().replace("-", "")
        number = raw[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
        if len(number) == 8 and number.isascii() and _DNI_LETTERS[int(number) % 23] == raw[-1]:
            yield found.span()


def _secrets(text: str) -> Iterator[Span]:
    """What a customer calls a secret, and what an address carries under the name of one."""
    yield from _group(_SECRET)(text)
    if "=" in text:
        yield from _group(_URL_SECRET)(text)


def _group(pattern: re.Pattern[str]) -> Callable[[str], Iterator[Span]]:
    def find(text: str) -> Iterator[Span]:
        for found in pattern.finditer(text):
            yield found.span(1)

    return find


# Kind -> how it is found. Where two overlap the earlier kind stands: those with a checksum come first.
KINDS: dict[str, Callable[[str], Iterator[Span]]] = {
    "email": _emails,
    "iban": _ibans,
    "card": _cards,
    "national_id": _national_ids,
    "secret": _secrets,
    "date_of_birth": _group(_BIRTH),
    "document": _group(_PASSPORT),
    "ip": _ips,
    "ssn": _ssns,
    "account": _group(_ACCOUNT),
    "phone": _phones,
}
# What stands in the text instead. A card keeps its last four digits: they tell an operator which card is meant.
_SHOWN = {
    "date_of_birth": "[date of birth]",
    "national_id": "[national id]",
}


# Without a digit and without one of these, nothing below can be found.
_SIGNS = ("@", "::", "=")


def mask(text: str) -> Masked:
    """Return the text with personal data replaced by its kind in brackets, and where each stood."""
    if not any(map(text.__contains__, _SIGNS)) and not any(map(str.isdigit, text)):
        return Masked(text, ())
    taken: list[Mask] = []
    covered = bytearray(len(text))
    for kind, find in KINDS.items():
        for start, end in find(text):
            if covered.find(1, start, end) < 0:
                covered[start:end] = b"\x01" * (end - start)
                taken.append(Mask(kind, start, end))
    taken.sort(key=lambda item: item.start)
    shown = tuple(_shown(item, text) for item in taken)
    parts, at = [], 0
    for item, words in zip(taken, shown, strict=True):
        parts += [text[at : item.start], words]
        at = item.end
    return Masked("".join([*parts, text[at:]]), tuple(taken), shown)


def _shown(item: Mask, text: str) -> str:
    if item.kind == "card":
        return f"[card ending {_only_digits(text[item.start : item.end])[-4:]}]"
    return _SHOWN.get(item.kind, f"[{item.kind}]")


def _only_digits(raw: str) -> str:
    return "".join(letter for letter in raw if letter.isdecimal())


_DATE = re.compile(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}")


def _is_date(raw: str) -> bool:
    return bool(_DATE.fullmatch(raw))


def _is_ip(raw: str) -> bool:
    try:
        ipaddress.IPv6Address(raw)
    except ValueError:
        return False
    return True
