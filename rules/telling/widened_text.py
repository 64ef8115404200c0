"""One line on what a step of a queue's ladder changed, in the language of those who are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rules.evaluation.wording import span_text

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "step": "ladder, after {after}: {changes}",
        "needs": "needs {now} instead of {before}",
        "nothing": "no special skill",
        "queues": "operators of {queues} may take it too",
        "languages": "an operator need not speak {languages} any more",
        "priority": "priority {now} instead of {before}",
        "paged": "pages {paged}",
        "unchanged": "changed nothing",
    },
    "es": {
        "step": "escalera, tras {after}: {changes}",
        "needs": "requiere {now} en vez de {before}",
        "nothing": "ninguna habilidad especial",
        "queues": "también pueden tomarlo los operadores de {queues}",
        "languages": "ya no hace falta que el operador hable {languages}",
        "priority": "prioridad {now} en vez de {before}",
        "paged": "avisa a {paged}",
        "unchanged": "no cambió nada",
    },
}


def widened_text(told: Mapping[str, Any], language: str, words: Mapping[str, str], plain: Callable[[str], str]) -> str:
    """Return what a step changed, from what programs are told of it.

    `words` names the priorities in the same language; `plain` makes a name of a rule file fit to be shown.
    """
    own = _WORDS[language]

    def skills(levels: Mapping[str, int]) -> str:
        return ", ".join(f"{plain(skill)} {level}" for skill, level in levels.items()) or own["nothing"]

    def listed(names: list[str]) -> str:
        return ", ".join(map(plain, names))

    needs, priority = told["needs"], told["priority"]
    changes = []
    if needs is not None:
        changes.append(own["needs"].format(now=skills(needs["now"]), before=skills(needs["before"])))
    if told["queues_added"]:
        changes.append(own["queues"].format(queues=listed(told["queues_added"])))
    if told["languages_dropped"]:
        changes.append(own["languages"].format(languages=listed(told["languages_dropped"])))
    if priority is not None:
        changes.append(own["priority"].format(now=words[priority["now"]], before=words[priority["before"]]))
    if told["paged"]:
        changes.append(own["paged"].format(paged=plain(told["paged"])))
    return own["step"].format(after=span_text(told["after_ms"]), changes=" · ".join(changes) or own["unchanged"])
