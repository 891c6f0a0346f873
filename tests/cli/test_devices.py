import json
from collections.abc import Callable
from typing import Any

import onnxruntime

from edgebert.engines.session import engines_here

Edgebert = Callable[..., Any]


def test_engines_are_shown_by_the_names_that_options_take(edgebert: Edgebert) -> None:
    text = edgebert("devices").out
    assert f"cpu on cpu: ONNX Runtime {onnxruntime.__version__}" in text
    engines = json.loads(edgebert("devices", "--json").out)["engines"]
    assert [engine["name"] for engine in engines] == [engine.NAME for engine in engines_here()]
