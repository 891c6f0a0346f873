"""Measures how good each sub-network is on labelled data, with the graphs that the device runs."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebert.engines.session import default_way, open_session
from edgebert.errors import EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import read_examples
from edgebert.inputs.manifest import ExportedSubnet
from edgebert.inputs.tokenization import Text, Tokenizer, pad
from edgebert.progress import Progress, no_progress
from edgebert.records import Record
from edgebert.subnet import Way
from edgebert.tasks.task import Result, Results, Task
from edgebert.tasks.tasks import task_in


class SubnetEvaluation(Record, frozen=True):
    """A sub-network's metrics by name, the 95 % interval of the first, and the seconds that the data took."""

    id: str
    way: Way
    metrics: dict[str, float]
    ci95: tuple[float, float]
    samples: int
    seconds: float


class Evaluation(Record, frozen=True):
    """How good sub-networks are on one dataset."""

    dataset: str
    samples: int
    subnetworks: tuple[SubnetEvaluation, ...]


def evaluate(
    data: str | Path,
    bundle: str | Path | Bundle | None = None,
    *,
    subnets: Sequence[str] | None = None,
    provider: str | None = None,
    threads: int | None = None,
    on_progress: Progress = no_progress,
) -> Evaluation:
    """Return the metrics of a bundle's sub-networks, or of those named, on a data file.

    Without a bundle the built-in one is evaluated; without `threads` on as many as the machine is best used with.

    Raises:
        BundleError: the bundle is damaged, or has no such sub-network.
        EdgeBertError: the file cannot be read, or its labels are not the bundle's.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    chosen = [bundle.subnet(subnet_id) for subnet_id in subnets] if subnets else bundle.manifest.subnetworks
    task, way = task_in(bundle.manifest), default_way(provider, threads)

    # First, so that a label that is wrong is found before anything is run.
    targets = targets_in(task, data)

    full_id = _largest(bundle) if task.BESIDE_FULL else ""
    full = _timed(data, bundle, full_id, way, len(targets)) if full_id else None
    results = []
    for done, subnet in enumerate(chosen, 1):
        found, seconds = full if full and subnet.id == full_id else _timed(data, bundle, subnet.id, way, len(targets))
        found = task.beside(found, full[0]) if full else found
        metrics, ci95 = task.metrics(found, targets), task.interval(found, targets)
        results.append(SubnetEvaluation(subnet.id, way, metrics, ci95, len(targets), seconds))
        on_progress(done, len(chosen), subnet.id)
    return Evaluation(dataset=str(data), samples=len(targets), subnetworks=tuple(results))


def _timed(data: str | Path, bundle: Bundle, subnet_id: str, way: Way, rows: int) -> tuple[Results, float]:
    """Return a sub-network's results for all rows of a data file, and the seconds that they took."""
    start = time.perf_counter()
    found = results_on(data, bundle, bundle.subnet(subnet_id), way)
    if len(found) != rows:
        raise EdgeBertError(f"{data} was changed while it was read; run the same command again")
    return found, time.perf_counter() - start


def _largest(bundle: Bundle) -> str:
    """Return the id of the sub-network that stands for the full one, the most exact of the largest."""
    return max(bundle.manifest.subnetworks, key=lambda subnet: (subnet.parameters, subnet.precision == "fp32")).id


def targets_in(task: Task, data: str | Path) -> list[Any]:
    """Return what the labels of a data file ask for, row by row; an EdgeBertError names one that is not of the task."""
    return [task.target(row) for row in read_examples(data)]


def results_on(data: str | Path, bundle: Bundle, subnet: ExportedSubnet, way: Way | None = None) -> list[Result]:
    """Return a sub-network's results for the rows of a data file, which is never held in memory.

    That of a row with several texts is a tuple of theirs.

    Raises:
        BundleError: the bundle is damaged.
        EdgeBertError: the file cannot be read.
    """
    task, tokenizer = task_in(bundle.manifest).of_subnet(subnet), Tokenizer.of(bundle)
    session, options = open_session(bundle, subnet, way or default_way()), task.options({})

    def result_of(text: Text) -> Result:
        # One by one, as an app asks: the rounding of int8 activations depends on what shares a batch.
        rows = [[row] for row in task.rows(text, tokenizer, options)]
        found = (task.results(session.run(pad(row, session.input_names)), row, options) for row in rows)
        return task.joined([result for (result,) in found], options)

    found = (tuple(map(result_of, task.texts(example))) for example in read_examples(data))
    return [results if len(results) > 1 else results[0] for results in found]
