from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForSequenceClassification

from edgebert.elastic.architecture import Architecture, Space
from edgebert.elastic.bort import Quest, distillation, train
from edgebert.elastic.line import Setup
from edgebert.elastic.manifest import ElasticManifest
from edgebert.elastic.search import Approximation, Found, Measurements
from edgebert.elastic.stage import fine_tuning
from edgebert.elastic.surrogate import Few, read_trials
from edgebert.errors import BudgetError

Make = Callable[..., Path]
SPACE = Space(depths=(1, 2), heads=(2,), hidden=(16, 32), ffn=(16, 32))
FEW = Few(steps=3, batch_size=8, length=12, dev_texts=20)
QUEST = Quest("toy", SPACE, approximation=Approximation(measured=6, held_out=2, interval=3), few=FEW)
ONE = Architecture(2, 2, 32, 48)


def measured(some: Sequence[Architecture], _: Path) -> Measurements:
    return Measurements({one: one.depth * (1 + one.hidden / 16 + one.ffn / 32) for one in some}, "a toy")


@pytest.fixture
def run(tmp_path: Path, make_checkpoint: Make, make_data: Make) -> Callable[..., Any]:
    def run(kind: str = "headless", name: str = "out", **options: Any) -> Any:
        model = tmp_path / "checkpoint" if (tmp_path / "checkpoint").exists() else make_checkpoint(kind)
        data = make_data("train.tsv", 128), make_data("dev.tsv", 40)
        setup = Setup(compute="fp32", batch_size=16, **options.pop("setup", {}))
        options = {"distil": distillation(12, 1e-2), "fine_tune": fine_tuning(6, 5e-3), "setup": setup, **options}
        return train(model, *data, tmp_path / name, **options)

    return run


def test_a_search_finds_trains_and_says_what_it_did(run: Callable[..., Any], tmp_path: Path) -> None:
    found, trained = run(quest=QUEST, measure=measured)
    assert isinstance(found, Found)
    assert ElasticManifest.load(tmp_path / "out") == trained.manifest
    assert trained.manifest.method == "bort"
    assert [one.id for one in trained.manifest.subnetworks] == [found.chosen]
    assert next(iter(trained.scores.values())) > 0.8  # chance is 0.5
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    (row,) = (row for row in found.rows if row.id == found.chosen)
    assert sum(parameter.numel() for parameter in plain.parameters()) == row.candidate.parameters
    assert row.candidate.trained
    assert len(found.rows) == len(SPACE.architectures())
    assert len(read_trials(tmp_path / "out.training" / "surrogates.jsonl")) == sum(
        one.candidate.trained for one in found.rows
    )


def test_a_search_goes_on_where_it_was_and_is_not_repeated(run: Callable[..., Any], tmp_path: Path) -> None:
    options = {"quest": QUEST, "measure": measured, "search_only": True}
    found, trained = run(**options)
    assert trained is None
    work = tmp_path / "out.training"
    before = (work / "surrogates.jsonl").read_bytes()
    run(**options, name="out")
    (work / "search.json").unlink()
    # Killed while a second error was being written: the first one is kept, the rest is made again, and comes out equal.
    first, second, *_ = before.splitlines(keepends=True)
    (work / "surrogates.jsonl").write_bytes(first + second[:20])
    again, _ = run(**options)
    after = (work / "surrogates.jsonl").read_bytes()
    assert after.startswith(first)
    assert [row.candidate for row in again.rows] == [row.candidate for row in found.rows]


def test_a_budget_takes_the_place_of_w(run: Callable[..., Any]) -> None:
    import msgspec

    with pytest.raises(
        BudgetError, match=r"no architecture .* meets 1 ms; the nearest is bort-d1-a2-h16-i16 with 2.50"
    ):
        run(
            quest=msgspec.structs.replace(QUEST, goal=msgspec.structs.replace(QUEST.goal, latency_ms=1.0)),
            measure=measured,
        )
