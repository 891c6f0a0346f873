"""What mutants are made from: small valid folders, one for each target. Made once, then only linked to."""

import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
from fuzz.place_edits import BAIT

# Where the tests of the exporters have random models.
sys.path.append(str(Path(__file__).parents[1] / "exporters"))

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz0123456789.,!?-")
WORDS += (*(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"), "film", "good", "bad", "the", "warm", "plot")
LABELS = ("bad", "good", "other")

_CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": len(WORDS),
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "id2label": {str(number): label for number, label in enumerate(LABELS)},
    "label2id": {label: number for number, label in enumerate(LABELS)},
}


def make_bases(workspace: Path, names: set[str]) -> None:
    """Make the folders of those names under a workspace, and the bait that nothing may open."""
    bases = workspace / "bases"
    for name in sorted(names):
        _MAKERS[name](bases / name)
    # In each worker's own folder the mutant stands beside it.
    (workspace / BAIT).write_bytes(bytes(range(256)) * 4096)


def _builtin(folder: Path) -> None:
    from edgebert.inputs.bundle import BUILTIN

    shutil.copytree(BUILTIN, folder)


def _bundle(folder: Path) -> None:
    """Make a bundle of four tiny sub-networks."""
    from edgebert.exporters.build import export

    source, data = folder.with_name("bundle-source"), folder.with_name("bundle-data.tsv")
    _checkpoint(source)
    (source / "elastic.json").unlink()
    data.write_text(_tsv(pairs=False), encoding="utf-8")
    export(source, folder, widths=(0.5, 1.0), depths=(0.5, 1.0), evaluation_data=data)


def _checkpoint(folder: Path) -> None:
    """Write a random BERT of two layers with all files that a tokenizer may have."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    save_file(_tensors(), folder / "model.safetensors", metadata={"format": "pt"})
    slices = [{"id": "half", "layers": [0], "heads": [2], "ffn": [32]}]
    elastic = {"schema_version": 1, "method": "test", "widths": [], "depths": [], "rewired": False, "origin": "a"}
    files = {
        "config.json": _CONFIG,
        "tokenizer_config.json": {"do_lower_case": True, "tokenizer_class": "BertTokenizer", "model_max_length": 64},
        "special_tokens_map.json": {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]"},
        "elastic.json": {**elastic, "subnetworks": slices},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")


def _tensors() -> dict[str, np.ndarray]:
    from edgebert.exporters.families.bert import FAMILY
    from edgebert.exporters.family import Sizes

    sizes = Sizes(2, 4, 32, 64, 32, len(WORDS), 64, 2, len(LABELS))
    generator = np.random.default_rng(7)
    return {
        theirs: (generator.normal(0, 0.15, shape) + theirs.endswith("Norm.weight")).astype(np.float32)
        for _, theirs, shape in FAMILY.tensors(sizes, (0, 1))
    }


def _tokenized(folder: Path) -> None:
    """Write the same checkpoint with a tokenizer.json."""
    import tokenizers

    _checkpoint(folder)
    words = {word: number for number, word in enumerate(WORDS)}
    made = tokenizers.BertWordPieceTokenizer(words, lowercase=True)
    (folder / "tokenizer.json").write_text(made.to_str(), encoding="utf-8")


def _torch_checkpoint(folder: Path) -> None:
    """Write the same checkpoint with its weights as torch saves them."""
    import torch

    _checkpoint(folder)
    (folder / "model.safetensors").unlink()
    torch.save({name: torch.from_numpy(array) for name, array in _tensors().items()}, folder / "pytorch_model.bin")


def _family(family: str, folder: Path) -> None:
    """Write a random classifier of another family, with a tokenizer like its own."""
    from family_checkpoints import family_checkpoint

    family_checkpoint(family, folder)


def _sentences(folder: Path) -> None:
    """Write a model of sentence-transformers with every module that it may have, prompts and vectors that are cut."""
    from sentence_models import HIDDEN, alter, dense, sentence_model
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling

    sentence_model(folder, Pooling(HIDDEN, pooling_mode="cls"), dense(24), Normalize())
    settings = {"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": "query", "truncate_dim": 16}
    alter(folder, "config_sentence_transformers.json", **settings, similarity_fn_name="cosine")


def rows() -> list[tuple[str, str, str]]:
    """Return texts, pairs and labels."""
    random = Random(5)
    words = ("film", "good", "bad", "the", "warm", "plot", "Ärger", "東京", "it's", "ok.")
    return [
        (
            " ".join(random.choices(words, k=random.randint(1, 9))),
            " ".join(random.choices(words, k=3)),
            LABELS[number % 3],
        )
        for number in range(12)
    ]


def _tsv(*, pairs: bool) -> str:
    header = "text\tpair\tlabel" if pairs else "text\tlabel"
    lines = ["\t".join(row if pairs else (row[0], row[2])) for row in rows()]
    return "".join(f"{line}\n" for line in (header, *lines))


def _data(folder: Path) -> None:
    """Write a data file of each form."""
    folder.mkdir(parents=True)
    objects = [{"text": text, "pair": pair, "label": label} for text, pair, label in rows()]
    files = {
        "rows.tsv": _tsv(pairs=False),
        "pairs.tsv": _tsv(pairs=True),
        "rows.csv": "text,label\n" + "".join(f'"{text}, ""so""",{label}\n' for text, _, label in rows()),
        "rows.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in objects),
        "rows.txt": "".join(f"{text}\n" for text, _, _ in rows()),
    }
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")


