"""ModernBERT (Warner et al. 2024): rotary positions, most layers see near tokens alone, gated FFNs, few biases."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgebert.exporters.config_file import MOST, check_values, read_count, refuse, shown
from edgebert.exporters.family import CONFIG_KEYS, Family, Part, Rotary, Variant

_LAYER = "model.layers.{layer}"
_FULL, _NEAR = "full_attention", "sliding_attention"
# Of the layers of a kind, the older key of config.json, and what transformers takes where there is none.
_THETAS = {_FULL: ("global_rope_theta", 160_000.0), _NEAR: ("local_rope_theta", 10_000.0)}
# The keys that say whether units have biases.
_BIASES = {
    **dict.fromkeys("qkvo", "attention_bias"),
    **dict.fromkeys(("ffn_in", "ffn_gate", "ffn_out"), "mlp_bias"),
    **dict.fromkeys(("embedding_norm", "attention_norm", "ffn_norm", "final_norm", "head_norm"), "norm_bias"),
    "pooler": "classifier_bias",
}


def _variant(path: Path, config: Mapping[str, Any], counts: Mapping[str, int]) -> Variant:
    head_size = counts["hidden"] // counts["heads"]
    check_values(path, config, {"head_dim": (None, head_size)})
    if head_size % 2:
        refuse(path, f"expected heads of an even size, hidden_size by heads, found {head_size}")

    kinds, window = _kinds(path, config, counts["layers"]), _window(path, config)
    thetas = {kind: _theta(path, config, kind) for kind in _THETAS}
    return Variant(
        Rotary(
            thetas=tuple(thetas[kind] for kind in kinds),
            windows=tuple(window if kind == _NEAR else None for kind in kinds),
        ),
        absent=frozenset(f"{unit}.bias" for unit, key in _BIASES.items() if not config.get(key, False)),
        mean_pooling=config.get("classifier_pooling") == "mean",
    )


def _kinds(path: Path, config: Mapping[str, Any], layers: int) -> list[str]:
    """Return of which kind the attention of each layer is."""
    kinds = config.get("layer_types")
    if kinds is None:
        key = "global_attn_every_n_layers"
        every = read_count(path, config, key) if key in config else 3
        return [_NEAR if place % every else _FULL for place in range(layers)]
    if not isinstance(kinds, list) or len(kinds) != layers or not all(kind in (_FULL, _NEAR) for kind in kinds):
        refuse(path, f"expected {_FULL} or {_NEAR} for each of {layers} layers in layer_types, found {shown(kinds)}")
    return kinds


def _window(path: Path, config: Mapping[str, Any]) -> int:
    """Return how far apart two tokens may be that see each other in a layer of near attention."""
    # To transformers the half is another name of the whole, and read after it.
    if "sliding_window" in config:
        return read_count(path, config, "sliding_window")
    return (read_count(path, config, "local_attention") if "local_attention" in config else 128) // 2


def _theta(path: Path, config: Mapping[str, Any], kind: str) -> float:
    key, usual = _THETAS[kind]
    found = config.get("rope_parameters") or {}
    found = (found.get(kind) if isinstance(found, dict) else found) or {}
    if not isinstance(found, dict):
        refuse(path, f"expected an object for {kind} in rope_parameters, found {shown(found)}")
    check_values(path, found, {"rope_type": ("default",), "type": ("default",)})
    theta = found.get("rope_theta", config.get(key, usual))
    if type(theta) not in (int, float) or not 0 < theta < MOST:
        refuse(path, f"expected a number above 0 for {key}, found {shown(theta)}")
    return float(theta)


# The same for all tasks.
_HEAD: Mapping[str, str] = {"pooler": "head.dense", "head_norm": "head.norm", "classifier": "classifier"}

FAMILY = Family(
    model_types=("modernbert",),
    prefixes=("ModernBert",),
    units={
        "word": "model.embeddings.tok_embeddings",
        "embedding_norm": "model.embeddings.norm",
        **{unit: Part(f"{_LAYER}.attn.Wqkv", place, 3) for place, unit in enumerate("qkv")},
        "o": f"{_LAYER}.attn.Wo",
        "attention_norm": f"{_LAYER}.attn_norm",
        "ffn_in": Part(f"{_LAYER}.mlp.Wi", 0, 2),
        "ffn_gate": Part(f"{_LAYER}.mlp.Wi", 1, 2),
        "ffn_out": f"{_LAYER}.mlp.Wo",
        "ffn_norm": f"{_LAYER}.mlp_norm",
        "final_norm": "model.final_norm",
        **_HEAD,
    },
    token_units=_HEAD,
    answer_units=_HEAD,
    head_activation="gelu",
    token_types=False,
    sizes={**CONFIG_KEYS, "types": 0},
    supported={
        **dict.fromkeys(dict.fromkeys(_BIASES.values()), (False, True)),
        "classifier_pooling": ("cls", "mean"),
        "rope_scaling": (None,),
    },
    variant=_variant,
    activation_key="hidden_activation",
    head_activation_key="classifier_activation",
    norm_eps_key="norm_eps",
    norm_eps=1e-5,
    pre_norm=True,
)
