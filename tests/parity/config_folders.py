"""Checkpoint folders whose config.json and weights say what they may: a tiny random model each, by a seed.

Each change of a folder says what must become of it: "same", the logits of transformers; "refused"; "either"; or "ours",
where transformers does not load what is well defined all the same.
"""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from random_models import OWN_NAMES, randomise
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.activations import ACT2FN

Outcome = Literal["same", "ours", "either", "refused"]  # of two, the later one counts

FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "xlnet")
FAMILIES += ("mpnet", "modernbert", "deberta-v2", "albert")
# Their forward passes are BERT's but for positions and heads.
LIKE_BERT = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "albert")
POSITIONS_BY_PADDING = ("roberta", "xlm-roberta", "camembert")
WITH_TYPES = (*LIKE_BERT, "deberta-v2")
VOCABULARY = 40
_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
}
_ACTIVATION_KEYS = {"distilbert": "activation", "xlnet": "ff_activation", "modernbert": "hidden_activation"}
_BASES = {
    **{"xlnet": "transformer", "distilbert": "distilbert", "bert": "bert", "electra": "electra", "mpnet": "mpnet"},
    **{"modernbert": "model", "deberta-v2": "deberta", "albert": "albert"},
}
# Those with weights of their own.
_WITH_WEIGHTS = ("prelu", "xielu")
# torch stores infinity as the largest number of this type.
_NO_INFINITY = torch.float8_e4m3fn


@dataclass
class Case:
    """A folder in the making: what stands in its files, the labels that are given for it, and what has been changed."""

    family: str
    generator: random.Random
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    labels: tuple[str, ...] | None = None
    dtype: torch.dtype = torch.float32
    outcome: Outcome = "same"
    changes: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    is_of_another_task: bool = False

    def set(self, key: str, values: Mapping[Any, Outcome] | list[tuple[Any, Outcome]]) -> None:
        """Set a key of the configuration to one of some values, each with what becomes of it, but none twice."""
        if key in self.keys:
            return
        self.keys.add(key)
        pairs = list(values.items()) if isinstance(values, Mapping) else values
        value, outcome = self.generator.choice(pairs)
        self.config[key] = value
        self.note(f"{key}={json.dumps(value)[:40]}", outcome)

    def note(self, change: str, outcome: Outcome) -> None:
        """Remember a change and what becomes of it."""
        order: tuple[Outcome, ...] = ("same", "ours", "either", "refused")
        self.outcome = max(self.outcome, outcome, key=order.index)
        self.changes.append(change)


def write_folder(seed: int, folder: Path) -> Case:
    """Write the checkpoint of a seed and return what it is."""
    generator = random.Random(seed)
    case = _plain(generator.choice(FAMILIES), generator, seed)
    for change in generator.sample(_CHANGES, generator.choice((1, 1, 2, 3))):
        change(case)
    # Its head may have other tensors, and leave alone those that were changed.
    if case.is_of_another_task:
        case.outcome = "either"
    _write_weights(case, folder)
    (folder / "config.json").write_text(json.dumps(case.config))
    return case


def _plain(family: str, generator: random.Random, seed: int) -> Case:
    names, labels = OWN_NAMES.get(family, {}), generator.choice((1, 2, 3, 5))
    sizes: dict[str, Any] = {names.get(key, key): value for key, value in _SIZES.items()}
    sizes.pop(None, None)
    sizes |= {"num_labels": labels, "pad_token_id": generator.choice((0, 1, 1, 3))}
    if family in WITH_TYPES:
        sizes["type_vocab_size"] = generator.choice((1, 2, 2, 3))
    if family in ("electra", "albert"):
        sizes["embedding_size"] = generator.choice((8, 16))
    if family in _VARIANTS:
        sizes |= _VARIANTS[family](generator)

    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(family, **sizes))
    randomise(model)
    config = json.loads(model.config.to_json_string(use_diff=False)) | {"architectures": [type(model).__name__]}
    return Case(family, generator, config, {name: tensor.clone() for name, tensor in model.state_dict().items()})


