from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from toys import ELASTIC_FAMILIES, random_model, unit_of
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    XLNetConfig,
    XLNetForSequenceClassification,
)

from edgebert.elastic.elastic_model import ElasticModel
from edgebert.errors import TrainingError
from edgebert.subnet import Subnet

GRID = [(width, depth) for depth in (1, 0.75, 0.5, 0.25) for width in (1, 0.75, 0.5, 0.25)]


def irregular(model: ElasticModel) -> Subnet:
    """Return as irregular a sub-network as the family can have."""
    shares_weights = len(model.layers()) == 1
    heads = (2, 2, 2) if model.family.has_one_head_order or shares_weights else (1, 4, 2)
    ffn = (33, 33, 33) if shares_weights else (64, 5, 33)
    return msgspec.structs.replace(model.subnet(), layers=(0, 2, 3), heads=heads, ffn=ffn)


def subnets(model: ElasticModel) -> Iterator[Subnet]:
    yield from (model.subnet(width, depth) for width, depth in GRID)
    yield irregular(model)


def named(model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"input_ids": ids * mask + model.network.config.pad_token_id * (1 - mask), "attention_mask": mask}


def test_the_full_sub_network_is_the_original_model(model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor) -> None:
    inputs = named(model, ids, mask)
    with torch.no_grad():
        expected = model.network(**inputs, output_hidden_states=True)
        found = model(inputs["input_ids"], mask, model.subnet())
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=0)
    for ours, theirs in zip(found.hidden, expected.hidden_states, strict=True):
        torch.testing.assert_close(ours * mask[..., None], theirs * mask[..., None], atol=1e-5, rtol=0)


def test_an_extracted_model_equals_the_elastic_forward_for_every_sub_network(
    model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor
) -> None:
    inputs = named(model, ids, mask)
    for subnet in subnets(model):
        with torch.no_grad():
            expected = model(inputs["input_ids"], mask, subnet).logits
            found = model.extract(subnet)(**inputs).logits
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_an_extracted_model_is_saved_and_loaded_as_any_other(
    model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor, tmp_path: Path
) -> None:
    inputs, extracted = named(model, ids, mask), model.extract(irregular(model))
    extracted.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(**inputs).logits, extracted(**inputs).logits)


def test_extracting_leaves_the_model_alone_and_shrinks_the_copy(model: ElasticModel) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    extracted = model.extract(model.subnet(0.5, 0.5))
    for parameter in extracted.parameters():
        parameter.data.zero_()
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert extracted.config.num_hidden_layers == 2
    assert unit_of(ElasticModel(extracted), 0, "ffn_out").weight.shape == (32, 32)


def test_what_is_cut_away_has_no_gradient(model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor) -> None:
    model(ids, mask, model.subnet(0.5, 0.5)).logits.sum().backward()
    if len(model.layers()) > 1:
        assert unit_of(model, 1, "q").weight.grad is None
    for unit in ("o", "ffn_out"):
        weight = unit_of(model, 0, unit).weight
        kept = weight.grad.abs().sum(dim=0) > 0
        half = weight.shape[1] // 2
        assert kept[:half].all()
        assert not kept[half:].any()


def test_padding_changes_nothing(model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor) -> None:
    inputs = named(model, ids, mask)["input_ids"]
    with torch.no_grad():
        together = model(inputs, mask, model.subnet(0.5, 0.5)).logits[3]
        alone = model(inputs[3:, :2], mask[3:, :2], model.subnet(0.5, 0.5)).logits[0]
    torch.testing.assert_close(together, alone)


HEADS = (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoModelForQuestionAnswering,
    AutoModel,
)


@pytest.mark.parametrize("family", ELASTIC_FAMILIES)
@pytest.mark.parametrize("auto_class", HEADS)
def test_every_head_computes_what_transformers_does_at_any_size(
    auto_class: Any, family: str, ids: torch.Tensor, mask: torch.Tensor, tmp_path: Path
) -> None:
    model = ElasticModel(random_model(family, auto_class)).eval()
    names = {AutoModel: [], AutoModelForQuestionAnswering: ["start_logits", "end_logits"]}.get(auto_class, ["logits"])
    for subnet, tolerance in ((model.subnet(), 1e-6), (irregular(model), 1e-5)):
        inputs, folder = named(model, ids, mask), tmp_path / subnet.id
        if subnet == model.subnet():
            plain = model.network
        else:
            model.extract(subnet).save_pretrained(folder)
            plain = auto_class.from_pretrained(folder).eval()
        with torch.no_grad():
            expected = plain(**inputs, output_hidden_states=True)
            found = model(inputs["input_ids"], mask, subnet)
        assert list(found.outputs) == names
        for name in names:
            torch.testing.assert_close(found.outputs[name], expected[name], atol=tolerance, rtol=0)
        # Of padding, states are nobody's business.
        for ours, theirs in zip(found.hidden, expected.hidden_states, strict=True):
            torch.testing.assert_close(ours[mask > 0], theirs[mask > 0], atol=tolerance, rtol=0)


