"""The test vectors in tests/laws: reads them, and run as a script writes this side's answers into those of its folders.

Cases stand in the files; to add one, write it there without its answer and run this.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from fake_trials import measurement
from numpy.typing import NDArray

from edgebert.choosing.selection import Budget, Rejection, select, select_unprofiled
from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.errors import BudgetError, EdgeBertError
from edgebert.inputs.bundle import BUILTIN, Bundle, GoldenValues
from edgebert.inputs.manifest import EmbeddingSettings, ExportedSubnet, Quality
from edgebert.measuring.cost_model import CostModel, Latency
from edgebert.measuring.device_profile import DeviceProfile, LeftOut
from edgebert.measuring.latency_statistics import is_known, latency_of, samples_by_shape
from edgebert.measuring.numerics import missed
from edgebert.measuring.profile_settings import Shape, settings_for
from edgebert.serving.governor import Governor
from edgebert.subnet import Way
from edgebert.tasks.sentence_embedding import SentenceEmbedding
from edgebert.tasks.tasks import kind_of
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


def with_numerics(law: Json) -> Json:
    """Return a file of golden outputs with how far this side finds each case's outputs off."""
    said = law["task"]
    kind = kind_of(said["task"], EdgeBertError)
    labels = tuple(said["labels"])
    task = (
        SentenceEmbedding((), msgspec.convert(said["embedding"], EmbeddingSettings))
        if kind is SentenceEmbedding
        else kind(labels)
    )
    mask = np.array(law["mask"], np.int64)
    cases = []
    for case in law["cases"]:
        expected = msgspec.convert(case["right"], tuple[GoldenValues, ...])
        found = {name: array_of(output) for name, output in case["found"].items()}
        numbers = missed(task.without_padding(found, mask), expected, task)
        cases.append({**case, "expected": msgspec.to_builtins(numbers)})
    return {**law, "cases": cases}


def array_of(output: Json) -> NDArray[np.float32]:
    """Return the numbers of an output; those that JSON has none for are texts."""
    return np.array([float(value) for value in output["values"]], np.float32).reshape(output["shape"])


def with_medians(law: Json) -> Json:
    """Return a file of samples with what this side says of them, shape by shape, and whether that is known well."""
    said = {"min_rounds": law["min_rounds"], "interval_share": law["interval_share"]}
    settings = msgspec.structs.replace(settings_for(Bundle.load()), **said)
    cases = []
    for case in law["cases"]:
        rounds = [
            msgspec.structs.replace(measurement(1.0), samples_ms=tuple(map(tuple, one))) for one in case["rounds"]
        ]
        samples_ms = samples_by_shape(rounds)
        found = [latency_of(Shape(batch_size=1, length=2), of_shape) for of_shape in samples_ms]
        rows = [json.loads(msgspec.json.encode(row)) for row in found]
        medians = [{name: row[name] for name in row if name.startswith("p") or name == "runs"} for row in rows]
        cases.append({**case, "latency": medians, "is_known": is_known(rounds, settings)})
    return {**law, "cases": cases}


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


ANSWERS: dict[str, Answered] = {
    "costs": with_costs,
    "governor": with_answers,
    "words": with_words,
    "golden": with_numerics,
    "medians": with_medians,
}


def main() -> None:
    for folder, answer in ANSWERS.items():
        for name, law in read(folder).items():
            (FOLDER / folder / f"{name}.json").write_text(written(answer(law)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
