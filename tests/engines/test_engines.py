"""What holds for every engine, and for a planted one that answers wrong."""

import itertools
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import onnxruntime
import pytest
from fake_trials import TWO, quiet_machine

from edgebert.choosing.selection import Budget, select
from edgebert.engines import session
from edgebert.engines.cpu import CPU, CpuEngine
from edgebert.engines.engine import Engine, Session
from edgebert.engines.onnx_runtime import open_graph, session_options
from edgebert.engines.openvino import OpenVinoEngine
from edgebert.engines.session import ENGINES, engine_of, engine_versions, engines_here, open_session
from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Arrays
from edgebert.machine.device import thread_counts
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.numerics import numerics
from edgebert.measuring.profile_settings import settings_for
from edgebert.measuring.profiler import Profiling
from edgebert.measuring.trial import measure
from edgebert.measuring.trial_journal import TrialJournal
from edgebert.measuring.ways import combinations, ways_to_measure
from edgebert.subnet import Flavor, Precision, Way, WayFilter
from edgebert.tasks.task import Outputs
from profiles import way

WAYS_HERE = list(ways_to_measure(WayFilter(), thread_counts()[-1], quick=False))


@pytest.mark.parametrize("one", WAYS_HERE, ids=str)
def test_every_sub_network_gives_its_golden_outputs_in_every_way_here(builtin: Bundle, one: Way) -> None:
    for subnet in builtin.manifest.subnetworks:
        if engine_of(one.engine).takes(subnet.precision):
            found = numerics(builtin, subnet, open_session(builtin, subnet, one))
            assert found.ok, f"{subnet.id}: {found}"


def test_outputs_are_named_float32_arrays(builtin: Bundle) -> None:
    golden = builtin.golden()
    for one in (found.way for found in combinations(builtin.manifest.subnetworks[:1], WAYS_HERE)):
        opened = open_session(builtin, builtin.manifest.subnetworks[0], one)
        found = opened.run({name: np.array(golden.inputs[name]) for name in opened.input_names})
        assert [(name, values.dtype) for name, values in found.items()] == [("logits", np.float32)]


def test_engines_have_names_of_their_own() -> None:
    names = [name for engine in ENGINES for name in (engine.NAME, engine.PROVIDER)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("engine", engines_here(), ids=lambda engine: engine.NAME)
def test_an_engine_here_says_what_it_takes_and_what_it_is(engine: Engine) -> None:
    assert engine.devices()
    assert engine.FLAVORS
    assert engine.OPTIONS
    assert list(engine.thread_counts()) == sorted(set(engine.thread_counts()))
    assert engine.memory().resident_mb >= (0 if engine.NAME == "cuda" else 1)  # nothing of a GPU before it is used
    assert any(character.isdigit() for character in engine.version())


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.NAME)
def test_an_engine_that_must_be_installed_says_what_for_and_how(engine: Engine) -> None:
    assert bool(engine.INSTALL) == bool(engine.GOOD_FOR) == (engine is not CPU)
    assert engine.could_run() or not engine.devices()
    assert engine.usual_threads() in engine.thread_counts()


def test_a_cloud_service_is_no_engine() -> None:
    assert {engine.NAME for engine in engines_here()} <= {"cpu", "cuda", "openvino"}
    assert engine_versions().keys() == {engine.NAME for engine in engines_here()}


def test_an_engine_whose_package_is_missing_is_not_here() -> None:
    assert OpenVinoEngine("no_such_package").devices() == ()


def test_a_provider_that_falls_back_to_another_is_found_out(builtin: Bundle) -> None:
    graph = builtin.graph(builtin.manifest.subnetworks[0], "fused")
    options = session_options(builtin.path, threads=1)
    with pytest.raises(EdgeBertError, match="OtherProvider could not start and ONNX Runtime fell back; choose another"):
        open_graph(graph, options, "OtherProvider", [CPU.PROVIDER])


def test_bytes_are_never_taken_for_a_model_in_onnx_runtimes_own_format(builtin: Bundle) -> None:
    # As a text of an ONNX model, which the reader of graphs skips, and as a whole what ONNX Runtime knows its own by.
    content = b"\x12\x7f\0\0ORTM" + bytes(121)
    with pytest.raises(BundleError, match="No graph was found in the protobuf"):
        open_graph(content, session_options(builtin.path, threads=1), CPU.PROVIDER, [CPU.PROVIDER])


@pytest.mark.parametrize("flavor", ["fused", "portable"])
def test_where_int8_sums_saturate_products_are_made_exact(builtin: Bundle, flavor: Flavor) -> None:
    subnet, engine = builtin.subnet(TWO[1]), CpuEngine(saturates=lambda: True)
    graph = builtin.graph(subnet, flavor)
    assert numerics(builtin, subnet, engine.open(graph, builtin.path, subnet.precision, way(flavor=flavor))).ok


@pytest.mark.parametrize(("version", "flavor"), [("1.29.0", "fused"), ("1.24.4", "fused"), ("1.24.4", "portable")])
def test_a_version_without_exact_sums_is_refused_where_others_saturate(
    builtin: Bundle, monkeypatch: pytest.MonkeyPatch, version: str, flavor: Flavor
) -> None:
    monkeypatch.setattr(onnxruntime, "__version__", version)
    subnet, engine = builtin.subnet(TWO[1]), CpuEngine(saturates=lambda: True)
    arguments = builtin.graph(subnet, flavor), builtin.path, subnet.precision, way(flavor=flavor)
    if flavor == "portable":  # of int8-static: computed as written
        engine.open(*arguments)
        return
    with pytest.raises(EdgeBertError, match=rf"need ONNX Runtime 1.30, found {version}; pip install"):
        engine.open(*arguments)


