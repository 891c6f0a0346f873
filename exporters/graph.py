"""Writes the ONNX graph of one sub-network, in the fused flavor, straight from the places of its weights.

The graph holds no weights: every initializer is external data in the one weight file. Only [CLS] is computed in
the last kept layer, since a classifier reads no other token. Knows nothing about files.
"""

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from edgebert.exporters.checkpoint import Sizes
from edgebert.exporters.weights import Stored, Weights, scale_name
from edgebert.subnet import Subnet

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OPSETS = (("", 17), ("com.microsoft", 1))
_CONTRIB = {"DynamicQuantizeMatMul", "MultiHeadAttention", "SkipLayerNormalization", "BiasGelu"}


def build_graph(subnet: Subnet, sizes: Sizes, layer_norm_eps: float, weights: Weights) -> bytes:
    """Return the ONNX model of a sub-network.

    Its inputs are `INPUTS`, int64 (batch, length) with both dimensions free; its output is `logits`, float32
    (batch, labels).
    """
    graph = _Graph(weights, layer_norm_eps, subnet.precision == "int8")
    states = _embeddings(graph)
    mask = graph.node("Cast", ["attention_mask"], to=TensorProto.INT32)
    for place, layer in enumerate(subnet.layers):
        last = place == len(subnet.layers) - 1
        states = _layer(graph, layer, states, mask, subnet.heads[place], subnet.ffn[place], sizes.head_size, last)
    _head(graph, states)
    return graph.serialize(sizes.labels)


class _Graph:
    """Nodes and initializers in the making; a value is known by its name."""

    def __init__(self, weights: Weights, layer_norm_eps: float, int8: bool):
        self.weights, self.layer_norm_eps, self.int8 = weights, layer_norm_eps, int8
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}

    def node(self, op: str, inputs: Sequence[str], outputs: int = 1, name: str = "", **attributes: object) -> str:
        """Add a node and return the name of its first output; the others are that name with .1, .2 and so on."""
        name = name or f"v{len(self.nodes)}"
        names = [name, *(f"{name}.{i}" for i in range(1, outputs))]
        domain = "com.microsoft" if op in _CONTRIB else ""
        self.nodes.append(helper.make_node(op, list(inputs), names, domain=domain, **attributes))
        return name

    def weight(self, name: str, rows: int | None = None) -> str:
        """Add the first rows of a stored tensor as an initializer."""
        if name not in self.initializers:
            stored = self.weights.tensors[name].prefix(rows)
            self.initializers[name] = _external(name, stored, self.weights.file.file)
        return name

    def constant(self, name: str, values: Sequence[int]) -> str:
        """Add a small int64 vector, held in the graph itself."""
        if name not in self.initializers:
            self.initializers[name] = helper.make_tensor(name, TensorProto.INT64, [len(values)], list(values))
        return name

    def product(self, states: str, matrix: str, scale: str) -> str:
        """Multiply states (..., inputs) by a matrix (inputs, outputs), in int8 with the scales (outputs,)."""
        if self.int8:
            return self.node("DynamicQuantizeMatMul", [states, matrix, scale])
        return self.node("MatMul", [states, matrix])

    def outputs_cut(self, states: str, units: Sequence[str], rows: int) -> str:
        """Multiply states by the first `rows` outputs of several matrices at once: their outputs stand side by side.

        Concat and Transpose have constant inputs; ONNX Runtime computes them once, when it loads the graph.
        """
        matrix = self._joined([self.weight(f"{unit}.weight", rows) for unit in units])
        matrix = self.node("Transpose", [matrix], perm=[1, 0])
        scale = self._joined([self.weight(f"{unit}.scale", rows) for unit in units]) if self.int8 else ""
        return self.product(states, matrix, scale)

    def bias(self, units: Sequence[str], rows: int) -> str:
        """Return the first `rows` biases of several units, one after the other."""
        return self._joined([self.weight(f"{unit}.bias", rows) for unit in units])

    def inputs_cut(self, states: str, unit: str, rows: int | None = None) -> str:
        """Multiply states (..., rows) by the first `rows` inputs of a matrix."""
        scale = self.weight(f"{unit}.scale") if self.int8 else ""
        return self.product(states, self.weight(f"{unit}.weight", rows), scale)

    def add_and_norm(self, states: str, skip: str, norm: str, bias: str = "") -> str:
        """Return the layer norm of states + skip + bias."""
        inputs = [states, skip, self.weight(f"{norm}.weight"), self.weight(f"{norm}.bias")]
        inputs += [self.weight(bias)] if bias else []
        return self.node("SkipLayerNormalization", inputs, epsilon=self.layer_norm_eps)

    def rows(self, table: str, op: str, indices: Sequence[str]) -> str:
        """Return rows of an embedding table as float32, taken by Gather or Slice."""
        values = self.node(op, [self.weight(table), *indices])
        if not self.int8:
            return values
        scales = self.node(op, [self.weight(scale_name(table)), *indices])
        return self.node("Mul", [self.node("Cast", [values], to=TensorProto.FLOAT), scales])

    def _joined(self, names: Sequence[str]) -> str:
        return names[0] if len(names) == 1 else self.node("Concat", names, axis=0)

    def serialize(self, labels: int) -> bytes:
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in INPUTS]
        output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])
        graph = helper.make_graph(self.nodes, "edgebert", inputs, [output], list(self.initializers.values()))
        opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="edgebert")
        return bytes(model.SerializeToString())


