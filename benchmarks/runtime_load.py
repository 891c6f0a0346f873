"""Does the budget hold when other programs take the processor's cores?

Requests of mixed lengths come at a steady pace while one, two or no other processes are busy, in phases of three
seconds. For each budget, a share of what the full network takes for the longest input, edgebert answers them once with
its governor and once with the one network that the quiet profile's law fixes, in turns. A phase counts where the
smallest network alone, in a run of its own, kept the budget for the share of requests that the percentile asks for.

The oracle knows how much slower than profiled each request was: it takes the most accurate network that would have been
on time. Accuracies are those that the bundle states for the networks that answered.

    pip install '.[plot]'
    edgebert profile --requests-per-s 50 --out paced.json
    python benchmarks/runtime_load.py --profile paced.json --plot docs/latency_under_load.svg
    python benchmarks/runtime_load.py --profile paced.json --quiet
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import edgebert
from edgebert.choosing.menu import Menu
from edgebert.choosing.selection import Budget
from edgebert.cli.output import print_json, print_table
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import read_examples
from edgebert.inputs.tokenization import Tokenizer
from edgebert.measuring.device_profile import DeviceProfile

SHARES = (0.4, 0.6, 0.8, 1.0)
HOGS, PHASE_S = (0, 1, 0, 2), 3.0
SMALLEST = "w0.25-d0.50-int8-static"


@dataclass(frozen=True)
class Answer:
    """When a request came (seconds), how long it was (tokens), how long it took, and what answered it."""

    time_s: float
    length: int
    ms: float
    subnet: str
    slow_down: float


@dataclass(frozen=True)
class Outcome:
    """The share of requests within budget, in all phases that count, and the mean accuracy of what answered."""

    within: float
    p95_ms: float
    accuracy: float
    oracle: float | None
    counted: int
    switches: int


def busy(parent: int) -> None:
    while os.getppid() == parent:
        sum(range(1000))


def phases(start_s: float) -> None:
    """Keep as many processes busy as the phase asks for."""
    for number in itertools.count():
        running = [multiprocessing.Process(target=busy, args=(os.getpid(),)) for _ in range(HOGS[number % len(HOGS)])]
        for one in running:
            one.start()
        time.sleep(max(0.0, start_s + (number + 1) * PHASE_S - time.time()))
        for one in running:
            one.kill()
            one.join()


@contextlib.contextmanager
def load(quiet: bool) -> Iterator[None]:
    """Run the phases in a process beside this one, or nothing."""
    if quiet:
        yield
        return
    running = multiprocessing.Process(target=phases, args=(time.time(),))
    running.start()
    try:
        yield
    finally:
        running.kill()  # its children notice
        running.join()


def mixed_texts(data: Path, bundle: Bundle, count: int, seed: int = 1) -> list[tuple[str, int]]:
    """Return texts of one to six examples each, with their lengths in tokens."""
    random, tokenizer = np.random.default_rng(seed), Tokenizer.of(bundle)
    examples = [example.text for example in read_examples(data)]
    texts = [" ".join(random.choice(examples, random.integers(1, 7))) for _ in range(count)]
    return [(text, len(tokenizer.encode(text).ids)) for text in texts]


def ask(model: edgebert.Predictor, texts: Sequence[tuple[str, int]], per_s: float, menu: Menu) -> list[Answer]:
    """Ask at a steady pace; a request that is late delays the next, but its own time starts when it is sent."""
    answers, before, start_s = [], {}, time.perf_counter()
    for number, (text, length) in enumerate(texts):
        time.sleep(max(0.0, start_s + number / per_s - time.perf_counter()))
        sent_s = time.perf_counter()
        model(text)
        ms = (time.perf_counter() - sent_s) * 1000
        found = {name: one.texts for name, one in model.stats().subnetworks.items()}
        (subnet,) = [name for name, texts_answered in found.items() if before.get(name) != texts_answered]
        before = found
        expected_ms = min(o.expected_ms for o in menu.options(1, length) if o.entry.id == subnet)
        answers.append(Answer(sent_s - start_s, length, ms, subnet, ms / expected_ms))
    return answers


def phase_of(answer: Answer) -> int:
    return int(answer.time_s / PHASE_S)


def phases_that_count(smallest: Sequence[Answer], budget_ms: float, percentile: float) -> set[int]:
    """Return the phases in which the smallest network kept the budget for enough requests."""
    found: dict[int, list[bool]] = {}
    for answer in smallest:
        found.setdefault(phase_of(answer), []).append(answer.ms <= budget_ms)
    return {phase for phase, kept in found.items() if np.mean(kept) >= percentile / 100}


def outcome(
    answers: Sequence[Answer], budget_ms: float, counting: set[int], bundle: Bundle, menu: Menu | None, switches: int
) -> Outcome:
    accuracies = bundle.manifest.qualities
    counted = [answer for answer in answers if phase_of(answer) in counting]
    oracle = None
    if menu is not None and counted:
        oracle = float(np.mean([best_accuracy(answer, budget_ms, menu) for answer in counted]))
    if not counted:
        return Outcome(
            within=float("nan"), p95_ms=float("nan"), accuracy=float("nan"), oracle=None, counted=0, switches=0
        )
    return Outcome(
        within=float(np.mean([answer.ms <= budget_ms for answer in counted])),
        p95_ms=float(np.percentile([answer.ms for answer in counted], 95)),
        accuracy=float(np.mean([accuracies[answer.subnet] for answer in counted])),
        oracle=oracle,
        counted=len(counted),
        switches=switches,
    )


def best_accuracy(answer: Answer, budget_ms: float, menu: Menu) -> float:
    """Return the accuracy of the best network that would have been on time, or of the fastest if none would."""
    options = menu.options(1, answer.length)
    on_time = [option.quality for option in options if option.expected_ms * answer.slow_down <= budget_ms]
    return max(on_time, default=min(options, key=lambda option: option.expected_ms).quality)


def compare(bundle: Bundle, profile: DeviceProfile, options: argparse.Namespace) -> dict:
    texts = mixed_texts(options.data, bundle, options.requests)
    menu = Menu(bundle, profile, Budget())
    longest = bundle.manifest.max_length
    at_percentile = Menu(bundle, profile, Budget(percentile=options.percentile))
    full = bundle.manifest.subnetworks[0].id
    full_ms = min(one.bound_ms for one in at_percentile.options(1, longest) if one.entry.id == full)
    with load(options.quiet), edgebert.load(bundle, subnet=SMALLEST, threads=1) as model:
        smallest = ask(model, texts, options.per_s, menu)
    rows = {}
    for share in SHARES:
        budget_ms = share * full_ms
        counting = phases_that_count(smallest, budget_ms, options.percentile)
        for name, adaptive in (("governor", True), ("fixed", False)):
            given = {"latency_ms": budget_ms, "percentile": options.percentile, "profile": profile}
            with load(options.quiet), edgebert.load(bundle, **given, adaptive=adaptive) as model:
                answers = ask(model, texts, options.per_s, menu)
                switches = model.stats().switches
            oracle = menu if adaptive else None
            rows[f"{share:g} {name}"] = {
                "budget_ms": budget_ms,
                "chosen": model.selection.subnetwork,
                "outcome": asdict(outcome(answers, budget_ms, counting, bundle, oracle, switches)),
                "answers": [asdict(answer) for answer in answers],
            }
    return {"full_ms": full_ms, "smallest": [asdict(answer) for answer in smallest], "rows": rows}


def show(result: dict, device: object, options: argparse.Namespace) -> None:
    print(f"{device}; {options.requests} requests at {options.per_s:g} a second, p{options.percentile:g}")
    print(f"the full network takes {result['full_ms']:.2f} ms for the longest input\n")
    rows = []
    for name, row in result["rows"].items():
        found = row["outcome"]
        oracle = "-" if found["oracle"] is None else f"{100 * found['oracle']:.2f}"
        rows.append(
            [
                name,
                f"{row['budget_ms']:.2f}",
                row["chosen"],
                f"{100 * found['within']:.1f} %",
                f"{found['p95_ms']:.2f}",
                f"{100 * found['accuracy']:.2f}",
                oracle,
                found["counted"],
                found["switches"],
            ]
        )
    headers = ["budget", "ms", "chosen at load", "within", "p95 ms", "accuracy", "oracle", "counted", "switches"]
    print_table(rows, headers)


def plot(result: dict, share: float, path: Path) -> None:
    """Draw latency over time, governor beside fixed."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "edgebert", "font.size": 9})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 1, sharex=True, sharey=True, figsize=(8, 4.6), layout="constrained")
    for axis, name in zip(axes, ("fixed", "governor"), strict=True):
        row = result["rows"][f"{share:g} {name}"]
        points = [one for one in row["answers"] if one["time_s"] < len(HOGS) * PHASE_S]
        for phase in range(len(HOGS)):
            if HOGS[phase]:
                axis.axvspan(phase * PHASE_S, (phase + 1) * PHASE_S, color="0.6", alpha=0.18 * HOGS[phase])
        late = [one["ms"] > row["budget_ms"] for one in points]
        for is_late, colour in ((False, "#1f77b4"), (True, "#d62728")):
            chosen = [one for one, other in zip(points, late, strict=True) if other == is_late]
            axis.plot([one["time_s"] for one in chosen], [one["ms"] for one in chosen], ".", color=colour, markersize=3)
        axis.axhline(row["budget_ms"], color="black", linewidth=0.8)
        axis.set_yscale("log")
        axis.set_ylabel(f"{name}: ms")
        axis.set_title(f"{100 * row['outcome']['within']:.1f} % within {row['budget_ms']:.2f} ms", fontsize=9)
    axes[-1].set_xlabel("seconds; grey: one busy process beside it, darker: two")
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--profile", type=Path, default=Path("profiles/amd-epyc-2-cores.json"))
    parser.add_argument("--data", type=Path, default=Path("checkpoints/builtin/movie-reviews/dev.tsv"))
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--per-s", type=float, default=50.0)
    parser.add_argument("--percentile", type=float, default=95.0)
    parser.add_argument("--quiet", action="store_true", help="without other processes")
    parser.add_argument("--plot", type=Path, metavar="SVG")
    parser.add_argument("--records", type=Path, metavar="FILE", help="write every answer here, as JSON")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bundle, profile = Bundle.load(options.bundle), DeviceProfile.load(options.profile)
    result = compare(bundle, profile, options)
    if options.records:
        options.records.write_text(json.dumps(result))
    if options.plot:
        plot(result, 0.8, options.plot)
    print_json(result) if options.json else show(result, profile.device, options)


if __name__ == "__main__":
    main()
