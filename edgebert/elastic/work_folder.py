"""The folder in which a training keeps what is finished: one training's only, whose steps are each made once.

Works with several devices: one of them writes, and none goes on before the others know what is there.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from edgebert import records
from edgebert.elastic.stage import Stage, TrainingSettings
from edgebert.errors import TrainingError, cause_of
from edgebert.records import Record

PLAN = "plan.json"


class TrainingPlan(Record, frozen=True):
    """All that the result of a training depends on; `method_settings` is JSON of what its method adds."""

    VERSION = 2

    schema_version: int
    files: dict[str, str]
    task: str
    labels: tuple[str, ...]
    stages: tuple[Stage, ...]
    settings: TrainingSettings
    method_settings: str


def hashes(checkpoints: Sequence[Path], files: Sequence[Path]) -> dict[str, str]:
    """Return the SHA-256 of data files and of checkpoints' configurations and weights, wherever they lie."""
    # By number and name, not by place: a training goes on where its files were moved.
    found = {f"data {number}, {path.name}": path for number, path in enumerate(files, 1)}
    for number, folder in enumerate(checkpoints, 1):
        for path in folder.iterdir():
            if path.name == "config.json" or path.suffix in (".safetensors", ".bin"):
                found[f"checkpoint {number}, {path.name}"] = path
    return {
        name: hashlib.sha256(records.read_bytes(path, TrainingError)).hexdigest()
        for name, path in sorted(found.items())
    }


@dataclass(frozen=True)
class WorkFolder:
    """A folder and the devices that share it."""

    path: Path
    accelerator: Accelerator

    def claim(self, plan: TrainingPlan) -> None:
        """Make the folder this training's, or raise a TrainingError if it is another one's or cannot be written."""
        path = self.path / PLAN
        self.make_once(path, lambda: self._begin(path, plan))
        # All devices compare, also the one that wrote it: each must end if the folder is another training's.
        found = records.read(path, TrainingPlan, TrainingError)
        differing = [name for name in plan.__struct_fields__ if getattr(found, name) != getattr(plan, name)]
        if differing:
            advice = "give another --work, or remove it to begin anew"
            raise TrainingError(f"{self.path} holds a training with other {' and '.join(differing)}; {advice}")

    def _begin(self, path: Path, plan: TrainingPlan) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise TrainingError(f"cannot write {self.path}: {cause_of(problem)}; choose another --work") from None
        records.write_bytes(path, records.encode(plan), TrainingError)

    def make_once(self, path: Path, make: Callable[[], None]) -> None:
        """Have one device make what is to stand at a path, unless it stands there already; the others wait."""
        if self.is_missing(path) and self.accelerator.is_main_process:
            make()
        self.accelerator.wait_for_everyone()

    def is_missing(self, path: Path) -> bool:
        """Return the same on all devices: none goes on and makes it while another still looks."""
        self.accelerator.wait_for_everyone()
        # Between the two barriers nothing is written.
        missing = not path.exists()
        self.accelerator.wait_for_everyone()
        return missing
