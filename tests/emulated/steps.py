"""What is checked on each emulated processor; each step returns what went wrong, a line each."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from emulated import agreement
from emulated.golden import judged
from emulated.installation import REPOSITORY
from emulated.left_out import LEFT_OUT
from emulated.machine import Machine

# One deep network among them, in which a level may flip, and three in which hardly any does.
FEW = "w0.25-d0.50-int8-static,w0.50-d0.50-int8-static,w0.75-d0.50-int8-static,w1.00-d1.00-int8-static"
# What runs is what is installed, whatever the working folder holds.
_EDGEBERT = ("-P", "-m", "edgebert")
_LARGEST, _SMALLEST = "w1.00-d1.00-int8-static", "w0.25-d0.50-int8-static"
# Made by planted.py, if anybody did: all precisions, and weights that make sums saturate.
_PLANTED = ("planted", "planted-7-bits")
_NOT_OF_DEVICES = ("exporters", "elastic", "parity", "fuzz")


def golden(machine: Machine) -> list[str]:
    """Compute the golden outputs of all sub-networks in every way, and those of the planted bundles."""
    return _golden(machine) + _golden_of_planted(machine)


def golden_few(machine: Machine) -> list[str]:
    """Compute those of four sub-networks, and those of the planted bundles."""
    return _golden(machine, "--subnets", FEW) + _golden_of_planted(machine)


def _golden_of_planted(machine: Machine) -> list[str]:
    faults = []
    for name in _PLANTED:
        bundle = machine.folder.parent / name
        if bundle.exists():
            _say(f"{name}:")
            faults += _golden(machine, "--bundle", str(bundle))
        else:
            faults.append(f"there is no bundle {bundle}; make it with tests/emulated/planted.py")
    return faults


def _golden(machine: Machine, *options: str) -> list[str]:
    done = machine.run(str(Path(__file__).with_name("golden.py")), *options, stdout=subprocess.PIPE)
    if done.returncode != 0:
        return [f"golden.py ended with status {done.returncode}"]
    texts, faults = judged(map(json.loads, done.stdout.splitlines()))
    _say(*texts)
    return faults


def tests(machine: Machine) -> list[str]:
    """Run the tests of the device's side."""
    for test, reason in LEFT_OUT.items():
        _say(f"left out: {test}: {reason}")
    _say(f"{len(LEFT_OUT)} files and folders of tests are left out, for the reasons above")
    options = [part for test in LEFT_OUT for part in ("--deselect", test)]
    options += [part for folder in _NOT_OF_DEVICES for part in ("--ignore", f"tests/{folder}")]
    done = machine.run(
        "-P", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", "--durations=10", *options, cwd=REPOSITORY
    )
    return [f"pytest ended with status {done.returncode}"] if done.returncode else []


def profile(machine: Machine) -> list[str]:
    """Profile quickly; latencies of emulated processors say nothing, so that the profile stays in the folder."""
    done = machine.run(*_EDGEBERT, "profile", "--quick", "--out", str(machine.folder / "profile.json"))
    return [f"edgebert profile ended with status {done.returncode}"] if done.returncode else []


def labels(machine: Machine) -> list[str]:
    """Compare labels of 2,000 texts with those of this machine, by the largest sub-network and by the smallest."""
    texts = _texts(machine.folder.parent)
    faults = []
    for subnet in (_LARGEST, _SMALLEST):
        here = machine.folder.parent / f"{subnet}.csv"
        there = machine.folder / f"{subnet}.csv"
        predict = [*_EDGEBERT, "predict", "--file", str(texts), "--subnet", subnet, "--out"]
        for out in (here, there):
            out.unlink(missing_ok=True)
        subprocess.run([sys.executable, *predict, str(here)], check=True)
        done = machine.run(*predict, str(there))
        if done.returncode != 0:
            faults.append(f"edgebert predict ended with status {done.returncode}")
            continue
        share = agreement.agreement(here, there)
        _say(f"{subnet}: {share:.2%} of {agreement.TEXTS} labels are those of this machine")
        if share < agreement.LEAST:
            faults.append(f"{subnet}: expected {agreement.LEAST:.1%} of labels to be the same, found {share:.2%}")
    return faults


def _texts(folder: Path) -> Path:
    """Return the file of the texts, written if it is not there."""
    texts, reviews = folder / "texts.txt", folder / "movie-reviews"
    if not texts.exists():
        script = REPOSITORY / "benchmarks" / "movie_reviews.py"
        subprocess.run([sys.executable, str(script), "--out", str(reviews)], check=True)
        agreement.write_texts(reviews, texts)
    return texts


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"  {line}\n" for line in lines))
    sys.stdout.flush()


STEPS: dict[str, Callable[[Machine], list[str]]] = {
    "golden": golden,
    "tests": tests,
    "profile": profile,
    "agreement": labels,
    "golden-few": golden_few,
}
