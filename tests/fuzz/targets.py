"""The readers that mutants are given to: what each mutates, how it reads a mutant, and what a right outcome is.

A target's `read` returns where the reader read; it raises what the reader raises, and a `FaultError` where an outcome
is wrong. An EdgeBertError is a refusal, which is right but for what the user did not give (see `may_refuse`).
"""

import contextlib
import functools
import io
import math
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from fuzz.forging import forge
from fuzz.recipes import Recipe, draw
from fuzz.table_edits import NEUTRAL

TEXTS = ("a good film", "The plot, it's bad! " * 12, "Ärger 東京 \U0001f600")


class FaultError(Exception):
    """What is wrong with an outcome that is no exception: its kind in a word, and details."""

    def __init__(self, kind: str, detail: str):
        super().__init__(detail)
        self.kind = kind


class Target:
    """A reader and its valid input."""

    base: ClassVar[str]
    may_refuse = True
    # The share of steps about the place of a file, and of mutants that are read by the command line.
    places = 0.1
    by_command_line = 0.15

    def files(self, folder: Path) -> list[str]:
        """Return what may be mutated, several times what should be more often."""
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    def recipe(self, random: Random, folder: Path) -> Recipe:
        """Return a mutant of one to three steps."""
        files, steps = self.files(folder), []
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            step = draw(random, folder, random.choice(files), self.places)
            steps += [step] if step else []
        return steps

    def prepare(self, folder: Path) -> None:
        """Change a mutant once more after its steps."""

    def stays_inside(self, recipe: Recipe) -> bool:
        """Return whether no file may be opened but those of the folder."""
        return False  # who names a link to a profile means what it leads to

    def read(self, folder: Path, recipe: Recipe, random: Random) -> None:
        """Read a mutant."""
        raise NotImplementedError


def _run(*arguments: str) -> str:
    """Run a command line in this process and return its output; a refusal of one line is no fault."""
    from edgebert.cli.main import main

    out, error = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors="surrogateescape", newline="\n") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        status = main(list(arguments))
    out.flush()
    error.flush()
    printed, told = (file.buffer.getvalue().decode("utf-8", "replace") for file in (out, error))
    if any(ord(character) < 32 and character not in "\n\t" for character in printed + told):
        raise FaultError("control characters", f"{arguments[0]} printed {printed + told!r}"[:500])
    lines = [line for line in told.splitlines() if line.startswith("error: ")]
    if status not in (0, 1, 3) or (status != 0) != (len(lines) == 1):
        raise FaultError("command line", f"{arguments[0]} ended with {status} and told {told!r}"[:500])
    if len(lines) == 1 and len(lines[0]) > MOST_CHARACTERS:
        raise FaultError("long message", lines[0])
    return printed


MOST_CHARACTERS = 800


def check_message(message: str) -> None:
    """Raise a FaultError if a refusal is not one clear line."""
    if "\n" in message or not message.strip():
        raise FaultError("message of lines", message[:500])
    if len(message) > MOST_CHARACTERS:
        raise FaultError("long message", f"{len(message)} characters: {message[:300]}")


class BundleTarget(Target):
    """A bundle whose files and manifest are mutated: the right answer or a refusal.

    With forged hashes other answers are right too, as long as they are well-formed.
    """

    base = "bundle"

    def __init__(self, *endings: str, forged: bool = False, base: str = "bundle"):
        """Mutate files of these endings only, if there are any."""
        self.endings, self.forged = endings, forged
        self.base = base  # type: ignore[misc]

    def files(self, folder: Path) -> list[str]:
        """Return all files, and the manifest as often as the others together."""
        found = [name for name in super().files(folder) if not self.endings or name.endswith(self.endings)]
        return found if self.endings else [*found, *["bundle.json"] * len(found)]

    def stays_inside(self, recipe: Recipe) -> bool:
        """Return whether the manifest is no link: a bundle is where its manifest is."""
        return not any(file == "bundle.json" and name == "link" for file, name, *_ in recipe)

    def prepare(self, folder: Path) -> None:
        """Forge the hashes."""
        if self.forged:
            forge(folder)

    def read(self, folder: Path, recipe: Recipe, random: Random) -> None:
        """Answer with the sub-network whose graph is mutated, else with any."""
        graph = next((file for file, *_ in recipe if file.endswith(".onnx")), None)
        base = folder.parent.parent / "bases" / self.base
        chosen = graph or random.choice(sorted(path.name for path in base.glob("*.fused.onnx")))
        subnet_id, flavor = chosen.removesuffix(".onnx").rsplit(".", 1)
        if random.random() < self.by_command_line:
            _run("inspect", str(folder))
            _run("predict", "--bundle", str(folder), "--subnet", subnet_id, "--threads", "1", "a good film")
            return
        found, labels = answers_of(folder, subnet_id, flavor)
        self._check(found, labels, known_answers(base, subnet_id, flavor), recipe, graph)

    def _check(self, found: list, labels: tuple[str, ...], expected: list, recipe: Recipe, graph: str | None) -> None:
        decides = {graph, "bundle.json", "tokenizer.json"}
        is_free = self.forged and any(
            file in decides or file.startswith("weights") or args[0] == "swap-files" for file, *args in recipe
        )
        for one, right in zip(found, expected, strict=True):
            scores = {answer["label"]: answer["score"] for answer in one}
            if not all(math.isfinite(score) and 0 <= score <= 1 for score in scores.values()):
                raise FaultError("no answer", f"scores {scores}"[:500])
            if not set(scores) <= set(labels):
                raise FaultError("no answer", f"labels {list(scores)} of {list(labels)}"[:500])
            if not is_free and not _same(one, right):
                raise FaultError("wrong answer", f"{str(one)[:200]} instead of {str(right)[:200]}")


