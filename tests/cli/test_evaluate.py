import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiles import BEST, LEAST

Edgebert = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Two rows, of which one has the wrong label."""
    (tmp_path / "d.tsv").write_text("text\tlabel\na great film\tpositive\ndull\tpositive\n")
    return str(tmp_path / "d.tsv")


def test_an_evaluation_is_printed(edgebert: Edgebert, data: str) -> None:
    lines = edgebert("evaluate", data, "--subnets", f"{BEST},{LEAST}").out.splitlines()
    assert lines[0].startswith(f"{data}: 2 samples; ")
    assert lines[2].split() == ["sub-network", "accuracy", "95", "%", "interval", "best", "seconds"]
    assert [line.split()[:2] for line in lines[4:]] == [[BEST, "0.5000"], [LEAST, "0.5000"]]


def test_an_evaluation_as_json(edgebert: Edgebert, data: str) -> None:
    way = ["--provider", "CPUExecutionProvider", "--threads", "1"]
    result = json.loads(edgebert("evaluate", data, "--subnets", BEST, *way, "--json").out)
    (one,) = result["subnetworks"]
    assert list(one) == ["id", "way", "metrics", "ci95", "samples", "seconds"]
    assert (one["way"]["engine"], one["way"]["threads"]) == ("cpu", 1)
    assert (result["samples"], one["metrics"]) == (2, {"accuracy": 0.5})


def test_a_file_that_is_not_there(edgebert: Edgebert) -> None:
    assert "cannot read nowhere.tsv: No such file or directory" in edgebert("evaluate", "nowhere.tsv").error(1)
