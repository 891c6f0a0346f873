"""Writes the ONNX graph of one sub-network straight from the places of its weights.

The graph holds no weights: every tensor is external data in the one weight file. Knows nothing about files.
"""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from onnx import TensorProto

from edgebert.exporters.activations import ACTIVATIONS
from edgebert.exporters.attention import Attention, RelativeAttention
from edgebert.exporters.checkpoint import Checkpoint
from edgebert.exporters.fused import FusedNodes
from edgebert.exporters.heads import head_of
from edgebert.exporters.nodes import Nodes
from edgebert.exporters.portable import PortableNodes
from edgebert.exporters.quantize import Ranges
from edgebert.exporters.weights import Weights
from edgebert.inputs.manifest import GraphInput
from edgebert.subnet import Flavor, Subnet

_FLAVORS: dict[Flavor, type[Nodes]] = {"fused": FusedNodes, "portable": PortableNodes}


def build_graph(
    subnet: Subnet,
    flavor: Flavor,
    source: Checkpoint,
    inputs: Sequence[GraphInput],
    weights: Weights,
    ranges: Ranges,
) -> bytes:
    """Return the ONNX model of a sub-network.

    Its inputs are int64 (batch, length) with both dimensions free; its outputs are those of the task's head, float32.
    `ranges` are those of the inputs of every unit, for int8-static.
    """
    nodes = _FLAVORS[flavor](weights, subnet.precision, source.sizes.head_size, ranges)
    network, head, relative = _Network(nodes, source), head_of(source), source.family.relative
    states = network.embeddings(inputs)
    attention = RelativeAttention(nodes, source.sizes, inputs) if relative else Attention(nodes)

    for place, (layer, heads, ffn) in enumerate(zip(subnet.layers, subnet.heads, subnet.ffn, strict=True)):
        is_last = place == len(subnet.layers) - 1
        # Exact: no other token of the last layer is read. BERT-base gains 6 % at 128 tokens, shallower networks more.
        attend = attention.of_one if is_last and not head.reads_all_tokens else attention.of_all
        tokens, attended = attend(states, layer, heads)
        states = network.rest_of_layer(tokens, attended, layer, heads, ffn)

    head.write(nodes, states, network.head_activation)
    # All dimensions are numbers, but for the batch and the length, which are free.
    sizes = {**asdict(source.sizes), **head.sizes}
    return nodes.serialize(inputs, {n: [sizes.get(w, w) for w in words] for n, words in source.task.OUTPUTS.items()})


class _Network:
    def __init__(self, nodes: Nodes, source: Checkpoint):
        self.nodes, self.source = nodes, source

    def embeddings(self, inputs: Sequence[GraphInput]) -> str:
        """Return the states (batch, length, hidden) that the first layer reads."""
        nodes = self.nodes
        if self.source.family.relative:
            return nodes.words("input_ids")
        parts = [nodes.words("input_ids"), self.positions()]
        if "token_type_ids" in inputs:
            parts.append(nodes.node("Gather", [nodes.weight("type"), "token_type_ids"]))
        states = self.norm(parts, "embedding_norm")
        return nodes.linear(states, ["projection"]) if "projection.weight" in self.source.tensors else states

    def positions(self) -> str:
        """Return the rows of the position table that the tokens of texts take."""
        nodes, padding, table = self.nodes, self.source.settings.padding, self.nodes.weight("position")
        if padding is None:
            # The table that is stored starts with the first token's row.
            start, length = nodes.integers(0), nodes.node("Shape", ["input_ids"], start=1, end=2)
            return nodes.node("Slice", [table, start, length, start])

        # Padding may stand in a text, where somebody wrote it: it takes the table's first row, and is not counted.
        counted = nodes.node("Not", [nodes.node("Equal", ["input_ids", nodes.constant(np.array(padding, np.int64))])])
        counted = nodes.node("Cast", [counted], to=TensorProto.INT64)
        place = nodes.node("CumSum", [counted, nodes.constant(np.array(1, np.int64))])
        return nodes.node("Gather", [table, nodes.node("Mul", [place, counted])])

    def rest_of_layer(self, tokens: str, attended: str, layer: int, heads: int, ffn: int) -> str:
        """Return the new states of the tokens that went on."""
        nodes = self.nodes
        projected = nodes.linear(attended, [f"{layer}.o"], inputs=heads * nodes.head_size)
        tokens = self.norm([projected, tokens], f"{layer}.attention_norm")
        active = self.activation(nodes.linear(tokens, [f"{layer}.ffn_in"], outputs=ffn))
        projected = nodes.linear(active, [f"{layer}.ffn_out"], inputs=ffn)
        return self.norm([projected, tokens], f"{layer}.ffn_norm")

    def norm(self, parts: Sequence[str], name: str) -> str:
        """Return the layer norm of a sum."""
        # Not Add: ONNX Runtime fuses that into its SkipLayerNormalization, which takes 4 to 9 times as long.
        inputs = [self.nodes.node("Sum", parts), self.nodes.weight(f"{name}.weight"), self.nodes.weight(f"{name}.bias")]
        return self.nodes.node("LayerNormalization", inputs, axis=-1, epsilon=self.source.settings.layer_norm_eps)

    def activation(self, x: str) -> str:
        """Return the activation of the neurons of a layer."""
        return ACTIVATIONS[self.source.settings.activation].write(self.nodes, x)

    def head_activation(self, x: str) -> str:
        """Return the activation that the head has."""
        return ACTIVATIONS[self.source.settings.head_activation].write(self.nodes, x)
