from pathlib import Path

import msgspec
import pytest
from machines import MACHINES, write

from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.engines.session import engines_here
from edgebert.errors import ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.machine import device, linux_processor
from edgebert.machine.device import default_threads, thread_counts
from edgebert.machine.limits import Limits
from edgebert.measuring.profile_settings import settings_for
from edgebert.measuring.ways import combinations, hopeless_ways, ways_to_measure
from edgebert.subnet import WayFilter
from profiles import way

FIXED = FixedShapes((16, 64), (1, 8))
FUSED, PORTABLE = way(), way(flavor="portable")


def test_all_flavors_and_thread_counts_of_all_engines_are_tried() -> None:
    found = list(ways_to_measure(WayFilter(), thread_counts()[-1], quick=False))
    assert len(set(found)) == len(found)
    assert {one.engine for one in found} == {engine.NAME for engine in engines_here()}
    on_cpu = {(one.flavor, one.threads) for one in found if one.engine == "cpu"}
    assert on_cpu == {(flavor, threads) for flavor in ("fused", "portable") for threads in thread_counts()}


def test_only_what_was_asked_for_is_tried() -> None:
    asked = WayFilter(engines=("cpu",), threads=3)
    assert {(one.engine, one.threads) for one in ways_to_measure(asked, 1, quick=False)} == {("cpu", 3)}
    assert list(ways_to_measure(asked, 1, quick=True)) == [way(3)]
    twice = WayFilter(engines=("cpu", "cpu"))
    assert len(list(ways_to_measure(twice, 1, quick=True))) == 2  # the usual way of each


def test_a_quick_profile_has_one_way_on_the_threads_that_there_are() -> None:
    assert list(ways_to_measure(WayFilter(), default_threads(), quick=True)) == [way(default_threads())]
    assert list(ways_to_measure(WayFilter(), 1, quick=True)) == [way(1)]


def test_a_board_is_measured_on_its_fast_cores_and_on_all(
    builtin: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = linux_processor.processor(write(tmp_path, MACHINES["ROCK 5B"]))
    monkeypatch.setattr(device, "this_processor", lambda: board)
    monkeypatch.setattr(device, "_allowed", lambda: None)
    settings = settings_for(builtin)
    assert (settings.threads, settings.max_threads) == (4, 8)
    found = ways_to_measure(WayFilter(engines=("cpu",)), settings.max_threads, quick=False)
    assert {one.threads for one in found} == {1, 2, 4, 8}
    assert list(ways_to_measure(WayFilter(), settings.max_threads, quick=True)) == [way(4)]
    smaller = settings_for(builtin, emulate=Limits(cpus=2.0))
    assert (smaller.threads, smaller.max_threads) == (2, 2)


def test_a_network_is_combined_with_the_flavors_that_it_has(builtin: Bundle) -> None:
    subnets = builtin.manifest.subnetworks[:2]
    found = combinations(subnets, [FUSED, PORTABLE, way(flavor="portable", engine="cpu", threads=2)])
    assert [(one.subnet.id, one.way.flavor, one.way.threads) for one in found] == [
        (subnet.id, flavor, threads)
        for subnet in subnets
        for flavor, threads in (("fused", 1), ("portable", 1), ("portable", 2))
    ]


def test_fp16_is_not_measured_on_the_cpu(builtin: Bundle) -> None:
    int8 = builtin.manifest.subnetworks[0]
    fp16 = msgspec.structs.replace(int8, precision="fp16")
    assert [one.subnet for one in combinations([fp16, int8], [FUSED])] == [int8]
    message = "cpu is no engine for fp16; choose another provider or export more precisions"
    with pytest.raises(ProfileError, match=message):
        combinations([fp16], [FUSED, PORTABLE])


@pytest.mark.parametrize(
    ("portable_ms", "hopeless"), [(1.1, PORTABLE), (1.0, PORTABLE), (0.99, PORTABLE), (0.9, FUSED)]
)
def test_of_two_flavors_one_is_left_and_a_tie_goes_to_the_engines_own(portable_ms: float, hopeless: object) -> None:
    found = hopeless_ways([{FUSED: [1.0, 2.0], PORTABLE: [portable_ms, 2 * portable_ms]}])
    assert list(found) == [hopeless]
    assert "times as slow as the other flavor" in found[FUSED if hopeless == FUSED else PORTABLE]


def test_what_is_far_slower_for_every_network_and_shape_is_hopeless() -> None:
    slow = {way(1): [4.0, 9.0], way(2): [2.0, 3.0]}
    assert hopeless_ways([slow]) == {way(1): "2.0 to 3.0 times as slow as the fastest way"}
    assert hopeless_ways([slow, {way(1): [1.9, 5.0], way(2): [1.0, 2.0]}]) == {}


def test_fewer_threads_stay_though_they_are_slower() -> None:
    assert hopeless_ways([{way(1): [1.9], way(2): [1.0]}]) == {}


def test_ways_that_failed_rule_nothing_out() -> None:
    assert hopeless_ways([{}, {FUSED: [1.0]}]) == {}


def test_an_engine_that_is_nowhere_faster_than_the_first_is_left_out_unless_it_is_asked_for() -> None:
    other = way(engine="openvino", flavor="portable")
    slower, faster = [{FUSED: [1.0, 4.0], other: [1.5, 3.9]}], [{FUSED: [1.0, 4.0], other: [1.5, 3.0]}]
    reason = "nowhere faster than another engine, at best 0.97 times as slow"
    assert hopeless_ways(slower) == {other: reason}
    assert hopeless_ways(slower, keep_engines=True) == hopeless_ways(faster) == {}


def test_settings_that_gain_nothing_are_left_out_and_the_usual_ones_stay() -> None:
    free = way(engine="openvino", flavor="portable")
    fixed = msgspec.structs.replace(free, options=FIXED.options)
    reason = "0.98 times as slow as with the usual settings"
    assert hopeless_ways([{free: [1.0, 2.0], fixed: [0.98, 1.96]}]) == {fixed: reason}
    assert hopeless_ways([{free: [1.0, 2.0], fixed: [0.95, 1.9]}]) == {}


@pytest.mark.full
def test_networks_for_each_shape_are_tried_where_the_shapes_of_requests_are_known(builtin: Bundle) -> None:
    subnet, free = builtin.manifest.subnetworks[0], way(engine="openvino", flavor="portable")
    known = {"lengths": FIXED.lengths, "batch_sizes": FIXED.batch_sizes}
    assert [one.way for one in combinations([subnet], [free])] == [free]
    assert [one.way for one in combinations([subnet], [free], quick=True, **known)] == [free]
    assert [one.way.options for one in combinations([subnet], [free, FUSED], **known)] == [(), FIXED.options, ()]
    # As many copies of the weights as this nobody wants.
    many = {"lengths": range(1, 18), "batch_sizes": [1]}
    assert [one.way for one in combinations([subnet], [free], **many)] == [free]


def test_an_engine_is_compared_with_the_first_on_as_many_threads() -> None:
    on_one = way(engine="openvino", flavor="portable")
    assert hopeless_ways([{way(1): [3.0], way(2): [2.0], on_one: [2.5]}]) == {}
