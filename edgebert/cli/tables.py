"""Prints what reports hold as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgebert.cli.output import megabytes, print_table, print_text

if TYPE_CHECKING:
    from edgebert.choosing.selection import Budget
    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.profile_settings import ProfileSettings
    from edgebert.reporting.evaluation_report import EvaluationReport
    from edgebert.reporting.profile_report import Doubt, ProfileReport
    from edgebert.reporting.selection_report import RejectionGroup, SelectionReport

_SLICE = ("layers", "heads", "FFN")


def print_bundle(bundle: "Bundle") -> None:
    """Print a bundle's manifest as a table."""
    manifest = bundle.manifest
    print_text(f"bundle '{manifest.name}' ({manifest.task}; labels {', '.join(manifest.labels)})")
    print_text(
        f"up to {manifest.max_length} tokens; made by edgebert {manifest.edgebert_version}; sha256 {bundle.sha256[:16]}"
    )
    sizes = [f"{weights.file} {megabytes(weights.size_bytes)}" for weights in manifest.weight_files]
    total = sum(file.stat().st_size for file in bundle.path.iterdir())
    print_text(f"{', '.join(sizes)}, in all {megabytes(total)}\n")

    metric = manifest.metric or "quality"
    others = sorted({name for subnet in manifest.subnetworks if subnet.quality for name in subnet.quality.also})
    rows = [
        [
            subnet.id,
            f"{subnet.parameters / 1e6:.1f} M",
            *_slice_cells(subnet.layers, subnet.heads, subnet.ffn),
            _number(subnet.quality.value if subnet.quality else None),
            *(_number(subnet.quality.also.get(name) if subnet.quality else None) for name in others),
            f"{subnet.export_error.max_abs_difference:.1g}",
            _number(subnet.export_error.agreement),
            _number(subnet.export_error.quality_drop, "+.3f"),
        ]
        for subnet in manifest.subnetworks
    ]
    headers = ["sub-network", "parameters", *_SLICE, metric, *others, "difference", "agreement", "drop"]
    _print_with_methods(rows, headers, [subnet.method for subnet in manifest.subnetworks])

    print_text(
        "\nagainst the same slice in float32: the largest difference of an output, the agreement of answers, and"
    )
    print_text("how much quality is lost")
    datasets = {f"{s.quality.dataset} ({s.quality.samples} samples)" for s in manifest.subnetworks if s.quality}
    known = f"{metric} is that on {', '.join(sorted(datasets))}"
    print_text(known if datasets else "no quality is known; export with --eval or --texts")


def print_checkpoint(path: object, facts: dict[str, Any]) -> None:
    """Print what `edgebert.exporters.description` tells of a checkpoint."""
    print_text(f"checkpoint {path}: {facts['model_type']}, {facts['parameters'] / 1e6:.1f} M parameters")
    labels = ", ".join(facts["labels"]) or "none"
    print_text(f"{facts['weight_file']} {megabytes(facts['size_bytes'])}, labels {labels}")
    elastic = facts["elastic"]
    if elastic is None:
        print_text("not elastic")
        return

    kept = f", has the layers {' '.join(map(str, elastic['layers']))} of that" if elastic["layers"] else ""
    print_text(f"elastic: {elastic['method']}, made from {elastic['origin']}{kept}\n")
    rows = [
        [one["id"], f"{one['parameters'] / 1e6:.1f} M", *_slice_cells(one["layers"], one["heads"], one["ffn"])]
        for one in facts["subnetworks"]
    ]
    print_table(rows, ["sub-network", "parameters", *_SLICE])


def print_profile(report: "ProfileReport") -> None:
    """Print a profile as a table, with the Pareto front where qualities are known, and what is doubtful."""
    profile, metric = report.profile, report.metric or "quality"
    print_text(f"{profile.device}; {', '.join(profile.engine_versions.values())}{_circumstances(profile.settings)}")
    print_text(
        f"batch {report.batch_size}, p50 / p95 in ms; "
        f"* is on the Pareto front of {metric} against p95 at the last length\n"
    )
    rows = [
        [
            row.subnet_id,
            row.way,
            _number(row.quality),
            *(f"{one.p50_ms:.2f} / {one.p95_ms:.2f}" for one in row.latency),
            f"{row.load_ms:.0f}",
            f"{row.peak_memory_mb:.0f}",
            "right" if row.numerics_ok else "WRONG",
            "*" if row.is_on_front else "",
        ]
        for row in report.rows
    ]
    lengths = [f"{length} tokens" for length in report.lengths]
    headers = ["sub-network", "run by", metric, *lengths, "load ms", "peak MB", "numerics", "front"]
    _print_with_methods(rows, headers, [row.method for row in report.rows])
    for doubt in report.doubts:
        print_text(f"\n{_doubt(doubt)}")


