"""Answers TEXT with transformers' pipeline on CHECKPOINT, and prints the answer and this process's resident memory.

python benchmarks/contenders/transformers_first.py CHECKPOINT TEXT
"""

import json
import sys

from transformers import pipeline


def answer(checkpoint: str, text: str) -> dict:
    return pipeline("text-classification", model=checkpoint)(text)[0]


def resident_mb() -> float:
    import psutil

    return psutil.Process().memory_info().rss / 1e6


if __name__ == "__main__":
    print(json.dumps({**answer(sys.argv[1], sys.argv[2]), "resident_mb": resident_mb()}), flush=True)