def test_a_head_of_ones_own_reads_the_base_model(ids: torch.Tensor, mask: torch.Tensor) -> None:
    def mean(found: Any, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        weights = mask[..., None] / mask.sum(dim=1)[:, None, None]
        return {"embedding": (found.last_hidden_state * weights).sum(dim=1)}

    model = ElasticModel(random_model("headless"), mean).eval()
    with torch.no_grad():
        found = model(ids, mask, model.subnet(0.5, 0.5))
    torch.testing.assert_close(found.outputs["embedding"][3], found.hidden[-1][3, :2].mean(dim=0))


@pytest.mark.parametrize("family", ["bert", "modernbert", "albert"])
def test_threads_do_not_meet(family: str, ids: torch.Tensor, mask: torch.Tensor) -> None:
    model = ElasticModel(random_model(family)).eval()
    inputs, parts = named(model, ids, mask)["input_ids"], list(subnets(model))

    @torch.no_grad()
    def run(subnet: Subnet) -> tuple[torch.Tensor, ...]:
        found = model(inputs, mask, subnet)
        return found.logits, *found.hidden

    alone = [run(subnet) for subnet in parts]
    with ThreadPoolExecutor(4) as pool:
        for expected, found in zip(alone * 3, pool.map(run, parts * 3), strict=True):
            assert all(map(torch.equal, expected, found))


def test_dropout_is_that_of_the_model(ids: torch.Tensor, mask: torch.Tensor) -> None:
    model = ElasticModel(random_model())
    runs = {}
    for training in (False, True):
        model.train(training)
        runs[training] = [model(ids, mask, model.subnet(0.5, 0.5)).logits for _ in range(2)]
    assert torch.equal(*runs[False])
    assert not torch.equal(*runs[True])


def test_a_run_leaves_nothing_behind(model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor) -> None:
    model.network(**named(model, ids, mask), output_hidden_states=True)  # transformers adds its hooks once
    before = {name: (module, {**vars(module)}) for name, module in model.network.named_modules()}
    tensors = {name: (tensor, tensor._version) for name, tensor in model.state_dict(keep_vars=True).items()}
    model(ids, mask, model.subnet(0.5, 0.5)).logits.sum().backward()
    for name, module in model.network.named_modules():
        assert module is before[name][0]
        assert vars(module) == before[name][1]
    after = model.state_dict(keep_vars=True)
    assert all(after[name] is tensor and tensor._version == version for name, (tensor, version) in tensors.items())


def test_what_layers_share_is_cut_alike_in_all() -> None:
    for family, what in (("mpnet", "heads"), ("albert", "heads and neurons")):
        model = ElasticModel(random_model(family))
        unlike = msgspec.structs.replace(model.subnet(), heads=(4, 4, 4, 2))
        with pytest.raises(TrainingError, match=f"as many {what} in all layers of {family} that share weights"):
            model.extract(unlike)


def test_layers_that_no_configuration_has_are_refused() -> None:
    modern, grouped = random_model("modernbert"), random_model("albert", num_hidden_groups=2)
    with pytest.raises(TrainingError, match=r"expected modernbert's first layer to stay, .* found it dropped"):
        ElasticModel(modern).config.check_layers((1, 2))
    model = ElasticModel(grouped)
    assert model.config.stored_layers == (0, 0, 1, 1)
    with pytest.raises(TrainingError, match="as many layers of each group that shares weights, found groups of 1 2 la"):
        model.config.check_layers((0, 2, 3))


@pytest.mark.parametrize("layers", [(0, 2), (0, 1), (2, 3), (3,)])
def test_groups_of_layers_that_share_weights_are_kept_or_dropped(
    layers: tuple[int, ...], ids: torch.Tensor, mask: torch.Tensor, tmp_path: Path
) -> None:
    model = ElasticModel(random_model("albert", num_hidden_groups=2)).eval()
    count = len(layers)
    subnet = msgspec.structs.replace(model.subnet(), layers=layers, heads=(2,) * count, ffn=(40,) * count)
    model.extract(subnet).save_pretrained(tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        expected = plain(**named(model, ids, mask)).logits
        found = model(named(model, ids, mask)["input_ids"], mask, subnet).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "config",
    [
        {"share_att_key": False},
        {"share_att_key": False, "pos_att_type": ["c2p"], "norm_rel_ebd": "none", "type_vocab_size": 2},
        {"relative_attention": False, "pos_att_type": None, "position_biased_input": True},
    ],
)
def test_debertas_maps_of_distances_are_cut_too(config: dict[str, Any], ids: torch.Tensor, mask: torch.Tensor) -> None:
    model = ElasticModel(random_model("deberta-v2", **config)).eval()
    with torch.no_grad():
        expected = model.extract(irregular(model))(**named(model, ids, mask)).logits
        found = model(ids * mask, mask, irregular(model)).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_family_that_cannot_be_cut_is_named() -> None:
    config = XLNetConfig(vocab_size=10, d_model=8, n_head=2, n_layer=1, d_inner=8)
    with pytest.raises(TrainingError, match="model_type 'xlnet' is not supported; expected one of bert, roberta, xlm-"):
        ElasticModel(XLNetForSequenceClassification(config))
    with pytest.raises(TrainingError, match=r"model_type 'gpt2' is not supported; expected one of .* electra, xlnet"):
        ElasticModel(GPT2ForSequenceClassification(GPT2Config(vocab_size=10, n_embd=8, n_layer=1, n_head=2)))


def test_a_decoder_is_refused() -> None:
    with pytest.raises(TrainingError, match="expected an encoder with absolute positions, found a decoder"):
        ElasticModel(random_model(is_decoder=True))
