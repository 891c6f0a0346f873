"""What stands behind a network in a sentence-transformers folder is read, or refused by its name."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgebert.errors import ExportError
from edgebert.exporters.sentence_folder import is_sentence_folder, read_sentence_folder
from edgebert.exporters.sentence_layers import Dense, Normalize, SentenceLayers

OLD = "sentence_transformers.models"
MODULES = [("Transformer", ""), ("Pooling", "1_Pooling")]
POOLING = {"word_embedding_dimension": 8}
DENSE = {"in_features": 8, "out_features": 4, "activation_function": "torch.nn.modules.activation.ReLU"}


def folder(path: Path, stack: list[tuple[str, str]], **files: dict[str, Any]) -> Path:
    """Write a folder as older versions of sentence-transformers did; names of files have two lines for a slash."""
    entries = [
        {"idx": n, "name": str(n), "path": where, "type": f"{OLD}.{kind}"} for n, (kind, where) in enumerate(stack)
    ]
    for name, content in {"modules": entries, "1_Pooling__config": POOLING, **files}.items():
        file = path / f"{name.replace('__', '/')}.json"
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(json.dumps(content))
    return path


def test_a_folder_is_read_as_it_was_written_by_older_versions(tmp_path: Path) -> None:
    modules = [*MODULES, ("Dense", "2_Dense"), ("Normalize", "3_Normalize")]
    settings = {"prompts": {"query": "find: ", "x": None}, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    path = folder(
        tmp_path,
        modules,
        **{"1_Pooling__config": {**POOLING, "pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True}},
        **{"2_Dense__config": {**DENSE, "in_features": 16, "bias": False}},
        sentence_roberta_config={"max_seq_length": 128, "do_lower_case": True},
        config_sentence_transformers={**settings, "truncate_dim": 3},
    )
    assert is_sentence_folder(path)
    found = read_sentence_folder(path, 8)
    assert found == SentenceLayers(
        poolings=("max", "mean"),
        steps=(Dense("2_Dense", 16, 4, False, "relu"), Normalize()),
        dims=(3,),
        max_length=128,
        lowers=True,
        similarity="dot",
        prompts={"query": "find: ", "document": "", "x": ""},
        default_prompt="query",
    )
    assert (found.size(8), found.is_normalized) == (4, True)


def test_without_settings_it_is_the_mean_compared_by_cosine(tmp_path: Path) -> None:
    assert read_sentence_folder(folder(tmp_path, MODULES), 8) == SentenceLayers()


def test_only_folders_of_models_that_embed_are_read_so(tmp_path: Path) -> None:
    assert not is_sentence_folder(tmp_path)
    assert not is_sentence_folder(
        folder(tmp_path, MODULES, config_sentence_transformers={"model_type": "CrossEncoder"})
    )


@pytest.mark.parametrize(
    ("modules", "files", "message"),
    [
        (
            [("Transformer", "0_T")],
            {},
            r"modules.json: expected the Transformer in the folder itself, found Transformer in",
        ),
        (
            [("WordEmbeddings", "")],
            {},
            "in the folder itself, found WordEmbeddings; load it with sentence-transformers",
        ),
        (MODULES[:1], {}, "expected Pooling behind the Transformer, found nothing; add it"),
        (
            [*MODULES, ("LSTM", "2")],
            {},
            "module 'LSTM' is not supported; expected Transformer, Pooling, Dense and Norm",
        ),
        ([*MODULES, ("Dense", "../x")], {}, r"module 'sentence_transformers.models.Dense' in '../x' is not supported"),
        (MODULES, {"modules": {}}, "expected a list of modules with type and path; download it again"),
        (MODULES, {"modules": [{"type": "my.Module", "path": ""}]}, "module 'my.Module' in '' is not supported"),
        (
            MODULES,
            {"1_Pooling__config": {"embedding_dimension": 9}},
            "expected 8 for embedding_dimension, as the network",
        ),
        (
            MODULES,
            {"1_Pooling__config": {**POOLING, "pooling_mode": "min"}},
            "expected poolings of cls, max, mean, mean_",
        ),
        (MODULES, {"1_Pooling__config": {**POOLING, "include_prompt": False}}, "include_prompt false is not supported"),
        (MODULES, {"sentence_bert_config": {"transformer_task": "fill-mask"}}, "transformer_task 'fill-mask' is not"),
        (
            MODULES,
            {"sentence_bert_config": {"max_seq_length": 0}},
            "expected a whole number above 0 for max_seq_length",
        ),
        (
            MODULES,
            {"config_sentence_transformers": {"prompts": []}},
            "expected texts by their names for prompts, found",
        ),
        (
            MODULES,
            {"config_sentence_transformers": {"default_prompt_name": "x"}},
            "expected a default_prompt_name of q",
        ),
        (
            MODULES,
            {"config_sentence_transformers": {"truncate_dim": 9}},
            "expected a truncate_dim of at most 8, found 9",
        ),
        (MODULES, {"config_sentence_transformers": {"truncate_dim": "9"}}, "above 0 for truncate_dim, found '9'; corr"),
    ],
)
def test_what_is_not_computed_is_refused(
    modules: list[tuple[str, str]], files: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=message):
        read_sentence_folder(folder(tmp_path, modules, **files), 8)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"use_residual": True}, "use_residual true is not supported; expected false"),
        ({"module_input_name": "token_embeddings"}, "module_input_name 'token_embeddings' is not supported"),
        ({"activation_function": "my.Own"}, "activation_function 'my.Own' is not supported; expected one of torch.nn"),
        ({"in_features": 7}, "expected 8 for in_features, found 7; correct it"),
        ({"out_features": None}, "expected a whole number above 0 for out_features"),
    ],
)
def test_a_dense_layer_that_is_not_computed_is_refused(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = folder(tmp_path, [*MODULES, ("Dense", "2_Dense")], **{"2_Dense__config": {**DENSE, **values}})
    with pytest.raises(ExportError, match=message):
        read_sentence_folder(path, 8)


def test_a_pooling_must_say_what_it_is(tmp_path: Path) -> None:
    path = folder(tmp_path, MODULES)
    (path / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ExportError, match=r"cannot read .*1_Pooling/config.json: No such file"):
        read_sentence_folder(path, 8)
