"""Random checkpoints, and one of them as a bundle."""

import itertools
import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from random_models import list_slices, random_bert, save, write_texts
from transformers import BertForSequenceClassification

from edgebert.cli.main import main
from edgebert.elastic_manifest import Slice
from edgebert.exporters.build import export
from edgebert.exporters.plan import PRECISIONS
from edgebert.inputs.bundle import Bundle
from edgebert.slices import dynabert_subnet

Make = Callable[..., Path]
PrintedBy = Callable[..., "pytest.CaptureResult[str]"]
# The width and the depth of a few sub-networks: each quarter of both, and two that are alike but in one of them.
SHAPES = (
    *((1.0, 1.0), (0.5, 1.0)),
    *((0.75, 0.75), (0.5, 0.75), (0.25, 0.75)),
    *((1.0, 0.5), (0.5, 0.5), (0.25, 0.5)),
    (0.25, 0.25),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-shape", action="store_true", help="sub-networks of every width and depth, not a few")


@pytest.fixture(scope="session")
def every_shape(request: pytest.FixtureRequest) -> bool:
    """Whether all products of widths and depths are asked for, as by `make families`."""
    # With a default: this file may be read after the command line.
    return bool(request.config.getoption("--every-shape", False))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Toys are too small for several threads, which wait for each other most of the time where others work too."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def model() -> BertForSequenceClassification:
    return random_bert(num_labels=3)


@pytest.fixture(scope="session")
def exported(
    model: BertForSequenceClassification, tmp_path_factory: pytest.TempPathFactory, every_shape: bool
) -> Bundle:
    """The random model as a bundle of nine sub-networks, or sixteen, in all precisions."""
    folder = tmp_path_factory.mktemp("exported")
    source, texts = save(model, folder / "checkpoint"), write_texts(folder / "texts.tsv")
    shapes = itertools.product((1.0, 0.75, 0.5, 0.25), repeat=2) if every_shape else SHAPES
    list_slices(source, *(slice_of(*shape) for shape in shapes))
    return export(source, folder / "bundle", precisions=PRECISIONS, calibration_data=texts)


def slice_of(width: float, depth: float) -> Slice:
    subnet = dynabert_subnet(Fraction(width), Fraction(depth), "fp32", layers=4, heads=4, ffn=96)
    return Slice(id=f"w{width:.2f}-d{depth:.2f}", layers=subnet.layers, heads=subnet.heads, ffn=subnet.ffn)


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> Make:
    """Save a random BERT and return its folder."""

    def make(name: str = "checkpoint", **config: Any) -> Path:
        return save(random_bert(**{"num_labels": 3, **config}), tmp_path / name)

    return make


@pytest.fixture
def printed_by(capsys: pytest.CaptureFixture[str]) -> PrintedBy:
    """Run a command in this process, which must be done, and return what it printed: `out` and `err`."""

    def run(*arguments: str) -> "pytest.CaptureResult[str]":
        capsys.readouterr()
        assert main(arguments) == 0
        return capsys.readouterr()

    return run


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