def _same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    found, right = ({answer["label"]: answer["score"] for answer in answers} for answers in (one, other))
    return found.keys() == right.keys() and all(abs(found[label] - right[label]) < 1e-3 for label in right)


def answers_of(folder: Path, subnet_id: str, flavor: str) -> tuple[list, tuple[str, ...]]:
    """Return all scores of each text by a sub-network, and the bundle's labels."""
    from edgebert.engines.session import default_way, open_session
    from edgebert.inputs.bundle import Bundle
    from edgebert.inputs.tokenization import Tokenizer, pad
    from edgebert.serving.predictor import load
    from edgebert.tasks.tasks import task_in

    if flavor == "fused":
        with load(folder, subnet=subnet_id, threads=1) as model:
            return [model(text, top_k=None) for text in TEXTS], model.bundle.manifest.labels
    import msgspec

    bundle = Bundle.load(folder)
    bundle.golden()
    bundle.answers()
    way = msgspec.structs.replace(default_way(threads=1), flavor=flavor)
    session, tokenizer = open_session(bundle, bundle.subnet(subnet_id), way), Tokenizer.of(bundle)
    task, rows = task_in(bundle.manifest), [tokenizer.encode(text) for text in TEXTS]
    asked = task.options({"top_k": None})
    found = [task.results(session.run(pad([row], session.input_names)), [row], asked)[0] for row in rows]
    return task.answers(found, asked), bundle.manifest.labels


@functools.cache
def known_answers(folder: Path, subnet_id: str, flavor: str) -> list:
    """Return the answers of a sub-network of a valid bundle."""
    return answers_of(folder, subnet_id, flavor)[0]


class ProfileTarget(Target):
    """A profile that a choice is made from: consistent in itself, and a choice within the budget."""

    base = "profile"
    by_command_line = 0.3

    def read(self, folder: Path, recipe: Recipe, random: Random) -> None:
        """Read it, select with a budget, and report."""
        from edgebert.choosing.selection import Budget, select
        from edgebert.errors import BudgetError
        from edgebert.inputs.bundle import Bundle
        from edgebert.measuring.device_profile import DeviceProfile
        from edgebert.serving.parameters import profile_source
        from edgebert.subnet import WayFilter

        path, latency_ms = folder / "profile.json", random.choice((0.5, 4.0, 7.0, 1000.0))
        if random.random() < self.by_command_line:
            _run("inspect", str(path))
            _run("select", "--profile", str(path), "--latency-ms", str(latency_ms), "--memory-mb", "55")
            return
        profile, bundle = DeviceProfile.load(path), Bundle.load()
        _check_profile(profile)
        budget = Budget(latency_ms=latency_ms, memory_mb=55.0, length=random.choice((None, 16, 40)))
        try:
            chosen = select(bundle, profile_source(bundle, 1, WayFilter(None, None), profile)(), budget)
        except BudgetError as problem:
            check_message(str(problem))
            return
        if chosen.predicted_ms is None or not chosen.predicted_ms <= latency_ms or not chosen.peak_memory_mb <= 55:
            raise FaultError("over budget", f"{chosen.predicted_ms} ms and {chosen.peak_memory_mb} MB were chosen")


