"""Networks that answer questions: logits are transformers' model's, answers those of a plain search."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import plain_answers
import pytest
import torch
from random_models import OWN_NAMES, SIZES, WORDS, randomise, save
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    XLNetForQuestionAnsweringSimple,
    XLNetTokenizer,
)

import edgebert
from edgebert.engines.session import open_session
from edgebert.errors import BudgetError, EdgeBertError, ExportError
from edgebert.exporters.build import export
from edgebert.exporters.bundle_writer import FLAVORS
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Tokenizer, pad
from edgebert.measuring.device_profile import DeviceProfile
from profiles import profile_of_costs, way

FAMILIES = ("bert", "distilbert", "electra", "roberta", "xlnet", "mpnet", "modernbert", "deberta-v2", "albert")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Toys are too small for several threads, which wait for each other where others work too."""
    torch.set_num_threads(1)


GENERATOR = random.Random(3)
LETTERS = [word for word in WORDS if not word.startswith(("[", "##"))]
# From a word to many windows of 64 tokens; words of several tokens, and the same words again.
QUESTIONS = [
    (" ".join(GENERATOR.choices(LETTERS, k=3)), " ".join(GENERATOR.choices([*LETTERS, "filmgoodxyz"], k=count)))
    for count in (1, 2, 9, 40, 90)
]
QUESTIONS.append(("good " * 60, "the film, the plot: a warm film!"))  # a question longer than half of a window

# For XLNet, which numbers its special tokens so.
PIECES = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>", "\u2581", *LETTERS]


def random_answerer(family: str, **config: Any) -> Any:
    torch.manual_seed(7)
    names = OWN_NAMES.get(family, {})
    sizes = {
        names.get(key, key): value
        for key, value in {**SIZES, "pad_token_id": 5 if family == "xlnet" else 1, **config}.items()
    }
    sizes.pop(None, None)
    made = AutoConfig.for_model(family, **sizes)
    is_simple = family == "xlnet"
    model = XLNetForQuestionAnsweringSimple(made) if is_simple else AutoModelForQuestionAnswering.from_config(made)
    randomise(model)
    return model.eval()


@pytest.fixture(scope="module", params=FAMILIES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Bundle]:
    """A random model, its tokenizer and its bundle."""
    folder = tmp_path_factory.mktemp(request.param)
    model = random_answerer(request.param)
    source = save(model, folder / "checkpoint")
    if request.param == "xlnet":  # the context comes first, and the class last
        (source / "vocab.txt").unlink()
        XLNetTokenizer(
            vocab=[(piece, -float(number)) for number, piece in enumerate(PIECES)],
            model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        ).save_pretrained(source)
    bundle = export(source, folder / "bundle", precisions=["fp32"], max_length=62)
    return model, AutoTokenizer.from_pretrained(source), bundle


def close(found: Any, expected: Any) -> bool:
    return found == [{**one, "score": pytest.approx(one["score"], rel=1e-3, abs=1e-9)} for one in expected]


@pytest.mark.parametrize(
    ("options", "plain"),
    [
        ({}, {}),
        ({"top_k": 4}, {"top_k": 4}),
        ({"max_answer_len": 2, "doc_stride": 5}, {"longest": 2, "overlap": 5}),
        ({"align_to_words": False, "top_k": 3}, {"words": False, "top_k": 3}),
        ({"handle_impossible_answer": True, "top_k": 3}, {"impossible": True, "top_k": 3}),
    ],
)
def test_answers_are_those_of_a_plain_search(both: Any, options: dict[str, Any], plain: dict[str, Any]) -> None:
    model, tokenizer, bundle = both
    with edgebert.load(bundle) as predictor:
        found = predictor(QUESTIONS[:-1], **options)
    for answer, (question, context) in zip(found, QUESTIONS, strict=False):
        expected = plain_answers.answers(model, tokenizer, question, context, length=62, **plain)
        assert close(answer if isinstance(answer, list) else [answer], expected)
        for one in answer if isinstance(answer, list) else [answer]:
            assert one["answer"] == context[one["start"] : one["end"]]


