"""What is compiled beside the loop leaves the process as it was: collector, switch interval, and no garbage."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator

import pytest

from rules.compile.rule_files import compile_files, files_or_raise
from rules.evaluation.evaluate import Ruleset, build
from rules.files.errors import RuleFileInvalid
from rules.turn import Conversation, Turn
from service import rule_files
from service.compiling import SWITCH_S, aside, beside


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.collect()
    yield
    gc.unfreeze()
    gc.collect()


async def test_the_collector_and_the_switching_of_threads_are_as_before() -> None:
    before_s = sys.getswitchinterval()
    collects, switch_s = await beside(lambda: (gc.isenabled(), sys.getswitchinterval()))
    assert not collects
    assert switch_s == pytest.approx(SWITCH_S)
    assert (gc.isenabled(), sys.getswitchinterval()) == (True, before_s)


async def test_two_pieces_of_work_at_once_leave_the_switching_of_threads_as_it_was() -> None:
    before_s = sys.getswitchinterval()
    both = threading.Barrier(2)

    def meet() -> tuple[bool, float]:
        both.wait(10)
        return gc.isenabled(), sys.getswitchinterval()

    # One that takes long is not waited for by one that compiles: else they would never meet.
    long, compiled = await asyncio.gather(aside(meet), beside(meet))
    assert long[1] == compiled[1] == pytest.approx(SWITCH_S)
    assert not compiled[0]
    assert (gc.isenabled(), sys.getswitchinterval()) == (True, before_s)


async def test_what_the_work_raises_is_raised_and_the_collector_is_on_again() -> None:
    with pytest.raises(RuleFileInvalid):
        await beside(lambda: files_or_raise({"a.yaml": "handrail: 2\n"}))
    assert gc.isenabled()


def library() -> Ruleset:
    files, _ = compile_files(rule_files.read_directory(rule_files.LIBRARY))
    assert files is not None
    return build(files)


def test_the_library_is_compiled_and_let_go_without_a_cycle() -> None:
    # What is frozen is never looked at again: a cycle in a ruleset would stay in memory with every edit.
    library()
    gc.collect()
    gc.disable()
    try:
        library()
        assert gc.collect() == 0
    finally:
        gc.enable()


async def test_edits_without_end_do_not_fill_the_memory() -> None:
    held = await beside(library)
    counts = []
    for _ in range(5):
        held = await beside(library)
        counts.append(gc.get_freeze_count())
    assert held.files.rules
    # A library of rules is thousands of objects; a few of the test's own come and go.
    assert max(counts) - min(counts) < 200


async def test_a_turn_is_judged_without_leaving_a_cycle() -> None:
    from rules.thinking import judge

    ruleset = library()
    turn = Turn("c", "1", message="let me talk to a real person", confidence=0.1)
    judge(ruleset, turn, Conversation("c"), 0)
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            judge(ruleset, turn, Conversation("c"), 0)
        assert gc.collect() == 0
    finally:
        gc.enable()
