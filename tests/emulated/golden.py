"""How far each way of running each sub-network misses the golden outputs: `golden.py [--bundle B] [--subnets ID,...]`.

Runs on the processor that is asked about and prints JSON lines; `judged` says what they mean.

Where a number lies between two int8 levels its last bit decides which one it becomes, and that moves single texts of
deep networks, others on every processor. Wrong arithmetic moves all texts. So a way is judged by its median over texts
and networks.
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

Finding = dict[str, Any]  # of one sub-network in one way

ALLOWED = 1e-3  # of a logit


def findings(path: str | None, subnets: list[str]) -> Iterator[Finding]:
    """Yield what each sub-network does in each way that this machine offers."""
    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.ways import combinations, ways_to_measure
    from edgebert.subnet import WayFilter

    bundle = Bundle.load(path)
    chosen = [bundle.subnet(id) for id in subnets or [one.id for one in bundle.manifest.subnetworks]]
    ways = ways_to_measure(WayFilter(threads=1), 1, quick=False)
    for combination in combinations(chosen, ways, reduce_range=bundle.manifest.reduce_range):
        way = f"{combination.subnet.precision}, {combination.way}"
        yield {"subnet": combination.subnet.id, "way": way, **_found(bundle, combination)}


def _found(bundle: Any, combination: Any) -> Finding:
    """Return how far the outputs for each text are off and whether edgebert takes them, or why the way is refused."""
    import numpy as np

    from edgebert.engines.session import open_session
    from edgebert.errors import EdgeBertError
    from edgebert.measuring.numerics import numerics
    from edgebert.tasks.tasks import task_in

    golden = bundle.golden()
    inputs = {name: np.array(rows, np.int64) for name, rows in golden.inputs.items()}
    try:
        session = open_session(bundle, combination.subnet, combination.way)
    except EdgeBertError as problem:
        return {"refused": str(problem)}
    outputs = session.run({name: inputs[name] for name in session.input_names})
    found = task_in(bundle.manifest).without_padding(outputs, inputs["attention_mask"])
    off = [
        np.abs(found[right.name] - right.array).reshape(len(right.array), -1).max(axis=1)
        for right in golden.values_of(combination.subnet.id)
    ]
    return {"off": np.max(off, axis=0).tolist(), "is_taken": numerics(bundle, combination.subnet, session).ok}


def judged(lines: Iterable[Finding]) -> tuple[list[str], list[str]]:
    """Return a line of text for each way, and what must not be: a wrong way that is taken, a network without a way."""
    by_way: dict[str, list[Finding]] = defaultdict(list)
    right: dict[str, bool] = {}
    for line in lines:
        by_way[line["way"]].append(line)
    texts, faults = [], []
    for way, of_way in by_way.items():
        ran = [line for line in of_way if "off" in line]
        off = [value for line in ran for value in line["off"]]
        taken = [line["subnet"] for line in ran if line["is_taken"]]
        is_right = bool(off) and statistics.median(off) <= ALLOWED
        texts.append(f"{way}: {_summary(off, len(taken), len(of_way))}")
        texts += [f"    {line['subnet']} is refused: {line['refused']}" for line in of_way if "refused" in line]
        if taken and not is_right:
            faults.append(f"{way} is wrong, and taken for {', '.join(taken)}")
        for line in of_way:
            right[line["subnet"]] = right.get(line["subnet"], False) or (is_right and line.get("is_taken", False))
    faults += [f"{subnet} has no right way" for subnet, is_right in right.items() if not is_right]
    return texts, faults


def _summary(off: list[float], taken: int, networks: int) -> str:
    if not off:
        return f"refused for all {networks} networks"
    middle, mean, most = statistics.median(off), statistics.mean(off), max(off)
    return f"off by {middle:.1e} in the median, {mean:.1e} on average, {most:.1e} at most; {taken} of {networks} taken"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", help="default: the built-in one")
    parser.add_argument("--subnets", default="")
    options = parser.parse_args()
    for finding in findings(options.bundle, [id for id in options.subnets.split(",") if id]):
        sys.stdout.write(json.dumps(finding) + "\n")
