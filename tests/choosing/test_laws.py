"""The test vectors of the law of selection: `select` passes them, and so does the law as a plain program below."""

from typing import Any

import law_vectors
import pytest
from law_vectors import bundle_of, profile_of, way_of

from edgebert.choosing.selection import Budget, Miss, select
from edgebert.errors import BudgetError
from edgebert.subnet import Way

LAWS = law_vectors.read()
CASES = [pytest.param(law, case, id=f"{name}: {case['name']}") for name, law in LAWS.items() for case in law["cases"]]

Json = Any


def name_of(law: Json, way: Way) -> str:
    (name,) = (name for name in law["ways"] if way_of(law, name) == way)
    return str(name)


def decided(law: Json, case: Json) -> Json:
    """Return what `select` decides, in the form of a case."""
    bundle = bundle_of(law)
    try:
        chosen = select(bundle, profile_of(law, bundle), Budget(**case["budget"]))
    except BudgetError as problem:
        miss: Miss | None = problem.nearest
        if miss is None:
            return {"error": {"kind": "nothing-admitted", "nearest": None}}
        return {"error": {"kind": "over-budget", "nearest": told(law, miss)}}
    rejected = []
    for one in chosen.rejected:
        way = None if one.kind == "not-profiled" else name_of(law, one.way)
        rejected.append({"id": one.subnetwork, "way": way, "kind": one.kind})
    return {"chosen": told(law, chosen), "rejected": rejected}


def told(law: Json, one: Any) -> Json:
    return {
        "id": one.subnetwork,
        "way": name_of(law, one.way),
        "predicted_ms": one.predicted_ms,
        "peak_memory_mb": one.peak_memory_mb,
        "quality": one.quality,
    }


# The law as the README beside the vectors tells it, from plain JSON and without any code of edgebert's.


def by_the_law(law: Json, case: Json) -> Json:
    budget = {"percentile": 95, "length": law["longest_length"], "batch_size": 1, "tolerance": 0, **case["budget"]}
    budget["length"] = min(budget["length"], law["longest_length"])
    admitted, rejected = admitted_by(law, budget)
    within = [one for one in admitted if one["times"] is None or keeps(one, budget)]
    if not admitted:
        return {"error": {"kind": "nothing-admitted", "nearest": None}}
    if not within:
        return {"error": {"kind": "over-budget", "nearest": result(min(admitted, key=lambda one: one["times"]))}}

    best = max(one["worth"] for one in within)
    tied = [one for one in within if best - one["worth"] <= budget["tolerance"] + 1e-9]
    chosen = min(tied, key=lambda one: (one["ms"], most_mb(one), one["network"]["parameters"]))
    for one in admitted:
        if one is not chosen:
            rejected.append(lost(one, "slower" if one in tied else "less-quality" if one in within else "over-budget"))
    return {"chosen": result(chosen), "rejected": rejected + never_measured(law)}


def admitted_by(law: Json, budget: Json) -> tuple[list[Json], list[Json]]:
    networks = {one["id"]: one for one in law["subnetworks"]}
    if not any(one["quality"] is not None for one in networks.values()):
        budget["tolerance"] = 0
        networks = {key: {**one, "worth": one["parameters"]} for key, one in networks.items()}
    admitted, rejected = [], []
    for one in law["entries"]:
        network, ms = networks[one["id"]], cost_ms(one, budget, law["ways"][one["way"]])
        worth = network.get("worth", network["quality"])
        if worth is None:
            rejected.append(lost(one, "unknown-quality"))
        elif not one["numerics_ok"]:
            rejected.append(lost(one, "wrong-numerics"))
        elif "memory_mb" in budget and one["peak_memory_mb"] is None:
            rejected.append(lost(one, "unknown-memory"))
        elif ms is None:
            rejected.append(lost(one, "beyond-profile"))
        else:
            times = times_the_budget({**one, "ms": ms}, budget)
            admitted.append({**one, "ms": ms, "worth": worth, "network": network, "times": times})
    return admitted, rejected


