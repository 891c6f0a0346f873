"""An elastic classifier: one set of weights, run as any sub-network, which is an argument and never a mode.

Knows nothing about training, data or files.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.activations import ACT2FN

from edgebert.elastic.families import Layer
from edgebert.elastic.model import Model, ModelOutput
from edgebert.subnet import Subnet


class UnitValues(NamedTuple):
    """A value for each unit, such as its importance or whether it is kept.

    Heads are (layers, heads), FFN neurons (layers, FFN size).
    """

    heads: Tensor
    neurons: Tensor


class ElasticModel(Model):
    """A transformers classifier whose layers, heads and FFN neurons can be cut in each call.

    Raises:
        TrainingError: the classifier is of no family that can be cut.
    """

    def __init__(self, classifier: PreTrainedModel):
        super().__init__(classifier)
        self.config.check_elastic()
        plain, family = self.config.plain, self.family
        self._activation = ACT2FN[getattr(plain, family.described.activation_key)]
        self._hidden_dropout: float = getattr(plain, family.hidden_dropout_key)
        self._attention_dropout: float = getattr(plain, family.attention_dropout_key)

    def subnet(self, width: float | Fraction = 1, depth: float | Fraction = 1) -> Subnet:
        """Return DynaBERT's slice of this model for a width and a depth."""
        return self.config.subnet(width, depth)

    def layers(self) -> list[Layer]:
        """Return the parts of each layer."""
        return self.family.layers_of(self.classifier)

    def forward(
        self, ids: Tensor, mask: Tensor, subnet: Subnet, types: Tensor | None = None, scales: UnitValues | None = None
    ) -> ModelOutput:
        """Run a sub-network as `Model.forward` does; what each unit puts out is multiplied by `scales`."""
        state = self._embed(ids, types)
        layers = self.layers()
        # Several rows of queries share one row of keys; True is where a key may be looked at.
        visible = mask[:, None, None, :].bool()

        # A student may be taught by all hidden states of its teacher, so they are kept.
        hidden = [state]
        for index, heads, ffn in zip(subnet.layers, subnet.heads, subnet.ffn, strict=True):
            layer = layers[index]
            state = self._attend(layer, state, visible, heads, None if scales is None else scales.heads[index])
            state = self._feed_forward(layer, state, ffn, None if scales is None else scales.neurons[index])
            hidden.append(state)

        assert self.family.classify is not None, "a family that can be cut has a head"
        return ModelOutput(self.family.classify(self.classifier, state), tuple(hidden))

    def _embed(self, ids: Tensor, types: Tensor | None) -> Tensor:
        state: Tensor = self.family.embeddings(self.classifier)(input_ids=ids, **self.typed(types))
        projection = self.family.projection(self.classifier)
        return state if projection is None else projection(state)

    def _attend(self, layer: Layer, state: Tensor, visible: Tensor, heads: int, scales: Tensor | None) -> Tensor:
        batch, length, _ = state.shape
        size = heads * self.config.head_size
        # The kept heads are the first rows of each map, so cutting copies nothing: these are views of the weights.
        query, key, value = (
            functional.linear(state, part.weight[:size], part.bias[:size])
            .view(batch, length, heads, self.config.head_size)
            .transpose(1, 2)
            for part in (layer.q, layer.k, layer.v)
        )
        # torch's function drops in any mode, so that is asked here.
        dropout = self._attention_dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible, dropout_p=dropout)
        if scales is not None:
            mixed = mixed * scales[:heads, None, None].to(mixed.dtype)

        # Back to (batch, length, heads * head size), for the map that joins the heads.
        mixed = mixed.transpose(1, 2).reshape(batch, length, size)
        out = functional.linear(mixed, layer.o.weight[:, :size], layer.o.bias)
        if self.family.attention_dropout_after:  # DistilBERT has none here
            out = self._drop(out)
        normalised: Tensor = layer.attention_norm(state + out)
        return normalised

    def _feed_forward(self, layer: Layer, state: Tensor, ffn: int, scales: Tensor | None) -> Tensor:
        inner = self._activation(functional.linear(state, layer.ffn_in.weight[:ffn], layer.ffn_in.bias[:ffn]))
        if scales is not None:
            inner = inner * scales[:ffn].to(inner.dtype)
        out = functional.linear(inner, layer.ffn_out.weight[:, :ffn], layer.ffn_out.bias)
        normalised: Tensor = layer.ffn_norm(state + self._drop(out))
        return normalised

    def _drop(self, out: Tensor) -> Tensor:
        return functional.dropout(out, self._hidden_dropout, self.training)

    def extract(self, subnet: Subnet) -> PreTrainedModel:
        """Return a sub-network as a plain transformers classifier, with weights of its own, that can be saved.

        Layers are left out, and FFN neurons down to the most that a layer keeps. What else is cut stands as zeros.
        """
        # transformers gives all layers one size, which is that of the widest.
        plain, ffn_size = self.family.with_layers(self.classifier, subnet.layers), max(subnet.ffn)
        setattr(plain.config, self.family.ffn_key, ffn_size)
        for layer, heads, ffn in zip(self.family.layers_of(plain), subnet.heads, subnet.ffn, strict=True):
            # Heads stay: transformers takes the size of one to be hidden size / heads.
            size = heads * self.config.head_size
            _keep(layer, size, ffn, attention_size=self.config.hidden, ffn_size=ffn_size)
        return plain

    def cut(self, heads: Sequence[int], ffn: Sequence[int]) -> None:
        """Keep in place only the first heads and neurons of each layer, so that less is stored and computed.

        Sub-networks within what is kept still run; `plain` gives a classifier that transformers can load again.
        """
        for layer, kept_heads, kept in zip(self.layers(), heads, ffn, strict=True):
            size = kept_heads * self.config.head_size
            _keep(layer, size, kept, attention_size=size, ffn_size=kept)

    def plain(self) -> PreTrainedModel:
        """Return the classifier as transformers loads it: what was cut from layers stands in a copy as zeros."""
        layers, full = self.layers(), self.subnet()
        heads = tuple(layer.q.out_features // self.config.head_size for layer in layers)
        ffn = tuple(layer.ffn_in.out_features for layer in layers)
        if (heads, ffn) == (full.heads, full.ffn):
            return self.classifier
        return self.extract(msgspec.structs.replace(full, heads=heads, ffn=ffn))


def _keep(layer: Layer, size: int, ffn: int, *, attention_size: int, ffn_size: int) -> None:
    """Keep the first dimensions of all heads together and the first neurons of a layer, with zeros behind them."""
    for part in (layer.q, layer.k, layer.v):
        _resize_outputs(part, size, attention_size)
    _resize_inputs(layer.o, size, attention_size)
    _resize_outputs(layer.ffn_in, ffn, ffn_size)
    _resize_inputs(layer.ffn_out, ffn, ffn_size)


@torch.no_grad()
def _resize_outputs(linear: nn.Linear, kept: int, size: int) -> None:
    linear.weight = nn.Parameter(functional.pad(linear.weight[:kept], (0, 0, 0, size - kept)))
    linear.bias = nn.Parameter(functional.pad(linear.bias[:kept], (0, size - kept)))
    linear.out_features = size


@torch.no_grad()
def _resize_inputs(linear: nn.Linear, kept: int, size: int) -> None:
    linear.weight = nn.Parameter(functional.pad(linear.weight[:, :kept], (0, size - kept)))
    linear.in_features = size
