import math

import pytest
import torch

from edgebert.elastic.losses import (
    LOSSES,
    UNLABELLED,
    LogitLosses,
    binary_cross_entropy,
    cross_entropy,
    hidden_loss,
    soft_cross_entropy,
    squared_error,
)


def test_the_soft_loss_is_the_cross_entropy_with_the_teachers_probabilities() -> None:
    student, teacher = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    first = -(0.75 * math.log(0.5) + 0.25 * math.log(0.5))
    total = math.exp(2) + 1
    second = -(0.5 * math.log(math.exp(2) / total) + 0.5 * math.log(1 / total))
    assert float(soft_cross_entropy(student, teacher)) == pytest.approx(first + second)


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_losses_of_a_teacher_are_least_where_student_and_teacher_agree(losses: LogitLosses, temperature: float) -> None:
    teacher = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    student = teacher.clone().requires_grad_()
    taught = losses.of_teacher({"logits": student}, {"logits": teacher}, {}, temperature)
    (gradient,) = torch.autograd.grad(taught, student)
    assert float(gradient.abs().max()) < 1e-6


def test_losses_of_targets_are_sums_over_texts_and_labels() -> None:
    nothing_known = torch.zeros(4, 2)
    assert float(cross_entropy(nothing_known, torch.tensor([0, 1, 1, 0]))) == pytest.approx(4 * math.log(2))
    labels = torch.tensor([[0.0, 1.0]] * 4)
    assert float(binary_cross_entropy(nothing_known, labels)) == pytest.approx(8 * math.log(2))
    assert float(squared_error(torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, 4.0]))) == pytest.approx(1 + 4)


def test_a_text_without_a_known_target_does_not_count() -> None:
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    nan = math.nan
    pairs = [
        (cross_entropy, logits, torch.tensor([1, UNLABELLED])),
        (binary_cross_entropy, logits, torch.tensor([[0.0, 1.0, 1.0], [nan, nan, nan]])),
        (squared_error, logits[:, :1], torch.tensor([0.5, nan])),
    ]
    for loss, found, targets in pairs:
        assert float(loss(found, targets)) == pytest.approx(float(loss(found[:1], targets[:1])))


def test_each_layers_input_is_compared_with_the_teachers_input_of_the_same_layer() -> None:
    """The distance from a state filled with i to one filled with k is (i - k) squared for each token."""
    teacher = [torch.full((1, 2, 3), float(index)) for index in range(5)]
    student = [torch.zeros(1, 2, 3) for _ in range(3)]
    mask = torch.ones(1, 2)
    assert float(hidden_loss(student, teacher, (0, 2), mask)) == pytest.approx(2 * (0 + 4 + 16))
    assert float(hidden_loss([teacher[0], teacher[2], teacher[4]], teacher, (0, 2), mask)) == 0


def test_padding_does_not_count() -> None:
    teacher, mask = [torch.zeros(1, 3, 4)] * 2, torch.tensor([[1, 1, 0]])
    student = [torch.zeros(1, 3, 4), torch.tensor([0.0, 0.0, 9.0]).view(1, 3, 1).expand(1, 3, 4)]
    assert float(hidden_loss(student, teacher, (0,), mask)) == 0
