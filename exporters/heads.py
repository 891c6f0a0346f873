"""Heads: what stands behind a network's last layer, an entry for each task. To add a task, add its entry here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import Array
from edgebert.exporters.config_file import shown
from edgebert.exporters.family import Family
from edgebert.exporters.nodes import Nodes
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.task import Outputs, Task
from edgebert.tasks.text_classification import TextClassification
from edgebert.tasks.text_regression import TextRegression

# The activation of the family's head: in a graph, where values are names, and in numpy.
WriteActivation = Callable[[str], str]
ComputeActivation = Callable[[Array], Array]
# A unit's product in numpy, of (states, unit).
Product = Callable[[Array, str], Array]


@dataclass(frozen=True)
class Head:
    """The head of a task: `suffix` ends the names of its classes in transformers, which begin with the family's prefix.

    `problem_types` are the values of that key of config.json which mean this task, None for a config without it.
    `most_labels` is how many labels a model may have to be exported as this task by name, whatever its config says.

    `outputs` are the graph's, by name, with their dimensions: a batch, a length, or a word of `Sizes`. `write` puts
    nodes behind the states (batch, 1, hidden) of the token that the family's head reads, or, with `reads_all_tokens`,
    behind those of all tokens (batch, length, hidden); `compute` does the same in numpy and shares no code with it.
    """

    task: type[Task]
    problem_types: tuple[str | None, ...]
    suffix: str
    outputs: Mapping[str, tuple[str, ...]]
    reads_all_tokens: bool
    write: Callable[[Nodes, str, WriteActivation], None]
    compute: Callable[[Mapping[str, Array], Array, Product, ComputeActivation], Outputs]
    most_labels: int | None = None


def _write_text_logits(nodes: Nodes, states: str, activation: WriteActivation) -> None:
    row = nodes.node("Squeeze", [states, nodes.integers(1)])
    active = activation(nodes.linear(row, ["pooler"]))
    # No product of the flavor: the classifier is small and stays in float32.
    last = [active, nodes.weight("classifier.weight"), nodes.weight("classifier.bias")]
    nodes.node("Gemm", last, name="logits", transB=1)


def _text_logits(
    tensors: Mapping[str, Array], states: Array, product: Product, activation: ComputeActivation
) -> Outputs:
    active = activation(product(states[:, 0], "pooler"))
    return {"logits": active @ tensors["classifier.weight"].T + tensors["classifier.bias"]}


# A dense unit, the family's activation and a linear layer, on one token alone.
_text_head = partial(
    Head,
    suffix="ForSequenceClassification",
    outputs={"logits": ("batch", "labels")},
    reads_all_tokens=False,
    write=_write_text_logits,
    compute=_text_logits,
)

# As transformers' pipeline, which takes a config without a problem_type for one of labels that exclude each other.
HEADS = (
    _text_head(TextClassification, (None, "single_label_classification")),
    _text_head(MultiLabelTextClassification, ("multi_label_classification",)),
    _text_head(TextRegression, ("regression",), most_labels=1),
)


def head_of(task: Task) -> Head:
    """Return the head of a task."""
    return next(head for head in HEADS if isinstance(task, head.task))


# Ends of the names of transformers' classes, and what those models do.
_NOT_SUPPORTED = {
    "ForTokenClassification": "token classification",
    "ForQuestionAnswering": "question answering",
    "ForQuestionAnsweringSimple": "question answering",
    "ForMultipleChoice": "multiple choice",
    "ForNextSentencePrediction": "next sentence prediction",
    "ForCausalLM": "text generation",
}


def choose_head(path: Path, config: Mapping[str, Any], labels: int, name: str | None) -> Head:
    """Return the head of a checkpoint with so many labels: by its config, or by the `name` of a task that fits it.

    Raises:
        ExportError: the task does not fit it, or there is none for its config.
    """
    found = config.get("problem_type")
    if name is None:
        head = next((head for head in HEADS if found in head.problem_types), None)
        if head is None:
            known = ", ".join(kind for head in HEADS for kind in head.problem_types if kind)
            unknown = f"unknown problem_type {shown(found)}"
            raise ExportError(f"{path / 'config.json'}: {unknown}; choose one of {known}")
        return head

    head = next((head for head in HEADS if name == head.task.NAME), None)
    if head is None:
        known = ", ".join(head.task.NAME for head in HEADS)
        raise ExportError(f"{path}: no task '{name}' for this checkpoint; choose one of {known}")
    if found not in head.problem_types and head.most_labels is not None and labels > head.most_labels:
        advice = "choose another task with --task"
        raise ExportError(f"{path}: expected at most {head.most_labels} label(s) for {name}, found {labels}; {advice}")
    return head


def check_head(path: Path, config: Mapping[str, Any], family: Family) -> None:
    """Check that a checkpoint has a head that is known; the oldest configs name no architecture.

    Raises:
        ExportError: its architecture has another head or none.
    """
    found = config.get("architectures")
    names = found if isinstance(found, list) else [found]
    if not found or any(prefix + head.suffix in names for head in HEADS for prefix in family.prefixes):
        return

    named = [name for name in names if isinstance(name, str)]
    for suffix, what in _NOT_SUPPORTED.items():
        if any(name.endswith(suffix) for name in named):
            supported = ", ".join(head.task.NAME for head in HEADS)
            raise ExportError(f"{path}: {what} is not supported ({shown(found)}); expected a model for {supported}")
    expected = " or ".join(dict.fromkeys(prefix + head.suffix for head in HEADS for prefix in family.prefixes))
    raise ExportError(f"{path}: expected a {expected}, found {shown(found)}; fine-tune it for its task first")
