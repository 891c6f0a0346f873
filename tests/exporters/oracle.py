"""The original model cut in torch: what is dropped is switched off, by no code of ours."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertForSequenceClassification

from edgebert.subnet import Subnet


def cut(model: BertForSequenceClassification, subnet: Subnet) -> BertForSequenceClassification:
    """Return a copy with the kept layers only, in which the dropped heads and neurons reach nothing."""
    model = copy.deepcopy(model)
    layers = model.bert.encoder.layer
    model.bert.encoder.layer = torch.nn.ModuleList(layers[index] for index in subnet.layers)
    model.config.num_hidden_layers = len(subnet.layers)
    head_size = model.config.hidden_size // model.config.num_attention_heads
    with torch.no_grad():
        for layer, heads, ffn in zip(model.bert.encoder.layer, subnet.heads, subnet.ffn, strict=True):
            layer.attention.output.dense.weight[:, heads * head_size :] = 0
            layer.output.dense.weight[:, ffn:] = 0
    return model


def logits(model: BertForSequenceClassification, inputs: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
    """Return a model's logits (batch, labels) for graph inputs (batch, length)."""
    with torch.inference_mode():
        return np.asarray(model(**{name: torch.from_numpy(array) for name, array in inputs.items()}).logits)
