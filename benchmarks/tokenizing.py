"""How long does the tokenizer take, which a profile does not count?

python benchmarks/tokenizing.py
"""

import argparse
import time
from statistics import median

from edgebert.cli.output import print_json, print_table
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Tokenizer

WORDS = "the film is a good one and it was "
RUNS = 1000


def tokenizing_ms(tokenizer: Tokenizer, length: int) -> float:
    """Return the median time for a text of so many tokens."""
    text, samples = " ".join((WORDS * 100).split()[: length - 2]), []
    assert len(tokenizer.encode(text).ids) == length
    for _ in range(RUNS):
        start = time.perf_counter()
        tokenizer.encode(text)
        samples.append((time.perf_counter() - start) * 1000)
    return median(samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tokenizer = Tokenizer.of(Bundle.load())
    found = {length: tokenizing_ms(tokenizer, length) for length in (16, 64, 128)}
    if options.json:
        print_json({"median_ms": found, "runs": RUNS})
        return
    print_table([[length, f"{ms:.3f}"] for length, ms in found.items()], ["tokens", "median, ms"])


if __name__ == "__main__":
    main()
