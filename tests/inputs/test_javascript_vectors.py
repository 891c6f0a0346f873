"""What js/test/vectors says of files is what is so here: the JavaScript side reads and refuses the same."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgebert import records
from edgebert.errors import BundleError, ProfileError
from edgebert.inputs.bundle import Golden
from edgebert.inputs.graph_file import references
from edgebert.inputs.manifest import Manifest
from edgebert.measuring.device_profile import DeviceProfile

VECTORS = Path(__file__).parents[2] / "js" / "test" / "vectors"
KINDS: dict[str, Any] = {
    "bundle.json": (Manifest, BundleError),
    "golden.json": (Golden, BundleError),
    "profile.json": (DeviceProfile, ProfileError),
    "profile-of-a-browser.json": (DeviceProfile, ProfileError),
}
GRAPHS = json.loads((VECTORS / "graphs.json").read_bytes())


def path_in(message: str) -> str:
    """Return the path that a message names, as far as keys of free objects allow."""
    found = re.search(r" at (?:key in )?(\$[^\s;]*)", message)
    return found[1].split("[...]")[0] if found else "$"


@pytest.mark.parametrize("case", json.loads((VECTORS / "records.json").read_bytes()), ids=lambda case: case["by"][:40])
def test_a_file_is_read_or_refused_as_javascript_does(case: dict[str, Any]) -> None:
    kind, error = KINDS[case["file"]]
    before = (VECTORS / case["file"]).read_text("utf-8")
    content = before.replace(case["replace"], case["by"], 1).encode()
    assert case["replace"] in before
    if case["at"] is None:
        records.decode(content, kind, "the file", error)
    else:
        with pytest.raises(error) as problem:
            records.decode(content, kind, "the file", error)
        assert path_in(str(problem.value)) == case["at"]


def found(graph: bytes) -> list[list[str | int]] | None:
    try:
        return [[one.file, one.start, one.size] for one in references(graph, "x")]
    except BundleError:
        return None


@pytest.mark.parametrize("case", GRAPHS["cases"], ids=lambda case: case["name"])
def test_a_graph_is_read_or_refused_as_javascript_does(case: dict[str, Any]) -> None:
    assert found(bytes.fromhex(case["hex"])) == case["references"]


def test_a_graph_with_a_changed_byte_is_read_or_refused_as_javascript_does() -> None:
    whole = next(case["hex"] for case in GRAPHS["cases"] if case["name"] == GRAPHS["changed"]["name"])
    for place, byte, expected in GRAPHS["changed"]["bytes"]:
        graph = bytearray.fromhex(whole)
        graph[place] = byte
        assert found(bytes(graph)) == expected
