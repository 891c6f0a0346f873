import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.serving.policy import TimeLimit

MS = st.floats(0.01, 1000)


def test_each_group_has_the_whole_limit_to_itself() -> None:
    limit = TimeLimit.of(20.0, [[1.0], [7.0]])
    assert limit.left_ms(0, group_ms=5.0) == 15
    assert limit.left_ms(1, group_ms=1.0) == 19
    assert [group for group, _ in limit.parts] == [0, 1]
    assert limit.is_kept(slowest_ms=20.0)
    assert not limit.is_kept(slowest_ms=20.1)


def test_batches_of_a_group_share_its_limit_by_what_their_fastest_networks_take() -> None:
    limit = TimeLimit.of(40.0, [[1.0, 1.0, 2.0]])
    assert limit.left_ms(0, group_ms=0.0) == 10
    assert limit.left_ms(1, group_ms=10.0) == pytest.approx(10)
    assert limit.left_ms(2, group_ms=20.0) == 20
    assert limit.left_ms(2, group_ms=5.0) == 35, "what the others saved"


@given(MS, st.lists(MS, min_size=1, max_size=20))
def test_whoever_takes_all_that_is_allowed_ends_on_time(latency_ms: float, fastest_ms: list[float]) -> None:
    limit, group_ms = TimeLimit.of(latency_ms, [fastest_ms]), 0.0
    for number, own_ms in enumerate(fastest_ms):
        allowed_ms = limit.left_ms(number, group_ms)
        assert allowed_ms >= own_ms * min(1, latency_ms / sum(fastest_ms)) * 0.999
        group_ms += allowed_ms
    assert group_ms == pytest.approx(latency_ms)


def test_without_a_limit_nothing_is_kept_or_broken() -> None:
    limit = TimeLimit.of(math.inf, [[1.0], [1.0]])
    assert limit.left_ms(0, 5.0) == limit.left_ms(1, 5.0) == math.inf
    assert limit.is_kept(5.0) is None
