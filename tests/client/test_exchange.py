"""The pure core: pauses, Retry-After and the budget, with time and chance as numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail_client.calls import Answer, queues
from handrail_client.exchange import (
    PAUSE_MS_MAX,
    Budget,
    Failure,
    Pause,
    Send,
    Steps,
    carry_through,
    pause_before,
    retry_after_ms,
)
from handrail_client.problems import HandrailUnreachable

NOW = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "ms"),
    [
        (None, 0),
        ("2", 2_000),
        ("0.5", 500),
        ("-3", 0),
        ("soon", 0),
        ("", 0),
        ("nan", 0),
        ("Sat, 21 Nov 2026 08:00:07 GMT", 7_000),
        ("Sat, 21 Nov 2026 07:00:00 GMT", 0),
    ],
)
def test_retry_after_is_read_in_both_of_its_forms(header: str | None, ms: float) -> None:
    assert retry_after_ms(header, NOW) == ms


def test_pauses_double_up_to_a_limit() -> None:
    assert [pause_before(tries, 1.0) for tries in range(1, 9)] == [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_pause_is_never_nothing_and_never_long(tries: int, chance: float) -> None:
    assert 25 <= pause_before(tries, chance) <= PAUSE_MS_MAX


class World:
    """Fails every send: after so many ms, with a 503 or a time-out, and with silence when the list is used up."""

    def __init__(self, faults: list[tuple[float, bool, str | None]]) -> None:
        self.faults = faults
        self.now_s = 0.0
        self.sent: list[Send] = []

    def run(self, steps: Steps[Any]) -> None:
        came: Answer | Failure | None = None
        while True:
            step = steps.send(came)
            came = None
            if isinstance(step, Pause):
                self.now_s += step.ms / 1000
            else:
                came = self.fail(step)

    def fail(self, step: Send) -> Answer | Failure:
        silence = (1e9, False, None)
        took_ms, answered, retry_after = self.faults[len(self.sent)] if len(self.sent) < len(self.faults) else silence
        self.sent.append(step)
        self.now_s += min(took_ms, step.timeout_ms) / 1000
        headers = {} if retry_after is None else {"retry-after": retry_after}
        return Answer(503, headers, b"") if answered else Failure("time-out")


@given(
    st.floats(1, 20_000),
    st.floats(1, 20_000),
    st.integers(1, 8),
    st.lists(
        st.tuples(st.floats(0, 3_000), st.booleans(), st.sampled_from([None, "0", "1", "60", "nan"])), max_size=12
    ),
)
def test_a_call_never_takes_more_tries_or_time_than_its_budget(
    total_ms: float, try_ms: float, tries_max: int, faults: list[tuple[float, bool, str | None]]
) -> None:
    world = World(faults)
    budget = Budget(total_ms, try_ms, tries_max, clock=lambda: world.now_s, chance=lambda: 0.5)
    with pytest.raises(HandrailUnreachable) as gone:
        world.run(carry_through(queues(), budget))
    timeouts_ms = [step.timeout_ms for step in world.sent]
    assert gone.value.tries == len(timeouts_ms) <= tries_max
    # The last try may be as short as the 1 ms below which sockets cannot be asked to wait.
    assert max(timeouts_ms) <= max(1.0, try_ms)
    assert world.now_s * 1000 <= total_ms + 1.001
