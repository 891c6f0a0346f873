import json
import pickle
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification

from edgebert.errors import ExportError
from edgebert.exporters.checkpoint import Checkpoint, parameters_of
from edgebert.exporters.checkpoint_reader import read_checkpoint
from edgebert.slices import dynabert_subnet

Make = Callable[..., Path]

AlterConfig = Callable[..., Path]


def test_tensors_labels_and_sizes_are_read(make_checkpoint: Make) -> None:
    path = make_checkpoint(id2label={0: "bad", 1: "so-so", 2: "good"})
    found = read_checkpoint(path)
    assert found.task.labels == ("bad", "so-so", "good")
    assert (found.sizes.layers, found.sizes.heads, found.sizes.head_size, found.sizes.labels) == (4, 4, 12, 3)
    stored = load_file(path / "model.safetensors")
    np.testing.assert_array_equal(
        found.tensors["2.ffn_in.weight"], stored["bert.encoder.layer.2.intermediate.dense.weight"]
    )


def test_dynaberts_published_form_is_read(checkpoint: Path, alter_config: AlterConfig) -> None:
    """pytorch_model.bin, an old config without model_type and labels, buffers, and TensorFlow's names of norms."""
    expected = read_checkpoint(checkpoint)
    state = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in load_file(checkpoint / "model.safetensors").items()
    }
    state["bert.embeddings.position_ids"] = torch.arange(64)[None]
    torch.save(state, checkpoint / "pytorch_model.bin")
    (checkpoint / "model.safetensors").unlink()
    alter_config(
        model_type=None, architectures=None, id2label=None, label2id=None, problem_type=None, output_intermediate=True
    )
    found = read_checkpoint(checkpoint)
    assert found.task.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    for name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], tensor)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_half_precision_is_read(checkpoint: Path, dtype: torch.dtype) -> None:
    state = {name: tensor.to(dtype) for name, tensor in load_file(checkpoint / "model.safetensors").items()}
    save_file(state, checkpoint / "model.safetensors", metadata={"format": "pt"})
    found = read_checkpoint(checkpoint).tensors["classifier.weight"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, state["classifier.weight"].float())


