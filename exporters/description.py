"""Describes a checkpoint: what it is, its parameters counted from its tensors, and the sub-networks it holds."""

from pathlib import Path
from typing import Any

import msgspec

from edgebert.elastic_manifest import ElasticManifest
from edgebert.exporters.checkpoint import parameters_of
from edgebert.exporters.checkpoint_reader import read_checkpoint, read_config, read_tensors, weight_file
from edgebert.exporters.plan import plan


def describe(path: Path) -> dict[str, Any]:
    """Return what is known of a checkpoint; sub-networks only if it is elastic.

    Raises:
        ExportError: it cannot be read, or is elastic and not of a supported architecture.
    """
    config, elastic, file = read_config(path), ElasticManifest.load(path), weight_file(path)
    names = config.get("id2label")
    subnetworks = []
    if elastic is not None:
        source = read_checkpoint(path)
        for subnet in plan(source, elastic, None, None, ("fp32",)):
            facts = {"id": subnet.id.removesuffix("-fp32"), "parameters": parameters_of(subnet, source)}
            subnetworks.append({**facts, "layers": subnet.layers, "heads": subnet.heads, "ffn": subnet.ffn})
    return {
        "model_type": config.get("model_type", "unknown"),
        "architectures": config.get("architectures", []),
        "parameters": sum(tensor.size for tensor in read_tensors(path).values()),
        "weight_file": file.name,
        "size_bytes": file.stat().st_size,
        "labels": list(map(str, names.values())) if isinstance(names, dict) else [],
        "elastic": None if elastic is None else msgspec.to_builtins(elastic),
        "subnetworks": subnetworks,
    }
