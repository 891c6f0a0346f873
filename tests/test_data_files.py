"""Predict, evaluate, export and train read the files of people alike, each on its own path to them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import data_files
import msgspec
import pytest

from edgebert import records
from edgebert.cli.main import main
from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.bundle import BUILTIN
from edgebert.inputs.bundle_file import MANIFEST
from edgebert.inputs.dataset import Example
from edgebert.inputs.manifest import Manifest
from edgebert.measuring.evaluation import targets_in
from edgebert.serving.answer_file import line_of
from edgebert.tasks.text_classification import TextClassification
from profiles import LEAST

Rows = list[data_files.Row]


class Reading(TextClassification):
    """A task for which every label goes: what a row asks for is the row."""

    def target(self, row: Example) -> Any:
        """Return a row as it was read."""
        return data_files.as_row(row)


def _read_by_export(path: Path) -> Rows:
    from edgebert.exporters.calibration import calibration_texts
    from edgebert.exporters.quality import evaluator_of

    evaluator = evaluator_of(Reading(()), path, None)
    assert evaluator is not None
    rows: Rows = list(evaluator.targets or ())
    assert sorted(calibration_texts(path), key=repr) == sorted(map(_input_of, rows), key=repr)
    return rows


def _read_by_train(path: Path) -> Rows:
    from edgebert.elastic.training_data import TaskChoice, TrainingFiles, read_training_data

    class Choice(TaskChoice):
        def resolve(self, *_: Any) -> Reading:
            return Reading(())

    class Tokenizer(SimpleNamespace):
        def num_special_tokens_to_add(self, pair: bool) -> int:
            return 2 + pair

        def __call__(self, *columns: list[str], **_: Any) -> dict[str, Any]:
            return {"input_ids": list(zip(*columns, strict=True))}

    tokenizer: Any = Tokenizer(pad_token_id=0, pad_token_type_id=0, padding_side="right")
    files, config = TrainingFiles(path, path, path, path, transfer=(path,)), SimpleNamespace(positions=0)
    data = read_training_data(files, config, tokenizer, Choice(), 8)  # type: ignore[arg-type]
    assert data.train.targets == data.dev.targets
    rows: Rows = list(data.train.targets or ())  # type: ignore[arg-type]
    assert data.inputs == list(map(_input_of, rows))
    assert list(data.distil.ids) == [(text,) if pair is None else (text, pair) for text, pair, _ in rows] * 2
    return rows


def _input_of(row: data_files.Row) -> str | tuple[str, str]:
    text, pair, _ = row
    return text if pair is None else (text, pair)


VERBS: dict[str, Callable[[Path], Rows]] = {
    "evaluate": lambda path: targets_in(Reading(()), path),
    "export": _read_by_export,
    "train": _read_by_train,
}
EVERY_VERB = pytest.mark.parametrize(
    "verb", ["evaluate", *(pytest.param(verb, marks=pytest.mark.full) for verb in ("export", "train"))]
)
RIGHT = pytest.mark.parametrize(
    ("name", "content", "rows"),
    data_files.RIGHT,
    ids=data_files.named(data_files.RIGHT),  # type: ignore[arg-type]
)
WRONG = pytest.mark.parametrize(
    ("name", "content", "wrong"),
    data_files.WRONG,
    ids=data_files.named(data_files.WRONG),  # type: ignore[arg-type]
)


@RIGHT
@EVERY_VERB
def test_a_file_is_the_same_rows_to_every_verb(
    tmp_path: Path, verb: str, name: str, content: bytes, rows: Rows
) -> None:
    assert VERBS[verb](data_files.place(tmp_path, name, content)) == rows


@WRONG
@EVERY_VERB
def test_or_the_same_line_is_wrong(tmp_path: Path, verb: str, name: str, content: bytes, wrong: str) -> None:
    with pytest.raises(EdgeBertError) as problem:
        VERBS[verb](data_files.place(tmp_path, name, content))
    assert str(problem.value).startswith(data_files.message(tmp_path, wrong))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The built-in bundle, so altered that it takes pairs too."""
    path = Path(shutil.copytree(BUILTIN, tmp_path_factory.mktemp("pairs") / "bundle"))
    manifest = records.read(path / MANIFEST, Manifest, BundleError)
    records.write_bytes(path / MANIFEST, msgspec.structs.replace(manifest, pairs=True).content(), BundleError)
    return str(path)


def predict(bundle: str, file: Path) -> int:
    return main(["predict", "--bundle", bundle, "--subnet", LEAST, "--file", str(file)])


@RIGHT
def test_predict_answers_the_same_rows(
    tmp_path: Path, bundle: str, capsys: pytest.CaptureFixture[str], name: str, content: bytes, rows: Rows
) -> None:
    assert predict(bundle, data_files.place(tmp_path, name, content)) == 0
    answered = [line.split("\t")[2] for line in capsys.readouterr().out.splitlines()]
    assert answered == [line_of(Reading(()), _input_of(row), []).rstrip("\n").split("\t")[2] for row in rows]


@WRONG
def test_predict_says_in_one_line_what_is_wrong(
    tmp_path: Path, bundle: str, capsys: pytest.CaptureFixture[str], name: str, content: bytes, wrong: str
) -> None:
    assert predict(bundle, data_files.place(tmp_path, name, content)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {data_files.message(tmp_path, wrong)}")
