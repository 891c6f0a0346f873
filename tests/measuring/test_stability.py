from collections.abc import Sequence

import msgspec
import pytest
from fake_trials import READING, measurement

from edgebert.inputs.bundle import Bundle
from edgebert.machine.canary import Reading
from edgebert.measuring.profile_settings import settings_for
from edgebert.measuring.stability import is_calm, stability_of, warning_of
from edgebert.measuring.trial_journal import TrialRecord
from profiles import way

SETTINGS = settings_for(Bundle.load(), lengths=[8, 16])


def records(medians_ms: Sequence[float], readings: Sequence[Reading] = (READING,) * 3) -> list[TrialRecord]:
    return [
        TrialRecord(round=number, subnet="a", way=way(), reading=reading, result=measurement(ms, 2 * ms))
        for number, (ms, reading) in enumerate(zip(medians_ms, readings, strict=True), 1)
    ]


def test_rounds_that_agree_are_trusted() -> None:
    found = stability_of([records([1.0, 1.0, 1.0])], SETTINGS)
    assert (found.rounds, found.median_drift, found.worst_drift, found.canary_drift) == (3, 1.0, 1.0, 1.0)
    assert (found.readings, found.unsettled, found.warning) == ((READING,) * 3, (), None)


def test_what_is_unsettled_is_named() -> None:
    assert stability_of([records([1.0, 1.3, 1.6])], SETTINGS).unsettled == ("a (cpu, fused, 1 thread)",)


@pytest.mark.parametrize(
    ("change", "calm"),
    [
        ({}, True),
        ({"canary_ms": 12.0, "others_share": None}, True),
        ({"canary_ms": 13.0}, False),
        ({"others_share": 0.2}, False),
        ({"is_throttled": True}, False),
    ],
)
def test_a_device_is_calm_if_it_is_as_fast_as_ever_and_has_little_else_to_do(change: dict, calm: bool) -> None:
    slow = msgspec.structs.replace(READING, canary_ms=30.0)
    assert is_calm(msgspec.structs.replace(READING, **change), [slow, READING]) == calm


def test_the_drift_is_the_slowest_rounds_median_over_the_fastest() -> None:
    found = stability_of([records([1.0, 1.2, 1.1]), records([1.0, 1.0, 1.5])], SETTINGS)
    assert (found.median_drift, found.worst_drift) == (pytest.approx(1.35), 1.5)
    assert found.warning is not None
    assert found.warning.startswith("rounds differ by 1.35x in the median, the machine itself by 1.00x; close other")


def test_other_processes_are_named() -> None:
    busy = msgspec.structs.replace(READING, others_share=0.3)
    found = stability_of([records([1.0, 1.0, 1.0], [busy] * 3)], SETTINGS)
    assert found.others_share == 0.3
    assert found.warning is not None
    assert "other processes took 30% of it: close them and profile again" in found.warning


def test_where_others_are_not_shown_they_are_not_known() -> None:
    shy = msgspec.structs.replace(READING, others_share=None)
    found = stability_of([records([1.0, 1.0, 1.0], [shy] * 3)], SETTINGS)
    assert (found.others_share, found.readings[0].others_share, found.warning) == (None, None, None)
    warned = warning_of(canary_drift=1.5, median_drift=1.4, others_share=None, readings=[shy])
    assert warned is not None
    assert "close other programs" in warned


def test_a_clock_that_goes_down_is_named() -> None:
    readings = [msgspec.structs.replace(READING, clock_mhz=mhz) for mhz in (3000, 2000)]
    found = warning_of(canary_drift=1.5, median_drift=1.4, others_share=0.0, readings=readings)
    assert found is not None
    assert "its clock went from 3000 to 2000 MHz: let it cool" in found


@pytest.mark.parametrize(
    ("clock_shares", "throttled", "words"),
    [
        (
            (1.0, 0.8, 0.6),
            (False, False, False),
            "its clock went from 100% to 60% of the maximum at up to 84 C: ",
        ),
        (
            (1.0, 0.9, 0.6),
            (False, False, True),
            "throttled in 1 of 3 rounds at up to 84 C, its clock down to 60%",
        ),
        (
            (None,) * 3,
            (True, True, True),
            "throttled in 3 of 3 rounds at up to 84 C: let it cool, cool it",
        ),
        ((0.6, 0.6, 0.6), (False, False, False), None),  # its power mode
        ((1.0, 0.95, 0.92), (None, None, None), None),
        ((0.7, 0.8, 1.0), (False, None, None), None),
    ],
)
def test_a_machine_that_was_throttled_is_not_trusted_even_if_its_rounds_agree(
    clock_shares: Sequence[float | None], throttled: Sequence[bool | None], words: str | None
) -> None:
    readings = [
        msgspec.structs.replace(READING, clock_share=share, is_throttled=held_down, temperature_c=celsius)
        for share, held_down, celsius in zip(clock_shares, throttled, (60.0, 80.0, 84.0), strict=True)
    ]
    found = stability_of([records([1.0, 1.0, 1.0], readings)], SETTINGS)
    assert [reading.is_throttled for reading in found.readings] == list(throttled)
    assert found.warning is None if words is None else words in (found.warning or "")


def test_a_round_was_throttled_if_half_of_its_measurements_were() -> None:
    held_down = msgspec.structs.replace(READING, is_throttled=True)
    free = msgspec.structs.replace(READING, is_throttled=False)
    found = stability_of([records([1.0] * 3, [held_down, free, READING]), records([1.0] * 3, [free] * 3)], SETTINGS)
    assert [reading.is_throttled for reading in found.readings] == [True, False, False]
