import itertools
import os
import time
from collections.abc import Iterator

import pytest

import edgebert
from edgebert.choosing.selection import Budget, Selection, named
from edgebert.engines.session import default_way
from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Text
from edgebert.serving import bulk
from edgebert.serving.bulk import answer_texts, predict_all
from edgebert.tasks.label_task import LabelOptions
from profiles import BEST

SENTENCE = "a great film dull it is long but every minute of pleasure mess warm bad plot and the of"
SMALL_CHUNK = 16
OPTIONS = LabelOptions()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK_TEXTS", SMALL_CHUNK)


def choice(bundle: Bundle, threads: int = 2) -> Selection:
    return named(bundle.subnet(BEST), Budget().of(bundle), default_way("cpu", threads))


def some_texts(count: int) -> list[Text]:
    """Return texts of different lengths, some of which are longer than the longest input."""
    words = SENTENCE.split()
    return [" ".join(itertools.islice(itertools.cycle(words), n % 7, n % 7 + 1 + n * 31 % 150)) for n in range(count)]


@pytest.mark.usefixtures("small_chunks")
def test_texts_are_answered_in_order_and_as_one_by_one(builtin: Bundle) -> None:
    texts = some_texts(100)
    found = list(answer_texts(builtin, choice(builtin), texts, OPTIONS))
    with edgebert.load(subnet=BEST) as model:
        expected = [model(text)[0] for text in texts]
    assert [text for text, _ in found] == texts
    assert sum(one["label"] == other["label"] for (_, one), other in zip(found, expected, strict=True)) >= 95
    for (_, one), other in zip(found, expected, strict=True):
        if one["label"] == other["label"]:
            assert one["score"] == pytest.approx(other["score"], abs=0.2)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("start", [0, 1, SMALL_CHUNK - 1, SMALL_CHUNK, SMALL_CHUNK + 5, 39, 40, 1000])
def test_a_later_start_and_other_threads_give_the_same_answers(builtin: Bundle, start: int) -> None:
    texts = some_texts(40)
    whole = list(answer_texts(builtin, choice(builtin), texts, OPTIONS))
    assert list(answer_texts(builtin, choice(builtin, threads=1), texts, OPTIONS, start=start)) == whole[start:]


def test_texts_are_read_a_bounded_number_ahead(builtin: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK_TEXTS", SMALL_CHUNK)
    monkeypatch.setattr(bulk, "CHUNK_CHARACTERS", 1000)
    read = 0

    def texts() -> Iterator[Text]:
        nonlocal read
        for read in itertools.count(1):
            yield "a great film" if read < 100 else "great film " * 200

    answers = answer_texts(builtin, choice(builtin), texts(), OPTIONS)
    for answered in range(1, 150):
        next(answers)
        assert read <= answered + 2 * SMALL_CHUNK
        if answered > 110:
            assert read <= answered + 2, "a long text is a chunk of its own"
    answers.close()


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("bad", [0, 1, SMALL_CHUNK, SMALL_CHUNK + 3, 3 * SMALL_CHUNK])
def test_all_texts_before_a_bad_one_are_answered(builtin: Bundle, bad: int) -> None:
    answers = answer_texts(builtin, choice(builtin), [*some_texts(bad), "", "never read"], OPTIONS)
    assert len(list(itertools.islice(answers, bad))) == bad
    with pytest.raises(EdgeBertError, match="expected a text, found an empty one"):
        next(answers)


def test_a_pair_is_refused_where_single_texts_are_expected(builtin: Bundle) -> None:
    with pytest.raises(EdgeBertError, match="expected single texts, found a pair"):
        list(answer_texts(builtin, choice(builtin), ["fine", ("a", "b")], OPTIONS))


def test_texts_of_any_iterable_are_answered_one_after_the_other(builtin: Bundle) -> None:
    texts = ["a great film", "dull"]
    best = list(predict_all(texts))
    assert [one["label"] for one in best] == ["positive", "negative"]
    assert list(predict_all(iter(texts), builtin, subnet=BEST, provider="cpu", threads=1)) == best
    assert list(predict_all(texts, builtin.path, subnet=builtin.subnet(BEST))) == best
    assert list(predict_all("a great film")) == list(predict_all([{"text": "a great film"}])) == best[:1]
    ((first, second),) = predict_all("a great film", top_k=None)
    assert first == best[0]
    assert first["score"] + second["score"] == pytest.approx(1)


def test_what_cannot_be_loaded_is_said_before_a_text_is_read() -> None:
    with pytest.raises(BundleError, match="no sub-network 'small' in bundle"):
        predict_all((text for text in ("never", "read")), subnet="small")


def test_nothing_is_answered_with_nothing(builtin: Bundle) -> None:
    assert list(answer_texts(builtin, choice(builtin), [], OPTIONS)) == []


@pytest.mark.usefixtures("small_chunks")
def test_who_has_seen_enough_leaves_no_thread_behind(builtin: Bundle) -> None:
    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    list(answer_texts(builtin, choice(builtin), ["warm up"], OPTIONS))  # the tokenizer keeps its own threads
    before = threads()
    answers = answer_texts(builtin, choice(builtin), some_texts(100), OPTIONS)
    next(answers)
    answers.close()
    patience = time.monotonic() + 120
    while threads() > before and time.monotonic() < patience:  # the system forgets an ended thread when it has the time
        time.sleep(0.01)
    assert threads() <= before
