"""Has transformers read a checkpoint's tokenizer, and writes it as the tokenizer.json that a device reads alike.

What the files of a tokenizer say together, transformers alone decides, and not each version as the one before: where
tokenizer.json and tokenizer_config.json differ, which class is meant, which tokens are added with which numbers.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from edgebert import records
from edgebert.errors import EdgeBertError, ExportError, needing
from edgebert.exporters.checkpoint import Checkpoint
from edgebert.inputs.text_cuts import parts_of
from edgebert.inputs.tokenization import Text, Tokenizer
from edgebert.inputs.tokenizer_file import LONGEST_PIECE, has_long_piece

# Of how many special and added tokens it is tried what they become in a text, and at how many tokens texts are cut.
_TRIED_TOKENS = 50
_TRIED_LENGTH = 32
_MOST_BYTES = 1 << 27  # of a file of a tokenizer: eight times the largest of an encoder
_VOCABULARY_FILES = ("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "spm.model", "sentencepiece.bpe.model")


@dataclass(frozen=True)
class CheckpointTokenizer:
    """A checkpoint's tokenizer.

    `content` is that of a tokenizer.json, which truncates on the checkpoint's side; `max_length` is the most tokens
    that transformers keeps of a text where it is not told otherwise, None for all; `gives_types` says whether it tells
    a model which text of a pair a token is of, `special_tokens` how many it adds to a single text and to a pair.
    """

    content: bytes
    max_length: int | None
    gives_types: bool
    special_tokens: tuple[int, int]

    def cut_at(self, max_length: int) -> bytes:
        """Return the content of a tokenizer.json that truncates at so many tokens."""
        tokenizer = tokenizers.Tokenizer.from_buffer(self.content)
        tokenizer.enable_truncation(max_length, direction=_side(tokenizer))
        return tokenizer.to_str().encode()


def load_tokenizer(checkpoint: Path) -> Any:
    """Return transformers' tokenizer of a checkpoint.

    Raises:
        ExportError: there is none, or it cannot be read.
    """
    with needing("export", "reading a tokenizer"):
        from transformers import AutoTokenizer, RobertaTokenizer

    _check_files(checkpoint)
    found = _loaded(AutoTokenizer, checkpoint)
    # A released Bort calls itself a BERT, and has RoBERTa's tokenizer.
    is_bort = type(found).__name__ == "BertTokenizer" and not _missing_files(RobertaTokenizer, checkpoint)
    if is_bort and _missing_files(found, checkpoint):
        found = _loaded(RobertaTokenizer, checkpoint)

    # Where its files are not there, transformers makes up a tokenizer of special tokens alone.
    missing = _missing_files(found, checkpoint)
    if missing:
        expected = f"expected tokenizer.json or {' with '.join(missing)} for {type(found).__name__}"
        others = sorted(path.name for path in checkpoint.iterdir() if path.name in _VOCABULARY_FILES)
        advice = "save the tokenizer there with transformers"
        raise ExportError(f"{checkpoint}: {expected}, found {', '.join(others) or 'none'}; {advice}")
    return found


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' warnings and progress bars off the terminal, which is ours."""
    # Imported without torch, it advises to install that.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from transformers.utils import logging

    settings: Any = logging  # some of its functions are not typed
    # Both are settings of the whole process, which is the caller's: they are put back.
    verbosity, bars = settings.get_verbosity(), settings.is_progress_bar_enabled()
    settings.set_verbosity_error()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        settings.set_verbosity(verbosity)
        if bars:
            settings.enable_progress_bar()


def read_tokenizer(source: Checkpoint) -> CheckpointTokenizer:
    """Return the tokenizer of a checkpoint whose model is read, to be used on a device as transformers uses it.

    Raises:
        ExportError: there is none, it is damaged, has more tokens than the model, or has a setting that a device
            cannot follow.
    """
    theirs = load_tokenizer(source.path)
    if source.sentence and source.sentence.lowers:
        _put_into_lower_case(theirs.backend_tokenizer)
    with _refusing(source.path, "read texts"):  # such as a WordPiece without its unknown token
        return _as_on_a_device(source, theirs)


