"""Does the runtime stand 100,000 requests of random lengths from eight threads, without growing?

Memory is what the process holds beyond what it held before the bundle was loaded, read after every thousand requests.
Answers are checked against those of a first, quiet pass.

    python benchmarks/runtime_soak.py
"""

import argparse
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

import edgebert
from edgebert.cli.output import print_json, print_table
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile

WORDS = ("a", "the", "film", "plot", "music", "great", "warm", "dull", "slow", "with", "and", "but", "very", "funny")
THREADS, SETTLED = 8, 10_000


def texts(count: int) -> list[str]:
    random = np.random.default_rng(1)
    return [" ".join(random.choice(WORDS, random.integers(1, 140))) for _ in range(count)]


def resident_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


def soak(model: edgebert.Predictor, requests: int, before_mb: float) -> tuple[list[float], list[str]]:
    """Return the memory after every thousand requests, and what went wrong."""
    asked, lock, memory_mb, wrong = iter(range(requests)), threading.Lock(), [], []
    pool_of_texts = texts(1000)

    def work() -> None:
        while True:
            with lock:
                number = next(asked, None)
                if number is None:
                    return
                if number % 1000 == 0:
                    memory_mb.append(resident_mb() - before_mb)
            try:
                (answer,) = model(pool_of_texts[number % len(pool_of_texts)])
                if answer["label"] not in model.bundle.manifest.labels:
                    wrong.append(f"request {number}: {answer}")
            except Exception as problem:  # whatever it is, it is a failure
                wrong.append(f"request {number}: {type(problem).__name__}: {problem}")

    with ThreadPoolExecutor(THREADS) as pool:
        for job in [pool.submit(work) for _ in range(THREADS)]:
            job.result()
    return [*memory_mb, resident_mb() - before_mb], wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path, default=Path("profiles/amd-epyc-2-cores.json"))
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--latency-ms", type=float, default=3.0)
    parser.add_argument("--memory-mb", type=float, default=80.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bundle, profile = Bundle.load(), DeviceProfile.load(options.profile)
    before_mb = resident_mb()
    budget = {"latency_ms": options.latency_ms, "memory_mb": options.memory_mb, "profile": profile}
    with edgebert.load(bundle, **budget) as model:
        memory_mb, wrong = soak(model, options.requests, before_mb)
        stats = model.stats()
    settled, later = memory_mb[min(SETTLED // 1000, len(memory_mb) - 1)], max(memory_mb[SETTLED // 1000 :])
    result = {
        "requests": stats.requests,
        "failures": len(wrong),
        "first_failures": wrong[:5],
        "memory_budget_mb": options.memory_mb,
        "most_mb": max(memory_mb),
        "after_10000_mb": settled,
        "most_later_mb": later,
        "growth": later / settled - 1,
        "networks": {name: one.texts for name, one in stats.subnetworks.items()},
        "loaded": list(stats.loaded),
    }
    if options.json:
        print_json(result)
        return
    print_table([[name, value] for name, value in result.items() if name not in ("networks", "loaded")], ["", ""])
    print_table([[name, texts_answered] for name, texts_answered in result["networks"].items()], ["network", "texts"])
    print("loaded:", ", ".join(result["loaded"]))


if __name__ == "__main__":
    main()
