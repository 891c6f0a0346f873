"""Draws the README's picture: accuracy against p95 latency at the longest length, a point for each sub-network.

A sub-network that was measured in several ways stands where the fastest put it. Where a bundle holds the sub-networks
of several methods, each method has a colour and a shape, filled on the Pareto front. The same profile gives the same
bytes.

    pip install '.[plot]'
    python benchmarks/picture.py --profile profiles/amd-epyc-2-cores.json
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter
from matplotlib.transforms import Bbox

from edgebert.choosing.selection import pareto_front
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet

FRONT, OTHERS, TEXT = "#0969da", "#8c959f", "#1f2328"
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "edgebert",  # ids are the same each time
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 10,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": OTHERS,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
}
# The shape and colour of each method; colours apart also for those who see red and green alike (Okabe and Ito 2008).
MARKS = [("o", "#0072b2"), ("s", "#d55e00"), ("^", "#009e73"), ("D", "#cc79a7"), ("v", "#e69f00"), ("P", "#56b4e9")]
# Where a name may stand, by its point: the nearest that is free is taken.
OFFSETS = [(x, y) for y in (7, 20, 33, 46, -14, -27, 59, 72, 85) for x in (-5, 5)]
FAR = [(x, y) for y in (-40, -53, -66, 98, 111, 124, -79, -92) for x in (-5, 5, 20, 40)]


@dataclass(frozen=True)
class Point:
    """A sub-network at its fastest; `ms` is p95."""

    name: str
    method: str
    accuracy: float
    ms: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path, default=Path("profiles/amd-epyc-2-cores.json"))
    parser.add_argument("--bundle", type=Path, help="what was profiled; without it the built-in one")
    parser.add_argument("--out", type=Path, default=Path("docs/accuracy_latency.svg"))
    options = parser.parse_args()
    bundle, profile = Bundle.load(options.bundle), DeviceProfile.load(options.profile)
    if profile.bundle_sha256 != bundle.sha256:
        sys.exit(f"error: {options.profile} is not of the bundle at {bundle.path}; name that one with --bundle")
    draw(bundle, profile, options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")


def draw(bundle: Bundle, profile: DeviceProfile, out: Path) -> None:
    """Write the picture of what a profile says of a bundle."""
    batch_size, length = min(profile.settings.batch_sizes), max(profile.settings.lengths)
    points = points_of(bundle, profile, batch_size, length)
    chosen = pareto_front((point.name, point.accuracy, point.ms) for point in points)
    front = sorted((point for point in points if point.name in chosen), key=lambda point: point.ms)
    others = [point for point in points if point.name not in chosen]
    methods = list(dict.fromkeys(point.method for point in points))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 4.2 if len(methods) == 1 else 5.4), layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        if len(methods) > 1:
            axes.plot(*xy(front), "-", color=OTHERS, zorder=1, label="Pareto front")
            for method, (marker, colour) in zip(methods, itertools.cycle(MARKS)):
                plot_method(axes, method, front, others, marker, colour)
        else:
            axes.plot(*xy(front), "o-", color=FRONT, markersize=7, zorder=3, label="Pareto front")
            axes.plot(*xy(others), "o", color=OTHERS, markersize=6, zorder=2, label="other sub-networks")
        axes.set_xlabel(f"p95 latency, ms: {batch_size} x {length} tokens, {profile.device}")
        axes.set_ylabel(f"accuracy, {bundle.manifest.name}")
        style(axes, points)
        figure.draw_without_rendering()
        name_points(axes, front, points)
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})


def plot_method(
    axes: Axes, method: str, front: Sequence[Point], others: Sequence[Point], marker: str, colour: str
) -> None:
    """Draw a method's sub-networks: filled on the front, hollow elsewhere."""
    for points, face, order in ((others, "white", 2), (front, colour, 3)):
        own = [point for point in points if point.method == method]
        axes.plot(*xy(own), marker, color=colour, markerfacecolor=face, markersize=7, zorder=order)
    axes.plot([], [], marker, color=colour, markersize=7, label=method)


def points_of(bundle: Bundle, profile: DeviceProfile, batch_size: int, length: int) -> list[Point]:
    """Return each sub-network that has a known accuracy and right numerics, at its fastest for a shape."""
    fastest: dict[str, float] = {}
    for entry in profile.subnetworks:
        if entry.numerics_ok:
            fastest[entry.id] = min(p95_ms(entry, batch_size, length), fastest.get(entry.id, float("inf")))
    subnets = [subnet for subnet in bundle.manifest.subnetworks if subnet.id in fastest]
    return [Point(one.id, one.method, one.quality.value, fastest[one.id]) for one in subnets if one.quality is not None]


def p95_ms(entry: ProfiledSubnet, batch_size: int, length: int) -> float:
    return next(one.p95_ms for one in entry.latency if (one.batch_size, one.length) == (batch_size, length))


def xy(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point.ms for point in points], [point.accuracy for point in points]


def style(axes: Axes, points: Sequence[Point]) -> None:
    """Make room for names above and beside the points, and take away what is not needed."""
    low, high = min(point.accuracy for point in points), max(point.accuracy for point in points)
    axes.set_xlim(0, 1.12 * max(point.ms for point in points))
    margin = max(high - low, 0.005)
    axes.set_ylim(low - 0.12 * margin, high + 0.22 * margin)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1))
    axes.grid(color="#d0d7de", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)


def name_points(axes: Axes, named: Sequence[Point], points: Sequence[Point]) -> None:
    """Write names where they cover neither a point, nor the front, nor each other."""
    to_pixels, frame = axes.transData.transform, axes.get_window_extent()
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in to_pixels([(p.ms, p.accuracy) for p in points])]
    taken.append(axes.get_legend().get_window_extent())
    line = axes.lines[0].get_path().transformed(axes.transData)
    for point in named:
        for x, y in OFFSETS + FAR:
            near = abs(y) < 15
            text = axes.annotate(
                point.name,
                (point.ms, point.accuracy),
                (x, y),
                textcoords="offset points",
                ha="right" if x < 0 else "left",
                arrowprops=None if near else {"arrowstyle": "-", "color": OTHERS, "shrinkB": 4, "linewidth": 0.6},
            )
            box = text.get_window_extent()
            if (x, y) in FAR:  # the line to its point may cross others
                box = Text.get_window_extent(text)
            inside = frame.containsx(box.x0) and frame.containsx(box.x1) and frame.y0 <= box.y0
            if inside and not box.count_overlaps(taken) and not line.intersects_bbox(box, filled=False):
                break
            text.remove()
        else:
            print(f"no room for the name of {point.name}", file=sys.stderr)
            continue
        taken.append(box)


if __name__ == "__main__":
    main()
