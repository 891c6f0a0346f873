"""What a tokenizer.json is checked for before the library reads it. Knows no tokenizers."""

import msgspec

from edgebert.records import UNREADABLE

# The library frees a Unigram's pieces by recursion: one of a million bytes ends the process.
LONGEST_PIECE = 50_000


class _Model(msgspec.Struct):
    vocab: msgspec.Raw = msgspec.Raw(b"{}")


class _TokenizerFile(msgspec.Struct):
    model: _Model


def has_long_piece(content: bytes) -> bool:
    """Return whether a tokenizer.json has a piece of words that is too long to be read safely."""
    try:
        vocabulary = bytes(msgspec.json.decode(content, type=_TokenizerFile).model.vocab)
        # A Unigram's pieces stand in a list, with their scores; other models' in an object.
        pieces = msgspec.json.decode(vocabulary, type=list[tuple[str, float]]) if vocabulary.startswith(b"[") else []
    except UNREADABLE:
        return False  # the library says what is wrong with it
    return any(len(piece) > LONGEST_PIECE for piece, _ in pieces)
