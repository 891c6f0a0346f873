"""Show what a bundle, a checkpoint or a profile holds."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgebert.inputs.bundle import Bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("path", nargs="?", metavar="PATH", help="a folder or a file (default: the built-in bundle)")


def run(options: argparse.Namespace) -> None:
    """Find out what stands at the path and print it."""
    from edgebert.cli.output import print_json
    from edgebert.cli.profile import print_profile
    from edgebert.errors import EdgeBertError
    from edgebert.inputs.bundle import MANIFEST, Bundle
    from edgebert.measuring.device_profile import DeviceProfile

    path = Path(options.path) if options.path else None
    if path is None or (path / MANIFEST).is_file():
        bundle = Bundle.load(path)
        print_json(bundle.manifest) if options.json else print_bundle(bundle)
    elif (path / "config.json").is_file():
        facts = _checkpoint_facts(path)
        print_json(facts) if options.json else _print_checkpoint(path, facts)
    elif path.is_file():
        profile = DeviceProfile.load(path)
        print_json(profile) if options.json else print_profile(profile, _bundle_of(profile.bundle_sha256))
    else:
        raise EdgeBertError(
            f"nothing to inspect at {path}: expected a bundle, a checkpoint or a profile; check the path"
        )


def print_bundle(bundle: "Bundle") -> None:
    """Print a bundle's manifest as a table."""
    from edgebert.cli.output import megabytes, print_table

    manifest = bundle.manifest
    print(f"bundle '{manifest.name}' ({manifest.task}; labels {', '.join(manifest.labels)})")
    print(
        f"up to {manifest.max_length} tokens; made by edgebert {manifest.edgebert_version}; sha256 {bundle.sha256[:16]}"
    )
    sizes = [f"{weights.file} {megabytes(weights.size_bytes)}" for weights in manifest.weight_files]
    total = sum(file.stat().st_size for file in bundle.path.iterdir())
    print(f"{', '.join(sizes)}, in all {megabytes(total)}\n")
    rows = [
        [
            subnet.id,
            f"{subnet.parameters / 1e6:.1f} M",
            " ".join(map(str, subnet.layers)),
            _brief(subnet.heads),
            _brief(subnet.ffn),
            _known(subnet.quality.value if subnet.quality else None, ".3f"),
            f"{subnet.export_error.max_abs_difference:.1g}",
            _known(subnet.export_error.agreement, ".3f"),
            _known(subnet.export_error.quality_drop, "+.3f"),
        ]
        for subnet in manifest.subnetworks
    ]
    metric = manifest.metric or "quality"
    headers = ["sub-network", "parameters", "layers", "heads", "FFN", metric, "off", "agreement", "drop"]
    print_table(rows, headers, manifest.methods)
    datasets = {f"{s.quality.dataset} ({s.quality.samples} samples)" for s in manifest.subnetworks if s.quality}
    print("\noff (the largest difference of an output), agreement, drop of quality: against the same slice in float32")
    print(
        f"{metric} on {', '.join(sorted(datasets))}"
        if datasets
        else "no quality is known: export with --eval or --texts"
    )


def _known(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _brief(counts: tuple[int, ...]) -> str:
    """Return one number where all are equal, else all."""
    return str(counts[0]) if len(set(counts)) == 1 else " ".join(map(str, counts))


def _bundle_of(sha256: str) -> "Bundle | None":
    """Return the built-in bundle if a profile is of it: only then are qualities at hand."""
    from edgebert.inputs.bundle import Bundle

    bundle = Bundle.load()
    return bundle if bundle.sha256 == sha256 else None


def _checkpoint_facts(path: Path) -> dict[str, Any]:
    from edgebert.errors import EdgeBertError

    try:
        from edgebert.exporters.description import describe
    except ImportError as problem:
        message = f"inspecting a checkpoint needs {problem.name}; pip install 'edgebert[export]'"
        raise EdgeBertError(message) from None
    facts: dict[str, Any] = describe(path)
    return facts


def _print_checkpoint(path: Path, facts: dict[str, Any]) -> None:
    from edgebert.cli.output import megabytes, print_table

    print(f"checkpoint {path}: {facts['model_type']}, {facts['parameters'] / 1e6:.1f} M parameters")
    print(f"{facts['weight_file']} {megabytes(facts['size_bytes'])}, labels {', '.join(facts['labels']) or 'none'}")
    elastic = facts["elastic"]
    if elastic is None:
        print("not elastic")
        return
    kept = f", has the layers {' '.join(map(str, elastic['layers']))} of that" if elastic["layers"] else ""
    print(f"elastic: {elastic['method']}, made from {elastic['origin']}{kept}\n")
    rows = [
        [
            s["id"],
            f"{s['parameters'] / 1e6:.1f} M",
            " ".join(map(str, s["layers"])),
            _brief(s["heads"]),
            _brief(s["ffn"]),
        ]
        for s in facts["subnetworks"]
    ]
    print_table(rows, ["sub-network", "parameters", "layers", "heads", "FFN"])
