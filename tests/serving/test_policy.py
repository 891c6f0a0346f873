import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.serving.policy import TimeLimit

MS = st.floats(0.01, 1000)


def test_each_batch_has_the_whole_limit_to_itself() -> None:
    limit = TimeLimit(20.0)
    assert limit.left_ms(0, request_ms=5.0, batch_ms=5.0) == 15
    assert limit.left_ms(7, request_ms=500.0, batch_ms=1.0) == 19
    assert limit.is_kept(request_ms=500.0, slowest_batch_ms=20.0)
    assert not limit.is_kept(request_ms=500.0, slowest_batch_ms=20.1)


def test_a_call_s_batches_share_its_limit_by_what_their_fastest_networks_take() -> None:
    limit = TimeLimit.for_call(40.0, [1.0, 1.0, 2.0])
    assert limit.left_ms(0, request_ms=0.0, batch_ms=0.0) == 10
    assert limit.left_ms(1, request_ms=10.0, batch_ms=0.0) == pytest.approx(10)
    assert limit.left_ms(2, request_ms=20.0, batch_ms=0.0) == 20
    assert limit.left_ms(2, request_ms=5.0, batch_ms=0.0) == 35, "what the others saved"
    assert limit.is_kept(request_ms=40.0, slowest_batch_ms=35.0)
    assert not limit.is_kept(request_ms=40.1, slowest_batch_ms=1.0)


@given(MS, st.lists(MS, min_size=1, max_size=20))
def test_whoever_takes_all_that_is_allowed_ends_on_time(latency_ms: float, fastest_ms: list[float]) -> None:
    limit, request_ms = TimeLimit.for_call(latency_ms, fastest_ms), 0.0
    for number, own_ms in enumerate(fastest_ms):
        allowed_ms = limit.left_ms(number, request_ms, 0.0)
        assert allowed_ms >= own_ms * min(1, latency_ms / sum(fastest_ms)) * 0.999
        request_ms += allowed_ms
    assert request_ms == pytest.approx(latency_ms)


def test_without_a_limit_nothing_is_kept_or_broken() -> None:
    assert TimeLimit(math.inf).left_ms(0, 5.0, 5.0) == math.inf
    assert TimeLimit(math.inf).is_kept(5.0, 5.0) is None
