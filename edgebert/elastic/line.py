"""The steps that trainings are made of, each from one folder's checkpoint to another's; a finished step stays done.

Knows not which steps a method takes.
"""

import dataclasses
import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from accelerate import Accelerator

from edgebert import records
from edgebert.elastic import importance
from edgebert.elastic.checkpoint import Head, load_model, load_tokenizer, read_config, save_model
from edgebert.elastic.data import tokenise
from edgebert.elastic.dynabert.augmentation import Augmenter, augmented
from edgebert.elastic.journal import AugmentEvent, Journal, Listener, no_listener
from edgebert.elastic.model import ElasticModel
from edgebert.elastic.stage import Compute, Settings, Stage
from edgebert.elastic.task import Task, checked_length, read_task
from edgebert.elastic.training import Work, best_compute, run_stage, subnets_of
from edgebert.elastic.whole import Model
from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import TrainingError
from edgebert.inputs.tokenization import Text
from edgebert.records import Record
from edgebert.subnet import Subnet

REWIRED, PLAN, AUGMENTED = "rewired", "plan.json", "augmented.jsonl"


class Plan(Record, frozen=True):
    """All that the result of a training depends on, so that none goes on with another one's files.

    `choice` is what a method does beside its stages.
    """

    schema_version: int
    files: dict[str, str]
    head: Head
    stages: tuple[Stage, ...]
    settings: Settings
    augment: int
    choice: str = ""


@dataclass(frozen=True)
class Variety:
    """How many variants of each training text a masked language model is to make."""

    count: int
    checkpoint: Path


def hashes(checkpoints: Sequence[Path], files: Sequence[Path]) -> dict[str, str]:
    """Return the SHA-256 of data files and of checkpoints' configurations and weights, wherever they lie."""
    found = {f"data {number}, {path.name}": path for number, path in enumerate(files, 1)}
    for number, folder in enumerate(checkpoints, 1):
        for path in folder.iterdir():
            if path.name == "config.json" or path.suffix in (".safetensors", ".bin"):
                found[f"checkpoint {number}, {path.name}"] = path
    return {
        name: hashlib.sha256(records.read_bytes(path, TrainingError)).hexdigest()
        for name, path in sorted(found.items())
    }


def devices() -> Accelerator:
    """Return the devices of this run: those of `accelerate launch`, else a GPU if there is one, else the CPU."""
    # Its mixed precision is fixed for the life of a process, so that is left to each stage.
    return Accelerator(mixed_precision="no")


@dataclass(frozen=True)
class Setup:
    """How a training is run, whatever its method: more texts to distil on, the head, sizes, the machine and places.

    `labels` name the head's labels in their order. `work` is the folder of what is finished (default: beside the
    checkpoint that is made); state is saved there every `save_minutes`.
    """

    transfer: Sequence[str | Path] = ()
    labels: Sequence[str] | None = None
    regression: bool = False
    batch_size: int = 32
    accumulate: int = 1
    max_length: int | None = None
    compute: Compute | None = None
    seed: int = 1
    work: str | Path | None = None
    save_minutes: float = 5.0
    listener: Listener = no_listener


@dataclass(frozen=True)
class Trained:
    """A finished training: where its checkpoint and its journals are, and the dev score of each sub-network by id.

    `main_process` is False in all but one of the processes that `accelerate launch` starts.
    """

    checkpoint: Path
    work: Path
    manifest: ElasticManifest
    metric: str
    scores: dict[str, float]
    main_process: bool


