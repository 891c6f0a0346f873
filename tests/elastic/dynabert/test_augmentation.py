from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from edgebert.elastic.dynabert.augmentation import CANDIDATES, Augmenter, augmented
from edgebert.elastic.stage import TrainingSettings
from edgebert.errors import TrainingError

Make = Callable[..., Path]
CPU, SETTINGS = torch.device("cpu"), TrainingSettings(seed=1, batch_size=8, accumulate=1, max_length=30, compute="fp32")
TEXT = "the good film, the dull plot - xyz!"


@pytest.fixture(params=["bert-lm", "roberta-lm", "distilbert-lm", "electra-lm"])
def augmenter(request: pytest.FixtureRequest, make_checkpoint: Make) -> Augmenter:
    return Augmenter(make_checkpoint(request.param), CPU, SETTINGS)


def test_variants_replace_words_by_words_and_leave_the_rest(augmenter: Augmenter) -> None:
    variants = augmenter.variants(TEXT, 50)
    assert len(set(variants)) > 10
    for variant in variants:
        words = variant.replace(",", "").replace("-", "").replace("!", "").split()
        assert len(words) == 7
        assert all(word.isalpha() for word in words)
        assert variant.endswith(" xyz!")
        assert (variant.count(","), variant.count(" - ")) == (1, 1)


def test_what_is_put_in_is_what_the_model_finds_most_probable(make_checkpoint: Make) -> None:
    checkpoint = make_checkpoint("bert-lm")
    found = Augmenter(checkpoint, CPU, SETTINGS).variants("film", 400)
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
    with torch.no_grad():
        logits = model(**tokenizer("[MASK]", return_tensors="pt")).logits[0, 1]
    best = tokenizer.convert_ids_to_tokens(logits.argsort(descending=True)[: 2 * CANDIDATES].tolist())
    expected = [word for word in best if word.isalpha() and word != "film"][:CANDIDATES]
    assert set(found) - {"film"} == set(expected)


def test_two_of_five_words_are_replaced(augmenter: Augmenter) -> None:
    changed = [
        old != new
        for variant in augmenter.variants(TEXT, 300)
        for old, new in zip(TEXT.split()[:6], variant.split()[:6], strict=True)
        if old != "-"
    ]
    assert sum(changed) / len(changed) == pytest.approx(0.4, abs=0.06)


def test_variants_depend_on_the_text_alone(augmenter: Augmenter) -> None:
    first = augmenter.variants(TEXT, 3)
    augmenter.variants("the warm story", 3)
    assert augmenter.variants(TEXT, 3) == first


def test_variants_are_computed_once_and_gone_on_with(augmenter: Augmenter, tmp_path: Path) -> None:
    texts, cache, told = ["the good film", ("the plot", "dull cast")], tmp_path / "augmented.jsonl", []
    whole = augmented(texts, 2, lambda: augmenter, cache, lambda done, of: told.append((done, of)))
    assert [type(one) for one in whole] == [str, str, tuple, tuple]
    assert told == [(1, 2), (2, 2)]

    def never() -> Augmenter:
        raise AssertionError("loaded again")

    assert augmented(texts, 2, never, cache, lambda *_: None) == whole
    content = cache.read_bytes()
    cache.write_bytes(content[:-5])  # killed in the middle of a line
    assert augmented(texts, 2, lambda: augmenter, cache, lambda *_: None) == whole
    assert cache.read_bytes() == content


def test_a_damaged_cache_is_named(tmp_path: Path) -> None:
    cache = tmp_path / "augmented.jsonl"
    cache.write_text('{"not": "variants"}\n')
    with pytest.raises(TrainingError, match=r"augmented.jsonl is damaged: .*; remove it"):
        augmented(["a"], 1, lambda: pytest.fail("loaded"), cache, lambda *_: None)


@pytest.mark.parametrize("kind", ["deberta-v2", "xlnet"])
def test_a_family_whose_masked_lm_head_is_unknown_is_refused(make_checkpoint: Make, kind: str) -> None:
    expected = (
        rf"masked language models of {kind} are not supported; expected one of bert, .*, name one with --augment-m"
    )
    with pytest.raises(TrainingError, match=expected):
        Augmenter(make_checkpoint(f"{kind}-headless"), CPU, SETTINGS)


def test_a_checkpoint_without_a_masked_lm_head_is_refused(make_checkpoint: Make) -> None:
    with pytest.raises(TrainingError, match="has no masked-LM head"):
        Augmenter(make_checkpoint("headless"), CPU, SETTINGS)
