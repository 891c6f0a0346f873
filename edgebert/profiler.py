"""Profiles a bundle on this device: every sub-network in fresh processes, in rounds, so that drift hits all alike."""

import logging
import math
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import msgspec
import numpy as np
import platformdirs

from edgebert.bundle import Bundle, ExportedSubnet
from edgebert.cost_model import Latency
from edgebert.device import default_threads, this_device
from edgebert.device_profile import DeviceProfile, ProfiledSubnet, Settings, Stability
from edgebert.errors import BundleError, ProfileError
from edgebert.measuring import Failure, Measurement, Shape, Task
from edgebert.progress import Progress, no_progress
from edgebert.session import check_provider, version
from edgebert.subnet import CPU, flavor_of
from edgebert.version import __version__

logger = logging.getLogger(__name__)

MAX_THREADS = 1024
_LENGTHS = (16, 64, 128)
_MAX_DRIFT = 1.25  # medians that differ by more between rounds say that something else was running


def profile(
    bundle: Bundle | str | Path | None = None,
    *,
    lengths: Sequence[int] | None = None,
    batch_sizes: Sequence[int] = (1,),
    threads: int | None = None,
    provider: str = CPU,
    subnets: Sequence[str] | None = None,
    quick: bool = False,
    on_progress: Progress = no_progress,
) -> DeviceProfile:
    """Measure load time, latency, memory and numerics of a bundle's sub-networks on this device.

    Without `lengths`, 16, 64 and 128 tokens as far as the bundle takes them, and its longest input. `quick` measures
    for about 5 s in one round instead of 45 s in three. `on_progress` hears of each measurement that is done.
    A complete profile is cached for `load` and `select`.

    Raises:
        BundleError: the bundle is damaged, or has no such sub-network.
        ProfileError: a length, batch size or thread count that cannot be measured, or nothing could be measured.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    check_provider(provider)
    settings = Settings(
        lengths=_checked("length", lengths or _default_lengths(bundle), 2, bundle.manifest.max_length),
        batch_sizes=_checked("batch size", batch_sizes, 1, 1024),
        provider=provider,
        threads=_checked("thread count", [default_threads() if threads is None else threads], 1, MAX_THREADS)[0],
        rounds=1 if quick else 3,
        min_runs=20 if quick else 34,
        min_seconds=0.05 if quick else 0.7,
    )
    chosen = [bundle.subnet(subnet_id) for subnet_id in subnets] if subnets else list(bundle.manifest.subnetworks)
    measured = _measure_all(bundle, chosen, settings, on_progress)
    found = DeviceProfile(
        schema_version=DeviceProfile.VERSION,
        bundle_sha256=bundle.sha256,
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        edgebert_version=__version__,
        onnxruntime_version=version(),
        device=this_device(),
        settings=settings,
        subnetworks=tuple(_entry(subnet_id, settings, rounds) for subnet_id, rounds in measured.items()),
        stability=_stability(list(measured.values())),
    )
    if found.stability.median_drift > _MAX_DRIFT:
        drift = f"rounds differ by {found.stability.median_drift:.2f}x in the median"
        logger.warning("unstable: %s; close other programs, let the device cool and profile again", drift)
    if subnets is None and bundle.manifest.max_length in settings.lengths:
        _save_to_cache(found)
    return found


def profile_of(
    bundle: Bundle, *, batch_size: int = 1, threads: int | None = None, provider: str = CPU
) -> DeviceProfile:
    """Return the cached profile of a bundle on this device, or measure a quick one and cache it.

    Raises:
        ProfileError: nothing could be measured.
    """
    threads = default_threads() if threads is None else threads
    path = _cache_path(bundle.sha256, provider, threads, batch_size)
    if path.is_file():
        try:
            return check_profile(DeviceProfile.load(path), bundle)
        except ProfileError as problem:
            logger.warning("measuring again, since the cached profile is of no use: %s", problem)
    logger.warning("no profile of bundle '%s' on this device yet: measuring a quick one", bundle.manifest.name)
    batch_sizes = sorted({1, batch_size})
    return profile(bundle, batch_sizes=batch_sizes, threads=threads, provider=provider, quick=True)


def check_profile(found: DeviceProfile, bundle: Bundle) -> DeviceProfile:
    """Return a profile if it is one of this bundle.

    Raises:
        ProfileError: it is another bundle's.
    """
    if found.bundle_sha256 != bundle.sha256:
        was = f"expected bundle {bundle.sha256[:12]}, found {found.bundle_sha256[:12]}"
        raise ProfileError(
            f"the profile is of another bundle ({was}); profile this one: edgebert profile {bundle.path}"
        )
    return found


def _measure_all(
    bundle: Bundle, subnets: Sequence[ExportedSubnet], settings: Settings, on_progress: Progress
) -> dict[str, list[Measurement]]:
    """Return each sub-network's measurements, one a round; those that failed are left out with a warning."""
    measured: dict[str, list[Measurement]] = {subnet.id: [] for subnet in subnets}
    total = settings.rounds * len(subnets)
    for this_round in range(settings.rounds):
        for place, subnet in enumerate(subnets, 1):
            if subnet.id in measured:
                try:
                    measured[subnet.id].append(_measure_apart(_task(bundle, subnet, settings)))
                except _ProcessDiedError as problem:
                    logger.warning("%s is left out: %s", subnet.id, problem)
                    del measured[subnet.id]
            on_progress(this_round * len(subnets) + place, total, subnet.id)
    if not measured:
        raise ProfileError("no sub-network could be measured here; see the warnings above")
    return measured


