"""The steps that trainings are made of, each from one folder's checkpoint to another's; a finished step stays done.

Does not know which steps a method takes.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch
from accelerate import Accelerator
from transformers import PreTrainedTokenizerBase

from edgebert.elastic.checkpoint import CHECKPOINT, load_tokenizer, read_model_config, save_model
from edgebert.elastic.events import EventJournal, Listener, SubnetScore, no_listener
from edgebert.elastic.heads import TRAINING_HEADS, fine_tuned_task
from edgebert.elastic.losses import Losses
from edgebert.elastic.model import Model, best_compute
from edgebert.elastic.model_config import ModelConfig
from edgebert.elastic.scoring import DevMetric, Scorer
from edgebert.elastic.stage import Compute, Stage, TrainingSettings
from edgebert.elastic.stage_training import StageContext, run_stage
from edgebert.elastic.training_data import TaskChoice, TrainingData, TrainingFiles, read_training_data
from edgebert.elastic.work_folder import TrainingPlan, WorkFolder, hashes
from edgebert.elastic_manifest import ElasticManifest
from edgebert.scratch import remove_folder
from edgebert.subnet import Subnet
from edgebert.tasks.sentence_embedding import SentenceEmbedding
from edgebert.tasks.task import Task

# Reads the checkpoint of a task as the model that a method trains.
Load = Callable[[Path, Task], Model]


@dataclass(frozen=True)
class RunOptions:
    """How a training is run, whatever its method.

    `work` is the folder of what is finished (default: beside the checkpoint that is made). State is saved there every
    `save_minutes`.
    """

    task: TaskChoice = field(default_factory=TaskChoice)
    batch_size: int = 32
    accumulate: int = 1
    max_length: int | None = None
    compute: Compute | None = None
    seed: int = 1
    work: Path | None = None
    save_minutes: float = 5.0
    listener: Listener = no_listener


@dataclass(frozen=True)
class TrainingResult:
    """A finished training: where its checkpoint and its journals are, and the dev score of each sub-network.

    `main_process` is False in all but one of the processes that `accelerate launch` starts.
    """

    checkpoint: Path
    work: Path
    manifest: ElasticManifest
    metric: str
    scores: tuple[SubnetScore, ...]
    main_process: bool


@dataclass(frozen=True)
class TrainingRun:
    """What the steps of a training share. A method prepares it, claims its folder, runs steps and finishes it.

    `config` is that of the checkpoint that the training starts from; `load` reads the models that stages train.
    `metric` and `losses` are the task's, unless a stage learns something else.
    """

    files: TrainingFiles
    options: RunOptions
    config: ModelConfig
    data: TrainingData
    tokenizer: PreTrainedTokenizerBase
    settings: TrainingSettings
    folder: WorkFolder
    load: Load
    metric: DevMetric
    losses: Losses

    @classmethod
    def prepare(cls, files: TrainingFiles, options: RunOptions, load: Load) -> "TrainingRun":
        """Read and check all that a training needs; nothing is written yet.

        Raises:
            TrainingError: the checkpoint, the data and the options do not go together, or `out` is not free.
            EdgeBertError: a data file cannot be read.
        """
        files = dataclasses.replace(files, out=files.out.absolute())
        CHECKPOINT.check_free(files.out)
        config, tokenizer = read_model_config(files.model), load_tokenizer(files.model)
        data = read_training_data(files, config, tokenizer, options.task, options.max_length)
        settings = TrainingSettings(
            seed=options.seed,
            batch_size=options.batch_size,
            accumulate=options.accumulate,
            max_length=data.max_length,
            compute=options.compute or best_compute(),
        )
        work = options.work.absolute() if options.work else files.out.with_name(f"{files.out.name}.training")
        # The devices of `accelerate launch`, else a GPU if there is one, else the CPU. Their mixed precision is fixed
        # for the life of a process, so that is left to each stage.
        accelerator = Accelerator(mixed_precision="no")
        # cuDNN plans its attention anew for each shape, and batches and sub-networks have hundreds: on an H200 a step
        # took 0.385 s with it and 0.117 s without.
        torch.backends.cuda.enable_cudnn_sdp(False)
        folder, losses = WorkFolder(work, accelerator), TRAINING_HEADS[data.task.NAME].losses(data.task)
        return cls(files, options, config, data, tokenizer, settings, folder, load, metric=data.task, losses=losses)

    @property
    def is_fine_tuned(self) -> bool:
        """Whether the checkpoint that the training starts from has a task's head already, or needs none."""
        return not TRAINING_HEADS[self.data.task.NAME].has_labels or fine_tuned_task(self.config) is not None

    @property
    def _sentence_folder(self) -> Path | None:
        """The folder whose files say how vectors are made, where they are what is learnt: a head replaces them."""
        return self.files.model if isinstance(self.data.task, SentenceEmbedding) else None

    def claim_folder(
        self, stages: Sequence[Stage], checkpoints: Sequence[Path] = (), **method_settings: object
    ) -> None:
        """Make the work folder this training's, whose result depends on these arguments and on nothing else.

        Raises:
            TrainingError: the folder is another training's or cannot be written, or there is no such checkpoint.
        """
        for checkpoint in checkpoints:
            read_model_config(checkpoint)
        plan = TrainingPlan(
            schema_version=TrainingPlan.VERSION,
            files=hashes([self.files.model, *checkpoints], self.files.data),
            task=self.data.task.NAME,
            labels=self.data.task.labels,
            stages=tuple(stages),
            # The parts of a step change nothing but memory, so that more of them may go on with a training.
            settings=msgspec.structs.replace(self.settings, accumulate=1),
            method_settings=msgspec.json.encode(method_settings).decode() if method_settings else "",
        )
        self.folder.claim(plan)

    def run_stage(
        self, stage: Stage, start: Path, subnets: Sequence[Subnet] | None = None, teacher: Path | None = None
    ) -> Path:
        """Train a checkpoint through a stage and return the folder of the result.

        `subnets` are those that learn, the largest first; by default the whole model alone.
        """
        done, state = self.folder.path / stage.name, self.folder.path / f"{stage.name}.state"
        if self.folder.is_missing(done):
            state.mkdir(exist_ok=True)
            student = self.read_model(start)
            context = self.stage_context(stage, student, subnets or [student.subnet()])
            # Without a teacher the labels are learnt, so the labelled texts; with one, all texts there are.
            if teacher:
                taught = self.read_model(teacher).eval()
                context = dataclasses.replace(context, teacher=taught, texts=self.data.distil)
            run_stage(context)

            # The state goes last: a kill in between finds the result, or makes it again from the state.
            self.make_checkpoint(stage.name, lambda: (student, None))
        if self.folder.accelerator.is_main_process:
            remove_folder(state)
        return done

    def stage_context(self, stage: Stage, student: Model, subnets: Sequence[Subnet]) -> StageContext:
        """Return what a stage works with that learns from labels."""
        accelerator = self.folder.accelerator
        return StageContext(
            stage=stage,
            settings=self.settings,
            student=student,
            teacher=None,
            subnets=subnets,
            texts=self.data.train,
            scorer=self.scorer(),
            accelerator=accelerator,
            folder=self.folder.path / f"{stage.name}.state",
            journal=self.journal(stage),
            save_seconds=60 * self.options.save_minutes,
        )

    def scorer(self) -> Scorer:
        """Return what scores sub-networks on the dev texts."""
        return Scorer(self.metric, self.losses, self.data.dev, self.folder.accelerator)

    def journal(self, stage: Stage) -> EventJournal:
        """Return the journal of a stage."""
        return EventJournal(self.folder.path / f"{stage.name}.jsonl", self.options.listener)

    def make_checkpoint(self, name: str, make: Callable[[], tuple[Model, ElasticManifest | None]]) -> Path:
        """Have one device make a checkpoint of the work folder, unless there is one, and return its folder."""
        done = self.folder.path / name

        def save() -> None:
            model, manifest = make()
            save_model(model, self.tokenizer, done, manifest, self._sentence_folder)

        self.folder.make_once(done, save)
        return done

    def finish(self, result: Path, manifest: ElasticManifest, last: Stage) -> TrainingResult:
        """Write the checkpoint from the folder of the last stage's result, and return what the training came to."""
        main_process = self.folder.accelerator.is_main_process
        if main_process:
            save_model(self.read_model(result), self.tokenizer, self.files.out, manifest, self._sentence_folder)
        self.folder.accelerator.wait_for_everyone()
        scores = self.journal(last).best().scores
        return TrainingResult(self.files.out, self.folder.path, manifest, self.metric.METRICS[0], scores, main_process)

    def read_model(self, path: Path) -> Model:
        """Return the model of a checkpoint, on this training's device."""
        torch.manual_seed(self.settings.seed)  # a head that is missing starts with random weights
        return self.load(path, self.data.task).to(self.folder.accelerator.device)
