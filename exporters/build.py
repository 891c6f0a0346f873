"""Turns checkpoints into a bundle: reads, cuts, rounds, writes, verifies and measures them, in this order."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgebert.errors import ExportError, one_line
from edgebert.exporters.bundle_writer import BundleWriter, files_named_in, graph_inputs
from edgebert.exporters.calibration import calibrated, calibration_texts, find_outliers
from edgebert.exporters.heads import head_of
from edgebert.exporters.quality import Evaluator, answers_to, evaluator_of, float_results
from edgebert.exporters.summary import CheckpointSummary, read_summaries
from edgebert.exporters.verify import Verifier, random_inputs
from edgebert.exporters.weights import as_stored
from edgebert.inputs.bundle import Bundle, Golden, GoldenOutput, GoldenValues, SubnetAnswers
from edgebert.inputs.bundle_file import MANIFEST
from edgebert.inputs.manifest import ExportedSubnet, FileRef, Manifest
from edgebert.inputs.tokenization import Text, Tokenizer, pad
from edgebert.progress import Progress, no_progress
from edgebert.staging import FolderKind, staged
from edgebert.subnet import Precision, Subnet, rounds_inputs, storage_of
from edgebert.tasks.task import Outputs
from edgebert.version import __version__

logger = logging.getLogger(__name__)

_BUNDLE = FolderKind(name="bundle", marker=MANIFEST, error=ExportError, own_files=files_named_in)

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
    task: str | None = None,
    widths: Sequence[float] | None = None,
    depths: Sequence[float] | None = None,
    precisions: Sequence[Precision] = ("int8",),
    calibration_data: str | Path | None = None,
    evaluation_data: str | Path | None = None,
    texts: str | Path | None = None,
    labels: Sequence[str] | None = None,
    dims: Sequence[int] = (),
    max_length: int | None = None,
    pairs: bool = True,
    reduce_range: bool = False,
    name: str | None = None,
    on_progress: Progress = no_progress,
) -> Bundle:
    """Write a bundle with graphs for each sub-network of a checkpoint, or of several, each checked against its own.

    A checkpoint's sub-networks are the slices that its elastic.json lists, else all `widths` and `depths`; without
    these, the ones that its elastic.json names, else the whole network. Several checkpoints share a task, labels and a
    tokenizer; their models may differ. `task` names the task, `labels` its labels, where config.json does not.

    Quality is measured with each sub-network's graph: by the task's metrics on labelled `evaluation_data`, else by
    fidelity on `texts` without labels, which is how often a sub-network answers as the full network does. The precision
    int8-static needs `calibration_data`; with `reduce_range` int8 weights have 7 bits, which is faster on x86
    processors without VNNI. Embeddings may be cut to `dims`, if they were trained for that. Without `max_length`, the
    longest that all models take. Without `pairs` what only pairs of texts need is left out. `on_progress` is told of
    each sub-network that is done. A bundle that stands at `out` is replaced when the new one is finished.

    Raises:
        ExportError: a checkpoint cannot be exported, two do not go together, a graph does not compute what it should,
            or `out` is no place for a bundle.
        EdgeBertError: the calibration data, evaluation data or texts cannot be read.
    """
    paths = [Path(one) for one in ([checkpoint] if isinstance(checkpoint, str | Path) else checkpoint)]
    summaries = read_summaries(paths, tuple(labels) if labels else None, task, widths, depths, precisions, dims)
    out = Path(out).absolute()
    pairs = pairs and head_of(summaries[0].source).takes_pairs
    manifest = _manifest(summaries, one_line(name or out.name), max_length, pairs, reduce_range)
    used = {subnet.precision for summary in summaries for subnet in summary.subnets}
    calibration = calibration_texts(calibration_data) if "int8-static" in used else []
    # Before anything is written, so that a label which is wrong costs no time.
    evaluator = evaluator_of(summaries[0].source.task, evaluation_data, texts)

    # One weight file for each storage type: all precisions of int8 read the same one.
    storages = sorted(set(map(storage_of, used)))
    with staged(out, _BUNDLE) as folder:
        writer = BundleWriter(manifest, summaries[0].tokenizer.cut_at(manifest.max_length), folder, storages)
        if evaluator and evaluator.compared_files:
            # The largest of all checkpoints: each compared with itself, the smallest would seem as good as the largest.
            largest = max(summaries, key=lambda summary: summary.parameters).checkpoint()
            evaluator = evaluator.compared_with(largest, writer)
        _write_bundle(summaries, writer, calibration, evaluator, on_progress)
    if evaluator is None:
        advice = "export with --eval DATA, or with --texts DATA that has no labels"
        logger.warning("no quality was measured, so the largest sub-network that fits will be used; %s", advice)
    return Bundle.load(out)


def _write_bundle(
    summaries: Sequence[CheckpointSummary],
    writer: BundleWriter,
    calibration: Sequence[Text],
    evaluator: Evaluator | None,
    on_progress: Progress,
) -> None:
    """Write the graphs of all sub-networks, and then what the bundle holds beside them."""
    total, finished = sum(len(summary.subnets) for summary in summaries), []
    for summary in summaries:
        for one in _exported(summary, writer, calibration, evaluator):
            finished.append(one)
            on_progress(len(finished), total, one.subnet.id)

    answers = [one.answers for one in finished if one.answers]
    inputs = pad(Tokenizer.of(writer.bundle).encode_all(GOLDEN_TEXTS), writer.manifest.inputs)
    golden = Golden(
        schema_version=Golden.VERSION,
        texts=GOLDEN_TEXTS,
        inputs={name: tuple(map(tuple, inputs[name].tolist())) for name in writer.manifest.inputs},
        outputs=tuple(one.golden for one in finished),
    )
    all_answers = answers_to(evaluator.file, answers) if evaluator and answers else None
    writer.finish([one.subnet for one in finished], golden, all_answers)


@dataclass(frozen=True)
class _Exported:
    """A sub-network whose graphs are written, what they give for the golden texts, and what its answers are worth."""

    subnet: ExportedSubnet
    golden: GoldenOutput
    answers: SubnetAnswers | None


def _exported(
    summary: CheckpointSummary, writer: BundleWriter, calibration: Sequence[Text], evaluator: Evaluator | None
) -> Iterator[_Exported]:
    """Yield the sub-networks of one checkpoint, whose tensors are in memory only meanwhile."""
    source = summary.checkpoint()
    graphs = writer.begin(source, summary.subnets)
    tokenizer = Tokenizer.of(graphs.bundle)
    # Texts one by one, as an app asks: padding would count among what enters a product.
    texts = [pad([tokenizer.encode(text)], graphs.inputs) for text in calibration]

    reduce_range = writer.manifest.reduce_range
    stored = {storage: as_stored(source, storage, reduce_range=reduce_range) for storage in graphs.weights}
    has_types = "token_type_ids" in graphs.inputs
    random = random_inputs(source, writer.manifest.max_length, token_types=has_types)
    # The golden texts first: what they must give goes into the bundle.
    golden = pad(tokenizer.encode_all(GOLDEN_TEXTS), graphs.inputs)
    verifier = Verifier(source, stored, (golden, *random))
    exact = float_results(writer, source, summary.subnets, evaluator.file) if evaluator else {}

    for subnet in summary.subnets:
        # Chosen first: the graphs hold the roundings, and the reference rounds by them.
        roundings = find_outliers(source, subnet, golden) if rounds_inputs(subnet.precision) else {}
        if subnet.precision == "int8-static":
            roundings = calibrated(graphs, subnet, roundings, stored["int8"], texts, evaluator)
        exported, answers = graphs.add(subnet, roundings), None
        expected, exact_outputs = verifier.expected(graphs, subnet, roundings), verifier.exact(subnet)
        difference = verifier.check(graphs.bundle, exported, expected, exact_outputs)
        exported = msgspec.structs.replace(exported, export_error=difference)

        if evaluator is not None:
            exported, answers = evaluator.measured(graphs.bundle, exported, exact[subnet.id])
        tolerances = verifier.golden_tolerances(subnet, roundings, expected[0])
        yield _Exported(exported, _golden_output(subnet, expected[0], tolerances), answers)


def _manifest(
    summaries: Sequence[CheckpointSummary], name: str, max_length: int | None, pairs: bool, reduce_range: bool
) -> Manifest:
    """Return the manifest of a bundle that holds nothing yet."""
    if reduce_range and not any(rounds_inputs(subnet.precision) for one in summaries for subnet in one.subnets):
        raise ExportError("7 bits are for products of int8; export int8 or int8-static, or leave --reduce-range out")
    sources = [summary.source for summary in summaries]
    if sources[0].task.PAIRS_ONLY and not pairs:
        raise ExportError(f"{sources[0].task.NAME} is about pairs of texts, found --no-pairs; leave that out")

    # Bundles name these files, and sub-networks of this one are run before they are written.
    unwritten = FileRef.of("", b"")
    return Manifest(
        schema_version=Manifest.VERSION,
        sha256="",
        name=name,
        edgebert_version=__version__,
        task=sources[0].task.NAME,
        labels=sources[0].task.labels,
        **{"embedding": None, **sources[0].task.facts()},
        max_length=_max_length(summaries, max_length, pairs),
        tokenizer=unwritten,
        inputs=graph_inputs(token_types=pairs and any(summary.token_types for summary in summaries)),
        pairs=pairs,
        reduce_range=reduce_range,
        golden=unwritten,
        answers=None,
        weight_files=(),
        subnetworks=(),
    )


def _max_length(summaries: Sequence[CheckpointSummary], asked: int | None, pairs: bool) -> int:
    """Return at how many tokens a bundle cuts texts: as transformers does where nothing else is asked for."""
    shortest = min((summary.source for summary in summaries), key=lambda source: source.max_length)
    longest, special = shortest.max_length, summaries[0].tokenizer.special_tokens[pairs]
    if asked is not None and not special < asked <= longest:
        found = f"expected a maximum length of {special + 1} to {longest} tokens, found {asked}"
        raise ExportError(f"{found}; {shortest.path} has positions for no more than {longest}")

    known = [summary.tokenizer.max_length for summary in summaries if summary.tokenizer.max_length]
    trained = min((length for length in known if special < length <= longest), default=longest)
    usual = min(trained, shortest.task.USUAL_LENGTH or trained)
    if asked is not None and asked > trained:
        found = f"its tokenizer's model_max_length is {trained}"
        logger.warning("texts of up to %d tokens are read, more than the model was made for: %s", asked, found)
    return usual if asked is None else asked


def _golden_output(subnet: Subnet, outputs: Outputs, tolerances: Mapping[str, float]) -> GoldenOutput:
    values = tuple(
        GoldenValues(
            name=name,
            shape=array.shape,
            # Six digits: the strictest tolerance is 1e-4.
            values=tuple(round(value, 6) for value in array.ravel().tolist()),
            tolerance=tolerances[name],
        )
        for name, array in outputs.items()
    )
    return GoldenOutput(id=subnet.id, values=values)
