"""What every task answers for: which rows it reads, what a graph puts out, what an answer is and how good it is.

A task is a value: its kind, one class in a file of its own, and its labels. Knows neither files nor how graphs are run.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import BundleError, EdgeBertError, OutputError, listed
from edgebert.inputs.dataset import Example
from edgebert.inputs.manifest import ExportedSubnet, Manifest
from edgebert.inputs.tokenization import Text, Tokenizer, Tokens
from edgebert.tasks.metrics import Interval

# What a graph puts out, by name: float32, (batch, ...).
Outputs = dict[str, NDArray[np.float32]]
# What a network found out about one row of a batch, and about a whole text: what its answer is made of, in a form of
# the task's own.
Result = Any
Results = Sequence[Result]
# One text's answer, in the form of the transformers pipeline of its task.
Answer = Any
# How a call gave its texts: one by itself, one as a dict, or several.
Form = Literal["text", "dict", "several"]
# What answers to labelled samples gained and could have gained, each (samples,).
Counts = tuple[NDArray[np.int64], NDArray[np.int64]]
# What training minimises, by the field's name; `edgebert.elastic.losses` computes it.
Loss = Literal["cross-entropy", "binary-cross-entropy", "squared-error", "span-cross-entropy", "token-cross-entropy"]

_FLOAT32 = np.dtype(np.float32)
_FEW = 100  # numbers that Python looks at sooner than numpy does


@dataclass(frozen=True)
class Options:
    """What a call may ask for beside its texts; each task has its own."""


@dataclass(frozen=True)
class Task(ABC):
    """What a network answers: a task's labels, and how texts are read and answers made, compared and counted.

    A text becomes one row of a batch, or several where it is cut into windows. What a network gives for a row becomes a
    result, the results of a text's rows one result, and that the answer.
    """

    labels: tuple[str, ...]

    NAME: ClassVar[str]
    # Each output of a graph and its dimensions, in words: the batch, the length, the labels, or another size.
    OUTPUTS: ClassVar[Mapping[str, tuple[str, ...]]] = {"logits": ("batch", "labels")}
    # What quality is counted in: the first is what a selection goes by. Higher is better in all.
    METRICS: ClassVar[tuple[str, ...]]
    LOSS: ClassVar[Loss]
    OPTIONS: ClassVar[type[Options]] = Options
    # Whether quality on labelled data is counted beside what the full network gives for the same texts.
    BESIDE_FULL: ClassVar[bool] = False
    # In a line of JSON, what an answer is called that is no object.
    ANSWER_KEY: ClassVar[str] = "answers"
    # At how many tokens texts are cut where a model takes more and nothing is asked for; None for as many as it takes.
    USUAL_LENGTH: ClassVar[int | None] = None
    # Whether texts always come with a second one.
    PAIRS_ONLY: ClassVar[bool] = False

    @classmethod
    def of_bundle(cls, manifest: Manifest) -> "Task":
        """Return the task of a bundle, with what its manifest says of it."""
        if not manifest.labels:
            raise BundleError(f"expected labels for {cls.NAME}, found none at $.labels; export the bundle again")
        return cls(manifest.labels)

    def facts(self) -> dict[str, Any]:
        """Return what a manifest says of this task beside its name and labels, by the names of its keys."""
        return {}

    def of_subnet(self, subnet: ExportedSubnet) -> "Task":
        """Return this task with what a bundle says of it for one sub-network."""
        return self

    def subnet_facts(self) -> dict[str, Any]:
        """Return what a manifest says of this task for one sub-network, by the names of its keys."""
        return {}

    @classmethod
    def is_meant_by(cls, row: Example) -> bool:
        """Return whether a row of a data file can be of no task but this one."""
        return False

    @classmethod
    @abstractmethod
    def labels_in(cls, rows: Iterable[Example]) -> tuple[str, ...]:
        """Return the labels that the rows of a data file have, for a network that is still to be trained.

        Raises:
            EdgeBertError: a row has no label of this task's kind; names the line.
        """

    @abstractmethod
    def target(self, row: Example) -> Any:
        """Return what a row's label asks for.

        Raises:
            EdgeBertError: the row has no label, or one that is not of this task; names the line.
        """

    def texts(self, row: Example) -> tuple[Text, ...]:
        """Return the texts that a row of a data file has a network answer."""
        return (row.input,)

    def options(self, given: Mapping[str, Any]) -> Options:
        """Return what a call asks for, by the names of its arguments.

        Raises:
            EdgeBertError: this task has no such option, or not such a value of it.
        """
        known = [field.name for field in fields(self.OPTIONS)]
        unknown = next((name for name in given if name not in known), None)
        if unknown is not None:
            raise EdgeBertError(f"{self.NAME} has no option {unknown}; expected one of {listed(known) or 'none'}")
        return self.OPTIONS(**given)

    def check(self, text: Text, tokenizer: Tokenizer) -> None:
        """Raise an EdgeBertError for a text that `rows` refuses."""
        tokenizer.check(text)

    def rows(self, text: Text, tokenizer: Tokenizer, options: Options) -> Sequence[Tokens]:
        """Return the rows of a batch that a text becomes.

        Raises:
            EdgeBertError: it is empty, no text, or none of this task's kind.
        """
        return (tokenizer.encode(text),)

    def rows_of_all(self, texts: Sequence[Text], tokenizer: Tokenizer, options: Options) -> list[Sequence[Tokens]]:
        """Return what `rows` does for each of many texts."""
        return [(row,) for row in tokenizer.encode_all(texts)]

    @abstractmethod
    def results(self, outputs: Outputs, rows: Sequence[Tokens], options: Options) -> Results:
        """Return what a network found out about each row of a batch."""

    def joined(self, results: Results, options: Options) -> Result:
        """Return the result of a text from those of its rows, in their order."""
        (one,) = results
        return one

    @abstractmethod
    def answers(self, results: Results, options: Options) -> list[Answer]:
        """Return the answer to each text."""

    def shaped(self, answers: list[Answer], form: Form, options: Options, networks: Sequence[str]) -> Any:
        """Return answers in the form that transformers' pipeline gives them for texts that came so.

        `networks` are the ids of the sub-networks that gave them.
        """
        return answers if form == "several" else answers[0]

    @abstractmethod
    def cells(self, answer: Answer) -> tuple[str, str]:
        """Return what a line of a table shows of an answer, and of how sure it is; a line break may stand in it."""

    def brief_cells(self, answer: Answer) -> tuple[str, str]:
        """Return what `cells` does, but so little that a line on a terminal can show it."""
        return self.cells(answer)

    def similarity(self, first: Any, second: Any) -> NDArray[np.float32]:
        """Return how alike the answers to texts and to others are, (texts, others).

        Raises:
            EdgeBertError: they cannot be compared, as those of most tasks.
        """
        raise EdgeBertError(f"expected a bundle of embeddings, found one of {self.NAME}; use a sentence-embedding one")

    def plain(self, answer: Answer) -> Any:
        """Return an answer as it stands in JSON."""
        return answer

    @property
    def known_cells(self) -> tuple[str, ...] | None:
        """What the first cell of an answer consists of, joined by commas; None where that may be anything."""
        return self.labels

    def check_outputs(self, outputs: Outputs, shape: tuple[int, ...]) -> None:
        """Check that a graph gave what answers can be made of: all outputs of this task, with finite numbers.

        Raises:
            OutputError: one is missing, not finite, or of another type or shape than inputs of that shape (batch,
                length) and the labels ask.
        """
        sizes: dict[str, int] = {"batch": shape[0], "length": shape[1], "labels": len(self.labels)}
        for name, dimensions in self.OUTPUTS.items():
            values = outputs.get(name)
            if values is None:
                found = listed([ascii(one) for one in outputs]) or "none"
                raise OutputError(f"expected an output {name}, found {found}; export the bundle again")
            fits = len(values.shape) == len(dimensions) and all(
                size == sizes.get(word, size) for size, word in zip(values.shape, dimensions, strict=True)
            )
            if values.dtype != _FLOAT32 or not fits:
                expected = ", ".join(f"{sizes.get(word, 'any')} {word}" for word in dimensions)
                found = f"found {values.dtype} of shape {values.shape}"
                raise OutputError(f"expected {name} in float32 ({expected}), {found}; export the bundle again")
            if not _are_finite(values):
                advice = "export the bundle again, or choose another sub-network or provider"
                raise OutputError(f"expected finite {name}, found infinite ones or some that are no number; {advice}")

    def without_padding(self, outputs: Outputs, mask: NDArray[np.int64]) -> Outputs:
        """Return outputs that are 0 for padding, where the mask (batch, length) is 0, to compare those of two engines.

        No answer is made of them, and not all engines compute them alike, such as where padding sees no token at all.
        """
        kept = dict(outputs)
        for name, dimensions in self.OUTPUTS.items():
            values = kept.get(name)
            if dimensions[1] == "length" and values is not None and values.shape[:2] == mask.shape:
                kept[name] = np.where(mask.reshape(*mask.shape, *[1] * (values.ndim - 2)) == 1, values, np.float32(0))
        return kept

    def beside(self, results: Results, full: Results) -> Results:
        """Return results that `metrics` counts beside the full network's for the same texts."""
        return results

    def tuned(self, results: Results, targets: Sequence[Any]) -> tuple["Task", Results]:
        """Return this task as it suits a sub-network with such results on labelled samples, and the results then."""
        return self, results

    @abstractmethod
    def metrics(self, results: Results, targets: Sequence[Any]) -> dict[str, float]:
        """Return each of `METRICS` for labelled samples: the results of their texts, and what was asked for."""

    @abstractmethod
    def interval(self, results: Results, targets: Sequence[Any]) -> Interval:
        """Return the 95 % interval of the first metric."""

    @abstractmethod
    def fidelity(self, results: Results, full: Results) -> float:
        """Return how often answers are the full network's, of 1, from the results of both for the same texts."""

    def more_fidelity(self, results: Results, full: Results) -> dict[str, float]:
        """Return in what else answers are like the full network's, by name, each at most 1."""
        return {}

    @abstractmethod
    def wrong_answers(self, found: Outputs, right: Outputs, tolerance: float) -> int:
        """Return for how many texts the answer is wrong, of those where the right one is clear beyond a tolerance."""

    @property
    def has_cascade(self) -> bool:
        """Whether there are `confidences` and `counts`, so that two networks can answer in a row."""
        return False

    def confidences(self, results: Results) -> NDArray[np.float32] | None:
        """Return how sure each answer is, (texts,) from 0 to 1; None for a task that has no cascade."""
        return None

    def counts(self, results: Results, targets: Sequence[Any]) -> Counts | None:
        """Return two counts for each answer, of which the ratio of the sums is the first metric.

        None for a task that has no cascade: a cascade is set by adding up what one network or another gained.
        """
        return None


def _are_finite(values: NDArray[np.float32]) -> bool:
    # Numpy's code is cold after a network has run: there it takes 13 us for two numbers, Python 2 (by hand).
    if values.size <= _FEW:
        return all(map(math.isfinite, values.ravel().tolist()))
    return bool(np.isfinite(values).all())


def mean_difference(found: Outputs, right: Outputs) -> float:
    """Return how far outputs lie apart: each text's largest difference, on average over the batch.

    A rounding that falls the other way may move a single text far; wrong arithmetic moves them all. Infinite where a
    shape differs or a number is not finite.
    """
    largest = []
    for name, expected in right.items():
        values = found.get(name)
        if values is None or values.shape != expected.shape or not np.isfinite(values).all():
            return float("inf")
        largest.append(np.abs(values - expected).reshape(len(expected), -1).max(axis=1))
    return float(np.max(largest, axis=0).mean())
