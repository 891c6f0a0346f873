"""From the vectors of tokens to the vector of a text, as nodes of a graph and once more in numpy."""

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import TensorProto

from edgebert.exporters.activations import ACTIVATIONS
from edgebert.exporters.checkpoint import Array
from edgebert.exporters.nodes import Nodes
from edgebert.exporters.sentence_layers import Dense, SentenceLayers
from edgebert.tasks.task import Outputs

_LEAST_LENGTH = 1e-12


def dense_name(place: int) -> str:
    """Return what the unit of a step is called that is a linear layer."""
    return f"dense_{place}"


def write_embedding(layers: SentenceLayers, nodes: Nodes, states: str, *, is_one_token: bool) -> None:
    """Write the output `embedding` (batch, dims) behind states (batch, length, hidden), or those of the first token."""
    states = nodes.widened(states)  # sums over all tokens may be more than float16 holds
    if is_one_token:
        vector = nodes.node("Squeeze", [states, nodes.integers(1)])
    else:
        pooled = [_write_pooled(pooling, nodes, states) for pooling in layers.poolings]
        vector = pooled[0] if len(pooled) == 1 else nodes.node("Concat", pooled, axis=1)

    for place, step in enumerate(layers.steps):
        if isinstance(step, Dense):
            # Small, so it stays in float32.
            inputs = [vector, nodes.weight(f"{dense_name(place)}.weight")]
            inputs += [nodes.weight(f"{dense_name(place)}.bias")] if step.has_bias else []
            vector = ACTIVATIONS[step.activation].write(nodes, nodes.node("Gemm", inputs, transB=1))
        else:
            length = nodes.node("ReduceL2", [vector], axes=[1])
            vector = nodes.node("Div", [vector, nodes.node("Max", [length, nodes.number(_LEAST_LENGTH)])])
    nodes.node("Identity", [vector], name="embedding")


def _write_pooled(pooling: str, nodes: Nodes, states: str) -> str:
    """Return the vector (batch, hidden) that a pooling makes of states (batch, length, hidden)."""
    if pooling == "cls":
        return nodes.node("Gather", [states, nodes.constant(np.array(0))], axis=1)
    if pooling == "lasttoken":
        count = nodes.node("ReduceSum", ["attention_mask", nodes.integers(1)])
        return nodes.node("GatherND", [states, nodes.node("Sub", [count, nodes.integers(1)])], batch_dims=1)
    mask = nodes.node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    if pooling == "max":
        column = nodes.node("Unsqueeze", [nodes.node("Cast", [mask], to=TensorProto.BOOL), nodes.integers(2)])
        least = nodes.number(float(np.finfo(np.float32).min))
        return nodes.node("ReduceMax", [nodes.node("Where", [column, states, least])], axes=[1], keepdims=0)

    if pooling == "weightedmean":
        mask = nodes.node("Mul", [nodes.node("CumSum", [mask, nodes.constant(np.array(1))]), mask])
    total = nodes.node("ReduceSum", [mask, nodes.integers(1)])
    if pooling == "mean_sqrt_len_tokens":
        total = nodes.node("Sqrt", [total])
    # A product of each text's shares (1, length) and states: no tensor as large as these is written.
    shares = nodes.node("Unsqueeze", [nodes.node("Div", [mask, total]), nodes.integers(1)])
    return nodes.node("Squeeze", [nodes.node("MatMul", [shares, states]), nodes.integers(1)])


def embedding(layers: SentenceLayers, tensors: Mapping[str, Array], states: Array, lengths: Sequence[int]) -> Outputs:
    """Return the output `embedding` of states (batch, length, hidden), text by text without its padding."""
    texts = [states[place, :length] for place, length in enumerate(lengths)]
    vectors = np.stack([np.concatenate([_pooled(mode, tokens) for mode in layers.poolings]) for tokens in texts])
    for place, step in enumerate(layers.steps):
        if isinstance(step, Dense):
            product = vectors @ tensors[f"{dense_name(place)}.weight"].T + tensors.get(f"{dense_name(place)}.bias", 0)
            vectors = ACTIVATIONS[step.activation].compute(np.asarray(product, np.float32))
        else:
            vectors = vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True)).clip(_LEAST_LENGTH)
    return {"embedding": np.asarray(vectors, np.float32)}


def _pooled(pooling: str, tokens: Array) -> Array:
    """Return the vector (hidden,) that a pooling makes of those of a text's tokens (length, hidden)."""
    count = len(tokens)
    match pooling:
        case "cls":
            return np.asarray(tokens[0])
        case "lasttoken":
            return np.asarray(tokens[-1])
        case "max":
            return np.asarray(tokens.max(axis=0))
        case "weightedmean":
            return np.asarray(np.average(tokens, axis=0, weights=range(1, count + 1)), np.float32)
        case "mean_sqrt_len_tokens":
            return np.asarray(tokens.sum(axis=0) / np.float32(np.sqrt(count)))
        case _:
            return np.asarray(tokens.mean(axis=0))
