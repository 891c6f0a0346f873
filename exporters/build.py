"""The whole line from a checkpoint to a bundle, as one story."""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from edgebert import records
from edgebert.bundle import (
    MANIFEST,
    Accuracy,
    Bundle,
    ExportDifference,
    ExportedSubnet,
    FileRef,
    Golden,
    GoldenOutput,
    Manifest,
    Storage,
)
from edgebert.elastic.manifest import ElasticManifest, Slice
from edgebert.elastic.slices import dynabert_subnet
from edgebert.errors import ExportError
from edgebert.evaluation import evaluate_subnet
from edgebert.exporters.checkpoint import Checkpoint, Sizes, parameters_of, read_checkpoint
from edgebert.exporters.graph import INPUTS, build_graph
from edgebert.exporters.tokenizer import read_tokenizer
from edgebert.exporters.verify import Verifier, random_inputs, tolerance
from edgebert.exporters.weights import Weights, as_stored, write_weights
from edgebert.progress import Progress, no_progress
from edgebert.subnet import Precision, Subnet
from edgebert.tokenization import Tokenizer, pad
from edgebert.version import __version__

PRECISIONS: tuple[Precision, ...] = ("int8", "fp32")
# What a device runs before it trusts its own arithmetic: short and long, plain and odd.
GOLDEN_TEXTS = (
    "A warm, funny and quietly moving film that earns every one of its laughs.",
    "The plot makes no sense, the jokes fall flat and the ending never comes.",
    "Delivered late & damaged: 2 of 5 stars, I want my $39.99 back!",
    "Ärger, café, 東京 and naïve façades",
    "ok",
    "It opens in a hospital corridor, moves to a farm by the sea, and in between it asks what three sisters who have "
    "not spoken for twenty years still owe each other; the answer takes two hours and is worth the wait.",
)


def export(
    checkpoint: str | Path,
    out: str | Path,
    *,
    widths: Sequence[float] | None = None,
    depths: Sequence[float] | None = None,
    precisions: Sequence[Precision] = ("int8",),
    evaluation_data: str | Path | None = None,
    labels: Sequence[str] | None = None,
    max_length: int | None = None,
    name: str | None = None,
    on_progress: Progress = no_progress,
) -> Bundle:
    """Write a bundle with a graph for each width, depth and precision of a checkpoint, each checked against it.

    Without widths and depths, those of the checkpoint's elastic.json are taken, else the full size alone. With
    `evaluation_data` every sub-network's accuracy is measured with its graph. `on_progress` hears of each that is done.
    A bundle that stands at `out` is replaced when the new one is finished, and untouched otherwise.

    Raises:
        ExportError: the checkpoint cannot be exported, a graph does not compute what it should, or `out` is no
            place for a bundle.
        EdgeBertError: the evaluation data cannot be read.
    """
    source = read_checkpoint(Path(checkpoint), tuple(labels) if labels else None)
    subnets = plan(source, ElasticManifest.load(source.path), widths, depths, precisions)
    out = Path(out).absolute()
    max_length = _checked_max_length(max_length, source.sizes)
    with _staged(out) as folder:
        weights = {dtype: write_weights(source, dtype, folder) for dtype in _storage_types(precisions)}
        tokenizer = _write(folder, "tokenizer.json", read_tokenizer(source.path, source.sizes.vocabulary))
        verifier, golden = _golden(source, subnets, weights, (folder / tokenizer.file).read_bytes(), max_length)
        manifest = Manifest(
            schema_version=Manifest.VERSION,
            name=name or out.name,
            edgebert_version=__version__,
            task=source.task,
            labels=source.labels,
            max_length=max_length,
            tokenizer=tokenizer,
            inputs=INPUTS,
            golden=_write(folder, "golden.json", records.encode(golden, indent=0)),
            weight_files=tuple(written.file for written in weights.values()),
            subnetworks=tuple(_write_graph(source, subnet, weights, folder) for subnet in subnets),
        )
        unmeasured = Bundle(folder, manifest, sha256="")
        measured = []
        for done, subnet in enumerate(manifest.subnetworks, 1):
            measured.append(_measured(unmeasured, subnet, verifier, evaluation_data))
            on_progress(done, len(subnets), subnet.id)
        manifest = msgspec.structs.replace(manifest, subnetworks=tuple(measured))
        records.write_bytes(folder / MANIFEST, records.encode(manifest), ExportError)
        Bundle.load(folder)  # before it takes the place of another
    return Bundle.load(out)


def plan(
    source: Checkpoint,
    elastic: ElasticManifest | None,
    widths: Sequence[float] | None,
    depths: Sequence[float] | None,
    precisions: Sequence[Precision],
) -> list[Subnet]:
    """Return the sub-networks to export, the largest first.

    Raises:
        ExportError: a width, depth, precision or slice that the checkpoint does not have.
    """
    for precision in precisions:
        if precision not in PRECISIONS:
            raise ExportError(f"no precision '{precision}'; choose among {', '.join(PRECISIONS)}")
    precisions = list(dict.fromkeys(precisions))
    if widths is None and depths is None and elastic and elastic.subnetworks:
        subnets = [_slice(source, elastic, part, precision) for precision in precisions for part in elastic.subnetworks]
    else:
        default_widths, default_depths = (elastic.widths, elastic.depths) if elastic else ((1.0,), (1.0,))
        sizes = {"layers": source.sizes.layers, "heads": source.sizes.heads, "ffn": source.sizes.ffn}
        subnets = [
            dynabert_subnet(width, depth, precision, **sizes)
            for precision in precisions
            for depth in _shares("depth", depths or default_depths)
            for width in _shares("width", widths or default_widths)
        ]
    ids = [subnet.id for subnet in subnets]
    if not ids or len({subnet_id.lower() for subnet_id in ids}) != len(ids):
        advice = "give each slice a name of its own in elastic.json"
        raise ExportError(f"{source.path}: expected sub-networks with different names, found {ids}; {advice}")
    return subnets


