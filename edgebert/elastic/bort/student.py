"""New students: BERT models of any architecture with random weights, which read the token ids that a teacher reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from edgebert.elastic.bort.architecture import Architecture, Frame
from edgebert.elastic.checkpoint import Head
from edgebert.elastic.data import Texts
from edgebert.elastic.task import unused_positions
from edgebert.errors import TrainingError

_POSITIONS = 512  # where the teacher's positions are relative


@dataclass(frozen=True)
class Nursery:
    """What all students of a teacher have in common: their frame, and what their configuration takes from it."""

    frame: Frame
    pad_id: int
    layer_norm_eps: float
    head: Head
    seed: int

    @classmethod
    def of(cls, teacher: Any, texts: Texts, head: Head, seed: int) -> "Nursery":
        """Return the nursery of a teacher's students, from its configuration and tokenised texts.

        Raises:
            TrainingError: the teacher reads texts in a way that no BERT can.
        """
        if texts.pad_left:
            advice = "give a teacher of another family"
            raise TrainingError(f"expected a teacher that reads [CLS] first, found {teacher.model_type}; {advice}")
        positions = getattr(teacher, "max_position_embeddings", 0) - unused_positions(teacher)
        types = 1 if texts.types is None else max(2, getattr(teacher, "type_vocab_size", 2))
        frame = Frame(teacher.vocab_size, positions if positions > 0 else _POSITIONS, types, len(head.labels))
        return cls(frame, texts.pad_id, getattr(teacher, "layer_norm_eps", 1e-12), head, seed)

    def config(self, one: Architecture, vocabulary: int | None = None) -> BertConfig:
        """Return the configuration of a student, of a smaller vocabulary if asked for."""
        labels = dict(enumerate(self.head.labels))
        return BertConfig(
            vocab_size=vocabulary or self.frame.vocabulary,
            hidden_size=one.hidden,
            num_hidden_layers=one.depth,
            num_attention_heads=one.heads,
            intermediate_size=one.ffn,
            max_position_embeddings=self.frame.positions,
            type_vocab_size=self.frame.types,
            pad_token_id=self.pad_id,
            layer_norm_eps=self.layer_norm_eps,
            id2label=labels,
            label2id={name: number for number, name in labels.items()},
            problem_type="regression" if self.head.task == "regression" else "single_label_classification",
        )

    def classifier(self, one: Architecture, vocabulary: int | None = None) -> Any:
        """Return a new classifier."""
        torch.manual_seed(self.seed)
        return BertForSequenceClassification(self.config(one, vocabulary))

    def masked_lm(self, one: Architecture) -> Any:
        """Return a new masked language model."""
        torch.manual_seed(self.seed)
        return BertForMaskedLM(self.config(one))


@dataclass(frozen=True)
class Embeddings:
    """What a teacher knows of words and positions: tables (rows, the teacher's embedding size).

    The paper's students start from random weights. Those that see thousands of texts and not billions gain much from
    knowing the words: where the sizes are equal they get the tables as they are, else a random projection of them,
    which keeps what is near near (Johnson and Lindenstrauss 1984).
    """

    words: Tensor
    positions: Tensor | None

    @classmethod
    def of(cls, teacher: Any) -> "Embeddings":
        """Return the tables of a transformers model."""
        positions = getattr(getattr(teacher.base_model, "embeddings", None), "position_embeddings", None)
        return cls(
            words=teacher.base_model.get_input_embeddings().weight.detach(),
            positions=None if positions is None else positions.weight.detach()[unused_positions(teacher.config) :],
        )

    def rows(self, ids: Sequence[int]) -> "Embeddings":
        """Return the tables of a smaller vocabulary."""
        return Embeddings(self.words[list(ids)], self.positions)

    @torch.no_grad()
    def give(self, student: Any) -> None:
        """Put the tables in the place of a student's, as far as they have rows for it."""
        tables = student.base_model.embeddings
        for ours, theirs in ((tables.word_embeddings, self.words), (tables.position_embeddings, self.positions)):
            if theirs is not None and len(theirs) == len(ours.weight):
                ours.weight.copy_(_projected(theirs, ours.weight.shape[1]))


def _projected(table: Tensor, size: int) -> Tensor:
    """Return a table (rows, its size) as (rows, size): turned at random, the same for every table, or as it is."""
    own = table.shape[1]
    if own == size:
        return table
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(max(own, size), min(own, size), generator=generator))[0].to(table)
    projected: Tensor = table @ (basis if own > size else basis.T)
    return projected
