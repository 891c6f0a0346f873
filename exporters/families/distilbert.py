"""DistilBERT (Sanh et al. 2019): no token types, names of its own, and a ReLU before the classifier."""

from edgebert.exporters.family import CONFIG_KEYS, Family

_LAYER = "distilbert.transformer.layer.{layer}"

FAMILY = Family(
    model_types=("distilbert",),
    prefixes=("DistilBert",),
    units={
        "word": "distilbert.embeddings.word_embeddings",
        "position": "distilbert.embeddings.position_embeddings",
        "embedding_norm": "distilbert.embeddings.LayerNorm",
        "q": f"{_LAYER}.attention.q_lin",
        "k": f"{_LAYER}.attention.k_lin",
        "v": f"{_LAYER}.attention.v_lin",
        "o": f"{_LAYER}.attention.out_lin",
        "attention_norm": f"{_LAYER}.sa_layer_norm",
        "ffn_in": f"{_LAYER}.ffn.lin1",
        "ffn_out": f"{_LAYER}.ffn.lin2",
        "ffn_norm": f"{_LAYER}.output_layer_norm",
        "pooler": "pre_classifier",
        "classifier": "classifier",
    },
    head_activation="relu",
    token_types=False,
    sizes={**CONFIG_KEYS, "layers": "n_layers", "heads": "n_heads", "hidden": "dim", "ffn": "hidden_dim", "types": 0},
    aliases={"num_hidden_layers": "n_layers", "num_attention_heads": "n_heads", "hidden_size": "dim"},
    supported={},
    activation_key="activation",
    norm_eps_key=None,
)
