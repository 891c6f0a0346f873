"""An elastic classifier: one set of weights, run as any sub-network, which is an argument and never a mode.

Knows nothing about training, data or files.
"""

import copy
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN

from edgebert.elastic.families import Layer, family_of
from edgebert.elastic.slices import dynabert_subnet
from edgebert.subnet import Subnet


@dataclass(frozen=True)
class Output:
    """What a sub-network computes: logits (batch, labels), and hidden states, each (batch, length, hidden).

    `hidden` holds the embeddings' output, then the output of each kept layer.
    """

    logits: Tensor
    hidden: tuple[Tensor, ...]


class ElasticModel(nn.Module):
    """A transformers classifier of a known family whose layers, heads and FFN neurons can be cut in each call."""

    def __init__(self, classifier: Any):
        """Wrap a transformers model for sequence classification; its weights are shared, not copied.

        Raises:
            TrainingError: the model is of no known family.
        """
        super().__init__()
        self.classifier = classifier
        self.family = family_of(classifier)
        self.config = classifier.config
        self.head_size = self.config.hidden_size // self.config.num_attention_heads
        self.activation = ACT2FN[self.config.hidden_act]
        self.train(classifier.training)

    def subnet(self, width: float | Fraction = 1, depth: float | Fraction = 1) -> Subnet:
        """Return DynaBERT's slice of this model for a width and a depth."""
        return dynabert_subnet(
            Fraction(str(width)),
            Fraction(str(depth)),
            "fp32",
            layers=self.config.num_hidden_layers,
            heads=self.config.num_attention_heads,
            ffn=self.config.intermediate_size,
        )

    def forward(self, ids: Tensor, mask: Tensor, subnet: Subnet, types: Tensor | None = None) -> Output:
        """Run a sub-network on token ids, attention mask and token types, each (batch, length) of integers."""
        state = self.classifier.base_model.embeddings(input_ids=ids, token_type_ids=types)
        layers = self.family.layers_of(self.classifier)
        # Several rows of queries share one row of keys; True is where a key may be looked at.
        visible = mask[:, None, None, :].bool()
        hidden = [state]
        for index, heads, ffn in zip(subnet.layers, subnet.heads, subnet.ffn, strict=True):
            layer = layers[index]
            state = self._attend(layer, state, visible, heads)
            state = self._feed_forward(layer, state, ffn)
            hidden.append(state)
        return Output(self.family.classify(self.classifier, state), tuple(hidden))

    def _attend(self, layer: Layer, state: Tensor, visible: Tensor, heads: int) -> Tensor:
        batch, length, _ = state.shape
        size = heads * self.head_size
        query, key, value = (
            functional.linear(state, part.weight[:size], part.bias[:size])
            .view(batch, length, heads, self.head_size)
            .transpose(1, 2)
            for part in (layer.query, layer.key, layer.value)
        )
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible, dropout_p=dropout)
        mixed = mixed.transpose(1, 2).reshape(batch, length, size)
        out = functional.linear(mixed, layer.attention_out.weight[:, :size], layer.attention_out.bias)
        normalised: Tensor = layer.attention_norm(state + self._drop(out))
        return normalised

    def _feed_forward(self, layer: Layer, state: Tensor, ffn: int) -> Tensor:
        inner = self.activation(functional.linear(state, layer.ffn_in.weight[:ffn], layer.ffn_in.bias[:ffn]))
        out = functional.linear(inner, layer.ffn_out.weight[:, :ffn], layer.ffn_out.bias)
        normalised: Tensor = layer.ffn_norm(state + self._drop(out))
        return normalised

    def _drop(self, out: Tensor) -> Tensor:
        return functional.dropout(out, self.config.hidden_dropout_prob, self.training)

    def freeze_embeddings(self) -> None:
        """Let training leave the embedding tables, and their LayerNorm, as they are."""
        self.classifier.base_model.embeddings.requires_grad_(False)

    def extract(self, subnet: Subnet) -> Any:
        """Return a sub-network as a plain transformers classifier, with weights of its own, that can be saved.

        Layers are left out, and FFN neurons down to the most that a layer keeps. transformers fixes the size of a head
        as hidden size / heads, so heads that are cut stand in the result as zeros, as do neurons of narrower layers.
        """
        plain = copy.deepcopy(self.classifier)
        plain.config.num_hidden_layers, plain.config.intermediate_size = len(subnet.layers), max(subnet.ffn)
        parent, _, name = self.family.layers.rpartition(".")
        layers = plain.base_model.get_submodule(self.family.layers)
        setattr(plain.base_model.get_submodule(parent), name, nn.ModuleList(layers[index] for index in subnet.layers))
        for layer, heads, ffn in zip(self.family.layers_of(plain), subnet.heads, subnet.ffn, strict=True):
            _cut_heads(layer, heads * self.head_size)
            _cut_neurons(layer, ffn, max(subnet.ffn))
        return plain


@torch.no_grad()
def _cut_heads(layer: Layer, size: int) -> None:
    for part in (layer.query, layer.key, layer.value):
        part.weight[size:] = 0
        part.bias[size:] = 0
    layer.attention_out.weight[:, size:] = 0


@torch.no_grad()
def _cut_neurons(layer: Layer, kept: int, stored: int) -> None:
    layer.ffn_in.weight[kept:] = 0
    layer.ffn_in.bias[kept:] = 0
    layer.ffn_out.weight[:, kept:] = 0
    layer.ffn_in.weight = nn.Parameter(layer.ffn_in.weight[:stored].clone())
    layer.ffn_in.bias = nn.Parameter(layer.ffn_in.bias[:stored].clone())
    layer.ffn_out.weight = nn.Parameter(layer.ffn_out.weight[:, :stored].clone())
    layer.ffn_in.out_features = layer.ffn_out.in_features = stored
