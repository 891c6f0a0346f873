"""What is checked on emulated processors, tried on this one; `make check-arm64` and `make check-x86` try others."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from emulated import agreement
from emulated.golden import ALLOWED, judged
from emulated.left_out import LEFT_OUT
from emulated.processors import PROCESSORS
from emulated.steps import FEW

REPOSITORY = Path(__file__).parents[2]
RIGHT, WRONG = [0.0, ALLOWED / 2, 1.0], [0.0, ALLOWED * 2, ALLOWED * 2]


def finding(subnet: str, way: str, off: list[float], *, is_taken: bool = True) -> dict:
    return {"subnet": subnet, "way": way, "off": off, "is_taken": is_taken}


def golden(*options: str) -> list[dict]:
    """Return what golden.py finds on this processor."""
    command = [sys.executable, str(REPOSITORY / "tests/emulated/golden.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.full
def test_weights_that_make_sums_saturate_are_right_here_in_every_way(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests/exporters")}
    command = [sys.executable, str(REPOSITORY / "tests/emulated/planted.py"), str(tmp_path)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    for name, most in (("planted", 127), ("planted-7-bits", 63)):
        findings = golden("--bundle", str(tmp_path / name))
        assert judged(findings)[1] == []
        assert {one["way"].partition(",")[0] for one in findings} == {"int8", "int8-static", "int8-weights", "fp32"}
        assert largest_weight(tmp_path / name, "1.ffn_in.weight") == most


def largest_weight(bundle: Path, name: str) -> int:
    """Return the largest absolute number of a stored matrix."""
    import onnx

    graph = onnx.load(next(bundle.glob("*-int8.fused.onnx"))).graph
    (matrix,) = (onnx.numpy_helper.to_array(one) for one in graph.initializer if one.name == name)
    return int(np.abs(matrix.astype(int)).max())


def test_this_processor_computes_the_golden_outputs_of_four_networks() -> None:
    findings = golden("--subnets", FEW)
    texts, faults = judged(findings)
    assert {one["subnet"] for one in findings} == set(FEW.split(","))
    assert len(texts) >= 2
    assert faults == []


def test_a_text_that_is_far_off_is_forgiven() -> None:
    assert judged([finding("a", "fused", RIGHT), finding("b", "fused", RIGHT)])[1] == []


def test_a_wrong_way_that_is_taken_is_a_fault() -> None:
    lines = [finding("a", "portable", RIGHT), finding("a", "fused", WRONG)]
    assert judged(lines)[1] == ["fused is wrong, and taken for a"]


def test_a_wrong_way_may_be_refused_where_another_is_right() -> None:
    seen, refused = finding("a", "fused", WRONG, is_taken=False), {"subnet": "a", "way": "fused", "refused": "a reason"}
    for line in (seen, refused):
        assert judged([line, finding("a", "portable", RIGHT)])[1] == []
        assert judged([line]) == (judged([line])[0], ["a has no right way"])
    assert "    a is refused: a reason" in judged([refused])[0]


@pytest.mark.parametrize("processor", PROCESSORS.values(), ids=lambda processor: processor.name)
def test_linux_describes_each_core_of_a_processor(processor) -> None:  # type: ignore[no-untyped-def]
    blocks = processor.cpu_info(3).split("\n\n")
    assert blocks.pop() == ""
    numbers = [dict(line.split("\t: ") for line in block.splitlines())["processor"] for block in blocks]
    assert numbers == ["0", "1", "2"]


def test_agreement_is_the_share_of_equal_labels(tmp_path: Path) -> None:
    answers = ["label,score,text", *(f"positive,0.9,text {number}" for number in range(agreement.TEXTS))]
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    here.write_text("\n".join(answers))
    there.write_text("\n".join([answers[0], *(f"negative,0.5,text {number}" for number in range(10)), *answers[11:]]))
    assert agreement.agreement(here, here) == 1
    assert agreement.agreement(here, there) == 1 - 10 / agreement.TEXTS
    there.write_text("\n".join(answers[:-1]))
    with pytest.raises(ValueError, match="the same ones, found 2000 and 1999"):
        agreement.agreement(here, there)


def test_what_is_left_out_is_a_test_and_has_a_reason() -> None:
    for test, reason in LEFT_OUT.items():
        file, _, name = test.partition("::")
        assert reason
        assert (REPOSITORY / file).exists(), file
        if name:
            tree = ast.parse((REPOSITORY / file).read_text())
            assert name.partition("[")[0] in {node.name for node in ast.walk(tree) if hasattr(node, "name")}
