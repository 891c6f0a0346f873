"""Masked language models as what a stage trains: texts with some tokens hidden, and the model that guesses these.

What is compared is the logits at the hidden tokens, so the losses of classifiers serve.
"""

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from edgebert.elastic.checkpoint import explained, load_tokenizer
from edgebert.elastic.families import masked_lm_family
from edgebert.elastic.model import Model, ModelOutput
from edgebert.elastic.texts import Target, TensorBatch, Texts
from edgebert.errors import TrainingError
from edgebert.inputs.tokenization import Tokens
from edgebert.subnet import Subnet
from edgebert.tasks.task import Options, Outputs, Results

SHARE = 0.15  # of the tokens, as BERT's


class MaskedLM(Model):
    """A masked language model whose logits are those of the hidden tokens: (hidden tokens, vocabulary)."""

    def __init__(self, model: PreTrainedModel, mask_id: int):
        """Wrap a transformers model with a masked-LM head, or raise a TrainingError if the family's is unknown."""
        super().__init__(model)
        masked_lm_family(self.config.plain.model_type, "give another")
        self._mask_id = mask_id

    def forward(self, ids: Tensor, mask: Tensor, subnet: Subnet, types: Tensor | None = None) -> ModelOutput:
        """Run the model on token ids, attention mask and token types, each (batch, length) of integers."""
        # The head is as costly as several layers: for the hidden tokens only.
        states = self.network.base_model(input_ids=ids, attention_mask=mask, **self.typed(types)).last_hidden_state
        return ModelOutput({"logits": self.family.guess_tokens(self.network, states[ids == self._mask_id])}, ())


class MaskedTokenAccuracy:
    """The share of hidden tokens that are guessed right, as scoring asks for it.

    The results are the guesses alone: the logits of all dev texts over a vocabulary are gigabytes.
    """

    METRICS: ClassVar[tuple[str, ...]] = ("accuracy",)
    BESIDE_FULL: ClassVar[bool] = False

    def options(self, given: Mapping[str, Any]) -> Options:
        """Return none: there are no options."""
        return Options(**given)

    def results(self, outputs: Outputs, rows: Sequence[Tokens], options: Options) -> Results:
        """Return the number of the likeliest token for each hidden one."""
        return list(outputs["logits"].argmax(axis=1))

    def metrics(self, results: Results, targets: Sequence[Target]) -> dict[str, float]:
        """Return the accuracy."""
        return {"accuracy": float((np.asarray(results) == np.asarray(targets)).mean())}


@dataclass(frozen=True)
class MaskedTexts(Texts):
    """Texts in whose batches tokens are hidden behind [MASK]; the batch's targets are their ids, in reading order.

    Of each text 15 %, at least one, drawn by torch's generator, which a stage seeds in each step; `fixed` hides the
    same ones each time. All that are hidden become [MASK], where BERT puts another token in place of a tenth of them
    and leaves a tenth.
    """

    mask_id: int = -1
    special_ids: frozenset[int] = frozenset()
    fixed: bool = False

    @classmethod
    def of(cls, texts: Texts, tokenizer: PreTrainedTokenizerBase, *, fixed: bool = False) -> "MaskedTexts":
        """Return texts with tokens that are to be guessed; those without any word are left out."""
        special = frozenset(tokenizer.all_special_ids)
        # Something must be hidden in each text.
        kept = texts.some([number for number, ids in enumerate(texts.ids) if not special.issuperset(ids)])
        return cls(**vars(kept), mask_id=tokenizer.mask_token_id, special_ids=special, fixed=fixed)

    def batch(self, numbers: Sequence[int], device: torch.device) -> TensorBatch:
        """Return some texts, padded to the longest of them, with tokens hidden."""
        plain = super().batch(numbers, device)
        # Dev texts hide the same words each time, so that scores of two epochs can be compared.
        seeds = numbers if self.fixed else torch.randint(2**31, (len(numbers),)).tolist()
        hidden = torch.zeros_like(plain.ids, dtype=torch.bool)
        for row, (ids, seed) in enumerate(zip(plain.ids.tolist(), seeds, strict=True)):
            words = [place for place, token in enumerate(ids) if token not in self.special_ids]
            hidden[row, random.Random(seed).sample(words, max(1, round(SHARE * len(words))))] = True
        ids = plain.ids.masked_fill(hidden, self.mask_id)
        return dataclasses.replace(plain, ids=ids, targets=plain.ids[hidden])


def load_masked_lm(path: Path, mask_id: int) -> MaskedLM:
    """Return a checkpoint's masked language model, or raise a TrainingError if it cannot be read or has no head."""
    with explained(path):
        model, report = AutoModelForMaskedLM.from_pretrained(path, output_loading_info=True)
    found = MaskedLM(model.float(), mask_id)
    heads = found.family.masked_lm_head
    # transformers puts random weights where a checkpoint has none.
    if any(name.partition(".")[0] in heads for name in report["missing_keys"]):
        raise TrainingError(f"{path} has no masked-LM head ({heads[0]}.*); give a pre-trained checkpoint")
    return found


def check_tokenizer(path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise a TrainingError if a masked language model reads other tokens than a tokenizer gives."""
    if tokenizer.mask_token_id is None:
        raise TrainingError("expected a tokenizer with a mask token, found none; leave --mlm-teacher out")
    # Logits over the vocabulary are compared number by number.
    if load_tokenizer(path).get_vocab() != tokenizer.get_vocab():
        advice = "give one with the tokenizer of --model"
        raise TrainingError(f"{path}: expected a masked LM with the same vocabulary, found another; {advice}")
