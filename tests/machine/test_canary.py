from edgebert.machine import canary


def test_a_reading_tells_how_fast_the_machine_is() -> None:
    with canary.watching(1) as readings:
        assert readings == []
    (reading,) = readings
    assert reading.canary_ms > 0
    assert 0 <= reading.others_share <= 1
    assert reading.clock_mhz is None or reading.clock_mhz > 0
    assert reading.clock_share is None or 0 < reading.clock_share <= 1
    assert reading.temperature_c is None or reading.temperature_c < 150
    assert reading.is_throttled in (None, False, True)


def test_all_threads_work() -> None:
    assert canary.run(1) > 0
    assert canary.run(3) > 0
