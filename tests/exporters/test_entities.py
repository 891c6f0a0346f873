"""Answers of token-classification are those of transformers' `ner` pipeline, for tokenizers of every kind."""

import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import tokenizers
import torch
from random_models import SIZES, WORDS, randomise
from tokenizers import models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    BertTokenizer,
    DebertaV2Tokenizer,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
    TokenClassificationPipeline,
    XLMRobertaTokenizer,
)

import edgebert
from edgebert.elastic.texts import in_parts
from edgebert.exporters.build import export

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC", "X-Y"]
LENGTH = 24
PIECES = ["\u2581", "\u2581the", "\u2581film", "\u2581good", "\u2581bad", "s", "film", "\u2581\u00e9t", "\u00e9"]
PIECES += [*"abcdefghijklmnopqrstuvwxyz", ".", ",", "'", "\u6771", "\u2581New", "\u2581York"]


def byte_level() -> PreTrainedTokenizerFast:
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = [("\u0120", "f"), ("i", "l"), ("\u0120f", "il"), ("\u0120fil", "m"), ("o", "o")]
    words += ["".join(pair) for pair in merges]
    vocabulary = {word: number for number, word in enumerate(words)}
    return RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)


def deberta() -> PreTrainedTokenizerFast:
    """As DeBERTa's: the blank before a word is a part of it, also by its characters."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    scores = [(word, -1.0 - number / 10) for number, word in enumerate([*special, *PIECES])]
    return DebertaV2Tokenizer(vocab=scores, unk_id=special.index("[UNK]"), model_max_length=LENGTH)


def xlm_roberta() -> PreTrainedTokenizerFast:
    scores = [(word, -1.0 - number / 10) for number, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *PIECES])]
    return XLMRobertaTokenizer(vocab=[*scores, ("<mask>", 0.0)], model_max_length=LENGTH)


def plain_words() -> PreTrainedTokenizerFast:
    """Whole words, a tokenizer without a decoder."""
    inner = tokenizers.Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.normalizer, inner.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    ends = [("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))]
    inner.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, model_max_length=LENGTH, **{f"{name}_token": one for name, one in names.items()}
    )


KINDS: dict[str, tuple[str, Callable[[], PreTrainedTokenizerFast]]] = {
    "word pieces": ("bert", lambda: BertTokenizer(vocab={w: n for n, w in enumerate(WORDS)}, model_max_length=LENGTH)),
    "bytes": ("roberta", byte_level),
    "sentence pieces": ("xlm-roberta", xlm_roberta),
    "sentence pieces with blanks": ("bert", deberta),
    "whole words": ("bert", plain_words),
}
IGNORED = [["O"], [], ["O", "PER", "B-LOC"]]
PARTS = ["the", "film", "good", "bad", "New York", "films", "\u00e9t\u00e9", "na\u00efve", "\u6771\u4eac", "\U0001f600"]
PARTS += [
    "e\u0301",
    ".",
    ",",
    "don't",
    "3.5",
    "x" * 9,
    "\n",
    "  ",
    "\t",
    "\u00a0",
    "[MASK]",
    "<unk>",
    "\u0130",
    "\ufb01lm",
]


def texts(count: int) -> list[str]:
    generator = random.Random(3)
    made = (
        "".join(
            part + generator.choice(["", " ", " ", " "]) for part in generator.choices(PARTS, k=generator.randint(1, 9))
        )
        for _ in range(count)
    )
    return [text for text in made if text.strip()]


@pytest.fixture(scope="module", params=list(KINDS))
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[edgebert.Predictor, TokenClassificationPipeline]:
    """A Predictor and the pipeline of the same random checkpoint."""
    family, make = KINDS[request.param]
    folder, tokenizer = tmp_path_factory.mktemp("both"), make()
    torch.manual_seed(3)
    config = AutoConfig.for_model(
        family,
        **{**SIZES, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id},
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    model = AutoModelForTokenClassification.from_config(config).eval()
    randomise(model)
    model.save_pretrained(folder / "checkpoint")
    tokenizer.save_pretrained(folder / "checkpoint")
    bundle = export(folder / "checkpoint", folder / "bundle", precisions=["fp32"])
    return edgebert.load(bundle, threads=1), TokenClassificationPipeline(model=model, tokenizer=tokenizer)


def without_blanks(text: str, answer: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pipeline's answer with entities that begin behind blanks, and scores to be compared roughly."""
    found = []
    for one in answer:
        characters = text[one["start"] : one["end"]]
        start = one["start"] + len(characters) - len(characters.lstrip())
        found.append({**one, "start": start, "score": pytest.approx(float(one["score"]), abs=1e-4)})
    return found


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_answers_are_those_of_the_pipeline(
    both: tuple[edgebert.Predictor, TokenClassificationPipeline], strategy: str
) -> None:
    for ignored, given in zip(IGNORED, in_parts(texts(24), 8), strict=True):
        check_alike(both, given, aggregation_strategy=strategy, ignore_labels=ignored)


# A window's first blank is not a part of the word behind it to RoBERTa's tokenizer alone, which then has others win.
@pytest.mark.parametrize("both", [kind for kind in KINDS if kind != "bytes"], indirect=True)
@pytest.mark.parametrize("strategy", ["simple", "average"])
@pytest.mark.parametrize("stride", [0, 7])
def test_long_texts_are_answered_in_windows_as_by_the_pipeline(
    both: tuple[edgebert.Predictor, TokenClassificationPipeline], strategy: str, stride: int
) -> None:
    given = [" ".join(some) for some in in_parts(texts(20), 5)]
    check_alike(both, given, aggregation_strategy=strategy, stride=stride)
    check_alike(both, given[:1], aggregation_strategy=strategy)


def check_alike(both: tuple[edgebert.Predictor, TokenClassificationPipeline], given: list[str], **options: Any) -> None:
    ours, theirs = both
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of heuristics, and of pipelines that run one text after the other
        expected = [theirs(text, **options) for text in given]
    assert any(map(len, expected))
    for text, found, right in zip(given, ours(given, **options), expected, strict=True):
        # Not as one list, whose difference pytest would take minutes to show.
        assert len(found) == len(right), text
        for one, other in zip(found, without_blanks(text, right), strict=True):
            assert one == other, text


def test_calls_have_the_pipelines_forms(both: tuple[edgebert.Predictor, TokenClassificationPipeline]) -> None:
    ours, _ = both
    (only,) = ours(["the good film"])
    assert ours("the good film") == only == ours({"text": "the good film"})
    assert len(ours(iter(["the good film", "bad"]))) == 2
    assert ours([]) == []
