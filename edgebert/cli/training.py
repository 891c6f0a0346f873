"""What the methods of `edgebert train` share: arguments, the display of what happens, and the table of scores."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgebert.cli.arguments import add, count, counts, from_options, names, positive
from edgebert.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from edgebert.elastic.events import AugmentEvent, Event, MaskEvent, ScoreEvent, StepEvent, SubnetScore
    from edgebert.elastic.training_data import TrainingFiles
    from edgebert.elastic.training_run import RunOptions, TrainingResult

S = TypeVar("S")
T = TypeVar("T")

_PLAIN_SECONDS = 60.0  # between two lines where there is no terminal to draw a bar on


def add_data(
    parser: argparse.ArgumentParser, *, distils: bool = False, embeds: bool = False
) -> argparse._ArgumentGroup:
    """Add the arguments that say what is learnt from, and return their group.

    A method that distils takes more texts, and one that `embeds` learns sentence embeddings from texts alone.
    """
    data = parser.add_argument_group("data")
    data.add_argument("--model", metavar="CHECKPOINT", required=True, help="a Hugging Face folder, fine-tuned or not")
    data.add_argument("--train", metavar="DATA", required=not embeds, help="labelled rows: .tsv, .csv or .jsonl")
    dev = "labelled rows that the best step is chosen on" + ("; with --texts there may be none" if embeds else "")
    data.add_argument("--dev", metavar="DATA", required=not embeds, help=dev)
    data.add_argument("--out", metavar="CHECKPOINT", required=True, help="the checkpoint to write")
    add(data, "--labels", names, "A,B", "names of the labels, in their order")
    # The default is the checkpoint's own task, which is not known before it is read.
    task = "such as multi-label-text-classification (default: the checkpoint's, or else text-classification)"
    add(data, "--task", _task_name, "NAME", task)
    regression = "labels are numbers to predict: the same as --task text-regression"
    data.add_argument("--regression", dest="task", action="store_const", const="text-regression", help=regression)
    add(data, "--max-length", count, "N", "tokens (default: 128)")
    if distils:
        data.add_argument("--transfer", metavar="FILE", action="append", default=[], help="more texts to distil on")
    if embeds:
        texts = "texts without labels, instead of --train: sentence embeddings are learnt on them from --model alone"
        data.add_argument("--texts", metavar="FILE", action="append", default=[], help=texts)
        fewer = "fewer dimensions that embeddings may be cut to (default: of 512, 256, 128 and 64)"
        add(data, "--dims", counts, "N,...", fewer)
    return data


def _task_name(text: str) -> str:
    """Return the name of a task that there is."""
    from edgebert.tasks.tasks import TASKS

    known = [task.NAME for task in TASKS]
    if text not in known:
        raise argparse.ArgumentTypeError(f"expected a task of {', '.join(known)}, found {text}")
    return text


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how a training is run."""
    run = parser.add_argument_group("run")
    add(run, "--batch-size", count, "N", "texts in a step, in all (32)")
    add(run, "--accumulate", count, "N", "parts that a step is made in, to save memory")
    run.add_argument("--compute", choices=["fp32", "bf16"], help="default: bf16 where the machine has it")
    add(run, "--seed", int, "N", "of all that is random (1)", 1)
    add(run, "--work", str, "FOLDER", "finished stages, state, journals (default: OUT.training)")
    add(run, "--save-minutes", positive, "X", "between two saved states (5)")


def add_freeze(group: argparse._ActionsContainer) -> None:
    """Add that the embedding tables stay as they are."""
    freeze = "leave the embedding tables as they are: checkpoints of one origin then share them in a bundle"
    group.add_argument("--freeze-embeddings", dest="embeddings", action="store_false", help=freeze)


def files_of(options: argparse.Namespace) -> "TrainingFiles":
    """Return what is trained from what, as the arguments say."""
    from edgebert.elastic.training_data import TrainingFiles

    transfer, texts = (tuple(map(Path, getattr(options, name, ()))) for name in ("transfer", "texts"))
    train, dev = (Path(file) if file else None for file in (options.train, options.dev))
    return TrainingFiles(Path(options.model), train, dev, Path(options.out), transfer, texts)


def run_options_of(options: argparse.Namespace, display: "Display") -> "RunOptions":
    """Return how a training is run, as the arguments say."""
    from edgebert.elastic.training_data import TaskChoice
    from edgebert.elastic.training_run import RunOptions

    work = Path(options.work) if options.work else None
    task = TaskChoice(options.task, options.labels, getattr(options, "dims", None))
    return from_options(RunOptions, options, task=task, work=work, listener=display)


def train_with(train: "Callable[[TrainingFiles, S, RunOptions], T]", settings: S, options: argparse.Namespace) -> T:
    """Train with a method and its settings, and show what happens meanwhile."""
    with Display() as display:
        return train(files_of(options), settings, run_options_of(options, display))


