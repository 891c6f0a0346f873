"""config.json: what decides a forward pass is read as transformers reads it, or refused by its name."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgebert.errors import ExportError
from edgebert.exporters.checkpoint_config import Architecture, read_architecture

BERT = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
}
DISTILBERT = {
    "model_type": "distilbert",
    "vocab_size": 40,
    "dim": 16,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dim": 24,
    "max_position_embeddings": 20,
}


def read(folder: Path, **config: Any) -> Architecture:
    (folder / "config.json").write_text(json.dumps(config))
    return read_architecture(folder)


def test_what_is_not_said_is_as_transformers_has_it(tmp_path: Path) -> None:
    settings = read(tmp_path, **BERT).settings
    assert (settings.activation, settings.head_activation, settings.layer_norm_eps) == ("gelu", "tanh", 1e-12)
    assert (settings.first_position, settings.padding, settings.attention) == (0, None, None)


@pytest.mark.parametrize(("padding", "expected"), [({}, (2, 1)), ({"pad_token_id": 0}, (1, 0))])
def test_robertas_positions_begin_behind_paddings(
    tmp_path: Path, padding: dict[str, int], expected: tuple[int, int]
) -> None:
    settings = read(tmp_path, **BERT, model_type="roberta", **padding).settings
    assert (settings.first_position, settings.padding) == expected


def test_distilberts_norms_have_their_own_epsilon_and_its_keys_other_names(tmp_path: Path) -> None:
    found = read(tmp_path, **DISTILBERT, layer_norm_eps=0.5, num_attention_heads=4, is_decoder=True)
    assert (found.settings.layer_norm_eps, found.counts["heads"]) == (1e-12, 4)


def test_an_adapter_beside_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ExportError, match=r"an adapter \(adapter_config.json\) is not supported; merge it into the"):
        read(tmp_path, **BERT)


@pytest.mark.parametrize("key", ["is_decoder", "add_cross_attention"])
def test_decoders_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ExportError, match=f"config.json: {key} true is not supported; expected false or nothing"):
        read(tmp_path, **BERT, **{key: True})
