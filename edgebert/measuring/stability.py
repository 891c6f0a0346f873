"""How far the rounds of a profile agree, and what is wrong if they do not. Pure functions of numbers."""

from collections.abc import Collection, Sequence

import msgspec
import numpy as np

from edgebert.machine.canary import Reading
from edgebert.measuring.device_profile import Stability
from edgebert.measuring.latency_statistics import is_known, rounded
from edgebert.measuring.profile_settings import ProfileSettings
from edgebert.measuring.trial_journal import TrialRecord, measurements_in

# What differs by more says that something else was running, or that the clock went down. A quiet profile has rounds of
# 1.02 to 1.07, a canary of 1.02 to 1.06 and 0.014 of others; one process that is busy for a third of the time brings
# 1.19, 2.0 and 0.12 (benchmarks/profile_repeat.py).
# Between rounds, in the median over shapes.
_MAX_DRIFT = 1.1
# Between the slowest and the fastest tenth of the readings.
_MAX_CANARY_DRIFT = 1.25
# Of all cores' time. One core of sixteen is less: the rounds show whether it matters.
_MAX_OTHERS_SHARE = 0.1
# Of the fastest round's clock, in the slowest.
_MIN_CLOCK_SHARE = 0.9


def stability_of(entries: Collection[Sequence[TrialRecord]], settings: ProfileSettings) -> Stability:
    """Return how far to trust a profile, from the records of the rounds of each of its entries."""
    drifts = [drift for records in entries for drift in _drifts(records)]
    everything = [record for records in entries for record in records]
    rounds = sorted({record.round for record in everything})
    readings = tuple(_middle([one.reading for one in everything if one.round == number]) for number in rounds)

    # Tenths, not the least and the most: a single late reading says nothing.
    low_ms, high_ms = np.percentile([record.reading.canary_ms for record in everything], (10, 90))
    canary_drift, median_drift = float(high_ms / low_ms), float(np.median(drifts))
    shares = [one.reading.others_share for one in everything if one.reading.others_share is not None]
    others_share = float(np.mean(shares)) if shares else None
    unsettled = [records[0] for records in entries if not is_known(measurements_in(records), settings)]
    return Stability(
        rounds=len(rounds),
        median_drift=rounded(median_drift),
        worst_drift=rounded(max(drifts)),
        canary_drift=rounded(canary_drift),
        others_share=None if others_share is None else rounded(others_share),
        readings=readings,
        unsettled=tuple(f"{record.subnet} ({record.way})" for record in unsettled),
        warning=warning_of(canary_drift, median_drift, others_share, readings),
    )


def warning_of(
    canary_drift: float, median_drift: float, others_share: float | None, readings: Sequence[Reading]
) -> str | None:
    """Return why a profile is not to be trusted and what to do, None if it is."""
    throttling = _throttling(readings)
    crowded = others_share is not None and others_share > _MAX_OTHERS_SHARE
    disturbed = canary_drift > _MAX_CANARY_DRIFT or median_drift > _MAX_DRIFT or crowded
    if not (disturbed or throttling):
        return None

    what = f"rounds differ by {median_drift:.2f}x in the median, the machine itself by {canary_drift:.2f}x"
    if throttling:
        return f"{what}; {throttling}: let it cool, cool it better or give it more power, and profile again"
    clocks_mhz = [reading.clock_mhz for reading in readings if reading.clock_mhz]
    if clocks_mhz and min(clocks_mhz) < _MIN_CLOCK_SHARE * max(clocks_mhz):
        clock = f"its clock went from {max(clocks_mhz):.0f} to {min(clocks_mhz):.0f} MHz"
        return f"{what}; {clock}: let it cool, plug it in or set its power mode, and profile again"
    if crowded:
        return f"{what}; other processes took {others_share:.0%} of it: close them and profile again"
    return f"{what}; close other programs, let it cool or set its power mode, and profile again"


def is_calm(reading: Reading, earlier: Sequence[Reading]) -> bool:
    """Return whether a device has little else to do and its full speed, as far as it was ever seen before."""
    share = reading.others_share
    fastest_ms = min(one.canary_ms for one in earlier)
    is_crowded = share is not None and share > _MAX_OTHERS_SHARE
    return not reading.is_throttled and not is_crowded and reading.canary_ms <= _MAX_CANARY_DRIFT * fastest_ms


def _throttling(readings: Sequence[Reading]) -> str | None:
    """Return in words that the machine could not keep its clock, None if it could or the system does not tell."""
    shares = [reading.clock_share for reading in readings if reading.clock_share]
    temperatures_c = [reading.temperature_c for reading in readings if reading.temperature_c is not None]
    heat = f" at up to {max(temperatures_c):.0f} C" if temperatures_c else ""
    throttled = sum(bool(reading.is_throttled) for reading in readings)
    if throttled:
        clock = f", its clock down to {min(shares):.0%} of the maximum" if shares else ""
        return f"it was throttled in {throttled} of {len(readings)} rounds{heat}{clock}"
    # The first round against the last: a clock that only ever is low is that of the power mode.
    if shares and shares[-1] < _MIN_CLOCK_SHARE * shares[0]:
        return f"its clock went from {shares[0]:.0%} to {shares[-1]:.0%} of the maximum{heat}"
    return None


def _drifts(records: Sequence[TrialRecord]) -> list[float]:
    """Return for each shape the slowest round's median over the fastest's."""
    medians_ms = [each.medians_ms for each in measurements_in(records)]
    return [max(of_shape) / min(of_shape) for of_shape in zip(*medians_ms, strict=True)]


def _middle(readings: Sequence[Reading]) -> Reading:
    """Return the median state of the machine; what the system does not show stays None."""
    medians: dict[str, float | bool | None] = {}
    for name in Reading.__struct_fields__:
        shown = [value for value in (getattr(reading, name) for reading in readings) if value is not None]
        medians[name] = rounded(np.median(shown)) if shown else None
    throttled = medians["is_throttled"]
    # In half of the round's measurements at least.
    return msgspec.convert(medians | {"is_throttled": None if throttled is None else throttled >= 0.5}, Reading)
