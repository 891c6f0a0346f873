"""Checkpoints of well-known shapes with random weights: every bias is there and no unit is like another.

Weights are drawn so that attention is sharp and the classifier's logits are about 1, as in a trained model; with the
small weights that transformers starts from, a dropped head would hardly be seen.
"""

import shutil
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification
from transformers.utils import logging

# What differs from BERT-base: 12 layers of 12 heads, 768 hidden, 3072 FFN neurons, 30522 tokens, 512 positions.
SHAPES = {
    "MiniLM-L6": {"num_hidden_layers": 6, "hidden_size": 384, "intermediate_size": 1536},
    "BERT-base": {},
}


def write(shape: str, vocabulary: Path, out: Path, seed: int = 0) -> None:
    """Write a checkpoint of a shape with a copy of a vocab.txt into a folder."""
    logging.disable_progress_bar()
    torch.manual_seed(seed)
    model = BertForSequenceClassification(BertConfig(**SHAPES[shape]))
    for module in model.modules():
        _randomise(module)
    model.save_pretrained(out)
    shutil.copy(vocabulary, out / "vocab.txt")


def _randomise(module: torch.nn.Module) -> None:
    """Draw a module's own weights anew; what goes in with a variance of 1 comes out with about that."""
    if isinstance(module, torch.nn.Linear):
        torch.nn.init.normal_(module.weight, std=module.in_features**-0.5)
        torch.nn.init.normal_(module.bias, std=0.2)
    elif isinstance(module, torch.nn.LayerNorm):
        torch.nn.init.normal_(module.weight, mean=1.0, std=0.2)
        torch.nn.init.normal_(module.bias, std=0.2)
    elif isinstance(module, torch.nn.Embedding):
        torch.nn.init.normal_(module.weight)
