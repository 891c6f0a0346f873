import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from toys import random_model

from edgebert.elastic import training
from edgebert.elastic.data import Texts
from edgebert.elastic.dynabert.method import stages_of
from edgebert.elastic.journal import Journal
from edgebert.elastic.losses import hidden_loss, logit_loss
from edgebert.elastic.model import ElasticModel
from edgebert.elastic.stage import Settings, Stage
from edgebert.elastic.training import Work, run_stage, subnets_of
from edgebert.errors import TrainingError

(DEPTH,) = stages_of("direct", epochs=2, learning_rate=1e-3)
SETTINGS = Settings(seed=1, batch_size=8, accumulate=1, max_length=16, compute="fp32")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Two random models that differ, and forty texts."""
    student, teacher = ElasticModel(random_model()), ElasticModel(random_model())
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(1.1)
    generator = torch.Generator().manual_seed(3)
    ids = [torch.randint(5, 30, (2 + number % 9,), generator=generator).tolist() for number in range(40)]
    texts = Texts(ids=ids, types=None, labels=[number % 2 for number in range(40)], pad_id=0)
    accelerator, journal = Accelerator(cpu=True), Journal(tmp_path / "journal.jsonl")
    subnets = subnets_of(student, DEPTH)
    return Work(student, teacher.eval(), subnets, texts, texts, accelerator, tmp_path, journal, save_seconds=1e9)


def gradients(work: Work, stage: Stage = DEPTH, numbers: range = range(8), accumulate: int = 1) -> dict[str, Any]:
    """Return the gradients of one batch over three sub-networks, by the parameter's name."""
    subnets, settings = subnets_of(work.student, stage)[::5], msgspec.structs.replace(SETTINGS, accumulate=accumulate)
    work.student.eval().zero_grad()
    training.gradients(stage, settings, work, subnets, numbers)
    return {name: parameter.grad for name, parameter in work.student.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("accumulate", [2, 3, 8, 20])
def test_a_batch_in_parts_has_the_gradients_of_the_whole(work: Work, accumulate: int) -> None:
    whole, parts = gradients(work), gradients(work, accumulate=accumulate)
    assert whole.keys() == parts.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_gradients_are_summed_over_the_sub_networks_of_a_step(work: Work) -> None:
    """The losses of the paper, computed here one sub-network at a time."""
    found, batch = gradients(work), work.texts.batch(range(8), torch.device("cpu"))
    student, teacher = copy.deepcopy(work.student), work.teacher
    assert teacher is not None
    student.zero_grad()
    with torch.no_grad():
        taught = teacher(batch.ids, batch.mask, teacher.subnet())
    for subnet in subnets_of(student, DEPTH)[::5]:
        output = student(batch.ids, batch.mask, subnet)
        soft = logit_loss(output.logits, taught.logits) / 8
        hidden = hidden_loss(output.hidden, taught.hidden, subnet.layers, batch.mask) / batch.mask.sum()
        torch.autograd.backward(soft + hidden)
    for name, parameter in student.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[name], parameter.grad, atol=1e-5, rtol=1e-4, msg=name)


def test_a_teacher_may_run_at_the_students_width(work: Work) -> None:
    full, narrow = (msgspec.structs.replace(DEPTH, teacher_width=width) for width in ("full", "student"))
    first, second = gradients(work, full), gradients(work, narrow)
    assert any(not torch.allclose(first[name], second[name]) for name in first)


def test_a_student_that_is_its_own_teacher_has_nothing_to_learn_at_full_size(work: Work) -> None:
    same = Work(**{**vars(work), "teacher": copy.deepcopy(work.student).eval()})
    alone = msgspec.structs.replace(DEPTH, widths=(1.0,), depths=(1.0,))
    assert all(float(gradient.abs().max()) < 1e-6 for gradient in gradients(same, alone).values())


@given(st.integers(0, 10**6), st.integers(2, 12))
def test_the_largest_and_the_smallest_learn_in_each_step(step: int, sampled: int) -> None:
    stage = msgspec.structs.replace(DEPTH, sampled=sampled)
    subnets = subnets_of(ElasticModel(MODEL), stage)
    chosen = training._chosen(subnets, stage, 1, step)
    assert [chosen[0].id, chosen[-1].id] == ["w1.00-d1.00-fp32", "w0.25-d0.50-fp32"]
    assert len({subnet.id for subnet in chosen}) == len(chosen) == sampled
    assert training._chosen(subnets, stage, 1, step) == chosen


MODEL = random_model()


def test_every_sub_network_has_its_turn() -> None:
    subnets = subnets_of(ElasticModel(MODEL), DEPTH)
    seen = {subnet.id for step in range(60) for subnet in training._chosen(subnets, DEPTH, 1, step)}
    assert len(seen) == len(subnets) == 12


def test_widths_that_keep_the_same_heads_are_one_sub_network() -> None:
    stage = msgspec.structs.replace(DEPTH, widths=(0.25, 0.26, 1.0), depths=(1.0,))
    assert [subnet.id for subnet in subnets_of(ElasticModel(MODEL), stage)] == ["w1.00-d1.00-fp32", "w0.25-d1.00-fp32"]


@given(st.integers(1, 2000))
def test_the_learning_rate_rises_then_falls(steps: int) -> None:
    rates = [training._learning_rate(DEPTH, SETTINGS, step, steps) for step in range(steps)]
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert all(0 < rate <= DEPTH.learning_rate for rate in rates)


def test_the_best_weights_are_kept_not_the_last(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    totals, kept = iter([0.9, 0.4]), []

    def scores(model: ElasticModel, subnets: Any, *_: Any) -> dict[str, training.Score]:
        kept.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return {subnets[0].id: training.Score(next(totals), 0.0)}

    monkeypatch.setattr(training, "scores_of", scores)
    run_stage(DEPTH, SETTINGS, work)
    state = work.student.state_dict()
    assert all(torch.equal(state[name], kept[0][name]) for name in state)
    assert any(not torch.equal(state[name], kept[1][name]) for name in state)


def test_a_damaged_state_is_named(work: Work) -> None:
    (work.folder / training.STATE).write_bytes(b"nothing that torch wrote")
    with pytest.raises(TrainingError, match=r"state.pt is damaged: .*; remove .* to begin the stage again"):
        run_stage(DEPTH, SETTINGS, work)


def test_a_state_is_never_unpickled(work: Work, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"progress": Evil()}, work.folder / training.STATE)
    with pytest.raises(TrainingError, match="is damaged"):
        run_stage(DEPTH, SETTINGS, work)
    assert not (tmp_path / "touched").exists()
