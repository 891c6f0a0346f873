"""The whole line from checkpoints to a bundle, as one story."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

import msgspec
import numpy as np

from edgebert.engines.session import default_way, open_session
from edgebert.errors import ExportError
from edgebert.exporters.calibration import METHODS, MOST_TEXTS, Ranges, observe
from edgebert.exporters.checkpoint import Array, read_checkpoint
from edgebert.exporters.draft import Draft, Part
from edgebert.exporters.outline import Outline, graph_inputs, read_outlines
from edgebert.exporters.reference import Inputs
from edgebert.exporters.score import accuracy, answers_to, float_answers, scored
from edgebert.exporters.verify import Verifier, device_tolerance, random_inputs
from edgebert.exporters.weights import as_stored
from edgebert.inputs.bundle import (
    MANIFEST,
    Bundle,
    ExportDifference,
    ExportedSubnet,
    FileRef,
    Golden,
    GoldenOutput,
    GraphInput,
    Manifest,
    SubnetAnswers,
)
from edgebert.inputs.dataset import read_examples
from edgebert.inputs.tokenization import Text, Tokenizer, pad
from edgebert.progress import Progress, no_progress
from edgebert.staging import FolderKind, staged
from edgebert.subnet import Precision, Storage, Subnet, storage_of
from edgebert.version import __version__

_BUNDLE = FolderKind(name="bundle", marker=MANIFEST, error=ExportError)

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
    checkpoint: str | Path | Sequence[str | Path],
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
    """Write a bundle with graphs for each sub-network of a checkpoint, or of several, each checked against its own.

    A checkpoint's sub-networks are the slices that its elastic.json lists, else all `widths` and `depths`; without
    these, the ones that its elastic.json names, else the full size alone. Several checkpoints share a task, labels and
    a tokenizer; their models may differ. The precision int8-static needs `calibration_data`. With `evaluation_data`
    every sub-network's accuracy is measured with its graph, and its answers are kept. Without `max_length`, the longest
    that all models take. Without `pairs` what only pairs of texts need is left out. `on_progress` hears of each
    sub-network that is done. A bundle that stands at `out` is replaced when the new one is finished, and untouched
    otherwise.

    Raises:
        ExportError: a checkpoint cannot be exported, two do not go together, a graph does not compute what it should,
            or `out` is no place for a bundle.
        EdgeBertError: the calibration or evaluation data cannot be read.
    """
    paths = [Path(one) for one in ([checkpoint] if isinstance(checkpoint, str | Path) else checkpoint)]
    outlines = read_outlines(paths, tuple(labels) if labels else None, widths, depths, precisions)
    out, content = Path(out).absolute(), outlines[0].tokenizer
    manifest = _manifest(outlines, name or out.name, _checked_max_length(max_length, outlines), pairs)
    tokenizer = Tokenizer(content, manifest.max_length, pairs=manifest.pairs)
    subnets = [subnet for outline in outlines for subnet in outline.subnets]
    calibration = _calibration_texts(subnets, calibration_data)
    data = None if evaluation_data is None else Path(evaluation_data)
    storages: list[Storage] = sorted({storage_of(subnet.precision) for subnet in subnets})
    with staged(out, _BUNDLE) as folder:
        draft = Draft(manifest, content, folder, storages)
        finished = []
        for outline in outlines:
            for one in _finished(outline, draft, tokenizer, calibration, data):
                finished.append(one)
                on_progress(len(finished), len(subnets), one.subnet.id)
        answers = [one.answers for one in finished if one.answers]
        draft.finish(
            [one.subnet for one in finished],
            _golden(_encode(tokenizer, GOLDEN_TEXTS, manifest.inputs), [one.golden for one in finished]),
            None if data is None else answers_to(data, answers),
        )
    return Bundle.load(out)


@dataclass(frozen=True)
class _Finished:
    """A sub-network whose graphs stand in the draft, what they give for the golden texts, and its answers, if asked."""

    subnet: ExportedSubnet
    golden: GoldenOutput
    answers: SubnetAnswers | None


def _finished(
    outline: Outline, draft: Draft, tokenizer: Tokenizer, calibration: Sequence[Text], data: Path | None
) -> Iterator[_Finished]:
    """Yield the sub-networks of one checkpoint, whose tensors are in memory only meanwhile."""
    source = read_checkpoint(outline.path, outline.labels)
    part = draft.begin(source, outline.subnets)
    stored = {storage: as_stored(source, storage) for storage in part.weights}
    types, max_length = "token_type_ids" in part.inputs, draft.manifest.max_length
    batches = (
        _encode(tokenizer, GOLDEN_TEXTS, part.inputs),
        *random_inputs(source, max_length, token_types=types),
    )
    verifier = Verifier(source, stored, batches)
    texts = [_encode(tokenizer, [text], part.inputs) for text in calibration]
    floats = {}
    if data is not None:
        with draft.in_float() as in_float:
            floats = float_answers(in_float.begin(source, outline.subnets), outline.subnets, data)
    for subnet in outline.subnets:
        ranges = _calibrated(part, subnet, stored["int8"], texts, data) if texts else {}
        exported, answers = part.add(subnet, ranges), None
        expected = verifier.expected(subnet, ranges)
        exported = _verified(verifier, part.bundle, exported, expected)
        if data is not None:
            exported, answers = scored(part.bundle, exported, data, floats)
        yield _Finished(exported, _golden_output(subnet, expected[0]), answers)


def _manifest(outlines: Sequence[Outline], name: str, max_length: int, pairs: bool) -> Manifest:
    """Return the manifest of a bundle that holds nothing yet."""
    unwritten = FileRef(file="", sha256="")
    return Manifest(
        schema_version=Manifest.VERSION,
        name=name,
        edgebert_version=__version__,
        task=outlines[0].task,
        labels=outlines[0].labels,
        max_length=max_length,
        tokenizer=unwritten,
        inputs=graph_inputs(token_types=pairs and any(outline.token_types for outline in outlines)),
        pairs=pairs,
        golden=unwritten,
        answers=None,
        weight_files=(),
        subnetworks=(),
    )


def _checked_max_length(max_length: int | None, outlines: Sequence[Outline]) -> int:
    shortest = min(outlines, key=lambda outline: outline.max_length)
    longest = shortest.max_length
    if max_length is None:
        return longest
    if not 2 <= max_length <= longest:
        found = f"expected a maximum length of 2 to {longest} tokens, found {max_length}"
        raise ExportError(f"{found}; {shortest.path} has positions for no more than {longest}")
    return max_length


def _encode(tokenizer: Tokenizer, texts: Sequence[Text], inputs: Sequence[GraphInput]) -> Inputs:
    """Return the graph inputs of some texts."""
    return pad([tokenizer.encode(text) for text in texts], inputs)


def _calibration_texts(subnets: Sequence[Subnet], data: str | Path | None) -> list[Text]:
    """Return some texts of a data file, always the same ones; none if no precision needs them."""
    if all(subnet.precision != "int8-static" for subnet in subnets):
        return []
    if data is None:
        raise ExportError("the precision int8-static needs texts of its task; give a data file with --calibrate")
    texts = (example.input for example in read_examples(data))
    return heapq.nsmallest(MOST_TEXTS, texts, key=lambda text: sha1(repr(text).encode()).digest())


def _calibrated(
    part: Part, subnet: Subnet, tensors: dict[str, Array], texts: Sequence[Inputs], data: Path | None
) -> Ranges:
    """Return the ranges of a sub-network's activations: the most accurate on the evaluation data, if there is any,
    then those whose logits for the calibration texts are nearest to those without rounding."""
    if subnet.precision != "int8-static":
        return {}
    observed, logits = observe(subnet, part.source, tensors, texts)

    def quality(ranges: Ranges) -> tuple[float, float]:
        exported = part.add(subnet, ranges, ["fused"])
        session = open_session(part.bundle, exported, default_way(threads=1))
        errors = [
            np.abs(session.run(inputs)["logits"] - right).mean() for inputs, right in zip(texts, logits, strict=True)
        ]
        return accuracy(part.bundle, exported, data) if data is not None else 0, -float(np.mean(errors))

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
