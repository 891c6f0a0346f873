"""What is OpenVINO's own: the laws of all engines, golden outputs among them, are those of test_engines.py."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest

from edgebert.engines.engine import Session
from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.engines.openvino import OPENVINO, OpenVinoEngine
from edgebert.engines.session import default_way, open_session
from edgebert.errors import EdgeBertError, OutputError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Arrays, Tokenizer, Tokens, pad
from edgebert.measuring.numerics import numerics
from edgebert.measuring.ways import combinations, ways_to_measure
from edgebert.subnet import Way, WayFilter
from edgebert.tasks.task import Outputs
from profiles import LEAST

TEXTS = ["a great film", "dull " * 20, "not bad at all, and not good either", "fine"]


@pytest.fixture(scope="module")
def session(builtin: Bundle) -> Session:
    return open_session(builtin, builtin.subnet(LEAST), default_way("openvino", threads=1))


def asked(bundle: Bundle, *texts: str) -> Arrays:
    return pad(Tokenizer.of(bundle).encode_all(texts), bundle.manifest.inputs)


def test_whether_it_is_here_is_known_without_loading_it() -> None:
    code = (
        "import sys; from edgebert.engines.openvino import OPENVINO as o; o.devices(); print('openvino' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.full
def test_a_text_has_one_answer_whatever_its_length_its_batch_and_what_was_asked_before(
    builtin: Bundle, session: Session
) -> None:
    alone = [session.run(asked(builtin, text))["logits"][0] for text in TEXTS]
    together = session.run(asked(builtin, *TEXTS))["logits"]
    np.testing.assert_allclose(together, alone, atol=0.05)
    again = [session.run(asked(builtin, text))["logits"][0] for text in TEXTS]
    np.testing.assert_array_equal(again, alone)


@pytest.mark.full
def test_it_answers_from_several_threads_at_once(builtin: Bundle, session: Session) -> None:
    inputs = [asked(builtin, text) for text in TEXTS] * 10
    expected = [session.run(one)["logits"] for one in inputs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: session.run(one)["logits"], inputs))
    for one, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, right)


@pytest.mark.full
def test_what_it_cannot_run_is_one_line(builtin: Bundle, session: Session) -> None:
    inputs = asked(builtin, "fine")
    with pytest.raises(OutputError, match=r"^OpenVINO cannot run the graph: .*; export the bundle again$"):
        session.run({**inputs, "input_ids": inputs["input_ids"][None]})
    assert session.run(inputs)["logits"].shape == (1, 2)


@pytest.mark.full
@pytest.mark.parametrize("number", [-1, 30522, 2**40])
def test_a_token_that_there_is_not_is_refused(builtin: Bundle, session: Session, number: int) -> None:
    inputs = asked(builtin, "fine")
    wrong = {**inputs, "input_ids": np.full_like(inputs["input_ids"], number)}
    with pytest.raises(OutputError, match=rf"expected input_ids of 0 to 30521, found {number} to {number}; export"):
        session.run(wrong)


@pytest.fixture(scope="module")
def of_fixed_shapes(builtin: Bundle) -> Session:
    return open_session(builtin, builtin.subnet(LEAST), fixed_way(builtin))


def fixed_way(bundle: Bundle) -> Way:
    fixed = FixedShapes((16, 48, bundle.manifest.max_length), (1, 4))
    return msgspec.structs.replace(default_way("openvino", threads=1), options=fixed.options)


@pytest.mark.full
@pytest.mark.parametrize("rows", [1, 3, 4, 9])
@pytest.mark.parametrize("length", [3, 16, 20, 128])
def test_networks_of_fixed_shapes_answer_requests_of_all_shapes(
    builtin: Bundle, session: Session, of_fixed_shapes: Session, rows: int, length: int
) -> None:
    tokens = Tokenizer.of(builtin).encode_all([" ".join(TEXTS[place % 4] for place in range(9))] * rows)
    cut = [Tokens(one.ids[: max(2, length - row)], one.types[: max(2, length - row)]) for row, one in enumerate(tokens)]
    inputs = pad(cut, builtin.manifest.inputs)
    expected, found = (one.run(inputs)["logits"] for one in (session, of_fixed_shapes))
    assert found.shape == (rows, 2)
    np.testing.assert_allclose(found, expected, atol=0.05)


@pytest.mark.full
def test_networks_of_fixed_shapes_give_the_golden_outputs_in_each_of_them(
    builtin: Bundle, of_fixed_shapes: Session
) -> None:
    fixed = FixedShapes.of(fixed_way(builtin).options)
    assert fixed is not None
    assert numerics(builtin, builtin.subnet(LEAST), of_fixed_shapes, fixed).ok

    class OneIsWrong:
        """Answers as they do but for the network of one shape, which is not that of the golden texts together."""

        input_names = of_fixed_shapes.input_names

        def run(self, inputs: Arrays) -> Outputs:
            outputs = of_fixed_shapes.run(inputs)
            wrong = inputs["input_ids"].shape == (4, 128)
            return {name: values + 1 if wrong else values for name, values in outputs.items()}

    assert not numerics(builtin, builtin.subnet(LEAST), OneIsWrong(), fixed).ok


@pytest.mark.full
def test_a_text_longer_than_all_fixed_shapes_is_refused(builtin: Bundle, of_fixed_shapes: Session) -> None:
    ids = np.ones((1, 129), np.int64)
    with pytest.raises(OutputError, match="expected at most 128 tokens, found 129; profile longer ones"):
        of_fixed_shapes.run(dict.fromkeys(of_fixed_shapes.input_names, ids))


@pytest.mark.parametrize(
    "options",
    [
        (("lengths", "16"),),
        (("batch_sizes", "1"), ("lengths", "16")),
        (("lengths", "16,16"), ("batch_sizes", "1")),
        (("lengths", "64,16"), ("batch_sizes", "1")),
        (("lengths", "016"), ("batch_sizes", "1")),
        (("lengths", "16,x"), ("batch_sizes", "1")),
        (("lengths", ""), ("batch_sizes", "1")),
        (("lengths", "0"), ("batch_sizes", "1")),
        (("lengths", "1025"), ("batch_sizes", "1")),
        (("lengths", "9" * 5000), ("batch_sizes", "1")),
        (("lengths", "²"), ("batch_sizes", "1")),
        (("lengths", ",".join(map(str, range(1, 18)))), ("batch_sizes", "1")),
    ],
    ids=lambda options: f"{options!s:.60}",
)
def test_options_that_name_no_shapes_are_refused(options: tuple[tuple[str, str], ...]) -> None:
    assert FixedShapes.of(options) is None
    assert not OPENVINO.knows(options)


@pytest.mark.full
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
@pytest.mark.parametrize("what", ["nothing", "answer", "open"])
def test_a_forked_process_answers_and_ends(what: str) -> None:
    program = """
