"""Labelled and unlabelled texts as token ids in memory, in batches of similar length. Knows nothing about models."""

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerBase

from edgebert.elastic.losses import UNLABELLED
from edgebert.inputs.tokenization import Span, Text, Tokens, without_blanks

# What a loss compares outputs for a text with: a number, or one for each label or each token.
Target = int | float | list[float] | list[int]
# Makes that of what a task asks of a text, as `Task.target` gives it, and of the text's tokens.
TargetOf = Callable[[Any, Tokens], Target]

BLOCK_BATCHES = 50  # sorted by length together, so that little is padded and the order still is random


@dataclass(frozen=True)
class TensorBatch:
    """A padded batch: ids, mask and types (batch, length) of integers, targets (batch, ...) or None without labels.

    `rows` are the texts before they were padded, and `asked` what a metric compares results with; none without labels.
    """

    ids: Tensor
    mask: Tensor
    types: Tensor | None
    targets: Tensor | None
    rows: Sequence[Tokens] = ()
    asked: Sequence[Any] = ()


@dataclass(frozen=True)
class Texts:
    """Tokenised texts: token ids and, where the tokenizer gives them, token types; targets where labels are known.

    Batches are padded on the side and with the id and the type that the tokenizer pads with. Where targets are lists
    with one for each token, there are the `spans` of these too, and `asked` has what the task asks of whole texts.
    """

    ids: Sequence[list[int]]
    types: Sequence[list[int]] | None
    targets: Sequence[Target] | None
    pad_id: int
    pad_type: int = 0
    pad_left: bool = False
    spans: Sequence[list[Span | None]] | None = None
    asked: Sequence[Any] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def some(self, numbers: Sequence[int]) -> "Texts":
        """Return some of these texts."""
        ids = [self.ids[number] for number in numbers]
        types = None if self.types is None else [self.types[number] for number in numbers]
        targets = None if self.targets is None else [self.targets[number] for number in numbers]
        spans = None if self.spans is None else [self.spans[number] for number in numbers]
        asked = None if self.asked is None else [self.asked[number] for number in numbers]
        return dataclasses.replace(self, ids=ids, types=types, targets=targets, spans=spans, asked=asked)

    def and_also(self, others: "Texts") -> "Texts":
        """Return these texts and others, without targets."""
        types = None if self.types is None or others.types is None else [*self.types, *others.types]
        ids = [*self.ids, *others.ids]
        return dataclasses.replace(self, ids=ids, types=types, targets=None, spans=None, asked=None)

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
            targets=some.padded_targets(device),
            rows=some.rows(),
            asked=some.asked if some.asked is not None else some.targets or (),
        )

    def rows(self) -> list[Tokens]:
        """Return the texts as rows of a batch that results are made for."""
        types = self.types or [[0] * len(ids) for ids in self.ids]
        return [Tokens(*row) for row in zip(self.ids, types, self.spans or [()] * len(self), strict=True)]

    def targets_in(self, numbers: Sequence[int]) -> int:
        """Return how many targets some texts have: one each, or one for each token that has a label."""
        if self.targets is None or self.asked is None:
            return len(numbers)
        labelled = (sum(one != UNLABELLED for one in self.targets[number]) for number in numbers)  # type: ignore[union-attr]
        return max(1, sum(labelled))

    def padded_targets(self, device: torch.device) -> Tensor | None:
        """Return the targets (texts, ...); those of tokens are padded as these are. None where there are none."""
        if self.targets is None or self.asked is None:
            return None if self.targets is None else torch.tensor(self.targets, device=device)
        return self._padded(self.targets, UNLABELLED, device)  # type: ignore[arg-type]

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


def in_parts(numbers: list[int], size: int) -> list[list[int]]:
    """Return numbers in lists of so many, the last of which may be shorter."""
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def tokenise(
    tokenizer: PreTrainedTokenizerBase,
    inputs: Sequence[Text],
    max_length: int,
    asked: Sequence[Any] | None = None,
    target_of: TargetOf | None = None,
) -> Texts:
    """Return texts, or (text, pair) tuples, as a transformers tokenizer encodes them, of at most so many tokens.

    What is `asked` of each are its targets, or with `target_of` its targets are made of that and of its tokens.
    """
    # A tokenizer takes pairs as two columns, not as a list of tuples.
    pairs = bool(inputs) and not isinstance(inputs[0], str)
    columns = list(zip(*inputs, strict=True)) if pairs else [inputs]
    locates = asked is not None and target_of is not None
    encoded = tokenizer(*map(list, columns), truncation=True, max_length=max_length, return_offsets_mapping=locates)
    texts = Texts(
        ids=encoded["input_ids"],
        types=encoded.get("token_type_ids"),
        targets=asked,
        pad_id=tokenizer.pad_token_id,
        pad_type=tokenizer.pad_token_type_id,
        pad_left=tokenizer.padding_side == "left",
    )
    if asked is None or target_of is None:
        return texts
    spans = [_spans(encoded, number, text) for number, text in enumerate(columns[0])]
    located = dataclasses.replace(texts, spans=spans, asked=asked)
    targets = [target_of(one, row) for one, row in zip(asked, located.rows(), strict=True)]
    return dataclasses.replace(located, targets=targets)


def _spans(encoded: BatchEncoding, number: int, text: str) -> list[Span | None]:
    """Return the characters of each token of a text; None for special tokens."""
    offsets = zip(encoded["offset_mapping"][number], encoded.sequence_ids(number), strict=True)
    return [None if sequence is None else without_blanks(span, text) for span, sequence in offsets]


def unpadded(values: Tensor, mask: Tensor) -> Tensor:
    """Return values (batch, length, ...) with what stands before a text, where `mask` is 0, put behind it."""
    shifts = mask.argmax(dim=1).tolist()
    return torch.stack([row.roll(-shift, dims=0) for row, shift in zip(values, shifts, strict=True)])
