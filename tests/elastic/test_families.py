import copy

import pytest
import torch
from toys import ELASTIC_FAMILIES, random_model
from transformers import AutoModelForMaskedLM

from edgebert.elastic.families import TRAINABLE, family_of
from edgebert.errors import TrainingError

IDS = torch.tensor([[2, 5, 9, 7, 3], [2, 6, 6, 8, 3]])


@pytest.mark.parametrize("kind", [name for name, family in TRAINABLE.items() if family.masked_lm_head])
def test_tokens_are_guessed_as_by_transformers_own_head(kind: str) -> None:
    network = random_model(kind, AutoModelForMaskedLM)
    with torch.no_grad():
        expected = network(IDS).logits
        found = family_of(kind).guess_tokens(network, network.base_model(IDS).last_hidden_state[IDS > 3])
    torch.testing.assert_close(found, expected[IDS > 3])


@pytest.mark.parametrize("kind", ELASTIC_FAMILIES)
def test_embeddings_are_what_stands_before_the_layers(kind: str) -> None:
    network, family = random_model(kind), family_of(kind)
    before = {id(parameter) for parameter in family.embeddings(network).parameters()}
    layers = {id(parameter) for layer in family.layers_of(network) for parameter in layer.parameters()}
    assert id(network.get_input_embeddings().weight) in before
    assert not before & layers


@pytest.mark.parametrize("kind", ELASTIC_FAMILIES)
def test_layers_are_kept_with_weights_of_their_own(kind: str) -> None:
    network, family = random_model(kind), family_of(kind)
    whole = copy.deepcopy(network.state_dict())
    kept = family.with_layers(network, (0, 3))
    assert (kept.config.num_hidden_layers, network.config.num_hidden_layers) == (2, 4)
    for parameter in kept.parameters():
        parameter.data.zero_()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in network.state_dict().items())


def test_layers_of_modernbert_see_as_far_as_before() -> None:
    network = random_model("modernbert")
    network.config.layer_types = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
    kept = family_of("modernbert").with_layers(network, (0, 3))
    assert kept.config.layer_types == ["full_attention", "full_attention"]


def test_an_older_configuration_of_modernbert_says_which_layers_it_can() -> None:
    config, family = random_model("modernbert").config, family_of("modernbert")
    config.layer_types, config.global_attn_every_n_layers = None, 3
    assert family.config_changes(config, (0, 2)) == {"num_hidden_layers": 2}
    with pytest.raises(TrainingError, match=r"expected transformers 5, whose configuration says .* modernbert see all"):
        family.config_changes(config, (0, 3))