def _check_profile(profile: Any) -> None:
    keys = [entry.key for entry in profile.subnetworks] + [one.key for one in profile.left_out]
    if len(set(keys)) != len(keys):
        raise FaultError("contradiction", "two entries of one sub-network and way")
    shapes = {(b, n) for b in profile.settings.batch_sizes for n in profile.settings.lengths}
    for entry in profile.subnetworks:
        measured = [(row.batch_size, row.length) for row in entry.latency]
        if set(measured) != shapes or len(measured) != len(shapes):
            raise FaultError("contradiction", f"{entry.id} has other shapes than the settings")
        for row in entry.latency:
            if not row.p50_ms <= row.p90_ms <= row.p95_ms <= row.p99_ms < math.inf:
                raise FaultError("contradiction", f"{entry.id} has percentiles out of order")


class CacheTarget(Target):
    """What edgebert keeps for itself: a profile or nothing comes of it, whatever it holds, and never an error."""

    base = "cache"
    may_refuse = False

    def read(self, folder: Path, recipe: Recipe, random: Random) -> None:
        """Look for the cached profile, and go on from the journal."""
        from edgebert.inputs.bundle import Bundle
        from edgebert.measuring import profile_cache
        from edgebert.measuring.trial_journal import TrialJournal

        os.environ["XDG_CACHE_HOME"] = str(folder)
        bundle = Bundle.load()
        found = profile_cache.find(bundle, 1, run_canary=lambda threads: 10.0)
        if found is not None and found.bundle_sha256 != bundle.sha256:
            raise FaultError("wrong answer", "another bundle's profile was found")
        if found is not None:
            _check_profile(found)
            profile_cache.keep(found, bundle, quick=True)
        for path in sorted(folder.rglob("*.journal.jsonl")):
            TrialJournal(path)


class PostedTarget(Target):
    """What a page posts, in any order: kept, or refused in one line; a profile that is taken is one."""

    base = "posted"
    places = 0.0  # it comes over HTTP

    def read(self, folder: Path, recipe: Recipe, random: Random) -> None:
        """Post each file under its name, and read back what was kept."""
        from page_client import who

        from edgebert.browser.devices import Devices
        from edgebert.browser.posted import Asked
        from edgebert.browser.site import Site
        from edgebert.errors import EdgeBertError
        from edgebert.inputs.bundle import Bundle
        from edgebert.measuring.device_profile import DeviceProfile

        os.environ["XDG_CACHE_HOME"] = str(folder)
        bundle, saved = Bundle.load(), folder / "saved.json"
        asked = Asked(
            bundle=bundle.manifest.name,
            bundle_sha256=bundle.sha256,
            quick=True,
            lengths=None,
            batch_sizes=None,
            threads=None,
            subnets=None,
        )
        devices = Devices(bundle, asked, engine="0" * 64, out=saved, tell=lambda event: None)
        site = Site(bundle, {"page/index.html": b""}, {}, devices)
        site.get("records", who(), None)
        refusals = []
        for name in random.sample(("records", "problems", "profile"), 3):
            answer = site.post(name, who(), (folder / f"{name}.json").read_bytes())
            if answer.status not in (200, 400):
                raise FaultError("status", f"{answer.status} for {name}")
            refusals += [b"".join(answer.parts).decode().removesuffix("\n")] if answer.status == 400 else []
        if saved.exists():
            _check_profile(DeviceProfile.load(saved))
        site.get("records", who(), None)  # a page that goes on
        if refusals:
            raise EdgeBertError(max(refusals, key=len))


class DataTarget(Target):
    """A data file: rows, or a line that says what is wrong; where a mutation changes nothing, the same rows."""

    base = "data"
    places = 0.0  # a pipe or a device may be given, and is waited for
    by_command_line = 0.02

    def files(self, folder: Path) -> list[str]:
        """Return all files, and lines of the JSON lines."""
        return [*super().files(folder), *(f"rows.jsonl#{line}" for line in (0, 1, 5))]

    def recipe(self, random: Random, folder: Path) -> Recipe:
        """Return steps that are all about one file."""
        steps = super().recipe(random, folder)
        file = steps[0][0].partition("#")[0] if steps else ""
        return [step for step in steps if step[0].partition("#")[0] == file]

    def read(self, folder: Path, recipe: Recipe, random: Random) -> None:
        """Read the file that was mutated, as each task does."""
        from edgebert.errors import EdgeBertError
        from edgebert.inputs.dataset import read_examples
        from edgebert.inputs.manifest import EmbeddingSettings
        from edgebert.tasks.sentence_embedding import SentenceEmbedding
        from edgebert.tasks.tasks import TASKS

        path = folder / (recipe[0][0].partition("#")[0] if recipe else "rows.tsv")
        if random.random() < self.by_command_line:
            bundle = folder.parent.parent / "bases" / "bundle"
            _run("evaluate", str(path), "--bundle", str(bundle), "--subnets", "w0.50-d0.50-int8")
            return
        found = list(read_examples(path))
        for row in found:
            if not isinstance(row.text, str) or not row.text.strip() or not isinstance(row.pair, str | None):
                raise FaultError("wrong answer", f"a row without text: {row!r}"[:300])
            row.text.encode()
        read = [(row.text, row.pair, row.label) for row in found]
        right = [
            (row.text, row.pair, row.label)
            for row in read_examples(folder.parent.parent / "bases" / "data" / path.name)
        ]
        if recipe and all(name in NEUTRAL for _, name, *_ in recipe) and read != right:
            raise FaultError("wrong answer", f"{len(read)} rows instead of {len(right)}; {recipe}: {read[:2]!r}"[:500])
        vectors = EmbeddingSettings("0" * 64, (1,), False, "cosine", {}, None)
        for kind in TASKS:
            with contextlib.suppress(EdgeBertError):
                task = kind(kind.labels_in(found), *((vectors,) if kind is SentenceEmbedding else ()))
                for row in found:
                    task.target(row)


