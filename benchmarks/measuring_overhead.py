"""What does the profiler's way of measuring add to a bare loop around ONNX Runtime?

The smallest sub-network of the built-in bundle, one text of 16 tokens: the profiler's loop and a bare one take turns in
one process, each on a session of its own; each turn of both is a pair.

    python benchmarks/measuring_overhead.py
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import msgspec
import onnxruntime

from edgebert.cli.output import print_json, print_table
from edgebert.engines.session import default_way, open_session
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Arrays
from edgebert.machine.device import this_device, thread_counts
from edgebert.measuring.latency_statistics import median_interval
from edgebert.measuring.profile_settings import Shape, settings_for
from edgebert.measuring.trial import latencies, request_of

SHAPE = Shape(batch_size=1, length=16)


def bare_ms(session: onnxruntime.InferenceSession, request: Arrays, seconds: float) -> list[float]:
    """Return latencies as the least of loops finds them."""
    run, samples = session.run, []
    for _ in range(2):  # as the profiler's
        run(None, request)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        run(None, request)
        samples.append((time.perf_counter() - start) * 1000)
    return samples


def pairs(threads: int, turns: int, seconds: float) -> list[dict[str, float]]:
    """Return the medians of each turn, the two loops in alternating order; one turn before the first is not counted."""
    bundle = Bundle.load()
    subnet = min(bundle.manifest.subnetworks, key=lambda one: one.parameters)
    way = default_way("cpu", threads)
    session = open_session(bundle, subnet, way)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    bare = onnxruntime.InferenceSession(bundle.path / subnet.graphs[way.flavor].file, options)
    request = request_of(bundle, session, SHAPE)
    settings = msgspec.structs.replace(settings_for(bundle, lengths=[SHAPE.length]), min_runs=1, min_seconds=seconds)
    loops: dict[str, Callable[[], list[float]]] = {
        "bare": lambda: bare_ms(bare, request, seconds),
        "profiler": lambda: list(latencies(session, [request], settings)[0]),
    }
    found = []
    for turn in range(turns + 1):
        order = list(loops) if turn % 2 else list(reversed(loops))
        found.append({name: median(loops[name]()) for name in order})
    return found[1:]


def summary(found: list[dict[str, float]]) -> dict[str, object]:
    added = [pair["profiler"] / pair["bare"] - 1 for pair in found]
    medians = {name: median(pair[name] for pair in found) for name in ("bare", "profiler")}
    return {**medians, "added": median(added), "ci95": median_interval(added)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each loop in each turn")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {threads: summary(pairs(threads, options.turns, options.seconds)) for threads in thread_counts()}
    result = {"device": str(this_device()), "turns": options.turns, "threads": found}
    if options.json:
        print_json(result)
        return
    print(f"{result['device']}; {options.turns} turns, medians in ms; with the 95 % interval of the median\n")
    rows = [
        [threads, f"{one['bare']:.4f}", f"{one['profiler']:.4f}", f"{one['added']:+.2%}", interval(one["ci95"])]
        for threads, one in found.items()
    ]
    print_table(rows, ["threads", "bare", "profiler", "added", "interval"])


def interval(ends: tuple[float, float]) -> str:
    return f"{ends[0]:+.2%} to {ends[1]:+.2%}"


if __name__ == "__main__":
    main()
