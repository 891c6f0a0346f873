"""What the methods of `edgebert train` share: arguments, the display of what happens, and the table of scores."""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert.cli import arguments

if TYPE_CHECKING:
    from edgebert.elastic.line import Setup, Trained

FREEZE = "leave the embedding tables as they are: checkpoints of one origin then share them in a bundle"
_PLAIN_SECONDS = 60.0  # between two lines where there is no terminal to draw a bar on


def add_data(parser: argparse.ArgumentParser) -> Any:
    """Add the arguments that say what is learnt from, and return their group."""
    data = parser.add_argument_group("data")
    data.add_argument("--model", metavar="CHECKPOINT", required=True, help="a Hugging Face folder, fine-tuned or not")
    data.add_argument("--train", metavar="DATA", required=True, help="labelled rows: .tsv, .csv or .jsonl")
    data.add_argument("--dev", metavar="DATA", required=True, help="labelled rows that the best step is chosen on")
    data.add_argument("--out", metavar="CHECKPOINT", required=True, help="the checkpoint to write")
    data.add_argument("--labels", type=arguments.names, metavar="A,B", help="names of the labels, in their order")
    data.add_argument("--regression", action="store_true", help="labels are numbers to predict")
    data.add_argument("--max-length", type=arguments.count, metavar="N", help="tokens (default: 128)")
    return data


def add_transfer(data: Any) -> None:
    """Add more texts, for the methods that distil."""
    data.add_argument("--transfer", metavar="FILE", action="append", default=[], help="more texts to distil on")


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how a training is run."""
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


def setup_of(options: argparse.Namespace, display: "Display") -> "Setup":
    """Return how a training is run, as the arguments say."""
    from edgebert.elastic.line import Setup

    return Setup(
        transfer=getattr(options, "transfer", ()),
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


def print_trained(trained: "Trained", options: argparse.Namespace, **facts: Any) -> None:
    """Print a finished training, as JSON with some more facts or as a table of scores."""
    from edgebert.cli.output import print_json, print_table

    if not trained.main_process:
        return
    if options.json:
        print_json(
            {
                "checkpoint": str(trained.checkpoint),
                "work": str(trained.work),
                "method": trained.manifest.method,
                "metric": trained.metric,
                "dataset": Path(options.dev).name,
                "subnetworks": [{"id": name, "score": score} for name, score in trained.scores.items()],
                **facts,
            }
        )
        return
    print(f"{trained.checkpoint}: {trained.metric} on {Path(options.dev).name}, in torch\n")
    print_table(*score_table(trained.scores))
    print(f"\nnext: edgebert export {options.out} --out BUNDLE --eval {options.dev}")


def score_table(scores: dict[str, float]) -> tuple[list[list[str]], list[str]]:
    """Return rows and headers of a table of scores: a grid for DynaBERT's, a line for each other sub-network."""
    if all(name.startswith("w") and name.count("-d") == 1 for name in scores):
        return _score_grid(scores)
    return [[name, f"{score:.4f}"] for name, score in scores.items()], ["sub-network", "score"]


def _score_grid(scores: dict[str, float]) -> tuple[list[list[str]], list[str]]:
    """Return a grid with depths down and widths across, from ids like w0.50-d1.00-fp32."""
    cells = {tuple(name.split("-")[:2]): score for name, score in scores.items()}
    widths = sorted({width for width, _ in cells}, reverse=True)
    depths = sorted({depth for _, depth in cells}, reverse=True)
    rows = [
        [depth, *(f"{cells[width, depth]:.4f}" if (width, depth) in cells else "" for width in widths)]
        for depth in depths
    ]
    return rows, ["", *widths]


class Display:
    """Shows events on standard error: a bar with the loss and the time left on a terminal, lines elsewhere."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(file=sys.stderr, disable=None, leave=False, unit="step", dynamic_ncols=True)
        self._told = time.monotonic()
        self._stage = ""

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    @contextlib.contextmanager
    def resumable(self) -> Iterator[None]:
        """Say, when a training is interrupted, that it can go on."""
        try:
            yield
        except KeyboardInterrupt:
            self.say("the same command goes on from the last saved state")
            raise

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.write(line, file=sys.stderr)

    def progress(self, done: int, total: int, what: str, /) -> None:
        """Show how far a step is that is no stage of training."""
        if self._bar.total != total:
            self._bar.reset(total)
        self._bar.set_description(what, refresh=False)
        self._bar.update(done - self._bar.n)
        if self._bar.disable and time.monotonic() - self._told > _PLAIN_SECONDS:
            self.say(f"{what}: {done} of {total}")
            self._told = time.monotonic()

    def __call__(self, event: Any, /) -> None:
        """Show an event."""
        if hasattr(event, "scores"):
            self._show_scores(event)
        elif hasattr(event, "candidate"):
            place = f"surrogate {event.step} of at most {event.steps}"
            self.say(f"{place}: {event.candidate}, error {event.error:.4f}, {event.seconds / 60:.1f} min so far")
        elif hasattr(event, "drawn"):
            self._show_mask(event)
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

    def _show_mask(self, event: Any) -> None:
        differ = "no earlier tickets to compare with"
        if event.heads:
            before = f"the last {len(event.heads)}"
            differ = f"heads differ by {max(event.heads):.3f} and neurons by {max(event.neurons):.3f} from {before}"
        reasons = {"settled": "settled", "at": "drawn as asked for", "latest": "drawn though it has not settled"}
        end = f": {reasons[event.drawn]}" if event.drawn else ""
        self.say(f"{event.stage}: ticket after step {event.step}, {differ}{end}")

    def _show_scores(self, event: Any) -> None:
        best = ", the best so far" if event.best else ""
        mean = sum(event.scores.values()) / len(event.scores)
        self.say(f"{_place(event)}, mean dev score {mean:.4f}{best}")
        if len(event.scores) > 1:
            self.say(_table(*score_table(event.scores)))


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    from tabulate import tabulate

    return str(tabulate(rows, headers, tablefmt="plain", disable_numparse=True)) + "\n"


def _place(event: Any) -> str:
    left = event.seconds / event.step * (event.steps - event.step)
    return f"{event.stage}: step {event.step} of {event.steps}, {left / 60:.0f} min left"