def _put_into_lower_case(tokenizer: tokenizers.Tokenizer) -> None:
    """Have a tokenizer put texts into lower case first, as sentence-transformers does where it does not do so."""
    normalizer = tokenizer.normalizer
    parts = parts_of(normalizer, "normalizers")
    if not any(part["type"] == "Lowercase" for part in parts):
        first = tokenizers.normalizers.Lowercase()
        tokenizer.normalizer = tokenizers.normalizers.Sequence([first, normalizer] if normalizer else [first])


def _as_on_a_device(source: Checkpoint, theirs: Any) -> CheckpointTokenizer:
    checkpoint, vocabulary = source.path, source.sizes.vocabulary
    _check_settings(checkpoint, theirs, source.family.padding_sides)

    # Before it is written, which for a token of number 2^31 takes all memory.
    _check_tokens(checkpoint, theirs.backend_tokenizer, vocabulary)
    tokenizer = tokenizers.Tokenizer.from_str(theirs.backend_tokenizer.to_str())
    # A tokenizer.json keeps what it was last used with; a bundle's is padded by the device.
    tokenizer.no_padding()
    tokenizer.enable_truncation(512, direction=theirs.truncation_side)

    longest = (source.sentence and source.sentence.max_length) or theirs.model_max_length
    # By its type, since True is an int too, and a number that is none is not above anything.
    if type(longest) not in (int, float) or not longest >= 1:
        expected = f"expected a number above 0 for the tokenizer's model_max_length, found {str(longest)[:40]}"
        raise ExportError(f"{checkpoint}: {expected}; correct it in tokenizer_config.json")
    found = CheckpointTokenizer(
        content=tokenizer.to_str().encode(),
        max_length=int(longest) if longest < 2**20 else None,  # transformers has 1e30 where nothing is said
        gives_types="token_type_ids" in theirs.model_input_names and any(tokenizer.encode("a", "a").type_ids),
        special_tokens=(tokenizer.num_special_tokens_to_add(False), tokenizer.num_special_tokens_to_add(True)),
    )
    _check_answers(checkpoint, theirs, found)
    if found.gives_types and not source.family.token_types and source.sizes.types > 1:
        reason = "its tokenizer gives the two texts of a pair types, which is not supported for such a model"
        raise ExportError(f"{checkpoint}: {reason}; save it without token_type_ids in model_input_names")
    return found


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
    if _side(theirs) != _side(ours):
        return f"truncation_side {_side(theirs)} where that has {_side(ours)}"

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


def _side(tokenizer: tokenizers.Tokenizer) -> str:
    return str((tokenizer.truncation or {"direction": "right"})["direction"])


def _loaded(reader: Any, checkpoint: Path) -> Any:
    """Return what a class of transformers reads, or raise an ExportError in one line."""
    with _refusing(checkpoint, "be read"), quiet():
        return reader.from_pretrained(checkpoint, trust_remote_code=False, local_files_only=True)


