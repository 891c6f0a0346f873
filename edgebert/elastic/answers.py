"""The torch side of answers to questions: windows of contexts as texts, where answers begin and end, and logits."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase
from transformers.utils.generic import ModelOutput as TransformersOutput

from edgebert.elastic.losses import UNLABELLED
from edgebert.elastic.texts import Texts, Windows
from edgebert.inputs.tokenization import Text, Tokenizer, Tokens
from edgebert.tasks.spans import Span
from edgebert.tasks.task import Task

UNKNOWN = [UNLABELLED, UNLABELLED]
# The logit of padding, which is to have no share in a softmax: infinite ones would make losses undefined.
_NEVER = -10_000.0


def span_outputs(found: TransformersOutput, mask: Tensor) -> Mapping[str, Tensor]:
    """Return logits (batch, 2, length) of where answers begin and end, all texts from the first token on, for losses.

    The same two come by the names that they have in a bundle, (batch, length).
    """
    both = torch.stack([found["start_logits"], found["end_logits"]], dim=1).float()
    both = both.masked_fill(mask[:, None] == 0, _NEVER)
    if not mask[:, 0].all():  # XLNet's padding comes first
        shifts = mask.argmax(dim=1).tolist()
        both = torch.stack([row.roll(-shift, dims=-1) for row, shift in zip(both, shifts, strict=True)])
    return {"logits": both, "start_logits": both[:, 0], "end_logits": both[:, 1]}


def windows_of(
    task: Task,
    tokenizer: PreTrainedTokenizerBase,
    inputs: Sequence[Text],
    max_length: int,
    asked: Sequence[Sequence[Span]] | None = None,
) -> Texts:
    """Return the windows of contexts as texts, cut as a device cuts them; `asked` are the answers to each question."""
    cutter = Tokenizer(tokenizer.backend_tokenizer.to_str().encode(), max_length)
    by_token = task.options({"align_to_words": False})
    windows = [task.rows(text, cutter, by_token) for text in inputs]
    rows = [row for own in windows for row in own]

    targets = found = None
    if asked is not None:
        targets = [target_of(row, right) for own, right in zip(windows, asked, strict=True) for row in own]
        by_word = [row for text in inputs for row in task.rows(text, cutter, task.options({}))]
        found = Windows(by_word, tuple(map(len, windows)), asked)
    return Texts(
        ids=[list(row.ids) for row in rows],
        types=[list(row.types) for row in rows] if "token_type_ids" in tokenizer.model_input_names else None,
        targets=targets,
        pad_id=tokenizer.pad_token_id,
        pad_type=tokenizer.pad_token_type_id,
        pad_left=tokenizer.padding_side == "left",
        windows=found,
    )


def target_of(row: Tokens, right: Sequence[Span]) -> list[int]:
    """Return the first and the last token of a question's first answer in a window, by their places.

    Where it is not in the window as a whole it is the token of the class, as the field trains it (Devlin et al. 2019).
    """
    places = [place for place, span in enumerate(row.spans) if span is not None]
    none = 0 if not places or places[0] > 0 else len(row.ids) - 1
    if right:
        first, last = right[0].start, right[0].end
        inside = [(place, *span) for place, span in enumerate(row.spans) if span and span[1] > first and span[0] < last]
        if inside and inside[0][1] <= first and inside[-1][2] >= last:
            return [inside[0][0], inside[-1][0]]
    return [none, none]