import os, sys, numpy as np
from edgebert.engines.session import default_way, open_session
from edgebert.inputs.bundle import Bundle
bundle, way = Bundle.load(), default_way("openvino", threads=2)
subnet = bundle.subnet(sys.argv[1])
def answer(session):
    ids = np.ones((1, 16), np.int64)
    return session.run({name: ids for name in session.input_names})["logits"]
session = open_session(bundle, subnet, way)
right = answer(session)
child = os.fork()
if not child:
    found = {"nothing": lambda: right, "answer": lambda: answer(session),
             "open": lambda: answer(open_session(bundle, subnet, way))}[sys.argv[2]]()
    sys.exit(0 if np.array_equal(found, right) else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-W", "ignore", "-c", program, LEAST, what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


@pytest.mark.full
def test_where_int8_sums_saturate_products_are_made_of_floats(builtin: Bundle) -> None:
    subnet, one = builtin.subnet(LEAST), default_way("openvino", threads=1)
    graph, tokens = builtin.graph(subnet, "portable"), asked(builtin, *TEXTS)
    saturating, exact = OpenVinoEngine(saturates=lambda: True), OpenVinoEngine(saturates=lambda: False)
    in_floats = saturating.open(graph, builtin.path, subnet.precision, one)
    assert numerics(builtin, subnet, in_floats).ok
    in_int8 = exact.open(graph, builtin.path, subnet.precision, one).run(tokens)["logits"]
    # The last bits tell which products were made.
    assert not np.array_equal(in_floats.run(tokens)["logits"], in_int8)
    (_, inexact) = saturating.options("int8-static", reduce_range=True)
    allowed = saturating.open(graph, builtin.path, subnet.precision, msgspec.structs.replace(one, options=inexact))
    np.testing.assert_array_equal(allowed.run(tokens)["logits"], in_int8)


def test_sums_that_cannot_saturate_are_tried_as_they_are() -> None:
    saturating, exact = OpenVinoEngine(saturates=lambda: True), OpenVinoEngine(saturates=lambda: False)
    assert saturating.options("int8-static", reduce_range=True) == ((), (("LP_TRANSFORMS_MODE", "YES"),))
    assert saturating.options("int8-static", reduce_range=False) == ((),)
    assert saturating.options("int8-weights", reduce_range=True) == ((),)
    assert exact.options("int8-static", reduce_range=True) == ((),)


@pytest.mark.full
def test_ranges_of_each_request_are_left_to_others(builtin: Bundle) -> None:
    int8 = [msgspec.structs.replace(one, precision="int8") for one in builtin.manifest.subnetworks]
    ways = ways_to_measure(WayFilter(engines=("openvino",)), 1, quick=False)
    with pytest.raises(EdgeBertError, match="openvino is no engine for int8; choose another provider"):
        combinations(int8, ways)
