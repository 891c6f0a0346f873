"""Measures how often each sub-network is right on labelled data, with the graphs that the device runs."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgebert.engines.session import default_way, open_session
from edgebert.errors import EdgeBertError
from edgebert.inputs.bundle import Bundle, ExportedSubnet
from edgebert.inputs.dataset import read_examples
from edgebert.inputs.tokenization import Tokenizer, pad
from edgebert.progress import Progress, no_progress
from edgebert.records import Record
from edgebert.subnet import Way


class SubnetEvaluation(Record, frozen=True):
    """A sub-network's accuracy from 0 to 1 with its 95 % interval, and the seconds that the data took."""

    id: str
    way: Way
    accuracy: float
    ci95: tuple[float, float]
    correct: int
    samples: int
    seconds: float


class Evaluation(Record, frozen=True):
    """The accuracy of sub-networks on one dataset."""

    dataset: str
    samples: int
    subnetworks: tuple[SubnetEvaluation, ...]


@dataclass(frozen=True)
class Answer:
    """The label that a sub-network finds for an example and the right one, as numbers, and the score of the found."""

    found: int
    expected: int
    confidence: float

    @property
    def is_right(self) -> bool:
        """Whether the label found is the right one."""
        return self.found == self.expected


def evaluate(
    bundle: Bundle,
    data: str | Path,
    *,
    subnets: Sequence[str] | None = None,
    way: Way | None = None,
    on_progress: Progress = no_progress,
) -> Evaluation:
    """Return the accuracies of a bundle's sub-networks, or of those named, on a data file.

    Raises:
        BundleError: the bundle is damaged, or has no such sub-network.
        EdgeBertError: the file cannot be read, or its labels are not the bundle's.
    """
    chosen = [bundle.subnet(subnet_id) for subnet_id in subnets] if subnets else bundle.manifest.subnetworks
    results = []
    for done, subnet in enumerate(chosen, 1):
        results.append(evaluate_subnet(bundle, subnet, data, way))
        on_progress(done, len(chosen), subnet.id)
    return Evaluation(dataset=str(data), samples=results[0].samples, subnetworks=tuple(results))


def evaluate_subnet(
    bundle: Bundle, subnet: ExportedSubnet, data: str | Path, way: Way | None = None
) -> SubnetEvaluation:
    """Return the accuracy of one sub-network on a data file, which is streamed and never held in memory.

    Raises:
        EdgeBertError: the file cannot be read, or its labels are not the bundle's.
    """
    start, correct, samples = time.perf_counter(), 0, 0
    for answer in answers(bundle, subnet, data, way):
        correct += int(answer.is_right)
        samples += 1
    return SubnetEvaluation(
        id=subnet.id,
        way=way or default_way(),
        accuracy=correct / samples,
        ci95=wilson_interval(correct, samples),
        correct=correct,
        samples=samples,
        seconds=time.perf_counter() - start,
    )


def answers(bundle: Bundle, subnet: ExportedSubnet, data: str | Path, way: Way | None = None) -> Iterator[Answer]:
    """Yield what a sub-network answers to each example of a data file.

    Raises:
        EdgeBertError: the file cannot be read, or its labels are not the bundle's.
    """
    labels = bundle.manifest.labels
    if not bundle.manifest.has_classes:
        found = f"{bundle.manifest.task} with {len(labels)} label(s)"
        raise EdgeBertError(f"accuracy needs a text-classification bundle of two labels or more, found {found}")
    tokenizer = Tokenizer.of(bundle)
    session = open_session(bundle, subnet, way or default_way())
    for example in read_examples(data):
        # One by one, as an app asks: the rounding of int8 activations depends on what shares a batch.
        (logits,) = session.run(pad([tokenizer.encode(example.input)], session.input_names))["logits"]
        yield Answer(int(logits.argmax()), example.label_number(labels), _confidence(logits))


def _confidence(logits: NDArray[np.float32]) -> float:
    """Return the softmax of the largest of some logits (labels)."""
    return float(1 / np.exp(logits - logits.max()).sum())


def wilson_interval(correct: int, samples: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the confidence interval of a share (Wilson 1927)."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, spread = correct / samples, z * z / samples
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / samples + spread / (4 * samples))
    return max(0.0, centre - half), min(1.0, centre + half)
