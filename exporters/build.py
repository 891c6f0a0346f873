"""The whole line from a checkpoint to a bundle, as one story."""

import heapq
import tempfile
from collections.abc import Callable, Sequence
from hashlib import sha1
from pathlib import Path

import msgspec
import numpy as np

from edgebert.bundle import (
    Bundle,
    ExportDifference,
    ExportedSubnet,
    FileRef,
    Golden,
    GoldenOutput,
    GraphInput,
    Manifest,
)
from edgebert.dataset import read_examples
from edgebert.elastic.manifest import ElasticManifest
from edgebert.errors import ExportError
from edgebert.exporters.calibration import METHODS, MOST_TEXTS, Ranges, observe
from edgebert.exporters.checkpoint import Array, Checkpoint, read_checkpoint
from edgebert.exporters.draft import Draft
from edgebert.exporters.plan import plan
from edgebert.exporters.reference import Inputs
from edgebert.exporters.score import accuracy, answers_to, float_answers, scored
from edgebert.exporters.staging import staged
from edgebert.exporters.tokenizer import read_tokenizer
from edgebert.exporters.verify import Verifier, device_tolerance, random_inputs
from edgebert.exporters.weights import as_stored
from edgebert.progress import Progress, no_progress
from edgebert.session import open_session
from edgebert.subnet import Precision, Storage, Subnet, storage_of
from edgebert.tokenization import Text, Tokenizer, pad
from edgebert.version import __version__

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
    calibration_data: str | Path | None = None,
    evaluation_data: str | Path | None = None,
    labels: Sequence[str] | None = None,
    max_length: int | None = None,
    pairs: bool = True,
    name: str | None = None,
    on_progress: Progress = no_progress,
) -> Bundle:
    """Write a bundle with graphs for each width, depth and precision of a checkpoint, each checked against it.

    Without widths and depths, those of the checkpoint's elastic.json are taken, else the full size alone. The precision
    int8-static needs `calibration_data`. With `evaluation_data` every sub-network's accuracy is measured with its
    graph, and its answers are kept. Without `pairs` what only pairs of texts need is left out. `on_progress` hears of
    each sub-network that is done. A bundle that stands at `out` is replaced when the new one is finished, and
    untouched otherwise.

    Raises:
        ExportError: the checkpoint cannot be exported, a graph does not compute what it should, or `out` is no
            place for a bundle.
        EdgeBertError: the calibration or evaluation data cannot be read.
    """
    source = read_checkpoint(Path(checkpoint), tuple(labels) if labels else None)
    subnets = plan(source, ElasticManifest.load(source.path), widths, depths, precisions)
    out = Path(out).absolute()
    manifest = _manifest(source, name or out.name, _checked_max_length(max_length, source), pairs)
    tokenizer = read_tokenizer(source.path, source.sizes.vocabulary)
    encode = _encoder(tokenizer, manifest)
    calibration = _calibration_texts(subnets, calibration_data, encode)
    data = None if evaluation_data is None else Path(evaluation_data)
    storages: list[Storage] = sorted({storage_of(subnet.precision) for subnet in subnets})
    with staged(out) as folder, tempfile.TemporaryDirectory(dir=folder) as scratch:
        draft = Draft.begin(source, manifest, tokenizer, folder, storages)
        stored = {storage: as_stored(source, storage) for storage in storages}
        types = "token_type_ids" in manifest.inputs
        golden_inputs = encode(GOLDEN_TEXTS)
        batches = (golden_inputs, *random_inputs(source, manifest.max_length, token_types=types))
        verifier = Verifier(source, stored, batches)
        floats = {}
        if data is not None:
            in_float = Draft.begin(source, manifest, tokenizer, Path(scratch), ["fp32"])
            floats = float_answers(in_float, subnets, data)
        finished, outputs, answers = [], [], []
        for done, subnet in enumerate(subnets, 1):
            ranges = _calibrated(draft, subnet, stored["int8"], calibration, data) if calibration else {}
            exported = draft.add(subnet, ranges)
            expected = verifier.expected(subnet, ranges)
            exported = _verified(verifier, draft.bundle, exported, expected)
            outputs.append(_golden_output(subnet, expected[0]))
            if data is not None:
                exported, given = scored(draft.bundle, exported, data, floats)
                answers.append(given)
            finished.append(exported)
            on_progress(done, len(subnets), subnet.id)
        draft.finish(finished, _golden(golden_inputs, outputs), answers_to(data, answers) if data is not None else None)
    return Bundle.load(out)