def _modernbert(generator: random.Random) -> dict[str, Any]:
    """Return one of the models that ModernBERT's configuration can mean, in its words of now or of before."""
    choose = generator.choice
    found: dict[str, Any] = {
        key: choose((True, False)) for key in ("norm_bias", "attention_bias", "mlp_bias", "classifier_bias")
    }
    found |= {"classifier_pooling": choose(("cls", "mean")), "local_attention": choose((1, 4, 5, 128))}
    if choose((True, False)):
        found["layer_types"] = [choose(("full_attention", "sliding_attention")) for _ in range(2)]
    else:
        found["global_attn_every_n_layers"] = choose((1, 2, 3))
    if choose((True, False)):
        found |= {"global_rope_theta": choose((300.0, 160000.0)), "local_rope_theta": choose((20.0, 10000))}
    else:
        found["rope_parameters"] = {"full_attention": {"rope_type": "default", "rope_theta": choose((50.0, 1e5))}}
    return found | {"classifier_activation": choose(("gelu", "relu", "tanh"))}


def _deberta(generator: random.Random) -> dict[str, Any]:
    """Return one of the models that DeBERTa's configuration can mean."""
    choose = generator.choice
    terms = choose((None, [], ["c2p"], ["p2c"], ["c2p", "p2c"], "c2p|p2c", "P2C | c2p", "p2p|c2p"))
    return {
        "pos_att_type": terms,
        "relative_attention": bool(terms) or choose((True, False)),
        "share_att_key": choose((True, False)),
        "position_buckets": choose((-1, 0, 6, 16, 64)),
        "max_relative_positions": choose((-1, 12, 20, 64)),
        "position_biased_input": choose((True, False)),
        "norm_rel_ebd": choose(("none", "layer_norm", "Layer_Norm|x")),
        "type_vocab_size": choose((0, 0, 2)),
        "pooler_hidden_act": choose(("gelu", "tanh", "relu")),
    }


def _albert(generator: random.Random) -> dict[str, Any]:
    layers = generator.choice((1, 2, 3, 5))
    return {"num_hidden_layers": layers, "num_hidden_groups": generator.choice((1, 1, 2, 3))}


_VARIANTS = {"modernbert": _modernbert, "deberta-v2": _deberta, "albert": _albert}


_UNUSUAL: dict[str, dict[str, tuple[Any, ...]]] = {
    "mpnet": {"relative_attention_num_buckets": (16, 31, 33, None)},
    "modernbert": {
        "classifier_pooling": ("max", None, 3),
        "layer_types": (["full_attention"], "full_attention", [1, 2], {}, ["full_attention", "attention"]),
        "global_attn_every_n_layers": (0, -1, 1.5, None),
        "local_attention": (0, -1, 2.5, "4", None, True),
        "sliding_window": (0, -2, 2.5, "4", None),
        "norm_bias": ("yes", None, 3),
        "rope_parameters": ({"full_attention": {"rope_type": "linear", "factor": 2.0}}, {"rope_theta": 3.0}, [1], "x"),
        "local_rope_theta": (0, -1.0, "1", None),
        "head_dim": (3, 8, None),
        "num_attention_heads": (16,),
    },
    "deberta-v2": {
        "conv_kernel_size": (3, None),
        "attention_head_size": (3, 16),
        "embedding_size": (8, 17),
        "pooler_hidden_size": (8, None),
        "relative_attention": (False, None, 1),
        "pos_att_type": (5, [5], {"c2p": 1}, "", "c2p,p2c"),
        "share_att_key": ("yes", None, 3),
        "norm_rel_ebd": (5, {}, None, ["layer_norm"]),
        "position_buckets": ("16", 1.5, True, 1, 2, 3, None),
        "max_relative_positions": ("16", 1.5, 0, 1, 4, None),
        "position_biased_input": (None, 1),
    },
    "albert": {
        "inner_group_num": (2, None, 0),
        "num_hidden_groups": (0, None, "1", 7),
        "embedding_size": (7, None),
    },
}


def _activation(case: Case) -> None:
    known: list[tuple[Any, Outcome]] = [(name, "same") for name in ACT2FN if name not in _WITH_WEIGHTS]
    case.set(_ACTIVATION_KEYS.get(case.family, "hidden_act"), known)


def _unknown_activation(case: Case) -> None:
    bad: list[tuple[Any, Outcome]] = [(value, "refused") for value in (*_WITH_WEIGHTS, "guess", None, 5, ["gelu"])]
    case.set(_ACTIVATION_KEYS.get(case.family, "hidden_act"), bad)


def _layer_norm(case: Case) -> None:
    bad: Outcome = "either" if case.family == "distilbert" else "refused"
    values: list[tuple[Any, Outcome]] = [(value, "same") for value in (1e-5, 1e-3, 0.1, 1.0, 3.5)]
    values += [(value, bad) for value in ("1e-5", None, True, -1.0, float("inf"), float("nan"), 10**400)]
    case.set("norm_eps" if case.family == "modernbert" else "layer_norm_eps", values)


