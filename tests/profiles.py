"""Profiles made up for tests of what is decided from them."""

from collections.abc import Mapping

import msgspec
from fake_trials import READING, RIGHT, WRONG

from edgebert.engines.session import default_way
from edgebert.inputs.bundle import Bundle
from edgebert.machine.device import this_device
from edgebert.machine.javascript_device import JavaScriptDevice
from edgebert.measuring.cost_model import Latency
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet, Stability
from edgebert.measuring.profile_settings import ProfileSettings
from edgebert.subnet import Flavor, Way

LENGTHS = (16, 64, 128)


def _by_quality() -> list[str]:
    """Return ids of the built-in bundle's sub-networks, the best first, of equals the smallest."""
    measured = {one.quality.value: one.id for one in Bundle.load().manifest.subnetworks if one.quality}
    return [measured[value] for value in sorted(measured, reverse=True)]


BEST, *_, MIDDLE, LEAST = _by_quality()


def way(threads: int = 1, *, engine: str = "cpu", flavor: Flavor = "fused") -> Way:
    """Return a way to run a network."""
    return Way(engine=engine, device="cpu", flavor=flavor, threads=threads, options=())


def entry(
    subnet_id: str,
    ms_at_128: float,
    peak_memory_mb: float | None = 30.0,
    *,
    numerics_ok: bool = True,
    run: Way | None = None,
) -> ProfiledSubnet:
    """Return an entry whose latency at every percentile is in proportion to the length."""
    rows = []
    for length in LENGTHS:
        ms = ms_at_128 * length / 128
        times = {"p50_ms": ms, "p90_ms": ms, "p95_ms": ms, "p99_ms": ms}
        shape = {"batch_size": 1, "length": length, "runs": 100, "runs_per_sample": 1}
        rows.append(Latency(**shape, **times, p50_ci95_ms=(ms, ms)))
    return ProfiledSubnet(
        id=subnet_id,
        way=run or default_way(),
        load_ms=30.0,
        first_ms=5.0,
        new_shape_ms=0.0,
        peak_memory_mb=peak_memory_mb,
        steady_memory_mb=peak_memory_mb,
        private_memory_mb=None if peak_memory_mb is None else peak_memory_mb / 2,
        numerics_ok=numerics_ok,
        numerics=RIGHT if numerics_ok else WRONG,
        pad_to=(),
        latency=tuple(rows),
    )


def profile_with(bundle: Bundle, *entries: ProfiledSubnet) -> DeviceProfile:
    """Return a profile of a bundle on this device with the given entries."""
    return DeviceProfile(
        schema_version=DeviceProfile.VERSION,
        bundle_sha256=bundle.sha256,
        created_at="2026-01-01T00:00:00+00:00",
        edgebert_version="0.1.0",
        engine_versions={"cpu": "ONNX Runtime 1.0"},
        device=this_device(),
        settings=ProfileSettings(
            lengths=LENGTHS,
            batch_sizes=(1,),
            min_rounds=3,
            min_runs=20,
            min_seconds=0.3,
            max_seconds=2.2,
            interval_share=0.02,
            requests_per_s=None,
            emulated=None,
        ),
        subnetworks=entries,
        left_out=(),
        stability=Stability(
            rounds=3,
            median_drift=1.0,
            worst_drift=1.0,
            canary_drift=1.0,
            others_share=0.0,
            readings=(READING,),
            unsettled=(),
            warning=None,
        ),
    )


def looked(found: DeviceProfile, warning: str | None) -> DeviceProfile:
    """Return a profile as one short look at a device that was restless, for that reason, or calm."""
    settings = msgspec.structs.replace(found.settings, min_rounds=1)
    stability = msgspec.structs.replace(found.stability, rounds=1, warning=warning)
    return msgspec.structs.replace(found, settings=settings, stability=stability)


PHONE = JavaScriptDevice(
    name="Chrome 156 on Android, Pixel 8",
    user_agent="Mozilla/5.0 (Linux; Android 10; K)",
    cores=8,
    memory_gb=8.0,
    gpu="arm valhall",
    isolated=True,
    timer_step_ms=0.005,
    fingerprint="0123456789abcdef" * 4,
)


def in_a_browser(profile: DeviceProfile) -> DeviceProfile:
    """Return a profile as the browser of a phone would have measured it, on one thread."""
    run = Way(engine="wasm", device="CPU", flavor="fused", threads=1, options=())
    unknown = {"peak_memory_mb": None, "steady_memory_mb": None, "private_memory_mb": None}
    reading = msgspec.structs.replace(READING, others_share=None)
    return msgspec.structs.replace(
        profile,
        device=PHONE,
        engine_versions={"wasm": "onnxruntime-web 1.30.0"},
        subnetworks=tuple(msgspec.structs.replace(one, way=run, **unknown) for one in profile.subnetworks),
        stability=msgspec.structs.replace(profile.stability, others_share=None, readings=(reading,)),
    )


def profile_of_costs(bundle: Bundle, ms_at_128: Mapping[str, float]) -> DeviceProfile:
    """Return a profile in which each sub-network costs so many milliseconds at 128 tokens."""
    return profile_with(bundle, *(entry(subnet_id, ms) for subnet_id, ms in ms_at_128.items()))
