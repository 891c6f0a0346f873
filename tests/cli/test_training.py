"""What the methods of `edgebert train` share: the table of scores and the display. Needs the libraries of training."""

import pytest

pytest.importorskip("torch")

from edgebert.cli.training import Display, score_table
from edgebert.elastic.events import AugmentEvent, MaskEvent, ScoreEvent, StepEvent, SubnetScore, TrialEvent

pytestmark = pytest.mark.full


def scored(name: str, width: float | None = None, depth: float | None = None) -> SubnetScore:
    return SubnetScore(name, width, depth, 0.9, 0.1)


def test_scores_of_widths_and_depths_are_a_grid_whatever_their_ids() -> None:
    scores = [scored("a", 1.0, 1.0), scored("b", 0.5, 1.0), scored("c", 1.0, 0.5)]
    rows, headers = score_table(scores)
    assert headers == ["", "w1.00", "w0.50"]
    assert rows == [["d1.00", "0.9000", "0.9000"], ["d0.50", "0.9000", ""]]


def test_other_scores_are_a_list() -> None:
    rows, headers = score_table([scored("w1.00-d1.00-like"), scored("full-fp32")])
    assert headers == ["sub-network", "score"]
    assert rows == [["w1.00-d1.00-like", "0.9000"], ["full-fp32", "0.9000"]]


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (
            ScoreEvent("depth", 2, 4, 60.0, (scored("full-fp32"),), True),
            "depth: step 2 of 4, 1 min left, mean dev score",
        ),
        (
            TrialEvent("search", 3, 60, 60.0, "bort-d2-a2-h16-i16", 0.5),
            "surrogate 3 of at most 60: bort-d2-a2-h16-i16, error 0.5",
        ),
        (MaskEvent("search", 5, 9, 1.0, (), (), (0, 0), None), "search: ticket after step 5, no earlier tickets"),
        (MaskEvent("search", 9, 9, 1.0, (0.25,), (0.5,), (0, 0), "at"), "heads differ by 0.250 and neurons by 0.500"),
    ],
)
def test_events_are_told_in_a_line(event: object, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        display(event)  # type: ignore[arg-type]
    assert shown in capsys.readouterr().err


def test_steps_are_shown_by_the_bar_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        display(StepEvent("depth", 1, 4, 0.5, {"labels": 0.5}, 1e-3))
        display(AugmentEvent("augment", 1, 4, 0.5))
    assert "depth" not in capsys.readouterr().out