def _decoder(case: Case) -> None:
    matters: Outcome = "refused" if case.family in LIKE_BERT else "same"
    key = case.generator.choice(("is_decoder", "add_cross_attention"))
    case.set(key, [(True, matters), (False, "same")])


def _positions(case: Case) -> None:
    matters: Outcome = "refused" if case.family in LIKE_BERT else "same"
    values: list[tuple[Any, Outcome]] = [("relative_key", matters), ("relative_key_query", matters)]
    case.set("position_embedding_type", [*values, ("absolute", "same"), (None, "same")])


def _padding(case: Case) -> None:
    if case.family in POSITIONS_BY_PADDING:
        bad: list[tuple[Any, Outcome]] = [(value, "refused") for value in (None, 19, 39, -2, 1e9, "1", True)]
        case.set("pad_token_id", [(0, "same"), (2, "same"), (-1, "same"), (10, "same"), *bad])
    else:
        case.set("pad_token_id", [(0, "same"), (39, "same"), (-1, "same"), (None, "same"), (10**6, "either")])


def _ignored(case: Case) -> None:
    """Change what transformers reads and does not use for the logits of a text."""
    key, value = case.generator.choice(
        (
            ("chunk_size_feed_forward", 1),
            ("classifier_dropout", 0.4),
            ("hidden_dropout_prob", 0.0),
            ("tie_word_embeddings", False),
            ("use_cache", False),
            ("return_dict", False),
            ("output_hidden_states", True),
            ("is_encoder_decoder", True),
            ("sinusoidal_pos_embds", True),
            ("same_length", True),
            ("mem_len", 3),
            ("reuse_len", 2),
            ("use_mems_eval", True),
            ("untie_r", False),
            ("initializer_range", 0.5),
            ("head_dim", 3),
            ("pruned_heads", {}),
            ("rope_scaling", {"type": "linear", "factor": 2.0}),
            ("rope_theta", 10.0),
            ("attention_bias", False),
            ("sliding_window", 2),
            ("layer_norm_epsilon", 0.3),
            ("torch_dtype", "float16"),
            ("dtype", "bfloat16"),
            ("label2id", {"x": 0, "y": 7}),
            ("tokenizer_class", "BertTokenizer"),
            ("finetuning_task", 5),
            ("auto_map", {"AutoModel": "x--y.Z"}),
            ("quantization_config", None),
            ("per_layer_config", None),
            ("gradient_checkpointing", True),
            ("problem_type", None),
        )
    )
    if key in case.keys:
        return
    case.config[key] = value
    if key == "rope_theta":
        case.config["rope_scaling"] = None
    matters = case.family == "modernbert" and key in ("head_dim", "rope_scaling")
    case.note(f"{key}={value}", "refused" if matters else "same")


def _unusual(case: Case) -> None:
    """Set a key that the family alone reads to what is not supported, or to what it cannot be."""
    if case.family in _UNUSUAL:
        key = case.generator.choice(list(_UNUSUAL[case.family]))
        case.set(key, [(value, "either") for value in _UNUSUAL[case.family][key]])


def _foreign(case: Case) -> None:
    """Ask for what changes how weights are read, or how single layers compute."""
    name = case.generator.choice(("per_layer_config", "quantization_config", "transformers_weights"))
    values: dict[str, Any] = {
        "per_layer_config": {"1": {"layer_norm_eps": 0.5, "intermediate_size": 8}},
        "quantization_config": {"quant_method": "fp8"},
        "transformers_weights": "other.safetensors",
    }
    case.config[name] = values[name]
    case.note(name, "refused")


def _summary(case: Case) -> None:
    """Change what stands between the last layer and the classifier, which XLNet's configuration alone can."""
    key = case.generator.choice(("summary_type", "summary_activation", "summary_use_proj", "summary_last_dropout"))
    bad: Outcome = "refused" if case.family == "xlnet" else "same"
    if key == "summary_activation":
        values: list[tuple[Any, Outcome]] = [(name, "same") for name in ("tanh", "gelu", "relu", "", "gelu_new")]
    elif key == "summary_type":
        values = [("last", "same"), ("cls_index", "same"), ("first", bad), ("mean", bad)]
    elif key == "summary_use_proj":
        values = [(True, "same"), (False, bad)]
    else:
        values = [(0.3, "same")]
    case.set(key, values)


