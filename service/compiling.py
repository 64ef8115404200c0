"""Rules compiled beside a running event loop, so that no turn waits for it. What is compiled, the caller says."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

# How long the loop's thread waits for Python's lock while another thread compiles: at 5 ms, as Python has it, a turn
# that needs the lock three times waits 15 ms; at 1 ms 3 to 5. Below that a compile takes longer for nothing.
SWITCH_S = 0.001
# How many more objects than before make Python look for cycles among the new ones; it would at 700, which thirty turns
# under way are more than, and none of them ever is one. Measured: 2 µs of a turn.
NEW_OBJECTS_MAX = 20_000
# The collector is off meanwhile, and is off or on for the whole process: one at a time.
_one_at_a_time = threading.Lock()
# How many threads ask for the short interval, which is the process's own too: the first sets it, the last sets it back.
_asking = 0
_switch_s = 0.0
_counting = threading.Lock()


async def beside(work: Callable[[], T]) -> T:
    """Return what `work` makes, in a thread; the event loop goes on with pauses of a few milliseconds."""
    return await asyncio.to_thread(_quietly, work)


async def aside(work: Callable[[], T]) -> T:
    """Return what `work` makes, in a thread, for what may take long: nobody who compiles waits for it.

    The event loop goes on as with `beside`; the collector looks at what the work leaves behind.
    """
    return await asyncio.to_thread(_aside, work)


def settle() -> None:
    """Take what is loaded out of the garbage collector's sight: a full collection of it stops a process for 40 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS_MAX, *gc.get_threshold()[1:])


def _quietly(work: Callable[[], T]) -> T:
    """Run the work without a collection in it, and freeze what it made: 10,000 rules took 100 ms to look through."""
    with _one_at_a_time, _switching_often():
        gc.disable()
        try:
            made = work()
            # Without a collection before: nothing that is compiled or decided leaves cycles behind, see
            # tests/service/test_compiling.py.
            gc.freeze()
            return made
        finally:
            gc.enable()


def _aside(work: Callable[[], T]) -> T:
    with _switching_often():
        return work()


@contextmanager
def _switching_often() -> Iterator[None]:
    global _asking, _switch_s  # noqa: PLW0603  # a setting of the process, so kept for the process
    with _counting:
        _asking += 1
        if _asking == 1:
            _switch_s = sys.getswitchinterval()
            sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        with _counting:
            _asking -= 1
            if not _asking:
                sys.setswitchinterval(_switch_s)
