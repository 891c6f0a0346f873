import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import edgebert
from edgebert.engines import session
from edgebert.engines.checked_session import CheckedSession
from edgebert.engines.cpu import CPU
from edgebert.engines.session import default_way, open_session
from edgebert.errors import BundleError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Arrays
from edgebert.measuring.numerics import numerics
from edgebert.tasks.task import Outputs

SMALL = "w0.25-d0.50-int8-static"


class Planted:
    """A session that gives the outputs it was made with."""

    input_names = ("input_ids", "attention_mask")

    def __init__(self, outputs: Outputs):
        self._outputs = outputs

    def run(self, inputs: Arrays) -> Outputs:
        return self._outputs


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_path_makes_a_score_of_what_is_no_number(
    builtin: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: float
) -> None:
    outputs = {"logits": np.array([[value, 0.0]], np.float32)}
    monkeypatch.setattr(type(CPU), "open", lambda *_: Planted(outputs))
    data = tmp_path / "data.tsv"
    data.write_text("text\tlabel\ngood\tpositive\n")
    opened = open_session(builtin, builtin.subnet(SMALL), default_way())
    assert isinstance(opened, CheckedSession)
    for path in (
        lambda: edgebert.load(subnet=SMALL),
        lambda: edgebert.load(subnet=SMALL, warm_up=False)("good"),
        lambda: next(edgebert.predict_all(["good"], subnet=SMALL)),
        lambda: edgebert.evaluate(data, subnets=[SMALL]),
        lambda: numerics(builtin, builtin.subnet(SMALL), opened),
    ):
        with pytest.raises(BundleError, match=r"^expected (finite logits, found infinite|logits in float32 .6 batch)"):
            path()


def test_a_weight_file_that_is_written_over_gives_no_answer(bundle_path: Path) -> None:
    weights = bundle_path / "weights-int8.bin"
    content = weights.read_bytes()
    with edgebert.load(bundle_path, subnet=SMALL) as model:
        right = model("a great film")
        os.truncate(weights, 0)
        with pytest.raises(BundleError, match=r"weights-int8.bin was altered: expected sha256"):
            model("a great film")
        weights.write_bytes(bytes(len(content)))
        os.utime(weights, (1, 1))  # clocks of file systems may be coarse
        with pytest.raises(BundleError, match=r"weights-int8.bin was altered: expected sha256"):
            model("a great film")
        weights.write_bytes(content)
        os.utime(weights, (2, 2))
        assert model("a great film") == right


@pytest.mark.skipif(sys.platform == "win32", reason="no file that is in use can be replaced there")
def test_a_bundle_that_is_replaced_or_removed_goes_on_as_it_was(bundle_path: Path) -> None:
    weights = bundle_path / "weights-int8.bin"
    with edgebert.load(bundle_path, subnet=SMALL) as model:
        right = model("a great film")
        (bundle_path / "new").write_bytes(b"new")
        (bundle_path / "new").replace(weights)
        assert model("a great film") == right
        shutil.rmtree(bundle_path)
        assert model("a great film") == right


def test_a_file_that_is_replaced_while_an_engine_loads_it_is_found(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, bundle = bundle_path / "weights-int8.bin", Bundle.load(bundle_path)
    opens = CPU.open

    def open_another(*arguments: object) -> object:
        weights.rename(bundle_path / "old")
        weights.write_bytes(bytes(bundle.manifest.weight_files[0].size_bytes))
        return opens(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(session.CPU, "open", open_another)
    with pytest.raises(BundleError, match=r"weights-int8.bin was replaced while it was loaded; load it again"):
        open_session(bundle, bundle.subnet(SMALL), default_way())


def test_a_graph_of_other_inputs_is_refused(builtin: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    for names in ((), ("attention_mask",), ("input_ids", "another")):
        planted = Planted({})
        planted.input_names = names  # type: ignore[assignment]
        monkeypatch.setattr(type(CPU), "open", lambda *_, planted=planted: planted)
        with pytest.raises(BundleError, match=f"{SMALL}: expected a graph of 'input_ids', 'attention_mask', found one"):
            open_session(builtin, builtin.subnet(SMALL), default_way())
