"""Writes the ONNX graph of one sub-network straight from the places of its weights.

The flavor writes products, attention and GELUs (fused.py, portable.py), attention.py and relative.py what goes into
attention, and the task's head what follows the last layer (heads.py). The graph holds no weights: every tensor is
external data in the one weight file. Where the head reads no other token, only [CLS] is computed in the last kept
layer. Knows nothing about files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from edgebert.exporters import fused, portable
from edgebert.exporters.attention import Attention, Operators
from edgebert.exporters.checkpoint import Checkpoint
from edgebert.exporters.heads import head_of
from edgebert.exporters.nodes import Nodes
from edgebert.exporters.quantize import Range
from edgebert.exporters.relative import RelativeAttention
from edgebert.exporters.weights import Weights
from edgebert.inputs.bundle import GraphInput
from edgebert.subnet import Flavor, Subnet

_FLAVORS: dict[Flavor, Operators] = {"fused": fused, "portable": portable}


def build_graph(
    subnet: Subnet,
    flavor: Flavor,
    source: Checkpoint,
    inputs: Sequence[GraphInput],
    weights: Weights,
    ranges: Mapping[str, Range] | None = None,
) -> bytes:
    """Return the ONNX model of a sub-network.

    Its inputs are int64 (batch, length) with both dimensions free; its outputs are those of the task's head, float32.
    `ranges` are those of the inputs of every unit, for int8-static.
    """
    nodes, operators = Nodes(weights, subnet.precision, ranges or {}), _FLAVORS[flavor]
    network, head = _Network(nodes, operators, source), head_of(source.task).layers
    states = network.embeddings(inputs)
    attention: Attention | RelativeAttention = (
        RelativeAttention(nodes, operators, source.sizes, inputs)
        if source.family.relative
        else Attention(nodes, operators, source.sizes)
    )

    for place, layer in enumerate(subnet.layers):
        is_last = place == len(subnet.layers) - 1
        attend = attention.of_one if is_last and not head.reads_all_tokens else attention.of_all
        tokens, attended = attend(states, layer, subnet.heads[place])
        states = network.rest_of_layer(tokens, attended, layer, subnet.heads[place], subnet.ffn[place])

    head.write(nodes, states, network.product, network.activation)
    # All dimensions are numbers, but for the batch and the length, which are free.
    sizes = asdict(source.sizes)
    return nodes.serialize(inputs, {n: [sizes.get(w, w) for w in words] for n, words in head.outputs.items()})


class _Network:
    def __init__(self, nodes: Nodes, operators: Operators, source: Checkpoint):
        self.nodes, self.operators, self.source = nodes, operators, source

    def embeddings(self, inputs: Sequence[GraphInput]) -> str:
        """Return the states (batch, length, hidden) that the first layer reads."""
        if self.source.family.relative:
            return self.nodes.words("input_ids")
        nodes, start = self.nodes, self.nodes.integers(0)
        length = nodes.node("Shape", ["input_ids"], start=1, end=2)
        parts = [nodes.words("input_ids"), nodes.node("Slice", [nodes.weight("position"), start, length, start])]
        if "token_type_ids" in inputs:
            parts.append(nodes.node("Gather", [nodes.weight("type"), "token_type_ids"]))
        states = self.norm(parts, "embedding_norm")
        return self.product(states, "projection") if "projection.weight" in self.source.tensors else states

    def rest_of_layer(self, tokens: str, attended: str, layer: int, heads: int, ffn: int) -> str:
        """Return the new states of the tokens that went on."""
        nodes, linear = self.nodes, self.operators.linear
        projected = linear(nodes, attended, nodes.matrix([f"{layer}.o"], inputs=heads * self.source.sizes.head_size))
        tokens = self.norm([projected, tokens], f"{layer}.attention_norm")
        neurons = linear(nodes, tokens, nodes.matrix([f"{layer}.ffn_in"], outputs=ffn))
        active = self.operators.gelu(nodes, neurons)
        projected = linear(nodes, active, nodes.matrix([f"{layer}.ffn_out"], inputs=ffn))
        return self.norm([projected, tokens], f"{layer}.ffn_norm")

    def norm(self, parts: Sequence[str], name: str) -> str:
        """Return the layer norm of a sum."""
        inputs = [self.nodes.node("Sum", parts), self.nodes.weight(f"{name}.weight"), self.nodes.weight(f"{name}.bias")]
        return self.nodes.node("LayerNormalization", inputs, axis=-1, epsilon=self.source.layer_norm_eps)

    def product(self, states: str, unit: str) -> str:
        """Return states (..., inputs) times a unit's matrix, and its bias."""
        return self.operators.linear(self.nodes, states, self.nodes.matrix([unit]))

    def activation(self, x: str) -> str:
        """Return the activation that the family's head has."""
        name = self.source.family.activation
        return self.operators.gelu(self.nodes, x) if name == "gelu" else self.nodes.node(name.capitalize(), [x])