def _profile(folder: Path) -> None:
    """Write a profile of the built-in bundle."""
    from edgebert.inputs.bundle import Bundle
    from profiles import profile_with

    folder.mkdir(parents=True)
    bundle = Bundle.load()
    profile_with(bundle, *_entries()).save(folder / "profile.json")


def _entries() -> list:
    from edgebert.inputs.bundle import Bundle
    from profiles import entry

    return [
        entry(subnet.id, 10.0 - place / 2, 60.0 - place)
        for place, subnet in enumerate(Bundle.load().manifest.subnetworks)
    ]


def _cache(folder: Path) -> None:
    """Write a cache with the profile of the built-in bundle on this device and what a killed profiling leaves."""
    from fake_trials import READING

    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring import profile_cache
    from edgebert.measuring.trial import Died
    from edgebert.measuring.trial_journal import TrialJournal, TrialRecord
    from profiles import profile_with

    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    try:
        bundle = Bundle.load()
        profile = profile_with(bundle, *_entries())
        profile_cache.keep(profile, bundle, quick=False)
        journal = TrialJournal(next(folder.rglob("*.json")).with_name("one.journal.jsonl"))
        for number, subnet in enumerate(profile.subnetworks):
            journal.add(TrialRecord(number, subnet.id, subnet.way, READING, Died(reason="killed")))
    finally:
        if before is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = before


def _posted(folder: Path) -> None:
    """Write what a page posts, each under its name."""
    from page_client import posted, profile_of

    from edgebert.inputs.bundle import Bundle

    folder.mkdir(parents=True)
    contents = {"records": posted(), "problems": {"reason": "no memory is left"}, "profile": profile_of(Bundle.load())}
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def _planted(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "a.json").write_text('{"a": [1, 2]}', encoding="utf-8")


_MAKERS = {
    "builtin": _builtin,
    "posted": _posted,
    "bundle": _bundle,
    "cache": _cache,
    "checkpoint": _checkpoint,
    "data": _data,
    "planted": _planted,
    "profile": _profile,
    "sentences": _sentences,
    "tokenized": _tokenized,
    "torch": _torch_checkpoint,
    **{family: partial(_family, family) for family in ("albert", "deberta-v2", "modernbert", "mpnet")},
}
