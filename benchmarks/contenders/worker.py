"""Loads one contender in this process, which must be a fresh one, does one job with it, and prints the result.

A contender is a module beside this one whose function `load(folder, threads, **options)` returns what turns graph
inputs into logits. The task comes as JSON on standard input, the result goes as a line of JSON to standard output.
"""

import gc
import importlib
import json
import sys
import time

import numpy as np


def request(ids, length=None):
    """Return the graph inputs of one text, (1, length) int64; padded with zeros if it is shorter than `length`."""
    shape = (1, length or len(ids))
    inputs = {name: np.zeros(shape, dtype=np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    inputs["input_ids"][0, : len(ids)] = ids
    inputs["attention_mask"][0, : len(ids)] = 1
    return inputs


def milliseconds_since(start):
    return (time.perf_counter() - start) * 1000


def logits(answer, texts, buckets):
    """Return the logits of texts, asked one by one, padded if there are buckets."""
    found = [answer(request(ids, padded_length(ids, buckets)))[0].tolist() for ids in texts]
    return {"logits": found, "figures": {}}


def repeated(answer, shapes, tokens, runs, seconds):
    """Return the median latency of each shape, of so many runs and seconds at least, after a warm-up of its own."""
    figures = {}
    for shape in shapes:
        ids = np.resize(tokens, shape).astype(np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        assert answer(inputs).shape[0] == shape[0], "a row of logits for each text"
        latencies_ms(answer, inputs, 2, seconds / 4)
        figures["x".join(map(str, shape))] = float(np.median(latencies_ms(answer, inputs, runs, seconds)))
    return {"logits": [], "figures": figures}


def latencies_ms(answer, inputs, runs, seconds):
    samples, end = [], time.perf_counter() + seconds
    while len(samples) < runs or time.perf_counter() < end:
        start = time.perf_counter()
        answer(inputs)
        samples.append(milliseconds_since(start))
    return samples


def mixed(answer, warm_up, texts, buckets):
    """Return mean and p95 of the latencies of texts as they come, asked one by one, twice over.

    With `buckets` each text is padded to the next of these lengths, all of which were warmed up; a latency holds the
    making of the padded arrays.
    """
    for bucket in buckets * 2:
        answer(request([0] * bucket))
    for ids in warm_up:
        answer(request(ids, padded_length(ids, buckets)))
    samples = []
    for ids in texts * 2:
        start = time.perf_counter()
        answer(request(ids, padded_length(ids, buckets)))
        samples.append(milliseconds_since(start))
    return {"logits": [], "figures": {"mean": float(np.mean(samples)), "p95": float(np.percentile(samples, 95))}}


def padded_length(ids, buckets):
    return next((bucket for bucket in buckets if bucket >= len(ids)), len(ids))


def first_answers(answer, texts, tokenizer):
    """Print the first text's logits as soon as they are there; return what the process holds after all texts."""
    from tokenizers import Tokenizer

    encode = Tokenizer.from_file(tokenizer).encode
    first = answer(request(encode(texts[0]).ids))[0].tolist()
    print(json.dumps(first), flush=True)
    for text in texts[1:]:
        answer(request(encode(text).ids))
    import psutil

    memory = psutil.Process().memory_full_info()
    return {"logits": [first], "figures": {"uss_mb": memory.uss / 1e6, "pss_mb": memory.pss / 1e6}}


JOBS = {job.__name__: job for job in (logits, repeated, mixed, first_answers)}


def main():
    task = json.load(sys.stdin)
    load = importlib.import_module(task["module"]).load
    start = time.perf_counter()
    answer, precision = load(task["folder"], task["threads"], **task["options"])
    load_ms = milliseconds_since(start)
    gc.disable()
    found = JOBS[task["job"]](answer, **task["arguments"])
    print(json.dumps({"precision": precision, "load_ms": load_ms, **found}), flush=True)


if __name__ == "__main__":
    main()
