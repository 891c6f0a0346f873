"""Labelled and unlabelled texts as token ids in memory, in batches of similar length. Knows nothing about models."""

import dataclasses
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from edgebert.elastic.losses import UNLABELLED
from edgebert.inputs.tokenization import Text, Tokens

# What a loss compares the outputs for a text with: a number, or one for each label or token, or the places of two.
Target = int | float | list[float] | list[int]

BLOCK_BATCHES = 50  # sorted by length together, so that little is padded and the order still is random


@dataclass(frozen=True)
class TensorBatch:
    """A padded batch: ids, mask and types (batch, length) of integers, targets (batch, ...) or None without labels.

    `rows` are the texts before they were padded, where results need them.
    """

    ids: Tensor
    mask: Tensor
    types: Tensor | None
    targets: Tensor | None
    rows: Sequence[Tokens] = ()


@dataclass(frozen=True)
class Windows:
    """Texts that are the windows of longer ones: what results need of each, and how many each longer text has.

    `asked` is what a task asks of each longer text, as `Task.target` gives it.
    """

    rows: Sequence[Tokens]
    counts: Sequence[int]
    asked: Sequence[Any]


@dataclass(frozen=True)
class Texts:
    """Tokenised texts: token ids and, where the tokenizer gives them, token types; targets where labels are known.

    Batches are padded on the side and with the id and the type that the tokenizer pads with. `windows` are known where
    texts with labels were cut into several.
    """

    ids: Sequence[list[int]]
    types: Sequence[list[int]] | None
    targets: Sequence[Target] | None
    pad_id: int
    pad_type: int = 0
    pad_left: bool = False
    windows: Windows | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_asked(self) -> bool:
        """Whether it is known what is asked of these texts."""
        return self.targets is not None or self.windows is not None

    def some(self, numbers: Sequence[int]) -> "Texts":
        """Return some of these texts."""
        ids = [self.ids[number] for number in numbers]
        types = None if self.types is None else [self.types[number] for number in numbers]
        targets = None if self.targets is None else [self.targets[number] for number in numbers]
        return dataclasses.replace(self, ids=ids, types=types, targets=targets, windows=None)

    def and_also(self, others: "Texts") -> "Texts":
        """Return these texts and others, without targets."""
        types = None if self.types is None or others.types is None else [*self.types, *others.types]
        return dataclasses.replace(self, ids=[*self.ids, *others.ids], types=types, targets=None, windows=None)

    def batches(self, batch_size: int, shuffle: str | None = None) -> list[list[int]]:
        """Return the numbers of all texts in batches of similar length; `shuffle` seeds a random order."""
        order = list(range(len(self)))
        if shuffle is None:
            order.sort(key=lambda number: len(self.ids[number]))
            return in_parts(order, batch_size)
        generator = random.Random(shuffle)
        generator.shuffle(order)
        blocks = in_parts(order, batch_size * BLOCK_BATCHES)
        by_length = (sorted(block, key=lambda number: len(self.ids[number])) for block in blocks)
        batches = [batch for block in by_length for batch in in_parts(block, batch_size)]
        # Else each block would go from its shortest texts to its longest.
        generator.shuffle(batches)
        return batches

    def batch(self, numbers: Sequence[int], device: torch.device) -> TensorBatch:
        """Return some texts, padded to the longest of them."""
        some = self.some(numbers)
        return TensorBatch(
            ids=self._padded(some.ids, self.pad_id, device),
            mask=self._padded([[1] * len(row) for row in some.ids], 0, device),
            types=None if some.types is None else self._padded(some.types, self.pad_type, device),
            targets=None if some.targets is None else torch.tensor(_even(some.targets), device=device),
            rows=[] if self.windows is None else [self.windows.rows[number] for number in numbers],
        )

    def labelled_tokens(self, numbers: Sequence[int]) -> int:
        """Return how many tokens of some texts have a label, at least 1, by which losses are divided."""
        targets = [self.targets[number] for number in numbers] if self.targets is not None else []
        return max(1, sum(one != UNLABELLED for target in targets if isinstance(target, list) for one in target))

    def _padded(self, rows: Sequence[list[int]], filler: int, device: torch.device) -> Tensor:
        # XLNet pads on the left, so that its [CLS] stays the last token.
        length = max(map(len, rows))
        padding = [[filler] * (length - len(row)) for row in rows]
        padded = [pad + row if self.pad_left else row + pad for row, pad in zip(rows, padding, strict=True)]
        return torch.tensor(padded, device=device)

    def all_batches(self, batch_size: int, device: torch.device) -> Iterator[TensorBatch]:
        """Yield every text once, the shortest first."""
        for numbers in self.batches(batch_size):
            yield self.batch(numbers, device)


def _even(targets: Sequence[Target]) -> Sequence[Target]:
    """Return targets of which all lists are as long as the longest."""
    lists = [target for target in targets if isinstance(target, list)]
    longest = max(map(len, lists), default=0)
    return [[*one, *[UNLABELLED] * (longest - len(one))] for one in lists] if lists else targets


def in_parts(numbers: list[int], size: int) -> list[list[int]]:
    """Return numbers in lists of so many, the last of which may be shorter."""
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def tokenise(
    tokenizer: PreTrainedTokenizerBase, inputs: Sequence[Text], max_length: int, targets: Sequence[Target] | None = None
) -> Texts:
    """Return texts, or (text, pair) tuples, as a transformers tokenizer encodes them, of at most so many tokens."""
    # A tokenizer takes pairs as two columns, not as a list of tuples.
    pairs = bool(inputs) and not isinstance(inputs[0], str)
    columns = list(zip(*inputs, strict=True)) if pairs else [inputs]
    encoded = tokenizer(*map(list, columns), truncation=True, max_length=max_length)
    return Texts(
        ids=encoded["input_ids"],
        types=encoded.get("token_type_ids"),
        targets=targets,
        pad_id=tokenizer.pad_token_id,
        pad_type=tokenizer.pad_token_type_id,
        pad_left=tokenizer.padding_side == "left",
    )
