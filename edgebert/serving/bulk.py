"""Answers many texts with one sub-network, as fast as the machine can. Knows no budget and no files."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from edgebert.choosing.selection import Selection
from edgebert.engines.cpu import CPU
from edgebert.engines.engine import Session
from edgebert.engines.session import open_session
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Text, Tokenizer, Tokens, pad
from edgebert.serving.predictor import Prediction
from edgebert.tasks.task import Task
from edgebert.tasks.tasks import task_in

# What is read at once. The more it is, the more texts of one length there are to share batches.
CHUNK_TEXTS, CHUNK_CHARACTERS = 4096, 2_000_000
# Larger batches leave the processor's cache, smaller ones take more steps (benchmarks/offline.py --batch-tokens).
BATCH_TOKENS = 512

T = TypeVar("T")


def predict_all(
    bundle: Bundle,
    selection: Selection,
    texts: Iterable[Text],
    *,
    start: int = 0,
    batch_tokens: int = BATCH_TOKENS,
) -> Iterator[tuple[Text, Prediction]]:
    """Yield each text with its best label and score, in the order given, reading a few thousand texts ahead.

    Texts of equal length share batches of about `batch_tokens` tokens. In int8 a score depends a little on what
    shares its batch: what is yielded from the text numbered `start` on is what a run from the first one yields.

    Raises:
        BundleError: the bundle is damaged or has no such sub-network.
        EdgeBertError: a text is empty or no text; all before it are answered first.
    """
    # Threads that share a batch wait for each other after every product: each runs batches of its own instead.
    workers = selection.way.threads if selection.way.engine == CPU.NAME else 1
    way = msgspec.structs.replace(selection.way, threads=selection.way.threads // workers)
    session = open_session(bundle, bundle.subnet(selection.subnetwork), way)
    pool = ThreadPoolExecutor(workers)
    try:
        line = _Line(task_in(bundle.manifest), session, Tokenizer.of(bundle), pool, batch_tokens)
        for chunk in _one_ahead(line.begun(texts, start)):
            yield from chunk.answers()
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Chunk:
    """Texts that are being answered, and how many at the beginning nobody asked for."""

    texts: Sequence[Text]
    unasked: int
    batches: Sequence[Future[dict[int, Prediction]]]

    def answers(self) -> Iterator[tuple[Text, Prediction]]:
        found: dict[int, Prediction] = {}
        for batch in self.batches:
            found.update(batch.result())
        for place in range(self.unasked, len(self.texts)):
            yield self.texts[place], found[place]


@dataclass(frozen=True)
class _Line:
    """What texts pass on their way to answers; tokens are made in the caller's thread while the pool runs batches."""

    task: Task
    session: Session
    tokenizer: Tokenizer
    pool: ThreadPoolExecutor
    batch_tokens: int

    def begun(self, texts: Iterable[Text], start: int) -> Iterator[_Chunk]:
        """Yield chunk after chunk as soon as its batches wait for a thread, without those that end before `start`."""
        first = 0
        for chunk in _chunks(texts, self.tokenizer):
            if first + len(chunk) > start:
                yield _Chunk(chunk, max(0, start - first), self._begin(self.tokenizer.encode_all(chunk)))
            first += len(chunk)

    def _begin(self, tokens: Sequence[Tokens]) -> list[Future[dict[int, Prediction]]]:
        groups = _equally_long(tokens, self.batch_tokens)
        return [self.pool.submit(self._answer, places, [tokens[place] for place in places]) for places in groups]

    def _answer(self, places: Sequence[int], tokens: Sequence[Tokens]) -> dict[int, Prediction]:
        outputs = self.session.run(pad(tokens, self.session.input_names))
        return dict(zip(places, self.task.answers(outputs), strict=True))


def _chunks(texts: Iterable[Text], tokenizer: Tokenizer) -> Iterator[list[Text]]:
    """Yield texts in lists of bounded size; if one cannot be read or is refused, first those before it."""
    chunk: list[Text] = []
    characters = 0
    try:
        for text in texts:
            tokenizer.check(text)
            chunk.append(text)
            characters += len(text) if isinstance(text, str) else sum(map(len, text))
            if len(chunk) == CHUNK_TEXTS or characters >= CHUNK_CHARACTERS:
                yield chunk
                chunk, characters = [], 0
    except Exception:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _equally_long(tokens: Sequence[Tokens], batch_tokens: int) -> list[list[int]]:
    """Return the places of texts that share a batch, the longest first, so that no long batch is left for the end."""

    def length(place: int) -> int:
        return len(tokens[place].ids)

    groups = []
    for each, places in itertools.groupby(sorted(range(len(tokens)), key=length, reverse=True), key=length):
        equal, size = list(places), max(1, batch_tokens // each)
        groups += [equal[first : first + size] for first in range(0, len(equal), size)]
    return groups


def _one_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield each item once the one after it is there; if that fails, raise its error afterwards."""
    waiting: list[T] = []
    try:
        for item in items:
            yield from waiting
            waiting = [item]
    except Exception:
        yield from waiting
        raise
    yield from waiting
