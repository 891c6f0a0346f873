"""Tiny random models with their tokenizers, and a task that they can learn."""

import random
import string
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    AlbertModel,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    CamembertConfig,
    CamembertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    DistilBertModel,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForSequenceClassification,
    ElectraModel,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    ModernBertModel,
    MPNetConfig,
    MPNetForSequenceClassification,
    MPNetModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLNetConfig,
    XLNetModel,
)

from edgebert.elastic.elastic_model import ElasticModel

GOOD, BAD = ["good", "warm", "fine"], ["bad", "dull", "poor"]
PLAIN = ["the", "film", "plot", "cast", "story", "ending"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase, *GOOD, *BAD, *PLAIN, "##y", "##z"]
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}
# A family's name alone is its classifier.
KINDS: dict[str, tuple[type, type]] = {
    "bert": (BertConfig, BertForSequenceClassification),
    "roberta": (RobertaConfig, RobertaForSequenceClassification),
    "xlm-roberta": (XLMRobertaConfig, XLMRobertaForSequenceClassification),
    "camembert": (CamembertConfig, CamembertForSequenceClassification),
    "distilbert": (DistilBertConfig, DistilBertForSequenceClassification),
    "electra": (ElectraConfig, ElectraForSequenceClassification),
    "mpnet": (MPNetConfig, MPNetForSequenceClassification),
    "modernbert": (ModernBertConfig, ModernBertForSequenceClassification),
    "deberta-v2": (DebertaV2Config, DebertaV2ForSequenceClassification),
    "albert": (AlbertConfig, AlbertForSequenceClassification),
    "headless": (BertConfig, BertModel),
    "distilbert-headless": (DistilBertConfig, DistilBertModel),
    "electra-headless": (ElectraConfig, ElectraModel),
    "xlnet-headless": (XLNetConfig, XLNetModel),
    "mpnet-headless": (MPNetConfig, MPNetModel),
    "modernbert-headless": (ModernBertConfig, ModernBertModel),
    "deberta-v2-headless": (DebertaV2Config, DebertaV2Model),
    "albert-headless": (AlbertConfig, AlbertModel),
    "bert-lm": (BertConfig, BertForMaskedLM),
    "roberta-lm": (RobertaConfig, RobertaForMaskedLM),
    "distilbert-lm": (DistilBertConfig, DistilBertForMaskedLM),
    "electra-lm": (ElectraConfig, ElectraForMaskedLM),
}
# Those that sub-networks can be cut from.
OLDER_FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra")
ELASTIC_FAMILIES = (*OLDER_FAMILIES, "mpnet", "modernbert", "deberta-v2", "albert")
BYTE_PAIRS = ("roberta", "xlm-roberta", "camembert", "mpnet")
# ELECTRA's embeddings are narrower than its layers, as in its smaller checkpoints.
# ModernBERT's sees all tokens in the first layer and the last, DeBERTa's is as v3.
OWN_SIZES: dict[type, dict[str, Any]] = {
    ElectraConfig: {"embedding_size": 16},
    AlbertConfig: {"embedding_size": 16},
    ModernBertConfig: {"local_attention": 4, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3},
    DebertaV2Config: {
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_buckets": 8,
    },
}
# What these families call our sizes.
NAMES: dict[type, dict[str, str]] = {
    DistilBertConfig: {
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
    },
    XLNetConfig: {
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "intermediate_size": "d_inner",
    },
}


def random_model(kind: str = "bert", auto_class: Any = None, **config: Any) -> Any:
    """Return a model whose weights are random and large enough to matter, with another head if one is given."""
    torch.manual_seed(7)
    config_type, model_type = KINDS[kind]
    special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2} if kind.startswith(BYTE_PAIRS) else {}
    size = len(byte_pairs().get_vocab()) if special else len(WORDS)
    names = NAMES.get(config_type, {})
    sizes = {names.get(name, name): n for name, n in {**SIZES, **OWN_SIZES.get(config_type, {}), **config}.items()}
    if config_type is XLNetConfig:
        del sizes["max_position_embeddings"]
    made = config_type(**{**sizes, "vocab_size": size, **special})
    model = (auto_class.from_config(made) if auto_class else model_type(made)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def byte_pairs() -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer with the shape of RoBERTa's, which knows our words and all letters."""
    words = [*GOOD, *BAD, *PLAIN]
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "\u0120", *string.ascii_lowercase]
    merges: list[tuple[str, str]] = []
    for word in words:
        merged = "\u0120"
        for letter in word:
            if (merged, letter) not in merges:
                merges.append((merged, letter))
            merged += letter
            if merged not in vocabulary:
                vocabulary.append(merged)
    inner = Tokenizer(models.BPE({token: number for number, token in enumerate(vocabulary)}, merges, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"bos": "<s>", "cls": "<s>", "pad": "<pad>", "eos": "</s>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{name}_token": token for name, token in names.items()},
    )


def words_then_class() -> PreTrainedTokenizerFast:
    """Return a tokenizer with the shape of XLNet's, which puts [CLS] last and pads on the left."""
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="$A:0 [SEP]:0 [CLS]:2",
        pair="$A:0 [SEP]:0 $B:1 [SEP]:1 [CLS]:2",
        special_tokens=[("[SEP]", WORDS.index("[SEP]")), ("[CLS]", WORDS.index("[CLS]"))],
    )
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        padding_side="left",
        pad_token_type_id=3,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{name}_token": token for name, token in names.items()},
    )


def unit_of(model: ElasticModel, layer: int, unit: str) -> Any:
    """Return the module of a layer that is a unit by the exporters' name."""
    described = model.family.described
    name = described.module(unit).removeprefix(f"{described.base}.")
    return model.network.base_model.get_submodule(name.format(layer=layer, group=layer))


# What the task's labels are where bad words, and where good ones, are in a text.
LABELS = {
    "text-classification": ("negative", "positive"),
    "text-regression": ("-1.5", "1.5"),
    "multi-label-text-classification": ("bad", "good,worth seeing"),
}


def tag_of(word: str) -> str:
    """Return the tag of a word in texts whose words are to be told apart."""
    return "B-GOOD" if word in GOOD else "B-BAD" if word in BAD else "O"


def rows(count: int, seed: int = 1, *, pairs: bool = False, task: str = "text-classification") -> list[str]:
    """Return the lines of a data file: the label says whether good or bad words are more."""
    generator, lines = random.Random(seed), ["text\tpair\tlabel" if pairs else "text\tlabel"]
    for number in range(count):
        words = generator.choices(PLAIN, k=generator.randint(1, 9))
        telling = generator.choices((BAD, GOOD)[number % 2], k=3)
        words = generator.sample(words + telling, len(words) + 3)
        label = " ".join(map(tag_of, words)) if task == "token-classification" else LABELS[task][number % 2]
        text = f"{' '.join(words)}\t{generator.choice(PLAIN)}" if pairs else " ".join(words)
        lines.append(f"{text}\t{label}")
    return lines
