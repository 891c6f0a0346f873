"""Is one version of edgebert as fast as another, and by how much?

Both are installed in environments of their own, which their interpreters stand for. Everything is measured in fresh
processes, before and after in turn and the order changing, after one round that is not counted; each round is a pair.

    python benchmarks/before_after.py OLD/bin/python NEW/bin/python

* `import`: `import edgebert` and the names that an app needs.
* `first answer`: from the start of the interpreter to the first answer of the built-in bundle.
* `request`: a text of 6 tokens on the smallest sub-network and one thread, the median of many in one process: mostly
  what is not the network.
* `request, no network`: the same with a network that answers at once, within a budget of its own; the 5th percentile,
  since what else the machine does only ever adds.
* `quick profile`: `edgebert profile --quick` of the built-in bundle, with an empty cache.
* `export`: `edgebert export` of a checkpoint of MiniLM-L6's shape with random weights, as four sub-networks.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import msgspec

from edgebert.cli.output import print_json, print_table
from edgebert.inputs.bundle import BUILTIN
from edgebert.machine.device import this_device
from edgebert.measuring.latency_statistics import median_interval

IMPORT = """
import time
start = time.perf_counter()
import edgebert
edgebert.load, edgebert.profile, edgebert.select
print((time.perf_counter() - start) * 1000)
"""
FIRST_ANSWER = "import edgebert; print(edgebert.load()('a great film'))"
REQUEST = """
import statistics, time
import edgebert
smallest = edgebert.Bundle.load().manifest.subnetworks[-1].id
with edgebert.load(subnet=smallest, threads=1) as model:
    samples = []
    for _ in range(3000):
        start = time.perf_counter()
        model("a great film")
        samples.append((time.perf_counter() - start) * 1000)
print(statistics.median(samples))
"""
NO_NETWORK = """
import statistics, time
import numpy
import edgebert
logits = numpy.array([[0.5, -0.5]], dtype=numpy.float32)
profile = edgebert.profile(quick=True)
try:
    from edgebert.engines.onnx_runtime import OnnxRuntimeSession
    OnnxRuntimeSession.run = lambda self, inputs: {"logits": logits}
except ImportError:  # versions before the packages
    from edgebert.session import Session
    Session.run = lambda self, inputs: logits
with edgebert.load(profile=profile) as model:
    samples = []
    for _ in range(4000):
        start = time.perf_counter()
        model("a great film", latency_ms=1000)
        samples.append((time.perf_counter() - start) * 1000)
print(statistics.quantiles(samples, n=20)[0])
"""


@dataclass(frozen=True)
class Comparison:
    """What one thing takes in both versions, in the median, and by what the time is multiplied, pair by pair."""

    before_ms: float
    after_ms: float
    ratio: float
    ratio_ci95: tuple[float, float]


def run(python: Path, *arguments: str) -> tuple[str, float]:
    """Run a fresh interpreter with an empty cache; return what it printed and how long it took in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:  # in a checkout, its own edgebert would be imported
        environment = {**os.environ, "XDG_CACHE_HOME": folder, "HF_HUB_OFFLINE": "1"}
        start = time.perf_counter()
        done = subprocess.run(
            [str(python), *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        took_ms = (time.perf_counter() - start) * 1000
    if done.returncode != 0:
        raise SystemExit(f"error: {python} {' '.join(arguments)[:80]}: status {done.returncode}:\n{done.stderr}")
    return done.stdout, took_ms


def measurements(checkpoint: Path | None, precision: str) -> dict[str, Callable[[Path], float]]:
    """Return what measures each thing with an interpreter, in milliseconds."""
    found: dict[str, Callable[[Path], float]] = {
        "import": lambda python: float(run(python, "-c", IMPORT)[0]),
        "first answer": lambda python: run(python, "-c", FIRST_ANSWER)[1],
        "request": lambda python: float(run(python, "-c", REQUEST)[0]),
        "request, no network": lambda python: float(run(python, "-c", NO_NETWORK)[0]),
        "quick profile": lambda python: run(python, "-m", "edgebert", "profile", "--quick", "--json")[1],
    }
    if checkpoint is not None:
        slices = ("--widths", "0.5,1.0", "--depths", "0.5,1.0", "--precisions", precision, "--out", "bundle")
        found["export"] = lambda python: run(python, "-m", "edgebert", "export", str(checkpoint), *slices)[1]
    return found


def compare(measure: Callable[[Path], float], pythons: Sequence[Path], rounds: int) -> Comparison:
    pairs = []
    for number in range(rounds + 1):
        order = (0, 1) if number % 2 else (1, 0)
        times = {place: measure(pythons[place]) for place in order}
        pairs.append((times[0], times[1]))
    pairs = pairs[1:]
    ratios = [after / before for before, after in pairs]
    return Comparison(
        before_ms=median(before for before, _ in pairs),
        after_ms=median(after for _, after in pairs),
        ratio=median(ratios),
        ratio_ci95=median_interval(ratios),
    )


def write_checkpoint(folder: Path) -> Path | None:
    """Write a checkpoint to export, or return None where torch is not installed."""
    try:
        import random_checkpoint
    except ImportError:
        return None
    vocabulary = msgspec.json.decode((BUILTIN / "tokenizer.json").read_bytes())["model"]["vocab"]
    words = folder / "words.txt"
    words.write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n", encoding="utf-8")
    random_checkpoint.write("MiniLM-L6", words, folder / "checkpoint")
    return folder / "checkpoint"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the interpreter of an environment with one version")
    parser.add_argument("after", type=Path, help="and that of another")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--slow-rounds", type=int, default=5, help="of what profiles or exports")
    parser.add_argument("--precision", default="int8", help="of the export; one that both versions can make here")
    parser.add_argument("--only", nargs="+", help="what to measure; by default everything")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pythons = [path.absolute() for path in (options.before, options.after)]
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name, measure in measurements(write_checkpoint(Path(folder)), options.precision).items():
            if options.only is None or name in options.only:
                slow = name in ("request, no network", "quick profile", "export")
                found[name] = compare(measure, pythons, options.slow_rounds if slow else options.rounds)
    if options.json:
        print_json({"device": str(this_device()), **{name: asdict(one) for name, one in found.items()}})
        return
    print(f"{this_device()}; medians in ms; after over before, pair by pair, with the 95 % interval of its median\n")
    rows = [
        [
            name,
            f"{one.before_ms:.3f}",
            f"{one.after_ms:.3f}",
            f"{one.ratio:.3f}",
            "{:.3f} - {:.3f}".format(*one.ratio_ci95),
        ]
        for name, one in found.items()
    ]
    print_table(rows, ["what", "before", "after", "ratio", "interval"])


if __name__ == "__main__":
    main()
