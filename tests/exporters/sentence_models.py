"""Tiny random models that embed texts, as folders that sentence-transformers itself has written."""

import json
from pathlib import Path
from typing import Any

import torch
from random_models import random_classifier, randomise, save
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

HIDDEN = 48


def sentence_model(folder: Path, *modules: torch.nn.Module, family: str = "bert", **config: Any) -> SentenceTransformer:
    """Save a random network with these modules behind it, the mean of its tokens by default, and return it as read."""
    source = save(random_classifier(family, **config).base_model, folder.with_name(f"{folder.name}-network"))
    alter(source, "tokenizer_config.json", pad_token="[PAD]")  # which not every family's has of itself
    network = Transformer(str(source), max_seq_length=40)
    model = SentenceTransformer(modules=[network, *(modules or (Pooling(HIDDEN), Normalize()))], device="cpu")
    for module in modules:
        randomise(module)
    model.save(str(folder), create_model_card=False)
    return SentenceTransformer(str(folder), device="cpu")


def dense(outputs: int, inputs: int = HIDDEN, **options: Any) -> Dense:
    return Dense(inputs, outputs, **options)


def alter(folder: Path, name: str, **values: Any) -> None:
    """Change values of a JSON file of a folder, or make it."""
    path = folder / name
    before = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**before, **values}))
