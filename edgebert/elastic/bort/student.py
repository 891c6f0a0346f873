"""New students: BERT models of any architecture with random weights, which read the token ids that a teacher reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM, BertConfig, PreTrainedModel

from edgebert.elastic.bort.architecture import Architecture, SharedSizes
from edgebert.elastic.heads import TRAINING_HEADS, config_keys
from edgebert.elastic.model_config import ModelConfig, config_of
from edgebert.elastic.texts import Texts
from edgebert.errors import TrainingError
from edgebert.tasks.task import Task

_POSITIONS = 512  # where the teacher's positions are relative


@dataclass(frozen=True)
class StudentBuilder:
    """Makes students of any architecture; all of a teacher's have these in common.

    Their weights are random, but for the teacher's `embeddings` if there are any.
    """

    sizes: SharedSizes
    pad_id: int
    layer_norm_eps: float
    task: Task
    seed: int
    embeddings: "TeacherEmbeddings | None" = None

    @classmethod
    def of(cls, teacher: ModelConfig, texts: Texts, task: Task, seed: int) -> "StudentBuilder":
        """Return what makes a teacher's students; a teacher that reads texts as no BERT can is a TrainingError."""
        if texts.pad_left:
            found = f"found {teacher.plain.model_type}; give a teacher of another family"
            raise TrainingError(f"expected a teacher that reads [CLS] first, {found}")
        # A student has types where the tokenizer gives them, also if its teacher passes over them.
        types = 1 if texts.types is None else max(2, teacher.types)
        sizes = SharedSizes(teacher.plain.vocab_size, teacher.positions or _POSITIONS, types, len(task.labels))
        layer_norm_eps = getattr(teacher.plain, "layer_norm_eps", 1e-12)  # DistilBERT's is fixed
        return cls(sizes, texts.pad_id, layer_norm_eps, task, seed)

    def student(self, one: Architecture, *, masked_lm: bool = False) -> PreTrainedModel:
        """Return a new model with the task's head, or with that of a masked language model."""
        torch.manual_seed(self.seed)
        head = TRAINING_HEADS[self.task.NAME]
        # A BERT, whatever the teacher is, as Bort itself.
        config = BertConfig(
            vocab_size=self.sizes.vocabulary,
            hidden_size=one.hidden,
            num_hidden_layers=one.depth,
            num_attention_heads=one.heads,
            intermediate_size=one.ffn,
            max_position_embeddings=self.sizes.positions,
            type_vocab_size=self.sizes.types,
            pad_token_id=self.pad_id,
            layer_norm_eps=self.layer_norm_eps,
            **config_keys(self.task),
        )
        auto_class: Any = AutoModelForMaskedLM if masked_lm else head.auto_class  # their methods are not typed
        found: PreTrainedModel = auto_class.from_config(config)
        if self.embeddings:
            self.embeddings.copy_into(found)
        return found


@dataclass(frozen=True)
class TeacherEmbeddings:
    """A teacher's tables of words and positions: (rows, the teacher's embedding size).

    The paper's students start from random weights. Those that see thousands of texts and not billions gain much from
    knowing the words: where the sizes are equal they get the tables as they are, else a random projection of them,
    which keeps what is near near (Johnson and Lindenstrauss 1984).
    """

    words: Tensor
    positions: Tensor | None

    @classmethod
    def of(cls, teacher: PreTrainedModel) -> "TeacherEmbeddings":
        """Return the tables of a transformers model."""
        modules = dict(teacher.base_model.named_modules())
        positions = modules.get("embeddings.position_embeddings")
        return cls(
            words=_table(teacher.get_input_embeddings()),
            # RoBERTa's first rows are for no token.
            positions=None if positions is None else _table(positions)[config_of(teacher.config).first_position :],
        )

    def rows(self, ids: Sequence[int]) -> "TeacherEmbeddings":
        """Return the tables of a smaller vocabulary."""
        return TeacherEmbeddings(self.words[list(ids)], self.positions)

    @torch.no_grad()
    def copy_into(self, student: PreTrainedModel) -> None:
        """Put the tables in the place of a student's, as far as they have rows for it."""
        tables = student.base_model.get_submodule("embeddings")
        for name, theirs in (("word_embeddings", self.words), ("position_embeddings", self.positions)):
            ours = _table(tables.get_submodule(name))
            if theirs is not None and len(theirs) == len(ours):
                ours.copy_(_projected(theirs, ours.shape[1]))


def _table(module: nn.Module) -> Tensor:
    assert isinstance(module, nn.Embedding), "embeddings are tables"
    return module.weight.detach()


def _projected(table: Tensor, size: int) -> Tensor:
    """Return a table (rows, its size) as (rows, size): turned at random, or as it is."""
    own = table.shape[1]
    if own == size:
        return table
    # One for words and positions, which are added up.
    generator = torch.Generator().manual_seed(0)
    # Orthonormal, so that lengths and angles change as little as they can.
    basis = torch.linalg.qr(torch.randn(max(own, size), min(own, size), generator=generator))[0].to(table)
    projected: Tensor = table @ (basis if own > size else basis.T)
    return projected