def print_selection(report: "SelectionReport", *, every: bool) -> None:
    """Print a choice and why the others lost: together, or `every` one of them."""
    chosen = report.selection
    print_text(f"{chosen.subnetwork} ({chosen.method}) is the best within {chosen.budget}")
    quality = "unknown quality" if chosen.quality is None else f"{report.metric} {chosen.quality:.3f}"
    print_text(f"{quality}, {chosen.predicted_ms:.2f} ms, {chosen.peak_memory_mb:.0f} MB, run by {chosen.way}")

    if every:
        rows = [[one.subnetwork, one.way, one.reason] for one in chosen.rejected]
        headers = ["rejected", "run by", "reason"]
    else:
        rows = [[_who(group), _why(group, report)] for group in report.groups]
        headers = ["rejected", "reason"]
    if rows:
        print_text()
        print_table(rows, headers, words=len(headers))


def print_evaluation(report: "EvaluationReport") -> None:
    """Print the metrics of sub-networks on labelled data as a table."""
    print_text(f"{report.dataset}: {report.samples} samples; * may be as good as the best, by its 95 % interval\n")
    rows = []
    for row in report.rows:
        first, *others = (f"{row.evaluated.metrics[name]:.4f}" for name in report.metrics)
        low, high = row.evaluated.ci95
        seconds, near = f"{row.evaluated.seconds:.1f}", "*" if row.is_near_best else ""
        rows.append([row.evaluated.id, first, f"{low:.3f} - {high:.3f}", near, *others, seconds])
    first, *others = report.metrics
    headers = ["sub-network", first, "95 % interval", "best", *others, "seconds"]
    _print_with_methods(rows, headers, [row.method for row in report.rows])


def _slice_cells(layers: Sequence[int], heads: Sequence[int], ffn: Sequence[int]) -> list[str]:
    """Return which layers are kept, and how many heads and neurons: one number where all layers have as many."""
    brief = (str(counts[0]) if len(set(counts)) == 1 else " ".join(map(str, counts)) for counts in (heads, ffn))
    return [" ".join(map(str, layers)), *brief]


def _number(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None else format(value, form)


def _print_with_methods(
    rows: Sequence[Sequence[object]], headers: Sequence[str], methods: Sequence[str | None]
) -> None:
    """Print a table of sub-networks, with a column for the methods that made them where they differ."""
    if len(set(methods)) > 1:
        headers = [headers[0], "method", *headers[1:]]
        rows = [[row[0], method or "-", *row[1:]] for row, method in zip(rows, methods, strict=True)]
    print_table(rows, headers)


def _circumstances(settings: "ProfileSettings") -> str:
    """Return what is unusual about how a profile was measured."""
    pace = f"; {settings.requests_per_s:g} requests a second" if settings.requests_per_s else ""
    return pace + (f"; EMULATED, limited to {settings.emulated}" if settings.emulated else "")


def _doubt(doubt: "Doubt") -> str:
    many = len(doubt.subnet_ids)
    who = f"{many} sub-networks from {doubt.subnet_ids[0]} on" if many > 1 else "".join(doubt.subnet_ids)
    if doubt.kind == "wrong-numerics":
        return f"WRONG: {who} ({doubt.way}) is never selected: {doubt.reason}"
    if doubt.kind == "left-out":
        return f"left out: {who} ({doubt.way}): {doubt.reason}"
    return f"UNSTABLE: {doubt.reason}" if doubt.kind == "unstable" else doubt.reason


def _who(group: "RejectionGroup") -> str:
    """Return whom a group of rejections is about."""
    if group.is_chosen:
        ways = f"{len(group.lost)} other ways" if len(group.lost) > 1 else str(group.lost[0].rejection.way)
        return f"{group.lost[0].subnet_id} ({ways})"
    return f"{len(group.lost)} sub-networks" if len(group.lost) > 1 else group.lost[0].subnet_id


def _why(group: "RejectionGroup", report: "SelectionReport") -> str:
    """Return why a group was rejected, with the range of what was measured."""
    if group.kind == "slower":
        return f"no better, and slower: {_range([one.predicted_ms for one in group.lost], '.2f', ' ms')}"
    if group.kind == "less-quality" and report.metric:
        return f"less {report.metric}: {_range([one.quality for one in group.lost], '.3f')}"
    if group.kind == "less-quality":
        return f"smaller: {_range([one.parameters / 1e6 for one in group.lost], '.1f', ' M parameters')}"
    if group.kind == "over-budget":
        return f"over the budget: {', '.join(_over(group, report.selection.budget))}"
    return group.reason or group.kind


def _over(group: "RejectionGroup", budget: "Budget") -> list[str]:
    """Return what breaks a limit of the budget: latencies, memory or both."""
    times = [one.predicted_ms for one in group.lost if one.predicted_ms is not None]
    memory = [one.peak_memory_mb for one in group.lost if one.peak_memory_mb is not None]
    over = []
    if budget.latency_ms and max(times) > budget.latency_ms:
        over.append(_range(times, ".2f", " ms"))
    if budget.memory_mb and max(memory) > budget.memory_mb:
        over.append(_range(memory, ".0f", " MB"))
    return over


def _range(values: Sequence[float | None], form: str, unit: str = "") -> str:
    """Return the smallest and the largest of some values, one number where both look the same."""
    known = [value for value in values if value is not None]
    if not known:
        return "unknown"
    low, high = format(min(known), form), format(max(known), form)
    return (low if low == high else f"{low} to {high}") + unit