def test_a_pickle_is_not_executed(checkpoint: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "executed",))

    (checkpoint / "model.safetensors").unlink()
    (checkpoint / "pytorch_model.bin").write_bytes(pickle.dumps({"classifier.weight": Evil()}))
    with pytest.raises(ExportError, match=r"pytorch_model.bin cannot be read: .*; download the checkpoint again"):
        read_checkpoint(checkpoint)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2' is not supported; expected one of bert, roberta, xlm-roberta, "),
        ({"hidden_act": "prelu"}, "hidden_act 'prelu' is not supported; expected one of gelu, gelu_python, gelu_new, "),
        ({"is_decoder": True}, "config.json: is_decoder true is not supported; expected false or nothing, use another"),
        ({"quantization_config": {"bits": 4}}, r'quantization_config {"bits": 4} is not supported; expected nothing'),
        ({"per_layer_config": {"0": {"hidden_act": "relu"}}}, "per_layer_config .* is not supported"),
        (
            {"architectures": ["BertForCausalLM"]},
            r'text generation is not supported \(\["BertForCausalLM"\]\); expected',
        ),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key' is not supported"),
        (
            {"architectures": ["BertModel"]},
            "expected a BertForSequenceClassification or .*, found .*BertModel.*; fine-tune it",
        ),
        ({"problem_type": "guessing"}, "unknown problem_type 'guessing'; choose one of single_label"),
        ({"num_attention_heads": 5}, "expected hidden_size to be a multiple of the heads"),
        ({"num_hidden_layers": True}, "expected a whole number above 0 for num_hidden_layers, found true"),
        ({"num_attention_heads": "4"}, "expected a whole number above 0 for num_attention_heads, found '4'"),
        ({"num_hidden_layers": 10**9}, "expected a whole number above 0 for num_hidden_layers, found 1000000000;"),
        ({"num_hidden_layers": 10**6}, "expected at most 1000 for num_hidden_layers, found 1000000"),
        (
            {"hidden_size": 10**400},
            r"above 0 for hidden_size, found 1000000000000000000000000000000000000000\.\.\.; down",
        ),
        ({"layer_norm_eps": "x"}, "expected a layer_norm_eps of 0 or more, found 'x'"),
        ({"layer_norm_eps": 10**400}, r"expected a layer_norm_eps of 0 or more, found 10+\.\.\.;"),
        ({"id2label": [None, "b", "c"]}, "expected names for id2label; give them with --labels"),
        ({"id2label": {"1": "a", "2": "b", "3": "c"}}, "for the labels 0 to 2 in id2label, found 3, none for 0; give"),
        ({"architectures": 5}, "expected a BertForSequenceClassification or .*, found 5"),
        ({"problem_type": []}, r"unknown problem_type \[\]; choose one of"),
        ({"hidden_size": None}, "expected a whole number above 0 for hidden_size, found nothing"),
        (
            {"intermediate_size": 64},
            r"expected tensor bert.encoder.layer.0.intermediate.dense.weight of shape \(64, 48\), ",
        ),
        ({"num_hidden_layers": 5}, r"tensor bert.encoder.layer.4.attention.self.query.weight \(48, 48\) is missing"),
    ],
)
def test_what_cannot_be_exported_is_named(alter_config: AlterConfig, values: dict[str, object], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        read_checkpoint(alter_config(**values))


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (["bad", "so-so", "good"], ("bad", "so-so", "good")),
        ({"2": "good", "0": "bad", "1": "so-so"}, ("bad", "so-so", "good")),
        ({"0": 0, "1": 1, "2": 2}, ("0", "1", "2")),
        ({}, ("LABEL_0", "LABEL_1", "LABEL_2")),
    ],
)
def test_names_of_labels_have_several_forms(
    alter_config: AlterConfig, named: object, expected: tuple[str, ...]
) -> None:
    assert read_checkpoint(alter_config(id2label=named)).task.labels == expected


@pytest.mark.parametrize("named", [5, [None], {"x": "a"}, {"0": {}}])
def test_given_labels_replace_those_that_cannot_be_read(alter_config: AlterConfig, named: object) -> None:
    assert read_checkpoint(alter_config(id2label=named), ("a", "b", "c")).task.labels == ("a", "b", "c")


@pytest.mark.parametrize("label", ["a\nb", "\x1b[2J", "\u2028", "\ud800"])
def test_labels_with_control_characters_are_refused(checkpoint: Path, label: str) -> None:
    with pytest.raises(ExportError, match="expected labels without line breaks and control characters, found '"):
        read_checkpoint(checkpoint, ("a", "b", label))


def test_the_weights_are_read_that_transformers_reads(checkpoint: Path) -> None:
    """An index of several files goes before a pytorch_model.bin, and model.safetensors before both."""
    state = load_file(checkpoint / "model.safetensors")
    expected = read_checkpoint(checkpoint).tensors
    names = list(state)
    places = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(names)}
    for place in set(places.values()):
        save_file({name: state[name] for name in names if places[name] == place}, checkpoint / place)
    index = checkpoint / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    torch.save({name: torch.zeros_like(tensor) for name, tensor in state.items()}, checkpoint / "pytorch_model.bin")
    (checkpoint / "model.safetensors").unlink()
    for name, tensor in read_checkpoint(checkpoint).tensors.items():
        np.testing.assert_array_equal(tensor, expected[name])

    for wrong in ("../part-0.safetensors", "none", 5, {}):
        index.write_text(json.dumps({"weight_map": {"x": wrong}}))
        with pytest.raises(
            ExportError, match=r"index.json: expected the names of files beside it in weight_map, found"
        ):
            read_checkpoint(checkpoint)


