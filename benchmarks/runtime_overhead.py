"""What does a request cost beyond its tokens and `session.run`?

The same texts are answered by a Predictor with a latency budget, and by its tokenizer and session alone, in turns in
one process; the difference is taken text by text.

    python benchmarks/runtime_overhead.py
"""

import argparse
import gc
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import edgebert
from edgebert.cli.output import print_json, print_table
from edgebert.engines.session import open_session
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import read_examples
from edgebert.inputs.tokenization import Tokenizer, pad
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.latency_statistics import median_interval

ROUNDS = 20


def milliseconds(call: Callable[[str], object], text: str) -> float:
    start = time.perf_counter()
    call(text)
    return (time.perf_counter() - start) * 1000


def differences(model: edgebert.Predictor, texts: list[str]) -> list[float]:
    """Return for each text how much longer the Predictor took, in the median of the rounds."""
    tokenizer = Tokenizer.of(model.bundle)
    session = open_session(model.bundle, model.subnet, model.selection.way)

    def alone(text: str) -> object:
        return session.run(pad([tokenizer.encode(text)], session.input_names))

    found: list[list[float]] = [[] for _ in texts]
    gc.disable()
    for number in range(ROUNDS):
        for text, extra in zip(texts, found, strict=True):
            one, other = (alone, model) if number % 2 else (model, alone)
            first, second = milliseconds(one, text), milliseconds(other, text)
            extra.append(first - second if one is model else second - first)
    gc.enable()
    return [float(np.median(extra)) for extra in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path, default=Path("profiles/amd-epyc-2-cores.json"))
    parser.add_argument("--data", type=Path, default=Path("checkpoints/builtin/movie-reviews/dev.tsv"))
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bundle, profile = Bundle.load(), DeviceProfile.load(options.profile)
    texts = [example.text for example in read_examples(options.data)][: options.texts]
    rows = {}
    for name, given in {
        "no budget": {},
        "latency budget, adaptive": {"latency_ms": 100.0, "profile": profile, "provider": "cpu", "threads": 1},
        "latency budget, fixed": {
            "latency_ms": 100.0,
            "profile": profile,
            "provider": "cpu",
            "threads": 1,
            "adaptive": False,
        },
    }.items():
        with edgebert.load(bundle, **given) as model:
            for text in texts:
                model(text)
            answered = model.stats().subnetworks
            if {*answered} != {model.subnet.id}:
                raise SystemExit(f"expected answers of {model.subnet.id} alone, found those of {', '.join(answered)}")
            extra_ms = differences(model, texts)
        rows[name] = {"median_ms": float(np.median(extra_ms)), "interval_ms": median_interval(extra_ms)}
    if options.json:
        print_json(rows)
        return
    table = [[n, f"{r['median_ms']:.3f}", "{:.3f} - {:.3f}".format(*r["interval_ms"])] for n, r in rows.items()]
    print_table(table, ["Predictor", "added, ms", "95 % interval"])


if __name__ == "__main__":
    main()
