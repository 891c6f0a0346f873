"""The contenders of the peer benchmarks: edgebert's recipes, and what a user could take instead.

Each runs in fresh processes that obey the number of threads. What it is made from is a folder of peer_models.py.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgebert.engines.session import engines_here

WORKER = Path(__file__).parent / "contenders" / "worker.py"
CPU, OPENVINO = "cpu", "openvino"
FULL, SMALLEST = "w1.00-d1.00", "w0.25-d0.50"

# The jobs of a contender: one shape again and again, texts as they come, and texts padded to lengths seen before.
# The last is for those that pay for every new shape; one that is compiled for each shape can do nothing else.
ANY_SHAPE = ("repeated", "mixed")
PAYS_FOR_SHAPES = ("repeated", "mixed", "padded")
STATIC_SHAPES = ("repeated", "padded")
BUCKETS = (16, 24, 32, 48, 64, 96, 128)


@dataclass(frozen=True)
class Contender:
    """One way to run the full network: a module of contenders/, the folder that it loads and its options."""

    name: str
    module: str
    artifact: str
    options: dict[str, object] = field(default_factory=dict)
    jobs: tuple[str, ...] = ANY_SHAPE
    ours: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a process came to: the precision that it ran in, how long it took to load and to print its first line.

    `figures` are the milliseconds or megabytes that the job found, by their name; `logits` has a row for each text.
    """

    precision: str
    load_ms: float
    first_line_ms: float
    figures: dict[str, float]
    logits: list[list[float]]


def edgebert(precision: str, flavor: str, provider: str, subnet: str = FULL, fixed: bool = False) -> Contender:
    """Return a recipe of edgebert's, named after its precision, flavor and provider, and whether shapes are fixed."""
    return Contender(
        name=f"{precision}/{flavor}/{provider}{'/fixed' * fixed}",
        module="edgebert_session",
        artifact="bundle",
        options={"subnet": f"{subnet}-{precision}", "flavor": flavor, "provider": provider}
        | ({"lengths": BUCKETS, "batch_sizes": (1, 8)} if fixed else {}),
        jobs=STATIC_SHAPES if fixed else ANY_SHAPE if provider == CPU else PAYS_FOR_SHAPES,
        ours=True,
    )


ORT_OURS = edgebert("int8", "fused", CPU)
OURS = (
    ORT_OURS,
    edgebert("int8-static", "fused", CPU),
    edgebert("fp32", "fused", CPU),
    edgebert("int8-static", "portable", OPENVINO),
    edgebert("int8-static", "portable", OPENVINO, fixed=True),
    edgebert("int8-weights", "portable", OPENVINO),
    edgebert("fp32", "portable", OPENVINO),
)
QUANTIZE_DYNAMIC = Contender("onnxruntime/quantize-dynamic", "onnxruntime_dynamic", "dynamic")
REFERENCE = Contender("torch/fp32", "torch_eager", "checkpoint")
BF16, STATIC = {"precision": "bf16"}, {"static": True}
PEERS = (
    QUANTIZE_DYNAMIC,
    Contender("openvino/bf16", "openvino_native", "openvino", BF16, PAYS_FOR_SHAPES),
    Contender("openvino/bf16/static", "openvino_native", "openvino", BF16 | STATIC, STATIC_SHAPES),
    Contender("openvino/int8", "openvino_native", "openvino-int8", {}, PAYS_FOR_SHAPES),
    Contender("openvino/int8/static", "openvino_native", "openvino-int8", STATIC, STATIC_SHAPES),
    Contender("ctranslate2/int8", "ctranslate2_encoder", "ctranslate2"),
    REFERENCE,
    Contender("torch/bf16", "torch_eager", "checkpoint", BF16),
    Contender("torch/int8", "torch_eager", "checkpoint", {"precision": "int8"}),
)
CONTENDERS = {contender.name: contender for contender in OURS + PEERS}


def chosen(names: Sequence[str] | None) -> list[Contender]:
    """Return the contenders of these names; without names, all whose engine is there on this machine."""
    if names is None:
        here = [engine.NAME for engine in engines_here()]
        names = [name for name, one in CONTENDERS.items() if one.options.get("provider", CPU) in here]
        missing = [name for name in CONTENDERS if name not in names]
        print(f"not on this machine: {', '.join(missing) or 'none'}", file=sys.stderr)
    unknown = [name for name in names if name not in CONTENDERS]
    if unknown:
        sys.exit(f"error: no contender {', '.join(unknown)}; choose among {', '.join(CONTENDERS)}")
    return [CONTENDERS[name] for name in names]


def run(contender: Contender, model: Path, threads: int, job: str, **arguments: object) -> Outcome:
    """Do a job in a fresh process, with a contender of the model whose artifacts lie in a folder."""
    task = {"module": contender.module, "folder": str(model / contender.artifact), "threads": threads}
    task |= {"options": contender.options, "job": job, "arguments": arguments}
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile("w+") as file:
        json.dump(task, file)
        file.seek(0)
        start, pipe = time.perf_counter(), subprocess.PIPE
        with subprocess.Popen(
            [sys.executable, str(WORKER)], stdin=file, stdout=pipe, stderr=pipe, text=True, env=environment
        ) as process:
            first = process.stdout.readline()
            first_line_ms = (time.perf_counter() - start) * 1000
            rest, errors = process.communicate()
    if process.returncode != 0:
        sys.exit(f"error: {contender.name}, {job}: status {process.returncode}:\n{errors}")
    return Outcome(first_line_ms=first_line_ms, **json.loads((first + rest).splitlines()[-1]))