def _distances(case: Case) -> None:
    """Change what XLNet's attention goes by."""
    bad: Outcome = "refused" if case.family == "xlnet" else "same"
    key = case.generator.choice(("clamp_len", "clamp_len", "attn_type", "bi_data", "d_head"))
    if key == "clamp_len":
        case.set(key, [(number, "same") for number in (-1, 0, 1, 3, 100)])
    else:
        case.set(
            key, {"attn_type": {"bi": "same", "uni": bad}, "bi_data": {False: "same", True: bad}}.get(key, {7: bad})
        )


def _labels(case: Case) -> None:
    """Name the labels, in this way or that."""
    count = len(case.config["id2label"])
    names = [f"name {number}" for number in range(count)]
    form = case.generator.choice(("named", "list", "ints", "missing", "one more", "from 1", "given"))
    given: dict[str, Any] = {
        "named": {str(number): name for number, name in enumerate(names)},
        "list": names,
        "ints": {str(number): number for number in range(count)},
        "one more": {str(number): f"name {number}" for number in range(count + 1)},
        "from 1": {str(number + 1): name for number, name in enumerate(names)},
        "given": case.generator.choice(([], [None], {"x": 1}, 5, {"0": None})),
    }
    case.config.pop("id2label")
    if form in given:
        case.config["id2label"] = given[form]
    else:
        case.config["num_labels"] = count
    if form == "given":
        case.labels = tuple(names)
    outcome: Outcome = {"named": "same", "missing": "same", "one more": "refused", "from 1": "refused"}.get(
        form, "ours"
    )
    case.note(f"labels {form}", outcome)


def _number(case: Case) -> None:
    """Set a size to what is none, or not the model's."""
    sizes = [OWN_NAMES.get(case.family, {}).get(key, key) for key in _SIZES]
    key = case.generator.choice([size for size in sizes if size])
    bad = (None, True, "16", 0, -3, 16.0, 10**12, 10**300, float("inf"), [16], {}, 7)
    case.set(key, [(value, "refused") for value in bad])


def _other_model(case: Case) -> None:
    """Be a model of another kind, or for another task."""
    prefix = case.config["architectures"][0].removesuffix("ForSequenceClassification")
    if case.generator.random() < 0.5:
        suffix = case.generator.choice(("ForTokenClassification", "ForQuestionAnswering", "ForMaskedLM", "Model"))
        case.config["architectures"] = [prefix + suffix]
        case.is_of_another_task = suffix in ("ForTokenClassification", "ForQuestionAnswering")
        case.note(suffix, "refused")
    else:
        case.set("model_type", [(value, "refused") for value in ("t5", "gpt2", "deberta", "BERT", 5, None, [])])


def _alias(case: Case) -> None:
    """Give a key under the name that other families have for it, which transformers reads too."""
    if case.family not in ("distilbert", "xlnet"):
        return
    own = OWN_NAMES[case.family]
    key = case.generator.choice(("hidden_size", "num_hidden_layers", "num_attention_heads"))
    if str(own[key]) in case.keys:
        return
    case.keys.add(str(own[key]))
    case.config[key] = case.config[str(own[key])]
    if key == "num_attention_heads":
        case.config[key] = 4
    if key == "num_hidden_layers":
        case.config[key] = 1
    if case.generator.random() < 0.5 and not (key == "num_attention_heads" and case.family == "xlnet"):
        case.config.pop(str(own[key]), None)
    outcome: Outcome = "refused" if key == "num_attention_heads" and case.family == "xlnet" else "same"
    case.note(f"{key}={case.config[key]}", outcome)


def _fewer_layers(case: Case) -> None:
    key = OWN_NAMES.get(case.family, {}).get("num_hidden_layers") or "num_hidden_layers"
    # ModernBERT's names the kind of each layer.
    case.set(key, {1: "refused" if "layer_types" in case.config else "same"})


def _base(case: Case) -> str:
    return _BASES.get(case.family, "roberta")


