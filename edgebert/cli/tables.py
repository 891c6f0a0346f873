"""Prints what reports hold as text."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from edgebert.cli.output import megabytes, print_table, print_text
from edgebert.errors import listed

if TYPE_CHECKING:
    from edgebert.choosing.selection import Budget
    from edgebert.inputs.bundle import Bundle
    from edgebert.inputs.manifest import EmbeddingSettings, ExportedSubnet
    from edgebert.measuring.evaluation import Evaluation
    from edgebert.reporting.comparison_report import ComparedEntry, Comparison
    from edgebert.reporting.profile_report import Doubt, ProfileReport
    from edgebert.reporting.selection_report import RejectionGroup, SelectionReport

_SIZES = ("sub-network", "parameters", "layers", "heads", "FFN")


def print_bundle(bundle: "Bundle") -> None:
    """Print a bundle's manifest as a table."""
    from edgebert.inputs.tokenization import Tokenizer

    manifest = bundle.manifest
    labels = f"; labels {listed(manifest.labels)}" if manifest.labels else ""
    print_text(f"bundle '{manifest.name}' ({manifest.task}{labels})")
    if manifest.embedding is not None:
        _print_embedding(manifest.embedding)
    print_text(f"made by edgebert {manifest.edgebert_version}; sha256 {bundle.sha256[:16]}")
    end = "start" if Tokenizer.of(bundle).side == "left" else "end"
    which = ", of a pair the longer one first" if manifest.pairs else ""
    print_text(f"texts of more than {manifest.max_length} tokens are cut at their {end}{which}")
    sizes = [f"{weights.file} {megabytes(weights.size_bytes)}" for weights in manifest.weight_files]
    total = sum(file.stat().st_size for file in bundle.path.iterdir())
    print_text(f"{', '.join(sizes)}, in all {megabytes(total)}\n")

    # The metric that sub-networks are chosen by stands first, whatever else the task reports.
    known = [subnet.quality for subnet in manifest.subnetworks if subnet.quality]
    metrics = [manifest.metric or "quality", *sorted({name for quality in known for name in quality.also})]
    rows = []
    for subnet in manifest.subnetworks:
        qualities = {metrics[0]: subnet.quality.value, **subnet.quality.also} if subnet.quality else {}
        error = subnet.export_error
        errors = [f"{error.max_abs_difference:.1g}", _number(error.agreement), _number(error.quality_drop, "+.3f")]
        rows.append([*_size_cells(subnet), *(_number(qualities.get(name)) for name in metrics), *errors])
    headers = [*_SIZES, *metrics, "difference", "agreement", "drop"]
    _print_with_methods(rows, headers, [subnet.method for subnet in manifest.subnetworks])

    print_text(
        "\nagainst the same slice in float32: the largest difference of an output, the agreement of answers, and\n"
        "how much quality is lost"
    )
    datasets = ", ".join(sorted({f"{quality.dataset} ({quality.samples} samples)" for quality in known}))
    print_text(f"{metrics[0]} is that on {datasets}" if known else "no quality is known; export with --eval or --texts")


def _print_embedding(settings: "EmbeddingSettings") -> None:
    length = "of length 1" if settings.is_normalized else "of any length"
    dims = " or ".join(map(str, settings.dims))
    print_text(f"vectors of {dims} dims, {length}, compared by {settings.similarity}; space {settings.space[:16]}")
    prompts = [f"{name} {prompt!r}" for name, prompt in settings.prompts.items() if prompt]
    if prompts:
        print_text(f"prompts {listed(prompts)}; that of texts by themselves {settings.default_prompt or 'none'}")


def print_checkpoint(path: object, facts: dict[str, Any]) -> None:
    """Print what `edgebert.exporters.description` tells of a checkpoint."""
    print_text(f"checkpoint {path}: {facts['model_type']}, {facts['parameters'] / 1e6:.1f} M parameters")
    labels = listed(facts["labels"]) or "none"
    print_text(f"{facts['weight_file']} {megabytes(facts['size_bytes'])}, labels {labels}")
    problem = facts["export_problem"]
    print_text("can be exported" if problem is None else f"cannot be exported: {problem}")
    elastic = facts["elastic"]
    if elastic is None:
        print_text("not elastic")
        return

    kept = f", has the layers {' '.join(map(str, elastic['layers']))} of that" if elastic["layers"] else ""
    print_text(f"elastic: {elastic['method']}, made from {elastic['origin']}{kept}\n")
    print_table([_size_cells(SimpleNamespace(**one)) for one in facts["subnetworks"]], _SIZES)


