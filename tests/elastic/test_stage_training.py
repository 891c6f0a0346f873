import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from toys import random_model
from transformers.utils.generic import ModelOutput as TransformersOutput

from edgebert.elastic import stage_training
from edgebert.elastic.dynabert.method import DynaBertSettings, stage_subnets
from edgebert.elastic.elastic_model import ElasticModel
from edgebert.elastic.embeddings import EmbeddingLosses
from edgebert.elastic.events import Event, EventJournal, ScoreEvent
from edgebert.elastic.losses import LOSSES, LogitLosses, cross_entropy, hidden_loss, soft_cross_entropy
from edgebert.elastic.scoring import Scorer
from edgebert.elastic.stage import Compute, Stage, TrainingSettings
from edgebert.elastic.stage_training import StageContext, chosen_subnets, learning_rate_at, run_stage
from edgebert.elastic.texts import Texts
from edgebert.errors import TrainingError
from edgebert.tasks.task import Options, Outputs, Results
from edgebert.tasks.text_classification import TextClassification

(DEPTH,) = DynaBertSettings(epochs=2, learning_rate=1e-3).stages_after_rewiring()
SETTINGS = TrainingSettings(seed=1, batch_size=8, accumulate=1, max_length=16, compute="fp32")
TASK = TextClassification(("a", "b"))
MODEL = ElasticModel(random_model())


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """Two random models that differ, and forty texts."""
    student, teacher = ElasticModel(random_model()), ElasticModel(random_model())
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(1.1)
    generator = torch.Generator().manual_seed(3)
    ids = [torch.randint(5, 30, (2 + number % 9,), generator=generator).tolist() for number in range(40)]
    texts = Texts(ids=ids, types=None, targets=[number % 2 for number in range(40)], pad_id=0)
    accelerator = Accelerator(cpu=True)
    return StageContext(
        stage=DEPTH,
        settings=SETTINGS,
        student=student,
        teacher=teacher.eval(),
        subnets=stage_subnets(student.config, DEPTH),
        texts=texts,
        scorer=Scorer(TASK, LOSSES[TASK.LOSS], texts, accelerator),
        accelerator=accelerator,
        folder=tmp_path,
        journal=EventJournal(tmp_path / "journal.jsonl"),
        save_seconds=1e9,
    )


def gradients(
    context: StageContext,
    stage: Stage = DEPTH,
    numbers: range = range(8),
    accumulate: int = 1,
    compute: Compute = "fp32",
) -> dict[str, torch.Tensor]:
    """Return the gradients of one batch over three sub-networks, by the parameter's name."""
    student, settings = context.student, msgspec.structs.replace(SETTINGS, accumulate=accumulate, compute=compute)
    assert isinstance(student, ElasticModel)
    student.eval().zero_grad()
    context = dataclasses.replace(context, stage=stage, settings=settings)
    stage_training.gradients(context, stage_subnets(student.config, stage)[::5], numbers)
    return {name: parameter.grad for name, parameter in student.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("accumulate", [2, 3, 8, 20])
def test_a_batch_in_parts_has_the_gradients_of_the_whole(context: StageContext, accumulate: int) -> None:
    whole, parts = gradients(context), gradients(context, accumulate=accumulate)
    assert whole.keys() == parts.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_gradients_are_summed_over_the_sub_networks_of_a_step(context: StageContext) -> None:
    """The losses of the paper, computed here one sub-network at a time."""
    found, batch = gradients(context), context.texts.batch(range(8), torch.device("cpu"))
    student, teacher = copy.deepcopy(context.student), context.teacher
    assert teacher is not None
    student.zero_grad()
    with torch.no_grad():
        taught = teacher(batch.ids, batch.mask, teacher.subnet())
    for subnet in stage_subnets(student.config, DEPTH)[::5]:
        output = student(batch.ids, batch.mask, subnet)
        soft = soft_cross_entropy(output.logits, taught.logits) / 8
        hidden = hidden_loss(output.hidden, taught.hidden, subnet.layers, batch.mask) / batch.mask.sum()
        torch.autograd.backward(soft + hidden)
    for name, parameter in student.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[name], parameter.grad, atol=1e-5, rtol=1e-4, msg=name)


