"""BERT (Devlin et al. 2019)."""

from edgebert.exporters.family import Family


def encoder(base: str) -> dict[str, str]:
    """Return the names of the embeddings and the layers under a base model's name, which other families share."""
    layer = f"{base}.encoder.layer.{{layer}}"
    return {
        "word": f"{base}.embeddings.word_embeddings",
        "position": f"{base}.embeddings.position_embeddings",
        "type": f"{base}.embeddings.token_type_embeddings",
        "embedding_norm": f"{base}.embeddings.LayerNorm",
        "q": f"{layer}.attention.self.query",
        "k": f"{layer}.attention.self.key",
        "v": f"{layer}.attention.self.value",
        "o": f"{layer}.attention.output.dense",
        "attention_norm": f"{layer}.attention.output.LayerNorm",
        "ffn_in": f"{layer}.intermediate.dense",
        "ffn_out": f"{layer}.output.dense",
        "ffn_norm": f"{layer}.output.LayerNorm",
    }


FAMILY = Family(
    model_types=("bert",),
    prefixes=("Bert",),
    units={**encoder("bert"), "pooler": "bert.pooler.dense", "classifier": "classifier"},
    head_activation="tanh",
    token_types=True,
)
