"""The watcher notices every kind of fault: those of the target "planted", which does what its recipe says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz.bases import make_bases
from fuzz.watcher import Job, Limits, Outcome, Worker, shortened

pytestmark = pytest.mark.full
# Limits that are meant to be passed, by what never ends: a busy machine passes them later.
PATIENCE, MEMORY = Limits(cpu_s=2, idle_s=3), Limits(growth_mb=300)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("fuzz")
    make_bases(place, {"planted"})
    return place


@pytest.fixture(scope="module")
def worker(workspace: Path) -> Iterator[Worker]:
    started = Worker(workspace)
    yield started
    started.close()


def planted(what: str) -> Job:
    return Job("planted", 0, [[what, "remove"]])


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("nothing", "right"),
        ("refuse", "refused"),
        ("raise", "exception"),
        ("lines", "message of lines"),
        ("long", "long message"),
        ("print", "standard output"),
        ("open", "opened another file"),
        ("wrong", "wrong answer"),
        ("signal", "crash"),
        ("exit", "crash"),
    ],
)
def test_an_outcome_is_told_by_its_kind(worker: Worker, what: str, kind: str) -> None:
    found: Outcome = worker.run(planted(what))
    assert (found.kind, found.recipe) == (kind, [[what, "remove"]])
    assert found.is_fault == (kind not in ("right", "refused"))


@pytest.mark.parametrize(
    ("what", "limits", "kind"), [("sleep", PATIENCE, "hang"), ("work", PATIENCE, "hang"), ("memory", MEMORY, "memory")]
)
def test_a_worker_beyond_a_limit_is_ended_and_the_next_mutant_gets_another(
    worker: Worker, what: str, limits: Limits, kind: str
) -> None:
    assert worker.run(planted(what), limits).kind == kind
    assert worker.run(planted("nothing")).kind == "right"


def test_a_finding_is_shortened_to_the_steps_that_it_takes(worker: Worker) -> None:
    recipe = [["raise", "remove"], ["a.json", "drop", ["a"]], ["a.json", "set", ["a"], 1]]
    found = Outcome(Job("planted", 0, recipe), "exception", "KeyError", recipe)
    assert shortened(found, worker).recipe == recipe[:1]
