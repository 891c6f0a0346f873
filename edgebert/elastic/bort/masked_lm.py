"""Masked language models as what a stage trains: texts with some tokens hidden, and the model that guesses these.

What is compared is the logits at the hidden tokens, so the losses and scores of classifiers serve.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForMaskedLM

from edgebert.elastic.checkpoint import explained, load_tokenizer
from edgebert.elastic.data import Batch, Texts
from edgebert.elastic.families import family_of
from edgebert.elastic.model import Output
from edgebert.elastic.whole import WholeModel
from edgebert.errors import TrainingError
from edgebert.subnet import Subnet

SHARE = 0.15  # of the tokens, as BERT's


class MaskedLM(WholeModel):
    """A masked language model whose logits are those of the hidden tokens: (hidden tokens, vocabulary)."""

    def __init__(self, model: Any, mask_id: int):
        """Wrap a transformers model with a masked-LM head.

        Raises:
            TrainingError: the model is of no family whose head is known.
        """
        super().__init__(model)
        self._head, self._mask_id = family_of(model).masked_lm_head, mask_id

    def forward(self, ids: Tensor, mask: Tensor, subnet: Subnet, types: Tensor | None = None) -> Output:
        """Run the model on token ids, attention mask and token types, each (batch, length) of integers."""
        inputs = {"token_type_ids": types} if types is not None and self._takes_types else {}
        states = self.classifier.base_model(input_ids=ids, attention_mask=mask, **inputs).last_hidden_state
        return Output(self.classifier.get_submodule(self._head)(states[ids == self._mask_id]), ())


@dataclass(frozen=True)
class MaskedTexts(Texts):
    """Texts in whose batches tokens are hidden behind [MASK]; the batch's labels are their ids, in reading order.

    Of each text 15 %, at least one, drawn by torch's generator, which a stage seeds in each step; `fixed` hides the
    same ones each time. All that are hidden become [MASK], where BERT puts another token in place of a tenth of them
    and leaves a tenth.
    """

    mask_id: int = -1
    special_ids: frozenset[int] = frozenset()
    fixed: bool = False

    @classmethod
    def of(cls, texts: Texts, tokenizer: Any, *, fixed: bool = False) -> "MaskedTexts":
        """Return texts with tokens that are to be guessed; those without any word are left out."""
        special = frozenset(tokenizer.all_special_ids)
        kept = [number for number, ids in enumerate(texts.ids) if not special.issuperset(ids)]
        return cls(
            ids=[texts.ids[number] for number in kept],
            types=None if texts.types is None else [texts.types[number] for number in kept],
            labels=None,
            pad_id=texts.pad_id,
            pad_type=texts.pad_type,
            pad_left=texts.pad_left,
            mask_id=tokenizer.mask_token_id,
            special_ids=special,
            fixed=fixed,
        )

    def batch(self, numbers: Any, device: torch.device) -> Batch:
        """Return some texts, padded to the longest of them, with tokens hidden."""
        plain = super().batch(numbers, torch.device("cpu"))
        seeds = numbers if self.fixed else torch.randint(2**31, (len(numbers),)).tolist()
        hidden = torch.zeros_like(plain.ids, dtype=torch.bool)
        for row, seed in enumerate(seeds):
            words = [place for place, token in enumerate(plain.ids[row].tolist()) if token not in self.special_ids]
            chosen = random.Random(seed).sample(words, max(1, round(SHARE * len(words))))
            hidden[row, chosen] = True
        return Batch(
            ids=plain.ids.masked_fill(hidden, self.mask_id).to(device),
            mask=plain.mask.to(device),
            types=None if plain.types is None else plain.types.to(device),
            labels=plain.ids[hidden].to(device),
        )


def load_masked_lm(path: Path, mask_id: int) -> MaskedLM:
    """Return the masked language model of a checkpoint.

    Raises:
        TrainingError: it cannot be read, or has no head for masked tokens.
    """
    with explained(path):
        model, report = AutoModelForMaskedLM.from_pretrained(path, output_loading_info=True)
    found = MaskedLM(model.float(), mask_id)
    if any(name.startswith(f"{found._head}.") for name in report["missing_keys"]):
        raise TrainingError(f"{path} has no masked-LM head ({found._head}.*); give a pre-trained checkpoint")
    return found


def check_tokenizer(path: Path, tokenizer: Any) -> None:
    """Raise a TrainingError if a masked language model reads other tokens than a tokenizer gives."""
    if tokenizer.mask_token_id is None:
        raise TrainingError("expected a tokenizer with a mask token, found none; leave --mlm-teacher out")
    if load_tokenizer(path).get_vocab() != tokenizer.get_vocab():
        advice = "give one with the tokenizer of --model"
        raise TrainingError(f"{path}: expected a masked LM with the same vocabulary, found another; {advice}")
