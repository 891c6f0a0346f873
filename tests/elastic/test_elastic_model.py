from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from toys import random_model
from transformers import (
    AutoModelForSequenceClassification,
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
    return msgspec.structs.replace(model.subnet(), layers=(0, 2, 3), heads=(1, 4, 2), ffn=(64, 5, 33))


def subnets(model: ElasticModel) -> Iterator[Subnet]:
    yield from (model.subnet(width, depth) for width, depth in GRID)
    yield irregular(model)


def named(model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"input_ids": ids * mask + model.classifier.config.pad_token_id * (1 - mask), "attention_mask": mask}


def test_the_full_sub_network_is_the_original_model(model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor) -> None:
    inputs = named(model, ids, mask)
    with torch.no_grad():
        expected = model.classifier(**inputs, output_hidden_states=True)
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
    layers = ElasticModel(extracted).layers()
    assert (len(layers), layers[0].ffn_in.weight.shape) == (2, (32, 32))


def test_what_is_cut_away_has_no_gradient(model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor) -> None:
    model(ids, mask, model.subnet(0.5, 0.5)).logits.sum().backward()
    layers = model.layers()
    assert layers[1].q.weight.grad is None
    assert layers[0].ffn_in.weight.grad is not None
    assert layers[0].ffn_in.weight.grad[:32].abs().sum() > 0
    assert layers[0].ffn_in.weight.grad[32:].abs().sum() == 0


def test_padding_changes_nothing(model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor) -> None:
    inputs = named(model, ids, mask)["input_ids"]
    with torch.no_grad():
        together = model(inputs, mask, model.subnet(0.5, 0.5)).logits[3]
        alone = model(inputs[3:, :2], mask[3:, :2], model.subnet(0.5, 0.5)).logits[0]
    torch.testing.assert_close(together, alone)


def test_a_family_that_cannot_be_cut_is_named() -> None:
    config = XLNetConfig(vocab_size=10, d_model=8, n_head=2, n_layer=1, d_inner=8)
    with pytest.raises(TrainingError, match="model_type 'xlnet' is not supported; expected one of bert, roberta, xlm-"):
        ElasticModel(XLNetForSequenceClassification(config))
    with pytest.raises(TrainingError, match=r"model_type 'gpt2' is not supported; expected one of .* electra, xlnet"):
        ElasticModel(GPT2ForSequenceClassification(GPT2Config(vocab_size=10, n_embd=8, n_layer=1, n_head=2)))


def test_a_decoder_is_refused() -> None:
    with pytest.raises(TrainingError, match="expected an encoder with absolute positions, found a decoder"):
        ElasticModel(random_model(is_decoder=True))