def _external(name: str, stored: Stored, file: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(stored.dtype), dims=stored.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", stored.offset), ("length", stored.size_bytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _embeddings(graph: _Graph) -> str:
    """Return the states (batch, length, hidden) that the first layer reads."""
    shape = graph.node("Shape", ["input_ids"], start=1, end=2)
    first, axis = graph.constant("zero", [0]), graph.constant("zero", [0])
    words = graph.rows("word", "Gather", ["input_ids"])
    types = graph.rows("type", "Gather", ["token_type_ids"])
    positions = graph.rows("position", "Slice", [first, shape, axis])
    return graph.add_and_norm(graph.node("Add", [words, types]), positions, "embedding_norm")


def _layer(graph: _Graph, layer: int, states: str, mask: str, heads: int, ffn: int, head_size: int, last: bool) -> str:
    """Return the states after a layer: (batch, length, hidden), or (batch, 1, hidden) of [CLS] after the last."""
    size = heads * head_size
    q, k, v = (f"{layer}.{unit}" for unit in "qkv")
    if last:
        start, end, axis = graph.constant("zero", [0]), graph.constant("one", [1]), graph.constant("one", [1])
        tokens = graph.node("Slice", [states, start, end, axis])
        query = graph.outputs_cut(tokens, [q], size)
        pair = graph.outputs_cut(states, [k, v], size)
        key = graph.node("Split", [pair, graph.constant(f"kv{size}", [size] * 2)], outputs=2, axis=2)
        value = f"{key}.1"
    else:
        tokens = states
        triple = graph.outputs_cut(states, [q, k, v], size)
        query = graph.node("Split", [triple, graph.constant(f"qkv{size}", [size] * 3)], outputs=3, axis=2)
        key, value = f"{query}.1", f"{query}.2"
    bias = graph.bias([q, k, v], size)
    attended = graph.node("MultiHeadAttention", [query, key, value, bias, mask], num_heads=heads)
    projected = graph.inputs_cut(attended, f"{layer}.o", size)
    tokens = graph.add_and_norm(projected, tokens, f"{layer}.attention_norm", f"{layer}.o.bias")
    neurons = graph.outputs_cut(tokens, [f"{layer}.ffn_in"], ffn)
    active = graph.node("BiasGelu", [neurons, graph.bias([f"{layer}.ffn_in"], ffn)])
    projected = graph.inputs_cut(active, f"{layer}.ffn_out", ffn)
    return graph.add_and_norm(projected, tokens, f"{layer}.ffn_norm", f"{layer}.ffn_out.bias")


def _head(graph: _Graph, cls: str) -> None:
    """Add the pooler and the classifier on [CLS] (batch, 1, hidden)."""
    row = graph.node("Squeeze", [cls, graph.constant("one", [1])])
    pooled = graph.node("Add", [graph.inputs_cut(row, "pooler"), graph.weight("pooler.bias")])
    classifier = [graph.node("Tanh", [pooled]), graph.weight("classifier.weight"), graph.weight("classifier.bias")]
    graph.node("Gemm", classifier, name="logits", transB=1)
