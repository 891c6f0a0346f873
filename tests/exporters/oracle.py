"""The original model cut in torch: what is dropped is switched off, by no code of ours."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from edgebert.subnet import Subnet

# Where the layers are, and in a layer what follows the heads and what follows the neurons.
BERT = ("encoder", "layer", "attention.output.dense", "output.dense")
PLACES = {
    "albert": ("encoder", "albert_layer_groups", "albert_layers.0.attention.dense", "albert_layers.0.ffn_output"),
    "modernbert": ("", "layers", "attn.Wo", "mlp.Wo"),
    "mpnet": ("encoder", "layer", "attention.attn.o", "output.dense"),
    "distilbert": ("transformer", "layer", "attention.out_lin", "ffn.lin2"),
    "xlnet": ("", "layer", "rel_attn", "ff.layer_2"),
}


def cut(model: PreTrainedModel, subnet: Subnet) -> PreTrainedModel:
    """Return a copy with the kept layers only, in which the dropped heads and neurons reach nothing."""
    model = copy.deepcopy(model)
    stack, name, after_heads, after_neurons = PLACES.get(model.config.model_type, BERT)
    parent = model.base_model.get_submodule(stack)
    layers = list(getattr(parent, name))
    if model.config.model_type == "albert":
        # Each with weights of its own, since each is cut.
        share = model.config.num_hidden_layers / len(layers)
        layers = [copy.deepcopy(layers[int(n / share)]) for n in range(model.config.num_hidden_layers)]
        model.config.num_hidden_groups = len(subnet.layers)
    kept = torch.nn.ModuleList(layers[index] for index in subnet.layers)
    setattr(parent, name, kept)
    model.config.num_hidden_layers = len(kept)
    head_size = model.config.hidden_size // model.config.num_attention_heads
    with torch.no_grad():
        for layer, heads, ffn in zip(kept, subnet.heads, subnet.ffn, strict=True):
            attention = layer.get_submodule(after_heads)
            if model.config.model_type == "xlnet":
                attention.o[:, heads:] = 0
            else:
                attention.weight[:, heads * head_size :] = 0
            layer.get_submodule(after_neurons).weight[:, ffn:] = 0
    return model


def logits(model: PreTrainedModel, inputs: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
    """Return a model's logits (batch, labels) for graph inputs (batch, length)."""
    if model.config.model_type == "xlnet":
        inputs = padded_left(inputs)
    with torch.inference_mode():
        return np.asarray(model(**{name: torch.from_numpy(array) for name, array in inputs.items()}).logits)


def padded_left(inputs: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Return inputs with what is padding behind each text put before it, as XLNet's tokenizer does."""
    padding = (inputs["attention_mask"] == 0).sum(axis=1)
    return {
        name: np.stack([np.roll(row, n) for row, n in zip(rows, padding, strict=True)]) for name, rows in inputs.items()
    }


def rounded(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy whose matrices and word embeddings are rounded, row by row, to 127 steps of either sign."""
    model = copy.deepcopy(model)
    if getattr(model.config, "share_att_key", False):
        give_distances_weights(model)
    with torch.no_grad():
        for name, module in model.named_modules():
            is_matrix = isinstance(module, torch.nn.Linear) and module.out_features != model.config.num_labels
            # What depends on no text is not rounded: the keys and the queries of distances.
            is_matrix = is_matrix and not name.endswith(("pos_key_proj", "pos_query_proj"))
            if is_matrix or name.endswith(("word_embeddings", "word_embedding", "tok_embeddings")):
                round_by(module.weight, (1,))
            if name.endswith("rel_attn"):
                for matrix in (module.q, module.k, module.v):
                    round_by(matrix, (0,))
                round_by(module.o, (1, 2))
    return model


def give_distances_weights(model: PreTrainedModel) -> None:
    """Give DeBERTa's distances copies of the weights that they share with tokens."""
    for layer in model.base_model.encoder.layer:
        attention = layer.attention.self
        attention.share_att_key = False
        attention.pos_key_proj, attention.pos_query_proj = map(
            copy.deepcopy, (attention.key_proj, attention.query_proj)
        )


def round_by(tensor: torch.Tensor, inputs: tuple[int, ...]) -> None:
    """Round each output's weights, which lie along these dimensions, to 127 steps of either sign."""
    step = tensor.abs().amax(dim=inputs, keepdim=True) / 127
    tensor.copy_((tensor / step).round() * step)
