"""The torch side of labels of tokens: texts with a label for each token, and logits for losses."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerBase
from transformers.utils.generic import ModelOutput as TransformersOutput

from edgebert.elastic.losses import UNLABELLED
from edgebert.elastic.texts import Texts, Windows
from edgebert.inputs.tokenization import Text, Tokenizer, Tokens
from edgebert.tasks.task import Task
from edgebert.tasks.token_classification import WordTags, first_tokens

# The logit of a label that padding has not: infinite ones would make losses undefined.
_NEVER = -10_000.0


def tag_outputs(found: TransformersOutput, mask: Tensor) -> Mapping[str, Tensor]:
    """Return logits (batch, length, labels), all texts from the first token on.

    Padding has the first label for certain, in a teacher as in a student: it adds nothing to a loss between both.
    """
    logits = found["logits"].float()
    others = 1 - functional.one_hot(torch.zeros_like(mask), logits.shape[-1])
    logits = torch.where(mask[:, :, None] == 0, _NEVER * others, logits)
    if not mask[:, 0].all():  # XLNet's padding comes first
        shifts = mask.argmax(dim=1).tolist()
        logits = torch.stack([row.roll(-shift, dims=0) for row, shift in zip(logits, shifts, strict=True)])
    return {"logits": logits}


def tagged_texts(
    task: Task,
    tokenizer: PreTrainedTokenizerBase,
    inputs: Sequence[Text],
    max_length: int,
    asked: Sequence[WordTags] | None = None,
) -> Texts:
    """Return texts cut as a device cuts them; `asked` are the labels of their words."""
    cutter, options = Tokenizer(tokenizer.backend_tokenizer.to_str().encode(), max_length), task.options({})
    rows = [row for text in inputs for row in task.rows(text, cutter, options)]
    # Without the text, of which a score needs no entities.
    rows = [Tokens(row.ids, row.types, row.spans) for row in rows]
    return Texts(
        ids=[list(row.ids) for row in rows],
        types=[list(row.types) for row in rows] if "token_type_ids" in tokenizer.model_input_names else None,
        targets=None if asked is None else [target_of(row, tags) for row, tags in zip(rows, asked, strict=True)],
        pad_id=tokenizer.pad_token_id,
        pad_type=tokenizer.pad_token_type_id,
        pad_left=tokenizer.padding_side == "left",
        windows=None if asked is None else Windows(rows, (1,) * len(rows), asked),
    )


def target_of(row: Tokens, tags: WordTags) -> list[int]:
    """Return for each token its label: of a word its first one has it, all others none (Devlin et al. 2019)."""
    labels = [UNLABELLED] * len(row.ids)
    for place, label in zip(first_tokens(row.spans, tags.words), tags.labels, strict=True):
        if place is not None:
            labels[place] = label
    return labels
