"""The torch side of sentence embeddings: what makes vectors of the states of tokens, and what they are taught by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from transformers.utils.generic import ModelOutput as TransformersOutput

from edgebert.elastic.losses import TensorOutputs
from edgebert.elastic.model import ReadOutputs
from edgebert.inputs.manifest import FIDELITY
from edgebert.inputs.tokenization import Tokens
from edgebert.tasks.sentence_embedding import SentenceEmbedding
from edgebert.tasks.task import Options, Outputs, Results

# How much similarities, and which texts are the nearest, count beside the vectors themselves (docs/log.md).
_SIMILARITIES, _NEAREST = 20.0, 0.1
# What similarities are divided by where they are made shares of nearness: at most about ten texts have one to speak of.
_TEMPERATURE = 0.05


def vectors_of(folder: Path) -> ReadOutputs:
    """Return what makes vectors (batch, dims) as the modules of a sentence-transformers folder do, which do not learn.

    A folder without modules has the mean of all tokens.
    """
    from sentence_transformers import SentenceTransformer  # who trains for another task need not have it

    network, *modules = SentenceTransformer(str(folder), device="cpu", local_files_only=True).children()
    del network  # the states that it makes are those of a sub-network here
    for module in modules:
        module.requires_grad_(False)

    def read(found: TransformersOutput, mask: Tensor) -> Mapping[str, Tensor]:
        features = {"token_embeddings": found["last_hidden_state"].float(), "attention_mask": mask}
        for module in modules:
            features = module.to(mask.device)(features)
        return {"embedding": features["sentence_embedding"]}

    return read


@dataclass(frozen=True)
class EmbeddingLosses:
    """What sub-networks learn to embed texts by: a teacher's vectors, without labels.

    All are to lie where the full network's lie, which holds the documents of an index; and that one, which is to stay
    near the teacher, moves to where the others are able to follow (docs/log.md). Vectors are to be good cut to each of
    `dims` too (Kusupati et al. 2022, Matryoshka representations).
    """

    dims: Sequence[int]
    of_tokens: bool = False
    moves_full: bool = True
    _random: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0), compare=False)

    def of_targets(self, outputs: TensorOutputs, targets: Tensor) -> Tensor:
        """Raise an AssertionError: vectors have no targets."""
        raise AssertionError("embeddings are learnt from a teacher alone")

    def for_ranking(self, outputs: TensorOutputs, targets: Tensor | None) -> Tensor:
        """Return each vector's part in a direction drawn at random: what moves it matters, wherever it moves."""
        vectors = outputs["embedding"]
        directions = torch.randn(vectors.shape, generator=self._random).to(vectors.device)
        return (vectors * directions).sum()

    def of_teacher(
        self, student: TensorOutputs, teacher: TensorOutputs, full: TensorOutputs, temperature: float = 1.0
    ) -> Tensor:
        """Return how far vectors are from the full network's, and similarities of texts from those to the teacher.

        Similarities are those of vectors among each other, and of vectors as queries with the full network's as
        documents.
        """
        ours, right, documents = (outputs["embedding"].float() for outputs in (student, teacher, full))
        loss = (ours - documents).square().sum() / right.square().sum(dim=1).mean()
        wanted = functional.normalize(right, dim=1)
        wanted = wanted @ wanted.T
        for dims in self.dims:
            query, document = (functional.normalize(one[:, :dims], dim=1) for one in (ours, documents))
            for others in (query, document):
                loss = loss + similarity_loss(query @ others.T, wanted)
        return loss


def similarity_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Return how far similarities (texts, texts) are from those wanted, above all those of each text's nearest ones."""
    squares = (found - wanted).square().mean(dim=1).sum()
    itself = torch.eye(len(wanted), dtype=torch.bool, device=wanted.device)
    ours, right = ((one / _TEMPERATURE).masked_fill(itself, -1e4).log_softmax(dim=1) for one in (found, wanted))
    nearest = functional.kl_div(ours, right, reduction="sum", log_target=True)
    return _SIMILARITIES * squares + _NEAREST * nearest


@dataclass(frozen=True)
class VectorFidelity:
    """How near vectors are to the `full` network's for the same texts, as scoring asks for it."""

    task: SentenceEmbedding
    full: Results

    METRICS: ClassVar[tuple[str, ...]] = (FIDELITY,)
    BESIDE_FULL: ClassVar[bool] = False

    def options(self, given: Mapping[str, Any]) -> Options:
        """Return what is asked for where nothing is given."""
        return self.task.options(given)

    def results(self, outputs: Outputs, rows: Sequence[Tokens], options: Options) -> Results:
        """Return the vector of each text."""
        return self.task.results(outputs, rows, options)

    def metrics(self, results: Results, targets: Sequence[Any]) -> dict[str, float]:
        """Return the mean cosine."""
        return {FIDELITY: self.task.fidelity(results, self.full)}
