"""Texts sorted by length and cut into batches of so many, for the contenders that have no batching of their own."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tokenizers import Tokenizer


def answerer(tokenizer_file, logits_of, batch_size, workers):
    """Return what turns a list of texts into label numbers with `logits_of`, called from so many threads."""
    tokenizer = Tokenizer.from_file(tokenizer_file)
    tokenizer.enable_truncation(128)
    tokenizer.no_padding()

    def answer(texts):
        tokens = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
        order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]), reverse=True)
        batches = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
        found = np.zeros(len(texts), dtype=int)

        def run(batch):
            found[batch] = logits_of([tokens[place] for place in batch]).argmax(axis=1)

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, batches))
        return found.tolist()

    return answer


def padded(batch):
    """Return ids and mask (batch, length) int64 of a batch whose first text is the longest."""
    shape = (len(batch), len(batch[0]))
    ids, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for row, tokens in enumerate(batch):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask
