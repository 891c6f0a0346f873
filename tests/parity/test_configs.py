"""A graph's logits are those of transformers' model, for whatever config.json and the weights of a checkpoint say."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from config_folders import POSITIONS_BY_PADDING, VOCABULARY, Case, write_folder
from oracle import padded_left
from seeded import find_differences
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)
from transformers.utils import logging

from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import Checkpoint
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.exporters.graph import build_graph
from edgebert.exporters.plan import full_subnet
from edgebert.exporters.weights import WeightWriter, prepared
from edgebert.inputs.manifest import GraphInput
from edgebert.inputs.tokenization import Arrays
from edgebert.subnet import Flavor
from edgebert.tasks.question_answering import QuestionAnswering
from edgebert.tasks.task import Outputs, Task
from edgebert.tasks.token_classification import TokenClassification

pytestmark = pytest.mark.full
SHARE = 25
LENGTHS = np.array([2, 9, 16])
MOST_CHARACTERS = 600
FLAVORS: tuple[Flavor, ...] = ("fused", "portable")
# What loads a model of a task; those of all others have the same head.
LOADERS: dict[type[Task], Any] = {
    QuestionAnswering: AutoModelForQuestionAnswering,
    TokenClassification: AutoModelForTokenClassification,
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep what transformers says of many models to itself."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    yield
    logging.set_verbosity(verbosity)
    logging.enable_progress_bar()


def model_of(folder: Path, task: Task) -> PreTrainedModel | str:
    """Return transformers' model for a task, or why there is none that is well defined."""
    loader = LOADERS.get(type(task), AutoModelForSequenceClassification)
    try:
        with warnings.catch_warnings(action="ignore"):
            model, report = loader.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"[:200]
    return f"random: {sorted(report['missing_keys'])[0]}" if report["missing_keys"] else model


def inputs_of(case: Case, source: Checkpoint, seed: int) -> Arrays:
    """Return a padded batch (batch, length), which has in its texts what tokens there are, padding too."""
    generator = np.random.default_rng(seed)
    lengths = np.minimum(LENGTHS, source.max_length)
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    ids, padding = generator.integers(0, VOCABULARY, mask.shape), case.config.get("pad_token_id")
    if case.family in POSITIONS_BY_PADDING and isinstance(padding, int):
        ids[generator.random(mask.shape) < 0.2] = max(padding, 0)
        ids = np.where(mask, ids, max(padding, 0))
    inputs = {"input_ids": ids, "attention_mask": mask}
    if source.token_types:
        inputs["token_type_ids"] = generator.integers(0, source.sizes.types, mask.shape) * mask
    return inputs


def ours(source: Checkpoint, inputs: Arrays, folder: Path, flavor: Flavor) -> Outputs:
    names: tuple[GraphInput, ...] = tuple(inputs)  # type: ignore[arg-type]
    tensors = prepared(source, int(LENGTHS.max()), token_types=source.token_types)
    weights = WeightWriter(folder, "fp32").add(tensors)
    graph = build_graph(full_subnet(source, "fp32"), flavor, source, names, weights, {})
    (folder / f"{flavor}.onnx").write_bytes(graph)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / f"{flavor}.onnx", options, providers=["CPUExecutionProvider"])
    wanted = list(source.task.OUTPUTS)
    found = dict(zip(wanted, map(np.asarray, session.run(wanted, inputs)), strict=True))
    return source.task.without_padding(found, inputs["attention_mask"])


def theirs(model: PreTrainedModel, source: Checkpoint, inputs: Arrays) -> Outputs:
    given = padded_left(inputs) if model.config.model_type == "xlnet" else inputs
    # Only how they are returned; without it, some of transformers' models fail.
    model.config.return_dict = True
    with torch.inference_mode(), warnings.catch_warnings(action="ignore"):
        found = model(**{name: torch.from_numpy(array) for name, array in given.items()}, return_dict=True)
    outputs = {name: found[name].numpy() for name in source.task.OUTPUTS}
    return source.task.without_padding(outputs, inputs["attention_mask"])


def compare(seed: int, folder: Path) -> str | None:
    case = write_folder(seed, folder)
    what = f"{case.family}, {', '.join(case.changes)}"
    try:
        source = read_checkpoint(folder, case.labels)
    except ExportError as problem:
        message = str(problem).replace(str(folder), "")
        if "\n" in message or len(message) > MOST_CHARACTERS:
            return f"{what}: {len(message)} characters in {message[:200]!r}"
        return None if case.outcome in ("either", "refused") else f"{what}: refused without need: {message}"
    except Exception as problem:
        return f"{what}: {type(problem).__name__} {problem}"
    if case.outcome == "refused":
        return f"{what}: expected a refusal"

    model = model_of(folder, source.task)
    if isinstance(model, str):
        return None if case.outcome in ("ours", "either") else f"{what}: transformers loads nothing: {model}"
    inputs = inputs_of(case, source, seed)
    expected = theirs(model, source, inputs)
    largest = max(np.abs(values).max() for values in expected.values())
    for flavor in FLAVORS:
        found = ours(source, inputs, folder, flavor)
        difference = max(np.abs(found[name] - values).max() for name, values in expected.items())
        if not difference <= 1e-4 * max(1, largest):
            return f"{what}: {flavor} differs by {difference:.2g} of {largest:.2g}"
    return None


def test_logits_are_those_of_transformers(seeds: range, tmp_path: Path) -> None:
    # Of so small a model several threads would only wait for each other.
    torch.set_num_threads(1)
    assert find_differences(seeds, compare, tmp_path) == {}
