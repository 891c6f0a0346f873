"""How fast is the full network against every peer on this machine?

MiniLM-L6 (a checkpoint) and BERT-base (random weights) run as edgebert's recipes and as what a user could take instead:
peer_contenders.py lists them, peer_models.py makes them. Requests are of one shape again and again, or the texts of a
dev split one by one in all their lengths; there, contenders that pay for every new shape may also pad to a few lengths.

Each measurement runs in a fresh process. Contenders take turns, A B C ... A B C ..., and the best of ours is compared
with the best peer round by round. Before that, each contender's logits are compared with those of torch in fp32. One
that loses more than a point of accuracy by it is shown, but is nobody's best. Every result is written to
WORK/peers.jsonl at once: --resume goes on from there, also with more rounds or other contenders.

    pip install '.[peers]'
    python benchmarks/peers.py --rounds 7
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import peer_models
from peer_contenders import BUCKETS, CONTENDERS, REFERENCE, Contender, Outcome, chosen, run
from peer_journal import Check, Journal, Measurement, Settings
from peer_report import report, show

from edgebert.cli.arguments import count, counts, names, positive
from edgebert.cli.output import print_json, progress_bar
from edgebert.inputs.bundle import Bundle
from edgebert.machine.device import default_threads, this_device
from edgebert.measuring.evaluation import targets_in
from edgebert.tasks.tasks import task_in

WARM_UP_TEXTS, MIXED_TEXTS = 100, 200
RANDOM_TEXTS = 100  # so many show that contenders agree, where there is no accuracy to be found
# How far fp32 logits may be from torch's; how many labels must be equal, or else how near the logits for their size.
MAX_FP32_DIFFERENCE, MIN_AGREEMENT, MAX_RANDOM_SHARE = 1e-3, 0.9, 0.25


def check(journal: Journal, model: Path, contenders: Sequence[Contender], file: Path) -> None:
    """Compare the logits of contenders with those of torch in fp32, once; stop if one computes something else."""
    known = {one.contender for one in journal.checks() if one.model == model.name}
    missing = {one.name: one for one in (REFERENCE, *contenders) if one.name not in known}
    if missing:
        texts, labels = checked_texts(model, file)
        expected = logits(REFERENCE, model, texts)
    for contender in missing.values():
        print(f"checking {contender.name} of {model.name}", file=sys.stderr, flush=True)
        found = expected if contender is REFERENCE else logits(contender, model, texts)
        journal.add(compare(found, expected, labels, model.name, contender.name))


def logits(contender: Contender, model: Path, texts: Sequence[Sequence[int]]) -> Outcome:
    """Return a contender's logits for texts, which are padded for those that may pad: the padding must not be seen."""
    buckets = BUCKETS if "padded" in contender.jobs else ()
    return run(contender, model, default_threads(), "logits", texts=texts, buckets=buckets)


def checked_texts(model: Path, file: Path) -> tuple[list[list[int]], list[int] | None]:
    """Return the token ids of a file's texts and their labels; fewer texts, and no labels, if weights are random."""
    texts = peer_models.token_ids(model, file)
    if model.name == peer_models.RANDOM:
        return texts[:RANDOM_TEXTS], None
    return texts, targets_in(task_in(Bundle.load(model / "bundle").manifest), file)


def compare(found: Outcome, expected: Outcome, labels: Sequence[int] | None, model: str, contender: str) -> Check:
    """Return how close logits are to the expected ones and, if there are labels, how often they are right.

    All texts have one label if weights are random, so there the logits themselves must be near.
    """
    logits, right = np.array(found.logits), np.array(expected.logits)
    answers = logits.argmax(axis=1)
    result = Check(
        model=model,
        contender=contender,
        precision=found.precision,
        texts=len(logits),
        max_abs_logit_difference=float(np.abs(logits - right).max()),
        max_abs_logit=float(np.abs(right).max()),
        label_agreement=None if labels is None else float((answers == right.argmax(axis=1)).mean()),
        accuracy=None if labels is None else float((answers == labels).mean()),
    )
    share = result.max_abs_logit_difference / result.max_abs_logit
    agrees = share <= MAX_RANDOM_SHARE if labels is None else result.label_agreement >= MIN_AGREEMENT
    if not agrees or (found.precision == "fp32" and not result.max_abs_logit_difference <= MAX_FP32_DIFFERENCE):
        sys.exit(f"error: expected the logits of torch in fp32, found {result}")
    return result


