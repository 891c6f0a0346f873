"""Make an elastic checkpoint from any BERT or RoBERTa and a data file."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebert.cli import arguments

_GRID = "shares of heads and FFN neurons (default: 0.25,0.5,0.75,1.0; depths: 0.5,0.75,1.0)"
_PLAIN_SECONDS = 60.0  # between two lines where there is no terminal to draw a bar on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a sub-command for each method."""
    methods = parser.add_subparsers(title="methods", metavar="METHOD", required=True)
    summary = "Adaptive width and depth (arXiv 2004.04037): rank and rewire, then distil into all sub-networks."
    _add_dynabert(methods.add_parser("dynabert", help=summary, description=summary))


def _add_dynabert(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument("--model", metavar="CHECKPOINT", required=True, help="a Hugging Face folder, fine-tuned or not")
    data.add_argument("--train", metavar="DATA", required=True, help="labelled rows: .tsv, .csv or .jsonl")
    data.add_argument("--dev", metavar="DATA", required=True, help="labelled rows that the best step is chosen on")
    data.add_argument("--out", metavar="CHECKPOINT", required=True, help="the elastic checkpoint to write")
    data.add_argument("--transfer", metavar="FILE", action="append", default=[], help="more texts to distil on")
    data.add_argument("--augment", type=arguments.count, metavar="N", help="distil on N variants of each training text")
    data.add_argument("--augment-model", metavar="CHECKPOINT", help="the masked LM that varies them (default: --model)")
    data.add_argument("--labels", type=arguments.names, metavar="A,B", help="names of the labels, in their order")
    data.add_argument("--regression", action="store_true", help="labels are numbers to predict")
    data.add_argument("--max-length", type=arguments.count, metavar="N", help="tokens (default: 128)")
    method = parser.add_argument_group("method")
    method.add_argument("--widths", type=arguments.shares, default=[0.25, 0.5, 0.75, 1.0], metavar="W,...", help=_GRID)
    method.add_argument("--depths", type=arguments.shares, default=[0.5, 0.75, 1.0], metavar="D,...", help="of layers")
    method.add_argument("--recipe", choices=["direct", "paper"], default="direct", help="ours (default) or the paper's")
    method.add_argument("--stages", type=arguments.names, metavar="NAME,...", help="of width, depth, final")
    method.add_argument("--epochs", type=arguments.count, metavar="N", help="of each stage (10; paper: 3)")
    method.add_argument("--learning-rate", type=arguments.positive, metavar="X", help="at most (3e-4; paper: 2e-5)")
    method.add_argument(
        "--subnets-per-step", type=arguments.two_or_more, metavar="N", help="that learn (4; paper: all)"
    )
    method.add_argument("--teacher-width", choices=["full", "student"], default="full", help="default: full")
    method.add_argument("--fine-tune-epochs", type=arguments.count, default=4, metavar="N", help="of a new head (4)")
    method.add_argument("--fine-tune-learning-rate", type=arguments.positive, default=5e-5, metavar="X", help="(5e-5)")
    run = parser.add_argument_group("run")
    run.add_argument("--batch-size", type=arguments.count, default=32, metavar="N", help="texts in a step, in all (32)")
    run.add_argument(
        "--accumulate",
        type=arguments.count,
        default=1,
        metavar="N",
        help="parts that a step is made in, to save memory",
    )
    run.add_argument("--compute", choices=["fp32", "bf16"], help="default: bf16 where the machine has it")
    run.add_argument("--seed", type=int, default=1, metavar="N", help="of all that is random (1)")
    run.add_argument("--work", metavar="FOLDER", help="finished stages, state, journals (default: OUT.training)")
    run.add_argument(
        "--save-minutes", type=arguments.positive, default=5, metavar="X", help="between two saved states (5)"
    )
    run.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Train, or go on with an interrupted training, and print what came out."""
    from edgebert.errors import TrainingError

    try:
        from edgebert.elastic import dynabert
    except ImportError as problem:
        raise TrainingError(f"training needs {problem.name}; pip install 'edgebert[train]'") from None
    stages = dynabert.stages_of(
        options.recipe,
        options.stages,
        widths=options.widths,
        depths=options.depths,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        sampled=options.subnets_per_step,
        teacher_width=options.teacher_width,
        regression=options.regression,
    )
    with _Display() as display:
        try:
            trained = dynabert.train(
                options.model,
                options.train,
                options.dev,
                options.out,
                stages=stages,
                fine_tune=dynabert.fine_tuning(options.fine_tune_epochs, options.fine_tune_learning_rate),
                transfer=options.transfer,
                augment=options.augment or 0,
                augment_model=options.augment_model,
                labels=options.labels,
                regression=options.regression,
                batch_size=options.batch_size,
                accumulate=options.accumulate,
                max_length=options.max_length,
                compute=options.compute,
                seed=options.seed,
                work=options.work,
                save_minutes=options.save_minutes,
                listener=display,
            )
        except KeyboardInterrupt:
            display.say("the same command goes on from the last saved state")
            raise
    if trained.main_process:
        _print(trained, options)


def _print(trained: Any, options: argparse.Namespace) -> None:
    from edgebert.cli.output import print_json, print_table

    subnetworks = [{"id": name, "score": score} for name, score in trained.scores.items()]
    if options.json:
        print_json(
            {
                "checkpoint": str(trained.checkpoint),
                "work": str(trained.work),
                "method": trained.manifest.method,
                "metric": trained.metric,
                "dataset": Path(options.dev).name,
                "subnetworks": subnetworks,
            }
        )
        return
    print(f"{trained.checkpoint}: {trained.metric} on {Path(options.dev).name}, in torch\n")
    print_table(*score_grid(trained.scores))
    print(f"\nnext: edgebert export {options.out} --out BUNDLE --eval {options.dev}")


def score_grid(scores: dict[str, float]) -> tuple[list[list[str]], list[str]]:
    """Return rows and headers of a table of scores, depths down and widths across, from ids like w0.50-d1.00-fp32."""
    cells = {tuple(name.split("-")[:2]): score for name, score in scores.items()}
    widths = sorted({width for width, _ in cells}, reverse=True)
    depths = sorted({depth for _, depth in cells}, reverse=True)
    rows = [
        [depth, *(f"{cells[width, depth]:.4f}" if (width, depth) in cells else "" for width in widths)]
        for depth in depths
    ]
    return rows, ["", *widths]


class _Display:
    """Shows events on standard error: a bar with the loss and the time left on a terminal, lines elsewhere."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(file=sys.stderr, disable=None, leave=False, unit="step", dynamic_ncols=True)
        self._told = time.monotonic()
        self._stage = ""

    def __enter__(self) -> "_Display":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.write(line, file=sys.stderr)

    def __call__(self, event: Any, /) -> None:
        """Show an event."""
        if hasattr(event, "scores"):
            self._show_scores(event)
        else:
            self._show_step(event)

    def _show_step(self, event: Any) -> None:
        if self._stage != event.stage:
            self._stage = event.stage
            self._bar.reset(event.steps)
            self._bar.initial = self._bar.n = event.step - 1
            self._bar.set_description(event.stage, refresh=False)
        loss = f", loss {sum(event.losses.values()):.3f}" if hasattr(event, "losses") else ""
        self._bar.set_postfix_str(loss[2:], refresh=False)
        self._bar.update(event.step - self._bar.n)
        if self._bar.disable and time.monotonic() - self._told > _PLAIN_SECONDS:
            self.say(_place(event) + loss)
            self._told = time.monotonic()

    def _show_scores(self, event: Any) -> None:
        best = ", the best so far" if event.best else ""
        mean = sum(event.scores.values()) / len(event.scores)
        self.say(f"{_place(event)}, mean dev score {mean:.4f}{best}")
        if len(event.scores) > 1:
            self.say(_table(*score_grid(event.scores)))


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    from tabulate import tabulate

    return str(tabulate(rows, headers, tablefmt="plain", disable_numparse=True)) + "\n"


def _place(event: Any) -> str:
    left = event.seconds / event.step * (event.steps - event.step)
    return f"{event.stage}: step {event.step} of {event.steps}, {left / 60:.0f} min left"
