"""Variants of texts by masked-LM word replacement, as TinyBERT (arXiv 1909.10351, algorithm 1) and DynaBERT use them.

A word that is one token may be replaced by what a masked language model would put there. Longer words stay: TinyBERT
looks up their neighbours in a table of word vectors, which a checkpoint does not carry.
"""

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from transformers import AutoModelForMaskedLM

from edgebert.elastic.checkpoint import explained, load_tokenizer
from edgebert.elastic.families import family_of
from edgebert.elastic.stage import Compute
from edgebert.errors import TrainingError
from edgebert.inputs.tokenization import Text

# TinyBERT's settings: a word is replaced with this probability, by one of so many candidates.
PROBABILITY, CANDIDATES = 0.4, 15
_MASKED_BATCH = 64


class Augmenter:
    """A masked language model that varies texts; the variants depend on the text and the seed alone."""

    def __init__(self, checkpoint: Path, device: torch.device, *, compute: Compute, max_length: int, seed: int):
        """Load the model.

        Raises:
            TrainingError: the checkpoint cannot be read, or has no masked-LM head.
        """
        with explained(checkpoint):
            model, found = AutoModelForMaskedLM.from_pretrained(checkpoint, output_loading_info=True)
        if found["missing_keys"]:
            advice = "name a pre-trained checkpoint with --augment-model"
            raise TrainingError(f"{checkpoint} has no masked-LM head ({sorted(found['missing_keys'])[0]}); {advice}")
        self._model = model.to(device).eval()
        self._head = model.get_submodule(family_of(model).masked_lm_head)
        self._tokenizer = load_tokenizer(checkpoint)
        self._words = _whole_words(self._tokenizer)
        self._device, self._compute, self._max_length, self._seed = device, compute, max_length, seed

    def variants(self, text: str, count: int) -> list[str]:
        """Return so many variants of a text; fewer words are replaced where candidates are the word itself."""
        generator = random.Random(f"{self._seed} {text}")
        spans = self._candidates(text)
        return [_replaced(text, spans, generator) for _ in range(count)]

    def _candidates(self, text: str) -> list[tuple[slice, list[str]]]:
        """Return the place of each word that is one token, and what could stand there."""
        encoded = self._tokenizer(text, truncation=True, max_length=self._max_length, return_offsets_mapping=True)
        ids, words = encoded["input_ids"], encoded.word_ids()
        places = [
            position
            for position, word in enumerate(words)
            if word is not None
            and words.count(word) == 1
            and text[slice(*encoded["offset_mapping"][position])].isalpha()
        ]
        found = []
        for start in range(0, len(places), _MASKED_BATCH):
            chunk = places[start : start + _MASKED_BATCH]
            for position, best in zip(chunk, self._predict(ids, chunk), strict=True):
                span = slice(*encoded["offset_mapping"][position])
                words = (self._words[token] for token in best if token in self._words)
                options = [word for word in words if word.lower() != text[span].lower()]
                found.append((span, options[:CANDIDATES]))
        return found

    @torch.inference_mode()
    def _predict(self, ids: Sequence[int], places: Sequence[int]) -> list[list[int]]:
        """Return the most probable token ids for each place, when that place alone is masked."""
        rows, each = torch.tensor(ids).repeat(len(places), 1), torch.arange(len(places))
        rows[each, torch.tensor(places)] = self._tokenizer.mask_token_id
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._compute == "bf16"):
            hidden = self._model.base_model(input_ids=rows.to(self._device)).last_hidden_state
            # The head is as costly as several layers: for the masked places only.
            logits = self._head(hidden[each, torch.tensor(places)])
        best: list[list[int]] = logits.topk(min(2 * CANDIDATES, logits.shape[-1])).indices.tolist()
        return best


def _whole_words(tokenizer: Any) -> dict[int, str]:
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
        if options and generator.random() < PROBABILITY:
            pieces += [text[end : span.start], generator.choice(options)]
            end = span.stop
    return "".join(pieces) + text[end:]


def augmented(
    inputs: Sequence[Text],
    count: int,
    augmenter: Callable[[], Augmenter],
    cache: Path,
    told: Callable[[int, int], None],
) -> list[Text]:
    """Return so many variants of each text or pair, computed once: they are kept in a file, a line for each input.

    A file that is not complete is gone on with. `told` hears how many inputs are done, of how many.

    Raises:
        TrainingError: the augmenter cannot be loaded, or the file is damaged.
    """
    done = _complete_lines(cache)
    if len(done) < len(inputs):
        model = augmenter()
        with open(cache, "ab") as file:
            for number, text in enumerate(inputs[len(done) :], len(done) + 1):
                columns = [model.variants(part, count) for part in ((text,) if isinstance(text, str) else text)]
                file.write(msgspec.json.encode([list(row) for row in zip(*columns, strict=True)]) + b"\n")
                file.flush()
                told(number, len(inputs))
        done = _complete_lines(cache)
    return [row[0] if len(row) == 1 else (row[0], row[1]) for rows in done for row in rows]


def _complete_lines(cache: Path) -> list[list[list[str]]]:
    """Return what a file holds so far; half a line at its end, from a kill, is cut off."""
    if not cache.exists():
        return []
    content = cache.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(cache, len(whole))
    try:
        return msgspec.json.decode(b"[" + b",".join(whole.splitlines()) + b"]", type=list[list[list[str]]])
    except msgspec.DecodeError as problem:
        raise TrainingError(f"{cache} is damaged: {problem}; remove it and run the same command again") from None