def print_profile(report: "ProfileReport") -> None:
    """Print a profile as a table, with the Pareto front where qualities are known, and what is doubtful."""
    profile, settings, metric = report.profile, report.profile.settings, report.metric or "quality"
    pace = f"; {settings.requests_per_s:g} requests a second" if settings.requests_per_s else ""
    emulated = f"; EMULATED, limited to {settings.emulated}" if settings.emulated else ""
    print_text(f"{profile.device}; {_versions(profile.engine_versions)}{pace}{emulated}")
    measured = f"measured {profile.created_at} by {profile.device.RUNTIME} on {_whose(report)}"
    print_text(f"profile of bundle {profile.bundle_sha256[:16]}, {measured}")
    front = f"* is on the Pareto front of {metric} against p95 at the last length"
    drift = "drift is how far outputs are from those that were exported"
    print_text(f"batch {report.batch_size}, p50 / p95 in ms; {front}; {drift}\n")
    rows = []
    for row in report.rows:
        entry, times = row.entry, (f"{one.p50_ms:.2f} / {one.p95_ms:.2f}" for one in row.latency)
        costs = (*times, f"{entry.load_ms:.0f}", _number(entry.peak_memory_mb, ".0f"))
        drift = _drift(entry.numerics.drift, is_right=entry.numerics_ok)
        rows.append([entry.id, entry.way, _number(row.quality), *costs, drift, "*" if row.is_on_front else ""])
    lengths = [f"{length} tokens" for length in settings.lengths]
    headers = ["sub-network", "run by", metric, *lengths, "load ms", "peak MB", "drift", "front"]
    _print_with_methods(rows, headers, [row.method for row in report.rows])
    for doubt in report.doubts:
        print_text(f"\n{_doubt(doubt)}")


def print_comparison(comparison: "Comparison") -> None:
    """Print several profiles side by side: a line for each sub-network and profile."""
    for place, one in enumerate(comparison.profiles):
        measured = f"measured {one.created_at} by {one.device.RUNTIME}, {_versions(one.engine_versions)}"
        print_text(f"{place + 1}  {one.name}: {one.device}; {measured}")
        if one.warning:
            print_text(f"   UNSTABLE: {one.warning}")
    print_text(f"profiles of bundle {comparison.bundle_sha256[:16]}; each sub-network run in the fastest right way")
    drift = "drift is how far outputs are from those that were exported"
    print_text(f"batch {comparison.batch_size}, {comparison.length} tokens; ~ is of means of several runs; {drift}\n")
    rows = []
    for subnet in comparison.subnetworks:
        for entry in subnet.measured:
            # Once for all lines of a sub-network.
            who = (subnet.id, _number(subnet.quality)) if entry is subnet.measured[0] else ("", "")
            rows.append([*who, entry.profile + 1, entry.way, *_compared_cells(entry)])
    headers = ["sub-network", comparison.metric or "quality", "profile", "run by", "p50 / p95 ms", "peak MB", "drift"]
    print_table(rows, headers)


def _compared_cells(entry: "ComparedEntry") -> list[str]:
    means = " ~" if entry.runs_per_sample > 1 else ""
    drift = _drift(entry.drift, is_right=entry.numerics_ok)
    return [f"{entry.p50_ms:.2f} / {entry.p95_ms:.2f}{means}", _number(entry.peak_memory_mb, ".0f"), drift]


def _versions(engine_versions: Mapping[str, str]) -> str:
    """Return what ran graphs, each once: several engines may be of one library."""
    return ", ".join(dict.fromkeys(engine_versions.values()))


def _drift(drift: float, *, is_right: bool) -> str:
    return f"{drift:.1g}" if is_right else f"{drift:.1g} WRONG"


