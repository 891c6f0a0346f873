"""DynaBERT (arXiv 2004.04037): makes an elastic checkpoint of a plain one, from labelled texts."""

import dataclasses
import itertools
import random
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgebert.elastic import importance
from edgebert.elastic.checkpoint import load_elastic
from edgebert.elastic.dynabert.augmentation import Augmenter, augmented
from edgebert.elastic.embeddings import VectorFidelity
from edgebert.elastic.events import AugmentEvent
from edgebert.elastic.heads import TRAINING_HEADS
from edgebert.elastic.model import Model
from edgebert.elastic.model_config import ModelConfig
from edgebert.elastic.stage import Stage, TrainingSettings, fine_tuning
from edgebert.elastic.texts import Texts
from edgebert.elastic.training_data import TrainingFiles
from edgebert.elastic.training_run import RunOptions, TrainingResult, TrainingRun
from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import TrainingError
from edgebert.records import Record
from edgebert.subnet import Subnet
from edgebert.tasks.sentence_embedding import SentenceEmbedding
from edgebert.tasks.task import Task
from edgebert.tasks.text_classification import TextClassification

WIDTHS, DEPTHS = (0.25, 0.5, 0.75, 1.0), (0.5, 0.75, 1.0)
REWIRED, AUGMENTED = "rewired", "augmented.jsonl"
# Importance is an average over texts, which more of them hardly change; a layer is left out once for each other one.
_TEXTS_TO_RANK, _TEXTS_TO_ORDER_LAYERS = 10_000, 512


class DynaBertSettings(Record, frozen=True):
    """Which sub-networks are trained, and how.

    The `paper` trains widths, then widths and depths with the first result as the teacher, all sub-networks in each
    step; `direct` trains both at once with the fine-tuned teacher, some sub-networks in a step, and keeps the layers
    that matter most, where the paper's are evenly spread (docs/log.md says why).
    `stages` are among "width", "depth" and "final". What is None is the recipe's. `fine_tune` comes first where the
    checkpoint has no task's head. Stages distil on `augment` variants of each training text too, which the masked
    language model `augment_model` makes (default: the checkpoint).
    """

    recipe: Literal["direct", "paper"] = "direct"
    stages: tuple[str, ...] | None = None
    widths: tuple[float, ...] = WIDTHS
    depths: tuple[float, ...] = DEPTHS
    epochs: int | None = None
    learning_rate: float | None = None
    sampled: int | None = None
    teacher_width: Literal["full", "student"] = "full"
    fine_tune: Stage = fine_tuning()
    augment: int = 0
    augment_model: str | None = None

    def stages_after_rewiring(self, task: type[Task] = TextClassification) -> tuple[Stage, ...]:
        """Return the stages in their order for a task, or raise a TrainingError for one not known."""
        paper = self.recipe == "paper"
        names = self.stages or (("width", "depth") if paper else ("depth",))
        shared: dict[str, Any] = {
            "epochs": self.epochs or (3 if paper else 10),
            # Of 1e-4, 3e-4 and 6e-4, 3e-4 gave the highest sum of accuracies after an epoch (docs/log.md).
            "learning_rate": self.learning_rate or (2e-5 if paper else 3e-4),
            "widths": self.widths,
            "sampled": self.sampled or (None if paper else 4),
            # The teacher's soft labels regularise already: without dropout the accuracies were higher.
            "dropout": paper,
        }
        # The paper leaves out the logits of regressions (section 2.2). With them STS-B gains 0.014 (docs/log.md).
        logit_weight = 0.0 if paper and task.LOSS == "squared-error" else 1.0
        # The paper's weights: hidden states count little while widths are learnt, and fully with depths.
        distilling = {"logit_weight": logit_weight, "teacher_width": self.teacher_width, **shared}
        # Vectors are what is learnt: where the states of the teacher count fully, the full network cannot move towards
        # what smaller ones are able to be (docs/log.md).
        hidden_weight = 0.1 if task is SentenceEmbedding and not paper else 1.0
        before: Literal["previous", "fine-tuned"] = "previous" if "width" in names else "fine-tuned"
        known = {
            "width": Stage("width", depths=(1.0,), hidden_weight=0.1, teacher="fine-tuned", **distilling),
            "depth": Stage("depth", depths=self.depths, hidden_weight=hidden_weight, teacher=before, **distilling),
            "final": Stage("final", depths=self.depths, label_weight=1.0, **shared),
        }
        for name in names:
            if name not in known:
                raise TrainingError(f"no stage '{name}'; choose among {', '.join(known)}")
        return tuple(stage for name, stage in known.items() if name in names)


