"""Variants of texts by masked-LM word replacement, as TinyBERT (arXiv 1909.10351, algorithm 1) and DynaBERT use them.

A word that is one token may be replaced by what a masked language model would put there. Longer words stay: TinyBERT
looks up their neighbours in a table of word vectors, which a checkpoint does not carry.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedTokenizerBase

from edgebert.elastic.checkpoint import explained, load_tokenizer
from edgebert.elastic.families import masked_lm_family
from edgebert.elastic.model import autocast
from edgebert.elastic.stage import TrainingSettings
from edgebert.elastic.texts import in_parts
from edgebert.errors import TrainingError
from edgebert.inputs.tokenization import Text
from edgebert.journal import Journal
from edgebert.records import Record

# TinyBERT's settings: a word is replaced with this probability, by one of so many candidates.
PROBABILITY, CANDIDATES = 0.4, 15
_MASKED_BATCH = 64  # copies of a text at once, each with another word masked


class Augmenter:
    """A masked language model that varies texts; the variants depend on the text and the seed alone."""

    def __init__(self, checkpoint: Path, device: torch.device, settings: TrainingSettings):
        """Load the model, or raise a TrainingError if the checkpoint cannot be read or has no masked-LM head."""
        with explained(checkpoint):
            kind = AutoConfig.from_pretrained(checkpoint).model_type
        self._family = masked_lm_family(kind, "name one with --augment-model")
        with explained(checkpoint):
            model, found = AutoModelForMaskedLM.from_pretrained(checkpoint, output_loading_info=True)
        if found["missing_keys"]:
            advice = "name a pre-trained checkpoint with --augment-model"
            raise TrainingError(f"{checkpoint} has no masked-LM head ({sorted(found['missing_keys'])[0]}); {advice}")
        self._model = model.to(device).eval()
        self._tokenizer = load_tokenizer(checkpoint)
        self._words = _whole_words(self._tokenizer)
        self._device, self._settings = device, settings

    def variants(self, text: str, count: int) -> list[str]:
        """Return so many variants of a text; fewer words are replaced where candidates are the word itself."""
        generator = random.Random(f"{self._settings.seed} {text}")
        spans = self._candidates(text)
        return [_replaced(text, spans, generator) for _ in range(count)]

    def _candidates(self, text: str) -> list[tuple[slice, list[str]]]:
        """Return the place of each word that is one token, and what could stand there."""
        max_length = self._settings.max_length
        encoded = self._tokenizer(text, truncation=True, max_length=max_length, return_offsets_mapping=True)
        spans = [slice(*offsets) for offsets in encoded["offset_mapping"]]
        tokens_of = Counter(word for word in encoded.word_ids() if word is not None)
        # Special tokens are of no word, and signs are words to the tokenizer.
        alone = [place for place, word in enumerate(encoded.word_ids()) if tokens_of[word] == 1]
        places = [place for place in alone if text[spans[place]].isalpha()]
        found = []
        for chunk in in_parts(places, _MASKED_BATCH):
            for place, best in zip(chunk, self._predict(encoded["input_ids"], chunk), strict=True):
                words = (self._words[token] for token in best if token in self._words)
                options = [word for word in words if word.lower() != text[spans[place]].lower()]
                found.append((spans[place], options[:CANDIDATES]))
        return found

    @torch.inference_mode()
    def _predict(self, ids: Sequence[int], places: Sequence[int]) -> list[list[int]]:
        """Return the most probable token ids for each place, when that place alone is masked."""
        rows, each = torch.tensor(ids).repeat(len(places), 1), torch.arange(len(places))
        rows[each, torch.tensor(places)] = self._tokenizer.mask_token_id
        with autocast(self._device, self._settings.compute):
            hidden = self._model.base_model(input_ids=rows.to(self._device)).last_hidden_state
            # The head is as costly as several layers: for the masked places only.
            logits = self._family.guess_tokens(self._model, hidden[each, torch.tensor(places)])
        # Twice as many as are wanted, since pieces of words and the word itself are passed over.
        best: list[list[int]] = logits.topk(min(2 * CANDIDATES, logits.shape[-1])).indices.tolist()
        return best


def _whole_words(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """Return the tokens of a vocabulary that are words of their own, not pieces, signs or special tokens."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    # WordPiece marks the pieces that go on with a word; byte-level BPE and SentencePiece mark those that begin one.
    pieces_marked = any(token.startswith("##") for token in vocabulary)
    found = {}
    for token, number in vocabulary.items():
        word = token if pieces_marked else token[1:] if token.startswith(("\u0120", "\u2581")) else ""
        if word.isalpha():
            found[number] = word
    return found


def _replaced(text: str, spans: Sequence[tuple[slice, Sequence[str]]], generator: random.Random) -> str:
    pieces, end = [], 0
    for span, options in spans:
        # What stands between words, spaces and signs, is kept as it is.
        if options and generator.random() < PROBABILITY:
            pieces += [text[end : span.start], generator.choice(options)]
            end = span.stop
    return "".join(pieces) + text[end:]


class Variants(Record, frozen=True):
    """The variants of one training text, each of one part, or of two where texts are pairs."""

    variants: tuple[tuple[str, ...], ...]


def augmented(
    inputs: Sequence[Text], count: int, load: Callable[[], Augmenter], cache: Path, on_text: Callable[[int, int], None]
) -> list[Text]:
    """Return so many variants of each text or pair, those of the file `cache` and, added to it, those that it lacks.

    `on_text` is told how many inputs are done, of how many.

    Raises:
        TrainingError: the augmenter cannot be loaded, or the file is damaged.
    """
    journal = Journal[Variants](cache, Variants, TrainingError)
    done = journal.read()
    if len(done) < len(inputs):
        augmenter = load()
        for number, text in enumerate(inputs[len(done) :], len(done) + 1):
            # Parts of a pair are varied one by one, and put together again.
            columns = [augmenter.variants(part, count) for part in ((text,) if isinstance(text, str) else text)]
            found = Variants(tuple(zip(*columns, strict=True)))
            journal.append(found)
            done.append(found)
            on_text(number, len(inputs))
    return [row[0] if len(row) == 1 else (row[0], row[1]) for one in done for row in one.variants]
