from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import WORDS, random_model

from edgebert.elastic.bort.masked_lm import MaskedLM, MaskedTexts, MaskedTokenAccuracy
from edgebert.elastic.checkpoint import load_tokenizer
from edgebert.elastic.texts import tokenise
from edgebert.errors import TrainingError

Make = Callable[..., Path]
CPU = torch.device("cpu")
MASK = WORDS.index("[MASK]")


@pytest.mark.parametrize("fixed", [True, False])
def test_some_words_of_each_text_are_hidden_and_known_to_the_batch(make_checkpoint: Make, fixed: bool) -> None:
    tokenizer = load_tokenizer(make_checkpoint("bert"))
    plain = tokenise(tokenizer, ["the film " * 10, "good"], 32)
    texts = MaskedTexts.of(plain, tokenizer, fixed=fixed)
    batch, again = (texts.batch([0, 1], CPU) for _ in range(2))
    assert (batch.ids == MASK).sum(dim=1).tolist() == [3, 1]
    assert batch.targets is not None
    restored = batch.ids.masked_scatter(batch.ids == MASK, batch.targets)
    assert restored.tolist() == plain.batch([0, 1], CPU).ids.tolist()
    assert torch.equal(batch.ids, again.ids) == fixed


def test_logits_are_those_of_the_hidden_tokens() -> None:
    model = random_model("bert-lm")
    ids = torch.tensor([[2, MASK, 7, 3], [2, 9, MASK, 3]])
    masked = MaskedLM(model, MASK).eval()
    with torch.no_grad():
        found = masked(ids, torch.ones_like(ids), masked.subnet()).logits
        everywhere = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    torch.testing.assert_close(found, everywhere[ids == MASK])


def test_the_metric_is_the_share_of_right_guesses() -> None:
    metric = MaskedTokenAccuracy()
    scores = metric.results({"logits": np.eye(4, dtype=np.float32)}, (), metric.options({}))
    assert metric.metrics(scores, [0, 1, 2, 0]) == {"accuracy": 0.75}


def test_a_family_without_a_known_head_is_refused() -> None:
    with pytest.raises(TrainingError, match="masked language models of xlnet are not supported"):
        MaskedLM(random_model("xlnet-headless"), MASK)
