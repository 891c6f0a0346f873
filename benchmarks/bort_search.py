"""How long does the search over Bort's 300 architectures take on this machine, and how good are its predictions?

Runs the search of the command line with its defaults in a fresh process, for a fine-tuned checkpoint and the folder of
movie_reviews.py, and times it from start to end. Options behind `--` go to `edgebert train bort`.

    python benchmarks/bort_search.py --model checkpoints/builtin/fine-tuned --data checkpoints/builtin/movie-reviews
    python benchmarks/bort_search.py --model ... --data ... -- --latency-ms 10 --threads 1
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edgebert import records
from edgebert.cli.output import print_json
from edgebert.cli.train_bort import print_found
from edgebert.elastic.bort.architecture_search import SearchResult
from edgebert.errors import TrainingError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a fine-tuned checkpoint")
    parser.add_argument("--data", type=Path, required=True, help="a folder with train.tsv and dev.tsv")
    parser.add_argument("--work", help="keeps what is done (default: a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("more", nargs="*", help="options of edgebert train bort")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or f"{folder}/work"
        files = ["--train", str(options.data / "train.tsv"), "--dev", str(options.data / "dev.tsv")]
        places = ["--model", options.model, "--out", f"{folder}/out", "--work", work]
        command = [sys.executable, "-m", "edgebert", "train", "bort", "--search-only", "--json"]
        start = time.monotonic()
        done = subprocess.run([*command, *files, *places, *options.more], stdout=subprocess.PIPE, check=True)
        seconds = time.monotonic() - start
    if options.json:
        print_json({"seconds": round(seconds, 1), "search": json.loads(done.stdout)})
        return
    found = records.decode(done.stdout, SearchResult, "its output", TrainingError)
    print_found(found)
    parts = ", ".join(f"{name} {of_part:.0f}" for name, of_part in found.seconds.items())
    print(f"\n{seconds:.0f} s in all ({parts}) for {len(found.rows)} architectures")


if __name__ == "__main__":
    main()
