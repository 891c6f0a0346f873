import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert.inputs.bundle import Bundle
from profiles import BEST, LEAST, MIDDLE, entry, profile_with, way

Edgebert = Callable[..., Any]


def test_a_selection_and_its_reasons_are_shown(edgebert: Edgebert, profile_file: str) -> None:
    lines = edgebert("select", "--latency-ms", "20", "--profile", profile_file).out.splitlines()
    assert lines[0] == f"{LEAST} (dynabert) is the best within 20 ms at p95 for 128 tokens"
    accuracy = Bundle.load().manifest.qualities[LEAST]
    assert lines[1].startswith(f"accuracy {accuracy:.3f}, 10.00 ms, 30 MB, run by cpu, fused, ")
    assert [line.split("  ")[0] for line in lines[5:]] == [BEST, "10 sub-networks"]
    assert "over the budget: 40.00 ms" in lines[5]
    assert "it is not in the profile" in lines[6]


def test_sub_networks_that_lost_for_one_reason_share_a_line(
    edgebert: Edgebert, builtin: Bundle, tmp_path: Path
) -> None:
    """However many ways there are; all of them are listed with -v."""
    costs = {BEST: {1: 4.0, 2: 3.0}, MIDDLE: {1: 2.0, 2: 1.0}, LEAST: {1: 1.0, 2: 2.0}}
    entries = [entry(name, ms, run=way(threads)) for name, times in costs.items() for threads, ms in times.items()]
    profile_with(builtin, *entries).save(tmp_path / "p.json")
    arguments = ["select", "--latency-ms", "20", "--profile", str(tmp_path / "p.json")]

    reasons = edgebert(*arguments).out.splitlines()[5:]
    assert [line.split("  ")[0] for line in reasons] == [
        "2 sub-networks",
        "9 sub-networks",
        f"{BEST} (cpu, fused, 1 thread)",
    ]
    accuracies = [f"{builtin.manifest.qualities[name]:.3f}" for name in (LEAST, MIDDLE)]
    assert f"less accuracy: {' to '.join(accuracies)}" in reasons[0]
    assert "no better, and slower: 4.00 ms" in reasons[2]
    assert len(edgebert(*arguments, "-v").out.splitlines()[5:]) == 5 + 9


def test_a_selection_as_json_has_the_contracts_keys(edgebert: Edgebert, profile_file: str) -> None:
    chosen = json.loads(edgebert("select", "--latency-ms", "20", "--profile", profile_file, "--json").out)
    keys = ["subnetwork", "method", "way", "predicted_ms", "peak_memory_mb", "quality", "budget", "rejected"]
    assert list(chosen) == keys
    assert list(chosen["way"]) == ["engine", "device", "flavor", "threads", "options"]
    assert chosen["predicted_ms"] == 10.0

    (lost,) = [one for one in chosen["rejected"] if one["subnetwork"] == BEST]
    assert list(lost) == ["subnetwork", "way", "kind", "reason"]
    assert (lost["kind"], lost["reason"]) == ("over-budget", "40.00 ms is over 20 ms")


def test_an_engine_has_two_names(edgebert: Edgebert, profile_file: str) -> None:
    """The one that tables show, and ONNX Runtime's own."""
    command = ["select", "--latency-ms", "20", "--profile", profile_file, "--provider"]
    assert edgebert(*command, "cpu") == edgebert(*command, "CPUExecutionProvider")
    assert "no provider 'NPU' here; choose one of cpu" in edgebert(*command, "NPU").error(1)


@pytest.mark.parametrize("verb", [["select"], ["predict", "good", "--length", "128"]])
def test_a_budget_that_cannot_be_met_is_status_3(edgebert: Edgebert, profile_file: str, verb: list[str]) -> None:
    message = edgebert(*verb, "--latency-ms", "5", "--profile", profile_file).error(3)
    assert f"the nearest is {LEAST} with 10.00 ms. Raise the budget" in message


@pytest.mark.parametrize(
    "budget",
    [
        ["--latency-ms", "20"],
        ["--latency-ms", "20", "--length", "16"],
        ["--memory-mb", "35", "--percentile", "50"],
        ["--latency-ms", "40", "--tolerance", "0.2"],
        ["--tolerance", "0.2"],
    ],
)
def test_predict_chooses_what_select_chose_for_the_same_options(
    edgebert: Edgebert, profile_file: str, budget: list[str], tmp_path: Path
) -> None:
    """For a file, for what is piped, and for a text that the budget is said to be of the longest input for."""
    (tmp_path / "t.txt").write_text("a great film\n")
    same = [*budget, "--profile", profile_file, "--json"]
    chosen = json.loads(edgebert("select", *same).out)
    length = [] if "--length" in budget else ["--length", "128"]
    for done in (
        edgebert("predict", "--file", str(tmp_path / "t.txt"), *same),
        edgebert("predict", *same, piped="a great film\n"),
        edgebert("predict", "a great film", *length, *same),
    ):
        assert json.loads(done.out)["selection"] == chosen