def _manifest(source: Checkpoint, name: str, max_length: int, pairs: bool) -> Manifest:
    """Return the manifest of a bundle that holds nothing yet."""
    inputs: tuple[GraphInput, ...] = ("input_ids", "attention_mask")
    unwritten = FileRef(file="", sha256="")
    return Manifest(
        schema_version=Manifest.VERSION,
        name=name,
        edgebert_version=__version__,
        task=source.task,
        labels=source.labels,
        max_length=max_length,
        tokenizer=unwritten,
        inputs=(*inputs, "token_type_ids") if pairs and source.token_types else inputs,
        pairs=pairs,
        golden=unwritten,
        answers=None,
        weight_files=(),
        subnetworks=(),
    )


def _checked_max_length(max_length: int | None, source: Checkpoint) -> int:
    if max_length is None:
        return source.max_length
    if not 2 <= max_length <= source.max_length:
        raise ExportError(f"expected a maximum length of 2 to {source.max_length} tokens, found {max_length}")
    return max_length


def _encoder(tokenizer: bytes, manifest: Manifest) -> Callable[[Sequence[Text]], Inputs]:
    """Return what makes graph inputs of texts."""
    encode = Tokenizer(tokenizer, manifest.max_length, pairs=manifest.pairs).encode
    return lambda texts: pad([encode(text) for text in texts], manifest.inputs)


def _calibration_texts(
    subnets: Sequence[Subnet], data: str | Path | None, encode: Callable[[Sequence[Text]], Inputs]
) -> list[Inputs]:
    """Return some texts of a data file, always the same ones, each as graph inputs; none if no precision needs them."""
    if all(subnet.precision != "int8-static" for subnet in subnets):
        return []
    if data is None:
        raise ExportError("the precision int8-static needs texts of its task; give a data file with --calibrate")
    texts = (example.input for example in read_examples(data))
    chosen = heapq.nsmallest(MOST_TEXTS, texts, key=lambda text: sha1(repr(text).encode()).digest())
    return [encode([text]) for text in chosen]


def _calibrated(
    draft: Draft, subnet: Subnet, tensors: dict[str, Array], texts: Sequence[Inputs], data: Path | None
) -> Ranges:
    """Return the ranges of a sub-network's activations: the most accurate on the evaluation data, if there is any,
    then those whose logits for the calibration texts are nearest to those without rounding."""
    if subnet.precision != "int8-static":
        return {}
    observed, logits = observe(subnet, draft.source, tensors, texts)

    def quality(ranges: Ranges) -> tuple[float, float]:
        exported = draft.add(subnet, ranges, ["fused"])
        session = open_session(draft.bundle, exported)
        errors = [np.abs(session.run(inputs) - right).mean() for inputs, right in zip(texts, logits, strict=True)]
        return accuracy(draft.bundle, exported, data) if data is not None else 0, -float(np.mean(errors))

    return max((observed.ranges(method) for method in METHODS), key=quality)


def _verified(verifier: Verifier, bundle: Bundle, subnet: ExportedSubnet, expected: Sequence[Array]) -> ExportedSubnet:
    """Return a sub-network with what its graphs were found to compute."""
    difference, agreement = verifier.check(bundle, subnet, expected)
    found = ExportDifference(
        max_abs_logit_difference=difference,
        label_agreement=agreement if bundle.manifest.has_classes else None,
        accuracy_drop=None,
    )
    return msgspec.structs.replace(subnet, export_error=found)


def _golden_output(subnet: Subnet, logits: Array) -> GoldenOutput:
    rows = tuple(tuple(round(float(value), 6) for value in row) for row in logits)
    return GoldenOutput(id=subnet.id, logits=rows, tolerance=device_tolerance(subnet.precision, logits))


def _golden(inputs: Inputs, outputs: Sequence[GoldenOutput]) -> Golden:
    return Golden(
        schema_version=Golden.VERSION,
        texts=GOLDEN_TEXTS,
        inputs={name: tuple(map(tuple, array.tolist())) for name, array in inputs.items()},
        outputs=tuple(outputs),
    )