def train(files: TrainingFiles, settings: DynaBertSettings, options: RunOptions) -> TrainingResult:
    """Make an elastic checkpoint, and return what it holds.

    A checkpoint without a task's head is fine-tuned first. Then the important heads and neurons are put first, and the
    stages distil into all sub-networks what the fine-tuned model does on the training texts and those to transfer.

    Raises:
        TrainingError: the checkpoint, the data and the settings do not go together, or training failed.
        EdgeBertError: a data file cannot be read.
    """
    run = TrainingRun.prepare(files, options, load_elastic)
    run.config.check_elastic()
    if not run.data.dev.has_asked:
        run = dataclasses.replace(run, metric=_fidelity_to(run, files.model))
    distilling = settings.stages_after_rewiring(type(run.data.task))
    stages = distilling if run.is_fine_tuned else (settings.fine_tune, *distilling)
    for stage in distilling:
        stage_subnets(run.config, stage)  # layers that cannot be dropped are refused before anything is trained
    varying = Path(settings.augment_model or files.model)
    run.claim_folder(stages, [varying] if settings.augment else [], augment=settings.augment)

    if settings.augment:
        run = _with_variants(run, varying, settings.augment)
    start = files.model if run.is_fine_tuned else run.run_stage(settings.fine_tune, files.model)
    # All that follows is cut from the rewired model, and it is the teacher too: it computes what was fine-tuned.
    fine_tuned = result = _rewire(run, start, orders_layers=settings.recipe == "direct")
    rewired = ElasticManifest.load(fine_tuned)
    assert rewired is not None, "it was saved with one"
    for stage in distilling:
        teachers = {"none": None, "fine-tuned": fine_tuned, "previous": result}
        learning = stage_subnets(run.config, stage, rewired.layer_order)
        result = run.run_stage(stage, result, learning, teachers[stage.teacher])

    widths = tuple(sorted({width for stage in stages for width in stage.widths}))
    depths = tuple(sorted({depth for stage in stages for depth in stage.depths}))
    task = run.data.task
    dims = task.settings.dims if isinstance(task, SentenceEmbedding) else ()
    return run.finish(result, msgspec.structs.replace(rewired, widths=widths, depths=depths, dims=dims), stages[-1])


def stage_subnets(config: ModelConfig, stage: Stage, layer_order: Sequence[int] = ()) -> list[Subnet]:
    """Return the sub-networks that learn in a stage, the largest first."""
    pairs = itertools.product(sorted(stage.depths, reverse=True), sorted(stage.widths, reverse=True))
    grid = (config.subnet(width, depth, layer_order) for depth, width in pairs)
    # Two widths may keep the same heads.
    return list({(subnet.layers, subnet.heads): subnet for subnet in grid}.values())


def _rewire(run: TrainingRun, start: Path, *, orders_layers: bool) -> Path:
    """Put the heads and neurons that matter most for the training texts first; return the folder of the result.

    Its elastic.json has the order of the layers, if they are to have one.
    """

    def rewired() -> tuple[Model, ElasticManifest]:
        device = run.folder.accelerator.device
        model = load_elastic(start, run.data.task).to(device)
        some = _some(run.data.train, _TEXTS_TO_RANK, run.settings)
        batches = some.all_batches(run.settings.batch_size, device)
        importance.rewire(model, importance.rank(model, batches, run.losses.for_ranking))
        few = _some(run.data.distil, _TEXTS_TO_ORDER_LAYERS, run.settings)
        few_batches = list(few.all_batches(run.settings.batch_size, device))
        order = importance.rank_layers(model, few_batches, run.losses) if orders_layers else ()
        whole = ElasticManifest(
            ElasticManifest.VERSION,
            "dynabert",
            widths=(1.0,),
            depths=(1.0,),
            rewired=True,
            origin=run.files.origin,
            layer_order=order,
        )
        return model, whole

    return run.make_checkpoint(REWIRED, rewired)


def _some(texts: Texts, most: int, settings: TrainingSettings) -> Texts:
    """Return at most so many of some texts, drawn at random where there are more."""
    if len(texts) <= most:
        return texts
    return texts.some(random.Random(settings.seed).sample(range(len(texts)), most))


def _with_variants(run: TrainingRun, checkpoint: Path, count: int) -> TrainingRun:
    """Return a run that distils on so many variants of each training text too."""
    accelerator, start = run.folder.accelerator, time.monotonic()
    # Loaded only where variants are missing: a training that goes on has them in its file.
    load = partial(Augmenter, checkpoint, accelerator.device, run.settings)

    def tell(done: int, of: int) -> None:
        run.options.listener(AugmentEvent("augment", done, of, time.monotonic() - start))

    varied = partial(augmented, run.data.inputs, count, load, run.folder.path / AUGMENTED, tell)
    # One device makes them, then all read them.
    if accelerator.is_main_process:
        varied()
    accelerator.wait_for_everyone()
    texts_of = TRAINING_HEADS[run.data.task.NAME].texts
    variants = texts_of(run.data.task, run.tokenizer, varied(), run.settings.max_length, None)
    return dataclasses.replace(run, data=dataclasses.replace(run.data, distil=run.data.distil.and_also(variants)))


def _fidelity_to(run: TrainingRun, checkpoint: Path) -> VectorFidelity:
    """Return how near vectors for the dev texts are to those of a checkpoint: what counts where nobody scored them."""
    model, task = run.read_model(checkpoint), run.data.task
    assert isinstance(task, SentenceEmbedding), "all other tasks have labels"
    full, _, _ = run.scorer().results(model, model.subnet())
    return VectorFidelity(task, full)