def test_sums_that_cannot_saturate_are_tried_without_exactness_too() -> None:
    saturating, exact = CpuEngine(saturates=lambda: True), CpuEngine(saturates=lambda: False)
    inexact = (("session.x64quantprecision", "0"),)
    assert saturating.options("int8", reduce_range=True) == ((), inexact)
    assert saturating.options("int8", reduce_range=False) == ((),)
    assert saturating.options("fp32", reduce_range=True) == exact.options("int8", reduce_range=True) == ((),)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.NAME)
def test_a_profile_may_hold_whatever_an_engine_tries(engine: Engine) -> None:
    shapes = {"lengths": (16, 64), "batch_sizes": (1, 8)}
    tried = [engine.options("int8", reduce_range=True), engine.options("fp32", reduce_range=False, **shapes)]
    assert all(map(engine.knows, {*itertools.chain(*tried), *engine.cures()}))
    assert not engine.knows((("session.save_model_path", "/etc/x"),))


def test_options_of_a_way_reach_the_engine(builtin: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    subnet, options = builtin.subnet(TWO[0]), (("session.intra_op.allow_spinning", "0"),)
    monkeypatch.setattr(CpuEngine, "OPTIONS", ((), options))
    patient = Way(engine="cpu", device="cpu", flavor="fused", threads=2, options=options)
    assert numerics(builtin, subnet, open_session(builtin, subnet, patient)).ok
    assert str(patient) == "cpu, fused, 2 threads, session.intra_op.allow_spinning=0"


@pytest.mark.parametrize(
    "option",
    [
        ("session.optimized_model_filepath", "written.onnx"),
        ("session.model_external_initializers_file_folder_path", "elsewhere"),
        ("session.node_partition_config_file", "read.txt"),
    ],
)
def test_a_profile_makes_no_engine_read_or_write_files(builtin: Bundle, option: tuple[str, str]) -> None:
    strange = msgspec.structs.replace(way(), options=(option,))
    with pytest.raises(EdgeBertError, match=r"the engine cpu is run with no such options: cpu, .*; profile again"):
        open_session(builtin, builtin.subnet(TWO[0]), strange)


class WrongSession:
    """Answers the opposite of what another session does."""

    def __init__(self, opened: Session):
        self._opened = opened
        self.input_names = opened.input_names

    def run(self, inputs: Arrays) -> Outputs:
        return {name: -values for name, values in self._opened.run(inputs).items()}


class PlantedEngine(Engine):
    """An engine with two devices, that answers wrong on one of them."""

    NAME: ClassVar[str] = "planted"
    PROVIDER: ClassVar[str] = "PlantedExecutionProvider"
    FLAVORS: ClassVar[tuple[Flavor, ...]] = ("portable",)

    def devices(self) -> tuple[str, ...]:
        return ("right", "wrong")

    def version(self) -> str:
        return "Planted 1.0"

    def thread_counts(self) -> tuple[int, ...]:
        return (1,)

    def open(self, graph: bytes, weights: Path, precision: Precision, way: Way) -> Session:
        opened = CPU.open(graph, weights, precision, way)
        return opened if way.device == "right" else WrongSession(opened)


@pytest.fixture
def two_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ENGINES", (CPU, PlantedEngine()))


def profile_in_this_process(bundle: Bundle, ways: list[Way]) -> DeviceProfile:
    pairs = combinations([bundle.subnet(subnet_id) for subnet_id in TWO], ways)
    settings = settings_for(bundle, lengths=[8], quick=True)
    return Profiling(bundle, settings, TrialJournal(), measure=measure, watch=quiet_machine).run(pairs)


def planted(device: str) -> Way:
    return Way(engine="planted", device=device, flavor="portable", threads=1, options=())


@pytest.mark.usefixtures("two_engines")
def test_an_engine_is_measured_on_all_its_devices() -> None:
    asked = WayFilter(engines=("planted",))
    assert list(ways_to_measure(asked, 1, quick=False)) == [planted("right"), planted("wrong")]
    assert [engine.NAME for engine in engines_here()] == ["cpu", "planted"]
    assert session.default_way("planted") == planted("right")


@pytest.mark.usefixtures("two_engines")
def test_of_ways_of_several_engines_a_wrong_one_is_never_selected(builtin: Bundle) -> None:
    ways = [way(), planted("right"), planted("wrong")]
    found = profile_in_this_process(builtin, ways)
    assert found.engine_versions.keys() == {"cpu", "planted"}
    measured = {entry.key: entry for entry in found.subnetworks}
    if (TWO[1], planted("wrong")) in measured:  # else it was too slow to be looked at
        assert not measured[TWO[1], planted("wrong")].numerics_ok

    for latency_ms, memory_mb in itertools.product((None, 1000.0), (None, 1000.0)):
        chosen = select(builtin, found, Budget(latency_ms=latency_ms, memory_mb=memory_mb, length=8))
        assert chosen.way != planted("wrong")


@pytest.mark.usefixtures("two_engines")
def test_where_every_way_is_wrong_nothing_can_be_chosen(builtin: Bundle) -> None:
    found = profile_in_this_process(builtin, [planted("wrong")])
    with pytest.raises(EdgeBertError, match="does not give the golden outputs on this device: outputs are"):
        select(builtin, found, Budget(length=8))
