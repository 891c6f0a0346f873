"""Copies of transformers models that share the weights of the original and have only some of its layers."""

import copy
from collections.abc import Mapping, Sequence

from torch import nn
from transformers import PreTrainedModel

# What has tensors that may be replaced in a copy. Norms, dropout and activations are the original's own.
_REPLACED = (nn.Linear, nn.Embedding)


def shared_copy(
    network: PreTrainedModel, stack: str, kept: Sequence[int], changes: Mapping[str, object]
) -> PreTrainedModel:
    """Return a copy of a model that has modules of its own and the tensors of the original.

    Of the list of modules called `stack` in the base model it has those that are `kept`, in that order; `changes` are
    made to its configuration. What is then put in the place of a tensor or of a number changes nothing of the original.
    """
    whole, config = network.base_model.get_submodule(stack), copy.copy(network.config)
    for key, value in changes.items():
        setattr(config, key, value)

    def twin(module: nn.Module) -> nn.Module:
        modules = module._modules
        if not modules and not isinstance(module, _REPLACED):
            return module
        if module is whole:
            modules = {str(place): module._modules[str(number)] for place, number in enumerate(kept)}

        # A module is what stands in its __dict__; there its tensors, modules and hooks are dictionaries. transformers
        # adds hooks when hidden states are first asked for, and notes that in the module.
        own = module.__dict__.copy()
        own["_parameters"] = module._parameters.copy()
        own["_modules"] = {name: child and twin(child) for name, child in modules.items()}
        own["_forward_hooks"] = module._forward_hooks.copy()
        if own.get("config") is network.config:
            own["config"] = config
        made = object.__new__(type(module))
        made.__dict__ = own
        return made

    copied = twin(network)
    assert isinstance(copied, PreTrainedModel), "a copy is of its original's type"
    return copied
