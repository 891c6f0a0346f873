"""What a bundle says of its vectors: in which space they lie, and to which dimensions they may be cut."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np
import tokenizers

from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import Array
from edgebert.exporters.sentence_layers import SentenceLayers
from edgebert.inputs.manifest import EmbeddingSettings
from edgebert.tasks.sentence_embedding import SentenceEmbedding
from edgebert.tasks.task import Task

# Whatever wrote a tokenizer: what it makes of a text counts, and not the form of its file.
_TRIED_TEXT = "Ärger, café: 東京 & naïve FAÇADES, [1,000.5] x_y don't re-run unbelievably"


def embedding_task(
    layers: SentenceLayers, hidden: int, tensors: Mapping[str, Array], elastic: ElasticManifest | None
) -> SentenceEmbedding:
    """Return the task of a checkpoint whose token vectors have `hidden` dimensions."""
    most = layers.dims[0] if layers.dims else layers.size(hidden)
    trained = [dims for dims in (elastic.dims if elastic else ()) if dims < most]
    settings = EmbeddingSettings(
        space=(elastic.space if elastic else None) or _space_of(layers, tensors),
        dims=(most, *sorted(set(trained), reverse=True)),
        is_normalized=layers.is_normalized,
        similarity=layers.similarity,
        prompts=dict(layers.prompts),
        default_prompt=layers.default_prompt,
    )
    return SentenceEmbedding((), settings)


def _space_of(layers: SentenceLayers, tensors: Mapping[str, Array]) -> str:
    """Return the hash of what decides where texts lie: the whole network's tensors and what stands behind it."""
    digest = hashlib.sha256(msgspec.json.encode([layers.poolings, list(map(asdict, layers.steps)), layers.lowers]))
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].shape}".encode())
        digest.update(np.ascontiguousarray(tensors[name]).data)
    return digest.hexdigest()


def settled(path: Path, task: Task, tokenizer: bytes, elastic: ElasticManifest | None, dims: Sequence[int]) -> Task:
    """Return the task of a checkpoint with what its tokenizer and the `dims` that somebody names add to it.

    Raises:
        ExportError: vectors cannot be cut to these dims, or there are none.
    """
    if not isinstance(task, SentenceEmbedding):
        if dims:
            raise ExportError(f"{path}: dims are those of embeddings, found the task {task.NAME}; leave them out")
        return task

    settings, known = task.settings, task.settings.dims
    trained = known if elastic and elastic.dims else range(1, known[0] + 1)
    wrong = next((number for number in dims if number not in trained), None)
    if wrong is not None:
        expected = f"{', '.join(map(str, known))}, which it was trained for" if elastic else f"at most {known[0]}"
        raise ExportError(f"{path}: expected dims of {expected}, found {wrong}; name others with --dims")
    if not (elastic and elastic.space):
        ids = tokenizers.Tokenizer.from_buffer(tokenizer).encode(_TRIED_TEXT).ids
        space = hashlib.sha256(f"{settings.space} {ids}".encode()).hexdigest()
        settings = msgspec.structs.replace(settings, space=space)
    kept = (known[0], *sorted(set(dims) - {known[0]}, reverse=True)) if dims else known
    return SentenceEmbedding((), msgspec.structs.replace(settings, dims=kept))
