"""Answers a file of texts with one contender in this process, which must be a fresh one, and prints what that took.

A contender is a module beside this one whose function `load(folder, threads, **options)` returns what turns a list of
texts into a list of label numbers. The task comes as JSON on standard input, the result goes as a line of JSON to
standard output: texts per second, and how often it is right on texts whose labels are known.
"""

import importlib
import json
import sys
import time
from pathlib import Path

from edgebert.inputs.dataset import read_examples
from edgebert.tasks.text_classification import TextClassification


def texts_of(file, count):
    """Return so many texts of a file, which is repeated as often as it takes."""
    texts = [example.text for example in read_examples(file)]
    return (texts * (count // len(texts) + 1))[:count]


def texts_per_s(answer, texts):
    start = time.perf_counter()
    assert len(answer(texts)) == len(texts), "an answer for each text"
    return len(texts) / (time.perf_counter() - start)


def accuracy(answer, file, labels):
    examples = list(read_examples(file))
    found = answer([example.text for example in examples])
    right = [TextClassification(tuple(labels)).target(example) for example in examples]
    return sum(map(int.__eq__, found, right)) / len(right)


def main():
    task = json.load(sys.stdin)
    sys.path.insert(0, str(Path(__file__).parent))
    answer = importlib.import_module(task["module"]).load(task["folder"], task["threads"], **task["options"])
    texts = texts_of(task["texts"], task["count"])
    answer(texts[:256])
    found = {"texts_per_s": texts_per_s(answer, texts)}
    if task["eval"]:
        found["accuracy"] = accuracy(answer, task["eval"], task["labels"])
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
