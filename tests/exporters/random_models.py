"""Tiny random classifiers of every family with a tokenizer, as checkpoint folders."""

import json
import random
import string
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertTokenizer,
    PreTrainedModel,
)

from edgebert.elastic_manifest import ElasticManifest, Slice

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase, *string.punctuation, *string.digits]
WORDS += [f"##{letter}" for letter in string.ascii_lowercase] + ["film", "good", "bad", "the", "warm", "plot"]
SIZES = {
    "vocab_size": len(WORDS) + 3,
    "hidden_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 64,
}
# What families call these sizes; None where they have none.
OWN_NAMES: dict[str, dict[str, str | None]] = {
    "distilbert": {
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
    },
    "xlnet": {
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "intermediate_size": "d_inner",
        "max_position_embeddings": None,
    },
}


def random_bert(**config: Any) -> BertForSequenceClassification:
    """Return a classifier whose weights, biases and norms are all random, and large enough to matter."""
    torch.manual_seed(7)
    model = BertForSequenceClassification(BertConfig(**{**SIZES, **config})).eval()
    randomise(model)
    return model


def random_classifier(
    family: str, head: type[Any] = AutoModelForSequenceClassification, **config: Any
) -> PreTrainedModel:
    """Return a model of a family whose weights, biases and norms are all random, and large enough to matter."""
    torch.manual_seed(7)
    names = OWN_NAMES.get(family, {})
    sizes = {
        names.get(key, key): value for key, value in {**SIZES, "num_labels": 3, "pad_token_id": 1, **config}.items()
    }
    sizes.pop(None, None)
    model = head.from_config(AutoConfig.for_model(family, **sizes)).eval()
    randomise(model)
    return model


def randomise(model: PreTrainedModel) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            base = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            parameter.copy_(base + torch.randn_like(parameter) * (0.15 if parameter.ndim > 1 else 0.1))


def save(model: PreTrainedModel, folder: Path) -> Path:
    """Save a model with a vocab.txt and return its folder."""
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS))
    family = model.config.model_type
    if family not in ("bert", "electra"):
        # BERT's words for every family; most are not told the types of tokens.
        tokenizer = "BertTokenizer" if family in ("albert", "deberta-v2") else "DistilBertTokenizer"
        settings = {"tokenizer_class": tokenizer, "padding_side": "left" if family == "xlnet" else "right"}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if family == "modernbert":
        # It has no class of its own, and so no files but this one.
        DistilBertTokenizer.from_pretrained(folder).backend_tokenizer.save(str(folder / "tokenizer.json"))
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def list_slices(folder: Path, *parts: Slice) -> Path:
    """Write an elastic.json that lists these sub-networks, and return the folder."""
    ElasticManifest.of_slices("dynabert", "x", parts).save(folder)
    return folder


def write_texts(path: Path) -> Path:
    """Write a data file of random pairs to calibrate on."""
    generator = random.Random(0)
    words = [word for word in WORDS if not word.startswith(("[", "##"))]
    rows = [[" ".join(generator.choices(words, k=generator.randint(1, 20))) for _ in range(2)] for _ in range(24)]
    path.write_text("text\tpair\tlabel\n" + "".join(f"{text}\t{pair}\t0\n" for text, pair in rows))
    return path