@contextlib.contextmanager
def _refusing(checkpoint: Path, work: str) -> Iterator[None]:
    """Make one line of what the libraries raise: many kinds, of which the tokenizers' panics are no Exception."""
    try:
        yield
    except (EdgeBertError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as problem:
        reason = " ".join(str(problem).split())[:200] or type(problem).__name__
        raise ExportError(f"{checkpoint}: the tokenizer cannot {work}: {reason}; download it again") from None


def _check_files(checkpoint: Path) -> None:
    """Check that there is no file among those of a tokenizer which a reader would wait for, or fill the memory with."""
    for path in checkpoint.iterdir():
        if path.suffix not in (".json", ".txt", ".model") or not path.exists() or path.is_dir():
            continue
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise ExportError(f"{path}: expected a plain file of at most {_MOST_BYTES:,} bytes; download it again")
        if path.name == "tokenizer.json" and has_long_piece(records.read_bytes(path, ExportError)):
            expected = f"expected pieces of words of at most {LONGEST_PIECE:,} characters, found a longer one"
            raise ExportError(f"{path}: {expected}; download it again")


def _missing_files(reader: Any, checkpoint: Path) -> list[str]:
    """Return the files that a tokenizer of transformers is made of; none if they are all there, or tokenizer.json."""
    names = [str(name) for kind, name in reader.vocab_files_names.items() if name and kind != "tokenizer_file"]
    there = (checkpoint / "tokenizer.json").is_file() or all((checkpoint / name).is_file() for name in names)
    return [] if there else names


def _check_settings(checkpoint: Path, theirs: Any, padding_sides: tuple[str, ...]) -> None:
    """Check that there is no setting which stands in no tokenizer.json and changes what is read."""
    unsupported = {
        f"class {type(theirs).__name__}": not theirs.is_fast,
        "split_special_tokens": getattr(theirs, "split_special_tokens", False),
        f"padding_side {theirs.padding_side!r}": theirs.padding_side not in padding_sides,
        "dropout": bool(theirs.is_fast and getattr(theirs.backend_tokenizer.model, "dropout", None)),
    }
    for setting, found in unsupported.items():
        if found:
            advice = "save it without that, if the model was trained so"
            raise ExportError(f"{checkpoint}: the tokenizer's {setting} is not supported; {advice}")


def _check_tokens(checkpoint: Path, tokenizer: tokenizers.Tokenizer, vocabulary: int) -> None:
    # Both would be found only when a text meets them: ids beyond the table, and texts without the token that is read.
    largest = max(tokenizer.get_vocab().values(), default=0)
    if largest >= vocabulary:
        found = f"the tokenizer has tokens up to number {largest}, the model {vocabulary} in all"
        raise ExportError(f"{checkpoint}: {found}; use the tokenizer that the model was trained with")
    if not tokenizer.num_special_tokens_to_add(False):
        found = "the tokenizer adds no [CLS] and [SEP]"
        raise ExportError(f"{checkpoint}: {found}; use the one the model was trained with")
    _check_added_tokens(checkpoint, tokenizer)


def _check_added_tokens(checkpoint: Path, tokenizer: tokenizers.Tokenizer) -> None:
    """Check that no two added tokens are the same to the normalizer: which is read then changes from load to load."""
    by_text: dict[str, str] = {}
    for token in tokenizer.get_added_tokens_decoder().values():
        if token.normalized:
            normalizer = tokenizer.normalizer
            text = normalizer.normalize_str(token.content) if normalizer else token.content
            other = by_text.setdefault(text, token.content)
            if other != token.content:
                found = f"the tokenizer's added tokens {other!r} and {token.content!r} are the same to its normalizer"
                raise ExportError(f"{checkpoint}: {found}; leave one of them out")


def _check_answers(checkpoint: Path, theirs: Any, found: CheckpointTokenizer) -> None:
    """Check that the device side reads texts of all kinds as transformers does."""
    ours = Tokenizer(found.content, _TRIED_LENGTH)
    for text in _tried_texts(theirs):
        parts = text if isinstance(text, tuple) else (text,)
        expected, tokens = theirs(*parts, truncation=True, max_length=_TRIED_LENGTH), ours.encode(text)
        types = expected.get("token_type_ids", tokens.types)
        if (tokens.ids, tokens.types) != (expected["input_ids"], types):
            reason = f"{type(theirs).__name__} reads {text!r} otherwise than its tokenizer.json"
            raise ExportError(f"{checkpoint}: {reason}; save it as a PreTrainedTokenizerFast")


def _tried_texts(theirs: Any) -> Iterator[Text]:
    plain = "The na\u00efve caf\u00e9's \u6771\u4eac, \u0130\u00df 3.5\t\u00a0\U0001f600 \U00012000"
    yield plain
    yield "x" * 200  # an unknown word to WordPiece
    yield plain, "a b"
    yield f"{plain} " * 2, f"{plain} " * 3  # no more: transformers' time goes with the product of what is cut off
    tokens = [*theirs.all_special_tokens, *theirs.get_added_vocab()]
    for token in dict.fromkeys(map(str, tokens[:_TRIED_TOKENS])):
        yield f"a {token} b{token}c {token.lower()}"
