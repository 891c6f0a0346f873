"""Random checkpoints, and one of them as a bundle."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from random_models import random_bert, save, write_texts
from transformers import BertForSequenceClassification

from edgebert.exporters.build import export
from edgebert.exporters.plan import PRECISIONS
from edgebert.inputs.bundle import Bundle

Make = Callable[..., Path]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Toys are too small for several threads, which wait for each other most of the time where others work too."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def model() -> BertForSequenceClassification:
    return random_bert(num_labels=3)


@pytest.fixture(scope="session")
def exported(model: BertForSequenceClassification, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The random model as a bundle of sixteen sub-networks in all precisions."""
    folder = tmp_path_factory.mktemp("exported")
    grid = (0.25, 0.5, 0.75, 1.0)
    source, texts = save(model, folder / "checkpoint"), write_texts(folder / "texts.tsv")
    return export(source, folder / "bundle", widths=grid, depths=grid, precisions=PRECISIONS, calibration_data=texts)


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> Make:
    """Save a random BERT and return its folder."""

    def make(name: str = "checkpoint", **config: Any) -> Path:
        return save(random_bert(**{"num_labels": 3, **config}), tmp_path / name)

    return make


@pytest.fixture
def checkpoint(make_checkpoint: Make) -> Path:
    return make_checkpoint()


@pytest.fixture
def alter_config(checkpoint: Path) -> Callable[..., Path]:
    """Change or, with None, remove values of the checkpoint's config.json."""

    def alter(**values: Any) -> Path:
        config = {**json.loads((checkpoint / "config.json").read_text()), **values}
        kept = {key: value for key, value in config.items() if value is not None}
        (checkpoint / "config.json").write_text(json.dumps(kept))
        return checkpoint

    return alter
