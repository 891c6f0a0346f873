"""The engine cuda without a GPU, of which none was at hand: what it asks ONNX Runtime for, and what it refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import onnxruntime
import pytest

from edgebert.choosing.selection import Budget, select
from edgebert.engines import cuda, session
from edgebert.engines.cpu import CPU
from edgebert.engines.cuda import CUDA, CudaEngine, check_places
from edgebert.engines.onnx_runtime import RECORD_PLACES, OnnxRuntimeSession, open_graph, session_options
from edgebert.errors import BudgetError, BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.machine.gpus import Gpus
from edgebert.measuring.cost_model import Latency
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet
from edgebert.measuring.ways import combinations, usual_batch_sizes, ways_to_measure
from edgebert.subnet import Precision, Way, WayFilter
from profiles import LENGTHS, entry, profile_with, way

STRICT = (("enable_skip_layer_norm_strict_mode", "1"),)
Asked = list[tuple[str, dict[str, str]]]


class TwoGpus(Gpus):
    """A machine with two GPUs."""

    def names(self) -> list[str]:
        return ["NVIDIA H100", "NVIDIA H100"]

    def visible(self) -> int:
        return 2

    def driver_version(self) -> str:
        return "580.65.06"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> CudaEngine:
    """The engine where ONNX Runtime has the provider and the machine two GPUs."""
    providers = [CudaEngine.PROVIDER, CPU.PROVIDER]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    found = CudaEngine(TwoGpus())
    monkeypatch.setattr(session, "ENGINES", (CPU, found))
    return found


def on_gpu(device: str = "cuda:0", **changes: Any) -> Way:
    return msgspec.structs.replace(way(engine="cuda"), device=device, **changes)


def test_neither_a_gpu_nor_the_provider_alone_is_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU.PROVIDER])
    assert CudaEngine(TwoGpus()).devices() == ()

    def no_driver() -> Any:
        raise OSError

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CudaEngine.PROVIDER, CPU.PROVIDER])
    assert CudaEngine(Gpus(no_driver)).devices() == ()


def test_every_gpu_is_a_device_and_has_one_thread(engine: CudaEngine) -> None:
    assert engine.devices() == ("cuda:0", "cuda:1")
    found = list(ways_to_measure(WayFilter(engines=("cuda",)), 16, quick=False))
    assert {(one.device, one.flavor) for one in found} == {
        (device, flavor) for device in ("cuda:0", "cuda:1") for flavor in ("fused", "portable")
    }
    assert engine.cures() == (STRICT,)
    assert {one.threads for one in found} == {1}
    assert session.default_way("CUDAExecutionProvider") == on_gpu()


def test_its_version_says_what_it_runs_on(engine: CudaEngine) -> None:
    gpus = f"driver 580.65.06, ONNX Runtime {onnxruntime.__version__}, on NVIDIA H100"
    assert engine.version() == f"CUDA {getattr(onnxruntime, 'cuda_version', None) or 'of unknown version'}, {gpus}"


def test_batches_are_measured_where_they_matter(engine: CudaEngine) -> None:
    assert usual_batch_sizes(WayFilter(engines=(engine.NAME,))) == (1, 8, 32)
    assert usual_batch_sizes(WayFilter(engines=("cpu",))) == usual_batch_sizes(WayFilter()) == (1,)


@pytest.mark.parametrize("precision", ["int8", "int8-static"])
def test_precisions_without_kernels_are_not_run(engine: CudaEngine, builtin: Bundle, precision: Precision) -> None:
    subnet = msgspec.structs.replace(builtin.manifest.subnetworks[0], precision=precision)
    half = msgspec.structs.replace(subnet, precision="fp16")
    assert [one.subnet for one in combinations([subnet, half], [on_gpu()])] == [half]
    with pytest.raises(EdgeBertError, match=f"cuda runs fp16, fp32 and int8-weights, found {precision}; export one"):
        engine.open(b"", builtin.path, precision, on_gpu())


def test_a_profile_of_another_machine_names_no_gpu_of_this_one(engine: CudaEngine, builtin: Bundle) -> None:
    message = r"expected a GPU of this machine \(cuda:0, cuda:1\), found cuda:2; choose one of them"
    with pytest.raises(EdgeBertError, match=message):
        engine.open(b"", builtin.path, "fp16", on_gpu("cuda:2"))


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_where_cuda_does_not_start_nothing_runs_on_the_cpu_in_its_place(engine: CudaEngine, builtin: Bundle) -> None:
    if CUDA.devices():
        pytest.skip("it starts here")
    graph = builtin.graph(builtin.manifest.subnetworks[0], "portable")
    with pytest.raises(EdgeBertError, match=r"CUDAExecutionProvider could not start(:| and ONNX Runtime fell back)"):
        engine.open(graph, builtin.path, "fp32", on_gpu(flavor="portable"))


def test_a_driver_that_fails_is_no_fault_of_the_bundle(
    engine: CudaEngine, builtin: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As onnxruntime-gpu 1.31.1 put it where a driver that can do nothing had been planted."""

    def failing(*_: Any, **__: Any) -> Any:
        place = "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider_info.cc:63 "
        found = "CUDA failure 36: API call is not supported in the installed CUDA driver ; GPU=-1 ; line=70"
        raise RuntimeError(place + found)

    monkeypatch.setattr(onnxruntime, "InferenceSession", failing)
    with pytest.raises(EdgeBertError, match="CUDAExecutionProvider could not start: CUDA failure 36: API call is") as e:
        engine.open(b"", builtin.path, "fp16", on_gpu())
    assert not isinstance(e.value, BundleError)
    assert "in the installed CUDA driver; see to the driver and its memory, or choose another provider" in str(e.value)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the engine asks ONNX Runtime for; it gets a session of the CPU, which runs nothing of it."""
    found: Asked = []

    def opened(graph: bytes, options: Any, provider: str, providers: Asked) -> OnnxRuntimeSession:
        found.extend(providers)
        assert options.get_session_config_entry(RECORD_PLACES[0]) == RECORD_PLACES[1]
        return open_graph(graph, options, CPU.PROVIDER, [CPU.PROVIDER])

    monkeypatch.setattr(cuda, "open_graph", opened)
    return found


@pytest.mark.parametrize("options", [(), STRICT], ids=["usual", "strict"])
def test_options_reach_onnx_runtime_and_what_the_cpu_runs_is_found_out(
    engine: CudaEngine, builtin: Bundle, asked: Asked, options: tuple[tuple[str, str], ...]
) -> None:
    graph, run = builtin.graph(builtin.manifest.subnetworks[0], "portable"), on_gpu("cuda:1", options=options)
    message = r"ONNX Runtime left .*LayerNormalization, .*MatMul.* to CPUExecutionProvider; choose another flavor"
    with pytest.raises(EdgeBertError, match=message):
        engine.open(graph, builtin.path, "fp32", run)
    settings = {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested", "device_id": "1", **dict(options)}
    assert asked == [("CUDAExecutionProvider", settings)]


def test_what_is_about_shapes_may_be_anywhere(builtin: Bundle) -> None:
    options = session_options(builtin.path, threads=1)
    options.add_session_config_entry(*RECORD_PLACES)
    graph = builtin.graph(builtin.manifest.subnetworks[0], "fused")
    opened = open_graph(graph, options, CPU.PROVIDER, [CPU.PROVIDER])
    assert {"Gather", "Cast"} <= opened.operators_on(CPU.PROVIDER)
    assert opened.operators_on("OtherProvider") == set()
    check_places(opened, "OtherProvider")


def bundle_with(builtin: Bundle, *precisions: Precision) -> Bundle:
    """Return the built-in bundle with its first sub-networks in other precisions."""
    changed = tuple(
        msgspec.structs.replace(subnet, precision=precision)
        for subnet, precision in zip(builtin.manifest.subnetworks, precisions, strict=False)
    )
    return Bundle(builtin.path, msgspec.structs.replace(builtin.manifest, subnetworks=changed))


def measured(subnet_id: str, ms_of: Callable[[int], float], peak_memory_mb: float, run: Way) -> ProfiledSubnet:
    """Return an entry with the latency of each batch size, in proportion to the length."""
    one, rows = entry(subnet_id, 1.0, peak_memory_mb, run=run), []
    for size in (1, 8, 32):
        for length in LENGTHS:
            ms = ms_of(size) * length / 128
            times = dict.fromkeys(("p50_ms", "p90_ms", "p95_ms", "p99_ms"), ms)
            shape = {"batch_size": size, "length": length, "runs": 100, "runs_per_sample": 1}
            rows.append(Latency(**shape, **times, p50_ci95_ms=(ms, ms)))
    return msgspec.structs.replace(one, latency=tuple(rows))


def profile_of(bundle: Bundle) -> DeviceProfile:
    """Return a made-up profile: fp16 on a GPU takes longer to begin with, and less for each further text."""
    large, small = (subnet.id for subnet in bundle.manifest.subnetworks)
    entries = [
        measured(large, lambda size: 4.0 + 0.25 * size, 900.0, on_gpu()),
        measured(large, lambda size: 5.0 + 0.25 * size, 900.0, on_gpu(options=STRICT)),
        measured(small, lambda size: 2.0 * size, 30.0, way(2)),
    ]
    found = profile_with(bundle, *entries)
    settings = msgspec.structs.replace(found.settings, batch_sizes=(1, 8, 32))
    versions = {**found.engine_versions, "cuda": "CUDA 13.0, driver 580.65.06, ONNX Runtime 1.0, on NVIDIA H100"}
    return msgspec.structs.replace(found, settings=settings, engine_versions=versions)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(latency_ms=15, batch_size=32), on_gpu()),  # the CPU would take 64 ms
        (Budget(latency_ms=4.3, batch_size=1), on_gpu()),
        (Budget(latency_ms=4, batch_size=1), way(2)),
        (Budget(latency_ms=64, batch_size=32, memory_mb=100), way(2)),
    ],
)
def test_the_law_of_selection_holds_for_gpus_and_batches(
    builtin: Bundle, tmp_path: Path, budget: Budget, expected: Way
) -> None:
    bundle = bundle_with(builtin, "fp16", "int8")
    profile_of(bundle).save(tmp_path / "profile.json")
    chosen = select(bundle, DeviceProfile.load(tmp_path / "profile.json"), budget)
    assert chosen.way == expected
    assert chosen.subnetwork == bundle.manifest.subnetworks[0 if expected.engine == "cuda" else 1].id


def test_what_no_gpu_meets_is_refused_with_the_nearest(builtin: Bundle) -> None:
    bundle = bundle_with(builtin, "fp16", "int8")
    with pytest.raises(BudgetError) as e:
        select(bundle, profile_of(bundle), Budget(latency_ms=10, batch_size=32))
    assert e.value.nearest.subnetwork == bundle.manifest.subnetworks[0].id


def test_of_two_ways_of_one_network_the_faster_is_chosen_unless_it_is_wrong(builtin: Bundle) -> None:
    bundle = bundle_with(builtin, "fp16", "int8")
    profile, budget = profile_of(bundle), Budget(latency_ms=15, batch_size=32)
    assert select(bundle, profile, budget).way == on_gpu()
    wrong = msgspec.structs.replace(profile.subnetworks[0], numerics_ok=False)
    profile = msgspec.structs.replace(profile, subnetworks=(wrong, *profile.subnetworks[1:]))
    assert select(bundle, profile, budget).way == on_gpu(options=STRICT)
