"""The HTML around the scripts, and its headers. No word of a customer is in it: the scripts ask the API for those."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from service.console.files import assets, version
from service.flows.links import LinkState

# Every script and style is one of ours, and nothing is loaded from, sent to, or shown inside another site. With
# `require-trusted-types-for` a browser refuses to read any text as HTML, even if a script of ours tried.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    # The address of a link holds its signature: it is told to no other site.
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "vary": "Accept, Accept-Language",
}
LANGUAGES = ("en", "es")

# language -> what is said before any script runs, or where none may
WORDS: dict[str, dict[str, str]] = {
    "en": {
        "waiting": "It waits for a person",
        "acknowledged": "Somebody comes",
        "leased": "Somebody has it",
        "held": "Somebody has it",
        "resolved": "It is done",
        "handed_back": "It is done",
        "expired": "Nobody came in time",
        "handoff": "Handoff",
        "opened": "asked for at",
        "refused": "This cannot be opened",
        "noscript": "To see more and to take it, open this page in a browser that runs its scripts.",
        "console": "All queues",
        "skip": "To the content",
    },
    "es": {
        "waiting": "Espera a una persona",
        "acknowledged": "Alguien viene",
        "leased": "Alguien lo tiene",
        "held": "Alguien lo tiene",
        "resolved": "Está terminado",
        "handed_back": "Está terminado",
        "expired": "Nadie llegó a tiempo",
        "handoff": "Caso",
        "opened": "pedido a las",
        "refused": "No se puede abrir",
        "noscript": "Para ver más y tomarlo, abra esta página en un navegador que ejecute sus scripts.",
        "console": "Todas las colas",
        "skip": "Al contenido",
    },
}


def language_of(accept_language: str) -> str:
    """Return the first of our languages that a browser asks for, English where it asks for none of them."""
    for wish in accept_language.split(",")[:16]:
        language = wish.split(";")[0].strip().lower().split("-")[0]
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


def link_page(link: LinkState, language: str) -> str:
    """Return the page behind the link of a message: what became of the handoff, and room for more for who has a key."""
    said = WORDS[language]
    opened = datetime.fromtimestamp(link.opened_at_ms / 1000, UTC)
    main = (
        f'<section id="fate" data-opened-at-ms="{link.opened_at_ms}">'
        f'<h1 id="fate-now" aria-live="polite">{escape(said[link.state])}</h1>'
        f'<p id="fate-since">{escape(said["opened"])} '
        f'<time datetime="{opened:%Y-%m-%dT%H:%M:%SZ}">{opened:%H:%M} UTC</time></p></section>'
    )
    return _page("open", main, language, base="../", handoff_id=link.handoff_id)


def handoff_page(handoff_id: str, language: str) -> str:
    """Return the page of one handoff; it says nothing, not even whether there is such a handoff."""
    return _page("handoff", "", language, base="../../", handoff_id=handoff_id)


def queues_page(language: str) -> str:
    """Return the page of all queues."""
    return _page("queues", "", language, base="./")


def refused_page(detail: str, hint: str, language: str, base: str) -> str:
    """Return the page that says why there is nothing else, and what to do next."""
    main = (
        f"<section><h1>{escape(WORDS[language]['refused'])}</h1><p>{escape(detail)}.</p><p>{escape(hint)}.</p>"
        f'<p><a href="{base}console">{escape(WORDS[language]["console"])}</a></p></section>'
    )
    return _page("refused", main, language, base=base)


def _page(name: str, main: str, language: str, *, base: str, handoff_id: str = "") -> str:
    said, static = WORDS[language], f"{base}console/static/{version()}"
    scripts = sorted(each for each in assets() if each.endswith(".js"))
    # Named here, the modules are fetched at once and not one after the other as each names the next.
    ahead = "".join(f'<link rel="modulepreload" href="{static}/{each}">' for each in scripts if name != "refused")
    script = "" if name == "refused" else f'<script type="module" src="{static}/start.js"></script>'
    # The base is relative, so that the pages also work behind a proxy that serves them below a path of its own.
    about = f'data-page="{name}" data-base="{base}" data-handoff="{escape(handoff_id)}"'
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>Handrail</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">'
        f'<link rel="icon" href="{static}/icon.svg"><link rel="stylesheet" href="{static}/style.css">{ahead}{script}'
        f'</head><body {about}><a class="skip" href="#main">{escape(said["skip"])}</a>'
        f'<header class="top"><a class="home" href="{base}console">Handrail</a><div id="who"></div></header>'
        f'<main id="main" tabindex="-1">{main}<noscript><p>{escape(said["noscript"])}</p></noscript>'
        '<div id="room"></div></main></body></html>'
    )