def _task(bundle: Bundle, subnet: ExportedSubnet, settings: Settings) -> Task:
    shapes = [Shape(batch_size=batch, length=length) for batch in settings.batch_sizes for length in settings.lengths]
    return Task(
        bundle=str(bundle.path),
        subnet=subnet.id,
        flavor=flavor_of(settings.provider),
        provider=settings.provider,
        threads=settings.threads,
        shapes=tuple(shapes),
        min_runs=settings.min_runs,
        min_seconds=settings.min_seconds,
    )


class _ProcessDiedError(Exception):
    """A measuring process ended without an answer, for example for want of memory."""


def _measure_apart(task: Task) -> Measurement:
    """Measure in a fresh process, which runs the very package that this one does."""
    done = subprocess.run(
        [sys.executable, "-m", "edgebert.measuring"],
        input=msgspec.json.encode(task),
        capture_output=True,
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().split("\n")[-1] or "no message"
        raise _ProcessDiedError(f"its process ended with status {done.returncode} ({reason})")
    result = msgspec.json.decode(done.stdout, type=Measurement | Failure)
    if isinstance(result, Failure):
        raise (BundleError if result.of_bundle else ProfileError)(result.error)
    return result


def _entry(subnet_id: str, settings: Settings, rounds: Sequence[Measurement]) -> ProfiledSubnet:
    """Return what a sub-network costs, from its measurements in all rounds."""
    shapes = [(batch, length) for batch in settings.batch_sizes for length in settings.lengths]
    samples = [sum(of_shape, ()) for of_shape in zip(*(one.samples_ms for one in rounds), strict=True)]
    return ProfiledSubnet(
        id=subnet_id,
        provider=settings.provider,
        flavor=flavor_of(settings.provider),
        threads=settings.threads,
        load_ms=_rounded(np.median([one.load_ms for one in rounds])),
        first_ms=_rounded(np.median([one.first_ms for one in rounds])),
        peak_memory_mb=_rounded(max(one.peak_memory_mb for one in rounds)),
        steady_memory_mb=_rounded(np.median([one.steady_memory_mb for one in rounds])),
        numerics_ok=all(one.numerics_ok for one in rounds),
        latency=tuple(_latency(*shape, of_shape) for shape, of_shape in zip(shapes, samples, strict=True)),
    )


def _latency(batch_size: int, length: int, samples_ms: Sequence[float]) -> Latency:
    p50, p90, p95, p99 = (_rounded(value) for value in np.percentile(samples_ms, (50, 90, 95, 99)))
    interval = median_interval(samples_ms)
    return Latency(
        batch_size=batch_size,
        length=length,
        runs=len(samples_ms),
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        p50_ci95_ms=(_rounded(interval[0]), _rounded(interval[1])),
    )


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median, by order statistics (normal approximation of the binomial)."""
    ordered, half = sorted(samples), 1.96 * math.sqrt(len(samples)) / 2
    low, high = math.floor(len(ordered) / 2 - half), math.ceil(len(ordered) / 2 + half)
    return ordered[max(0, low)], ordered[min(len(ordered) - 1, high)]


def _stability(measured: Sequence[Sequence[Measurement]]) -> Stability:
    drifts = []
    for rounds in measured:
        for of_shape in zip(*(one.samples_ms for one in rounds), strict=True):
            medians = [float(np.median(samples)) for samples in of_shape]
            drifts.append(max(medians) / min(medians))
    return Stability(
        rounds=len(measured[0]), median_drift=_rounded(np.median(drifts)), worst_drift=_rounded(max(drifts))
    )


def _rounded(value: float | np.floating) -> float:
    """Return a measured value to a tenth of a microsecond or of a kilobyte: more digits would be noise."""
    return round(float(value), 4)


def _default_lengths(bundle: Bundle) -> list[int]:
    longest = bundle.manifest.max_length
    return [*(length for length in _LENGTHS if length < longest), longest]


def _checked(word: str, values: Sequence[int], least: int, most: int) -> tuple[int, ...]:
    for value in values:
        if not least <= value <= most:
            raise ProfileError(f"expected a {word} of {least} to {most}, found {value}")
    return tuple(sorted(set(values)))


def _cache_path(bundle_sha256: str, provider: str, threads: int, batch_size: int) -> Path:
    """Return where the profile of a bundle on this device is kept; ONNX Runtime's version is part of the device."""
    device = f"{this_device().fingerprint}-ort{version()}"
    name = f"{bundle_sha256[:16]}-{device}-{provider}-t{threads}-b{batch_size}.json"
    return Path(platformdirs.user_cache_dir("edgebert", appauthor=False)) / "profiles" / name


def _save_to_cache(found: DeviceProfile) -> None:
    settings = found.settings
    path = _cache_path(found.bundle_sha256, settings.provider, settings.threads, max(settings.batch_sizes))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        found.save(path)
    except (OSError, ProfileError) as problem:
        logger.warning("the profile is not cached: %s", problem)
