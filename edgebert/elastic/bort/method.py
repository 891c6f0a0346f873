"""Bort (arXiv 2010.10499): find the architecture that is worth training, then distil into it, as one story."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgebert import records
from edgebert.elastic.bort.architecture import Architecture, Space
from edgebert.elastic.bort.extraction import Goal
from edgebert.elastic.bort.masked_lm import MaskedTexts, check_tokenizer, load_masked_lm
from edgebert.elastic.bort.search import Approximation, Found, Measurements, Search
from edgebert.elastic.bort.student import Embeddings, Nursery
from edgebert.elastic.bort.surrogate import Few, Surrogate
from edgebert.elastic.checkpoint import head_of, load_whole, out_is_free
from edgebert.elastic.data import Texts
from edgebert.elastic.journal import TrialEvent
from edgebert.elastic.line import Line, Setup, Trained
from edgebert.elastic.losses import UNLABELLED
from edgebert.elastic.stage import Stage, fine_tuning
from edgebert.elastic.whole import WholeModel
from edgebert.elastic_manifest import ElasticManifest, Slice
from edgebert.errors import TrainingError
from edgebert.records import Record

METHOD, STUDENT, SEARCH, TRIALS = "bort", "student", "search.json", "surrogates.jsonl"

# Measures architectures, and may keep what it measured in a folder; what it measured before costs nothing.
Measure = Callable[[Sequence[Architecture], Path], Measurements]


class Quest(Record, frozen=True):
    """What is searched for, where, how thoroughly, and under which conditions latencies are measured, in words."""

    conditions: str
    space: Space = Space()
    goal: Goal = Goal()
    approximation: Approximation = Approximation()
    few: Few = Few()


class Plan(Record, frozen=True):
    """What a training's result depends on beside its stages."""

    architecture: str | None
    quest: Quest | None
    from_scratch: bool


@dataclass(frozen=True)
class MaskedTeacher:
    """A masked language model to distil from first, and that stage."""

    checkpoint: Path
    stage: Stage


def distillation(epochs: int = 10, learning_rate: float = 3e-4, *, label_weight: float = 0.0) -> Stage:
    """Return the distillation from the fine-tuned teacher's logits; labels count too if they are given a weight."""
    return Stage(
        name="task",
        epochs=epochs,
        learning_rate=learning_rate,
        label_weight=label_weight,
        logit_weight=1.0,
        teacher="fine-tuned",
        dropout=False,
    )


def masked_lm_distillation(epochs: int = 3, learning_rate: float = 1e-4) -> Stage:
    """Return the paper's pre-training: 0.1 * masked-LM loss + 0.5 * distillation at temperature 2."""
    return Stage(
        name="masked-lm",
        epochs=epochs,
        learning_rate=learning_rate,
        label_weight=0.1,
        logit_weight=0.5,
        teacher="previous",
        temperature=2.0,
    )


@dataclass(frozen=True)
class _Story:
    """A training of this method: its steps share a line and the folder of the fine-tuned teacher."""

    line: Line
    teacher: Path
    nursery: Nursery
    plan: Plan

    def search(self, measure: Measure) -> Found:
        """Search for the architecture, unless that has been done before."""
        assert self.plan.quest is not None, "a search has a quest"
        path, line, quest = self.line.folder / SEARCH, self.line, self.plan.quest
        # On several devices one searches and the others wait: latency is not measured beside other work.
        if line.accelerator.is_main_process and not path.exists():
            teacher = line.read(self.teacher).eval()
            surrogate = Surrogate.prepare(
                quest.few,
                self.nursery,
                teacher,
                None if self.plan.from_scratch else Embeddings.of(teacher.classifier),
                line.task.distil,
                line.task.dev,
                compute=line.settings.compute,
                device=line.accelerator.device,
                path=line.folder / TRIALS,
            )
            search = Search(
                quest.space,
                self.nursery.frame,
                quest.goal,
                quest.approximation,
                measure=lambda some: measure(some, line.folder),
                train=surrogate.error,
                seed=line.settings.seed,
                listener=lambda *trial: line.listener(TrialEvent(*trial)),
            )
            search.run(str(quest.few)).save(path)
        line.accelerator.wait_for_everyone()
        return records.read(path, Found, TrainingError)

    def train(self, one: Architecture, stage: Stage, masked: MaskedTeacher | None) -> Path:
        """Train a student of an architecture; return the folder of the result."""
        whole = _manifest(one, "").subnetworks[0].subnet(METHOD, "fp32")
        start = self.line.step(STUDENT, lambda: (self._student(one, masked), None))
        if masked:
            start = _masked_line(self.line).run(masked.stage, start, masked.checkpoint, [whole])
        line = self.line
        if stage.label_weight:
            texts = _labelled(line.task.distil, line.task.train, line.task.head.task == "regression")
            line = dataclasses.replace(line, task=dataclasses.replace(line.task, distil=texts))
        return line.run(stage, start, self.teacher, [whole])

    def _student(self, one: Architecture, masked: MaskedTeacher | None) -> WholeModel:
        model = self.nursery.masked_lm(one) if masked else self.nursery.classifier(one)
        teacher = load_masked_lm(masked.checkpoint, 0) if masked else load_whole(self.teacher, self.line.task.head)
        if not self.plan.from_scratch:
            Embeddings.of(teacher.classifier).give(model)
        return WholeModel(model)