class CheckpointTarget(Target):
    """A checkpoint folder: read, described and now and then exported, or refused."""

    def __init__(self, base: str):
        """Mutate the checkpoint of that name."""
        self.base = base  # type: ignore[misc]

    def files(self, folder: Path) -> list[str]:
        """Return all files, the config more often, and the header of the tensors."""
        found = [*super().files(folder), "config.json", "config.json"]
        return (
            [*found, *["model.safetensors#header"] * 2]
            if "model.safetensors" in found
            else [*found, "pytorch_model.bin"]
        )

    def read(self, folder: Path, recipe: Recipe, random: Random) -> None:
        """Read it as an export does, and as `inspect` does."""
        from edgebert.exporters.build import export
        from edgebert.exporters.checkpoint_reader import read_checkpoint
        from edgebert.exporters.summary import describe
        from edgebert.exporters.tokenizer import read_tokenizer

        dice = random.random()
        if dice < self.by_command_line:
            _run("inspect", str(folder))
        elif dice < 0.18:
            export(folder, folder.with_name("exported"), precisions=("fp32",))
        else:
            describe(folder)
            checkpoint = read_checkpoint(folder)
            read_tokenizer(checkpoint)


@dataclass
class Planted(Target):
    """Faults of every kind, to see that each is noticed: which one is in the recipe."""

    base: ClassVar[str] = "planted"

    def stays_inside(self, recipe: Recipe) -> bool:
        """Return that it must."""
        return True

    def read(self, folder: Path, recipe: Recipe, random: Random) -> None:
        """Do what the file of the first step, which is not there, is called."""
        what = recipe[0][0] if recipe else "nothing"
        acts = {
            "raise": lambda: {}["missing"],
            "lines": lambda: _refuse("two\nlines"),
            "long": lambda: _refuse("long " * 1000),
            "refuse": lambda: _refuse("expected a, found b; give a"),
            "signal": lambda: os.kill(os.getpid(), signal.SIGSEGV),
            "exit": lambda: os._exit(0),
            "sleep": lambda: time.sleep(3600),
            "work": _work,
            "memory": _fill,
            "print": lambda: os.write(1, b"noise\n"),
            "open": lambda: open(folder.parent / "bait.bin", "rb").close(),
            "wrong": _wrong,
        }
        acts.get(what, lambda: None)()


def _refuse(message: str) -> None:
    from edgebert.errors import EdgeBertError

    refusal = EdgeBertError(message)
    refusal.args = (message,)  # as it would be if no care were taken
    raise refusal


def _work() -> None:
    while True:
        pass


def _fill() -> None:
    held = []
    while sum(map(len, held)) < 4_000_000_000:
        held.append(b"x" * 100_000_000)
        time.sleep(0.02)


def _wrong() -> None:
    raise FaultError("wrong answer", "1 instead of 2")


TARGETS: dict[str, Target] = {
    "bundle": BundleTarget(),
    "forged": BundleTarget(forged=True),
    "graph": BundleTarget(".onnx", forged=True),
    "tokenizer": BundleTarget("tokenizer.json", forged=True),
    "builtin": BundleTarget(base="builtin"),
    "profile": ProfileTarget(),
    "cache": CacheTarget(),
    "posted": PostedTarget(),
    "data": DataTarget(),
    "checkpoint": CheckpointTarget("checkpoint"),
    "tokenized": CheckpointTarget("tokenized"),
    "torch": CheckpointTarget("torch"),
    "sentences": CheckpointTarget("sentences"),
    **{family: CheckpointTarget(family) for family in ("albert", "deberta-v2", "modernbert", "mpnet")},
    "planted": Planted(),
}