def _shares(word: str, values: Sequence[float]) -> list[Fraction]:
    """Return decimal shares as exact fractions, the largest first."""
    for value in values:
        if not 0 < value <= 1:
            raise ExportError(f"expected a {word} above 0 and at most 1, found {value}")
    return sorted({Fraction(str(value)) for value in values}, reverse=True)


def _slice(source: Checkpoint, elastic: ElasticManifest, part: Slice, precision: Precision) -> Subnet:
    sizes, kept = source.sizes, len(part.layers)
    fits = (
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", part.id) is not None  # it becomes the name of a file
        and kept == len(part.heads) == len(part.ffn) > 0
        and list(part.layers) == sorted({layer for layer in part.layers if 0 <= layer < sizes.layers})
        and all(1 <= heads <= sizes.heads for heads in part.heads)
        and all(1 <= ffn <= sizes.ffn for ffn in part.ffn)
    )
    if not fits:
        raise ExportError(
            f"{source.path / 'elastic.json'}: {part.id} is no slice of {sizes}; make the checkpoint again"
        )
    return Subnet(
        id=f"{part.id}-{precision}",
        method=elastic.method,
        width=None,
        depth=None,
        precision=precision,
        layers=part.layers,
        heads=part.heads,
        ffn=part.ffn,
    )


def _checked_max_length(max_length: int | None, sizes: Sizes) -> int:
    if max_length is None:
        return sizes.positions
    if not 2 <= max_length <= sizes.positions:
        raise ExportError(f"expected a maximum length of 2 to {sizes.positions} tokens, found {max_length}")
    return max_length


def _storage_types(precisions: Sequence[Precision]) -> list[Storage]:
    return sorted({"fp32" if precision == "fp32" else "int8" for precision in precisions})


def _golden(
    source: Checkpoint, subnets: Sequence[Subnet], weights: dict[Storage, Weights], tokenizer: bytes, max_length: int
) -> tuple[Verifier, Golden]:
    """Return the verifier of all graphs, and the golden texts with the logits that it expects for them."""
    encode = Tokenizer(tokenizer, max_length).encode
    inputs = pad([encode(text) for text in GOLDEN_TEXTS], INPUTS)
    batches = (inputs, *random_inputs(source, max_length))
    verifier = Verifier(source, {dtype: as_stored(source, dtype) for dtype in weights}, batches)
    outputs = []
    for subnet in subnets:
        logits = verifier.expected(subnet, inputs)
        rows = tuple(tuple(round(float(value), 6) for value in row) for row in logits)
        outputs.append(GoldenOutput(id=subnet.id, logits=rows, tolerance=tolerance(subnet.precision, logits)))
    return verifier, Golden(
        schema_version=Golden.VERSION,
        texts=GOLDEN_TEXTS,
        inputs={name: tuple(map(tuple, array.tolist())) for name, array in inputs.items()},
        outputs=tuple(outputs),
    )


def _write_graph(source: Checkpoint, subnet: Subnet, weights: dict[Storage, Weights], folder: Path) -> ExportedSubnet:
    dtype: Storage = "fp32" if subnet.precision == "fp32" else "int8"
    graph = build_graph(subnet, source.sizes, source.layer_norm_eps, weights[dtype])
    return ExportedSubnet(
        **msgspec.structs.asdict(subnet),
        hidden_size=source.sizes.hidden,
        parameters=parameters_of(subnet, source),
        graphs={"fused": _write(folder, f"{subnet.id}.fused.onnx", graph)},
        accuracy=None,
        export_error=ExportDifference(max_abs_logit_difference=0.0),
    )


def _measured(bundle: Bundle, subnet: ExportedSubnet, verifier: Verifier, data: str | Path | None) -> ExportedSubnet:
    """Return a sub-network with what its graph was found to do; its logits are compared first."""
    found: dict[str, Any] = {}
    difference = verifier.check(bundle, subnet)
    found["export_error"] = ExportDifference(max_abs_logit_difference=difference)
    if data is not None:
        result = evaluate_subnet(bundle, subnet, data)
        dataset = "/".join(Path(data).absolute().parts[-2:])
        found["accuracy"] = Accuracy(metric="accuracy", value=result.accuracy, samples=result.samples, dataset=dataset)
    return msgspec.structs.replace(subnet, **found)


def _write(folder: Path, name: str, content: bytes) -> FileRef:
    records.write_bytes(folder / name, content, ExportError)
    return FileRef(file=name, sha256=hashlib.sha256(content).hexdigest())


@contextlib.contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` to write into, and put it in the place of `out` at the end; remove it on any error."""
    if out.exists() and not (out / MANIFEST).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise ExportError(f"{out} exists and is no bundle; choose another --out or remove it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as problem:
        raise ExportError(f"cannot write to {out.parent}: {problem.strerror}; choose another --out") from None
    try:
        yield folder
        folder.chmod(0o755)  # mkdtemp makes it private to this user
        _replace(out, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace(out: Path, folder: Path) -> None:
    """Put `folder` in the place of `out`; what stood there is put back if that fails."""
    old = folder.with_name(f"{folder.name}.old")
    try:
        if out.exists():
            os.rename(out, old)
        try:
            os.rename(folder, out)
        except OSError:
            if old.exists():
                os.rename(old, out)
            raise
    except OSError as problem:
        raise ExportError(f"cannot put the bundle at {out}: {problem.strerror}; choose another --out") from None
    shutil.rmtree(old, ignore_errors=True)
