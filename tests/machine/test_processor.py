from pathlib import Path

import pytest
from machines import MACHINES, write

from edgebert.machine import linux_processor
from edgebert.machine.processor import Core, Processor, grouped, printable_name, relevant_sets


def test_cores_are_put_together_by_kind_and_speed_the_fastest_first() -> None:
    cores = [Core("slow", max_clock_mhz=1800.0)] * 2 + [Core("fast", max_clock_mhz=mhz) for mhz in (2300.0, 2400.0)]
    found = grouped(cores)
    assert [(group.cores[0].kind, len(group.cores), group.speed) for group in found] == [
        ("fast", 2, 2400.0),
        ("slow", 2, 1800.0),
    ]


def test_cores_of_one_kind_are_apart_where_their_clocks_are() -> None:
    cores = [Core("a", max_clock_mhz=mhz) for mhz in (2420.0, 2420.0, 2840.0)]
    assert [len(group.cores) for group in grouped(cores)] == [1, 2]


def test_the_capacity_goes_before_the_clock_unless_it_is_the_same_for_all() -> None:
    high, low = {"max_clock_mhz": 3000.0}, {"max_clock_mhz": 2000.0}
    told = [Core("narrow", capacity=500.0, **high), Core("wide", capacity=1024.0, **low)]
    assert [group.cores[0].kind for group in grouped(told)] == ["wide", "narrow"]
    untold = [Core("little", capacity=1024.0, **low), Core("big", capacity=1024.0, **high)]
    assert [group.cores[0].kind for group in grouped(untold)] == ["big", "little"]


def test_where_no_speed_is_told_the_systems_order_stands() -> None:
    found = grouped([Core("a"), Core("b"), Core("a", max_clock_mhz=1000.0)])
    assert [(group.cores[0].kind, len(group.cores), group.speed) for group in found] == [("a", 2, 0.0), ("b", 1, 0.0)]


def test_instruction_sets_that_matter_are_kept_and_no_others() -> None:
    arm = ("asimd", "asimddp", "asimdhp", "bf16", "i8mm", "sme", "sme2", "sve", "sve2")
    assert relevant_sets(["fp", *reversed(arm), "aes", "asimd"]) == arm
    x86 = ("avx2", "avx512_vnni", "avx512f", "avx_vnni", "fma")
    assert relevant_sets(["sse", *reversed(x86), "avx"]) == x86


def test_a_name_is_one_line_without_control_characters() -> None:
    assert printable_name(" Radxa\x1b[2J ROCK\n5B\0") == "Radxa [2J ROCK 5B"


@pytest.mark.parametrize(
    ("name", "allowed", "counts", "usual"),
    [
        ("Raspberry Pi 4", None, [1, 2, 4], 4),
        ("ROCK 5B", None, [1, 2, 4, 8], 4),
        ("MacBook Air M1", None, [1, 2, 4, 8], 4),
        # The fastest core alone is a quarter of what it can do; its four slow ones would hold the others up.
        ("Snapdragon 8 Gen 1", None, [1, 4, 8], 4),
        # Its slower cores are three quarters as fast.
        ("Core i5-12600K", None, [1, 3, 6, 10], 10),
        ("EPYC 7763", None, [1, 2, 4], 4),
        # Bound to slow cores, to some of each, to two that are one, to one that has been switched off.
        ("ROCK 5B", {0, 1, 2, 3}, [1, 2, 4], 4),
        ("ROCK 5B", {3, 4, 5}, [1, 2, 3], 2),
        ("EPYC 7763", {0, 4}, [1], 1),
        ("Raspberry Pi 4", {9}, [1, 2, 4], 4),
    ],
)
def test_a_thread_count_means_the_fastest_cores(
    tmp_path: Path, name: str, allowed: set[int] | None, counts: list[int], usual: int
) -> None:
    found = linux_processor.processor(write(tmp_path, MACHINES[name]))
    cpus = None if allowed is None else frozenset(allowed)
    assert found.thread_counts(cpus) == counts
    assert found.usual_threads(cpus) == usual


def test_where_no_speed_is_told_the_first_cluster_is_the_usual_one() -> None:
    found = Processor("Apple M3 Pro", None, (), (Core("Performance"),) * 5 + (Core("Efficiency"),) * 6)
    assert (found.thread_counts(), found.usual_threads()) == ([1, 2, 5, 11], 5)
