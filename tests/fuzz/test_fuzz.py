"""A fixed share of the fuzzing, and every finding that was kept: a right answer or one clear line, whatever is read.

`make fuzz MINUTES=60` goes on from there. A case in cases.jsonl is a recipe that once was a finding.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz.__main__ import base_names
from fuzz.bases import make_bases
from fuzz.watcher import Job, Outcome, Worker

pytestmark = pytest.mark.full
CASES = [json.loads(line) for line in (Path(__file__).parent / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
# How many mutants of a target every run of the tests reads: about two seconds' worth of work.
SHARES = {"bundle": 60, "forged": 40, "graph": 60, "tokenizer": 40, "profile": 80, "cache": 60, "data": 150}
SHARES |= {"posted": 60, "checkpoint": 40, "tokenized": 40, "sentences": 40}
SHARES |= {"mpnet": 20, "albert": 20, "modernbert": 20}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("fuzz")
    make_bases(place, base_names(list(SHARES)))
    return place


@pytest.fixture(scope="module")
def worker(workspace: Path) -> Iterator[Worker]:
    started = Worker(workspace)
    yield started
    started.close()


def faults(worker: Worker, jobs: list[Job]) -> list[str]:
    return [str(found) for found in map(worker.run, jobs) if found.is_fault]


@pytest.mark.parametrize("target", SHARES)
def test_a_mutant_is_answered_rightly_or_refused_in_one_line(worker: Worker, target: str) -> None:
    assert faults(worker, [Job(target, seed) for seed in range(SHARES[target])]) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["about"])
def test_what_was_found_once_is_right_now(worker: Worker, case: dict) -> None:
    found: Outcome = worker.run(Job(case["target"], case.get("seed", 0), case["recipe"]))
    assert not found.is_fault, str(found)


def test_a_seed_makes_the_same_mutant_again(worker: Worker) -> None:
    first, second = (worker.run(Job("bundle", 11)) for _ in range(2))
    assert first.recipe == second.recipe
    assert (first.kind, first.detail) == (second.kind, second.detail)
