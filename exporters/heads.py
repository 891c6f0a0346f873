"""Heads: what stands behind a network's last layer, an entry for each task. To add a task, add its entry here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import Array, Checkpoint
from edgebert.exporters.config_file import shown
from edgebert.exporters.cross_encoder import problem_type_of
from edgebert.exporters.family import Family
from edgebert.exporters.nodes import Nodes
from edgebert.exporters.pooling import embedding, write_embedding
from edgebert.exporters.sentence_folder import is_sentence_folder
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.question_answering import QuestionAnswering
from edgebert.tasks.sentence_embedding import SentenceEmbedding
from edgebert.tasks.task import Outputs, Task
from edgebert.tasks.text_classification import TextClassification
from edgebert.tasks.text_regression import TextRegression
from edgebert.tasks.token_classification import TokenClassification

# The activation of the family's head: in a graph, where values are names, and in numpy.
WriteActivation = Callable[[str], str]
ComputeActivation = Callable[[Array], Array]
# A unit's product in numpy, of (states, unit).
Product = Callable[[Array, str], Array]


@dataclass(frozen=True)
class Head:
    """The head of a task: `suffix` ends the names of its classes in transformers, which begin with the family's prefix.

    `problem_types` are the values of that key of config.json which mean this task among those of its class, None for a
    config without it. `most_labels` is how many labels a model may have to be exported as this task by name, whatever
    its config says; `outputs` how many numbers it gives a text or token, if these are no labels. `family` gives a
    family with the units that it has for this head.

    `write` puts nodes behind the states (batch, 1, hidden) of the token that the family's head reads, or, with
    `reads_all_tokens`, behind those of all tokens (batch, length, hidden); `compute` does the same in numpy, is told
    the number of tokens of each text, and shares no code with it. `sizes` are dimensions of outputs that no word of
    `Sizes` names. `of` gives the head of one checkpoint, where that depends on more than the task.
    """

    task: type[Task]
    problem_types: tuple[str | None, ...]
    suffix: str
    reads_all_tokens: bool
    write: Callable[[Nodes, str, WriteActivation], Any]
    compute: Callable[[Mapping[str, Array], Array, Product, ComputeActivation, Sequence[int]], Outputs]
    family: Callable[[Family], Family] = lambda family: family
    most_labels: int | None = None
    has_labels: bool = True
    takes_pairs: bool = True
    sizes: Mapping[str, int] = field(default_factory=dict)
    of: Callable[["Head", Checkpoint], "Head"] = lambda head, _: head
    outputs: int | None = None

    def class_names(self, family: Family) -> list[str]:
        """Return the names of a family's classes with this head."""
        suffix = family.suffixes.get(self.suffix, self.suffix)
        return [prefix + suffix for prefix in family.prefixes]


def _write_text_logits(nodes: Nodes, states: str, activation: WriteActivation) -> None:
    row = nodes.node("Squeeze", [states, nodes.integers(1)])
    active = nodes.widened(activation(nodes.linear(row, ["pooler"])))
    # No product of the flavor: the classifier is small and stays in float32.
    last = [active, nodes.weight("classifier.weight"), nodes.weight("classifier.bias")]
    nodes.node("Gemm", last, name="logits", transB=1)


def _text_logits(
    tensors: Mapping[str, Array], states: Array, product: Product, activation: ComputeActivation, _: Sequence[int]
) -> Outputs:
    active = activation(product(states[:, 0], "pooler"))
    return {"logits": active @ tensors["classifier.weight"].T + tensors["classifier.bias"]}


# A dense unit, the family's activation and a linear layer, on one token alone.
_text_head = partial(
    Head,
    suffix="ForSequenceClassification",
    reads_all_tokens=False,
    write=_write_text_logits,
    compute=_text_logits,
)


def _write_token_logits(nodes: Nodes, states: str, activation: WriteActivation, name: str = "logits") -> str:
    if nodes.has("pooler.weight"):  # such as ModernBERT's, which has it for all tasks
        states = activation(nodes.linear(states, ["pooler"]))
    # As above no product of the flavor; Gemm takes no three dimensions.
    turned = nodes.node("Transpose", [nodes.weight("classifier.weight")], perm=[1, 0])
    product = nodes.node("MatMul", [nodes.widened(states), turned])
    return nodes.node("Add", [product, nodes.weight("classifier.bias")], name=name)


def _token_logits(
    tensors: Mapping[str, Array], states: Array, product: Product, activation: ComputeActivation, _: Sequence[int]
) -> Outputs:
    if "pooler.weight" in tensors:
        states = activation(product(states, "pooler"))
    return {"logits": states @ tensors["classifier.weight"].T + tensors["classifier.bias"]}


def _write_span_logits(nodes: Nodes, states: str, activation: WriteActivation) -> None:
    both = _write_token_logits(nodes, states, activation, name="")
    for place, name in enumerate(QuestionAnswering.OUTPUTS):
        nodes.node("Gather", [both, nodes.constant(np.array(place, np.int64))], name=name, axis=2)


def _span_logits(
    tensors: Mapping[str, Array],
    states: Array,
    product: Product,
    activation: ComputeActivation,
    lengths: Sequence[int],
) -> Outputs:
    both = _token_logits(tensors, states, product, activation, lengths)["logits"]
    return {"start_logits": both[:, :, 0], "end_logits": both[:, :, 1]}


