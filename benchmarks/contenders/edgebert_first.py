"""Answers TEXT with edgebert and its built-in bundle, and prints the answer and this process's resident memory.

python benchmarks/contenders/edgebert_first.py TEXT
"""

import json
import sys

import edgebert


def answer(text: str) -> dict:
    return edgebert.load()(text)[0]


def resident_mb() -> float:
    import psutil

    return psutil.Process().memory_info().rss / 1e6


if __name__ == "__main__":
    print(json.dumps({**answer(sys.argv[1]), "resident_mb": resident_mb()}), flush=True)
