"""Reads a checkpoint's tokenizer: tokenizer.json, or the older vocab.txt of BERT and vocab.json of RoBERTa."""

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors

from edgebert.errors import ExportError
from edgebert.exporters.checkpoint_reader import read_tokenizer_config


def read_tokenizer(checkpoint: Path, vocabulary: int) -> bytes:
    """Return a checkpoint's tokenizer as the content of a tokenizer.json, without truncation or padding.

    Raises:
        ExportError: there is none, it is damaged, or it has more tokens than the model's `vocabulary`.
    """
    try:
        if (checkpoint / "tokenizer.json").is_file():
            tokenizer = tokenizers.Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        elif (checkpoint / "vocab.txt").is_file():
            tokenizer = _from_vocabulary(checkpoint)
        elif (checkpoint / "vocab.json").is_file() and (checkpoint / "merges.txt").is_file():
            tokenizer = _from_merges(checkpoint)
        else:
            expected = "expected tokenizer.json, vocab.txt, or vocab.json with merges.txt"
            found = "spiece.model" if (checkpoint / "spiece.model").is_file() else "none"
            raise ExportError(f"{checkpoint}: {expected}, found {found}; save the tokenizer there with transformers")
    except ExportError:
        raise
    except Exception as problem:  # the library raises bare Exceptions
        raise ExportError(f"{checkpoint}: the tokenizer cannot be read: {problem}; download it again") from None

    # Both would be found only when a text meets them: ids beyond the table, and texts without the token that is read.
    largest = max(tokenizer.get_vocab().values(), default=0)
    if largest >= vocabulary:
        found = f"the tokenizer has tokens up to number {largest}, the model {vocabulary} in all"
        raise ExportError(f"{checkpoint}: {found}; use the tokenizer that the model was trained with")
    if not tokenizer.encode("").ids:
        found = "the tokenizer adds no [CLS] and [SEP]"
        raise ExportError(f"{checkpoint}: {found}; use the one the model was trained with")

    # A tokenizer.json keeps what it was last used with; a bundle's is cut and padded by the device.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer.to_str().encode()


def difference(first: bytes, other: bytes) -> str | None:
    """Return in words in what the second of two tokenizer.json reads texts differently; None if it reads them alike."""
    # The same tokenizer may be written in several ways, depending on what wrote it: only what it does counts.
    ours, theirs = (tokenizers.Tokenizer.from_str(content.decode()) for content in (first, other))
    our_words, their_words = (
        {number: word for word, number in tokenizer.get_vocab().items()} for tokenizer in (ours, theirs)
    )
    for number in sorted({*our_words, *their_words}):
        word, expected = their_words.get(number), our_words.get(number)
        if word != expected:
            return f"{word!r} for token {number} where that has {expected!r}"

    our_parts, their_parts = json.loads(first), json.loads(other)
    for part in ("normalizer", "pre_tokenizer", "model", "added_tokens"):
        if their_parts[part] != our_parts[part]:
            return _setting(part, our_parts[part], their_parts[part])

    # Of post-processors, what they add to a text and to a pair.
    for text in (("a",), ("a", "a")):
        right, other_way = ours.encode(*text), theirs.encode(*text)
        if (other_way.ids, other_way.type_ids) != (right.ids, right.type_ids):
            return f"{' '.join(other_way.tokens)} for {' and '.join(text)} where that has {' '.join(right.tokens)}"
    return None


def _setting(name: str, ours: Any, theirs: Any) -> str:
    """Return in words the first setting of a tokenizer.json that differs."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        key = next(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))
        return _setting(f"{name}.{key}", ours.get(key), theirs.get(key))
    if len(f"{ours}{theirs}") > 100:
        return f"another {name}"
    return f"{name} {json.dumps(theirs)} where that has {json.dumps(ours)}"


def _from_vocabulary(checkpoint: Path) -> tokenizers.Tokenizer:
    """Return BERT's WordPiece tokenizer for a vocab.txt, as transformers' BertTokenizer makes it."""
    vocabulary = models.WordPiece.read_file(str(checkpoint / "vocab.txt"))
    missing = [token for token in ("[CLS]", "[SEP]", "[UNK]") if token not in vocabulary]
    if missing:
        raise ExportError(f"{checkpoint / 'vocab.txt'}: expected {', '.join(missing)}; it is not BERT's vocabulary")
    # Where nothing is said, transformers assumes that texts are lower-cased.
    lowercase = bool(read_tokenizer_config(checkpoint).get("do_lower_case", True))
    made = tokenizers.BertWordPieceTokenizer(vocabulary, lowercase=lowercase)
    # What was made only wraps a Tokenizer: this is one like it.
    return tokenizers.Tokenizer.from_str(made.to_str())


def _from_merges(checkpoint: Path) -> tokenizers.Tokenizer:
    """Return RoBERTa's byte-level tokenizer for a vocab.json and a merges.txt, as transformers' makes it."""
    model = models.BPE.from_file(str(checkpoint / "vocab.json"), str(checkpoint / "merges.txt"))
    tokenizer = tokenizers.Tokenizer(model)
    start, end = (tokenizer.token_to_id(token) for token in ("<s>", "</s>"))
    if start is None or end is None:
        missing = ", ".join(token for token, number in (("<s>", start), ("</s>", end)) if number is None)
        raise ExportError(f"{checkpoint / 'vocab.json'}: expected {missing}; it is not RoBERTa's vocabulary")
    special = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    # Those that the vocabulary has: others would be added to it, with numbers that the model does not know.
    tokenizer.add_special_tokens([token for token in special if tokenizer.token_to_id(token) is not None])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", end), ("<s>", start), add_prefix_space=False)
    return tokenizer
