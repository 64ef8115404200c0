"""What the scheduler asks: which tenants there are, and what one partition has for machines to do now."""

from __future__ import annotations

from service.flows.access import Store
from service.store import keeping, machine_work
from service.store.machine_work import WorkDue as WorkDue
from service.store.store import Durable


async def tenants(store: Store) -> tuple[str, ...]:
    """Return every tenant that ever got a key."""
    return await machine_work.tenants(store)


async def work_due(store: Store, tenant: str, partition: int, now_ms: int) -> WorkDue:
    """Return what is due in one partition, in one trip."""
    return await machine_work.work_due(store, tenant, partition, now_ms)


async def store_lacks(store: Store, durable: Durable) -> tuple[str, ...]:
    """Return in a sentence each why the server may lose what was answered, none where it keeps all or does not say."""
    return await keeping.lacks(store, durable)
