"""How full the queues of some tenants are, as this process read it a moment ago. Never the truth, nothing is read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from rules.model import Budget, RuleFiles
from rules.routing.shedding import NONE, Load, Pressures

# What nobody has read again for so long is unknown, and the unknown sheds nothing.
READ_MS_MAX = 30_000
# Tenants, and rule files of each, of which one process knows it; the one that it met first gives way.
VIEWS_MAX = 1_024


@dataclass(slots=True)
class View:
    """The queues of a tenant that have a budget in some rule files. `percent` lacks those of which it is not known."""

    budgets: Mapping[str, Budget]
    met_at_ms: int
    read_at_ms: int = 0
    percent: Mapping[str, int] = field(default_factory=dict)

    def take(self, loads: Mapping[str, Load], now_ms: int) -> None:
        """Keep what was just read."""
        self.percent = {name: load.percent for name, load in loads.items() if load.percent is not None}
        self.read_at_ms = now_ms


class PressureViews:
    """The views of a process by tenant and rule files: a candidate that decides some turns has budgets of its own."""

    def __init__(self) -> None:
        self.views: OrderedDict[tuple[str, str], View] = OrderedDict()

    def of(self, tenant: str, files: RuleFiles, now_ms: int) -> Pressures:
        """Return how full the tenant's queues are. The first look of a tenant knows nothing, and is followed up."""
        if not files.budgets:
            return NONE
        view = self.views.get((tenant, files.hash))
        if view is None:
            self.views[tenant, files.hash] = View(files.budgets, now_ms)
            if len(self.views) > VIEWS_MAX:
                self.views.popitem(last=False)
            return NONE
        view.met_at_ms = now_ms
        return view.percent if now_ms - view.read_at_ms <= READ_MS_MAX else NONE
