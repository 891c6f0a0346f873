"""Writes the ONNX graph of one sub-network straight from the places of its weights.

The flavor writes products, attention and GELUs (fused.py, portable.py), attention.py and relative.py what goes into
attention, and the task's head what follows the last layer (heads.py). The graph holds no weights: every tensor is
external data in the one weight file. Where the head reads no other token, only [CLS] is computed in the last kept
layer. Knows nothing about files.
"""

from collections.abc import Mapping, Sequence

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
    network = _Network(Nodes(weights, subnet.precision, ranges or {}), flavor, source)
    head = head_of(source.task).layers
    states = network.embeddings(inputs)
    attention = network.attention(inputs)

    for place, layer in enumerate(subnet.layers):
        is_last = place == len(subnet.layers) - 1
        attend = attention.of_one if is_last and not head.reads_all_tokens else attention.of_all
        tokens, attended = attend(states, layer, subnet.heads[place])
        states = network.rest_of_layer(tokens, attended, layer, subnet.heads[place], subnet.ffn[place])

    head.write(network.nodes, states, network.product, network.activation)
    return network.nodes.serialize(inputs, _dimensions(head.outputs, source))


def _dimensions(outputs: Mapping[str, Sequence[str]], source: Checkpoint) -> dict[str, list[str | int]]:
    """Return the dimensions of outputs: numbers, but for the batch and the length, which are free."""
    free = ("batch", "length")
    return {
        name: [word if word in free else int(getattr(source.sizes, word)) for word in words]
        for name, words in outputs.items()
    }


class _Network:
    def __init__(self, nodes: Nodes, flavor: Flavor, source: Checkpoint):
        self.nodes, self.operators = nodes, _FLAVORS[flavor]
        self.sizes, self.layer_norm_eps = source.sizes, source.layer_norm_eps
        self._activation = source.family.activation
        self.projected, self.relative = "projection.weight" in source.tensors, bool(source.family.relative)

    def embeddings(self, inputs: Sequence[GraphInput]) -> str:
        """Return the states (batch, length, hidden) that the first layer reads."""
        if self.relative:
            return self.nodes.words("input_ids")
        nodes, start = self.nodes, self.nodes.integers(0)
        length = nodes.node("Shape", ["input_ids"], start=1, end=2)
        parts = [nodes.words("input_ids"), nodes.node("Slice", [nodes.weight("position"), start, length, start])]
        if "token_type_ids" in inputs:
            parts.append(nodes.node("Gather", [nodes.weight("type"), "token_type_ids"]))
        states = self.norm(parts, "embedding_norm")
        return self.operators.linear(nodes, states, nodes.matrix(["projection"])) if self.projected else states

    def attention(self, inputs: Sequence[GraphInput]) -> Attention | RelativeAttention:
        """Return what writes the attention of each layer."""
        if self.relative:
            return RelativeAttention(self.nodes, self.operators, self.sizes, inputs)
        return Attention(self.nodes, self.operators, self.sizes)

    def rest_of_layer(self, tokens: str, attended: str, layer: int, heads: int, ffn: int) -> str:
        """Return the new states of the tokens that went on."""
        nodes, linear = self.nodes, self.operators.linear
        projected = linear(nodes, attended, nodes.matrix([f"{layer}.o"], inputs=heads * self.sizes.head_size))
        tokens = self.norm([projected, tokens], f"{layer}.attention_norm")
        neurons = linear(nodes, tokens, nodes.matrix([f"{layer}.ffn_in"], outputs=ffn))
        active = self.operators.gelu(nodes, neurons)
        projected = linear(nodes, active, nodes.matrix([f"{layer}.ffn_out"], inputs=ffn))
        return self.norm([projected, tokens], f"{layer}.ffn_norm")

    def norm(self, parts: Sequence[str], name: str) -> str:
        """Return the layer norm of a sum."""
        inputs = [self.nodes.node("Sum", parts), self.nodes.weight(f"{name}.weight"), self.nodes.weight(f"{name}.bias")]
        return self.nodes.node("LayerNormalization", inputs, axis=-1, epsilon=self.layer_norm_eps)

    def product(self, states: str, unit: str) -> str:
        """Return states (..., inputs) times a unit's matrix, and its bias."""
        return self.operators.linear(self.nodes, states, self.nodes.matrix([unit]))

    def activation(self, x: str) -> str:
        """Return the activation that the family's head has."""
        match self._activation:
            case "tanh":
                return self.nodes.node("Tanh", [x])
            case "relu":
                return self.nodes.node("Relu", [x])
            case "gelu":
                return self.operators.gelu(self.nodes, x)
