"""Texts without labels, from which a network learns to embed texts, and those it is scored on."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha1
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from edgebert.elastic.texts import Texts, Windows, tokenise
from edgebert.errors import ExportError, TrainingError
from edgebert.exporters.sentence_folder import is_sentence_folder, read_sentence_folder
from edgebert.exporters.sentence_layers import SentenceLayers
from edgebert.inputs.dataset import read_examples
from edgebert.inputs.manifest import EmbeddingSettings
from edgebert.inputs.tokenization import Tokens
from edgebert.tasks.sentence_embedding import SentenceEmbedding

# Fewer dimensions that vectors are learnt for where nothing else is asked for.
USUAL_DIMS = (512, 256, 128, 64)
# One of so many texts is kept for scores where there are no scored pairs, but not more than the next number.
_HELD_OUT_SHARE, _MOST_HELD_OUT = 20, 1000
_UNKNOWN_SPACE = "0" * 64  # known when the network is trained


def read_sentence_layers(folder: Path, hidden: int) -> SentenceLayers:
    """Return what stands behind the network of a folder, or raise a TrainingError if that is not supported."""
    try:
        return read_sentence_folder(folder, hidden) if is_sentence_folder(folder) else SentenceLayers()
    except ExportError as problem:
        raise TrainingError(str(problem)) from None


def embedding_task(layers: SentenceLayers, hidden: int, dims: Sequence[int] | None) -> SentenceEmbedding:
    """Return the task of a network that is trained for vectors of all its dimensions and of these fewer ones.

    Raises:
        TrainingError: vectors cannot be cut to such dimensions.
    """
    most = layers.dims[0] if layers.dims else layers.size(hidden)
    wrong = next((number for number in dims or () if not 0 < number <= most), None)
    if wrong is not None:
        raise TrainingError(f"expected dims of 1 to {most}, which vectors have, found {wrong}; give fewer")
    fewer = sorted({number for number in (dims or USUAL_DIMS) if number < most}, reverse=True)
    settings = EmbeddingSettings(
        space=_UNKNOWN_SPACE,
        dims=(most, *fewer),
        is_normalized=layers.is_normalized,
        similarity=layers.similarity,
        prompts=dict(layers.prompts),
        default_prompt=layers.default_prompt,
    )
    return SentenceEmbedding((), settings)


def texts_to_distil(files: Sequence[Path]) -> list[str]:
    """Return the texts of files, each once, or raise an EdgeBertError if one cannot be read."""
    found = {text: None for file in files for row in read_examples(file) for text in (row.text, row.pair) if text}
    return list(found)


def without_held_out(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return texts without some that are kept for scores, and these, or raise a TrainingError if they are too few."""
    kept = [text for text in texts if int(sha1(text.encode()).hexdigest(), 16) % _HELD_OUT_SHARE == 0]
    kept = kept[:_MOST_HELD_OUT]
    held_out = set(kept)
    learnt = [text for text in texts if text not in held_out]
    if not learnt or not kept:
        expected = "expected many texts in --texts, of which some are kept for scores"
        raise TrainingError(f"{expected}, found {len(texts)}; give more, or scored pairs with --dev")
    return learnt, kept


def scored_pairs(task: SentenceEmbedding, file: Path, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Texts:
    """Return the texts of pairs one after the other, two for each, with how alike they are.

    Raises:
        EdgeBertError: the file cannot be read, or a row is no pair with a number.
    """
    rows = list(read_examples(file))
    asked = [task.target(row) for row in rows]
    texts = tokenise(tokenizer, [text for row in rows for text in (row.text, str(row.pair))], max_length)
    return replace(texts, windows=Windows([Tokens((), ())] * len(texts), (2,) * len(rows), asked))