def train(
    model: str | Path,
    train_data: str | Path,
    dev_data: str | Path,
    out: str | Path,
    *,
    architecture: Architecture | None = None,
    quest: Quest | None = None,
    measure: Measure | None = None,
    search_only: bool = False,
    distil: Stage | None = None,
    fine_tune: Stage | None = None,
    masked: MaskedTeacher | None = None,
    from_scratch: bool = False,
    setup: Setup | None = None,
) -> tuple[Found | None, Trained | None]:
    """Make a checkpoint of the best architecture at `out`; return what the search found and what was trained.

    `model` is the teacher, which is fine-tuned first if it has no classifier's head. Without an `architecture` one is
    searched for, which needs a `quest` and a `measure`; `search_only` ends there. The student starts from random
    weights but for its embeddings, which are the teacher's (see `Embeddings`) unless `from_scratch`. It learns from
    `masked` first, if there is such a teacher, and then what the fine-tuned teacher says about the training texts and
    the setup's `transfer`. What is finished stands in the work folder; the same call goes on there after an
    interruption and comes to the same result.

    Raises:
        TrainingError: the checkpoint, the data and the settings do not go together, or training failed.
        BudgetError: no architecture of the space is within the quest's budget.
        EdgeBertError: a data file cannot be read, or nothing can be measured.
    """
    origin, out, setup = Path(model), Path(out).absolute(), setup or Setup()
    distil, fine_tune = distil or distillation(), fine_tune or fine_tuning()
    if (architecture is None) == (quest is None):
        raise TrainingError("expected an architecture or a space to search in; give one of them")
    out_is_free(out)
    plan = Plan(str(architecture) if architecture else None, quest, from_scratch)
    headless = head_of(origin) is None
    line = Line.open(
        origin,
        train_data,
        dev_data,
        out,
        setup,
        stages=[*([fine_tune] if headless else []), *([masked.stage] if masked else []), distil],
        checkpoints=[masked.checkpoint] if masked else [],
        choice=msgspec.json.encode(plan).decode(),
        load=load_whole,
    )
    if masked:
        check_tokenizer(masked.checkpoint, line.tokenizer)
    teacher = line.run(fine_tune, origin, subnets=[line.read(origin).subnet()]) if headless else origin
    nursery = Nursery.of(line.read(teacher).config, line.task.train, line.task.head, line.settings.seed)
    story, found = _Story(line, teacher, nursery, plan), None
    if architecture is None:
        assert measure is not None, "a search measures"
        found = story.search(measure)
        if search_only:
            return found, None
        architecture = found.architecture
    result = story.train(architecture, distil, masked)
    manifest = _manifest(architecture, origin.resolve().name)
    trained = line.finish(result, out, manifest, distil)
    return found, trained


def _masked_line(line: Line) -> Line:
    """Return a line on which masked language models learn: from all texts, with the paper's warm-up."""
    tokenizer, task = line.tokenizer, line.task
    masked = MaskedTexts.of(task.distil, tokenizer)
    dev = MaskedTexts.of(task.dev, tokenizer, fixed=True)
    return dataclasses.replace(
        line,
        task=dataclasses.replace(task, distil=masked, dev=dev),
        settings=msgspec.structs.replace(line.settings, warmup=0.01),
        load=lambda path, _: load_masked_lm(path, tokenizer.mask_token_id),
    )


def _labelled(texts: Texts, labelled: Texts, regression: bool) -> Texts:
    """Return texts with the labels of the first of them, which are those that are labelled."""
    assert labelled.labels is not None, "training texts have labels"
    missing = float("nan") if regression else UNLABELLED
    return dataclasses.replace(texts, labels=[*labelled.labels, *[missing] * (len(texts) - len(labelled))])


def _manifest(one: Architecture, origin: str) -> ElasticManifest:
    every = Slice(str(one), tuple(range(one.depth)), (one.heads,) * one.depth, (one.ffn,) * one.depth)
    return ElasticManifest(
        schema_version=ElasticManifest.VERSION,
        method=METHOD,
        widths=(1.0,),
        depths=(1.0,),
        rewired=False,
        origin=origin,
        subnetworks=(every,),
    )