def _embedding_head(head: Head, source: Checkpoint) -> Head:
    """Return the head of a checkpoint that embeds texts; where only the first token counts, no other one is read."""
    layers = source.sentence
    assert layers is not None
    # XLNet's head reads the last token, and its first one is of the text.
    reads_first = layers.poolings == ("cls",) and not source.family.relative
    return replace(
        head,
        reads_all_tokens=not reads_first,
        write=lambda nodes, states, _: write_embedding(layers, nodes, states, is_one_token=reads_first),
        compute=lambda tensors, states, product, activation, lengths: embedding(layers, tensors, states, lengths),
        sizes={"dims": layers.size(source.sizes.hidden)},
    )


def _of_a_checkpoint(*_: Any) -> Any:
    raise NotImplementedError("this head is known with its checkpoint")


# Of a network alone. No config.json means it: sentence-transformers' files do, or whoever exports it.
_EMBEDDING = Head(
    SentenceEmbedding,
    problem_types=(),
    suffix="Model",
    reads_all_tokens=True,
    write=_of_a_checkpoint,
    compute=_of_a_checkpoint,
    family=lambda family: family.with_head({}),
    has_labels=False,
    takes_pairs=False,
    of=_embedding_head,
)

# Of classes that have one task each, whatever their config says.
_ANY_PROBLEM = (None, "single_label_classification", "multi_label_classification", "regression")

# As transformers' pipeline, which takes a config without a problem_type for one of labels that exclude each other.
HEADS = (
    _text_head(TextClassification, (None, "single_label_classification")),
    _text_head(MultiLabelTextClassification, ("multi_label_classification",)),
    _text_head(TextRegression, ("regression",), most_labels=1),
    Head(
        QuestionAnswering,
        _ANY_PROBLEM,
        suffix="ForQuestionAnswering",
        reads_all_tokens=True,
        write=_write_span_logits,
        compute=_span_logits,
        family=lambda family: family.with_head(family.answer_units),
        has_labels=False,
        outputs=2,
    ),
    _EMBEDDING,
    Head(
        TokenClassification,
        _ANY_PROBLEM,
        suffix="ForTokenClassification",
        reads_all_tokens=True,
        write=_write_token_logits,
        compute=_token_logits,
        family=lambda family: family.with_head(family.token_units),
        takes_pairs=False,
    ),
)


def head_of(source: Checkpoint) -> Head:
    """Return the head of a checkpoint."""
    head = next(head for head in HEADS if isinstance(source.task, head.task))
    return head.of(head, source)


# Ends of the names of transformers' classes, and what those models do.
_NOT_SUPPORTED = {
    "ForMultipleChoice": "multiple choice",
    "ForNextSentencePrediction": "next sentence prediction",
    "ForCausalLM": "text generation",
}


def choose_head(path: Path, config: Mapping[str, Any], family: Family, name: str | None) -> Head:
    """Return the head of a checkpoint: by its config, or by the `name` of a task that its model may have.

    Raises:
        ExportError: its architecture has another head or none, or there is none for its config or of that name.
    """
    # sentence-transformers reads any network, whatever head it has.
    is_embedding = is_sentence_folder(path)
    if name == SentenceEmbedding.NAME or (is_embedding and name is None):
        return _EMBEDDING
    heads = [_EMBEDDING] if is_embedding else _heads_of(path, config, family)
    found = problem_type_of(path, config)
    if name is not None:
        head = next((head for head in heads if name == head.task.NAME), None)
        if head is None:
            known = ", ".join(head.task.NAME for head in heads)
            raise ExportError(f"{path}: no task '{name}' for this checkpoint; choose one of {known}")
        return head

    head = next((head for head in heads if found in head.problem_types), None)
    if head is None:
        known = ", ".join(kind for head in heads for kind in head.problem_types if kind)
        unknown = f"unknown problem_type {shown(found)}"
        raise ExportError(f"{path / 'config.json'}: {unknown}; choose one of {known}")
    return head


def check_labels(path: Path, config: Mapping[str, Any], head: Head, labels: int) -> None:
    """Check that a checkpoint with so many labels can be exported with a head that was asked for by name.

    Raises:
        ExportError: it has too many, or not as many outputs as the head must have.
    """
    if head.outputs not in (None, labels):
        found = f"expected {head.outputs} outputs of a model for {head.task.NAME}, found {labels}"
        raise ExportError(f"{path}: {found}; fine-tune it for its task first")
    is_asked_for = problem_type_of(path, config) not in head.problem_types
    if is_asked_for and head.most_labels is not None and labels > head.most_labels:
        advice, name = "choose another task with --task", head.task.NAME
        raise ExportError(f"{path}: expected at most {head.most_labels} label(s) for {name}, found {labels}; {advice}")


def _heads_of(path: Path, config: Mapping[str, Any], family: Family) -> list[Head]:
    """Return the heads that a checkpoint's architecture may have; the oldest configs name none."""
    found = config.get("architectures")
    names = [name for name in (found if isinstance(found, list) else [found]) if isinstance(name, str)]
    of_config = [head for head in HEADS if head.problem_types]
    heads = [head for head in of_config if not set(head.class_names(family)).isdisjoint(names)]
    if heads or not found:
        return heads or of_config

    for suffix, what in _NOT_SUPPORTED.items():
        if any(name.endswith(suffix) for name in names):
            supported = ", ".join(head.task.NAME for head in HEADS)
            raise ExportError(f"{path}: {what} is not supported ({shown(found)}); expected a model for {supported}")
    expected = " or ".join(dict.fromkeys(name for head in of_config for name in head.class_names(family)))
    advice = "fine-tune it for its task first"
    if not set(_EMBEDDING.class_names(family)).isdisjoint(names):
        advice += f", or give --task {SentenceEmbedding.NAME} for the mean of its tokens"
    raise ExportError(f"{path}: expected a {expected}, found {shown(found)}; {advice}")
