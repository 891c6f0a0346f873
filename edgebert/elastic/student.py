"""New students: BERT models of any architecture with random weights, which read the token ids that a teacher reads."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from edgebert.elastic.architecture import Architecture, Frame
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


@torch.no_grad()
def copy_embeddings(student: Any, teacher: Any) -> list[str]:
    """Give a student the word and position embeddings of its teacher where they are of one shape; return their names.

    The paper's students start from random weights; a small student that is trained for hours, not for weeks, gains much
    from knowing the words.
    """
    ours, theirs = student.base_model.embeddings, teacher.base_model.get_input_embeddings().weight
    copied = []
    if ours.word_embeddings.weight.shape == theirs.shape:
        ours.word_embeddings.weight.copy_(theirs)
        copied.append("words")
    table = getattr(getattr(teacher.base_model, "embeddings", None), "position_embeddings", None)
    if table is not None:
        positions = table.weight[unused_positions(teacher.config) :]
        if ours.position_embeddings.weight.shape == positions.shape:
            ours.position_embeddings.weight.copy_(positions)
            copied.append("positions")
    return copied