def print_selection(report: "SelectionReport", *, every: bool) -> None:
    """Print a choice and why the others lost: together, or `every` one of them."""
    chosen = report.selection
    print_text(f"{chosen.subnetwork} ({chosen.method}) is the best within {chosen.budget}")
    quality = "unknown quality" if chosen.quality is None else f"{report.metric} {chosen.quality:.3f}"
    memory = "unknown memory" if chosen.peak_memory_mb is None else f"{chosen.peak_memory_mb:.0f} MB"
    print_text(f"{quality}, {chosen.predicted_ms:.2f} ms, {memory}, run by {chosen.way}")

    if every:
        rows = [[one.subnetwork, one.way, one.reason] for one in chosen.rejected]
        headers = ["rejected", "run by", "reason"]
    else:
        rows = [[_who(group), _why(group, report)] for group in report.groups]
        headers = ["rejected", "reason"]
    if rows:
        print_text()
        print_table(rows, headers, words=len(headers))


def print_evaluation(evaluation: "Evaluation", bundle: "Bundle") -> None:
    """Print the metrics of sub-networks on labelled data as a table."""
    from edgebert.reporting.evaluation_report import near_best

    samples = f"{evaluation.samples} samples; * may be as good as the best, by its 95 % interval"
    print_text(f"{evaluation.dataset}: {samples}\n")
    near, rows = near_best(evaluation), []
    for one in evaluation.subnetworks:
        first, *others = (f"{value:.4f}" for value in one.metrics.values())
        interval = f"{one.ci95[0]:.3f} - {one.ci95[1]:.3f}"
        rows.append([one.id, first, interval, "*" if one.id in near else "", *others, f"{one.seconds:.1f}"])
    first, *others = evaluation.subnetworks[0].metrics
    headers = ["sub-network", first, "95 % interval", "best", *others, "seconds"]
    _print_with_methods(rows, headers, [bundle.manifest.methods[one.id] for one in evaluation.subnetworks])


def _size_cells(subnet: "ExportedSubnet | SimpleNamespace") -> list[str]:
    """Return how large a sub-network is: heads and neurons are one number where all layers have as many."""
    heads, ffn = (set(counts) if len(set(counts)) == 1 else counts for counts in (subnet.heads, subnet.ffn))
    numbers = (" ".join(map(str, counts)) for counts in (subnet.layers, heads, ffn))
    return [subnet.id, f"{subnet.parameters / 1e6:.1f} M", *numbers]


def _number(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None else format(value, form)


def _print_with_methods(
    rows: Sequence[Sequence[object]], headers: Sequence[str], methods: Sequence[str | None]
) -> None:
    """Print a table of sub-networks, with a column for the methods that made them where they differ."""
    # In a bundle of one method the column would say the same in every row.
    if len(set(methods)) > 1:
        headers = [headers[0], "method", *headers[1:]]
        rows = [[row[0], method or "-", *row[1:]] for row, method in zip(rows, methods, strict=True)]
    print_table(rows, headers)


def _whose(report: "ProfileReport") -> str:
    return "this device" if report.is_of_this_device else "another device: its times may not hold here"


def _doubt(doubt: "Doubt") -> str:
    ids = doubt.subnet_ids
    who = f"{len(ids)} sub-networks from {ids[0]} on" if len(ids) > 1 else "".join(ids)
    before = {
        "wrong-numerics": f"WRONG: {who} ({doubt.way}) is never selected: ",
        "left-out": f"left out: {who} ({doubt.way}): ",
        "unstable": "UNSTABLE: ",
    }
    return before.get(doubt.kind, "") + doubt.reason


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
    if group.kind == "less-quality":  # where no quality is known, the largest network that fits is the best
        return f"smaller: {_range([one.parameters / 1e6 for one in group.lost], '.1f', ' M parameters')}"
    if group.kind == "over-budget":
        return f"over the budget: {', '.join(_over(group, report.selection.budget))}"
    return group.reason or group.kind


def _over(group: "RejectionGroup", budget: "Budget") -> list[str]:
    """Return what breaks a limit of the budget: latencies, memory or both."""
    # All in the group are over the budget, though not each by the same limit: the range is over all of them.
    limits = (
        (budget.latency_ms, [one.predicted_ms or 0.0 for one in group.lost], ".2f", " ms"),
        (budget.memory_mb, [one.peak_memory_mb or 0.0 for one in group.lost], ".0f", " MB"),
    )
    return [_range(found, form, unit) for limit, found, form, unit in limits if limit and max(found) > limit]


def _range(values: Sequence[float | None], form: str, unit: str = "") -> str:
    """Return the smallest and the largest of some values, one number where both look the same."""
    known = [value for value in values if value is not None]
    if not known:
        return "unknown"
    low, high = format(min(known), form), format(max(known), form)
    return (low if low == high else f"{low} to {high}") + unit
