import copy

import torch
from torch import nn
from toys import random_model

from edgebert.elastic.shared_copy import shared_copy


def test_a_copy_has_some_layers_its_own_modules_and_the_tensors_of_the_original() -> None:
    network = random_model()
    made = shared_copy(network, "encoder.layer", [0, 2], {"num_hidden_layers": 2})
    assert (made.config.num_hidden_layers, made.base_model.config.num_hidden_layers) == (2, 2)
    assert (network.config.num_hidden_layers, len(network.base_model.encoder.layer)) == (4, 4)
    theirs = dict(network.named_parameters())
    for name, tensor in made.named_parameters():
        assert tensor is theirs[name.replace("layer.1.", "layer.2.")]


def test_what_is_put_into_a_copy_is_not_in_the_original() -> None:
    network = random_model()
    before = copy.deepcopy(network.state_dict())
    made = shared_copy(network, "encoder.layer", range(4), {})
    for module in made.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            module._parameters["weight"] = nn.Parameter(torch.zeros(1))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_hidden_states_of_copies_and_original_are_counted_once() -> None:
    network, ids = random_model(), torch.tensor([[2, 5, 3]])
    for kept in ([0, 1, 2, 3], [0, 3], [0, 1, 2, 3]):
        made = shared_copy(network, "encoder.layer", kept, {"num_hidden_layers": len(kept)})
        for _ in range(2):
            assert len(made(ids, output_hidden_states=True).hidden_states) == len(kept) + 1
    assert len(network(ids, output_hidden_states=True).hidden_states) == 5
