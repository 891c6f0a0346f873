"""What the peer benchmark has found so far, a line of JSON each, so that a run can be interrupted and gone on with."""

import sys
from pathlib import Path

import msgspec

from edgebert.records import Record


class Settings(Record, frozen=True, tag=True):
    """What the figures depend on: it is the same for all that are compared."""

    device: str
    texts: str
    lengths: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    runs: int
    seconds: float


class Check(Record, frozen=True, tag=True):
    """How close a contender's logits are to those of torch in fp32, and how often it is right if weights are real."""

    model: str
    contender: str
    precision: str
    texts: int
    max_abs_logit_difference: float
    max_abs_logit: float
    label_agreement: float | None
    accuracy: float | None


class Measurement(Record, frozen=True, tag=True):
    """What one process measured, in milliseconds: of each shape (batch x length), or mean and p95 of mixed lengths."""

    round: int
    model: str
    threads: int
    contender: str
    job: str
    figures: dict[str, float]


class Journal:
    """A file to which every line is added as soon as it is known."""

    def __init__(self, path: Path, settings: Settings, *, resume: bool):
        """Go on with a file, or begin one and keep the one before it as .previous."""
        self.path = path
        self.lines: list[Settings | Check | Measurement] = []
        if resume and path.exists():
            self.lines = read(path)
        elif path.exists():
            path.replace(path.with_suffix(".previous"))
        if not self.lines:
            self.add(settings)
        if self.settings != settings:
            sys.exit(f"error: {path} was measured as {self.settings}; give the same options, or leave out --resume")

    @property
    def settings(self) -> Settings:
        return self.lines[0]

    def add(self, line: Settings | Check | Measurement) -> None:
        self.lines.append(line)
        with open(self.path, "ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")

    def checks(self) -> list[Check]:
        return [line for line in self.lines if isinstance(line, Check)]

    def measurements(self) -> list[Measurement]:
        return [line for line in self.lines if isinstance(line, Measurement)]


def read(path: Path) -> list[Settings | Check | Measurement]:
    """Return the lines of a file after cutting off a last one that was interrupted."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    path.write_bytes(whole)
    return [msgspec.json.decode(line, type=Settings | Check | Measurement) for line in whole.splitlines()]
