"""XLNet (Yang et al. 2019): attention goes by how far apart tokens are, and by whether both are of one segment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert.exporters.config_file import MOST, refuse, shown
from edgebert.exporters.family import CONFIG_KEYS, ByDistance, Family, Variant

_LAYER = "transformer.layer.{layer}"
_ATTENTION = f"{_LAYER}.rel_attn"
_HEADS = ("heads", "head_size")


def _matrix(name: str, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (outputs, inputs) of a weight (hidden, heads, head size): what comes last are the outputs, but of o."""
    if tensor.ndim < 3 or not name.endswith(".weight"):
        return tensor
    flat = tensor.reshape(len(tensor), -1)
    return flat if name.endswith(".o.weight") else flat.T


def _gives_types(config: Mapping[str, Any], tokenizer_config: Mapping[str, Any]) -> bool:
    """Return whether the tokenizer gives types: as it says, else as transformers did when it saved the checkpoint.

    Since version 5 it gives XLNet none (https://github.com/huggingface/transformers/issues/48128), and a checkpoint
    that was trained so must be run so.
    """
    names = tokenizer_config.get("model_input_names")
    if isinstance(names, list):
        return "token_type_ids" in names
    major = str(config.get("transformers_version", "")).partition(".")[0]
    return not major.isdecimal() or int(major) < 5


def _variant(path: Path, config: Mapping[str, Any], counts: Mapping[str, int]) -> Variant:
    size = counts["hidden"] // counts["heads"]
    found = config.get("d_head") or size  # without a value it is what it must be
    if found != size:
        refuse(path, f"expected {size} for d_head, d_model by heads, found {shown(found)}")
    longest = config.get("clamp_len", -1)
    if type(longest) is not int or abs(longest) >= MOST:
        refuse(path, f"expected a whole number for clamp_len, found {shown(longest)}")
    return Variant(ByDistance(longest if longest > 0 else None))


FAMILY = Family(
    model_types=("xlnet",),
    prefixes=("XLNet",),
    units={
        "word": "transformer.word_embedding",
        "attention_norm": f"{_ATTENTION}.layer_norm",
        "ffn_in": f"{_LAYER}.ff.layer_1",
        "ffn_out": f"{_LAYER}.ff.layer_2",
        "ffn_norm": f"{_LAYER}.ff.layer_norm",
        "pooler": "sequence_summary.summary",
        "classifier": "logits_proj",
    },
    head_activation="tanh",
    token_types=True,
    # Its other class for answers searches for their ends by where they begin.
    suffixes={"ForQuestionAnswering": "ForQuestionAnsweringSimple"},
    sizes={
        **CONFIG_KEYS,
        "layers": "n_layer",
        "heads": "n_head",
        "hidden": "d_model",
        "ffn": "d_inner",
        "positions": 512,  # it has no table of them; this is what it was trained with
        "types": 3,  # the first text, the second, and <cls>
    },
    aliases={
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "hidden_size": "d_model",
        "n_token": "vocab_size",
    },
    # What a memory of earlier texts is like (mem_len, reuse_len) does not matter: a fine-tuned model is given none.
    supported={
        "attn_type": ("bi",),
        "bi_data": (False,),
        # Where the token of a class stands is told to none: transformers then reads the last one.
        "summary_type": ("last", "cls_index"),
        "summary_use_proj": (True,),
        "summary_proj_to_labels": (False, None),
    },
    variant=_variant,
    activation_key="ff_activation",
    head_activation_key="summary_activation",
    relative={
        **{f"{unit}.weight": (f"{_ATTENTION}.{unit}", ("hidden", *_HEADS)) for unit in "qkvor"},
        "r.content_bias": (f"{_ATTENTION}.r_w_bias", _HEADS),
        "r.position_bias": (f"{_ATTENTION}.r_r_bias", _HEADS),
        "r.segment_bias": (f"{_ATTENTION}.r_s_bias", _HEADS),
        "r.segments": (f"{_ATTENTION}.seg_embed", (2, *_HEADS)),
    },
    gives_types=_gives_types,
    padding_sides=("left",),  # its head reads the last token
    matrix=_matrix,
)