def test_logits_are_those_of_the_model(both: Any) -> None:
    model, _, bundle = both
    (subnet,) = bundle.manifest.subnetworks
    tokenizer = Tokenizer.of(bundle)
    rows = [row for text in QUESTIONS for row in tokenizer.windows(text, 20)]
    assert max(len(row.ids) for row in rows) <= 62
    for flavor in FLAVORS:
        session = open_session(bundle, subnet, way(flavor=flavor))
        together = session.run(pad(rows[-4:], session.input_names))
        for place, row in enumerate(rows[-4:]):
            arrays = {name: torch.from_numpy(array) for name, array in pad([row], session.input_names).items()}
            with torch.inference_mode():
                expected = model(**arrays)
            for name in ("start_logits", "end_logits"):
                ours = together[name][place, : len(row.ids)]
                np.testing.assert_allclose(ours, expected[name][0].numpy(), atol=1e-4)


def test_forms_of_questions_and_answers(both: Any) -> None:
    _, _, bundle = both
    question, context = QUESTIONS[2]
    with edgebert.load(bundle) as predictor:
        one = predictor((question, context))
        assert list(one) == ["score", "start", "end", "answer"]
        assert predictor({"question": question, "context": context}) == one
        assert predictor([(question, context)]) == [one]
        with pytest.raises(EdgeBertError, match="expected a question and its context, found a single text; pass both"):
            predictor("a question")
        with pytest.raises(EdgeBertError, match="expected a top_k of 1 or more, found 0"):
            predictor((question, context), top_k=0)
        with pytest.raises(EdgeBertError, match="expected a text of at most 200,000 characters, found 210,000"):
            predictor((question, "film " * 42_000))


def test_many_questions_are_answered_as_one_by_one(both: Any) -> None:
    _, _, bundle = both
    with edgebert.load(bundle) as predictor:
        expected = [predictor(question) for question in QUESTIONS]
    found = list(edgebert.predict_all(iter(QUESTIONS), bundle))
    for answer, right in zip(found, expected, strict=True):
        assert answer == {**right, "score": pytest.approx(right["score"], rel=1e-4)}
    bad = edgebert.predict_all([QUESTIONS[0], "no context"], bundle)
    next(bad)
    with pytest.raises(EdgeBertError, match="expected a question and its context, found a single text"):
        next(bad)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(random_answerer("bert"), tmp_path_factory.mktemp("answerer") / "checkpoint")


def write_questions(path: Path, *, impossible: bool) -> Path:
    rows = ["question\tcontext\tanswer\tstart"]
    for number, (question, context) in enumerate(QUESTIONS[:5] * 4):
        word = "" if impossible and number % 3 == 0 else context.split()[number % len(context.split())]
        rows.append(f"{question}\t{context}\t{word}\t0")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_threshold_is_set_where_questions_have_no_answer(checkpoint: Path, tmp_path: Path) -> None:
    """Each sub-network has its own, by which it is measured, and answers are given by it unless one asks otherwise."""
    data = write_questions(tmp_path / "dev.tsv", impossible=True)
    bundle = export(checkpoint, tmp_path / "bundle", widths=[0.5, 1.0], precisions=["int8"], evaluation_data=data)
    thresholds = [subnet.no_answer_threshold for subnet in bundle.manifest.subnetworks]
    assert None not in thresholds
    assert len(set(thresholds)) == 2
    for subnet, found in zip(bundle.manifest.subnetworks, edgebert.evaluate(data, bundle).subnetworks, strict=True):
        assert subnet.quality is not None
        assert found.metrics == {"f1": subnet.quality.value, "exact_match": subnet.quality.also["exact_match"]}

    best = max(bundle.manifest.subnetworks, key=lambda one: one.quality.value)  # type: ignore[union-attr]
    with edgebert.load(bundle, subnet=best) as model:
        usual, never = model(QUESTIONS[:5]), model(QUESTIONS[:5], handle_impossible_answer=False)
    assert any(one == {"score": one["score"], "start": 0, "end": 0, "answer": ""} for one in usual)
    assert all(one["answer"] for one in never)