def _rename(case: Case) -> None:
    """Name tensors as other savers do."""
    base = f"{_base(case)}."
    forms: dict[str, tuple[Callable[[str], str], Outcome]] = {
        "without the base": (lambda name: name.removeprefix(base), "same"),
        "all in the base": (lambda name: base + name.removeprefix(base), "same"),
        "gamma": (lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma"), "same"),
        "beta": (lambda name: name.replace("LayerNorm.bias", "LayerNorm.beta"), "same"),
        "module.": (lambda name: f"module.{name}", "refused"),
        "model.": (lambda name: f"model.{name}", "refused"),
        "_orig_mod.": (lambda name: f"_orig_mod.{name}", "refused"),
    }
    form = case.generator.choice(list(forms))
    rename, outcome = forms[form]
    renamed = {rename(name): tensor for name, tensor in case.tensors.items()}
    if len(renamed) == len(case.tensors):  # else a tensor that is there twice would be one
        case.tensors = renamed
        case.note(f"names {form}", outcome)


def _used(case: Case) -> str:
    """Return the name of a tensor that the logits depend on."""
    unused = ["mask_emb", ".1.", "layer_groups.2.", "lm_head", "position_ids"]
    if not case.config.get("relative_attention"):
        unused.append("encoder.LayerNorm")  # DeBERTa's, of distances
    return case.generator.choice([name for name in case.tensors if not any(part in name for part in unused)])


def _damage(case: Case) -> None:
    """Lose a tensor, or what it holds."""
    name = _used(case)
    form = case.generator.choice(("missing", "nan", "infinite", "longer", "ints", "twice"))
    tensor = case.tensors.pop(name)
    if form == "infinite" and case.dtype == _NO_INFINITY:
        form = "nan"
    if form in ("nan", "infinite"):
        case.tensors[name] = tensor.clone()
        case.tensors[name].view(-1)[-1] = float(form[:3])
    elif form == "longer":
        case.tensors[name] = torch.cat([tensor, tensor])
    elif form == "ints":
        case.tensors[name] = tensor.to(torch.int8)
    elif form == "twice":
        case.tensors[name] = tensor
        base = f"{_base(case)}."
        case.tensors[name.removeprefix(base) if name.startswith(base) else base + name] = tensor + 1
    # Bort's has no table of types, and its texts have one type.
    is_types = form == "missing" and "token_type_embeddings" in name and case.config["type_vocab_size"] == 1
    case.note(f"{name} {form}", "either" if is_types else "refused")


def _more(case: Case) -> None:
    """Add tensors that no model reads."""
    case.tensors["lm_head.dense.weight"] = torch.randn(3, 3)
    case.tensors[f"{_base(case)}.embeddings.position_ids"] = torch.arange(20)[None]
    case.note("more tensors", "same")


def _store(case: Case) -> None:
    """Store numbers in another type."""
    types = (torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2)
    case.dtype = case.generator.choice(types)
    if case.dtype == _NO_INFINITY and any(change.endswith(" infinite") for change in case.changes):
        case.dtype = torch.float8_e5m2
    case.note(str(case.dtype), "same")


_CHANGES: tuple[Callable[[Case], None], ...] = (
    *(_activation, _unknown_activation, _layer_norm, _decoder, _positions, _padding, _ignored, _foreign, _summary),
    _unusual,
    *(_distances, _labels, _number, _other_model, _alias, _fewer_layers, _rename, _damage, _more, _store),
)


def _write_weights(case: Case, folder: Path) -> None:
    """Write the tensors in one of the forms that transformers reads, beside others that it then does not."""
    form = case.generator.choice(("safetensors", "safetensors", "shards", "bin", "bin shards"))
    others = {name: torch.zeros_like(tensor) for name, tensor in case.tensors.items()}
    case.tensors = {
        name: tensor.to(case.dtype) if tensor.is_floating_point() else tensor for name, tensor in case.tensors.items()
    }
    ending, save = ("bin", torch.save) if form.startswith("bin") else ("safetensors", save_file)
    stem = "pytorch_model" if ending == "bin" else "model"
    if form.endswith("shards"):
        parts: list[dict[str, Tensor]] = [{}, {}]
        for number, (name, tensor) in enumerate(case.tensors.items()):
            parts[number % 2][name] = tensor
        where = {name: f"{stem}-{n}.{ending}" for n, part in enumerate(parts) for name in part}
        for n, part in enumerate(parts):
            save(part, folder / f"{stem}-{n}.{ending}")
        index = {"metadata": {}, "weight_map": where}
        (folder / f"{stem}.{ending}.index.json").write_text(json.dumps(index))
    else:
        save(case.tensors, folder / f"{stem}.{ending}")
        if ending == "safetensors" and case.generator.random() < 0.3:
            (folder / "model.safetensors.index.json").write_text("{}")
    if ending == "safetensors" and case.generator.random() < 0.3:
        torch.save(others, folder / "pytorch_model.bin")
    case.changes.append(form)
