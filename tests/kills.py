"""Kills a verb again and again at any step and checks what it leaves: `python tests/kills.py VERB KILLS FOLDER`.

Each run is killed before a random one of its steps: whenever Python asks the system to change something, such as to
write, rename or remove a file. Of what a run replaces, the older or the newer thing then stands there with all its
bytes; a file of answers holds the beginning of what it would have been, and the same command goes on with it. After the
next whole run nothing else is left.
"""

import argparse
import contextlib
import functools
import hashlib
import io
import itertools
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

# Else a thread of ONNX Runtime's is at work when this process is forked.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Python says nothing of what it writes into an open file: of answers, every hundredth is made a step.
_ANSWERS, _ANSWERS_A_STEP, _TEXTS = "answers", 100, 2000
_FORMS = (".tsv", ".csv", ".jsonl")

_STEPS = {"os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.utime", "shutil.rmtree"}
_STEPS |= {_ANSWERS}
_WHOLE_RUNS_AFTER = 10  # kills

Make = Callable[[int], None]
State = dict[str, str]
Left = Counter[str]  # how many kills left what


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


def make_answers(folder: Path) -> Make:
    """Return what answers a file of texts to `folder`/place/out, in the form of that number."""
    from edgebert.cli.main import main
    from edgebert.serving.answer_file import AnswerFile
    from profiles import LEAST

    words = ("a", "great", "film", "dull", "it", "is", "long", "but", "every", "minute", "warm", '"bad"', "plot,", "so")
    texts = [
        " ".join(words[number * place % len(words)] for place in range(1, 2 + number % 9)) for number in range(_TEXTS)
    ]
    (folder / "texts.txt").write_text("\n".join(texts) + "\n")
    append = AnswerFile.append

    def in_steps(answers: Iterable[Any]) -> Iterator[Any]:
        for number, answer in enumerate(answers):
            if number % _ANSWERS_A_STEP == 0:
                sys.audit(_ANSWERS)
            yield answer

    def predict(number: int) -> None:
        AnswerFile.append = lambda file, answers: append(file, in_steps(answers))  # type: ignore[method-assign]
        out = folder / "place" / f"out{_FORMS[number]}"
        with contextlib.redirect_stderr(io.StringIO()) as said:
            status = main(["predict", "--file", str(folder / "texts.txt"), "--subnet", LEAST, "--out", str(out)])
        assert status == 0, said.getvalue()

    return predict


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


def kill_replacing(prepare: Callable[[Path], Make], folder: Path, kills: int, chance: random.Random) -> Left:
    """Kill runs of which each replaces what the one before made, and check what each leaves."""
    make, place, steps, states = prepare(folder), folder / "place", 0, []
    out = place / "out"
    for number in (0, 1):
        steps = run_in_fork(make, number)
        states.append(state_of(out))
    assert states[0] != states[1]
    left = names(place)

    left_by_kills, last = Left(), 1
    while (done := left_by_kills.total()) < kills:
        for _ in range(min(_WHOLE_RUNS_AFTER, kills - done)):
            number = 1 - last
            killed = not run_in_fork(make, number, kill_at=chance.randint(1, steps))
            found = state_of(out)
            assert found in states, f"neither the older nor the newer thing is at {out}: {sorted(found)}"
            last = states.index(found)
            # A profiling that goes on with what a killed one had measured has fewer steps, and may come to its end.
            left_by_kills["the newer" if last == number else "the older"] += killed
        # Of both: a profiling that was killed may be gone on with for an hour, by the same command.
        for number in (last, 1 - last):
            assert run_in_fork(make, number)
            assert state_of(out) == states[number]
        last = 1 - last
        assert names(place) == left, f"left behind: {sorted(set(names(place)) - set(left))}"
    return left_by_kills


def kill_answering(folder: Path, kills: int, chance: random.Random) -> Left:
    """Kill runs that go on with a file of answers, up to three before one is let finish, and check what each leaves."""
    answer, place = make_answers(folder), folder / "place"
    steps, wholes = [], []
    for number, form in enumerate(_FORMS):
        steps.append(run_in_fork(answer, number))
        wholes.append((place / f"out{form}").read_bytes())
    left, left_by_kills = names(place), Left()

    while left_by_kills.total() < kills:
        number = chance.randrange(len(_FORMS))
        out, whole = place / f"out{_FORMS[number]}", wholes[number]
        out.unlink()
        (place / f".{out.name}.edgebert").unlink()
        for _ in range(min(chance.randint(1, 3), kills - left_by_kills.total())):
            if run_in_fork(answer, number, kill_at=chance.randint(1, steps[number])):
                break  # those before had left it fewer steps
            found = out.read_bytes() if out.exists() else b""
            assert whole.startswith(found), f"a kill left {len(found)} bytes that are not the first ones of {out}"
            left_by_kills["all answers" if found == whole else "some answers" if found else "none"] += 1
        assert run_in_fork(answer, number)
        assert out.read_bytes() == whole, f"{out} was gone on with to other answers"
        assert names(place) == left, f"left behind: {sorted(set(names(place)) - set(left))}"
    return left_by_kills


VERBS: dict[str, Callable[[Path, int, random.Random], Left]] = {
    "export": functools.partial(kill_replacing, make_exports),
    "profile": functools.partial(kill_replacing, make_profiles),
    "predict": kill_answering,
    "train": functools.partial(kill_replacing, make_checkpoints),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("kills", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "exporters")]
    folder = options.folder.resolve()
    (folder / "place").mkdir(parents=True)
    left_by_kills = VERBS[options.verb](folder, options.kills, random.Random(options.seed))
    counts = ", ".join(f"{count} left {what}" for what, count in sorted(left_by_kills.items()))
    what = f"{options.verb}: {options.kills} kills at random steps (seed {options.seed})"
    sys.stdout.write(f"{what}: {counts}; after the next whole run nothing else was left\n")


if __name__ == "__main__":
    main()