def turns(options: argparse.Namespace, contenders: Sequence[Contender]) -> Iterator[Measurement]:
    """Yield what is to be measured, still without figures: all contenders in turn, round after round."""
    for number in range(options.rounds):
        for model in options.models:
            for threads in options.threads:
                for job in ("repeated", "mixed", "padded"):
                    for contender in contenders:
                        if job in contender.jobs:
                            yield Measurement(number, model, threads, contender.name, job, figures={})


def measure(turn: Measurement, model: Path, settings: Settings) -> Measurement:
    """Return a turn with the figures that a fresh process measures."""
    texts = peer_models.token_ids(model, Path(settings.texts))
    if turn.job == "repeated":
        shapes = [(batch_size, length) for batch_size in settings.batch_sizes for length in settings.lengths]
        arguments = {"shapes": shapes, "tokens": [token for text in texts[:10] for token in text]}
        arguments |= {"runs": settings.runs, "seconds": settings.seconds}
    else:
        warm_up, texts = texts[:WARM_UP_TEXTS], texts[WARM_UP_TEXTS : WARM_UP_TEXTS + MIXED_TEXTS]
        arguments = {"warm_up": warm_up, "texts": texts, "buckets": BUCKETS if turn.job == "padded" else ()}
    job = "repeated" if turn.job == "repeated" else "mixed"
    outcome = run(CONTENDERS[turn.contender], model, turn.threads, job, **arguments)
    return msgspec.structs.replace(turn, figures=outcome.figures)


def measure_all(journal: Journal, options: argparse.Namespace, contenders: Sequence[Contender]) -> None:
    """Take every turn that the journal does not hold."""
    done = [msgspec.structs.replace(one, figures={}) for one in journal.measurements()]
    missing = [turn for turn in turns(options, contenders) if turn not in done]
    with progress_bar() as on_progress:
        for number, turn in enumerate(missing):
            on_progress(number, len(missing), f"{turn.contender}, {turn.job}, round {turn.round + 1}")
            journal.add(measure(turn, options.work / turn.model, journal.settings))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peer_models.add_options(parser)
    parser.add_argument("--eval", type=Path, default=Path("checkpoints/builtin/movie-reviews/dev.tsv"))
    parser.add_argument("--contenders", type=names, help="separated by commas; default: all that run here")
    parser.add_argument("--rounds", type=count, default=7, help="6 or more, for a 95 %% interval")
    parser.add_argument("--threads", type=counts, default=[1, 2])
    parser.add_argument("--lengths", type=counts, default=[16, 32, 64, 128])
    parser.add_argument("--batch-sizes", type=counts, default=[1, 8])
    parser.add_argument("--runs", type=count, default=5, help="of each shape in each round, at least")
    parser.add_argument("--seconds", type=positive, default=0.3, help="for each shape in each round, at least")
    parser.add_argument("--resume", action="store_true", help="go on with what was interrupted")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings = Settings(
        device=str(this_device()),
        texts=str(options.eval),
        lengths=tuple(options.lengths),
        batch_sizes=tuple(options.batch_sizes),
        runs=options.runs,
        seconds=options.seconds,
    )
    contenders = chosen(options.contenders)
    models = peer_models.make(options, peer_models.FOR_SPEED)
    journal = Journal(options.work / "peers.jsonl", settings, resume=options.resume)
    for model in models:
        check(journal, model, contenders, options.eval)
    measure_all(journal, options, contenders)
    # The journal may hold more: a round that was interrupted would lack some of those who could be its best.
    asked = [
        one
        for one in journal.measurements()
        if one.round < options.rounds and one.model in options.models and one.threads in options.threads
    ]
    result = report(settings, journal.checks(), asked)
    print_json(result) if options.json else show(result)


if __name__ == "__main__":
    main()
