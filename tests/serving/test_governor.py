import pytest

from edgebert.serving.governor import Governor
from edgebert.subnet import Way

ONE = Way(engine="cpu", device="cpu", flavor="fused", threads=1, options=())
TWO = Way(engine="cpu", device="cpu", flavor="fused", threads=2, options=())


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def governor(clock: Clock) -> Governor:
    return Governor(clock)


def test_before_anything_was_observed_all_are_on_time(governor: Governor) -> None:
    assert governor.share_late(ONE, 10.0, 10.0) == 0
    assert governor.slow_down(ONE) == 1


def test_requests_on_time_change_nothing(governor: Governor) -> None:
    for _ in range(100):
        governor.observe(ONE, 10.0, 10.5)
    assert governor.share_late(ONE, 10.0, 10.0) == 0
    assert governor.slow_down(ONE) == 1


def test_one_late_request_is_enough_to_step_down_from_what_would_have_been_late(governor: Governor) -> None:
    governor.observe(ONE, 10.0, 15.0)
    assert governor.share_late(ONE, 10.0, 14.0) > 0.05
    assert governor.share_late(ONE, 10.0, 16.0) == 0
    assert governor.share_late(ONE, 5.0, 8.0) == 0  # half the network takes half the time
    assert governor.share_late(ONE, 5.0, 7.0) > 0.05


def test_what_slows_one_way_says_nothing_of_another(governor: Governor) -> None:
    governor.observe(TWO, 10.0, 40.0)
    assert governor.share_late(TWO, 10.0, 20.0) > 0
    assert governor.share_late(ONE, 10.0, 20.0) == 0
    assert governor.slow_down(TWO) > governor.slow_down(ONE) == 1


def test_among_many_on_time_one_late_is_within_the_percentile(governor: Governor, clock: Clock) -> None:
    for number in range(50):
        clock.now_s = number / 50
        governor.observe(ONE, 10.0, 30.0 if number == 25 else 10.0)
    assert 0 < governor.share_late(ONE, 10.0, 20.0) <= 0.05


def test_the_median_of_the_last_overheads_is_left_of_a_budget(governor: Governor) -> None:
    assert governor.overhead_ms == 0
    for ms in (0.1, 0.5, 0.2, 0.2):
        governor.observe_overhead(ms)
    assert governor.overhead_ms == 0.2
    for _ in range(100):
        governor.observe_overhead(0.1)
    assert governor.overhead_ms == 0.1


def test_what_is_long_past_is_forgotten(governor: Governor, clock: Clock) -> None:
    for _ in range(10):
        governor.observe(ONE, 10.0, 30.0)
    shares = []
    for second in range(10):
        clock.now_s = float(second)
        shares.append(governor.share_late(ONE, 10.0, 20.0))
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.5
    assert shares[-1] < 0.05


def test_a_longer_time_allowed_is_never_later_and_a_larger_network_never_earlier(governor: Governor) -> None:
    for expected_ms, observed_ms in ((1.0, 5.0), (10.0, 14.0), (3.0, 3.5), (2.0, 5.0)):
        governor.observe(ONE, expected_ms, observed_ms)
    sizes = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    for allowed_ms in sizes:
        shares = [governor.share_late(ONE, expected_ms, allowed_ms) for expected_ms in sizes]
        assert shares == sorted(shares)
    for expected_ms in sizes:
        shares = [governor.share_late(ONE, expected_ms, allowed_ms) for allowed_ms in sizes]
        assert shares == sorted(shares, reverse=True)


def test_a_wait_for_a_core_is_added_and_a_slow_clock_multiplies(governor: Governor) -> None:
    governor.observe(ONE, 1.0, 5.0)  # a wait of 4 ms
    assert governor.share_late(ONE, 3.0, 7.5) == 0  # 3 + 4, not 3 * 5
    governor.observe(TWO, 1.0, 1.5)
    assert governor.share_late(TWO, 4.0, 5.9) > 0  # 4 * 1.5
    assert governor.share_late(TWO, 4.0, 6.1) == 0
