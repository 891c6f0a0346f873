"""DynaBERT (arXiv 2004.04037): from a checkpoint and labelled texts to an elastic checkpoint, as one story."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from edgebert.elastic.checkpoint import head_of, out_is_free
from edgebert.elastic.line import Line, Setup, Trained, Variety
from edgebert.elastic.stage import FINE_TUNED, Stage, fine_tuning
from edgebert.elastic_manifest import ElasticManifest
from edgebert.errors import TrainingError

Recipe = Literal["direct", "paper"]
WIDTHS, DEPTHS = (0.25, 0.5, 0.75, 1.0), (0.5, 0.75, 1.0)


def stages_of(
    recipe: Recipe,
    names: Sequence[str] | None = None,
    *,
    widths: Sequence[float] = WIDTHS,
    depths: Sequence[float] = DEPTHS,
    epochs: int | None = None,
    learning_rate: float | None = None,
    sampled: int | None = None,
    teacher_width: Literal["full", "student"] = "full",
    regression: bool = False,
) -> tuple[Stage, ...]:
    """Return the stages after rewiring: of the paper, or our own (docs/log.md says why).

    `names` are among "width", "depth" and "final", in this order. The paper trains widths, then widths and depths with
    the first result as the teacher, all sub-networks in each step; `direct` trains both at once with the fine-tuned
    teacher, some sub-networks in a step.

    Raises:
        TrainingError: an unknown stage.
    """
    paper = recipe == "paper"
    names = names or (["width", "depth"] if paper else ["depth"])
    shared: dict[str, Any] = {
        "epochs": epochs or (3 if paper else 10),
        "learning_rate": learning_rate or (2e-5 if paper else 3e-4),
        "widths": tuple(widths),
        "sampled": sampled or (None if paper else 4),
        "dropout": paper,
    }
    logits = 0.0 if regression else 1.0
    known = {
        "width": Stage(
            name="width",
            depths=(1.0,),
            logit_weight=logits,
            hidden_weight=0.1,
            teacher="fine-tuned",
            teacher_width=teacher_width,
            **shared,
        ),
        "depth": Stage(
            name="depth",
            depths=tuple(depths),
            logit_weight=logits,
            hidden_weight=1.0,
            teacher="previous" if "width" in names else "fine-tuned",
            teacher_width=teacher_width,
            **shared,
        ),
        "final": Stage(name="final", depths=tuple(depths), label_weight=1.0, **shared),
    }
    for name in names:
        if name not in known:
            raise TrainingError(f"no stage '{name}'; choose among {', '.join(known)}")
    return tuple(stage for name, stage in known.items() if name in names)


def train(
    model: str | Path,
    train_data: str | Path,
    dev_data: str | Path,
    out: str | Path,
    *,
    stages: Sequence[Stage] | None = None,
    fine_tune: Stage | None = None,
    augment: int = 0,
    augment_model: str | Path | None = None,
    setup: Setup | None = None,
) -> Trained:
    """Make an elastic checkpoint at `out`, and return what it holds.

    A checkpoint without a classifier's head is fine-tuned first. Then the important heads and neurons are put first,
    and the stages distil into all sub-networks what the fine-tuned model does on the training texts and those to
    transfer, and on `augment` variants of each training text that the masked language model `augment_model` (default:
    `model`) makes. What is finished stands in the work folder; the same call goes on there after an interruption and
    comes to the same result.

    Raises:
        TrainingError: the checkpoint, the data and the settings do not go together, or training failed.
        EdgeBertError: a data file cannot be read.
    """
    origin, out, setup = Path(model), Path(out).absolute(), setup or Setup()
    out_is_free(out)
    stages = tuple(stages or stages_of("direct", regression=setup.regression))
    if head_of(origin) is None:
        stages = (fine_tune or fine_tuning(), *stages)
    variety = Variety(augment, Path(augment_model or origin)) if augment else None
    checkpoints = [variety.checkpoint] if variety else []
    line = Line.open(origin, train_data, dev_data, out, setup, stages=stages, checkpoints=checkpoints, augment=augment)
    if variety:
        line = line.augmented(variety)
    result = _follow(line, origin, stages)
    manifest = ElasticManifest(
        schema_version=1,
        method="dynabert",
        widths=tuple(sorted({width for stage in stages for width in stage.widths})),
        depths=tuple(sorted({depth for stage in stages for depth in stage.depths})),
        rewired=True,
        origin=origin.resolve().name,
    )
    return line.finish(result, out, manifest, stages[-1])


def _follow(line: Line, origin: Path, stages: Sequence[Stage]) -> Path:
    """Run fine-tuning if it is asked for, rewiring and the stages; return the folder of the last one's result."""
    start = origin
    if stages[0].name == FINE_TUNED:
        start, stages = line.run(stages[0], origin), stages[1:]
    fine_tuned = result = line.rewire(start)
    for stage in stages:
        teachers = {"none": None, "fine-tuned": fine_tuned, "previous": result}
        result = line.run(stage, result, teachers[stage.teacher])
    return result
