import pytest
import torch

from edgebert.elastic.units import UnitTensor

# Four units of two values each, in the rows of a matrix, in its columns, in a vector, and in each part of a merged one.
FORMS = {
    "rows": (UnitTensor("map", "weight", "heads", 0, 2), (8, 3)),
    "columns": (UnitTensor("map", "weight", "heads", 1, 2), (3, 8)),
    "bias": (UnitTensor("map", "bias", "heads", 0, 2), (8,)),
    "merged": (UnitTensor("map", "weight", "heads", 0, 2, parts=3), (24, 5)),
}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> tuple[UnitTensor, torch.Tensor]:
    unit, shape = FORMS[request.param]
    return unit, torch.rand(shape, generator=torch.Generator().manual_seed(1))


def test_first_units_are_padded_with_zeros_to_as_many_as_there_were(form: tuple[UnitTensor, torch.Tensor]) -> None:
    unit, whole = form
    first = unit.first(whole, 3)
    assert (unit.units(whole), unit.units(first)) == (4, 3)
    padded = unit.padded(first, 4)
    sums, kept = unit.sums(whole), unit.sums(padded)
    torch.testing.assert_close(kept[:, :3], sums[:, :3])
    assert (kept[:, 3] == 0).all()
    assert padded.shape == whole.shape
    assert unit.first(whole, 4) is whole


def test_an_order_moves_units_as_a_whole_and_back(form: tuple[UnitTensor, torch.Tensor]) -> None:
    unit, whole = form
    order = torch.tensor([2, 0, 3, 1])
    moved = unit.reordered(whole, order)
    assert torch.equal(unit.sums(moved), unit.sums(whole)[:, order])
    assert torch.equal(unit.reordered(moved, order.argsort()), whole)


def test_units_are_multiplied_by_their_values() -> None:
    unit, shape = FORMS["columns"]
    whole, values = torch.rand(shape), torch.tensor([1.0, 0.0, 2.0, -1.0])
    torch.testing.assert_close(unit.sums(unit.scaled(whole, values)), unit.sums(whole) * values)
    torch.testing.assert_close(unit.scaled(unit.first(whole, 2), values[:2]), whole[:, :4] * torch.tensor([1, 1, 0, 0]))


def test_first_units_of_a_tensor_are_a_view_of_it() -> None:
    unit, shape = FORMS["rows"]
    whole = torch.rand(shape)
    assert unit.first(whole, 2).data_ptr() == whole.data_ptr()
