"""Bort (arXiv 2010.10499): finds the architecture that is worth training, then distils into it."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgebert import records
from edgebert.elastic.bort.architecture import Architecture
from edgebert.elastic.bort.architecture_search import ArchitectureSearch, Measurements, SearchResult, SearchSettings
from edgebert.elastic.bort.masked_lm import MaskedTexts, MaskedTokenAccuracy, check_tokenizer, load_masked_lm
from edgebert.elastic.bort.student import StudentBuilder, TeacherEmbeddings
from edgebert.elastic.bort.surrogate import Surrogate
from edgebert.elastic.checkpoint import load_whole
from edgebert.elastic.heads import TRAINING_HEADS
from edgebert.elastic.losses import LOSSES
from edgebert.elastic.model import Model
from edgebert.elastic.stage import Stage, fine_tuning
from edgebert.elastic.training_data import TrainingFiles
from edgebert.elastic.training_run import RunOptions, TrainingResult, TrainingRun
from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import TrainingError
from edgebert.records import Record

METHOD, STUDENT, SEARCH = "bort", "student", "search.json"

# Measures architectures, and may keep what it measured in a folder; what it measured before costs nothing.
MeasureLatencies = Callable[[Sequence[Architecture], Path], Measurements]


def distillation(epochs: int = 10, learning_rate: float = 3e-4, *, label_weight: float = 0.0) -> Stage:
    """Return the distillation from the fine-tuned teacher's logits; labels count too if they are given a weight."""
    return Stage("task", epochs, learning_rate, label_weight, logit_weight=1.0, teacher="fine-tuned", dropout=False)


def masked_lm_distillation(epochs: int = 3, learning_rate: float = 1e-4) -> Stage:
    """Return the paper's pre-training: 0.1 * masked-LM loss + 0.5 * distillation at temperature 2."""
    return Stage(
        "masked-lm", epochs, learning_rate, label_weight=0.1, logit_weight=0.5, teacher="previous", temperature=2.0
    )


class MaskedTeacher(Record, frozen=True):
    """A masked language model to distil from first, and that stage."""

    checkpoint: str
    stage: Stage


class BortSettings(Record, frozen=True):
    """Which architecture is trained, or the search that finds it, and how it is trained.

    `search_only` ends after the search. The student starts from random weights but for its embeddings, which are the
    teacher's (see `TeacherEmbeddings`) unless `from_scratch`. It learns from `masked` first, if there is such a
    teacher. `fine_tune` makes the teacher where the checkpoint has no task's head.
    """

    architecture: Architecture | SearchSettings
    search_only: bool = False
    distil: Stage = distillation()
    fine_tune: Stage = fine_tuning()
    masked: MaskedTeacher | None = None
    from_scratch: bool = False


def train(
    files: TrainingFiles, settings: BortSettings, options: RunOptions, measure: MeasureLatencies
) -> tuple[SearchResult | None, TrainingResult | None]:
    """Make a checkpoint of the best architecture; return what the search found and what was trained.

    The checkpoint that the training starts from is the teacher. The student learns what the fine-tuned teacher says
    about the training texts and those to transfer.

    Raises:
        TrainingError: the checkpoint, the data and the settings do not go together, or training failed.
        BudgetError: no architecture of the space is within the budget.
        EdgeBertError: a data file cannot be read, or nothing can be measured.
    """
    run = TrainingRun.prepare(files, options, load_whole)
    if TRAINING_HEADS[run.data.task.NAME].names:
        advice = "use dynabert, early-bird or layer-drop"
        raise TrainingError(f"bort makes no models for {run.data.task.NAME}; {advice}")
    _claim_folder(run, settings)
    if settings.masked:
        check_tokenizer(Path(settings.masked.checkpoint), run.tokenizer)
    teacher = files.model if run.is_fine_tuned else run.run_stage(settings.fine_tune, files.model)
    builder = StudentBuilder.of(run.config, run.data.train, run.data.task, run.settings.seed)
    steps = _Distillation(run, teacher, builder, settings)

    found, architecture = None, settings.architecture
    if isinstance(architecture, SearchSettings):
        found = steps.search(architecture, measure)
        architecture = found.architecture
    if settings.search_only:
        return found, None
    result = steps.train(architecture)
    manifest = ElasticManifest.of_slices(METHOD, files.origin, (architecture.whole(),))
    return found, run.finish(result, manifest, settings.distil)


