"""Where a long text may be cut so that no token of what is kept changes. Knows tokenizers, and no networks."""

import itertools
import json
import re
from dataclasses import dataclass
from typing import Any

import tokenizers
from tokenizers import models

# What reads each character, or each cluster of them, by itself: a cut before white space changes nothing.
_LOCAL_NORMALIZERS = {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Precompiled", "StripAccents"}
# What drops white space, and hands on each word by itself.
_WORD_SPLITTERS = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
# What looks at no more than one word, where it stands behind one of these.
_WITHIN_WORDS = {*_WORD_SPLITTERS, "ByteLevel", "Digits", "Metaspace", "Punctuation", "Split"}

# Letters and digits that BERT neither splits off nor removes: each stays at least one character of its word.
_LETTERS = "0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017f\u0391-\u03a1\u03a3-\u03c9\u0410-\u044f"
_CHINESE = "\u4e00-\u9fff"
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~"  # but for _, which belongs to a word where one is looked for


def longest_first(first: int, second: int, most: int) -> tuple[int, int]:
    """Return how many tokens two texts keep of `most`: the longer one is cut until both are equal, then both."""
    if first + second <= most:
        return first, second
    shorter = min(first, second, most // 2)
    longer = most - shorter
    return (shorter, longer) if first <= second else (longer, shorter)


def parts_of(part: Any, name: str) -> list[dict[str, Any]]:
    """Return the settings of a part of a tokenizer, or of each that a sequence has under `name`; none for None."""
    return [] if part is None else _flat(json.loads(part.__getstate__()), name)


def _flat(settings: dict[str, Any], name: str) -> list[dict[str, Any]]:
    inner = [_flat(one, name) for one in settings[name]] if settings["type"] == "Sequence" else [[settings]]
    return list(itertools.chain(*inner))


@dataclass(frozen=True)
class TextCuts:
    """Where texts may be cut for one tokenizer.

    The tokens of what is before and behind a place that `places` matches, one after the other, are those of both
    together; None if no such place is known. What `long_words` matches may be put for its two groups, which stand for
    one unknown word either way; None where words have no longest length.
    """

    places: re.Pattern[str] | None
    long_words: re.Pattern[str] | None

    @classmethod
    def of(cls, tokenizer: tokenizers.Tokenizer) -> "TextCuts":
        """Return the places that a tokenizer's parts allow."""
        added = _added_tokens(tokenizer)
        if not all(map(_is_local, parts_of(tokenizer.normalizer, "normalizers"))) or re.search(r"\s", "".join(added)):
            return cls(None, None)

        splitters = parts_of(tokenizer.pre_tokenizer, "pretokenizers")
        kinds = [splitter["type"] for splitter in splitters]
        normalizers = [part["type"] for part in parts_of(tokenizer.normalizer, "normalizers")]
        if kinds == ["BertPreTokenizer"] and normalizers in ([], ["BertNormalizer"]):
            return cls(_before_bert_words(tokenizer, added), _long_bert_words(tokenizer, added))
        if kinds and kinds[0] in _WORD_SPLITTERS and _WITHIN_WORDS.issuperset(kinds):
            return cls(_before("\t\n "), None)

        # White space becomes a part of the word behind it, unless a token in front of it takes it away.
        if any(token.rstrip for token in tokenizer.get_added_tokens_decoder().values()):
            return cls(None, None)
        if kinds == ["ByteLevel"] and splitters[0].get("use_regex", True) and not normalizers:
            # A prefixed space stands in front of other white space too.
            return cls(_before(" " if splitters[0]["add_prefix_space"] else "\t\n "), None)
        if kinds == ["Metaspace"] and splitters[0].get("split", True):
            return cls(_before(" "), None)
        return cls(None, None)

    def start_of(self, text: str, reach: int) -> str | None:
        """Return the longest start of at most `reach` characters that ends at a place; None if there is none."""
        if len(text) <= reach:
            return text
        found = self._last_place(text, reach)
        return text[:found] if found else None

    def end_of(self, text: str, reach: int) -> str | None:
        """Return an end of at most `reach` characters that begins at a place; None if there is none."""
        if len(text) <= reach:
            return text
        found = self.places.search(text, len(text) - reach) if self.places else None
        return text[found.start() :] if found else None

    def shortened(self, text: str) -> str:
        """Return a text whose words of thousands of characters are shorter, and no less unknown."""
        return self.long_words.sub(r"\1\2", text) if self.long_words else text

    def _last_place(self, text: str, reach: int) -> int | None:
        if self.places is None:
            return None
        # From the end, in steps: the last place mostly lies within the last word.
        for step in (100, 10_000, reach):
            *_, last = (None, *self.places.finditer(text, max(reach - step, 1), reach))
            if last is not None:
                return last.start()
        return None


def _is_local(normalizer: dict[str, Any]) -> bool:
    if normalizer["type"] == "Replace":
        pattern = normalizer["pattern"]
        # Runs of spaces, as sentencepiece's converters write it, or a string without any.
        return pattern == {"Regex": " {2,}"} or not re.search(r"\s", pattern.get("String", " ") + normalizer["content"])
    if normalizer["type"] == "Strip":
        return not normalizer["strip_left"]
    return normalizer["type"] in _LOCAL_NORMALIZERS


def _added_tokens(tokenizer: tokenizers.Tokenizer) -> list[str]:
    """Return the texts that are tokens wherever they stand, as they are and as the normalizer writes them."""
    contents = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    normalizer = tokenizer.normalizer
    return contents + ([normalizer.normalize_str(content) for content in contents] if normalizer else [])


def _before(characters: str) -> re.Pattern[str]:
    # Behind a letter or a sign: other characters may become white space, or one with what follows them.
    return re.compile(rf"(?<=[\w!-~])(?=[{characters}])")


def _before_bert_words(tokenizer: tokenizers.Tokenizer, added: list[str]) -> re.Pattern[str]:
    """Return the places before white space, and before what is a word by itself and in no added token."""
    tokens, used = tokenizer.get_added_tokens_decoder().values(), "".join(added)
    signs = re.escape("".join(sign for sign in _PUNCTUATION if sign not in used))
    chinese = any(part["handle_chinese_chars"] for part in parts_of(tokenizer.normalizer, "normalizers"))
    # To a token that must stand alone, a Chinese character behind it is a part of its word.
    if chinese and not any(token.single_word for token in tokens) and not re.search(f"[{_CHINESE}]", used):
        signs += _CHINESE
    return _before(rf"\t\n {signs}")


def _long_bert_words(tokenizer: tokenizers.Tokenizer, added: list[str]) -> re.Pattern[str] | None:
    """Return what matches words of more characters than any known word has, whose first and last ones are kept."""
    if not isinstance(tokenizer.model, models.WordPiece) or any(re.fullmatch(f"[{_LETTERS}]*", one) for one in added):
        return None
    kept = max(tokenizer.model.max_input_chars_per_word + 1, *map(len, added), 1)
    return re.compile(rf"(?<![{_LETTERS}])([{_LETTERS}]{{{kept}}})[{_LETTERS}]+([{_LETTERS}]{{{kept}}})")
