"""The original model cut in torch: what is dropped is switched off, by no code of ours."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from edgebert.subnet import Subnet

# Where the layers are, and in a layer what follows the heads and what follows the neurons.
BERT = ("encoder", "layer", "attention.output.dense", "output.dense")
PLACES = {"distilbert": ("transformer", "layer", "attention.out_lin", "ffn.lin2")}


def cut(model: PreTrainedModel, subnet: Subnet) -> PreTrainedModel:
    """Return a copy with the kept layers only, in which the dropped heads and neurons reach nothing."""
    model = copy.deepcopy(model)
    stack, name, after_heads, after_neurons = PLACES.get(model.config.model_type, BERT)
    parent = model.base_model.get_submodule(stack)
    kept = torch.nn.ModuleList(getattr(parent, name)[index] for index in subnet.layers)
    setattr(parent, name, kept)
    model.config.num_hidden_layers = len(kept)
    head_size = model.config.hidden_size // model.config.num_attention_heads
    with torch.no_grad():
        for layer, heads, ffn in zip(kept, subnet.heads, subnet.ffn, strict=True):
            layer.get_submodule(after_heads).weight[:, heads * head_size :] = 0
            layer.get_submodule(after_neurons).weight[:, ffn:] = 0
    return model


def logits(model: PreTrainedModel, inputs: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
    """Return a model's logits (batch, labels) for graph inputs (batch, length)."""
    with torch.inference_mode():
        return np.asarray(model(**{name: torch.from_numpy(array) for name, array in inputs.items()}).logits)


def rounded(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy whose matrices and word embeddings are rounded, row by row, to 127 steps of either sign."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for name, module in model.named_modules():
            is_matrix = isinstance(module, torch.nn.Linear) and module.out_features != model.config.num_labels
            if is_matrix or name.endswith("word_embeddings"):
                step = module.weight.abs().amax(dim=1, keepdim=True) / 127
                module.weight.copy_((module.weight / step).round() * step)
    return model
