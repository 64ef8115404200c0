"""Recorded turns without what belongs to a customer: personal data masked, ids replaced, the same one by the same.

Masks stand where the packet's do. Ids keep their shape, so that a pattern which asks for seven digits still finds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rules.replay.personal_keys import KIND, is_personal
from rules.text import entities
from rules.text.fences import neutralise
from rules.text.mask import mask
from rules.turn import ToolCall

CUSTOMER = "customer-1"
PARENT = "conversation-0"
# Of one shape in one conversation; what comes after these keeps its own.
IDS_MAX = 10_000


@dataclass(slots=True)
class Neutral:
    """What has been taken out so far: `kinds` of personal data, and the stand-in of each id, name and address.

    `names` are values that stood under a key which says that they are some. Where they stand in a text, they are found
    again when they have several words: a single one may be any word of the language.
    """

    kinds: dict[str, None] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def learn(self, texts: Iterable[str | None], calls: Iterable[ToolCall]) -> None:
        """Find the ids of a turn, so that they are replaced everywhere."""
        for text in texts:
            for entity in entities.find(mask(text).text if text else ""):
                self._stand_in(entity.value)
        for call in calls:
            self._learn_names("args", call.args, personal=False)
            for name, value in call.args.items():
                found = entities.of_argument(name, value)
                if found is not None and any(map(str.isdigit, found.value)):
                    self._stand_in(found.value)

    def text(self, text: str) -> str:
        """Return a text without personal data and ids."""
        masked = mask(text)
        self.kinds.update(dict.fromkeys(item.kind for item in masked.masks))
        return self._without_ids(neutralise(masked.text))

    def value(self, name: str, value: object) -> object:
        """Return a value that stood under a name, which may tell what it is; lists and maps part by part."""
        if is_personal(name):
            return self._personal(name, value)
        if isinstance(value, Mapping):
            return {str(key): self.value(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            items = sorted(value) if isinstance(value, set | frozenset) else value
            return [self.value(name, item) for item in items]
        if value is None or isinstance(value, bool | float):
            return value
        written, before = str(value), f"{name}: "
        masked = mask(before + written)
        taken = [item.kind for item in masked.masks if item.end > len(before)]
        if not taken:
            replaced = self._without_ids(neutralise(written))
            return value if replaced == written else int(replaced) if isinstance(value, int) else replaced
        self.kinds.update(dict.fromkeys(taken))
        return self._without_ids(neutralise(masked.text.removeprefix(before)))

    def _learn_names(self, name: str, value: object, *, personal: bool) -> None:
        """Find the names and addresses of a call, so that they are replaced everywhere."""
        personal = personal or is_personal(name)
        if isinstance(value, Mapping):
            for key, inner in value.items():
                self._learn_names(str(key), inner, personal=personal)
        elif isinstance(value, list | tuple | set | frozenset):
            for item in value:
                self._learn_names(name, item, personal=personal)
        elif personal and isinstance(value, str) and value.strip():
            self.names.setdefault(value.strip(), f"{name}-{len(self.names) + 1}")

    def _personal(self, name: str, value: object) -> object:
        """Return a name or an address without what it says: each text in it is replaced, the same one by the same."""
        if isinstance(value, Mapping):
            return {str(key): self._personal(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [
                self._personal(name, item)
                for item in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)
            ]
        if not isinstance(value, str) or not value.strip():
            return value
        self.kinds[KIND] = None
        return self.names.setdefault(value.strip(), f"{name}-{len(self.names) + 1}")

    def _stand_in(self, found: str) -> None:
        """Give an id its stand-in: the same letters, and digits that count."""
        if found in self.ids:
            return
        digits = sum(map(str.isdigit, found))
        taken = set(self.ids.values()) | set(self.ids)
        # From 1001 on, not 0001: a number that an argument holds has no zeros before it.
        first = 10 ** (digits - 1)
        for number in range(first + 1, min(10 * first, first + IDS_MAX)):
            counted = iter(str(number))
            candidate = "".join(next(counted) if letter.isdigit() else letter for letter in found)
            if candidate not in taken:
                self.ids[found] = candidate
                return

    def _without_ids(self, text: str) -> str:
        stand_ins = self.ids | {found: name for found, name in self.names.items() if " " in found}
        if not stand_ins:
            return text
        longest_first = sorted(stand_ins, key=len, reverse=True)
        pattern = "|".join(map(re.escape, longest_first))
        return re.sub(rf"(?<![A-Za-z0-9])(?:{pattern})(?![A-Za-z0-9])", lambda hit: stand_ins[hit.group()], text)
