"""How many texts a second does a file take, against the peers' best settings?

The same network, MiniLM-L6's full one, and one of about its accuracy, answer a file of movie reviews by
`edgebert.predict_all`, by a transformers pipeline over ONNX Runtime, by ONNX Runtime without a pipeline and by
CTranslate2. Each contender first tries all its settings on a part of the file; then the best settings of each take
turns over all of it, A B C ... A B C ..., each in a fresh process; the time begins when all is loaded and warm.

    pip install '.[peers]'
    python benchmarks/offline.py --rounds 5
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

import peer_models

from edgebert.cli.arguments import count, counts
from edgebert.cli.output import print_json, print_table, progress_bar
from edgebert.inputs.bundle import Bundle
from edgebert.machine.device import default_threads

WORKER = Path(__file__).parent / "contenders" / "offline_worker.py"
FULL = "w1.00-d1.00-int8"


@dataclass(frozen=True)
class Contender:
    """One way to answer a file: a module of contenders/ and the settings that it may choose among."""

    name: str
    module: str
    settings: Sequence[dict[str, object]]


@dataclass(frozen=True)
class Task:
    """What contenders answer: texts of a file so many times over, and texts with labels for the accuracy."""

    model: Path
    texts: Path
    eval: Path
    labels: Sequence[str]
    threads: int


def contenders(options: argparse.Namespace) -> list[Contender]:
    """Return ours, with both networks, and the peers."""
    ours = [{"batch_tokens": tokens} for tokens in options.batch_tokens]
    sizes = [{"batch_size": size} for size in options.batch_sizes]
    workers = [{"workers": workers} for workers in sorted({1, default_threads()})]
    both = [one | other for one, other in product(sizes, workers)]
    return [
        *(
            Contender(f"edgebert {subnet}", "offline_edgebert", [one | {"subnet": subnet} for one in ours])
            for subnet in (FULL, options.smaller)
        ),
        Contender("transformers pipeline, quantize_dynamic", "offline_pipeline", sizes),
        Contender("ONNX Runtime, quantize_dynamic, sorted", "offline_onnxruntime", both),
        Contender("CTranslate2 int8, sorted", "offline_ctranslate2", both),
    ]


def run(contender: Contender, settings: dict[str, object], task: Task, texts: int, *, checked: bool = False) -> dict:
    """Return what a fresh process found: texts per second, and the accuracy if it is to be checked."""
    request = {"module": contender.module, "threads": task.threads, "options": settings, "count": texts}
    request["folder"] = None if contender.module == "offline_edgebert" else str(task.model)
    request |= {"texts": str(task.texts), "eval": str(task.eval) if checked else None, "labels": list(task.labels)}
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(task.threads)}
    done = subprocess.run(
        [sys.executable, str(WORKER)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode != 0:
        sys.exit(f"error: {contender.name} with {settings}: status {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def best_settings(all_contenders: Sequence[Contender], task: Task, texts: int) -> dict[str, dict[str, object]]:
    """Return each contender's fastest settings on a part of the file."""
    trials = [(contender, settings) for contender in all_contenders for settings in contender.settings]
    best: dict[str, tuple[float, dict[str, object]]] = {}
    with progress_bar() as on_progress:
        for number, (contender, settings) in enumerate(trials):
            on_progress(number, len(trials), f"{contender.name} {settings}")
            speed = run(contender, settings, task, texts)["texts_per_s"]
            print(f"{contender.name} {settings}: {speed:.0f} texts/s", file=sys.stderr, flush=True)
            if contender.name not in best or speed > best[contender.name][0]:
                best[contender.name] = speed, settings
    return {name: settings for name, (_, settings) in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peer_models.add_options(parser)
    parser.set_defaults(models=["MiniLM-L6"])
    data = Path("checkpoints/builtin/movie-reviews")
    parser.add_argument("--texts", type=Path, default=data / "train.tsv")
    parser.add_argument("--eval", type=Path, default=data / "dev.tsv")
    parser.add_argument("--count", type=count, default=10_000, help="texts; the file is repeated")
    parser.add_argument("--trial-count", type=count, default=2500, help="texts, to find the best settings")
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--batch-sizes", type=counts, default=[1, 4, 8, 16, 32, 64], help="the peers'")
    parser.add_argument("--batch-tokens", type=counts, default=[512], help="edgebert's: others than its own show why")
    parser.add_argument("--smaller", default="w0.75-d0.75-int8", help="the sub-network of about the same accuracy")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    (model,) = peer_models.make(options, ("checkpoint", "onnx", "dynamic", "ctranslate2"))
    task = Task(model, options.texts, options.eval, Bundle.load().manifest.labels, default_threads())
    everyone = contenders(options)
    settings = best_settings(everyone, task, options.trial_count)
    rounds: dict[str, list[dict]] = {one.name: [] for one in everyone}
    for number in range(options.rounds):
        for one in everyone:
            rounds[one.name].append(run(one, settings[one.name], task, options.count, checked=number == 0))
    result = [summary(name, settings[name], rounds[name], rounds[everyone[0].name]) for name in rounds]
    if options.json:
        print_json(result)
        return
    rows = [
        [
            one["name"],
            settings_text(one["settings"]),
            f"{one['texts_per_s']:.0f}",
            interval(one),
            f"{one['accuracy']:.4f}",
        ]
        for one in result
    ]
    print_table(rows, ["contender", "best settings", "texts/s", "edgebert's full / this", "accuracy"])


def summary(name: str, settings: dict[str, object], own: Sequence[dict], ours: Sequence[dict]) -> dict:
    """Return a contender's median speed, how many times as fast ours is round by round, and its accuracy."""
    ratios = [our["texts_per_s"] / one["texts_per_s"] for our, one in zip(ours, own, strict=True)]
    return {
        "name": name,
        "settings": settings,
        "texts_per_s": median(one["texts_per_s"] for one in own),
        "ratio": median(ratios),
        "lowest_ratio": min(ratios),
        "highest_ratio": max(ratios),
        "accuracy": own[0]["accuracy"],
    }


def settings_text(settings: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items() if name != "subnet")


def interval(one: dict) -> str:
    return f"{one['ratio']:.2f} ({one['lowest_ratio']:.2f} - {one['highest_ratio']:.2f})"


if __name__ == "__main__":
    main()
