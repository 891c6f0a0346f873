"""Which method wins at which budget: a bundle of several checkpoints, its profile, and data that nothing was chosen on.

    edgebert export A B C --out BUNDLE --eval dev.tsv
    edgebert profile BUNDLE --out profile.json
    python benchmarks/frontier.py BUNDLE --profile profile.json --data test.tsv

The sub-network for a budget is chosen as `edgebert select` does, by the accuracy that the bundle states (dev), among
all and among those of each method; what it then reaches on the data is printed.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from edgebert.choosing.selection import pareto_front
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet
from edgebert.measuring.evaluation import SubnetEvaluation, evaluate

SHARES = (0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)  # of the latency of the slowest


@dataclass(frozen=True)
class Point:
    """A sub-network at its fastest: p50 and p95 for the longest length, and its accuracy on dev and on the data."""

    id: str
    method: str
    parameters: int
    p50_ms: float
    p95_ms: float
    dev: float
    accuracy: float
    ci95: tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--profile", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="labelled rows")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bundle, profile = Bundle.load(options.bundle), DeviceProfile.load(options.profile)
    if profile.bundle_sha256 != bundle.sha256:
        sys.exit(f"error: {options.profile} is not of the bundle at {bundle.path}")
    found = {one.id: one for one in evaluate(options.data, bundle).subnetworks}
    points = sorted(points_of(bundle, profile, found), key=lambda point: point.p95_ms)
    if options.json:
        print(json.dumps([asdict(point) for point in points]))
        return
    print_points(points, max(profile.settings.lengths))
    print()
    print_budgets(points)


def points_of(bundle: Bundle, profile: DeviceProfile, found: dict[str, SubnetEvaluation]) -> list[Point]:
    shape = min(profile.settings.batch_sizes), max(profile.settings.lengths)
    fastest: dict[str, tuple[float, float]] = {}
    for entry in profile.subnetworks:
        if entry.numerics_ok:
            times = latency(entry, *shape)
            fastest[entry.id] = min(times, fastest.get(entry.id, times), key=lambda pair: pair[1])
    return [
        Point(
            id=one.id,
            method=one.method,
            parameters=one.parameters,
            p50_ms=fastest[one.id][0],
            p95_ms=fastest[one.id][1],
            dev=one.quality.value,
            accuracy=next(iter(found[one.id].metrics.values())),
            ci95=found[one.id].ci95,
        )
        for one in bundle.manifest.subnetworks
        if one.id in fastest and one.quality is not None
    ]


def latency(entry: ProfiledSubnet, batch_size: int, length: int) -> tuple[float, float]:
    one = next(one for one in entry.latency if (one.batch_size, one.length) == (batch_size, length))
    return one.p50_ms, one.p95_ms


def print_points(points: list[Point], length: int) -> None:
    front = pareto_front((point.id, point.accuracy, point.p95_ms) for point in points)
    print(
        f"| sub-network | method | parameters, M | p50 / p95 ms, {length} tokens | dev | accuracy | interval | front |"
    )
    print("|" + " --- |" * 8)
    for point in points:
        low, high = point.ci95
        print(
            f"| {point.id} | {point.method} | {point.parameters / 1e6:.1f} | {point.p50_ms:.2f} / {point.p95_ms:.2f} "
            f"| {100 * point.dev:.1f} | {100 * point.accuracy:.1f} | {100 * low:.1f} - {100 * high:.1f} "
            f"| {'*' if point.id in front else ''} |"
        )


def print_budgets(points: list[Point]) -> None:
    """Print what each method has to offer within some budgets; the one that the runtime would choose in bold."""
    methods = list(dict.fromkeys(point.method for point in points))
    print(f"| p95 within, ms | {' | '.join(methods)} |")
    print("|" + " --- |" * (len(methods) + 1))
    for share in SHARES:
        budget = share * points[-1].p95_ms
        within = [point for point in points if point.p95_ms <= budget]
        chosen = best(within)
        cells = []
        for method in methods:
            one = best([point for point in within if point.method == method])
            text = "" if one is None else f"{100 * one.accuracy:.1f} ({one.id})"
            cells.append(f"**{text}**" if one is not None and one == chosen else text)
        print(f"| {budget:.2f} | {' | '.join(cells)} |")


def best(points: list[Point]) -> Point | None:
    return min(points, key=lambda point: (-point.dev, point.p95_ms), default=None)


if __name__ == "__main__":
    main()
