"""The test vectors in tests/laws: reads them, and run as a script writes this side's answers into those of its folders.

Cases stand in the files; to add one, write it there without its answer and run this.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edgebert.choosing.selection import Budget, Rejection, select, select_unprofiled
from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.errors import BudgetError
from edgebert.inputs.bundle import BUILTIN, Bundle
from edgebert.inputs.manifest import ExportedSubnet, Quality
from edgebert.measuring.cost_model import CostModel, Latency
from edgebert.measuring.device_profile import DeviceProfile, LeftOut
from edgebert.serving.governor import Governor
from edgebert.subnet import Way
from profiles import entry, profile_with

FOLDER = Path(__file__).parent / "laws"

Json = Any
Answered = Callable[[Json], Json]


def read(folder: str = ".") -> dict[str, Json]:
    """Return what the files of a folder hold, by their names."""
    files = sorted((FOLDER / folder).glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def bundle_of(law: Json) -> Bundle:
    builtin = Bundle.load()
    networks = [subnet_of(one, builtin.manifest.subnetworks[0]) for one in law["subnetworks"]]
    said = {"name": "law", "max_length": law["longest_length"], "subnetworks": tuple(networks)}
    return Bundle(BUILTIN, msgspec.structs.replace(builtin.manifest, **said))


def subnet_of(one: Json, like: ExportedSubnet) -> ExportedSubnet:
    value = one["quality"]
    quality = None if value is None else Quality(metric="accuracy", value=value, samples=100, dataset="x", also={})
    return msgspec.structs.replace(like, id=one["id"], parameters=one["parameters"], quality=quality)


def profile_of(law: Json, bundle: Bundle) -> DeviceProfile:
    entries = [
        msgspec.structs.replace(
            entry(one["id"], 1.0, one["peak_memory_mb"], numerics_ok=one["numerics_ok"], run=way_of(law, one["way"])),
            pad_to=tuple(one["pad_to"]),
            latency=msgspec.convert(one["latency"], tuple[Latency, ...]),
        )
        for one in law["entries"]
    ]
    left_out = tuple(LeftOut(id=one["id"], way=way_of(law, one["way"]), reason="slow") for one in law["left_out"])
    return msgspec.structs.replace(profile_with(bundle, *entries), left_out=left_out)


def way_of(law: Json, name: str) -> Way:
    return msgspec.convert(law["ways"][name], Way)


def with_costs(law: Json) -> Json:
    """Return a file of costs with what this side expects of each shape, and its bounds."""
    measured = msgspec.convert(law["latency"], tuple[Latency, ...])
    options = msgspec.convert(law["options"], tuple[tuple[str, str], ...])
    model = CostModel(measured, law["pad_to"], FixedShapes.of(options))
    cases = []
    for case in law["cases"]:
        shape = case["length"], case["batch_size"], case["percentile"]
        cases.append({**case, "expected_ms": model.expected_ms(*shape), "bound_ms": model.bound_ms(*shape)})
    return {**law, "cases": cases}


def with_answers(law: Json) -> Json:
    """Return a file of the governor with what this side answers to each step that asks for something."""
    now_s = 0.0
    governor = Governor(lambda: now_s)
    steps = []
    for step in law["steps"]:
        now_s = step["at_s"]
        values = [step[name] for name in ("expected_ms", "observed_ms", "allowed_ms", "ms") if name in step]
        way = [way_of(law, step["way"])] if "way" in step else []
        called = getattr(governor, step["call"])
        answer = called(*way, *values) if callable(called) else called
        steps.append(step if answer is None else {**step, "answer": answer})
    return {**law, "steps": steps}


def with_words(words: Json) -> Json:
    """Return the file of words with what this side says of each case of the law."""
    return {**words, "laws": {name: words_of(law) for name, law in read().items()}}


def words_of(law: Json) -> Json:
    bundle, (way, *_) = bundle_of(law), law["ways"]
    cases = {case["name"]: words_of_case(law, Budget(**case["budget"])) for case in law["cases"]}
    best = select_unprofiled(bundle, Budget(), way_of(law, way))
    return {"cases": cases, "unprofiled": {"chosen": best.subnetwork, "reasons": reasons(best.rejected)}}


def words_of_case(law: Json, budget: Budget) -> Json:
    bundle = bundle_of(law)
    try:
        return {"reasons": reasons(select(bundle, profile_of(law, bundle), budget).rejected)}
    except BudgetError as problem:
        return {"message": str(problem)}


def reasons(rejected: tuple[Rejection, ...]) -> list[str]:
    return [f"{one.subnetwork}: {one.reason}" for one in rejected]


def written(value: Json, margin: str = "") -> str:
    """Return a value as JSON: each element of a list in one line, and each value of an object that is short."""
    line = json.dumps(value)
    if not isinstance(value, dict | list) or (margin and len(line) < 110):
        return line
    inner = margin + " "
    if isinstance(value, list):
        return f"[\n{inner}" + f",\n{inner}".join(map(json.dumps, value)) + f"\n{margin}]"
    parts = [f"{json.dumps(key)}: {written(one, inner)}" for key, one in value.items()]
    return f"{{\n{inner}" + f",\n{inner}".join(parts) + f"\n{margin}}}"


def main() -> None:
    for folder, answer in (("costs", with_costs), ("governor", with_answers), ("words", with_words)):
        for name, law in read(folder).items():
            (FOLDER / folder / f"{name}.json").write_text(written(answer(law)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