def test_in_bf16_the_student_and_its_teacher_compute_and_nothing_is_stored(
    context: StageContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses, gradients and weights stay in float32, and the gradients point where those of float32 do."""
    computed, forward = [], ElasticModel.forward

    def watched(*inputs: Any) -> Any:
        output = forward(*inputs)
        computed.append(output.outputs["logits"].dtype)
        return output

    monkeypatch.setattr(ElasticModel, "forward", watched)
    exact, found = gradients(context), gradients(context, compute="bf16")
    half = len(computed) // 2
    assert (set(computed[:half]), set(computed[half:])) == ({torch.float32}, {torch.bfloat16})
    assert {parameter.dtype for parameter in context.student.parameters()} == {torch.float32}
    assert {gradient.dtype for gradient in found.values()} == {torch.float32}
    ours, right = (torch.cat([one.flatten() for one in all_of.values()]) for all_of in (found, exact))
    assert 0.99 < torch.nn.functional.cosine_similarity(ours, right, dim=0) < 1 - 1e-6


def test_vectors_of_the_full_network_learn_from_those_of_others_too(context: StageContext) -> None:
    """The gradients are those of all losses at once, where what the full network puts out is no constant."""

    def read(found: TransformersOutput, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"embedding": found["logits"]}

    losses = EmbeddingLosses((2,))
    student, teacher = ElasticModel(random_model(), read), context.teacher
    assert teacher is not None
    assert losses.moves_full
    teacher.read_outputs = read
    context = dataclasses.replace(context, student=student, scorer=dataclasses.replace(context.scorer, losses=losses))
    stage = msgspec.structs.replace(DEPTH, hidden_weight=0.0)
    found, batch = gradients(context, stage), context.texts.batch(range(8), torch.device("cpu"))

    student.zero_grad()
    right = teacher(batch.ids, batch.mask, teacher.subnet()).outputs
    full, *others = (
        student(batch.ids, batch.mask, subnet).outputs for subnet in stage_subnets(student.config, stage)[::5]
    )
    loss = losses.of_teacher(full, right, right) + sum(losses.of_teacher(other, right, full) for other in others)
    torch.autograd.backward(loss / 8)
    assert found.keys() == {name for name, parameter in student.named_parameters() if parameter.grad is not None}
    for name, gradient in found.items():
        torch.testing.assert_close(student.get_parameter(name).grad, gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_a_teacher_may_run_at_the_students_width(context: StageContext) -> None:
    full, narrow = (msgspec.structs.replace(DEPTH, teacher_width=width) for width in ("full", "student"))
    first, second = gradients(context, full), gradients(context, narrow)
    assert any(not torch.allclose(first[name], second[name]) for name in first)


def test_a_student_that_is_its_own_teacher_has_nothing_to_learn_at_full_size(context: StageContext) -> None:
    same = dataclasses.replace(context, teacher=copy.deepcopy(context.student).eval())
    alone = msgspec.structs.replace(DEPTH, widths=(1.0,), depths=(1.0,))
    assert all(float(gradient.abs().max()) < 1e-6 for gradient in gradients(same, alone).values())


@given(st.integers(0, 10**6), st.integers(2, 12))
def test_the_largest_and_the_smallest_learn_in_each_step(step: int, sampled: int) -> None:
    stage = msgspec.structs.replace(DEPTH, sampled=sampled)
    subnets = stage_subnets(MODEL.config, stage)
    chosen = chosen_subnets(subnets, stage, 1, step)
    assert [chosen[0].id, chosen[-1].id] == ["w1.00-d1.00-fp32", "w0.25-d0.50-fp32"]
    assert len({subnet.id for subnet in chosen}) == len(chosen) == sampled
    assert chosen_subnets(subnets, stage, 1, step) == chosen


def test_every_sub_network_has_its_turn() -> None:
    subnets = stage_subnets(MODEL.config, DEPTH)
    seen = {subnet.id for step in range(60) for subnet in chosen_subnets(subnets, DEPTH, 1, step)}
    assert len(seen) == len(subnets) == 12


@given(st.integers(1, 2000))
def test_the_learning_rate_rises_then_falls(steps: int) -> None:
    rates = [learning_rate_at(DEPTH, SETTINGS, step, steps) for step in range(steps)]
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert all(0 < rate <= DEPTH.learning_rate for rate in rates)


class Worse:
    """A metric by which the second score is worse than the first."""

    METRICS = ("accuracy",)
    BESIDE_FULL = False

    def __init__(self) -> None:
        self._values = iter((0.9, 0.4))

    def options(self, given: Any) -> Options:
        return Options()

    def results(self, outputs: Outputs, rows: Any, options: Options) -> Results:
        return list(outputs["logits"])

    def metrics(self, results: Results, targets: Any) -> dict[str, float]:
        return {"accuracy": next(self._values)}


def test_the_best_weights_are_kept_not_the_last(context: StageContext) -> None:
    kept: list[dict[str, torch.Tensor]] = []

    def listener(event: Event, /) -> None:
        if isinstance(event, ScoreEvent):
            kept.append({name: tensor.clone() for name, tensor in context.student.state_dict().items()})

    context = dataclasses.replace(
        context,
        subnets=context.subnets[:1],
        scorer=dataclasses.replace(context.scorer, metric=Worse()),
        journal=EventJournal(context.folder / "journal.jsonl", listener),
    )
    run_stage(context)
    state = context.student.state_dict()
    assert all(torch.equal(state[name], kept[0][name]) for name in state)
    assert any(not torch.equal(state[name], kept[1][name]) for name in state)


def test_too_little_memory_is_explained(context: StageContext) -> None:
    def full(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    scorer = dataclasses.replace(context.scorer, losses=LogitLosses(cross_entropy, full))
    advice = "run the same command again with a higher --accumulate"
    with pytest.raises(TrainingError, match=f"out of memory with 8 texts of up to 16 tokens .* {advice}"):
        run_stage(dataclasses.replace(context, scorer=scorer))


def test_a_loss_that_is_not_finite_ends_the_stage(context: StageContext) -> None:
    def infinite(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        return student.sum() * math.inf

    scorer = dataclasses.replace(context.scorer, losses=LogitLosses(cross_entropy, infinite))
    with pytest.raises(TrainingError, match=r"loss of stage depth is no longer finite at step 1; lower the learning"):
        run_stage(dataclasses.replace(context, scorer=scorer))


def test_a_damaged_state_is_named(context: StageContext) -> None:
    (context.folder / stage_training.STATE).write_bytes(b"nothing that torch wrote")
    with pytest.raises(TrainingError, match=r"state.pt is damaged: .*; remove .* to begin the stage again"):
        run_stage(context)


def test_a_state_is_never_unpickled(context: StageContext, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"progress": Evil()}, context.folder / stage_training.STATE)
    with pytest.raises(TrainingError, match="is damaged"):
        run_stage(context)
    assert not (tmp_path / "touched").exists()
