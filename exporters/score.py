"""Measures what a precision costs: how often a graph answers as the same slice of the checkpoint does in float32."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from edgebert.bundle import Accuracy, Bundle, ExportedSubnet
from edgebert.evaluation import answers
from edgebert.exporters.draft import Draft
from edgebert.subnet import Subnet

Slice = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def slice_of(subnet: Subnet) -> Slice:
    """Return what sub-networks that differ in their precision alone have in common."""
    return subnet.layers, subnet.heads, subnet.ffn


def float_answers(floats: Draft, subnets: Sequence[Subnet], data: Path) -> dict[Slice, list[int]]:
    """Return the labels that each slice finds in float32, for the examples of a data file in their order.

    Raises:
        EdgeBertError: the file cannot be read, or its labels are not the bundle's.
    """
    found = {}
    for subnet in subnets:
        if slice_of(subnet) not in found:
            exact = floats.add(msgspec.structs.replace(subnet, id="float", precision="fp32"), {}, ["fused"])
            found[slice_of(subnet)] = [label for label, _ in answers(floats.bundle, exact, data)]
    return found


def accuracy(bundle: Bundle, subnet: ExportedSubnet, data: Path) -> float:
    """Return how often a sub-network is right on a data file, of 1."""
    pairs = list(answers(bundle, subnet, data))
    return sum(found == right for found, right in pairs) / len(pairs)


def scored(bundle: Bundle, subnet: ExportedSubnet, data: Path, floats: Mapping[Slice, Sequence[int]]) -> ExportedSubnet:
    """Return a sub-network with its accuracy on a data file, and how it differs from float32 there."""
    pairs, exact = list(answers(bundle, subnet, data)), floats[slice_of(subnet)]
    samples, right = len(pairs), sum(found == label for found, label in pairs)
    right_in_float = sum(found == label for found, (_, label) in zip(exact, pairs, strict=True))
    agreeing = sum(found == other for (found, _), other in zip(pairs, exact, strict=True))
    dataset = "/".join(data.absolute().parts[-2:])
    return msgspec.structs.replace(
        subnet,
        accuracy=Accuracy(metric="accuracy", value=right / samples, samples=samples, dataset=dataset),
        export_error=msgspec.structs.replace(
            subnet.export_error,
            label_agreement=agreeing / samples,
            accuracy_drop=(right_in_float - right) / samples,
        ),
    )
