import json
from collections.abc import Callable
from typing import Any

import onnxruntime
import pytest

from edgebert.engines import session
from edgebert.engines.cpu import CPU
from edgebert.engines.openvino import OpenVinoEngine
from edgebert.engines.session import engines_here
from edgebert.machine.device import this_device

Edgebert = Callable[..., Any]


def test_engines_are_shown_by_the_names_that_options_take(edgebert: Edgebert) -> None:
    text = edgebert("devices").out
    assert f"cpu on cpu: ONNX Runtime {onnxruntime.__version__}" in text
    engines = json.loads(edgebert("devices", "--json").out)["engines"]
    assert [engine["name"] for engine in engines] == [engine.NAME for engine in engines_here()]


def test_clusters_and_what_a_thread_count_means_are_shown(edgebert: Edgebert) -> None:
    text = edgebert("devices").out
    for cluster in this_device().clusters:
        assert str(cluster) in text
    assert "worth measuring; the fastest cores first" in text


class Installable(OpenVinoEngine):
    """An engine that is not installed, on a machine that it would work on or not."""

    def __init__(self, could_run: bool):
        super().__init__("no_such_package")
        self._could_run = could_run

    def could_run(self) -> bool:
        return self._could_run


@pytest.mark.parametrize("could_run", [True, False])
def test_an_engine_that_could_be_installed_is_named_with_the_command(
    edgebert: Edgebert, monkeypatch: pytest.MonkeyPatch, could_run: bool
) -> None:
    monkeypatch.setattr(session, "ENGINES", (CPU, Installable(could_run)))
    line = f"not installed     openvino, for {Installable.GOOD_FOR}: pip install 'edgebert[openvino]'"
    assert (line in edgebert("devices").out.splitlines()) == could_run
    installable = json.loads(edgebert("devices", "--json").out)["installable"]
    assert [one["name"] for one in installable] == ["openvino"] * could_run
