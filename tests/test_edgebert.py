import subprocess
import sys
from pathlib import Path

import pytest

import edgebert


@pytest.mark.full
def test_every_public_name_is_there_and_listed() -> None:
    assert set(edgebert.__all__) <= set(dir(edgebert))
    for name in edgebert.__all__:
        assert getattr(edgebert, name).__doc__, name
    assert edgebert.export.__module__ == "edgebert.exporters.build"
    with pytest.raises(AttributeError, match="module 'edgebert' has no attribute 'exports'"):
        edgebert.exports  # noqa: B018


WITHOUT_ONNX = """
import pydoc, sys
sys.modules["onnx"] = None
import edgebert
text = pydoc.render_doc(edgebert, renderer=pydoc.plaintext)
print("predict_all(" in text, "evaluate(" in text, hasattr(edgebert, "export"))
try:
    edgebert.export
except AttributeError as problem:
    print(problem)
"""


def test_a_device_has_help_and_is_told_what_exporting_needs(tmp_path: Path) -> None:
    # Elsewhere than in a checkout, whose folder edgebert/ has no exporters under it.
    command = [sys.executable, "-c", WITHOUT_ONNX]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.stdout, done.stderr) == (
        "True True False\nexporting needs onnx; pip install 'edgebert[export]'\n",
        "",
    )
