"""Writes the ONNX graph of one sub-network straight from the places of its weights: the network's story, once.

How a product, attention and a GELU are written is the flavor's business (fused.py, portable.py), what goes into
attention that of attention.py and relative.py. The graph holds no weights: every tensor is external data in the one
weight file. Only [CLS] is computed in the last kept layer, since a classifier reads no other token. Knows nothing about
files.
"""

from collections.abc import Mapping, Sequence

from edgebert.exporters import fused, portable
from edgebert.exporters.attention import Attention
from edgebert.exporters.checkpoint import Checkpoint
from edgebert.exporters.family import Activation
from edgebert.exporters.nodes import Nodes
from edgebert.exporters.quantize import Range
from edgebert.exporters.relative import RelativeAttention
from edgebert.exporters.weights import Weights
from edgebert.inputs.bundle import GraphInput
from edgebert.subnet import Flavor, Subnet

_FLAVORS = {"fused": fused, "portable": portable}


def build_graph(
    subnet: Subnet,
    flavor: Flavor,
    source: Checkpoint,
    inputs: Sequence[GraphInput],
    weights: Weights,
    ranges: Mapping[str, Range] | None = None,
) -> bytes:
    """Return the ONNX model of a sub-network.

    Its inputs are int64 (batch, length) with both dimensions free; its output is `logits`, float32 (batch, labels).
    `ranges` are those of the inputs of every unit, for int8-static.
    """
    network = _Network(Nodes(weights, subnet.precision, ranges or {}), flavor, source)
    states = network.embeddings(inputs)
    attention = network.attention(inputs)
    for place, layer in enumerate(subnet.layers):
        attend = attention.of_one if place == len(subnet.layers) - 1 else attention.of_all
        tokens, attended = attend(states, layer, subnet.heads[place])
        states = network.rest_of_layer(tokens, attended, layer, subnet.heads[place], subnet.ffn[place])
    network.head(states, source.family.activation)
    return network.nodes.serialize(inputs, source.sizes.labels)


class _Network:
    def __init__(self, nodes: Nodes, flavor: Flavor, source: Checkpoint):
        self.nodes, self.operators = nodes, _FLAVORS[flavor]
        self.sizes, self.layer_norm_eps = source.sizes, source.layer_norm_eps
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

    def head(self, cls: str, activation: Activation) -> None:
        """Add the dense unit and the classifier on [CLS] (batch, 1, hidden)."""
        nodes = self.nodes
        row = nodes.node("Squeeze", [cls, nodes.integers(1)])
        dense = self.operators.linear(nodes, row, nodes.matrix(["pooler"]))
        match activation:
            case "tanh":
                active = nodes.node("Tanh", [dense])
            case "relu":
                active = nodes.node("Relu", [dense])
            case "gelu":
                active = self.operators.gelu(nodes, dense)
        classifier = [active, nodes.weight("classifier.weight"), nodes.weight("classifier.bias")]
        nodes.node("Gemm", classifier, name="logits", transB=1)