def test_where_all_questions_have_answers_there_is_no_threshold(checkpoint: Path, tmp_path: Path) -> None:
    data = write_questions(tmp_path / "dev.tsv", impossible=False)
    bundle = export(checkpoint, tmp_path / "bundle", precisions=["int8"], evaluation_data=data)
    assert bundle.manifest.subnetworks[0].no_answer_threshold is None
    assert bundle.answers() is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["a", "b"]}, "expected no labels for question-answering, found a, b; leave them out"),
        ({"pairs": False}, "question-answering is about pairs of texts, found --no-pairs; leave that out"),
        ({"task": "text-classification"}, "no task 'text-classification' for this checkpoint; choose one of question"),
    ],
)
def test_what_makes_no_sense_is_refused(
    checkpoint: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        export(checkpoint, tmp_path / "bundle", **options)


def test_more_outputs_than_two_are_refused(tmp_path: Path) -> None:
    model = random_answerer("bert")
    model.qa_outputs = torch.nn.Linear(48, 3)
    with pytest.raises(ExportError, match="expected 2 outputs of a model for question-answering, found 3"):
        export(save(model, tmp_path / "checkpoint"), tmp_path / "bundle")


def test_windows_have_the_length_that_the_field_has(tmp_path: Path) -> None:
    path = save(random_answerer("bert", max_position_embeddings=512), tmp_path / "checkpoint")
    assert export(path, tmp_path / "bundle", precisions=["fp32"]).manifest.max_length == 384
    assert export(path, tmp_path / "longer", precisions=["fp32"], max_length=500).manifest.max_length == 500


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, DeviceProfile, str, str]:
    """A bundle of two sub-networks, a profile in which a window of 128 tokens costs 16 and 4 ms, and their ids."""
    folder = tmp_path_factory.mktemp("answering")
    data = write_questions(folder / "dev.tsv", impossible=False)
    source = save(random_answerer("bert", max_position_embeddings=128), folder / "checkpoint")
    bundle = export(source, folder / "bundle", widths=[0.5, 1.0], precisions=["fp32"], evaluation_data=data)
    better, worse = sorted(bundle.manifest.qualities, key=bundle.manifest.qualities.__getitem__, reverse=True)
    return bundle, profile_of_costs(bundle, {better: 16.0, worse: 4.0}), better, worse


LONG = ("good", "film " * 300)
WINDOWS = 4


def test_windows_of_a_text_share_its_budget(answering: tuple[Bundle, DeviceProfile, str, str]) -> None:
    """Of load time and of a call alike: what one window would be allowed is not what all may take."""
    bundle, profile, *_ = answering
    assert len(Tokenizer.of(bundle).windows(LONG, 64)) == WINDOWS
    with edgebert.load(bundle, latency_ms=50_000, profile=profile) as model:
        assert model(LONG)["answer"]
        assert model.stats().within_budget == 1.0
    for load, call in (({"latency_ms": 15.2}, {}), ({}, {"latency_ms": 15.2})):
        with edgebert.load(bundle, profile=profile, **load) as model:
            message = f"{WINDOWS} batches share 15.2 ms: no sub-network meets 3.8 ms at p95 for 128 tokens here"
            with pytest.raises(BudgetError, match=message) as caught:
                model(LONG, **call)
            assert caught.value.nearest.predicted_ms == 4


def test_windows_go_to_smaller_networks_where_that_keeps_the_budget(
    answering: tuple[Bundle, DeviceProfile, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on only while networks run, for as long as the profile says."""
    bundle, profile, better, worse = answering
    now_s, chosen = [0.0], []
    with edgebert.load(bundle, latency_ms=40, profile=profile) as model:
        dispatcher, governor = model._policy._dispatch(), model._policy._governor
        run = dispatcher._run

        def run_by_the_clock(entry: Any, batch: Any, expected_ms: float, options: Any) -> Any:
            chosen.append(entry.id)
            now_s[0] += expected_ms / 1000
            return run(entry, batch, expected_ms, options)

        for holder, name in ((model, "_clock"), (dispatcher, "_clock"), (governor, "clock")):
            monkeypatch.setattr(holder, name, lambda: now_s[0])
        monkeypatch.setattr(dispatcher, "_run", run_by_the_clock)
        model(("good", "film " * 110))
        assert chosen == [better]
        model(LONG)
        assert len(chosen) == 1 + WINDOWS
        assert worse in chosen
        assert now_s[0] * 1000 <= 16 + 40
        assert model.stats().within_budget == 1.0
