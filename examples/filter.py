"""A filter: passes on the lines of standard input that have a label.

    python examples/filter.py --keep positive < reviews.txt
    tail -f log | python examples/filter.py --keep negative --min-score 0.9 --latency-ms 20

Lines come out as they went in, each as soon as it is answered; blank ones are left out.
"""

import argparse
import os
import sys

import edgebert


def pass_on(model: edgebert.Predictor, label: str, min_score: float) -> None:
    """Copy the lines whose best label this is, with at least this score."""
    for line in sys.stdin.buffer:
        text = line.decode(errors="replace")
        if not text.strip():
            continue
        (best,) = model(text)
        if best["label"] == label and best["score"] >= min_score:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


def main() -> None:
    """Read the command line and filter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", required=True, metavar="LABEL")
    parser.add_argument("--min-score", type=float, default=0.0)
    parser.add_argument("--bundle", help="a bundle folder (default: the built-in one)")
    parser.add_argument("--latency-ms", type=float, help="the budget of each line")
    parser.add_argument("--profile", help="a profile (default: the cached or a quick one)")
    options = parser.parse_args()
    try:
        with edgebert.load(options.bundle, latency_ms=options.latency_ms, profile=options.profile) as model:
            if options.keep not in model.bundle.manifest.labels:
                parser.error(f"expected a label of {', '.join(model.bundle.manifest.labels)}, found '{options.keep}'")
            pass_on(model, options.keep, options.min_score)
    except edgebert.EdgeBertError as problem:
        sys.exit(f"error: {problem}")
    except BrokenPipeError:  # the reader has seen enough; nothing more may be flushed to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
