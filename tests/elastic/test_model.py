import msgspec
import pytest
import torch

from edgebert.elastic import model
from edgebert.elastic.model import best_compute
from edgebert.machine.device import this_device


@pytest.mark.parametrize(
    ("instruction_sets", "expected"),
    [(("avx2", "fma"), "fp32"), (("avx512_bf16", "avx512f"), "bf16"), (("amx_bf16",), "bf16"), ((), "fp32")],
)
def test_a_cpu_trains_in_bf16_where_it_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, instruction_sets: tuple[str, ...], expected: str
) -> None:
    device = msgspec.structs.replace(this_device(), instruction_sets=instruction_sets)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(model, "this_device", lambda: device)
    assert best_compute() == expected


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, "bf16"), (False, "fp32")])
def test_a_gpu_trains_in_bf16_where_it_need_not_emulate_it(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16 or including_emulation)
    assert best_compute() == expected