def _claim_folder(run: TrainingRun, settings: BortSettings) -> None:
    masked, wanted = settings.masked, settings.architecture
    before = [] if run.is_fine_tuned else [settings.fine_tune]
    distilling = [masked.stage, settings.distil] if masked else [settings.distil]
    named, search = (None, wanted) if isinstance(wanted, SearchSettings) else (str(wanted), None)
    # Not `search_only`: the same command without it goes on from the search.
    run.claim_folder(
        [*before, *distilling],
        [Path(masked.checkpoint)] if masked else [],
        architecture=named,
        search=search,
        from_scratch=settings.from_scratch,
    )


@dataclass(frozen=True)
class _Distillation:
    """The steps of this method, which share a run and the folder of the fine-tuned teacher."""

    run: TrainingRun
    teacher: Path
    builder: StudentBuilder
    settings: BortSettings

    def search(self, search: SearchSettings, measure: MeasureLatencies) -> SearchResult:
        """Search for the architecture, unless that has been done before."""
        path = self.run.folder.path / SEARCH
        # On several devices one searches and the others wait: latency is not measured beside other work.
        self.run.folder.make_once(path, lambda: self._search(search, measure, path))
        return records.read(path, SearchResult, TrainingError)

    def _search(self, search: SearchSettings, measure: MeasureLatencies, path: Path) -> None:
        run = self.run
        teacher = run.read_model(self.teacher).eval()
        surrogate = Surrogate(search.surrogate, run, self._builder_of(teacher), teacher)
        found = ArchitectureSearch(
            search,
            self.builder.sizes,
            measure=lambda some: measure(some, run.folder.path),
            find_error=surrogate.error,
            seed=run.settings.seed,
            listener=run.options.listener,
        ).run()
        records.write_bytes(path, records.encode(found), TrainingError)

    def train(self, one: Architecture) -> Path:
        """Train a student of an architecture; return the folder of the result."""
        run, masked, stage = self.run, self.settings.masked, self.settings.distil
        whole = [one.whole().subnet(METHOD, "fp32")]
        start = run.make_checkpoint(STUDENT, lambda: (self._student(one), None))
        if masked:
            start = _masked_lm_run(run).run_stage(masked.stage, start, whole, Path(masked.checkpoint))
        if stage.label_weight:
            run = _labelled_run(run)
        return run.run_stage(stage, start, whole, self.teacher)

    def _student(self, one: Architecture) -> Model:
        masked = self.settings.masked
        # Of a masked LM the embeddings alone are wanted, so any mask's id will do.
        own = load_masked_lm(Path(masked.checkpoint), 0) if masked else load_whole(self.teacher, self.builder.task)
        return Model(self._builder_of(own).student(one, masked_lm=masked is not None))

    def _builder_of(self, teacher: Model) -> StudentBuilder:
        """Return what makes students that begin with a teacher's embeddings, or from scratch."""
        embeddings = None if self.settings.from_scratch else TeacherEmbeddings.of(teacher.plain())
        return dataclasses.replace(self.builder, embeddings=embeddings)


def _masked_lm_run(run: TrainingRun) -> TrainingRun:
    """Return a run on which masked language models learn: from all texts, with the paper's warm-up."""
    tokenizer, data = run.tokenizer, run.data
    masked = MaskedTexts.of(data.distil, tokenizer)
    dev = MaskedTexts.of(data.dev, tokenizer, fixed=True)
    return dataclasses.replace(
        run,
        data=dataclasses.replace(data, distil=masked, dev=dev),
        settings=msgspec.structs.replace(run.settings, warmup=0.01),
        load=lambda path, _: load_masked_lm(path, tokenizer.mask_token_id),
        metric=MaskedTokenAccuracy(),
        losses=LOSSES["cross-entropy"],
    )


def _labelled_run(run: TrainingRun) -> TrainingRun:
    """Return a run whose texts to distil on have labels, as far as these are known."""
    texts, labelled, task = run.data.distil, run.data.train, run.data.task
    assert labelled.targets is not None, "training texts have labels"
    # Texts to transfer, which follow the training texts, have no labels and do not count in that loss.
    unknown = [TRAINING_HEADS[task.NAME].unknown_target(len(task.labels))] * (len(texts) - len(labelled))
    distil = dataclasses.replace(texts, targets=[*labelled.targets, *unknown])
    return dataclasses.replace(run, data=dataclasses.replace(run.data, distil=distil))
