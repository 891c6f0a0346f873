"""The toys as checkpoints, data files and elastic models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import BYTE_PAIRS, ELASTIC_FAMILIES, WORDS, byte_pairs, random_model, rows, words_then_class
from transformers import BertTokenizer

from edgebert.elastic.elastic_model import ElasticModel

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Toys are too small for several threads, which wait for each other most of the time where others work too."""
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> Make:
    """Save a random model with its tokenizer and return its folder."""

    def make(kind: str = "bert", name: str = "checkpoint", **config: Any) -> Path:
        folder = tmp_path / name
        random_model(kind, **config).save_pretrained(folder)
        if kind.startswith(BYTE_PAIRS):
            byte_pairs().save_pretrained(folder)
        elif kind.startswith("xlnet"):
            words_then_class().save_pretrained(folder)
        else:
            BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)}).save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def make_data(tmp_path: Path) -> Make:
    """Write a data file of so many rows and return its path."""

    def make(name: str, count: int, **options: Any) -> Path:
        path = tmp_path / name
        path.write_text("\n".join(rows(count, seed=len(name), **options)) + "\n")
        return path

    return make


@pytest.fixture(params=ELASTIC_FAMILIES)
def model(request: pytest.FixtureRequest) -> ElasticModel:
    return ElasticModel(random_model(request.param, num_labels=3)).eval()


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(5, 30, (4, 9), generator=torch.Generator().manual_seed(5))


@pytest.fixture
def mask() -> torch.Tensor:
    return torch.tensor([[1] * 9, [1] * 9, [1] * 6 + [0] * 3, [1] * 2 + [0] * 7])
