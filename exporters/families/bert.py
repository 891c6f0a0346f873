"""BERT for sequence classification: what its tensors are called in a checkpoint, and their shapes."""

from collections.abc import Iterator

MODEL_TYPE = "bert"
PREFIX = "bert."


def tensors(layers: int) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield our name, the checkpoint's name and the shape, in the words of `Sizes`, of every tensor of the model."""
    yield "word", "bert.embeddings.word_embeddings.weight", ("vocabulary", "hidden")
    yield "position", "bert.embeddings.position_embeddings.weight", ("positions", "hidden")
    yield "type", "bert.embeddings.token_type_embeddings.weight", ("types", "hidden")
    yield from _norm("embedding_norm", "bert.embeddings.LayerNorm")
    for i in range(layers):
        layer = f"bert.encoder.layer.{i}."
        for ours, theirs in (("q", "query"), ("k", "key"), ("v", "value")):
            yield from _linear(f"{i}.{ours}", f"{layer}attention.self.{theirs}", "hidden", "hidden")
        yield from _linear(f"{i}.o", f"{layer}attention.output.dense", "hidden", "hidden")
        yield from _norm(f"{i}.attention_norm", f"{layer}attention.output.LayerNorm")
        yield from _linear(f"{i}.ffn_in", f"{layer}intermediate.dense", "ffn", "hidden")
        yield from _linear(f"{i}.ffn_out", f"{layer}output.dense", "hidden", "ffn")
        yield from _norm(f"{i}.ffn_norm", f"{layer}output.LayerNorm")
    yield from _linear("pooler", "bert.pooler.dense", "hidden", "hidden")
    yield from _linear("classifier", "classifier", "labels", "hidden")


def _linear(ours: str, theirs: str, outputs: str, inputs: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    yield f"{ours}.weight", f"{theirs}.weight", (outputs, inputs)
    yield f"{ours}.bias", f"{theirs}.bias", (outputs,)


def _norm(ours: str, theirs: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    yield f"{ours}.weight", f"{theirs}.weight", ("hidden",)
    yield f"{ours}.bias", f"{theirs}.bias", ("hidden",)