def times_the_budget(one: Json, budget: Json) -> float | None:
    times = [one["ms"] / budget["latency_ms"]] if "latency_ms" in budget else []
    times += [one["peak_memory_mb"] / budget["memory_mb"]] if "memory_mb" in budget else []
    return max(times, default=None)


def keeps(one: Json, budget: Json) -> bool:
    limits = {"ms": budget.get("latency_ms"), "peak_memory_mb": budget.get("memory_mb")}
    return all(limit is None or one[name] <= limit for name, limit in limits.items())


def most_mb(one: Json) -> float:
    return float("inf") if one["peak_memory_mb"] is None else float(one["peak_memory_mb"])


def never_measured(law: Json) -> list[Json]:
    seen = {one["id"] for one in law["entries"] + law["left_out"]}
    others = [one["id"] for one in law["subnetworks"] if one["id"] not in seen]
    left_out = [lost(one, "left-out") for one in law["left_out"]]
    return left_out + [{"id": subnet_id, "way": None, "kind": "not-profiled"} for subnet_id in others]


def lost(one: Json, kind: str) -> Json:
    return {"id": one["id"], "way": one["way"], "kind": kind}


def result(one: Json) -> Json:
    values = {"predicted_ms": one["ms"], "quality": one["network"]["quality"]}
    return {name: one[name] for name in ("id", "way", "peak_memory_mb")} | values


def cost_ms(one: Json, budget: Json, way: Json) -> float | None:
    length = min((pad for pad in one["pad_to"] if pad >= budget["length"]), default=budget["length"])
    level = min(level for level in (50, 90, 95, 99) if budget["percentile"] <= level)
    costs = {(row["batch_size"], row["length"]): row[f"p{level}_ms"] for row in one["latency"]}
    sizes, lengths = sorted({size for size, _ in costs}), sorted({length for _, length in costs})
    if length > lengths[-1] or budget["batch_size"] > sizes[-1]:
        return None
    by_size = {size: on_the_line(length, {n: costs[size, n] for n in lengths}) for size in sizes}
    if "batch_sizes" not in dict(way["options"]):
        return on_the_line(budget["batch_size"], by_size)
    ms, left, parts = 0.0, budget["batch_size"], [int(size) for size in dict(way["options"])["batch_sizes"].split(",")]
    while left > 0:
        part = max((size for size in parts if size <= left), default=min(parts))
        ms, left = ms + by_size[part], left - part
    return ms


def on_the_line(at: float, values: dict[int, float]) -> float:
    low = max((place for place in values if place <= at), default=min(values))
    high = min(place for place in values if place >= at)
    return values[high] if high <= low else values[low] + (values[high] - values[low]) * (at - low) / (high - low)


def check(found: Json, case: Json) -> None:
    expected = {key: value for key, value in case.items() if key not in ("name", "budget")}
    assert found.keys() == expected.keys()
    if "error" in expected:
        assert found["error"]["kind"] == expected["error"]["kind"]
        assert_same(found["error"]["nearest"], expected["error"]["nearest"])
    else:
        assert_same(found["chosen"], expected["chosen"])
        assert in_order(found["rejected"]) == in_order(expected["rejected"])


def assert_same(found: Json, expected: Json) -> None:
    if expected is None:
        assert found is None
        return
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, int | float) else value), name


def in_order(rejected: list[Json]) -> list[Json]:
    return sorted(rejected, key=lambda one: (one["id"], str(one["way"]), one["kind"]))


@pytest.mark.parametrize(("law", "case"), CASES)
def test_select_decides_as_the_law_does(law: Json, case: Json) -> None:
    check(decided(law, case), case)


@pytest.mark.parametrize(("law", "case"), CASES)
def test_the_vectors_are_right(law: Json, case: Json) -> None:
    check(by_the_law(law, case), case)


def test_there_are_vectors_of_every_kind() -> None:
    kinds = {one["kind"] for law in LAWS.values() for case in law["cases"] for one in case.get("rejected", ())}
    assert kinds == {
        "over-budget",
        "less-quality",
        "slower",
        "unknown-quality",
        "wrong-numerics",
        "unknown-memory",
        "beyond-profile",
        "left-out",
        "not-profiled",
    }
    assert len(CASES) >= 40