def test_tensors_under_other_names_are_found_or_named(checkpoint: Path) -> None:
    state, expected = load_file(checkpoint / "model.safetensors"), read_checkpoint(checkpoint).tensors
    save_file({name.removeprefix("bert."): tensor for name, tensor in state.items()}, checkpoint / "model.safetensors")
    for name, tensor in read_checkpoint(checkpoint).tensors.items():
        np.testing.assert_array_equal(tensor, expected[name])

    twice = {**state, "pooler.dense.bias": state["bert.pooler.dense.bias"] + 1}
    save_file(twice, checkpoint / "model.safetensors")
    with pytest.raises(ExportError, match=r"tensors .* are the same one of the model; keep one of them"):
        read_checkpoint(checkpoint)
    save_file({f"module.{name}": tensor for name, tensor in state.items()}, checkpoint / "model.safetensors")
    with pytest.raises(
        ExportError, match=r"found none; there is module.classifier.weight, which transformers does not read"
    ):
        read_checkpoint(checkpoint)


def test_labels_must_fit(checkpoint: Path) -> None:
    assert read_checkpoint(checkpoint, ("a", "b", "c")).task.labels == ("a", "b", "c")
    for labels in (("a", "b"), ("a", "b", "b")):
        with pytest.raises(ExportError, match=r"expected 3 different labels, found a, b.*; give them with --labels"):
            read_checkpoint(checkpoint, labels)


def test_a_truncated_file_is_named(checkpoint: Path) -> None:
    content = (checkpoint / "model.safetensors").read_bytes()
    (checkpoint / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ExportError, match=r"model.safetensors cannot be read: .*; download the checkpoint again"):
        read_checkpoint(checkpoint)


def test_undefined_numbers_are_named(checkpoint: Path) -> None:
    state = load_file(checkpoint / "model.safetensors")
    state["bert.pooler.dense.bias"][3] = float("nan")
    save_file(state, checkpoint / "model.safetensors")
    with pytest.raises(ExportError, match=r"tensor bert.pooler.dense.bias holds infinite or undefined numbers"):
        read_checkpoint(checkpoint)


def test_missing_files_are_named(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot read .*config.json: No such file or directory; give the folder"):
        read_checkpoint(tmp_path / "none")
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(ExportError, match=r"expected model.safetensors or pytorch_model.bin, found neither"):
        read_checkpoint(checkpoint)
    (checkpoint / "config.json").write_text("{")
    with pytest.raises(ExportError, match=r"config.json is not JSON: .*; download the checkpoint again"):
        read_checkpoint(checkpoint)


def test_a_model_without_its_head_is_named(checkpoint: Path) -> None:
    state = load_file(checkpoint / "model.safetensors")
    save_file({k: v for k, v in state.items() if "classifier" not in k}, checkpoint / "model.safetensors")
    with pytest.raises(
        ExportError, match=r"expected a tensor classifier.weight \(labels, hidden\), found none; fine-tune"
    ):
        read_checkpoint(checkpoint)


def test_the_twelve_networks_of_bert_base_have_their_published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """DynaBERT, table of parameters: millions for widths 1, 0.75, 0.5 and 0.25."""
    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig(num_labels=2))
    empty = {name: np.broadcast_to(np.float32(0), tensor.shape) for name, tensor in model.state_dict().items()}
    monkeypatch.setattr("edgebert.exporters.checkpoint_reader.read_tensors", lambda _: empty)
    monkeypatch.setattr(
        "edgebert.exporters.checkpoint_config.read_config", lambda _: json.loads(model.config.to_json_string())
    )
    source: Checkpoint = read_checkpoint(Path("bert-base"))
    published = {"1.0": (109.5, 88.2, 67.0, 45.7), "0.75": (88.2, 72.3, 56.4, 40.4), "0.5": (67.0, 56.3, 45.7, 35.1)}
    for depth, millions in published.items():
        for width, expected in zip(("1.0", "0.75", "0.5", "0.25"), millions, strict=True):
            subnet = dynabert_subnet(Fraction(width), Fraction(depth), "fp32", layers=12, heads=12, ffn=3072)
            assert parameters_of(subnet, source) / 1e6 == pytest.approx(expected, abs=0.06)
