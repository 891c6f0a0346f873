"""Answers many texts with one sub-network, as fast as the machine can. Knows no budget and no files."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgebert.choosing.selection import Budget, Selection
from edgebert.engines.cpu import CPU
from edgebert.engines.session import default_way, open_session
from edgebert.errors import EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Text, Tokenizer, Tokens, pad
from edgebert.python_exit import Pool
from edgebert.serving.parameters import choose
from edgebert.serving.request import CallTexts, read_texts
from edgebert.subnet import Subnet
from edgebert.tasks.task import Answer, Options, Result, Task
from edgebert.tasks.tasks import task_in

# What is read at once. The more it is, the more texts of one length there are to share batches.
CHUNK_TEXTS, CHUNK_CHARACTERS = 4096, 2_000_000
# Larger batches leave the processor's cache, smaller ones take more steps (benchmarks/offline.py --batch-tokens).
BATCH_TOKENS = 512


def predict_all(
    texts: CallTexts,
    bundle: str | Path | Bundle | None = None,
    *,
    subnet: str | Subnet | None = None,
    provider: str | None = None,
    threads: int | None = None,
    **options: Any,
) -> Iterator[Answer]:
    """Yield the answer to each of many texts, in their order, as fast as this machine can.

    It reads a few thousand texts ahead, so that texts of equal length can share batches: any iterable will do, of any
    length. Without a bundle the built-in one answers, and of a bundle the best sub-network, unless `subnet` names one,
    by its id or as a value. Without `threads` all fast cores are used. `options` are those of a `Predictor`'s call.

    Raises:
        BundleError: the bundle is damaged or has no such sub-network.
        EdgeBertError: a text is empty or no text, all before it are answered first; or the process was forked since the
            first answer.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    selection = choose(bundle, subnet, Budget().of(bundle), default_way(provider, threads))
    asked = task_in(bundle.manifest).options(options)
    return (answer for _, answer in answer_texts(bundle, selection, read_texts(texts), asked))


def answer_texts(
    bundle: Bundle,
    selection: Selection,
    texts: Iterable[Text],
    options: Options,
    *,
    start: int = 0,
    batch_tokens: int = BATCH_TOKENS,
) -> Iterator[tuple[Text, Answer]]:
    """Yield each text with its answer by the chosen sub-network, from the text numbered `start` on, in their order.

    Texts of equal length share batches of about `batch_tokens` tokens. What is yielded with a later start is what a
    run from the first text yields.

    Raises:
        BundleError: the bundle is damaged or has no such sub-network.
        EdgeBertError: a text is empty or no text, all before it are answered first; or the process was forked since the
            first answer.
    """
    # Threads that share a batch wait for each other after every product: each runs batches of its own instead, which
    # gains 6 to 13 % (docs/log.md).
    workers = selection.way.threads if selection.way.engine == CPU.NAME else 1
    way = msgspec.structs.replace(selection.way, threads=selection.way.threads // workers)
    subnet = bundle.subnet(selection.subnetwork)
    session, task = open_session(bundle, subnet, way), task_in(bundle.manifest).of_subnet(subnet)
    tokenizer, pool, process = Tokenizer.of(bundle), Pool(workers), os.getpid()

    def answered(rows: Sequence[Tokens], places: Sequence[int]) -> dict[int, Result]:
        """Return the results of the rows at some places of a chunk, by place."""
        batch = [rows[place] for place in places]
        outputs = session.run(pad(batch, session.input_names))
        return dict(zip(places, task.results(outputs, batch, options), strict=True))

    def submitted() -> Iterator[_Chunk]:
        """Yield chunks whose batches wait for a thread."""
        first = 0
        for chunk, problem in _chunks(texts, task, tokenizer):
            # As a whole if any of its texts is asked for: in int8 a score depends a little on what shares its batch.
            asked = range(max(0, start - first), len(chunk))
            rows_of_texts = task.rows_of_all(chunk, tokenizer, options) if asked else []
            rows = list(itertools.chain(*rows_of_texts))
            batches = [pool.submit(answered, rows, places) for places in _equally_long(rows, batch_tokens)]
            yield _Chunk(chunk, asked, list(map(len, rows_of_texts)), batches, problem)
            first += len(chunk)

    chunks = submitted()
    try:
        ahead = next(chunks, None)
        while ahead is not None:
            # The next chunk's tokens are made while the pool runs this one.
            chunk, ahead = ahead, next(chunks, None)
            answers = task.answers(chunk.results(task, options), options)
            for place in chunk.asked:
                yield chunk.texts[place], answers[place]
                _check_process(process)
            if chunk.problem is not None:
                raise chunk.problem
    finally:
        if os.getpid() == process:
            pool.shutdown(cancel_futures=True)


def _check_process(process: int) -> None:
    """Raise an EdgeBertError if this is not the process of that number but was forked from it."""
    # The pool's threads are the parent's alone, which also goes on to read the same texts.
    if os.getpid() != process:
        raise EdgeBertError("these answers were begun before this process was forked; begin anew in it")


@dataclass(frozen=True)
class _Chunk:
    """Texts that are being answered, the places of those that are asked for, the number of rows of each, and what kept
    more from being read."""

    texts: Sequence[Text]
    asked: range
    rows: Sequence[int]
    batches: Sequence[Future[dict[int, Result]]]
    problem: Exception | None

    def results(self, task: Task, options: Options) -> list[Result]:
        """Return the result of each text, when all batches are done."""
        found: dict[int, Result] = {}
        for batch in self.batches:
            found.update(batch.result())
        ends = itertools.accumulate(self.rows)
        places = (range(end - count, end) for end, count in zip(ends, self.rows, strict=True))
        return [task.joined([found[place] for place in some], options) for some in places]


def _chunks(texts: Iterable[Text], task: Task, tokenizer: Tokenizer) -> Iterator[tuple[list[Text], Exception | None]]:
    """Yield texts in lists of bounded size, the last with the error if a text cannot be read or is refused."""
    chunk: list[Text] = []
    characters = 0
    try:
        for text in texts:
            task.check(text, tokenizer)
            chunk.append(text)
            characters += len(text) if isinstance(text, str) else sum(map(len, text))
            if len(chunk) == CHUNK_TEXTS or characters >= CHUNK_CHARACTERS:
                yield chunk, None
                chunk, characters = [], 0
    except Exception as problem:
        # Whoever reads the answers gets those to the texts before it first.
        yield chunk, problem
    else:
        yield chunk, None


def _equally_long(tokens: Sequence[Tokens], batch_tokens: int) -> list[list[int]]:
    """Return the places of texts that share a batch, the longest first, so that no long batch is left for the end."""
    # Of equal length: as fast as the best padded batches, and no padding has a part in the range that int8 rounds to.
    lengths = [len(text.ids) for text in tokens]
    order = sorted(range(len(tokens)), key=lengths.__getitem__, reverse=True)
    groups = []
    for length, places in itertools.groupby(order, key=lengths.__getitem__):
        equal, size = list(places), max(1, batch_tokens // length)
        groups += [equal[first : first + size] for first in range(0, len(equal), size)]
    return groups
