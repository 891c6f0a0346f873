"""Kills a verb again and again at any step and checks what it leaves: `python tests/kills.py VERB KILLS FOLDER`.

Each run replaces what the one before made, and is killed before a random one of its steps: whenever Python asks the
system to change something, such as to write, rename or remove a file. What stands in its place is then the older or the
newer thing with all its bytes, and after the next whole run nothing else is left.
"""

import argparse
import hashlib
import itertools
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Else a thread of ONNX Runtime's is at work when this process is forked.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_STEPS = {"os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.utime", "shutil.rmtree"}
_WHOLE_RUN_AFTER = 10  # kills

Make = Callable[[int], None]
State = dict[str, str]


def make_exports(folder: Path) -> Make:
    """Return what exports one of two checkpoints to `folder`/place/out."""
    from random_models import random_bert, save

    from edgebert.exporters.build import export

    for number in (0, 1):
        save(random_bert(num_labels=2 + number), folder / f"checkpoint{number}")

    def run(number: int) -> None:
        export(folder / f"checkpoint{number}", folder / "place" / "out")

    return run


def make_checkpoints(folder: Path) -> Make:
    """Return what puts one of two trained models to `folder`/place/out, as the end of a training does."""
    from random_models import random_bert, save

    from edgebert.elastic.checkpoint import load_tokenizer, load_whole, save_model
    from edgebert.tasks.tasks import DEFAULT_TASK

    save(random_bert(), folder / "checkpoint")
    tokenizer = load_tokenizer(folder / "checkpoint")
    task = DEFAULT_TASK(("a", "b"))
    models = [load_whole(folder / "checkpoint", task) for _ in range(2)]
    next(models[1].parameters()).data.add_(1)
    return lambda number: save_model(models[number], tokenizer, folder / "place" / "out")


def make_profiles(folder: Path) -> Make:
    """Return what profiles the built-in bundle into a cache and to `folder`/place/out; trials take no time."""
    from fake_trials import FakeTrials, quiet_machine

    from edgebert.cli.main import main
    from edgebert.measuring import profiler

    os.environ["XDG_CACHE_HOME"] = str(folder / "place")
    defaults = profiler.Profiling.__init__.__kwdefaults__
    assert defaults is not None

    def profile(number: int) -> None:
        defaults.update(measure=FakeTrials(), watch=quiet_machine)
        # Other lengths: what the journal of a killed run of the other ones holds is not taken over.
        lengths = ("16,128", "64,128")[number]
        assert main(["profile", "--lengths", lengths, "--json", "--out", str(folder / "place" / "out")]) == 0

    return profile


VERBS = {"export": make_exports, "train": make_checkpoints, "profile": make_profiles}


def run_in_fork(make: Make, number: int, kill_at: int = 0) -> int:
    """Run in a forked process, which is killed before a step if one is given; return how many it made, 0 if killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        steps = itertools.count(1)

        def kill(event: str, arguments: tuple[Any, ...]) -> None:
            writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if (writes or event in _STEPS) and next(steps) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        make(number)
        os.write(write, str(next(steps)).encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as stream:
        made = stream.read()
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), f"run {number} ended with {status}"
    return int(made or 0)


def state_of(place: Path) -> State:
    """Return the hashes of all files of a folder or of one file, without what says when it was made."""
    paths = [path for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file()]
    return {path.relative_to(place.parent).as_posix(): _hash(path) for path in sorted(paths)}


def _hash(path: Path) -> str:
    lines = [line for line in path.read_bytes().splitlines() if b'"created_at"' not in line]
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def names(place: Path) -> list[str]:
    """Return what is in a folder and in those in it, but for what is in the result."""
    paths = [path.relative_to(place) for path in place.rglob("*")]
    return sorted(path.as_posix() for path in paths if path.parts[0] != "out" or len(path.parts) == 1)


def kill_runs(make: Make, kills: int, place: Path, seed: int) -> dict[str, int]:
    """Kill runs at random steps and check what each leaves; return how often it was the older and the newer thing."""
    chance, out, states, steps = random.Random(seed), place / "out", [], 0
    for number in (0, 1):
        steps = run_in_fork(make, number)
        states.append(state_of(out))
    assert states[0] != states[1]
    left = names(place)

    counts = {"steps": steps, "older": 0, "newer": 0}
    last = 1
    for kill in range(1, kills + 1):
        number = 1 - last
        killed = not run_in_fork(make, number, kill_at=chance.randint(1, steps))
        found = state_of(out)
        assert found in states, f"kill {kill}: neither the older nor the newer thing is at {out}: {sorted(found)}"
        counts["newer" if found == states[number] else "older"] += killed
        last = states.index(found)
        if kill % _WHOLE_RUN_AFTER == 0 or kill == kills:
            # Of both: a profiling that was killed may be gone on with for an hour, by the same command.
            for number in (last, 1 - last):
                assert run_in_fork(make, number)
                assert state_of(out) == states[number]
            last = 1 - last
            assert names(place) == left, f"kill {kill}: left behind: {sorted(set(names(place)) - set(left))}"
            sys.stderr.write(f"{kill} kills\n")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("kills", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "exporters")]
    place = options.folder.resolve() / "place"
    place.mkdir(parents=True)
    counts = kill_runs(VERBS[options.verb](place.parent), options.kills, place, options.seed)
    what = f"{options.verb}: {options.kills} kills at random ones of {counts['steps']} steps (seed {options.seed})"
    sys.stdout.write(f"{what}: {counts['older']} left the older, {counts['newer']} the newer; nothing else was left\n")


if __name__ == "__main__":
    main()
