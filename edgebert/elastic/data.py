"""Labelled and unlabelled texts as token ids in memory, in batches of similar length. Knows nothing about models."""

import dataclasses
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgebert.errors import TrainingError
from edgebert.inputs.dataset import Example, read_examples
from edgebert.inputs.tokenization import Text
from edgebert.tasks.text_classification import TextClassification

# Batches are sorted by length within blocks of so many, so that little is padded and the order still is random.
BLOCK_BATCHES = 50


@dataclass(frozen=True)
class Batch:
    """A padded batch: ids, mask and types (batch, length) of integers, labels (batch,) or None without them."""

    ids: Tensor
    mask: Tensor
    types: Tensor | None
    labels: Tensor | None

    def named(self) -> dict[str, Tensor]:
        """Return the batch in transformers' names."""
        names = {
            "input_ids": self.ids,
            "attention_mask": self.mask,
            "token_type_ids": self.types,
            "labels": self.labels,
        }
        return {name: tensor for name, tensor in names.items() if tensor is not None}


@dataclass(frozen=True)
class Texts:
    """Tokenised texts: token ids and, where the tokenizer gives them, token types; labels where they are known.

    Batches are padded on the side and with the id and the type that the tokenizer pads with.
    """

    ids: Sequence[list[int]]
    types: Sequence[list[int]] | None
    labels: Sequence[int | float] | None
    pad_id: int
    pad_type: int = 0
    pad_left: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def and_also(self, others: "Texts") -> "Texts":
        """Return these texts and others, without labels."""
        types = None if self.types is None or others.types is None else [*self.types, *others.types]
        return dataclasses.replace(self, ids=[*self.ids, *others.ids], types=types, labels=None)

    def batches(self, batch_size: int, shuffle: str | None = None) -> list[list[int]]:
        """Return the numbers of all texts in batches of similar length; `shuffle` seeds a random order."""
        order = list(range(len(self)))
        if shuffle is None:
            order.sort(key=lambda number: len(self.ids[number]))
            return _cut(order, batch_size)
        generator = random.Random(shuffle)
        generator.shuffle(order)
        blocks = _cut(order, batch_size * BLOCK_BATCHES)
        batches = [
            batch for block in blocks for batch in _cut(sorted(block, key=lambda n: len(self.ids[n])), batch_size)
        ]
        generator.shuffle(batches)
        return batches

    def batch(self, numbers: Sequence[int], device: torch.device) -> Batch:
        """Return some texts, padded to the longest of them."""
        length = max(len(self.ids[number]) for number in numbers)
        labels = None if self.labels is None else torch.tensor([self.labels[number] for number in numbers])
        return Batch(
            ids=self._padded([self.ids[number] for number in numbers], length, self.pad_id).to(device),
            mask=self._padded([[1] * len(self.ids[number]) for number in numbers], length, 0).to(device),
            types=None
            if self.types is None
            else self._padded([self.types[number] for number in numbers], length, self.pad_type).to(device),
            labels=None if labels is None else labels.to(device),
        )

    def _padded(self, rows: Sequence[list[int]], length: int, filler: int) -> Tensor:
        padding = [[filler] * (length - len(row)) for row in rows]
        return torch.tensor([pad + row if self.pad_left else row + pad for row, pad in zip(rows, padding, strict=True)])

    def all_batches(self, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """Yield every text once, the shortest first."""
        for numbers in self.batches(batch_size):
            yield self.batch(numbers, device)


def _cut(numbers: list[int], size: int) -> list[list[int]]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def tokenise(tokenizer: Any, inputs: Sequence[Text], max_length: int, labels: Sequence[float] | None = None) -> Texts:
    """Return texts, or (text, pair) tuples, as a transformers tokenizer encodes them, of at most so many tokens."""
    pairs = bool(inputs) and not isinstance(inputs[0], str)
    columns = list(zip(*inputs, strict=True)) if pairs else [inputs]
    encoded = tokenizer(*map(list, columns), truncation=True, max_length=max_length)
    return Texts(
        ids=encoded["input_ids"],
        types=encoded.get("token_type_ids"),
        labels=labels,
        pad_id=tokenizer.pad_token_id,
        pad_type=tokenizer.pad_token_type_id,
        pad_left=tokenizer.padding_side == "left",
    )


def read_rows(path: Path) -> list[Example]:
    """Return the rows of a data file, all with a pair or all without.

    Raises:
        EdgeBertError: the file cannot be read (see `edgebert.inputs.dataset.read_examples`).
        TrainingError: some rows have a pair and some have none.
    """
    rows = list(read_examples(path))
    odd = next((row for row in rows if (row.pair is None) != (rows[0].pair is None)), None)
    if odd:
        raise TrainingError(f"{odd.place}: expected a pair in every row or in none")
    return rows


def class_numbers(rows: Sequence[Example], labels: Sequence[str], path: Path, *, complete: bool) -> list[int]:
    """Return the rows' labels as numbers; with `complete`, each label must occur.

    Raises:
        EdgeBertError: a row has no label, or an unknown one.
        TrainingError: no row has a label that should occur.
    """
    task = TextClassification(tuple(labels))
    numbers = [task.target(row) for row in rows]
    counts = Counter(numbers)
    for number, label in enumerate(labels):
        if complete and not counts[number]:
            raise TrainingError(f"{path}: expected rows of every label, found none with '{label}'; add some")
    return numbers


def targets(rows: Sequence[Example]) -> list[float]:
    """Return the rows' labels as the numbers that a regression learns.

    Raises:
        TrainingError: a label is no finite number.
    """
    return [_target(row) for row in rows]


def _target(row: Example) -> float:
    try:
        value = float(str(row.label))
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise TrainingError(f"{row.place}: expected a number as the label of a regression, found '{row.label}'")
    return value


def labels_in(rows: Sequence[Example]) -> list[str]:
    """Return the labels that occur, numbers in their order and names by the alphabet.

    Raises:
        TrainingError: a row has no label, or they are fewer than two.
    """
    for row in rows:
        if row.label is None:
            raise TrainingError(f"{row.place}: expected a label, found none; add a column 'label'")
    found = {str(row.label) for row in rows}
    if len(found) < 2:
        raise TrainingError(f"expected at least two labels to tell apart, found {', '.join(found)}; add rows")
    return sorted(found, key=lambda label: (not label.isdecimal(), int(label) if label.isdecimal() else 0, label))
