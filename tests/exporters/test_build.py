import dataclasses
import gc
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from random_models import SIZES, save
from transformers import BertConfig, BertForSequenceClassification

from edgebert.elastic_manifest import ElasticManifest, Slice
from edgebert.engines.session import open_session
from edgebert.errors import EdgeBertError, ExportError
from edgebert.exporters import bundle_writer
from edgebert.exporters.build import export
from edgebert.exporters.checkpoint import Checkpoint
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.numerics import numerics
from edgebert.subnet import Flavor, Subnet
from profiles import way

Make = Callable[..., Path]
PrintedBy = Callable[..., "pytest.CaptureResult[str]"]
GRID = {"widths": [0.5, 1.0], "depths": [0.5, 1.0]}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_checkpoint_alone_is_exported_at_full_size(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export(checkpoint, tmp_path / "bundle")
    (subnet,) = bundle.manifest.subnetworks
    assert (subnet.id, subnet.method, subnet.width, subnet.depth) == ("full-int8", "plain", None, None)
    assert (subnet.layers, subnet.heads, subnet.ffn) == ((0, 1, 2, 3), (4,) * 4, (96,) * 4)
    assert (bundle.manifest.max_length, bundle.manifest.name) == (64, "bundle")
    assert subnet.quality is None
    assert bundle.answers() is None


def test_texts_are_cut_where_the_tokenizer_says(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (checkpoint / "tokenizer_config.json").write_text('{"model_max_length": 32, "truncation_side": "left"}')
    bundle = export(checkpoint, tmp_path / "bundle")
    assert bundle.manifest.max_length == 32
    truncation = json.loads(bundle.verified(bundle.manifest.tokenizer))["truncation"]
    assert (truncation["max_length"], truncation["direction"]) == (32, "Left")
    assert "more than the model was made for" not in caplog.text
    assert export(checkpoint, tmp_path / "bundle", max_length=40).manifest.max_length == 40
    assert "texts of up to 40 tokens are read, more than the model was made for" in caplog.text


def test_types_that_the_tokenizer_does_not_give_are_no_input(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "tokenizer_config.json").write_text('{"model_input_names": ["input_ids", "attention_mask"]}')
    manifest = export(checkpoint, tmp_path / "bundle").manifest
    assert (manifest.inputs, manifest.pairs) == (("input_ids", "attention_mask"), True)


def test_the_grid_comes_from_the_command_or_from_elastic_json(checkpoint: Path, tmp_path: Path) -> None:
    ElasticManifest(
        schema_version=1, method="dynabert", widths=(0.25, 1.0), depths=(0.5,), rewired=True, origin="x"
    ).save(checkpoint)
    ids = [s.id for s in export(checkpoint, tmp_path / "a", precisions=["fp32"]).manifest.subnetworks]
    assert ids == ["w1.00-d0.50-fp32", "w0.25-d0.50-fp32"]
    ids = [s.id for s in export(checkpoint, tmp_path / "b", **GRID, precisions=["fp32"]).manifest.subnetworks]
    assert ids == ["w1.00-d1.00-fp32", "w0.50-d1.00-fp32", "w1.00-d0.50-fp32", "w0.50-d0.50-fp32"]


def test_irregular_slices_are_exported(checkpoint: Path, tmp_path: Path) -> None:
    part = Slice(id="ticket", layers=(0, 3), heads=(3, 1), ffn=(50, 7))
    ElasticManifest(
        schema_version=1, method="early-bird", widths=(), depths=(), rewired=True, origin="x", subnetworks=(part,)
    ).save(checkpoint)
    (subnet,) = export(checkpoint, tmp_path / "bundle").manifest.subnetworks
    assert (subnet.id, subnet.method, subnet.layers, subnet.heads) == ("ticket-int8", "early-bird", (0, 3), (3, 1))


@pytest.mark.parametrize(
    "part",
    [
        Slice(id="x", layers=(0, 4), heads=(1, 1), ffn=(1, 1)),
        Slice(id="x", layers=(1, 0), heads=(1, 1), ffn=(1, 1)),
        Slice(id="x", layers=(0,), heads=(5,), ffn=(1,)),
        Slice(id="x", layers=(0,), heads=(1,), ffn=(10_000,)),
        Slice(id="x", layers=(), heads=(), ffn=()),
        Slice(id="../../x", layers=(0,), heads=(1,), ffn=(1,)),
        Slice(id="/tmp/x", layers=(0,), heads=(1,), ffn=(1,)),
    ],
)
def test_a_slice_that_the_checkpoint_has_not_is_refused(checkpoint: Path, tmp_path: Path, part: Slice) -> None:
    ElasticManifest(
        schema_version=1, method="x", widths=(), depths=(), rewired=True, origin="x", subnetworks=(part,)
    ).save(checkpoint)
    with pytest.raises(ExportError, match=r"elastic.json: .*x is no slice of Sizes"):
        export(checkpoint, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_depths_keep_the_first_layers_in_order_of_importance(checkpoint: Path, tmp_path: Path) -> None:
    order = (3, 1, 0, 2)
    elastic = ElasticManifest(
        schema_version=1, method="dynabert", widths=(1.0,), depths=(0.5,), rewired=True, origin="x", layer_order=order
    )
    elastic.save(checkpoint)
    (subnet,) = export(checkpoint, tmp_path / "bundle").manifest.subnetworks
    assert subnet.layers == (1, 3)

    replace(elastic, layer_order=(1, 1)).save(checkpoint)
    with pytest.raises(ExportError, match=r"elastic.json: expected a layer_order of the layers 0 to 3, .* \[1, 1\]"):
        export(checkpoint, tmp_path / "other")


def test_the_golden_outputs_are_given_by_the_graphs(exported: Bundle) -> None:
    for subnet in exported.manifest.subnetworks:
        for flavor in subnet.graphs:
            assert numerics(exported, subnet, open_session(exported, subnet, way(flavor=flavor))).ok


def test_networks_share_their_weights(exported: Bundle) -> None:
    """Graphs do not depend on the sizes of matrices: on a real model they are 1 % of the bytes."""
    graphs = sum(len((exported.path / s.graphs["fused"].file).read_bytes()) for s in exported.manifest.subnetworks)
    assert graphs / len(exported.manifest.subnetworks) < 20_000


def test_a_wrong_graph_ends_the_export_with_the_figure(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = bundle_writer.build_graph

    def wrong(subnet: Subnet, flavor: Flavor, source: Checkpoint, *more: object) -> bytes:
        settings = dataclasses.replace(source.settings, layer_norm_eps=0.1)
        return right(subnet, flavor, dataclasses.replace(source, settings=settings), *more)  # type: ignore[arg-type]

    monkeypatch.setattr(bundle_writer, "build_graph", wrong)
    with pytest.raises(ExportError, match=r"the graph of full-fp32 does not compute .* logits differ by 0.\d+"):
        export(checkpoint, tmp_path / "out" / "bundle", precisions=["fp32"])
    assert list((tmp_path / "out").iterdir()) == []


def test_a_new_bundle_takes_the_place_of_the_old(checkpoint: Path, tmp_path: Path) -> None:
    export(checkpoint, tmp_path / "out" / "bundle")
    second = export(checkpoint, tmp_path / "out" / "bundle", precisions=["fp32"])
    assert [subnet.precision for subnet in second.manifest.subnetworks] == ["fp32"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bundle"]
    assert not (tmp_path / "out" / "bundle" / "weights-int8.bin").exists()


def test_exports_are_reproducible(checkpoint: Path, tmp_path: Path) -> None:
    first, second = (export(checkpoint, tmp_path / out / "bundle", **GRID) for out in ("a", "b"))
    assert contents(first.path) == contents(second.path)


def test_an_error_leaves_the_old_bundle_as_it_was(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export(checkpoint, tmp_path / "out" / "bundle")
    before = contents(bundle.path)
    (tmp_path / "dev.tsv").write_text("text\tlabel\ngood\tLABEL_0\nbad\tLABEL_7\n")
    with pytest.raises(EdgeBertError, match=r"dev.tsv:3: expected a label of LABEL_0"):
        export(checkpoint, bundle.path, evaluation_data=tmp_path / "dev.tsv")
    assert contents(bundle.path) == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bundle"]


def test_ctrl_c_leaves_the_old_bundle_as_it_was(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export(checkpoint, tmp_path / "out" / "bundle")
    before = contents(bundle.path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(checkpoint, bundle.path, **GRID, on_progress=interrupt)
    assert contents(bundle.path) == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bundle"]


def test_a_full_disk_leaves_the_old_bundle_as_it_was(checkpoint: Path, tmp_path: Path) -> None:
    """Files may not grow beyond 10 kB here: what a full disk does, in a process of its own."""
    bundle = export(checkpoint, tmp_path / "out" / "bundle")
    before = contents(bundle.path)

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run(
        # -B, or it would leave modules that it is the first to import cut short in the cache of bytecode.
        [sys.executable, "-B", "-m", "edgebert", "export", str(checkpoint), "--out", str(bundle.path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=small_disk,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: cannot write weights-int8.bin: File too large; make room")
    assert contents(bundle.path) == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bundle"]


def test_what_is_no_bundle_is_never_replaced(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    for out in ("mine", "file"):
        with pytest.raises(ExportError, match=rf"{out} exists and is no bundle; choose another --out or remove it"):
            export(checkpoint, tmp_path / out)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_takes_nothing_is_named(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ExportError, match=r"cannot write to .*locked: Permission denied; choose another --out"):
        export(checkpoint, tmp_path / "locked" / "bundle")


def test_a_file_in_the_way_is_named(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"cannot write to .*file: .*; choose another --out"):
        export(checkpoint, tmp_path / "file" / "bundle")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"widths": [0.0]}, "expected a width above 0 and at most 1, found 0.0"),
        ({"depths": [1.5]}, "expected a depth above 0 and at most 1, found 1.5"),
        ({"precisions": ["int4"]}, "no precision 'int4'; choose among fp32, fp16, int8, int8-static, int8-weights"),
        ({"max_length": 65}, "expected a maximum length of 4 to 64 tokens, found 65"),
        ({"labels": ["a"]}, "expected 3 different labels, found a; give them with --labels"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    checkpoint: Path, tmp_path: Path, wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        export(checkpoint, tmp_path / "bundle", **wrong)  # type: ignore[arg-type]


def test_the_command_exports_predicts_and_inspects(checkpoint: Path, tmp_path: Path, printed_by: PrintedBy) -> None:
    (tmp_path / "dev.tsv").write_text("text\tlabel\ngood film\tgood\nbad plot\tbad\n")
    bundle = str(tmp_path / "bundle")
    options = ["--widths", "0.5,1.0", "--depths", "0.5,1.0", "--precisions", "int8,fp32", "--labels", "bad,so-so,good"]
    done = printed_by("export", str(checkpoint), "--out", bundle, *options, "--eval", str(tmp_path / "dev.tsv")).out
    assert printed_by("inspect", bundle).out == done
    assert done.count("\nw") - done.count("\nweights") == 8
    answer = printed_by("predict", "good film", "--bundle", bundle).out
    assert answer.split("\t")[0] in ("bad", "so-so", "good")
    as_json = printed_by("export", str(checkpoint), "--out", bundle, "--json")
    assert json.loads(as_json.out)["subnetworks"][0]["id"] == "full-int8"


def test_a_checkpoint_is_inspected(checkpoint: Path, printed_by: PrintedBy) -> None:
    plain = json.loads(printed_by("inspect", str(checkpoint), "--json").out)
    assert (plain["model_type"], plain["elastic"], plain["subnetworks"]) == ("bert", None, [])
    ElasticManifest(
        schema_version=1, method="dynabert", widths=(0.5, 1.0), depths=(1.0,), rewired=True, origin="x"
    ).save(checkpoint)
    elastic = json.loads(printed_by("inspect", str(checkpoint), "--json").out)
    assert [subnet["id"] for subnet in elastic["subnetworks"]] == ["w1.00-d1.00", "w0.50-d1.00"]
    assert elastic["subnetworks"][0]["parameters"] == elastic["parameters"] == plain["parameters"]
    assert "w0.50-d1.00" in printed_by("inspect", str(checkpoint)).out


def test_names_that_are_not_different_leave_the_old_bundle_as_it_was(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export(checkpoint, tmp_path / "bundle", precisions=["int8", "int8"])
    before = contents(bundle.path)
    parts = tuple(Slice(id=name, layers=(0,), heads=(1,), ffn=(1,)) for name in ("a", "A"))
    ElasticManifest(
        schema_version=1, method="x", widths=(), depths=(), rewired=True, origin="x", subnetworks=parts
    ).save(checkpoint)
    with pytest.raises(ExportError, match=r"expected sub-networks with different names, found a-int8, A-int8; give"):
        export(checkpoint, tmp_path / "bundle")
    assert contents(bundle.path) == before


def test_tensors_of_one_model_that_are_equal_may_lie_in_one_place(tmp_path: Path) -> None:
    """A model fresh from its initialisation: all biases are 0, all norms 1."""
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(**SIZES)).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.15)
    bundle = export(save(model, tmp_path / "checkpoint"), tmp_path / "bundle", precisions=["int8", "fp32"])
    for subnet in bundle.manifest.subnetworks:
        for flavor in subnet.graphs:
            assert numerics(bundle, subnet, open_session(bundle, subnet, way(flavor=flavor))).ok


def test_no_two_checkpoints_are_in_memory(make_checkpoint: Make, tmp_path: Path) -> None:
    first, second = make_checkpoint("first"), make_checkpoint("second")
    part = Slice(id="small", layers=(1,), heads=(1,), ffn=(1,))
    ElasticManifest(
        schema_version=1, method="x", widths=(), depths=(), rewired=True, origin="x", subnetworks=(part,)
    ).save(second)
    held = []

    def count(*_: object) -> None:
        gc.collect()
        held.append(sum(type(one) is Checkpoint and bool(one.tensors) for one in gc.get_objects()))

    export([first, second], tmp_path / "bundle", on_progress=count)
    assert held == [1, 1]
