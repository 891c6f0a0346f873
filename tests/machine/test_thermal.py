from pathlib import Path

import pytest
from machines import MACHINES, THERMAL, Files, clock, write, zone

from edgebert.machine.thermal import fastest_clock, is_throttled, temperature_c

FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"


def cooling(kind: str, state: int) -> Files:
    folder = f"{THERMAL}/cooling_device0"
    return {f"{folder}/type": f"{kind}\n", f"{folder}/cur_state": f"{state}\n", f"{folder}/max_state": "4\n"}


def test_the_clock_is_that_of_the_core_that_is_nearest_to_its_maximum(tmp_path: Path) -> None:
    root = write(
        tmp_path, clock(4, 600_000, 2_400_000) | clock(5, 1_200_000, 2_400_000) | clock(0, 1_800_000, 1_800_000)
    )
    assert fastest_clock([4, 5], root) == (1200.0, 0.5)
    assert fastest_clock([4, 5, 0], root) == (1800.0, 1.0)


def test_a_clock_beyond_the_maximum_is_all_of_it(tmp_path: Path) -> None:
    assert fastest_clock([0], write(tmp_path, clock(0, 3_010_000, 3_000_000))) == (3010.0, 1.0)


def test_where_nothing_is_told_nothing_is_known(tmp_path: Path) -> None:
    assert fastest_clock([0, 1], tmp_path) is None
    assert fastest_clock([], write(tmp_path, MACHINES["ROCK 5B"])) is None
    assert temperature_c(tmp_path) is None
    assert is_throttled(tmp_path) is None


def test_the_hottest_zone_counts_and_what_is_no_temperature_does_not(tmp_path: Path) -> None:
    zones = [("soc-thermal", 61_500), ("bigcore0-thermal", 64_700), ("pm8350b-ibat", 5_000_000), ("dead", -274_000)]
    for number, (kind, temperature) in enumerate(zones):
        write(tmp_path, zone(number, kind, temperature))
    assert temperature_c(tmp_path) == 64.7


@pytest.mark.parametrize(
    ("files", "throttled"),
    [
        # A zone with a point at which it lowers the clock, and one with none: Raspberry Pis have but a critical one.
        (zone(0, "soc-thermal", 84_900, passive=75_000, passive_=85_000, critical=115_000), False),
        (zone(0, "soc-thermal", 85_000, passive=75_000, passive_=85_000, critical=115_000), True),
        (zone(0, "cpu-thermal", 84_000, critical=110_000), None),
        # Points of a package of x86 that nobody has set, and of a battery in milliamperes.
        (zone(0, "x86_pkg_temp", 66_000, passive=0), None),
        (zone(0, "pm8350b-ibat-lvl0", 7_000, passive=6_500), None),
        (cooling("cpufreq-cpu4", 0), False),
        (cooling("cpufreq-cpu4", 2), True),
        (cooling("thermal-cpufreq-0", 1), True),
        (cooling("pwm-fan", 3), None),
        # Sixteen bits further on are the same for what has been since the start.
        ({FIRMWARE: "0\n"}, False),
        ({FIRMWARE: "50000\n"}, False),
        ({FIRMWARE: "50005\n"}, True),
        ({FIRMWARE: "80008\n"}, True),
        ({FIRMWARE: "\n"}, None),
        (zone(0, "soc-thermal", 40_000, passive=75_000) | cooling("cpufreq-cpu4", 1), True),
    ],
)
def test_a_clock_that_is_held_down_is_told(tmp_path: Path, files: Files, throttled: bool | None) -> None:
    assert is_throttled(write(tmp_path, files)) is throttled
