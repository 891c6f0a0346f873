"""Measures what a precision costs: how often a graph answers as the same slice of the checkpoint does in float32."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from edgebert.exporters.draft import Part
from edgebert.inputs.bundle import Accuracy, Answers, Bundle, ExportedSubnet, SubnetAnswers
from edgebert.measuring.evaluation import Answer, answers
from edgebert.subnet import Subnet

Slice = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def slice_of(subnet: Subnet) -> Slice:
    """Return what sub-networks that differ in their precision alone have in common."""
    return subnet.layers, subnet.heads, subnet.ffn


def float_answers(floats: Part, subnets: Sequence[Subnet], data: Path) -> dict[Slice, list[int]]:
    """Return the labels that each slice finds in float32, for the examples of a data file in their order.

    Raises:
        EdgeBertError: the file cannot be read, or its labels are not the bundle's.
    """
    found = {}
    for subnet in subnets:
        if slice_of(subnet) not in found:
            exact = floats.add(msgspec.structs.replace(subnet, id="float", precision="fp32"), {}, ["fused"])
            found[slice_of(subnet)] = [answer.found for answer in answers(floats.bundle, exact, data)]
    return found


def accuracy(bundle: Bundle, subnet: ExportedSubnet, data: Path) -> float:
    """Return how often a sub-network is right on a data file, of 1."""
    marks = [answer.is_right for answer in answers(bundle, subnet, data)]
    return sum(marks) / len(marks)


def scored(
    bundle: Bundle, subnet: ExportedSubnet, data: Path, floats: Mapping[Slice, Sequence[int]]
) -> tuple[ExportedSubnet, SubnetAnswers]:
    """Return a sub-network with its accuracy on a data file and how it differs from float32 there, and its answers."""
    given, exact = list(answers(bundle, subnet, data)), floats[slice_of(subnet)]
    samples, right = len(given), sum(answer.is_right for answer in given)
    right_in_float = sum(label == answer.expected for label, answer in zip(exact, given, strict=True))
    agreeing = sum(label == answer.found for label, answer in zip(exact, given, strict=True))
    with_accuracy = msgspec.structs.replace(
        subnet,
        accuracy=Accuracy(metric="accuracy", value=right / samples, samples=samples, dataset=_name(data)),
        export_error=msgspec.structs.replace(
            subnet.export_error,
            label_agreement=agreeing / samples,
            accuracy_drop=(right_in_float - right) / samples,
        ),
    )
    return with_accuracy, _brief(subnet.id, given)


def answers_to(data: Path, subnetworks: Sequence[SubnetAnswers]) -> Answers:
    """Return the answers of all sub-networks to a data file."""
    samples = len(subnetworks[0].right)
    return Answers(schema_version=Answers.VERSION, dataset=_name(data), samples=samples, subnetworks=tuple(subnetworks))


def _brief(subnet_id: str, given: Sequence[Answer]) -> SubnetAnswers:
    return SubnetAnswers(
        id=subnet_id,
        confidences=tuple(math.floor(answer.confidence * 10_000) / 10_000 for answer in given),
        right="".join(str(int(answer.is_right)) for answer in given),
    )


def _name(data: Path) -> str:
    return "/".join(data.absolute().parts[-2:])
