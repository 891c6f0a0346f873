from pathlib import Path

import msgspec
import pytest
from accelerate import Accelerator

from edgebert.elastic.stage import TrainingSettings, fine_tuning
from edgebert.elastic.work_folder import PLAN, TrainingPlan, WorkFolder, hashes
from edgebert.errors import TrainingError

THIS_PLAN = TrainingPlan(
    schema_version=TrainingPlan.VERSION,
    files={"data 1, train.tsv": "0" * 64},
    task="text-classification",
    labels=("bad", "good"),
    stages=(fine_tuning(),),
    settings=TrainingSettings(seed=1, batch_size=32, accumulate=1, max_length=128, compute="fp32"),
    method_settings="{}",
)


@pytest.fixture
def folder(tmp_path: Path) -> WorkFolder:
    return WorkFolder(tmp_path / "a" / "work", Accelerator(cpu=True))


def test_a_folder_that_was_claimed_is_claimed_again_by_the_same_training_alone(folder: WorkFolder) -> None:
    folder.claim(THIS_PLAN)
    folder.claim(THIS_PLAN)
    other = msgspec.structs.replace(THIS_PLAN, labels=("good", "bad"), method_settings='{"augment":2}')
    with pytest.raises(
        TrainingError, match=r"work holds a training with other labels and method_settings; give another --work"
    ):
        folder.claim(other)


def test_a_folder_of_an_earlier_version_is_refused_by_name(folder: WorkFolder) -> None:
    folder.path.mkdir(parents=True)
    (folder.path / PLAN).write_text('{"schema_version": 1}')
    with pytest.raises(TrainingError, match=r"plan.json: expected schema_version 2, found 1"):
        folder.claim(THIS_PLAN)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(TrainingError, match=r"cannot write .*file.work: Not a directory; choose another --work"):
        WorkFolder(tmp_path / "file" / "work", Accelerator(cpu=True)).claim(THIS_PLAN)


def test_what_is_there_is_not_made_again(folder: WorkFolder, tmp_path: Path) -> None:
    made: list[str] = []

    def make() -> None:
        made.append("once")
        (tmp_path / "step").write_text("done")

    folder.make_once(tmp_path / "step", make)
    folder.make_once(tmp_path / "step", make)
    assert made == ["once"]


def test_files_are_known_by_their_content_wherever_they_lie(tmp_path: Path) -> None:
    found = []
    for place, content in (("here", "a"), ("there", "a"), ("other", "b")):
        (tmp_path / place / "checkpoint").mkdir(parents=True)
        (tmp_path / place / "train.tsv").write_text("text")
        (tmp_path / place / "checkpoint" / "config.json").write_text(content)
        (tmp_path / place / "checkpoint" / "notes.md").write_text(place)
        found.append(hashes([tmp_path / place / "checkpoint"], [tmp_path / place / "train.tsv"]))
    here, there, other = found
    assert list(here) == ["checkpoint 1, config.json", "data 1, train.tsv"]
    assert here == there != other