def print_trained(trained: "TrainingResult", options: argparse.Namespace, **facts: Any) -> None:
    """Print a finished training, as JSON with some more facts or as a table of scores."""
    # With `accelerate launch` each device runs this command, and the result is told once.
    if not trained.main_process:
        return
    if options.json:
        print_json(
            {
                "checkpoint": str(trained.checkpoint),
                "work": str(trained.work),
                "method": trained.manifest.method,
                "metric": trained.metric,
                "dataset": _dataset(options),
                "subnetworks": [{"id": one.id, "score": one.score} for one in trained.scores],
                **facts,
            }
        )
        return
    print_text(f"{trained.checkpoint}: {trained.metric} on {_dataset(options)}, in torch\n")
    print_table(*score_table(trained.scores))
    measured = f"--eval {options.dev}" if options.dev else f"--texts {options.texts[0]}"
    print_text(f"\nnext: edgebert export {options.out} --out BUNDLE {measured}")


def _dataset(options: argparse.Namespace) -> str:
    """Return on what the best step was chosen: a data file, or texts that were held out."""
    return Path(options.dev or options.texts[0]).name


def score_table(scores: "Sequence[SubnetScore]") -> tuple[list[list[str]], list[str]]:
    """Return rows and headers of a table of scores: a grid for DynaBERT's, a line for each other sub-network."""
    places = {(one.depth, one.width): f"{one.score:.4f}" for one in scores if one.depth and one.width}
    if len(places) < len(scores):
        return [[one.id, f"{one.score:.4f}"] for one in scores], ["sub-network", "score"]
    widths = sorted({width for _, width in places}, reverse=True)
    depths = sorted({depth for depth, _ in places}, reverse=True)
    rows = [[f"d{depth:.2f}", *(places.get((depth, width), "") for width in widths)] for depth in depths]
    return rows, ["", *(f"w{width:.2f}" for width in widths)]


class Display:
    """Shows events on standard error: a bar with the loss and the time left on a terminal, lines elsewhere."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(file=sys.stderr, disable=None, leave=False, unit="step", dynamic_ncols=True)
        self._told = time.monotonic()
        self._stage = ""

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:
            self.say("the same command goes on from the last saved state")
        self._bar.close()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.write(line, file=sys.stderr)

    def progress(self, done: int, total: int, what: str, /) -> None:
        """Show how far a step is that is no stage of training."""
        if self._bar.total != total:
            self._bar.reset(total)
        self._show(done, what, f"{what}: {done} of {total}")

    def __call__(self, event: "Event", /) -> None:
        """Show an event."""
        from edgebert.elastic.events import AugmentEvent, MaskEvent, ScoreEvent, StepEvent, TrialEvent

        match event:
            case StepEvent() | AugmentEvent():
                self._show_step(event, f"loss {sum(event.losses.values()):.3f}" if isinstance(event, StepEvent) else "")
            case ScoreEvent():
                self._show_scores(event)
            case MaskEvent():
                self._show_mask(event)
            case TrialEvent():
                place = f"surrogate {event.step} of at most {event.steps}"
                self.say(f"{place}: {event.candidate}, error {event.error:.4f}, {event.seconds / 60:.1f} min so far")

    def _show_step(self, event: "StepEvent | AugmentEvent", loss: str) -> None:
        if self._stage != event.stage:
            self._stage = event.stage
            self._bar.reset(event.steps)
            # A resumed stage does not begin at step 0; tqdm's rate is to count the steps of this process alone.
            self._bar.initial = self._bar.n = event.step - 1
        self._bar.set_postfix_str(loss, refresh=False)
        self._show(event.step, event.stage, ", ".join(filter(None, (_place(event), loss))))

    def _show(self, done: int, what: str, line: str) -> None:
        """Move the bar; where there is none, print the line now and then."""
        self._bar.set_description(what, refresh=False)
        self._bar.update(done - self._bar.n)
        if self._bar.disable and time.monotonic() - self._told > _PLAIN_SECONDS:
            self.say(line)
            self._told = time.monotonic()

    def _show_mask(self, event: "MaskEvent") -> None:
        differ = "no earlier tickets to compare with"
        if event.heads:
            before = f"the last {len(event.heads)}"
            differ = f"heads differ by {max(event.heads):.3f} and neurons by {max(event.neurons):.3f} from {before}"
        reasons = {"settled": "settled", "at": "drawn as asked for", "latest": "drawn though it has not settled"}
        end = f": {reasons[event.drawn]}" if event.drawn else ""
        self.say(f"{event.stage}: ticket after step {event.step}, {differ}{end}")

    def _show_scores(self, event: "ScoreEvent") -> None:
        from tabulate import tabulate

        best = ", the best so far" if event.best else ""
        mean = sum(one.score for one in event.scores) / len(event.scores)
        self.say(f"{_place(event)}, mean dev score {mean:.4f}{best}")
        if len(event.scores) > 1:
            rows, headers = score_table(event.scores)
            self.say(str(tabulate(rows, headers, tablefmt="plain", disable_numparse=True)) + "\n")


def _place(event: "StepEvent | AugmentEvent | ScoreEvent") -> str:
    # `seconds` are those of the whole stage, also of the runs before an interruption.
    left = event.seconds / event.step * (event.steps - event.step)
    return f"{event.stage}: step {event.step} of {event.steps}, {left / 60:.0f} min left"