@dataclass(frozen=True)
class Line:
    """What the steps of a training share; `load` reads the checkpoints that stages train."""

    task: Task
    tokenizer: Any
    settings: Settings
    accelerator: Accelerator
    folder: Path
    listener: Listener = no_listener
    save_minutes: float = 5.0
    load: Callable[[Path, Head], Model] = load_model

    @classmethod
    def open(
        cls,
        origin: Path,
        train_data: str | Path,
        dev_data: str | Path,
        out: Path,
        setup: Setup,
        *,
        stages: Sequence[Stage],
        checkpoints: Sequence[Path] = (),
        augment: int = 0,
        choice: str = "",
        load: Callable[[Path, Head], Model] = load_model,
    ) -> "Line":
        """Check all that a training of `origin` needs, and claim its work folder.

        `checkpoints` are others that its result depends on.

        Raises:
            TrainingError: the checkpoint, the data and the settings do not go together, or the folder is another's.
            EdgeBertError: a data file cannot be read.
        """
        folder = Path(setup.work).absolute() if setup.work else out.with_name(f"{out.name}.training")
        max_length = checked_length(origin, setup.max_length)
        tokenizer = load_tokenizer(origin)
        train, dev, transfer = Path(train_data), Path(dev_data), [Path(file) for file in setup.transfer]
        labels, regression = setup.labels, setup.regression
        task = read_task(
            origin, tokenizer, train, dev, transfer, labels=labels, regression=regression, max_length=max_length
        )
        for checkpoint in checkpoints:
            read_config(checkpoint)
        settings = Settings(
            seed=setup.seed,
            batch_size=setup.batch_size,
            accumulate=setup.accumulate,
            max_length=max_length,
            compute=setup.compute or best_compute(),
        )
        plan = Plan(
            schema_version=1,
            files=hashes([origin, *checkpoints], [train, dev, *transfer]),
            head=task.head,
            stages=tuple(stages),
            settings=msgspec.structs.replace(settings, accumulate=1),  # the parts of a step change nothing but memory
            augment=augment,
            choice=choice,
        )
        line = cls(task, tokenizer, settings, devices(), folder, setup.listener, setup.save_minutes, load)
        line.claim(plan)
        return line

    def claim(self, plan: Plan) -> None:
        """Make the work folder this training's, or find that it already is.

        Raises:
            TrainingError: it is another one's, or cannot be written.
        """
        path = self.folder / PLAN
        if self.is_missing(path):
            if self.accelerator.is_main_process:
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                except OSError as problem:
                    advice = "choose another --work"
                    raise TrainingError(f"cannot write {self.folder}: {problem.strerror}; {advice}") from None
                records.write_bytes(path, records.encode(plan), TrainingError)
            self.accelerator.wait_for_everyone()
            return
        found = records.read(path, Plan, TrainingError)
        differing = [name for name in plan.__struct_fields__ if getattr(found, name) != getattr(plan, name)]
        if differing:
            advice = "give another --work, or remove it to begin anew"
            raise TrainingError(f"{self.folder} holds a training with other {' and '.join(differing)}; {advice}")

    def augmented(self, variety: Variety) -> "Line":
        """Return a line that distils on variants of the training texts too."""
        if self.accelerator.is_main_process:
            self._varied(variety)
        self.accelerator.wait_for_everyone()
        variants = tokenise(self.tokenizer, self._varied(variety), self.settings.max_length)
        return dataclasses.replace(
            self, task=dataclasses.replace(self.task, distil=self.task.distil.and_also(variants))
        )

    def _varied(self, variety: Variety) -> list[Text]:
        device, settings, start = self.accelerator.device, self.settings, time.monotonic()
        return augmented(
            self.task.inputs,
            variety.count,
            lambda: Augmenter(
                variety.checkpoint,
                device,
                compute=settings.compute,
                max_length=settings.max_length,
                seed=settings.seed,
            ),
            self.folder / AUGMENTED,
            lambda done, of: self.listener(AugmentEvent(done, of, time.monotonic() - start)),
        )

    def run(
        self, stage: Stage, start: Path, teacher: Path | None = None, subnets: Sequence[Subnet] | None = None
    ) -> Path:
        """Train a checkpoint through a stage and return the folder of the result.

        `subnets` are those that learn, the largest first; by default DynaBERT's of the stage's widths and depths.
        """
        done, state = self.folder / stage.name, self.folder / f"{stage.name}.state"
        if self.is_missing(done):
            state.mkdir(exist_ok=True)
            student = self.read(start)
            if subnets is None:
                assert isinstance(student, ElasticModel), "a model that is run whole has no grid"
                subnets = subnets_of(student, stage)
            work = Work(
                student=student,
                teacher=self.read(teacher).eval() if teacher else None,
                subnets=subnets,
                texts=self.task.distil if teacher else self.task.train,
                dev=self.task.dev,
                accelerator=self.accelerator,
                folder=state,
                journal=self.journal(stage),
                save_seconds=60 * self.save_minutes,
            )
            run_stage(stage, self.settings, work)
            self._save(student, None, folder=done)
            if self.accelerator.is_main_process:
                shutil.rmtree(state)
        return done

    def journal(self, stage: Stage) -> Journal:
        """Return the journal of a stage."""
        return Journal(self.folder / f"{stage.name}.jsonl", self.listener)

    def step(self, name: str, make: Callable[[], tuple[Model, ElasticManifest | None]]) -> Path:
        """Make a checkpoint, unless it has been made before, and return its folder."""
        done = self.folder / name
        if self.is_missing(done):
            self._save(*make(), folder=done)
        return done

    def rewire(self, start: Path) -> Path:
        """Put the heads and neurons that matter most for the training texts first; return the folder of the result."""

        def rewired() -> tuple[Model, None]:
            model = load_model(start, self.task.head).to(self.accelerator.device)
            if self.accelerator.is_main_process:
                batches = self.task.train.all_batches(self.settings.batch_size, self.accelerator.device)
                importance.rewire(model, importance.rank(model, batches))
            return model, None

        return self.step(REWIRED, rewired)

    def finish(self, result: Path, out: Path, manifest: ElasticManifest, last: Stage) -> Trained:
        """Write the checkpoint from the folder of the last stage's result, and return what the training came to."""
        self._save(self.read(result), manifest, folder=out)
        return Trained(
            checkpoint=out,
            work=self.folder,
            manifest=manifest,
            metric=self.task.head.metric,
            scores=self.journal(last).best().scores,
            main_process=self.accelerator.is_main_process,
        )

    def is_missing(self, path: Path) -> bool:
        """Return the same on all devices: none goes on and makes it while another still looks."""
        self.accelerator.wait_for_everyone()
        missing = not path.exists()
        self.accelerator.wait_for_everyone()
        return missing

    def read(self, path: Path) -> Model:
        """Return the model of a checkpoint, on this training's device."""
        torch.manual_seed(self.settings.seed)  # a head that is missing starts with random weights
        return self.load(path, self.task.head).to(self.accelerator.device)

    def _save(self, model: Model, manifest: ElasticManifest | None, *, folder: Path) -> None:
        if self.accelerator.is_main_process:
            save_model(model, self.tokenizer, folder, manifest)
        self.accelerator.wait_for_everyone()
