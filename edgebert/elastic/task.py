"""What is to be learnt: the head of the classifier, and the texts to learn from, to distil on and to score with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert.elastic.checkpoint import Head, head_of, read_config
from edgebert.elastic.data import Texts, class_numbers, labels_in, read_rows, targets, tokenise
from edgebert.errors import TrainingError
from edgebert.inputs.dataset import Example
from edgebert.inputs.tokenization import Text

LENGTH = 128  # DynaBERT's


@dataclass(frozen=True)
class Task:
    """A head, labelled texts to learn from and to score with, and those to distil on: the training texts and more.

    `inputs` are the training texts as they were read.
    """

    head: Head
    inputs: Sequence[Text]
    train: Texts
    dev: Texts
    distil: Texts


def read_task(
    checkpoint: Path,
    tokenizer: Any,
    train: Path,
    dev: Path,
    transfer: Sequence[Path] = (),
    *,
    labels: Sequence[str] | None = None,
    regression: bool = False,
    max_length: int,
) -> Task:
    """Read the data files of a training; the labels are the checkpoint's, or else those of the training file.

    Raises:
        TrainingError: labels, columns and checkpoint do not go together.
        EdgeBertError: a file cannot be read.
    """
    rows = {path: read_rows(path) for path in (train, dev, *transfer)}
    for path, found in rows.items():
        if (found[0].pair is None) != (rows[train][0].pair is None):
            raise TrainingError(f"{path}: expected pairs in all data files or in none, as in {train}")
    head = choose_head(checkpoint, rows[train], labels, regression)

    def labelled(path: Path, *, complete: bool) -> Texts:
        if head.task == "regression":
            numbers: Sequence[float] = targets(rows[path])
        else:
            numbers = class_numbers(rows[path], head.labels, path, complete=complete)
        return tokenise(tokenizer, [row.input for row in rows[path]], max_length, numbers)

    return Task(
        head=head,
        inputs=[row.input for row in rows[train]],
        train=labelled(train, complete=True),
        dev=labelled(dev, complete=False),
        distil=tokenise(tokenizer, [row.input for path in (train, *transfer) for row in rows[path]], max_length),
    )


def checked_length(checkpoint: Path, max_length: int | None) -> int:
    """Return the tokens that a text is cut at: as asked for, or 128 or as many as the checkpoint takes.

    Raises:
        TrainingError: more than the checkpoint takes.
    """
    config = read_config(checkpoint)
    longest: int = config.max_position_embeddings - unused_positions(config)
    if longest < 1:  # XLNet's: its positions are relative, and any length goes
        return max_length or LENGTH
    if max_length is not None and max_length > longest:
        raise TrainingError(f"expected a maximum length of at most {longest} tokens, found {max_length}")
    return max_length or min(LENGTH, longest)


def unused_positions(config: Any) -> int:
    """Return how many rows at the start of the position table are not used."""
    # RoBERTa counts positions from behind the padding token's number.
    return config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0


def choose_head(checkpoint: Path, rows: Sequence[Example], labels: Sequence[str] | None, regression: bool) -> Head:
    """Return the head that a checkpoint has, or that the training rows ask for; `labels` name them in their order.

    Raises:
        TrainingError: a fine-tuned checkpoint has another head than is asked for, or the rows show no classes.
    """
    found = head_of(checkpoint)
    if found is None:
        return (
            Head("regression", ("score",)) if regression else Head("classification", tuple(labels or labels_in(rows)))
        )
    if regression != (found.task == "regression"):
        advice = "leave --regression out" if regression else "add --regression"
        raise TrainingError(f"{checkpoint} is fine-tuned for {found.task}; {advice}, or start from another checkpoint")
    if labels and len(labels) != len(found.labels):
        raise TrainingError(f"{checkpoint} has {len(found.labels)} labels, --labels names {len(labels)}; name them all")
    return Head(found.task, tuple(labels)) if labels else found
