"""Several checkpoints of one bundle: what they must have in common, and what is said if they have not."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertTokenizer

from edgebert.elastic_manifest import ElasticManifest, Slice
from edgebert.errors import ExportError
from edgebert.exporters.build import export
from edgebert.exporters.summary import describe, read_summaries

Make = Callable[..., Path]


def write_elastic(checkpoint: Path, method: str, *slices: Slice, layers: tuple[int, ...] = ()) -> Path:
    ElasticManifest(
        schema_version=1,
        method=method,
        widths=(0.5, 1.0) if method == "dynabert" else (),
        depths=(0.5, 1.0) if method == "dynabert" else (),
        rewired=True,
        origin="x",
        subnetworks=slices,
        layers=layers,
    ).save(checkpoint)
    return checkpoint


def ids_of(paths: list[Path], **options: list[float]) -> list[str]:
    summaries = read_summaries(paths, None, None, options.get("widths"), options.get("depths"), ["fp32"])
    return [subnet.id for summary in summaries for subnet in summary.subnets]


def test_a_layer_keeps_the_number_that_it_had_in_the_larger_model(make_checkpoint: Make, tmp_path: Path) -> None:
    part = Slice(id="drop-bottom-2", layers=(2, 5), heads=(4, 4), ffn=(96, 96))
    path = write_elastic(make_checkpoint(num_hidden_layers=2), "layer-drop", part, layers=(2, 5))
    (subnet,) = export(path, tmp_path / "bundle").manifest.subnetworks
    assert (subnet.id, subnet.layers) == ("drop-bottom-2-int8", (2, 5))
    write_elastic(path, "dynabert", layers=(2, 5))
    grid = export(path, tmp_path / "bundle").manifest.subnetworks
    assert {one.id: one.layers for one in grid} == {
        "w1.00-d1.00-int8": (2, 5),
        "w0.50-d1.00-int8": (2, 5),
        "w1.00-d0.50-int8": (2,),
        "w0.50-d0.50-int8": (2,),
    }
    assert grid[0].parameters == subnet.parameters


@pytest.mark.parametrize("layers", [(0, 1, 2), (0, 1, 2, 3, 4), (0, 2, 1, 3), (0, 1, 1, 2)])
def test_numbers_that_do_not_fit_the_layers_are_refused(checkpoint: Path, layers: tuple[int, ...]) -> None:
    write_elastic(checkpoint, "layer-drop", layers=layers)
    message = f"elastic.json: expected the numbers of 4 layers, from 0 up in their order, found {list(layers)}; make"
    with pytest.raises(ExportError, match=re.escape(message)):
        ids_of([checkpoint])


def test_a_slice_of_a_layer_that_was_left_out_is_refused(checkpoint: Path) -> None:
    part = Slice(id="x", layers=(3, 4), heads=(4, 4), ffn=(96, 96))
    write_elastic(checkpoint, "layer-drop", part, layers=(0, 1, 4, 5))
    with pytest.raises(ExportError, match=r"x is no slice of Sizes\(.*\) with the layers \[0, 1, 4, 5\]; make the"):
        ids_of([checkpoint])


def test_widths_and_depths_are_for_checkpoints_without_slices(make_checkpoint: Make) -> None:
    part = Slice(id="ticket", layers=(0, 3), heads=(3, 1), ffn=(50, 7))
    plain, ticket = make_checkpoint("plain"), write_elastic(make_checkpoint("ticket"), "early-bird", part)
    assert ids_of([plain, ticket]) == ["full-fp32", "ticket-fp32"]
    found = ids_of([ticket, plain], widths=[0.5], depths=[0.5, 1.0])
    assert found == ["ticket-fp32", "w0.50-d1.00-fp32", "w0.50-d0.50-fp32"]
    with pytest.raises(ExportError, match=r"cut a grid, but .*ticket has slices in elastic.json; leave them out"):
        ids_of([ticket], widths=[0.5])
    with pytest.raises(ExportError, match="cut a grid, but all of these checkpoints have slices"):
        ids_of([ticket, ticket], depths=[0.5])


def test_two_sub_networks_of_one_name_are_refused(make_checkpoint: Make, tmp_path: Path) -> None:
    first, second = make_checkpoint("first"), make_checkpoint("second", num_hidden_layers=2)
    message = r"first and .*second both have a sub-network full-int8; export one of them alone, or give its"
    with pytest.raises(ExportError, match=message):
        export([first, second], tmp_path / "bundle")
    write_elastic(first, "a", Slice(id="Ticket", layers=(0,), heads=(1,), ffn=(1,)))
    write_elastic(second, "b", Slice(id="ticket", layers=(1,), heads=(1,), ffn=(1,)))
    with pytest.raises(ExportError, match=r"first and .*second both have a sub-network ticket-int8"):
        export([first, second], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float32])
def test_a_checkpoint_is_described_whatever_its_numbers_are(checkpoint: Path, dtype: torch.dtype) -> None:
    state = {name: tensor.to(dtype) for name, tensor in load_file(checkpoint / "model.safetensors").items()}
    save_file(state, checkpoint / "model.safetensors")
    facts = describe(checkpoint)
    assert facts["parameters"] == sum(tensor.numel() for tensor in state.values())
    assert facts["export_problem"] is None


def test_why_a_checkpoint_cannot_be_exported_is_told(checkpoint: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    for values, reason in (
        ({"model_type": "t5"}, "model_type 't5' is not supported"),
        ({"architectures": ["BertForMultipleChoice"]}, "multiple choice is not supported"),
    ):
        (checkpoint / "config.json").write_text(json.dumps({**config, **values}))
        assert reason in describe(checkpoint)["export_problem"]
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "vocab.txt").unlink()
    assert "expected tokenizer.json" in describe(checkpoint)["export_problem"]


def test_none_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="expected at least one checkpoint, found none"):
        export([], tmp_path / "bundle")


def test_another_task_is_refused(make_checkpoint: Make) -> None:
    first = make_checkpoint("first")
    second = make_checkpoint("second", problem_type="multi_label_classification")
    message = r"second: expected the task of .*first, text-classification, found multi-label-text-classification"
    with pytest.raises(ExportError, match=message):
        ids_of([first, second])


def test_other_labels_are_refused_and_names_for_all_put_them_right(make_checkpoint: Make, tmp_path: Path) -> None:
    first, second = make_checkpoint("first"), make_checkpoint("second")
    write_elastic(second, "b", Slice(id="small", layers=(1,), heads=(1,), ffn=(1,)))
    config = json.loads((second / "config.json").read_text())
    config["id2label"] = {"0": "LABEL_1", "1": "LABEL_0", "2": "LABEL_2"}
    (second / "config.json").write_text(json.dumps(config))
    message = r"second: expected the labels of .*first in their order, LABEL_0, .*, found LABEL_1, LABEL_0, LABEL_2; if"
    with pytest.raises(ExportError, match=message):
        ids_of([first, second])
    bundle = export([first, second], tmp_path / "bundle", labels=["a", "b", "c"])
    assert bundle.manifest.labels == ("a", "b", "c")


def test_the_shortest_model_limits_the_length(make_checkpoint: Make, tmp_path: Path) -> None:
    first, second = make_checkpoint("first"), make_checkpoint("second", max_position_embeddings=32)
    write_elastic(second, "b", Slice(id="small", layers=(1,), heads=(1,), ffn=(1,)))
    assert export([first, second], tmp_path / "bundle").manifest.max_length == 32
    with pytest.raises(ExportError, match=r"of 4 to 32 tokens, found 64; .*second has positions for no more than 32"):
        export([first, second], tmp_path / "bundle", max_length=64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("film\n", "play\n"), r"found 'play' for token \d+ where that has 'film'"),
        (("film\n", ""), r"found 'good' for token \d+ where that has 'film'"),
        (None, "found normalizer.lowercase false where that has true; export it alone"),
    ],
)
def test_another_tokenizer_is_refused(make_checkpoint: Make, change: tuple[str, str] | None, message: str) -> None:
    first, second = make_checkpoint("first"), make_checkpoint("second")
    if change:
        (second / "vocab.txt").write_text((second / "vocab.txt").read_text().replace(*change))
    else:
        (second / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    with pytest.raises(ExportError, match=rf"second: expected the tokenizer of .*first, {message}"):
        ids_of([first, second])


def test_one_tokenizer_may_be_written_in_two_ways(make_checkpoint: Make) -> None:
    first, second = make_checkpoint("first"), make_checkpoint("second")
    BertTokenizer.from_pretrained(second).save_pretrained(second)
    assert (second / "tokenizer.json").is_file()
    write_elastic(second, "b", Slice(id="small", layers=(1,), heads=(1,), ffn=(1,)))
    assert ids_of([first, second]) == ["full-fp32", "small-fp32"]
    content = json.loads((second / "tokenizer.json").read_text())
    content["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[MASK]", 4]}
    (second / "tokenizer.json").write_text(json.dumps(content))
    # Of this class transformers takes what tokenizer.json says; of BERT's own it makes the post-processor anew.
    (second / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(ExportError, match=r"found \[MASK\] a \[SEP\] for a where that has \[CLS\] a \[SEP\]"):
        ids_of([first, second])
