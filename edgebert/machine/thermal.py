"""Whether the machine is too hot to run at its full clock, as Linux tells it; nothing where it does not."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from edgebert.machine.limits import system_file
from edgebert.machine.linux_processor import number_in

_ROOT = Path("/")
# What is beyond is no temperature of something that runs: some drivers show amperes or nonsense under this name.
_TEMPERATURES_C = (1.0, 150.0)
# Below, a trip point is not about the processor's heat: batteries and the voltage at them have some too.
_LEAST_TRIP_C = 40.0
# Bits of what Raspberry Pi's firmware tells: the clock is capped now, or lowered for heat or for the soft limit of it.
_FIRMWARE_THROTTLED = 0b1110


class Clock(NamedTuple):
    """A core's clock now, and which share of its maximum that is."""

    mhz: float
    share: float


def fastest_clock(cpus: Collection[int], root: Path = _ROOT) -> Clock | None:
    """Return the clock of that of some logical cores which is now nearest to its maximum; None if Linux tells none."""
    clocks = []
    for cpu in cpus:
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
        now_khz, most_khz = number_in(folder / "scaling_cur_freq"), number_in(folder / "cpuinfo_max_freq")
        if now_khz and most_khz:
            # Some clocks are measured, and may be a little beyond what the processor is sold for.
            clocks.append(Clock(now_khz / 1000, min(1.0, now_khz / most_khz)))
    return max(clocks, key=lambda clock: clock.share, default=None)


def temperature_c(root: Path = _ROOT) -> float | None:
    """Return the temperature of the hottest thermal zone; None if Linux tells none."""
    return max((zone.temperature_c for zone in _zones(root)), default=None)


def is_throttled(root: Path = _ROOT) -> bool | None:
    """Return whether the clock is held down for heat or want of power; None if Linux does not tell.

    It is told by Raspberry Pi's firmware, by what cools by a lower clock, and by zones with passive trip points.
    """
    told = [*_firmware(root), *_cooling(root)]
    # At the first of several points the kernel begins to watch, at the last it lowers the clock.
    told += [zone.temperature_c >= zone.trip_c for zone in _zones(root) if zone.trip_c is not None]
    return any(told) if told else None


class _Zone(NamedTuple):
    temperature_c: float
    trip_c: float | None


def _zones(root: Path) -> Iterator[_Zone]:
    """Yield the thermal zones that show a temperature, with their last passive trip point."""
    for folder in (root / "sys/class/thermal").glob("thermal_zone*"):
        found_c = (number_in(folder / "temp") or 0.0) / 1000
        if _TEMPERATURES_C[0] <= found_c <= _TEMPERATURES_C[1]:
            yield _Zone(found_c, max(_passive_trips_c(folder), default=None))


def _passive_trips_c(folder: Path) -> Iterator[float]:
    for kind in folder.glob("trip_point_*_type"):
        trip_c = (number_in(kind.with_name(kind.name.replace("_type", "_temp"))) or 0.0) / 1000
        if trip_c >= _LEAST_TRIP_C and system_file(kind).strip() == "passive":
            yield trip_c


def _cooling(root: Path) -> Iterator[bool]:
    """Yield for each device that cools by a lower clock whether it does so now."""
    for folder in (root / "sys/class/thermal").glob("cooling_device*"):
        state = number_in(folder / "cur_state")
        if state is not None and "cpufreq" in system_file(folder / "type"):
            yield state > 0


def _firmware(root: Path) -> Iterator[bool]:
    """Yield what Raspberry Pi's firmware tells, on the kernels that show it."""
    for file in (root / "sys/devices/platform").glob("soc*/soc*:firmware/get_throttled"):
        text = system_file(file).strip()
        try:
            yield bool(int(text, 16) & _FIRMWARE_THROTTLED)
        except ValueError:
            continue  # the firmware did not answer
