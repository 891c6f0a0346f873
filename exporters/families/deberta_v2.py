"""DeBERTa v2 and v3 (He et al. 2021): scores by what tokens are and by how far apart they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgebert.exporters.config_file import MOST, check_values, refuse, shown
from edgebert.exporters.families.bert import encoder
from edgebert.exporters.family import Disentangled, Family, Variant

_ATTENTION = "deberta.encoder.layer.{layer}.attention.self"
_TERMS = ("c2p", "p2c")
_SWITCH = (False, True)


def _variant(path: Path, config: Mapping[str, Any], counts: Mapping[str, int]) -> Variant:
    hidden = counts["hidden"]
    sizes = {"attention_head_size": hidden // counts["heads"], "embedding_size": hidden, "pooler_hidden_size": hidden}
    check_values(path, config, {key: (size,) for key, size in sizes.items()})

    attention = _attention(path, config, counts["positions"])
    terms = attention.terms if attention else ()
    present = {
        "position": config.get("position_biased_input", True),
        "distance": attention,
        "distance_norm": attention and "layer_norm" in _words(path, config, "norm_rel_ebd"),
        # Where they are shared, distances take the weights of tokens.
        "distance_k": "c2p" in terms and not config.get("share_att_key"),
        "distance_q": "p2c" in terms and not config.get("share_att_key"),
    }
    return Variant(
        attention,
        absent=frozenset(unit for unit, there in present.items() if not there),
        distances=2 * attention.span if attention else 0,
    )


def _attention(path: Path, config: Mapping[str, Any], positions: int) -> Disentangled | None:
    terms = tuple(term for term in _TERMS if term in _words(path, config, "pos_att_type"))
    if not terms:
        return None
    # Without it the terms are left out, but scores are divided as if they were there.
    if not config.get("relative_attention"):
        refuse(path, f"pos_att_type {' and '.join(terms)} without relative_attention is not supported")

    longest, buckets = (_number(path, config, key) for key in ("max_relative_positions", "position_buckets"))
    longest = longest if longest >= 1 else positions
    half = buckets // 2
    # So that the logarithms of distances beyond half of the buckets go up to 1.
    if buckets > 0 and (half < 1 or (longest - 1 <= half < positions - 1)):
        refuse(path, f"expected 2 to {2 * longest - 4} for position_buckets, found {buckets}")
    return Disentangled(
        terms=terms,
        span=buckets if buckets > 0 else longest,
        buckets=buckets if buckets > 0 else None,
        longest=longest,
    )


def _words(path: Path, config: Mapping[str, Any], key: str) -> list[str]:
    """Return the words of a key that holds a list, or one text with bars between them."""
    found = config.get(key)
    if isinstance(found, str):
        return [word.strip() for word in found.lower().split("|")]
    if found is not None and not (isinstance(found, list) and all(isinstance(word, str) for word in found)):
        refuse(path, f"expected words for {key}, found {shown(found)}")
    return found or []


def _number(path: Path, config: Mapping[str, Any], key: str) -> int:
    value = config.get(key, -1)
    if type(value) is not int or abs(value) >= MOST:
        refuse(path, f"expected a whole number for {key}, found {shown(value)}")
    return value


FAMILY = Family(
    model_types=("deberta-v2",),
    prefixes=("DebertaV2",),
    units={
        **encoder("deberta"),
        "q": f"{_ATTENTION}.query_proj",
        "k": f"{_ATTENTION}.key_proj",
        "v": f"{_ATTENTION}.value_proj",
        "distance_k": f"{_ATTENTION}.pos_key_proj",
        "distance_q": f"{_ATTENTION}.pos_query_proj",
        "distance": "deberta.encoder.rel_embeddings",
        "distance_norm": "deberta.encoder.LayerNorm",
        "pooler": "pooler.dense",
        "classifier": "classifier",
    },
    head_activation="gelu",
    token_types=True,
    supported={
        "relative_attention": _SWITCH,
        "position_biased_input": _SWITCH,
        "share_att_key": _SWITCH,
        "conv_kernel_size": (0,),  # a convolution beside the first layer, in the largest of v2
    },
    variant=_variant,
    head_activation_key="pooler_hidden_act",
    norm_eps=1e-7,
)
